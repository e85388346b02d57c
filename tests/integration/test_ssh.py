#!/usr/bin/python3
# test_ssh.py: stores on another machine: which servers do, who is let in, and what is refused
#
# Each class has an OpenSSH server of its own.  The other suites run over SSH as a whole, see
# tests/run.sh; here is what only these pools have.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import namespaces
import remote
import runner
from control import Control
from daemon import TOP
from images import MIB, run, same, write_raw
from sshcase import SshCase
from sshd import EXTENSIONS, SFTP_SERVER
from virshcase import validate


class Circle:
    """What every server must be good for; a mix-in."""

    def circle(self, pool):
        path = self.raw()
        control = Control(self.daemon.socket)
        self.addCleanup(control.close)
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))
        self.v("vol-clone", "--pool", pool, "disk", "twin")
        self.v("vol-delete", "--pool", pool, "disk")
        self.v("pool-refresh", pool)
        self.assertEqual(self.volumes(pool), ["twin"])
        control.trash_restore(pool, control.trash_list(pool)[0].uuid)
        self.assertEqual(self.volumes(pool), ["disk", "twin"])
        report = control.verify(pool)
        self.assertEqual(report["damaged"], [])
        for name in ("disk", "twin"):
            self.v("vol-delete", "--pool", pool, name)
        for entry in control.trash_list(pool):
            control.trash_purge(pool, entry.uuid)
        for _ in range(2):
            control.cleanup(pool)
        self.assertLess(len(self.slice_files()), 12, "only those of zeros are left")
        self.stored(pool, "again", path)
        out = self.work / "casync"
        index, = self.dir.glob("images/*/image.caibx")
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index, out)
        same(path, out)
        self.no_secret()

    def test_circle(self):
        self.circle(self.far())


class InternalSftp(Circle, SshCase):
    def test_capacity(self):
        """What the server's file system says."""
        pool, disk = self.far(), os.statvfs(self.dir)
        self.assertEqual(int(self.pool_field(pool, "Capacity")), disk.f_blocks * disk.f_frsize)

    def test_same_index(self):
        """Local or not: the same bytes make the same index."""
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        there = self.index(pool, "disk")
        self.v("pool-destroy", pool)
        self.dir = self.daemon.path("local-" + self.name)
        self.stored(self.pool("local"), "disk", path)
        self.assertTrue(there == self.index("local", "disk"))

    def test_remembered(self):
        """Active after a restart of the daemon, with what it was told of server and password."""
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        self.daemon.restart()
        self.wait_state(pool, "running")
        same(path, self.fetched(pool, "disk"))

    def test_lease_of_a_create(self):
        """It is kept for an upload, but not when the pool stops or the daemon ends, or was killed."""
        pool = self.far()
        leases = self.dir / "pending"

        def restarted():
            self.daemon.start()
            self.wait_state(pool, "running")
        for n, (end, go_on) in enumerate((
                (lambda: self.v("pool-destroy", pool), lambda: self.v("pool-start", pool)),
                (self.daemon.stop, restarted))):
            self.v("vol-create-as", pool, "image-%d" % n, MIB)
            self.assertEqual(len(list(leases.iterdir())), 1)
            end()
            self.assertEqual(list(leases.iterdir()), [])
            go_on()
        self.v("vol-create-as", pool, "image", MIB)
        self.assertEqual(len(list(leases.iterdir())), 1)
        self.daemon.kill()
        restarted()
        self.assertEqual(list(leases.iterdir()), [])
        self.assertEqual(self.volumes(pool), ["image", "image-0", "image-1"])

    def test_example(self):
        """examples/imagestore-ssh.xml, but for host, user and directory."""
        xml = validate("pool", (TOP / "examples" / "imagestore-ssh.xml").read_text())
        self.daemon.ok("pool-define", TOP / "examples" / "imagestore-ssh.xml")
        name = re.search("<name>([^<]*)<", xml)[1]
        self.made.append(name)
        xml, n = re.subn(r"<source>.*</source>", remote.source(self.dir, self.sshd), xml,
                         flags=re.S)
        self.assertEqual(n, 1)
        xml = re.sub(r"<image:(data|sync)Network [^>]*/>|<image:zone [^>]*/>|<image:ssh [^>]*/>",
                     "", xml)
        self.v("pool-undefine", name)
        self.define(xml, name)
        self.v("pool-start", name)
        self.circle(name)

    def test_from_arguments_alone(self):
        """As pool-define-as says it, with the port behind the name."""
        self.v("pool-define-as", self.name, "imagestore", "--source-host",
               "127.0.0.1:%d" % self.sshd.port, "--source-path", self.dir, "--auth-type", "ssh",
               "--auth-username", self.sshd.user, "--secret-usage", remote.USAGE)
        self.made.append(self.name)
        self.v("pool-build", self.name)
        self.v("pool-start", self.name)
        path = self.raw()
        self.stored(self.name, "disk", path)
        same(path, self.fetched(self.name, "disk"))


class SftpServer(Circle, SshCase):
    server = {"sftp": SFTP_SERVER}


class Rekeying(Circle, SshCase):
    """New session keys after every MiB."""
    server = {"options": ["RekeyLimit 1M"]}


class Foreign(Circle, SshCase):
    """Without any extension, as other servers are."""
    server = {"without": EXTENSIONS}


class WithoutFsync(Circle, SshCase):
    server = {"sftp": SFTP_SERVER, "without": ("fsync", "posix-rename")}


class Narrow(Circle, SshCase):
    """One session a connection, and few that are not logged in yet."""
    server = {"options": ["MaxSessions 1", "MaxStartups 1:100:2"]}

    def test_many_pools(self):
        """Each with its connections, all at the same time."""
        for i in range(4):
            self.far(name="%s-%d" % (self.name, i), path=self.daemon.path("narrow-%d" % i))
        path = self.raw()
        for i in range(4):
            self.stored("%s-%d" % (self.name, i), "disk", path)


class OldCiphers(Circle, SshCase):
    """All that a hardened server lets in, and libssh2 has."""
    server = {"options": ["Ciphers aes128-ctr", "MACs hmac-sha2-256",
                          "KexAlgorithms curve25519-sha256"], "host_keys": ("ed25519",)}


class SyncNetwork(SshCase):
    def test_over_it(self):
        """Data goes over the network given, or not at all; the side that is not in it is named."""
        src, local = self.name + "-src", self.daemon.path(self.name + "-src")
        self.addCleanup(shutil.rmtree, local, True)
        self.define("<pool type='imagestore'><name>%s</name><target><path>%s</path></target>"
                    "</pool>" % (src, local), src)
        self.v("pool-start", src)
        path = self.raw()
        for name in "a", "b", "c", "d":
            self.stored(src, name, path)
        for cidr, good in ("198.51.100.0/24", False), ("127.0.0.0/8", True):
            pool = self.far("<image:syncNetwork cidr='%s'/><image:ssh connections='1'/>" % cidr)
            logins = self.sshd.log().count("Accepted ")
            report = self.json("sync", src, pool, code=ctl.OK if good else ctl.PROBLEM)
            if good:
                self.assertEqual([e["name"] for e in report["copied"]], ["a", "b", "c", "d"])
                same(path, self.fetched(pool, "d"))
                self.assertLess(self.sshd.log().count("Accepted ") - logins, 4,
                                "not each image logs in")
            else:
                reason = report["refused"][0]["reason"]
                self.assertIn(cidr, reason)
                self.assertIn("this host has no address in", reason)
                self.assertEqual(self.volumes(pool), [])
                self.v("pool-destroy", pool)
                self.v("pool-undefine", pool)


class ReadOnly(SshCase):
    def test_read_only(self):
        """It is read, and each change is refused with the reason."""
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        self.v("pool-destroy", pool)
        self.v("pool-undefine", pool)
        server = self.other(read_only=True)
        self.know(server.known_hosts())
        remote.set_password(self.daemon, server.password)
        self.far(sshd=server)
        self.assertEqual(self.volumes(pool), ["disk"])
        same(path, self.fetched(pool, "disk"))
        self.no("", "vol-create-as", pool, "new", "1M")
        self.no("", "vol-delete", "--pool", pool, "disk")
        self.no("", "vol-clone", "--pool", pool, "disk", "copy")
        self.v("pool-refresh", pool)
        self.assertEqual(self.volumes(pool), ["disk"])

    def test_none_there(self):
        """Nor is a store made on it."""
        server = self.other(read_only=True)
        self.know(server.known_hosts())
        remote.set_password(self.daemon, server.password)
        self.refused("", sshd=server)
        self.assertEqual(list(self.dir.iterdir()), [])

    def tearDown(self):
        remote.set_password(self.daemon, self.sshd.password)
        super().tearDown()


@unittest.skipUnless(namespaces.entered(), "mounts need root")
class Full(SshCase):
    """A full file system, which SFTP calls a failure and nothing more."""

    def setUp(self):
        super().setUp()
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % (200 * MIB), "tmpfs", self.dir)

    def tearDown(self):
        self.daemon.virsh("pool-destroy", self.name)
        namespaces.umount(self.dir)
        super().tearDown()

    def filled(self, leave):
        filler = self.dir / "filler"
        with open(filler, "wb") as out:
            left = os.statvfs(self.dir).f_bavail * os.statvfs(self.dir).f_frsize - leave
            out.write(bytes(max(0, left)))
        return filler

    def test_too_big(self):
        pool = self.far()
        path = write_raw(self.work / "raw", 256 * MIB, holes=False)
        self.v("vol-create-as", pool, "disk", 256 * MIB)
        self.assertRegex(self.no("", "vol-upload", "--pool", pool, "disk", path).lower(), "space")
        self.assertEqual(self.state(pool, "disk"), "saving")
        self.v("vol-delete", "--pool", pool, "disk")

    def test_full_meanwhile(self):
        """Another fills it; with room again the same upload goes on."""
        pool = self.far()
        path = write_raw(self.work / "raw", 64 * MIB, holes=False)
        self.v("vol-create-as", pool, "disk", 64 * MIB)
        filler = self.filled(4 * MIB)
        self.assertRegex(self.no("", "vol-upload", "--pool", pool, "disk", path).lower(), "space")
        self.assertEqual(self.pool_field(pool, "State"), "running")
        filler.unlink()
        self.v("vol-upload", "--pool", pool, "disk", path)
        same(path, self.fetched(pool, "disk"))


class HostKeys(SshCase):
    def accepted(self, error, pool):
        """Does what the error says; returns the fingerprint."""
        found = re.search(r"virtimagectl (host-key accept (\S+) (SHA256:[A-Za-z0-9+/]{43}))", error)
        self.assertTrue(found, error)
        self.assertEqual(found[2], pool)
        self.ctl(*found[1].split())
        return found[3]

    def unknown(self, **server):
        sshd = self.other(**server)
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        return sshd

    def fingerprints(self, sshd):
        return [sshd.fingerprint(kind) for kind in sshd.host_key_types]

    def test_unknown(self):
        sshd = self.unknown()
        error = self.refused("", sshd=sshd)
        self.assertNotIn("password", sshd.log().lower().replace("passwordauth", ""), "no login")
        self.assertIn(self.accepted(error, self.name), self.fingerprints(sshd))
        self.v("pool-start", self.name)

    def test_accept_needs_the_right_one(self):
        sshd = self.unknown()
        self.refused("", sshd=sshd)
        before = self.known_hosts.read_bytes()
        self.ctl("host-key", "accept", self.name, self.sshd.fingerprint(), code=ctl.FAILED)
        self.assertEqual(self.known_hosts.read_bytes(), before)
        self.no("", "pool-start", self.name)

    def test_changed(self):
        """Both keys are named; the new one is accepted by hand only."""
        sshd = self.unknown()
        self.know(sshd.known_hosts())
        old = self.fingerprints(sshd)
        pool = self.far(sshd=sshd)
        self.v("pool-destroy", pool)
        sshd.new_host_keys()
        sshd.restart()
        error = self.no("", "pool-start", pool)
        self.assertTrue(any(f in error for f in old), error)
        self.assertTrue(any(f in error for f in self.fingerprints(sshd)), error)
        self.accepted(error, pool)
        self.v("pool-start", pool)

    def test_changed_while_it_runs(self):
        sshd = self.unknown()
        self.know(sshd.known_hosts())
        pool = self.far(sshd=sshd)
        sshd.kill()
        sshd.new_host_keys()
        sshd.start()
        self.wait_state(pool, "inaccessible")
        error = self.no("", "pool-refresh", pool)
        self.accepted(error, pool)
        self.v("pool-refresh", pool)
        self.wait_state(pool, "running")

    def test_accept_new(self):
        """The first key is remembered, for good."""
        sshd = self.unknown()
        options = "<image:ssh policy='accept-new'/>"
        pool = self.far(options, sshd=sshd)
        self.assertIn("127.0.0.1", self.known_hosts.read_text())
        self.v("pool-destroy", pool)
        self.v("pool-start", pool)
        self.v("pool-destroy", pool)
        sshd.new_host_keys()
        sshd.restart()
        self.no("SHA256:", "pool-start", pool)

    def test_given(self):
        """In the definition: that one, whatever is known."""
        sshd = self.unknown(host_keys=("ed25519",))
        pool = self.far("<image:ssh hostKey='%s'/>" % sshd.fingerprint(), sshd=sshd)
        self.v("pool-destroy", pool)
        old = sshd.fingerprint()
        sshd.new_host_keys()
        sshd.restart()
        error = self.no(old, "pool-start", pool)
        self.assertIn(sshd.fingerprint(), error)

    def test_kinds(self):
        """A server may have one kind only."""
        for kind in ("ed25519", "ecdsa"):
            sshd = self.unknown(host_keys=(kind,))
            name = "%s-%s" % (self.name, kind)
            error = self.refused("", name=name, sshd=sshd)
            self.assertEqual(self.accepted(error, name), sshd.fingerprint(kind))
            self.v("pool-start", name)
            self.v("pool-destroy", name)


class Login(SshCase):
    WRONG = "not-the-password-1"

    def tearDown(self):
        remote.set_password(self.daemon, self.sshd.password)
        super().tearDown()

    def test_wrong_password(self):
        remote.set_password(self.daemon, self.WRONG)
        error = self.refused("")
        self.assertIn(self.sshd.user, error)
        self.no_secret(self.WRONG)
        remote.set_password(self.daemon, self.sshd.password)
        self.v("pool-start", self.name)

    def test_update_password(self):
        """secret-set-value and pool-refresh, while it runs."""
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        old, new = self.sshd.password, "another-password-2"
        self.addCleanup(self.sshd.set_password, old)
        self.sshd.set_password(new)
        self.sshd.restart()
        self.wait_state(pool, "inaccessible")
        self.no("", "pool-refresh", pool)
        remote.set_password(self.daemon, new)
        self.v("pool-refresh", pool)
        self.wait_state(pool, "running")
        same(path, self.fetched(pool, "disk"))
        self.no_secret(old, new)

    def test_no_secret(self):
        self.refused("", source=remote.source(self.dir, self.sshd).replace(
            "usage='%s'" % remote.USAGE, "usage='nosuch'"))

    def test_identity(self):
        source = re.sub("<secret [^>]*/>", "", remote.source(self.dir, self.sshd))
        pool = self.far("<image:ssh identity='%s'/>" % self.sshd.identity, source=source)
        path = self.raw()
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))

    def test_identity_with_a_password(self):
        secret = "of-the-key-3"
        key = self.sshd.user_key("id_locked", "ed25519", secret)
        remote.set_password(self.daemon, secret)
        self.far("<image:ssh identity='%s'/>" % key)
        self.no_secret(secret)

    def test_identity_not_there(self):
        self.refused(str(self.dir / "nokey"), "<image:ssh identity='%s'/>" % (self.dir / "nokey"))

    def test_rsa_key(self):
        """Servers of today do not take what libssh2 signs with it."""
        key = self.sshd.user_key("id_rsa", "rsa")
        source = re.sub("<secret [^>]*/>", "", remote.source(self.dir, self.sshd))
        error = self.refused("", "<image:ssh identity='%s'/>" % key, source=source)
        self.assertRegex(error, "(?i)ed25519")

    def test_password_not_taken(self):
        """The server takes keys only."""
        sshd = self.other(options=["PasswordAuthentication no", "KbdInteractiveAuthentication no"])
        self.know(sshd.known_hosts())
        self.refused("wants a private key", sshd=sshd)


class Steps(SshCase):
    """The error says which step failed."""

    def source(self, host="127.0.0.1", port=None):
        return remote.source(self.dir, self.sshd, port).replace("127.0.0.1", host)

    def test_resolve(self):
        self.assertIn("nosuch.invalid", self.refused("resolve", source=self.source(
            "nosuch.invalid")))

    def test_connect(self):
        port = self.sshd.port
        self.sshd.kill()
        self.assertIn(str(port), self.refused("Connection refused"))

    def test_key_exchange(self):
        sshd = self.other(options=["KexAlgorithms sntrup761x25519-sha512@openssh.com"])
        self.refused("key exchange", sshd=sshd)

    def test_subsystem(self):
        sshd = self.other(sftp=None)
        self.know(sshd.known_hosts())
        remote.set_password(self.daemon, sshd.password)
        self.addCleanup(remote.set_password, self.daemon, self.sshd.password)
        self.refused("sftp", sshd=sshd)

    def test_path(self):
        missing = self.dir / "missing"
        self.assertIn(str(missing), self.refused("pool-build", path=missing))

    def test_file_in_the_way(self):
        (self.dir / "file").write_text("x")
        self.refused("", path=self.dir / "file")

    def test_forbidden(self):
        """Also where only the server sees what a path is."""
        for n, path in enumerate(("/", "/proc/sys", "/usr/bin")):
            link = self.dir / ("link-%d" % n)
            link.symlink_to(path)
            error = self.refused("not allowed", name="%s-%d" % (self.name, n), path=link)
            self.assertIn(path, error)


class Networks(SshCase):
    def test_inside(self):
        pool, path = self.far("<image:dataNetwork cidr='127.0.0.0/8'/>"), self.raw()
        self.stored(pool, "disk", path)

    def test_outside(self):
        self.refused("198.51.100.0/24", "<image:dataNetwork cidr='198.51.100.0/24'/>")

    def test_several_hosts(self):
        """The first that is inside and answers."""
        source = remote.source(self.dir, self.sshd).replace(
            "<host ", "<host name='127.0.0.1' port='1'/><host name='localhost' port='1'/><host ", 1)
        pool, path = self.far(source=source), self.raw()
        self.stored(pool, "disk", path)


if __name__ == "__main__":
    namespaces.enter()
    runner.main("ssh")
