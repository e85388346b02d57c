# control.py: a small client of virtimage's own program, for what libvirt has no call for
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from collections import namedtuple

import rawrpc as rpc
from rawrpc import Connection, nullable, string, u32, u64

CONTROL = 0x56494D47
PAGE_MAX = 1024
PROCS = dict(POOL_CLEANUP=1, POOL_VERIFY=2, TRASH_LIST=3, TRASH_RESTORE=4, TRASH_PURGE=5,
             JOB_LIST=6, JOB_CANCEL=7, VOLUME_IMPORT=21)

TrashEntry = namedtuple("TrashEntry", "uuid name format capacity allocation physical created "
                        "deleted expires")
Job = namedtuple("Job", "id pool volume kind phase done total started cancelled")


class Control:
    """A connection that is opened as every client's is.  Pools are given by name."""

    def __init__(self, path, **kw):
        self.c = Connection(path, **kw)
        self.c.open()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.c.close()

    def start(self, proc, payload=b""):
        """Sends a call without waiting; returns its serial."""
        return self.c.start(PROCS.get(proc, proc), payload, prog=CONTROL)

    def reply(self, serial, proc, timeout=None):
        return self.c.reply(serial, PROCS.get(proc, proc), CONTROL, 1, timeout)

    def call(self, proc, payload=b""):
        return self.reply(self.start(proc, payload), proc)

    def pool(self, name):
        return rpc.pool(self.c.pool("POOL_LOOKUP_BY_NAME", string(name)))

    def report(self, proc, payload):
        reader = self.call(proc, payload)
        text = reader.string()
        reader.end()
        return json.loads(text)

    def cleanup(self, pool, dry_run=False):
        return self.report("POOL_CLEANUP", self.pool(pool) + u32(1 if dry_run else 0))

    def verify(self, pool, volume=None):
        return self.report("POOL_VERIFY", self.pool(pool) + nullable(volume))

    def trash_page(self, pool, after=None, most=PAGE_MAX):
        reader = self.call("TRASH_LIST", self.pool(pool) + nullable(after) + u32(most))
        entries = reader.array(lambda: TrashEntry(
            reader.string(), reader.string(), reader.nullable(), *(reader.u64() for _ in range(6))))
        reader.end()
        return entries

    def trash_list(self, pool, page=PAGE_MAX):
        """All of it, page by page."""
        entries, after = [], None
        while True:
            more = self.trash_page(pool, after, page)
            entries += more
            if len(more) < page:
                return entries
            after = more[-1].uuid

    def trash_restore(self, pool, uuid, name=None):
        reader = self.call("TRASH_RESTORE", self.pool(pool) + string(uuid) + nullable(name))
        ref = reader.vol()
        reader.end()
        return ref

    def trash_purge(self, pool, uuid):
        self.call("TRASH_PURGE", self.pool(pool) + string(uuid)).end()

    def job_list(self):
        reader = self.call("JOB_LIST")
        jobs = reader.array(lambda: Job(
            reader.u64(), reader.string(), reader.nullable(), reader.string(), reader.string(),
            reader.u64(), reader.u64(), reader.u64(), bool(reader.u32())))
        reader.end()
        return jobs

    def job_cancel(self, job):
        self.call("JOB_CANCEL", u64(job)).end()

    def import_args(self, pool, volume, url, digest=None, fmt=None):
        return (self.pool(pool) + string(volume) + string(url) + nullable(digest) + nullable(fmt))

    def volume_import(self, pool, volume, url, digest=None, fmt=None):
        return self.report("VOLUME_IMPORT", self.import_args(pool, volume, url, digest, fmt))
