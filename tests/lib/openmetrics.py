# openmetrics.py: a strict reader of OpenMetrics text, so that what is wrong with ours is seen
#
# What the specification asks of a text with gauges and counters: families whole and described
# before their samples, names and escapes, numbers, no sample twice, and the mark at the end.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
VALUE = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}
SUFFIX = {"counter": "_total", "gauge": ""}


class Invalid(Exception):
    pass


def need(what, text):
    if not what:
        raise Invalid(repr(text))


def unescape(text, at, line):
    """A string in quotes that begins at @at; returns it and what is behind."""
    need(line[at] == '"', line)
    out, at = [], at + 1
    while True:
        need(at < len(text), line)
        if text[at] == '"':
            return "".join(out), at + 1
        if text[at] == "\\":
            at += 1
            need(text[at] in ESCAPES, line)
            out.append(ESCAPES[text[at]])
        else:
            out.append(text[at])
        at += 1


def read_labels(line, at):
    labels = {}
    while True:
        name = LABEL.match(line, at)
        need(name and line[name.end()] == "=" and name.group() not in labels
             and not name.group().startswith("__"), line)
        labels[name.group()], at = unescape(line, name.end() + 1, line)
        need(line[at] in ",}", line)
        at += 1
        if line[at - 1] == "}":
            return labels, at


def read_sample(line):
    name = NAME.match(line)
    need(name, line)
    at, labels = name.end(), {}
    if line[at] == "{":
        labels, at = read_labels(line, at + 1)
    need(line[at] == " " and VALUE.fullmatch(line, at + 1), line)
    return name.group(), labels, float(line[at + 1:])


class Family:
    def __init__(self, name):
        self.name, self.about, self.samples = name, {}, {}

    def describe(self, what, text):
        need(what not in self.about and not self.samples and text, what + " " + text)
        self.about[what] = text
        if what == "UNIT":
            need(self.name.endswith("_" + text), text)

    def add(self, name, labels, value):
        kind = self.about.get("TYPE")
        need(kind in SUFFIX and "HELP" in self.about and name == self.name + SUFFIX[kind], name)
        need(kind != "counter" or value >= 0, name)
        key = tuple(sorted(labels.items()))
        need(key not in self.samples, name + repr(labels))
        self.samples[key] = value


def parse(text):
    """The families of @text by name, or Invalid."""
    lines = text.split("\n")
    need(lines[-2:] == ["# EOF", ""], text[-100:])
    families, now = {}, None
    for line in lines[:-2]:
        about = re.fullmatch(r"# (TYPE|UNIT|HELP) (\S+) (.*)", line)
        if about:
            name = about.group(2)
            need(NAME.fullmatch(name), line)
            if not now or now.name != name:
                need(name not in families, line)  # a family is in one place
                now = families[name] = Family(name)
            now.describe(about.group(1), about.group(3))
        else:
            need(now and line and not line.startswith("#"), line)
            now.add(*read_sample(line))
    for family in families.values():  # or a counter would be taken for another family
        need(not any(f.name == family.name + s for f in families.values() for s in
                     ("_total", "_created", "_info")), family.name)
    return families


def value(families, name, **labels):
    """Of one sample, or None if there is none."""
    return families[name].samples.get(tuple(sorted(labels.items())))
