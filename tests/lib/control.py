# control.py: a small client of virtimage's own program, for what libvirt has no call for
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
from collections import namedtuple

import rawrpc as rpc
from rawrpc import Connection, Reader, nullable, string, u32, u64

CONTROL = 0x56494D47
PAGE_MAX = 1024
PROCS = dict(POOL_CLEANUP=1, POOL_VERIFY=2, TRASH_LIST=3, TRASH_RESTORE=4, TRASH_PURGE=5,
             JOB_LIST=6, JOB_CANCEL=7, STATUS=8, VOLUME_LIST=9, VOLUME_SHOW=10, POOL_USAGE=11,
             VOLUME_DIFF=12, POOL_DOCTOR=20, METRICS=22, JOB_WATCH=23, JOB_EVENT=24)
PROCS.update(POOL_ENABLE=13, POOL_DESCRIBE=14, POOL_RENAME=15, ZONE_LIST=16, ZONE_ATTACH=17,
             ZONE_DETACH=18, ZONE_DELETE=19)
PROCS.update(VOLUME_IMPORT=21, HOST_KEY_ACCEPT=25)
PROCS.update(POOL_SYNC=26)
PROCS.update(EXPORT_CREATE=28, EXPORT_LIST=29, EXPORT_REVOKE=30, NBD_START=31, NBD_STOP=32)
PROCS.update(VOLUME_HOLD=34, VOLUME_FILL=35, JOB_BIND=36)

TrashEntry = namedtuple("TrashEntry", "uuid name format capacity allocation physical created "
                        "deleted expires needed_by")
Job = namedtuple("Job", "id pool volume kind phase done total started cancelled")
Volume = namedtuple("Volume", "uuid name state reason format capacity allocation physical created "
                    "unique shared as_of")
Export = namedtuple("Export", "id pool volume uuid file format compress direct size created expires "
                    "state sha256")
JobEvent = namedtuple("JobEvent", "job ended error own")


def read_job(reader):
    return Job(reader.u64(), reader.string(), reader.nullable(), reader.string(), reader.string(),
               reader.u64(), reader.u64(), reader.u64(), bool(reader.u32()))


def read_export(reader):
    return Export(*(reader.string() for _ in range(6)), bool(reader.u32()), bool(reader.u32()),
                  *(reader.u64() for _ in range(3)), reader.string(), reader.nullable())


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

    def usage(self, pool):
        return self.report("POOL_USAGE", self.pool(pool))

    def diff(self, pool, old, new):
        return self.report("VOLUME_DIFF", self.pool(pool) + string(old) + string(new))

    def sync(self, pool, source, images=(), deletes=(), bandwidth=0):
        names = b"".join([u32(len(images)), *map(string, images)])
        uuids = b"".join([u32(len(deletes)), *map(string, deletes)])
        return self.report("POOL_SYNC", self.pool(pool) + self.pool(source) + names + uuids +
                           u64(bandwidth))

    def doctor(self, pool):
        return self.report("POOL_DOCTOR", self.pool(pool))

    def trash_page(self, pool, after=None, most=PAGE_MAX):
        reader = self.call("TRASH_LIST", self.pool(pool) + nullable(after) + u32(most))
        entries = reader.array(lambda: TrashEntry(
            reader.string(), reader.string(), reader.nullable(), *(reader.u64() for _ in range(6)),
            reader.nullable()))
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

    def export(self, pool, volume, fmt=None, lifetime=604800, compress=False, direct=False):
        """The URL, and what it is of."""
        reader = self.call("EXPORT_CREATE", self.pool(pool) + string(volume) + nullable(fmt) +
                           u64(lifetime) + u32(int(compress)) + u32(int(direct)))
        answer = reader.string(), read_export(reader)
        reader.end()
        return answer

    def exports(self, after=None, most=PAGE_MAX):
        reader = self.call("EXPORT_LIST", nullable(after) + u32(most))
        entries = reader.array(lambda: read_export(reader))
        reader.end()
        return entries

    def export_revoke(self, known):
        self.call("EXPORT_REVOKE", string(known)).end()

    def nbd_start(self, pool, volume):
        """The path of the socket, and what it is of."""
        reader = self.call("NBD_START", self.pool(pool) + string(volume))
        answer = reader.string(), read_export(reader)
        reader.end()
        return answer

    def nbd_stop(self, known):
        self.call("NBD_STOP", string(known)).end()

    def enable(self, pool, enabled=True):
        self.call("POOL_ENABLE", self.pool(pool) + u32(int(enabled))).end()

    def describe(self, pool, text=None):
        self.call("POOL_DESCRIBE", self.pool(pool) + nullable(text)).end()

    def rename(self, pool, name):
        self.call("POOL_RENAME", self.pool(pool) + string(name)).end()

    def zone_list(self):
        return {z["name"]: z for z in self.report("ZONE_LIST", b"")["zones"]}

    def zone_attach(self, pool, zone):
        self.call("ZONE_ATTACH", self.pool(pool) + string(zone)).end()

    def zone_detach(self, pool, zone):
        self.call("ZONE_DETACH", self.pool(pool) + string(zone)).end()

    def zone_delete(self, zone, uuids):
        self.call("ZONE_DELETE", string(zone) + u32(len(uuids))
                  + b"".join(string(u) for u in uuids)).end()

    def job_list(self):
        reader = self.call("JOB_LIST")
        jobs = reader.array(lambda: read_job(reader))
        reader.end()
        return jobs

    def job_cancel(self, job):
        self.call("JOB_CANCEL", u64(job)).end()

    # ---- what is there

    def status(self, pool=None):
        return self.report("STATUS", nullable(pool))["pools"]

    def volume_page(self, pool, after=None, most=PAGE_MAX):
        reader = self.call("VOLUME_LIST", self.pool(pool) + nullable(after) + u32(most))
        volumes = reader.array(lambda: Volume(
            reader.string(), reader.string(), reader.string(), reader.nullable(),
            reader.nullable(), *(reader.u64() for _ in range(7))))
        reader.end()
        return volumes

    def volume_list(self, pool, page=PAGE_MAX):
        """All of them, page by page."""
        volumes, after = [], None
        while True:
            more = self.volume_page(pool, after, page)
            volumes += more
            if len(more) < page:
                return volumes
            after = more[-1].name

    def volume_show(self, pool, volume):
        return self.report("VOLUME_SHOW", self.pool(pool) + string(volume))

    def metrics(self):
        reader = self.call("METRICS")
        text = reader.string()
        reader.end()
        return text

    def watch(self, on=True):
        self.call("JOB_WATCH", u32(1 if on else 0)).end()

    def next_event(self, timeout=20):
        """What was told next, waiting for it."""
        reader = Reader(self.c.event(PROCS["JOB_EVENT"], timeout).payload)
        event = JobEvent(read_job(reader), bool(reader.u32()), reader.nullable(),
                         bool(reader.u32()))
        reader.end()
        return event

    def import_args(self, pool, volume, url, digest=None, fmt=None):
        return (self.pool(pool) + string(volume) + string(url) + nullable(digest) + nullable(fmt))

    def volume_import(self, pool, volume, url, digest=None, fmt=None):
        return self.report("VOLUME_IMPORT", self.import_args(pool, volume, url, digest, fmt))
