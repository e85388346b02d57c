#!/usr/bin/python3
# test_zones.py: zones of a host, and the pools that are attached to them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import rawrpc as rpc
import runner
from control import Control
from controlcase import ControlCase
from rawrpc import pool_xml

INVALID_ARG, DENIED, INVALID = 8, 29, 55


class Zones(ControlCase):
    config = 'zones = [ "zone-1", "zone-2" ]\n'

    def attached(self, name, *zones, start=False):
        """A pool in @zones; returns its uuid."""
        self.define(pool_xml(name, self.daemon.path("zone-" + name), "".join(
            "<image:zone name='%s'/>" % zone for zone in zones)), name)
        if start:
            self.v("pool-start", name)
        return self.v("pool-uuid", name).strip()

    def pools_of(self, zone):
        """Of the pools attached to it: whether to it alone."""
        pools = self.control.zone_list().get(zone, {"pools": []})["pools"]
        return {pool["name"]: pool["only"] for pool in pools}

    def test_list(self):
        self.attached("alone", "zone-1")
        uuid = self.attached("both", "zone-1", "far", start=True)
        zones = self.control.zone_list()
        self.assertEqual(list(zones), ["far", "zone-1", "zone-2"])
        self.assertEqual([(z["here"], z["current"]) for z in zones.values()],
                         [(False, False), (True, True), (True, False)])
        self.assertEqual(zones["far"]["pools"], [{"name": "both", "uuid": uuid, "only": False}])
        self.assertEqual(self.pools_of("zone-1"), {"alone": True, "both": False})
        with Control(self.daemon.socket_ro) as ro:
            self.assertEqual(ro.zone_list(), zones)
            for call in (ro.zone_attach, ro.zone_detach):
                self.refused(DENIED, "read only", call, "alone", "far")
            self.refused(DENIED, "read only", ro.zone_delete, "zone-1", [])

    def test_attach_and_detach(self):
        self.attached("moving", "zone-1", start=True)
        self.refused(INVALID, "attached to no other zone than 'zone-1'", self.control.zone_detach,
                     "moving", "zone-1")
        self.refused(INVALID, "is not attached to zone 'zone-2'", self.control.zone_detach,
                     "moving", "zone-2")
        self.refused(INVALID_ARG, "zone name is empty", self.control.zone_attach, "moving", "")
        self.control.zone_attach("moving", "far")
        self.refused(INVALID, "stop it first", self.control.zone_detach, "moving", "zone-1")
        self.control.zone_attach("moving", "zone-2")
        self.control.zone_detach("moving", "zone-1")
        self.assertIn("<image:zone name='zone-2'/>", self.pool_xml("moving"))
        self.control.close()
        self.daemon.stop()
        self.daemon.start()
        self.control = Control(self.daemon.socket)
        self.assertEqual(self.pools_of("zone-2"), {"moving": False})
        self.v("pool-destroy", "moving")
        self.v("pool-start", "moving")

    def test_delete(self):
        uuids = [self.attached("alone", "zone-2", start=True), self.attached("idle", "zone-2")]
        self.attached("both", "zone-1", "zone-2", start=True)
        self.v("vol-create-as", "alone", "kept", "1M")
        self.refused(INVALID, "those that were confirmed: 'idle' goes too",
                     self.control.zone_delete, "zone-2", uuids[:1])
        self.refused(INVALID, "' does not", self.control.zone_delete, "zone-2",
                     uuids + ["11111111-1111-1111-1111-111111111111"])
        self.refused(INVALID_ARG, "is not a uuid", self.control.zone_delete, "zone-2", ["x"])
        self.refused(INVALID_ARG, "no storage pool is attached to zone 'zone-3'",
                     self.control.zone_delete, "zone-3", [])
        self.control.zone_delete("zone-2", uuids)
        self.assertEqual(self.v("pool-list", "--all", "--name").split(), ["both"])
        self.assertEqual(self.pools_of("zone-2"), {})
        self.assertEqual(self.pools_of("zone-1"), {"both": True})
        self.assertEqual(self.pool_field("both", "State"), "running")
        self.attached("alone", "zone-1", start=True)  # the data stayed
        self.assertEqual(self.volumes("alone"), ["kept"])

    def test_delete_busy(self):
        uuid = self.attached("busy", "zone-2", start=True)
        self.attached("both", "zone-1", "zone-2")
        ref = self.c.create_vol(self.c.pool("POOL_LOOKUP_BY_NAME", rpc.string("busy")), "v", 1000)
        upload = self.c.begin("VOL_UPLOAD", ref)
        self.refused(INVALID, "jobs running: 'busy' (upload of 'v')", self.control.zone_delete,
                     "zone-2", [uuid])
        self.assertEqual(self.pools_of("zone-2"), {"both": False, "busy": True})
        upload.data(b"x" * 1000)
        upload.finish()
        self.control.zone_delete("zone-2", [uuid])
        self.no("Storage pool not found", "pool-info", "busy")


if __name__ == "__main__":
    runner.main("zones")
