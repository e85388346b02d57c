#!/usr/bin/python3
# test_host_absent.py: the host's libvirtd hangs, ends and comes back
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import signal
import sys
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import hostcase
import runner
from hostcase import Heard, HostCase
from rawrpc import Reader, u32

setUpModule, tearDownModule = hostcase.start, hostcase.stop


class Absence(HostCase):
    def test_a_host_that_hangs(self):
        self.our_pool()
        self.host_pool()
        old = self.open()
        self.assertEqual(len(old.listAllStoragePools()), 2)
        libvirtd = self.pid()
        os.kill(libvirtd, signal.SIGSTOP)
        try:
            self.assertEqual([p.name() for p in old.listAllStoragePools()], [self.ours])
            self.assertEqual(self.names("--all"), [self.ours])
            self.assertEqual(self.log().count("does not answer"), 1, self.log())
            self.assertEqual(old.storagePoolLookupByName(self.ours).info()[0],
                             libvirt.VIR_STORAGE_POOL_RUNNING)
            self.v("vol-create-as", self.ours, "v", "1M")
        finally:
            os.kill(libvirtd, signal.SIGCONT)
        self.until(lambda: self.names("--all") == sorted((self.ours, self.theirs)))
        self.until(lambda: len(old.listAllStoragePools()) == 2)
        self.assertEqual(self.log().count("answers again"), 1, self.log())

    def test_a_host_that_ends_and_comes_back(self):
        self.our_pool()
        conn, heard = self.open(), Heard(self)
        number = conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            lambda c, pool, event, detail, o: heard(pool.name(), event), None)
        self.host_pool()
        heard.wait(self.theirs, libvirt.VIR_STORAGE_POOL_EVENT_STARTED)
        os.kill(self.pid(), signal.SIGTERM)  # takes its sockets with it
        self.stock.process.wait()
        self.assertEqual(self.names("--all"), [self.ours])
        self.assertEqual([p.name() for p in conn.listAllStoragePools()], [self.ours])
        self.assertEqual(conn.numOfStoragePools(), 1)
        self.refused(libvirt.VIR_ERR_OPERATION_FAILED, "start the host's libvirt daemon",
                     conn.storagePoolLookupByName, "nix")
        self.our_pool("while-alone")
        late = Heard(self)
        later = conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH, lambda c, pool, o: late(pool.name()),
            None)
        self.stock.start()
        self.until(lambda: conn.numOfStoragePools() == 2)
        self.host_pool("anew")
        self.until(lambda: ("anew", libvirt.VIR_STORAGE_POOL_EVENT_STARTED) in heard.got or
                   self.restart("anew"))
        self.assertEqual(self.names("--all"), sorted((self.ours, "while-alone", "anew")))
        self.until(lambda: ("anew",) in late.got or self.v("pool-refresh", "anew") is None)
        for one in (number, later):
            conn.storagePoolEventDeregisterAny(one)

    def test_a_listener_that_asks_nothing_hears_again(self):
        raw = self.raw()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        os.kill(self.pid(), signal.SIGTERM)
        self.stock.process.wait()
        self.stock.start()

        def heard():
            self.host("pool-define-as", self.theirs, "dir", "--target", self.dir)
            self.host("pool-undefine", self.theirs)
            try:
                return Reader(raw.event(370, 0.2).payload).u32() == number
            except TimeoutError:
                return False

        self.until(heard)

    def restart(self, name):
        self.host("pool-destroy", name)
        self.host("pool-start", name)
        return False


if __name__ == "__main__":
    runner.main("host")
