#!/usr/bin/python3
# test_adopt.py: image files that lie in a mount path become images, each once, whoever is at it;
# and stores are found below a directory
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import os
import re
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import remote
import runner
from control import Control
from daemon import Daemon, slow
from images import MIB, noise, run, same, write_raw
from rawrpc import pool_xml
from sshcase import SshCase
from virshcase import VirshCase, element, validate

RETRIEVE = "<image:retrieve existing='yes'/>"
SLOW = "<image:slice size='1048576' compression='9'/>"
BIG = (48 if slow() else 96 if remote.chosen() else 256) * MIB


def age(path, seconds=3600):
    """As if nobody had written it since; a second file is never of the same moment."""
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then), follow_symlinks=False)
    return path


def big(path):
    block = os.urandom(MIB)
    with open(path, "wb") as out:
        for i in range(BIG // MIB):
            out.write(hashlib.sha256(b"%d" % i).digest() + block[32:i] + os.urandom(MIB - max(i, 32)))
    return age(path)


class AdoptCase(VirshCase):
    def start(self, options=RETRIEVE, daemon=None):
        path = self.work / "pool.xml"
        path.write_text(pool_xml(self.name, self.dir, options))
        if daemon is None:
            self.made.append(self.name)
        for args in (("pool-define", path), ("pool-start", self.name)):
            (daemon or self.daemon).ok(*args)
        return self.name

    def redefine(self, options):
        uuid = self.v("pool-uuid", self.name).strip()
        self.define(pool_xml(self.name, self.dir, options, uuid=uuid))

    def is_active(self, name, daemon=None):
        done = (daemon or self.daemon).virsh("vol-dumpxml", "--pool", self.name, name)
        return done.returncode == 0 and element(done.stdout, "image:state") == "active"

    def wait_active(self, *names, daemon=None):
        for name in names:
            self.eventually(name + " is not adopted", lambda n=name: self.is_active(n, daemon))

    def wait_log(self, text, start=0):
        self.eventually("no %r in the log" % text, lambda: text in self.daemon.log()[start:])

    def jobs(self, daemon=None):
        with Control((daemon or self.daemon).socket) as control:
            return [job for job in control.job_list() if job.pool == self.name]

    def idle(self, daemon=None):
        """A look round files is a job before the call that began it returns."""
        self.eventually("it goes on", lambda: not self.jobs(daemon))

    def uuid(self, name):
        return element(self.vol_xml(self.name, name), "image:uuid")

    def settled(self):
        """One more look round of all files came to its end: a file put there last is the proof."""
        mark = "zz-%d.img" % time.time_ns()
        (self.dir / mark).write_bytes(noise(512))
        age(self.dir / mark)
        self.v("pool-refresh", self.name)
        self.wait_active(mark)
        (self.dir / mark).unlink()
        self.v("vol-delete", "--pool", self.name, mark)


class Adoption(AdoptCase):
    def make_files(self):
        """Returns the names of those that are images."""
        raw = write_raw(self.dir / "disk.img", 8 * MIB, 1)
        with open(raw, "r+b") as out:
            out.truncate(64 * MIB)
        for fmt, name in (("qcow2", "disk.qcow2"), ("vmdk", "disk.vmdk"), ("vdi", "disk.vdi"),
                          ("vpc", "dynamic"), ("vhdx", "disk.vhdx")):
            run("qemu-img", "convert", "-f", "raw", "-O", fmt, raw, self.dir / name)
        run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed", raw,
            self.dir / "fixed.vhd")
        (self.work / "tree").mkdir()
        (self.work / "tree" / "a.txt").write_bytes(noise(70000))
        run("genisoimage", "-quiet", "-o", self.dir / "cd.iso", self.work / "tree")
        return sorted(p.name for p in self.dir.iterdir())

    def make_others(self):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.dir / "disk.qcow2", "-F", "qcow2",
            self.dir / "backed.qcow2")
        (self.dir / "cut.qcow2").write_bytes((self.dir / "disk.qcow2").read_bytes()[:-70000])
        (self.dir / "README").write_text("x" * 1024)
        (self.dir / "notes.txt").write_bytes(noise(1024))
        (self.dir / "odd.img").write_bytes(noise(1000))
        (self.dir / "no-disc.iso").write_bytes(noise(64 * 1024))
        (self.dir / "empty.img").write_bytes(b"")
        (self.dir / ".hidden.img").write_bytes(noise(512))
        (self.dir / "link.img").symlink_to(self.dir / "disk.img")
        os.mkfifo(self.dir / "fifo.img")
        below = self.dir / "below"
        below.mkdir()
        (below / "deep.img").write_bytes(noise(512))
        age(below / "deep.img")
        (self.dir / "young.img").write_bytes(noise(1024))

    def test_every_kind_of_file(self):
        names = self.make_files()
        self.make_others()
        for path in self.dir.iterdir():
            if path.name != "young.img":
                age(path)
        before = {p.name: (p.lstat().st_mtime_ns, p.read_bytes()) for p in self.dir.iterdir()
                  if p.is_file()}
        pool = self.start()
        self.wait_active(*names)
        self.settled()
        self.assertEqual(self.volumes(pool), names)
        formats = {"disk.img": "raw", "cd.iso": "iso", "dynamic": "vpc", "fixed.vhd": "vpc"}
        for name in names:
            xml = self.vol_xml(pool, name)
            self.assertIn("<format type='%s'/>" % formats.get(name, name.split(".")[-1]),
                          xml.replace('"', "'"))
            same(self.dir / name, self.fetched(pool, name))
        self.assertEqual(int(element(self.vol_xml(pool, "disk.img"), "capacity")), 64 * MIB)
        after = {name: ((self.dir / name).lstat().st_mtime_ns, (self.dir / name).read_bytes())
                 for name in before}
        self.assertEqual(before, after, "originals stay as they are")
        log = self.daemon.log()
        for name, reason in (("backed.qcow2", "needs the backing file"), ("cut.qcow2", "cut off"),
                             ("README", "not look like"), ("notes.txt", "not look like"),
                             ("odd.img", "is raw, but"), ("no-disc.iso", "is raw, but")):
            self.assertEqual(len(re.findall("'%s' is not adopted.*%s" % (re.escape(name), reason),
                                            log)), 1, name)
        age(self.dir / "young.img")
        self.v("pool-refresh", pool)
        self.wait_active("young.img")
        self.assertEqual(self.daemon.log().count("'backed.qcow2' is not adopted"), 1)
        self.idle()
        names = (self.dir / "names").stat().st_mtime_ns
        self.v("pool-refresh", pool)
        self.idle()
        self.assertEqual((self.dir / "names").stat().st_mtime_ns, names, "a refused one is tried")

    def test_once(self):
        pool = self.start()
        (self.dir / "a.img").write_bytes(noise(4096))
        age(self.dir / "a.img")
        self.v("pool-refresh", pool)
        self.wait_active("a.img")
        uuid = self.uuid("a.img")
        self.settled()
        self.assertEqual(self.uuid("a.img"), uuid)
        self.daemon.restart()
        self.wait_active("a.img")
        self.settled()
        self.assertEqual(self.uuid("a.img"), uuid)
        self.v("vol-delete", "--pool", pool, "a.img")
        self.settled()
        self.assertEqual(self.volumes(pool), [], "adopted again after it was deleted")
        self.daemon.restart()
        self.eventually("no pool", lambda: self.daemon.virsh("vol-list", pool).returncode == 0)
        self.settled()
        self.assertEqual(self.volumes(pool), [], "adopted again after a restart")
        (self.dir / "a.img").write_bytes(noise(8192))
        age(self.dir / "a.img")
        self.v("pool-refresh", pool)
        self.wait_active("a.img")
        same(self.dir / "a.img", self.fetched(pool, "a.img"))
        self.v("pool-destroy", pool)
        self.v("pool-delete", pool)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["a.img"])

    def test_name_is_taken(self):
        pool = self.start("")
        other = self.raw(size=MIB)
        self.stored(pool, "a.img", other)
        (self.dir / "a.img").write_bytes(noise(4096))
        age(self.dir / "a.img")
        self.redefine(RETRIEVE)
        self.settled()
        same(other, self.fetched(pool, "a.img"))
        self.assertEqual(self.daemon.log().count("'a.img' is not adopted by storage pool '%s': an "
                                                 "image has its name" % pool), 1)
        self.v("vol-delete", "--pool", pool, "a.img")
        self.v("pool-refresh", pool)
        self.wait_active("a.img")
        same(self.dir / "a.img", self.fetched(pool, "a.img"))

    def test_disabled_adopts_nothing(self):
        (self.dir / "a.img").write_bytes(noise(4096))
        age(self.dir / "a.img")
        pool = self.start(RETRIEVE + "<image:state>disabled</image:state>")
        self.v("pool-refresh", pool)
        self.idle()
        self.assertEqual(self.volumes(pool), [])
        self.redefine(RETRIEVE)
        self.wait_active("a.img")

    def test_without_the_element_nothing(self):
        pool = self.start("")
        (self.dir / "a.img").write_bytes(noise(4096))
        age(self.dir / "a.img")
        self.v("pool-refresh", pool)
        self.idle()
        self.assertEqual(self.volumes(pool), [])


class Interrupted(AdoptCase):
    def begun(self, options=RETRIEVE + SLOW):
        """A pool at once, though it adopts for a while; returns when it is at it."""
        path = big(self.dir / "big.img")
        began = time.monotonic()
        pool = self.start(options)
        self.assertLess(time.monotonic() - began, 10 if slow() else 3, "pool-start waits for it")
        self.eventually("nothing begins", lambda: self.volumes(pool) == ["big.img"])
        self.assertEqual(self.state(pool, "big.img"), "saving", "too fast to be interrupted")
        return pool, path

    def complete(self, pool, path):
        self.wait_active("big.img")
        self.settled()
        self.assertEqual(self.volumes(pool), ["big.img"])
        same(path, self.fetched(pool, "big.img"))

    def test_stopped_pool(self):
        pool, path = self.begun()
        uuid = self.uuid("big.img")
        self.no("still in use", "vol-delete", "--pool", pool, "big.img")
        began = time.monotonic()
        self.v("pool-destroy", pool)
        self.assertLess(time.monotonic() - began, 30)
        self.v("pool-start", pool)
        self.complete(pool, path)
        self.assertEqual(self.uuid("big.img"), uuid, "taken up, not made anew")

    def test_other_jobs_keep_the_pool(self):
        """A pool that may not be stopped goes on adopting."""
        pool, path = self.begun()
        self.v("vol-create-as", pool, "other", "%d" % MIB)
        slow_one = self.daemon.path("fifo-" + self.name) / "in"
        os.mkfifo(slow_one)
        upload = threading.Thread(target=lambda: self.daemon.virsh(
            "vol-upload", "--pool", pool, "other", slow_one), daemon=True)
        upload.start()
        with open(slow_one, "wb") as out:
            out.write(noise(MIB // 2))
            out.flush()
            self.eventually("no upload", lambda: "upload of 'other'" in
                       self.daemon.virsh("pool-destroy", pool).stderr)
        upload.join(60)
        self.wait_active("big.img")
        same(path, self.fetched(pool, "big.img"))

    def test_cancelled(self):
        pool, path = self.begun()
        job, = self.jobs()
        self.assertEqual((job.kind, job.phase, job.volume, job.total),
                         ("adopt", "adopting", "big.img", BIG))
        with Control(self.daemon.socket) as control:
            control.job_cancel(job.id)
        self.idle()
        self.assertEqual(self.state(pool, "big.img"), "saving")
        self.v("pool-refresh", pool)
        self.complete(pool, path)

    def test_daemon_ends(self):
        pool, path = self.begun()
        self.daemon.restart()
        self.complete(pool, path)

    def test_killed(self):
        pool, path = self.begun()
        uuid = self.uuid("big.img")
        self.eventually("nothing is stored", lambda: self.jobs()[0].done >= 4 * MIB)
        self.daemon.kill()
        self.daemon.start()
        self.complete(pool, path)
        self.assertEqual(self.uuid("big.img"), uuid, "taken up, not made anew")

    def test_killed_and_the_file_is_another(self):
        pool, path = self.begun()
        self.daemon.kill()
        with open(path, "r+b") as out:
            out.write(noise(MIB, 77))
        age(path, 7200)
        self.daemon.start()
        self.complete(pool, path)

    def test_file_is_written_to(self):
        pool, path = self.begun()
        with open(path, "ab") as out:
            out.write(noise(512))
        age(path, -3600)  # for as long as the test takes, it was written a moment ago
        self.wait_log("'big.img' is not adopted by storage pool '%s': volume 'big.img': file '" % pool)
        self.wait_log("%s' has changed" % path)
        self.eventually("the image stays", lambda: self.volumes(pool) == [])
        self.settled()
        self.assertEqual(self.volumes(pool), [], "it changed a moment ago")
        age(path)
        self.v("pool-refresh", pool)
        self.complete(pool, path)

    def test_disabled_meanwhile(self):
        pool, path = self.begun()
        self.redefine(RETRIEVE + SLOW + "<image:state>disabled</image:state>")
        self.assertEqual(self.jobs(), [], "it goes on as if nothing had been said")
        self.v("pool-refresh", pool)
        self.assertEqual(self.state(pool, "big.img"), "saving")
        self.redefine(RETRIEVE + SLOW)
        self.complete(pool, path)


class TwoHosts(AdoptCase):
    def test_each_file_once(self):
        names = ["f%02d.img" % i for i in range(12)]
        self.start("")
        for i, name in enumerate(names):
            (self.dir / name).write_bytes(noise(2 * MIB, i))
            age(self.dir / name)
        other = Daemon().start()
        try:
            self.start("", other)
            uuid = other.ok("pool-uuid", self.name).strip()
            path = self.work / "other.xml"
            path.write_text(pool_xml(self.name, self.dir, RETRIEVE, uuid=uuid))
            threads = [threading.Thread(target=self.redefine, args=(RETRIEVE,)),
                       threading.Thread(target=other.ok, args=("pool-define", path))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for daemon in (self.daemon, other):
                def seen(d=daemon):
                    d.ok("pool-refresh", self.name)
                    return all(self.is_active(n, d) for n in names)
                self.eventually("not all are seen", seen)
            self.assertEqual(self.volumes(self.name), names)
            self.assertEqual(len(list(self.dir.glob("images/*"))), len(names))
            for daemon in (self.daemon, other):
                self.idle(daemon)
            logs = self.daemon.log() + other.log()
            for name in names:
                self.assertEqual(logs.count("'%s' was adopted" % name), 1, name)
            self.assertNotIn("an image has its name", logs, "to be second is no mishap")
            other.ok("vol-delete", "--pool", self.name, names[0])
            self.v("pool-refresh", self.name)
            self.settled()
            other.ok("pool-refresh", self.name)
            self.assertEqual(self.volumes(self.name), names[1:], "what another host deleted")
            other.stop()
        finally:
            other.remove()

    def test_half_of_another_host(self):
        """An image that another daemon is just adopting is left to it."""
        path = big(self.dir / "big.img")
        self.start(RETRIEVE + SLOW)
        self.eventually("nothing begins", lambda: self.volumes(self.name) == ["big.img"])
        other = Daemon().start()
        try:
            self.start(RETRIEVE, other)
            self.wait_active("big.img")
            if not slow():  # where starting a daemon takes longer than all of the image
                self.assertIn("'big.img' is not adopted by storage pool '%s': volume 'big.img': the "
                              "image is" % self.name, other.log())
            other.ok("pool-refresh", self.name)
            self.wait_active("big.img", daemon=other)  # at once, unless its own look round holds it
            same(path, self.fetched(self.name, "big.img"))
            other.stop()
        finally:
            other.remove()


class FindSources(AdoptCase):
    def find(self, *args):
        return validate("sources", self.v(*args))

    def test_below_a_directory(self):
        spec = self.work / "spec.xml"
        spec.write_text("<source><dir path='%s'/></source>" % self.work)
        self.assertNotIn("<dir", self.find("find-storage-pool-sources", "imagestore", spec))
        for i, place in enumerate(("one", "a/two &amp; 2", "a/b/three", "a/b/c/four")):
            self.define(pool_xml("find-%d" % i, self.work / place), "find-%d" % i)
            self.v("pool-build", "find-%d" % i)
        (self.work / "link").symlink_to(self.work / "one")
        (self.work / "a" / "store.json").write_text("{}")
        (self.work / "one" / "store").mkdir()
        found = self.find("find-storage-pool-sources", "imagestore", spec)
        self.assertEqual(sorted(re.findall("<dir path=['\"](.*?)['\"]/>", found)), sorted(
            "%s/%s" % (self.work, place) for place in ("one", "a/two &amp; 2", "a/b/three")))
        uuid = (self.work / "one" / "store.json").read_text().split('"uuid" : "')[1][:36]
        self.assertRegex(found, "<image:store [^>]*uuid='%s' format='1'/>" % uuid)
        source = re.search("(?s)<source>(?:(?!</source>).)*/one'.*?</source>", found).group(0)
        self.v("pool-undefine", "find-0")
        self.define("<pool type='imagestore'><name>found</name>%s</pool>" % source, "found")
        self.v("pool-start", "found")
        self.no("cannot open path", "find-storage-pool-sources", "imagestore", self.spec("/no/such"))

    def spec(self, path):
        (self.work / "other.xml").write_text("<source><dir path='%s'/></source>" % path)
        return self.work / "other.xml"

    def test_search_paths(self):
        daemon = Daemon('search_paths = [ "/no/such", "%s" ]\n' % self.work).start()
        self.pool("searched", self.work / "x" / "y", start=False)
        self.v("pool-build", "searched")
        try:
            found = validate("sources", daemon.ok("find-storage-pool-sources-as", "imagestore"))
            self.assertEqual(found.count("<dir path="), 1)
            self.assertIn("%s/x/y" % self.work, found)
            daemon.stop()
        finally:
            daemon.remove()


class FindThere(SshCase):
    """Stores on another host."""

    def find(self, *args):
        return validate("sources", self.v(*args))

    def spec(self, text):
        path = self.work / "spec.xml"
        path.write_text(text)
        return path

    def dirs(self, found):
        return sorted(re.findall("<dir path=['\"](.*?)['\"]/>", found))

    def test_by_login(self):
        pool = self.far(path=self.dir / "a" / "b", start=False)
        self.v("pool-build", pool)
        self.v("pool-undefine", pool)
        found = self.find("find-storage-pool-sources", "imagestore",
                          self.spec(remote.source(self.dir, self.sshd)))
        self.assertEqual(self.dirs(found), ["%s/a/b" % self.dir])
        self.assertIn("port=", found)
        self.assertRegex(found, "<host name=['\"]127.0.0.1['\"] port=['\"]%d['\"]/>" % self.sshd.port)
        self.no("cannot open path '127.0.0.1:/no/such'", "find-storage-pool-sources", "imagestore",
                self.spec(remote.source("/no/such", self.sshd)))
        self.no("is not allowed", "find-storage-pool-sources", "imagestore",
                self.spec(remote.source("/proc", self.sshd)))
        self.no_secret()

    def test_by_host(self):
        host = "127.0.0.1:%d" % self.sshd.port
        there = "<source><host name='127.0.0.1' port='%d'/>%%s</source>" % self.sshd.port
        self.no("a directory to search is missing", "find-storage-pool-sources-as", "imagestore", host)
        self.no("nothing to log in with", "find-storage-pool-sources", "imagestore",
                self.spec(there % ("<dir path='%s'/>" % self.dir)))
        pool = self.name
        for name, place in ((pool, "one"), (pool + "-2", "two")):
            self.far(name=name, path=self.dir / place, start=False)
            self.v("pool-build", name)
        self.far(name=pool + "-3", path=self.work / "three", start=False)
        self.v("pool-build", pool + "-3")
        self.v("pool-undefine", pool + "-3")
        found = self.find("find-storage-pool-sources-as", "imagestore", host)
        self.assertEqual(self.dirs(found), ["%s/%s" % (self.dir, d) for d in ("one", "two")])
        found = self.find("find-storage-pool-sources", "imagestore",
                          self.spec(there % ("<dir path='%s'/>" % self.work)))
        self.assertIn("%s/three" % self.work, self.dirs(found))


if __name__ == "__main__":
    runner.main("adopt")
