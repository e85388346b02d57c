#!/usr/bin/python3
# test_ssh_pools.py: pools on another machine: their definitions, the way to them, and its keys
#
# What is stored in them is looked at by test_ssh.py, lost servers by test_ssh_lost.py.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import namespaces
import remote
import runner
from images import same
from sshcase import NS, SECONDS, SshCase

WAY = ["resolve", "connect", "key-exchange", "host-key", "login", "subsystem", "path"]
THERE = ["server", "directory", "store", "space", "files", "latency", "clock", "leases", "images",
         "leftovers", "damage"]
PATIENT = "<image:reconnect enabled='yes' interval='3600'/>"


class Definitions(SshCase):
    def wrong(self, text, options="", source=None):
        path = self.work / "wrong.xml"
        path.write_text(self.far_xml(options, source=source))
        return self.no(text, "pool-define", path)

    def test_refused(self):
        for options, text in (
                ("<image:ssh connections='9'/>", "is not a number from 1 to 8"),
                ("<image:ssh connections='0'/>", "is not a number from 1 to 8"),
                ("<image:ssh policy='never'/>", "is not one of known|accept-new"),
                ("<image:ssh hostKey='SHA256:short'/>", "is not a fingerprint"),
                ("<image:ssh identity='id_rsa'/>", "is not an absolute path"),
                ("<image:ssh password='x'/>", "ssh/@identity")):
            with self.subTest(options):
                self.wrong(text, options)
        there = remote.source(self.dir, self.sshd)
        for source, text in (
                (there.replace("type='ssh'", "type='chap'"), "unknown auth type 'chap'"),
                (there[:there.index("<auth")] + "</source>", "nothing to log in with"),
                (there.replace(str(self.dir), "/proc/1"), "not allowed for a storage pool"),
                (there.replace(str(self.dir), "srv"), "absolute")):
            with self.subTest(source):
                self.wrong(text, source=source)

    def test_local(self):
        """What is of a server has no place there; a network may stay, and does nothing."""
        here = "<source><dir path='%s'/></source>" % self.dir
        self.wrong("'ssh' is of no use without", "<image:ssh policy='known'/>", source=here)
        self.wrong("'auth' is of no use without", source=here.replace(
            "</source>", "<auth type='ssh' username='u'/></source>"))
        self.define(self.far_xml("<image:dataNetwork cidr='192.0.2.0/24'/>", source=here))
        self.v("pool-build", self.name)
        self.v("pool-start", self.name)
        self.ctl("host-key", "accept", self.name, self.sshd.fingerprint(), code=ctl.REFUSED)

    def test_shown(self):
        """All of it comes back as it was given."""
        self.know(self.sshd.known_hosts())
        options = ("<image:ssh hostKey='%s' policy='accept-new' connections='2'/>"
                   % self.sshd.fingerprint())
        pool = self.far(options)
        xml = self.pool_xml(pool)
        for part in ("<auth type='ssh' username='%s'>" % self.sshd.user, options[:-2],
                     "<host name='127.0.0.1' port='%d'/>" % self.sshd.port):
            self.assertIn(part, xml)
        self.no_secret()

    def test_two_on_one_store(self):
        """One name for it is seen at once, another when the store is opened."""
        pool = self.far()
        path = self.work / "same.xml"
        path.write_text(self.far_xml(name="same", path="%s/../%s" % (self.dir, self.dir.name)))
        self.no("conflict with pool: '%s'" % pool, "pool-define", path)
        alias = remote.source(self.dir, self.sshd).replace("127.0.0.1", "localhost")
        self.know(self.sshd.known_hosts().replace("127.0.0.1", "localhost"))
        self.define(self.far_xml(name="alias", source=alias), "alias")
        self.no("conflict with pool: '%s'" % pool, "pool-start", "alias")
        self.v("pool-destroy", pool)
        self.v("pool-start", "alias")

    def test_another_host_while_it_runs(self):
        """The first one names the store; more of them are more ways there."""
        pool = self.far()
        uuid = self.v("pool-uuid", pool).strip()
        xml = self.far_xml().replace("</name>", "</name><uuid>%s</uuid>" % uuid, 1)
        self.define(xml.replace("<dir ", "<host name='192.0.2.1'/><dir ", 1))
        self.assertIn("192.0.2.1", self.pool_xml(pool))
        self.v("pool-refresh", pool)

    def test_another_way_while_it_runs(self):
        """It is gone at once, though there is a connection; one that leads nowhere is refused."""
        pool = self.far()
        uuid = self.v("pool-uuid", pool).strip()
        path = self.work / "way.xml"

        def write(key):
            xml = self.far_xml("<image:ssh hostKey='%s'/>" % key)
            path.write_text(xml.replace("</name>", "</name><uuid>%s</uuid>" % uuid, 1))

        write("SHA256:" + "A" * 43)
        self.no("the definition names SHA256:AAA", "pool-define", path)
        self.assertNotIn("hostKey", self.pool_xml(pool))
        self.v("pool-refresh", pool)
        write(self.sshd.fingerprint())
        self.v("pool-define", path)
        self.v("pool-refresh", pool)
        self.assertIn("hostKey", self.pool_xml(pool))


class Building(SshCase):
    def test_parents(self):
        """Made as far as they lack, and gone with the store."""
        below = self.dir / "a" / "b"
        pool = self.far(path=below, start=False)
        self.no("pool-build makes it", "pool-start", pool)
        self.v("pool-build", pool)
        self.assertTrue((below / "store.json").is_file())
        self.v("pool-start", pool)
        self.v("pool-destroy", pool)
        self.no("holds a store already", "pool-build", pool, "--no-overwrite")
        self.v("pool-delete", pool)
        self.assertFalse(below.exists())
        self.assertTrue(below.parent.is_dir())

    def test_foreign(self):
        """Nothing is left of what was refused, and nothing taken away."""
        (self.dir / "notes.txt").write_text("mine")
        pool = self.far(start=False)
        self.no("127.0.0.1:%s" % self.dir, "pool-build", pool)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["notes.txt"])

    def test_forbidden(self):
        """As the server itself resolves it: neither used nor made."""
        for target in ("/dev/shm", "/proc", "/"):
            with self.subTest(target):
                name = "%s%s" % (self.name, target.replace("/", "-"))
                link = self.dir / ("link-" + name)
                link.symlink_to(target)
                place = link / ("vimg-%s" % name) / "x" if target == "/dev/shm" else link
                pool = self.far(name=name, path=place, start=False)
                self.no("leads to '", "pool-build", pool)
                self.no("", "pool-start", pool)
                link.unlink()
                self.assertEqual(list(Path("/dev/shm").glob("vimg-%s" % name)), [])


class Doctor(SshCase):
    def steps(self, pool, code=ctl.OK):
        report = self.json("doctor", pool, code=code)
        return {step["step"]: step for step in report["steps"]}

    def verdicts(self, steps, names):
        return [steps[name]["verdict"] for name in names]

    def fails_at(self, pool, step):
        steps = self.steps(pool, ctl.PROBLEM)
        at = WAY.index(step)
        self.assertEqual(self.verdicts(steps, WAY + THERE),
                         ["ok"] * at + ["failed"] + ["skipped"] * (len(WAY + THERE) - at - 1))
        return steps[step]

    def test_well(self):
        pool = self.far()
        steps = self.steps(pool)
        self.assertEqual(self.verdicts(steps, WAY), ["ok"] * len(WAY))
        self.assertEqual({steps[name]["verdict"] for name in THERE} - {"warning"}, {"ok"})
        self.assertEqual(steps["server"]["verdict"], "ok")
        self.assertIn("127.0.0.1", steps["path"]["detail"])
        self.assertNotIn("filesystem", steps)
        self.v("pool-destroy", pool)
        self.assertEqual(self.steps(pool)["store"]["verdict"], "ok")

    def test_degraded(self):
        sshd = self.other(without=("fsync", "statvfs"))
        self.know(sshd.known_hosts())
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        steps = self.steps(self.far(sshd=sshd))
        self.assertEqual(steps["space"]["verdict"], "skipped")
        step = steps["server"]
        self.assertEqual(step["verdict"], "warning")
        self.assertIn("fsync@openssh.com", step["detail"])
        self.assertIn("statvfs@openssh.com", step["detail"])
        self.assertNotIn("posix-rename", step["detail"])

    def test_wrong_password(self):
        pool = self.far(start=False)
        remote.set_password(self.daemon, "wrong-password-3")
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        step = self.fails_at(pool, "login")
        self.assertIn("secret-set-value", step["remedy"])
        self.no_secret("wrong-password-3")

    def test_unknown_key(self):
        sshd = self.other(host_keys=("ed25519",))
        step = self.fails_at(self.far(sshd=sshd, start=False), "host-key")
        self.assertIn(sshd.fingerprint(), step["detail"])

    def test_nobody(self):
        pool = self.far(start=False)
        self.sshd.kill()
        self.fails_at(pool, "connect")

    def test_no_path(self):
        """The way is good, and there is nothing at its end."""
        steps = self.steps(self.far(path=self.dir / "none", start=False), ctl.PROBLEM)
        self.assertEqual(self.verdicts(steps, WAY), ["ok"] * len(WAY))
        self.assertEqual(steps["directory"]["verdict"], "failed")
        self.assertIn("pool-build", steps["directory"]["remedy"])


class Keys(SshCase):
    def test_before_it_was_ever_started(self):
        sshd = self.other(host_keys=("ed25519",))
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        pool = self.far(sshd=sshd, start=False)
        self.ctl("host-key", "accept", pool, "SHA256:short", code=ctl.USAGE)
        self.ctl("-r", "host-key", "accept", pool, sshd.fingerprint(), code=ctl.REFUSED)
        report = self.json("host-key accept", pool, sshd.fingerprint())
        self.assertEqual(report, {"pool": pool, "fingerprint": sshd.fingerprint()})
        self.v("pool-start", pool)
        self.assertEqual(self.known_hosts.stat().st_mode & 0o077, 0)

    def test_at_once(self):
        """A lost pool does not wait for its next turn once its server is known again."""
        sshd = self.other(host_keys=("ed25519",))
        self.know(sshd.known_hosts())
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        pool = self.far(PATIENT, sshd=sshd)
        sshd.kill()
        sshd.new_host_keys()
        sshd.start()
        self.daemon.virsh("pool-refresh", pool)
        self.wait_state(pool, "inaccessible")
        self.assertIn(sshd.fingerprint(), self.status(pool)["error"])
        self.ctl("host-key", "accept", pool, sshd.fingerprint())
        self.wait_state(pool, "running")

    def status(self, pool):
        deadline = time.monotonic() + SECONDS
        while True:
            status, = self.json("status", pool)["pools"]
            if "SHA256" in status.get("error", "") or time.monotonic() > deadline:
                return status
            time.sleep(0.05)


class Inet6(SshCase):
    """An address of IPv6 wherever a host is named."""

    server = {"address": "::1"}

    def test_circle(self):
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))
        self.assertIn("<host name='::1' port='%d'/>" % self.sshd.port, self.pool_xml(pool))
        self.v("pool-destroy", pool)
        self.v("pool-start", pool)
        self.assertEqual(self.volumes(pool), ["disk"])

    def test_network(self):
        """The address inside of it is used on both sides."""
        pool = self.far("<image:dataNetwork cidr='::1/128'/>")
        self.v("pool-destroy", pool)
        for cidr, text in (("127.0.0.0/8", "server '::1' has no address in network '127.0.0.0/8'"),
                           ("2001:db8::/32", "this host has no address in network '2001:db8::/32'")):
            with self.subTest(cidr):
                name = "%s-%s" % (self.name, cidr.split("/")[1])
                self.refused(text, "<image:dataNetwork cidr='%s'/>" % cidr, name=name,
                             path=self.dir / name)

    def test_messages(self):
        pool = self.far(start=False)
        self.v("pool-build", pool)
        steps = {step["step"]: step for step in self.json("doctor", pool)["steps"]}
        self.assertEqual(steps["connect"]["detail"], "::1 port %d" % self.sshd.port)
        self.assertIn("[::1]:%s" % self.dir, steps["path"]["detail"])
        self.no("[::1]:%s/none" % self.dir, "pool-start",
                self.far(name="none", path=self.dir / "none", start=False))
        self.sshd.kill()
        self.no("cannot connect to ::1 port %d" % self.sshd.port, "pool-start", pool)

    def test_key(self):
        """Refused, accepted and written down as OpenSSH does it."""
        sshd = self.other(host_keys=("ed25519",), address="::1")
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        pool = self.far(sshd=sshd, start=False)
        self.no("host key of ::1 port %d refused: it is not known" % sshd.port, "pool-start", pool)
        self.ctl("host-key", "accept", pool, sshd.fingerprint())
        self.v("pool-start", pool)
        self.assertIn(sshd.known_hosts(), self.known_hosts.read_text())

    def test_arguments(self):
        """virsh has a host and its port in one word."""
        host = "[::1]:%d" % self.sshd.port
        self.v("pool-define-as", self.name, "imagestore", "--source-host", host, "--source-path",
               self.dir, "--auth-type", "ssh", "--auth-username", self.sshd.user,
               "--secret-usage", remote.USAGE)
        self.made.append(self.name)
        self.v("pool-start", self.name)
        found = self.v("find-storage-pool-sources-as", "imagestore", host)
        self.assertIn("<dir path='%s'/>" % self.dir, found.replace('"', "'"))


@unittest.skipUnless(namespaces.entered(), "mounts need root")
class SystemKeys(SshCase):
    """/etc/ssh/ssh_known_hosts, of the test's own mount namespace."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.system = cls.daemon.path("etc-ssh") / "ssh_known_hosts"
        namespaces.mount("--bind", cls.system.parent, "/etc/ssh")

    @classmethod
    def tearDownClass(cls):
        namespaces.umount("/etc/ssh")
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.known_hosts.unlink(missing_ok=True)

    def test_second_source(self):
        self.system.write_text(self.sshd.known_hosts())
        self.v("pool-start", self.far(start=False), "--build")
        self.assertFalse(self.known_hosts.exists(), "what the system knows is not written down")

    def test_another_key_there(self):
        """One that is accepted does not outweigh what the system knows: both are good."""
        self.system.write_text("".join(
            "[127.0.0.1]:%d %s\n" % (self.sshd.port, self.other().host_key(kind))
            for kind in self.sshd.host_key_types))
        pool = self.far(start=False)
        self.no("it has changed from", "pool-start", pool)
        self.ctl("host-key", "accept", pool, self.sshd.fingerprint())
        self.v("pool-start", pool, "--build")

    def test_revoked_there(self):
        self.know(self.sshd.known_hosts())
        self.system.write_text("".join("@revoked * %s\n" % self.sshd.host_key(kind)
                                       for kind in self.sshd.host_key_types))
        self.no("it is revoked", "pool-start", self.far(start=False))

    def test_not_there(self):
        self.system.unlink(missing_ok=True)
        self.no("it is not known", "pool-start", self.far(start=False))
        self.know(self.sshd.known_hosts())
        self.v("pool-start", self.name, "--build")


if __name__ == "__main__":
    namespaces.enter()
    runner.main("ssh-pools")
