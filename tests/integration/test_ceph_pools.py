#!/usr/bin/python3
# test_ceph_pools.py: pools in a real Ceph cluster, as virsh defines, builds and starts them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import socket
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ctl
import runner
from ceph import Cluster
from cephcase import NS, SOON, USAGE, CephCase
from sshd import Sshd

OTHER_KEY = "AQBDmGRhAAAAABAAjZxkuWcKFvPA9cStR1n2ng=="


class Definitions(CephCase):
    def test_what_is_not_enough(self):
        host = "<host name='127.0.0.1'/>"
        auth = "<auth type='ceph' username='%s'><secret usage='a'/></auth>"
        monitor = "<image:monitor host='mon'>%s</image:monitor>"
        for source, options, why in (
                ("", "", "needs its monitors"),
                (host, "", "needs a key"),
                (host + "<auth type='ceph' username='admin'/>", "", "needs a key"),
                (host + "<auth type='ssh' username='a'/>", "", "unknown auth type 'ssh'"),
                (host + auth % "a b", "", "cannot be the name of a Ceph user"),
                (host + auth % "admin" + "<name>a/b</name>", "", "cannot be the name of a RADOS"),
                (host + auth % "admin" + "<dir path='/x'/>", "", "takes no source element 'dir'"),
                (host + auth % "admin", monitor % "<secret usage='a'/>", "leave out <host>"),
                ("", monitor % "", "neither a secret nor a private key"),
                ("", monitor % "<secret usage='a' uuid='b'/>", "both a usage and a uuid"),
                ("", "<image:monitor sshPort='22'><secret usage='a'/></image:monitor>",
                 "needs the attribute 'host'"),
                ("", "<image:monitor host='m' sshPort='0'/>", "'0' is not a number"),
                ("", "<image:monitor host='m' password='x'/>", "unknown attribute 'password'"),
                (host + auth % "admin", "<image:slice size='65536'/>", "unknown option element")):
            path = self.work / "bad.xml"
            path.write_text("<pool type='ceph' %s><name>bad</name><source>%s</source>"
                            "<image:options>%s</image:options></pool>" % (NS, source, options))
            with self.subTest(why):
                self.no(why, "pool-define", path)

    def test_examples_are_valid(self):
        for example in ("pool-ceph.xml", "pool-ceph-ssh.xml"):
            with self.subTest(example):
                path = Path(__file__).resolve().parents[2] / "examples" / example
                self.v("pool-define", path, "--validate")
                self.made.append("ceph-images")
                text = self.pool_xml("ceph-images")
                self.assertIn("<pool type='ceph'", text)
                self.v("pool-undefine", "ceph-images")

    def test_stock_command_alone(self):
        rados = self.rados_pool()
        self.v("pool-define-as", self.name, "ceph", "--source-host",
               "127.0.0.1:%d,localhost:%d" % (self.cluster.port, self.cluster.port),
               "--source-name", rados, "--auth-type", "ceph", "--auth-username", "admin",
               "--secret-usage", USAGE)
        self.made.append(self.name)
        self.v("pool-start", self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "running")
        self.assertGreater(int(self.pool_field(self.name, "Available")), 1 << 30)


class Building(CephCase):
    def test_pool_of_our_own(self):
        name = self.ceph_pool(start=False)
        self.no("pool-build makes it", "pool-start", name)
        self.v("pool-build", name)
        rados = "bak-t-" + self.uuid(name).replace("-", "")
        self.rados_pools.append(rados)
        self.assertIn(rados, self.cluster.ceph("osd", "pool", "ls").split())
        self.v("pool-start", name)
        self.assertEqual(self.pool_field(name, "State"), "running")
        self.v("pool-destroy", name)
        self.v("pool-build", name)
        self.no("is there already", "pool-build", name, "--no-overwrite")
        self.v("pool-delete", name)
        self.assertNotIn(rados, self.cluster.ceph("osd", "pool", "ls").split())
        self.no("pool-build makes it", "pool-start", name)

    def test_lost_pool_is_not_made_again(self):
        name = self.ceph_pool(start=False)
        self.v("pool-build", name)
        self.v("pool-start", name)
        self.v("pool-destroy", name)
        rados = "bak-t-" + self.uuid(name).replace("-", "")
        self.cluster.ceph("osd", "pool", "delete", rados, rados, "--yes-i-really-really-mean-it")
        self.no("any more", "pool-start", name)
        self.no("any more", "pool-build", name)
        self.v("pool-build", name, "--overwrite")
        self.rados_pools.append(rados)
        self.v("pool-start", name)

    def test_named_pool_must_exist_and_stays(self):
        rados = self.rados_pool()
        name = self.ceph_pool(rados[:-1], start=False)
        self.no("no RADOS pool '%s'" % rados[:-1], "pool-start", name)
        self.no("no RADOS pool '%s'" % rados[:-1], "pool-build", name)
        self.v("pool-undefine", name)
        self.ceph_pool(rados)
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.assertIn(rados, self.cluster.ceph("osd", "pool", "ls").split())

    def test_namespaces_keep_the_pool(self):
        name = self.ceph_pool(start=False)
        self.v("pool-build", name)
        rados = "bak-t-" + self.uuid(name).replace("-", "")
        self.rados_pools.append(rados)
        self.cluster.rbd("namespace", "create", rados + "/theirs")
        self.cluster.rbd("create", "--size", "4M", rados + "/theirs/vm")
        self.v("pool-delete", name)
        self.assertIn("vm", self.cluster.rbd("ls", rados + "/theirs").split())

    def test_images_of_others_keep_the_pool(self):
        name = self.ceph_pool(start=False)
        self.v("pool-build", name)
        rados = "bak-t-" + self.uuid(name).replace("-", "")
        self.rados_pools.append(rados)
        self.cluster.rbd("create", "--size", "4M", rados + "/theirs")
        self.v("pool-delete", name)
        self.assertIn("theirs", self.cluster.rbd("ls", rados).split())

    def test_pool_of_another_application(self):
        rados = self.name
        self.cluster.ceph("osd", "pool", "create", rados, "8")
        self.rados_pools.append(rados)
        self.cluster.ceph("osd", "pool", "application", "enable", rados, "rgw")
        name = self.ceph_pool(rados, start=False)
        self.no("another application", "pool-build", name)

    def test_one_storage_in_two_pools(self):
        rados = self.rados_pool()
        self.ceph_pool(rados)
        other = self.ceph_pool(rados, name=self.name + "-2", start=False,
                               hosts=[("localhost", self.cluster.port)])
        self.no("conflict with pool: '%s'" % self.name, "pool-start", other)

    def test_another_storage_in_its_place(self):
        first = self.rados_pool()
        second = self.rados_pool(self.name + "-2")
        uid = str(uuid.uuid4())
        name = self.ceph_pool(first, uid=uid)
        self.v("pool-destroy", name)
        self.define(self.ceph_xml(second, uid=uid))
        self.no("not to '%s" % self.cluster.fsid, "pool-start", name)
        self.no("not to '%s" % self.cluster.fsid, "pool-delete", name)


class Connecting(CephCase):
    def closed_port(self):
        probe = socket.socket()
        self.addCleanup(probe.close)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

    def test_why_for_each_monitor(self):
        one, two = self.closed_port(), self.closed_port()
        name = self.ceph_pool("rbd", start=False, hosts=[("127.0.0.1", one), ("127.0.0.1", two)])
        said = self.no("no monitor lets us in", "pool-start", name)
        for port in (one, two):
            self.assertIn("127.0.0.1:%d: Connection refused" % port, said)

    def test_monitor_of_another_cluster(self):
        other = Cluster(self.daemon.path("other-cluster"))
        other.make()
        self.addCleanup(other.stop)
        other.start_monitor()
        fsid = other.fsid
        hosts = [("127.0.0.1", self.cluster.port), ("127.0.0.1", other.port)]
        name = self.ceph_pool(self.rados_pool(), start=False, hosts=hosts)
        said = self.no("do not belong to one cluster", "pool-start", name)
        self.assertIn("127.0.0.1:%d: %s" % (self.cluster.port, self.cluster.fsid), said)
        self.assertIn("127.0.0.1:%d: it refuses the key" % other.port, said)
        keyring = self.work / "keyring"
        keyring.write_text("[client.admin]\nkey = %s\ncaps mon = \"allow *\"\n" % self.cluster.key())
        other.ceph("auth", "import", "-i", keyring)
        said = self.no("do not belong to one cluster", "pool-start", name)
        self.assertIn("127.0.0.1:%d: %s" % (other.port, fsid), said)
        other.stop()
        self.v("pool-start", name)

    def test_wrong_key_and_the_right_one(self):
        self.secret("wrong", OTHER_KEY)
        rados = self.rados_pool()
        name = self.ceph_pool(rados, start=False, usage="wrong")
        said = self.no("refuses the key of client.admin", "pool-start", name)
        self.assertNotIn(OTHER_KEY, said)
        self.secret("wrong", self.cluster.key())
        self.v("pool-start", name)
        self.no_secret(OTHER_KEY)

    def test_new_key_takes_effect_at_refresh(self):
        rados = self.rados_pool()
        self.secret("changing", self.cluster.client("changing", rados))
        name = self.ceph_pool(rados, user="changing", usage="changing")
        self.cluster.ceph("auth", "del", "client.changing")
        self.secret("changing", self.cluster.client("changing", rados))
        self.v("pool-refresh", name)
        self.secret("changing", OTHER_KEY)
        self.no("refuses the key of client.changing", "pool-refresh", name)
        self.assertEqual(self.pool_field(name, "State"), "inaccessible")
        self.secret("changing", self.cluster.key("changing"))
        self.v("pool-refresh", name)
        self.assertEqual(self.pool_field(name, "State"), "running")

    def test_monitors_of_a_running_pool(self):
        rados = self.rados_pool()
        uid = str(uuid.uuid4())
        alive = ("127.0.0.1", self.cluster.port)
        name = self.ceph_pool(rados, uid=uid)
        self.define(self.ceph_xml(rados, uid=uid,
                                  hosts=[("127.0.0.1", self.closed_port()), alive]))
        self.assertEqual(self.pool_xml(name).count("<host "), 2)
        self.assertEqual(self.pool_field(name, "State"), "running")
        path = self.work / "dead.xml"
        path.write_text(self.ceph_xml(rados, uid=uid, hosts=[("127.0.0.1", self.closed_port())]))
        self.no("Connection refused", "pool-define", path)
        self.assertIn("'%d'" % self.cluster.port, self.pool_xml(name))
        self.v("pool-refresh", name)

    def test_key_that_may_only_read(self):
        rados = self.rados_pool()
        self.cluster.ceph("auth", "get-or-create", "client.only-reads", "mon", "allow r", "osd",
                          "allow r pool=" + rados)
        self.secret("reader", self.cluster.key("only-reads"))
        name = self.ceph_pool(rados, user="only-reads", usage="reader")
        self.no("read-only", "vol-create-as", name, "new", "1M")

    def test_data_network(self):
        rados = self.rados_pool()
        network = "<image:dataNetwork cidr='%s'/>"
        name = self.ceph_pool(rados, start=False, options=network % "10.9.0.0/16")
        self.no("no address in network '10.9.0.0/16'", "pool-start", name)
        self.v("pool-undefine", name)
        self.ceph_pool(rados, options=network % "127.0.0.0/8")
        self.assertEqual(self.pool_field(name, "State"), "running")

    def test_doctor(self):
        rados = self.rados_pool()
        name = self.ceph_pool(rados)
        steps = {step["step"]: step["verdict"]
                 for step in json.loads(self.ctl("doctor", name, "--json"))["steps"]}
        for step in ("key", "monitors", "cluster", "writing", "space"):
            self.assertEqual(steps[step], "ok", step)
        broken = self.ceph_pool(rados, name=name + "-2", start=False,
                                hosts=[("127.0.0.1", self.closed_port())])
        found = json.loads(ctl.run(self.daemon.uri, "doctor", broken, "--json").stdout)["steps"]
        verdicts = {step["step"]: step["verdict"] for step in found}
        self.assertEqual((verdicts["key"], verdicts["monitors"], verdicts["cluster"]),
                         ("ok", "failed", "skipped"))


class OverSsh(CephCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.host = cls.daemon.path("monitor-host")
        script = cls.host / "ceph"
        script.write_text("#!/bin/sh\nCEPH_CONF=%s exec /usr/bin/ceph \"$@\"\n" % cls.cluster.conf)
        script.chmod(0o755)
        cls.sshd = Sshd(options=["SetEnv PATH=%s:/usr/bin:/bin" % cls.host]).start()
        cls.secret("monitor-host", cls.sshd.password, "iscsi")

    @classmethod
    def tearDownClass(cls):
        cls.sshd.remove()
        super().tearDownClass()

    def ssh_xml(self, rados, usage="monitor-host", ports=None):
        monitors = "".join(
            "<image:monitor host='127.0.0.1' sshPort='%d' username='%s'><secret usage='%s'/>"
            "</image:monitor>" % (port, self.sshd.user, usage)
            for port in ports or [self.sshd.port])
        return ("<pool type='ceph' %s><name>%s</name><source><name>%s</name></source>"
                "<image:options>%s%s</image:options></pool>"
                % (NS, self.name, rados, SOON, monitors))

    def test_key_and_addresses_over_ssh(self):
        rados = self.rados_pool()
        self.define(self.ssh_xml(rados))
        said = self.no("host key of", "pool-start", self.name)
        self.assertIn(self.sshd.fingerprint(), said)
        self.ctl("host-key", "accept", self.name, self.sshd.fingerprint())
        self.v("pool-start", self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "running")
        self.assertIn("<image:secret usage='monitor-host'/>", self.pool_xml(self.name))
        self.no_secret(self.sshd.password)
        self.secret("monitor-host", "sesame", "iscsi")
        said = self.no("refuses the password", "pool-refresh", self.name)
        self.assertNotIn("sesame", said)
        self.assertEqual(self.pool_field(self.name, "State"), "inaccessible")
        self.secret("monitor-host", self.sshd.password, "iscsi")
        self.v("pool-refresh", self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "running")
        self.v("pool-destroy", self.name)
        self.secret("monitor-host", "sesame", "iscsi")
        self.no("refuses the password", "pool-start", self.name)
        self.secret("monitor-host", self.sshd.password, "iscsi")
        self.v("pool-start", self.name)


if __name__ == "__main__":
    runner.main("ceph-pools")
