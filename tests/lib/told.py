# told.py: a server that is told what to do, line by line
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys


class Told:
    def command(self, words):
        """Returns: the answer, a line."""
        name, *rest = words
        if name == "fault":
            self.fault(*(kind(word) for kind, word in zip((str, str, int, str, int), rest)))
            return "ok"
        if name == "set":
            setattr(self, rest[0], json.loads(rest[1]))
            return "ok"
        if name == "count":
            return str(self.counts.get(rest[0], 0))
        if name == "number":
            return str(len(getattr(self, rest[0])))
        return "unknown"

    def run(self):
        """Until its standard input ends; first it says its port."""
        print(self.port, flush=True)
        for line in sys.stdin:
            if line.split():
                print(self.command(line.split()), flush=True)
