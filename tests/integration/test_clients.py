#!/usr/bin/python3
# test_clients.py: programs that know nothing of virtimage: Python, Perl, Go, C and virt-manager
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import libvirt
import runner
from daemon import BUILD, TOP
from eventloop import EventLoop
from images import MIB, noise, run, same, write_raw
from stock import Stock

CLIENTS = TOP / "tests" / "clients"


class ClientCase(runner.DaemonCase):
    def setUp(self):
        self.v = self.daemon.ok
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.work = self.daemon.path("work-" + self.name)

    def image(self, size=6 * MIB + 321, seed=1):
        return write_raw(self.work / ("raw-%d" % seed), size, seed)


# ---- python3-libvirt -------------------------------------------------------------------------

class Python(ClientCase):
    def setUp(self):
        super().setUp()
        EventLoop.start()
        self.conn = libvirt.open(self.daemon.uri)
        self.conn.setKeepAlive(5, 3)
        self.pools = []

    def tearDown(self):
        for pool in self.pools:
            if pool.isActive():
                pool.destroy()
            pool.undefine()
        self.conn.close()
        super().tearDown()

    def pool(self):
        pool = self.conn.storagePoolDefineXML(
            "<pool type='imagestore'><name>%s</name><target><path>%s</path></target></pool>"
            % (self.name, self.dir))
        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        self.pools.append(pool)
        return pool

    def vol(self, pool, name, size):
        return pool.createXML("<volume><name>%s</name><capacity>%d</capacity></volume>"
                              % (name, size))

    def upload(self, vol, data, size=3000000, flags=0):
        stream = self.conn.newStream()
        vol.upload(stream, 0, 0, flags)
        for at in range(0, len(data), size):
            piece = data[at:at + size]
            while piece:
                sent = stream.send(piece)
                self.assertGreater(sent, 0)
                piece = piece[sent:]
        stream.finish()

    def download(self, vol, offset=0, length=0):
        stream = self.conn.newStream()
        vol.download(stream, offset, length)
        pieces = []
        while True:
            piece = stream.recv(262120)
            if not piece:
                break
            pieces.append(piece)
        stream.finish()
        return b"".join(pieces)

    def refused(self, code, call, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            call(*args)
        self.assertEqual(caught.exception.get_error_code(), code, str(caught.exception))
        return caught.exception

    def test_connection(self):
        c = self.conn
        self.assertEqual(c.getHostname(), os.uname().nodename)
        self.assertTrue(c.isAlive())
        self.assertEqual((c.isSecure(), c.isEncrypted()), (1, 0))
        self.assertEqual(len(c.getInfo()), 8)
        self.assertIn("<capabilities", c.getCapabilities())
        self.assertGreater(c.getLibVersion(), 1000000)
        self.assertGreaterEqual(c.getVersion(), 0)
        self.assertTrue(c.getType())
        for empty in (c.listAllDomains, c.listAllNetworks, c.listAllInterfaces, c.listAllDevices,
                      c.listDomainsID, c.listDefinedDomains, c.listNetworks):
            self.assertEqual(empty(), [])
        self.assertIn("imagestore", c.getStoragePoolCapabilities())

    def test_pool(self):
        pool = self.pool()
        state, capacity, allocation, available = pool.info()
        self.assertEqual(state, libvirt.VIR_STORAGE_POOL_RUNNING)
        self.assertGreaterEqual(capacity, allocation)
        self.assertEqual(pool.isPersistent(), 1)
        pool.setAutostart(1)
        self.assertEqual(pool.autostart(), 1)
        self.assertEqual(self.conn.storagePoolLookupByUUIDString(pool.UUIDString()).name(),
                         self.name)
        self.assertEqual(self.conn.storagePoolLookupByTargetPath(str(self.dir)).name(), self.name)
        self.assertIn(self.name, self.conn.listStoragePools())
        pool.refresh()
        self.refused(libvirt.VIR_ERR_NO_STORAGE_POOL, self.conn.storagePoolLookupByName, "nix")
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, pool.undefine)

    def test_volume(self):
        pool = self.pool()
        data = noise(3 * MIB + 5)
        vol = self.vol(pool, "v", len(data))
        self.upload(vol, data)
        self.assertEqual(self.download(vol), data)
        self.assertEqual(self.download(vol, 100, 1000), data[100:1100])
        self.assertEqual(vol.info()[:2], [libvirt.VIR_STORAGE_VOL_NETWORK, len(data)])
        self.assertEqual(vol.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2], len(data))
        self.assertEqual(self.conn.storageVolLookupByKey(vol.key()).name(), "v")
        self.assertEqual(self.conn.storageVolLookupByPath(vol.path()).name(), "v")
        self.assertEqual(vol.storagePoolLookupByVolume().name(), self.name)
        self.assertEqual(pool.numOfVolumes(), 1)
        self.assertEqual(pool.listVolumes(), ["v"])
        clone = pool.createXMLFrom("<volume><name>c</name><capacity>0</capacity></volume>", vol)
        self.assertEqual(self.download(clone), data)
        self.refused(libvirt.VIR_ERR_STORAGE_VOL_EXIST, self.vol, pool, "v", 5)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, vol.resize, 5 * MIB)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, vol.wipe)
        vol.delete()
        self.refused(libvirt.VIR_ERR_NO_STORAGE_VOL, pool.storageVolLookupByName, "v")
        self.assertEqual(self.download(clone), data)

    def test_sparse_streams(self):
        pool = self.pool()
        path = self.work / "sparse"
        with open(path, "wb") as disk:  # a hole at the start, one inside, one at the end
            disk.truncate(40 * MIB + 77)
            for at in (5 * MIB, 20 * MIB):
                disk.seek(at)
                disk.write(noise(3 * MIB, at))
        vol = self.vol(pool, "v", path.stat().st_size)
        stream = self.conn.newStream()
        vol.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        fd = os.open(path, os.O_RDONLY)

        def in_data(stream, size, fd):
            return os.read(fd, size)

        def hole(stream, fd):
            here = os.lseek(fd, 0, os.SEEK_CUR)
            try:
                data = os.lseek(fd, here, os.SEEK_DATA)
            except OSError:
                end = os.lseek(fd, 0, os.SEEK_END)
                os.lseek(fd, here, os.SEEK_SET)
                return [False, end - here]
            if data > here:
                os.lseek(fd, here, os.SEEK_SET)
                return [False, data - here]
            end = os.lseek(fd, here, os.SEEK_HOLE)
            os.lseek(fd, here, os.SEEK_SET)
            return [True, end - here]

        def skip(stream, length, fd):
            return os.lseek(fd, length, os.SEEK_CUR)
        stream.sparseSendAll(in_data, hole, skip, fd)
        stream.finish()
        os.close(fd)
        out = self.work / "out"
        stream = self.conn.newStream()
        vol.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
        fd = os.open(out, os.O_RDWR | os.O_CREAT)

        def out_hole(stream, length, fd):
            os.ftruncate(fd, os.lseek(fd, length, os.SEEK_CUR))
        stream.sparseRecvAll(lambda s, data, fd: os.write(fd, data), out_hole, fd)
        stream.finish()
        os.close(fd)
        same(path, out)
        self.assertLess(out.stat().st_blocks * 512, path.stat().st_size * 3 // 4)

    def test_streams_at_once_while_calls_go_on(self):
        pool = self.pool()
        blobs = [noise(5 * MIB + i, i) for i in range(5)]
        vols = [self.vol(pool, "v%d" % i, len(b)) for i, b in enumerate(blobs)]
        errors, stop = [], threading.Event()

        def calls():
            while not stop.is_set():
                pool.info()
                [v.info() for v in vols]
                self.conn.getHostname()

        def one(vol, blob):
            try:
                self.upload(vol, blob, 100000)
                if self.download(vol) != blob:
                    errors.append("bytes of " + vol.name())
            except libvirt.libvirtError as e:
                errors.append(str(e))
        caller = threading.Thread(target=calls)
        caller.start()
        threads = [threading.Thread(target=one, args=z) for z in zip(vols, blobs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        stop.set()
        caller.join()
        self.assertEqual(errors, [])

    def test_allocation_grows_during_an_upload(self):
        pool = self.pool()
        data = noise(24 * MIB)
        vol = self.vol(pool, "v", len(data))
        stream = self.conn.newStream()
        vol.upload(stream, 0, 0)
        seen = set()
        for at in range(0, len(data), MIB):
            stream.send(data[at:at + MIB])
            seen.add(vol.info()[2])
        end = time.monotonic() + 30
        while vol.info()[2] == 0:
            self.assertLess(time.monotonic(), end, "allocation stays 0")
        stream.finish()
        self.assertGreater(vol.info()[2], 23 * MIB)

    def test_abort(self):
        pool = self.pool()
        data = noise(8 * MIB)
        vol = self.vol(pool, "v", len(data))
        stream = self.conn.newStream()
        vol.upload(stream, 0, 0)
        stream.send(data[:MIB])
        stream.abort()
        self.upload(vol, data)
        stream = self.conn.newStream()
        vol.download(stream, 0, 0)
        stream.recv(1000)
        stream.abort()
        self.assertEqual(self.download(vol), data)

    def test_error_in_a_stream_keeps_the_connection(self):
        pool = self.pool()
        vol = self.vol(pool, "v", 8 * MIB)
        stream = self.conn.newStream()
        vol.upload(stream, 0, 1000)
        with self.assertRaises(libvirt.libvirtError):
            for _ in range(10):
                stream.send(bytes(MIB))
            stream.finish()
        self.assertTrue(self.conn.isAlive())
        self.assertEqual(self.conn.getHostname(), os.uname().nodename)

    def test_stream_that_is_forgotten(self):
        pool = self.pool()
        vol = self.vol(pool, "v", 8 * MIB)
        stream = self.conn.newStream()
        vol.upload(stream, 0, 0)
        stream.send(bytes(100000))
        del stream  # which libvirt.so does not tell the daemon: the upload ends with the connection
        self.assertEqual(self.conn.getHostname(), os.uname().nodename)
        self.pools.clear()
        del vol, pool  # each of them keeps the connection open
        self.conn.close()
        self.conn = libvirt.open(self.daemon.uri)
        self.pools = [self.conn.storagePoolLookupByName(self.name)]
        end = time.monotonic() + 30
        while True:
            try:
                self.pools[0].destroy()
                break
            except libvirt.libvirtError as e:
                self.assertIn("upload of 'v'", str(e))
                self.assertLess(time.monotonic(), end)

    def test_events(self):
        got = []
        both = threading.Condition()

        def heard(*what):
            with both:
                got.append(what)
                both.notify()

        def wait(what):
            with both:
                ok = both.wait_for(lambda: what in got, 30)
                self.assertTrue(ok, "%r not in %r" % (what, got))
        lifecycle = self.conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            lambda c, pool, event, detail, o: heard(pool.name(), event), None)
        refresh = self.conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
            lambda c, pool, o: heard(pool.name(), "refresh"), None)
        pool = self.pool()
        wait((self.name, libvirt.VIR_STORAGE_POOL_EVENT_DEFINED))
        wait((self.name, libvirt.VIR_STORAGE_POOL_EVENT_STARTED))
        vol = self.vol(pool, "v", 1000)
        self.upload(vol, noise(1000))
        wait((self.name, "refresh"))
        pool.destroy()
        wait((self.name, libvirt.VIR_STORAGE_POOL_EVENT_STOPPED))
        pool.delete()
        wait((self.name, libvirt.VIR_STORAGE_POOL_EVENT_DELETED))
        self.conn.storagePoolEventDeregisterAny(lifecycle)
        self.conn.storagePoolEventDeregisterAny(refresh)

    def test_close_callback_tells_of_the_daemons_end(self):
        told = threading.Event()
        conn = libvirt.open(self.daemon.uri)
        conn.registerCloseCallback(lambda c, reason, o: told.set(), None)
        self.daemon.kill()
        self.assertTrue(told.wait(30))
        conn.close()
        self.conn.close()
        self.daemon.start()
        self.conn = libvirt.open(self.daemon.uri)

    def test_read_only_connection(self):
        pool = self.pool()
        conn = libvirt.openReadOnly(self.daemon.uri_ro)
        self.assertIn(self.name, [p.name() for p in conn.listAllStoragePools()])
        self.refused(libvirt.VIR_ERR_OPERATION_DENIED,
                     conn.storagePoolLookupByName(self.name).destroy)
        conn.close()
        self.assertEqual(pool.isActive(), 1)

    def test_secrets(self):
        secret = self.conn.secretDefineXML(
            "<secret><usage type='iscsi'><target>py</target></usage></secret>")
        value = bytes(range(256))
        secret.setValue(value)
        self.assertEqual(secret.value(), value)
        self.assertEqual(self.conn.secretLookupByUsage(
            libvirt.VIR_SECRET_USAGE_TYPE_ISCSI, "py").UUIDString(), secret.UUIDString())
        self.assertIn(secret.UUIDString(), self.conn.listSecrets())
        secret.undefine()

    def test_create_from_a_volume_of_another_connection(self):
        pool = self.pool()
        data = noise(100000)
        vol = self.vol(pool, "v", len(data))
        self.upload(vol, data)
        other = libvirt.open(self.daemon.uri)
        far = other.storageVolLookupByKey(vol.key())
        clone = pool.createXMLFrom("<volume><name>c</name><capacity>0</capacity></volume>", far)
        self.assertEqual(self.download(clone), data)
        other.close()

    def test_example_programs(self):
        self.pool()
        path = self.image()
        example = TOP / "examples" / "clients"
        done = subprocess.run(["/usr/bin/python3", "-B", str(example / "upload.py"), "--help"],
                              capture_output=True, text=True, check=False)
        self.assertIn("sage", done.stdout + done.stderr)
        listed = run(BUILD / "examples" / "example-list", self.daemon.uri)
        self.assertIn(self.name, listed)
        self.assertTrue(path.exists())


# ---- other languages -------------------------------------------------------------------------

class Programs(ClientCase):
    config = 'compat_uris = [ "qemu:///system" ]\n'

    primary = () # of the host, if there is any

    def test_perl(self):
        path, out = self.image(), self.work / "out"
        self.assertIn("done", run("perl", CLIENTS / "client.pl", self.daemon.uri, self.dir, path,
                                  out, *self.primary))
        same(path, out)
        self.copied("perl.img", path)

    def test_go(self):
        path, out = self.image(12 * MIB + 1), self.work / "out"
        env = dict(os.environ, GO111MODULE="off", GOFLAGS="-mod=mod", GOPATH="/usr/share/gocode",
                   GOCACHE=str(BUILD.parent / "go-cache"), HOME=str(self.work), CGO_ENABLED="0")
        run("go", "build", "-o", self.work / "client", CLIENTS / "client.go", env=env)
        for uri in ("image:///system", "qemu:///system"):
            with self.subTest(uri):
                self.assertIn("done", run(self.work / "client", self.daemon.socket, uri, self.dir,
                                          path, out, *self.primary, timeout=120))
                same(path, out)
                self.copied("go.img", path)

    def copied(self, _name, _image):
        pass


class HostPrograms(Programs):
    """The same with a libvirtd behind the daemon: what is the host's is in the same connection."""

    primary = ("host",)

    @classmethod
    def setUpClass(cls):
        cls.stock = Stock()
        cls.addClassCleanup(cls.stock.stop)
        cls.stock.start()
        cls.config = Programs.config + 'host_uri = "%s"\n' % cls.stock.qemu
        super().setUpClass()
        cls.where = cls.daemon.path("host")
        for args in (("pool-define-as", "host", "dir", "--target", cls.where),
                     ("pool-start", "host")):
            cls.stock.virsh(*args)

    def copied(self, name, image):
        same(image, self.where / name)
        (self.where / name).unlink()
        self.daemon.ok("pool-refresh", "host")


class VirtManager(ClientCase):
    def test_virt_manager(self):
        """Connects, shows pool and volume with sizes, stops, starts, refreshes, deletes."""
        path = self.image(3 * MIB)
        self.v("pool-define-as", "images", "imagestore", "--target", self.dir)
        self.v("pool-start", "images")
        self.v("vol-create-as", "images", "golden", 3 * MIB)
        self.v("vol-upload", "--pool", "images", "golden", path)
        shots = Path(os.environ.get("VIMG_TEST_SCREENSHOTS", BUILD.parent / "screenshots"))
        shots.mkdir(parents=True, exist_ok=True)
        home = self.work / "home"
        home.mkdir(mode=0o700)
        read, write = os.pipe()
        display = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0",
                                    "1280x900x24", "-nolisten", "tcp"], pass_fds=[write],
                                   stderr=subprocess.DEVNULL)
        try:
            os.close(write)
            number = os.read(read, 20).decode().strip()
            env = dict(os.environ, DISPLAY=":" + number, HOME=str(home),
                       XDG_RUNTIME_DIR=str(home), XDG_CACHE_HOME=str(home),
                       GSETTINGS_BACKEND="memory", LC_ALL="C.UTF-8", NO_AT_BRIDGE="0")
            log = self.work / "virt-manager.log"
            with open(log, "wb") as out:
                group = subprocess.Popen(
                    ["dbus-run-session", "--", "/usr/bin/python3", "-B",
                     str(CLIENTS / "virt_manager.py"), self.daemon.uri, "images", "golden",
                     "3.00 MiB", str(shots)], env=env, stdout=out, stderr=out,
                    start_new_session=True)
                try:
                    code = group.wait(240)
                except subprocess.TimeoutExpired:
                    code = "no exit"
                finally:
                    try:
                        os.killpg(group.pid, 15)
                    except ProcessLookupError:
                        pass
                    if group.poll() is None:
                        group.wait(30)
        finally:
            os.close(read)
            display.terminate()
            display.wait()
        self.assertEqual(code, 0, log.read_text(errors="replace")[-6000:])
        self.assertEqual(self.v("vol-list", "images").strip(), "")
        self.assertTrue((shots / "virt-manager-volumes.png").exists())


if __name__ == "__main__":
    runner.main("clients")
