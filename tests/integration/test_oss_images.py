#!/usr/bin/python3
# test_oss_images.py: images as objects of a bucket, as virsh makes, reads and deletes them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import subprocess
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from images import MIB, run
from osscase import AT_ONCE, PREFIX, SOON, OssCase
from virshcase import element


class Images(OssCase):
    def test_upload_and_download(self):
        name = self.oss_pool()
        raw = self.raw()
        self.stored(name, "a", raw)
        self.same(raw, self.fetched(name, "a"))
        part = self.fetched(name, "a", "--offset", "1000", "--length", str(9 * MIB))
        self.assertEqual(part.read_bytes(), raw.read_bytes()[1000:1000 + 9 * MIB])
        image, = self.ecs.images.values()
        self.assertEqual(image.status, "Available")
        self.assertEqual(list(image.tags), ["virtimage"])
        self.assertEqual(self.contents(), [image.source[1]])
        self.assertEqual(self.keys("live/"), [])
        self.assertEqual(self.volumes(name), ["a"])
        self.assertEqual(int(self.pool_field(name, "Allocation")), raw.stat().st_size)
        self.no_secret(self.SECRET)

    def test_nbd(self):
        """By ranged reads; a second time nobody is asked."""
        name = self.oss_pool()
        raw = self.raw()
        self.stored(name, "a", raw)
        report = self.json("nbd", name, "a")
        asked = []
        for to in self.work / "first", self.work / "again":
            self.oss.counts.clear()
            run("nbdcopy", report["uri"], to)
            self.same(raw, to)
            asked.append("Get" in self.oss.counts)
        self.assertEqual(asked, [True, False])
        self.ctl("nbd", "stop", report["id"])

    def test_delete_restore_purge(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw())
        self.v("vol-delete", "--pool", name, "a")
        self.assertEqual(self.volumes(name), [])
        self.assertEqual(len(self.contents()), 1)
        trash = self.json("trash list", name)["trash"]
        self.assertEqual([t["name"] for t in trash], ["a"])
        self.stored(name, "a", self.raw("other", seed=2))
        self.ctl("trash", "restore", name, trash[0]["uuid"], "b")
        self.same(self.work / "raw", self.fetched(name, "b"))
        for vol in "ab":
            self.v("vol-delete", "--pool", name, vol)
        for one in self.json("trash list", name)["trash"]:
            self.ctl("trash", "purge", name, one["uuid"])
        self.no_traces()

    def test_image_in_use_is_not_purged(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        image, = self.ecs.images.values()
        self.v("vol-delete", "--pool", name, "a")
        image.usage = "instance"
        one, = self.json("trash list", name)["trash"]
        self.assertIn("is in use", self.ctl("trash", "purge", name, one["uuid"], code=5))
        self.assertEqual(len(self.contents()), 1)
        image.usage = "none"
        self.ctl("trash", "purge", name, one["uuid"])
        self.no_traces()

    def test_formats_that_are_not_imported(self):
        name = self.oss_pool()
        path = self.work / "a.vdi"
        subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", str(path), "1M"], check=True)
        self.stored(name, "a.vdi", path, "vdi", MIB)
        self.assertEqual(self.ecs.images, {})
        self.same(path, self.fetched(name, "a.vdi"))

    def test_bucket_alone(self):
        name = self.oss_pool(control=False)
        raw = self.raw()
        self.stored(name, "a", raw)
        self.same(raw, self.fetched(name, "a"))
        self.assertEqual(self.ecs.counts, {})

    def test_clone(self):
        for control in (True, False):
            with self.subTest(control):
                name = self.oss_pool(name="%s-%d" % (self.name, control), control=control,
                                     oss="prefix='p%d'" % control)
                raw = self.raw()
                self.stored(name, "a", raw)
                self.v("vol-clone", "--pool", name, "a", "b")
                self.same(raw, self.fetched(name, "b"))
                self.no("exists", "vol-clone", "--pool", name, "a", "b")
                self.assertEqual(len(self.ecs.images), 2)   # those of the first pool

    def test_copies_between_pools(self):
        name = self.oss_pool()
        raw = self.raw()
        self.stored(name, "a", raw)
        local = self.pool("local")
        self.vol_copy(local, "b", name, "a", raw)
        self.vol_copy(name, "c", local, "b", raw)
        self.assertEqual(len(self.ecs.images), 2)

    def vol_copy(self, to, vol, pool, source, raw):
        path = self.work / "vol.xml"
        path.write_text("<volume><name>%s</name><capacity>%d</capacity><target><format type='raw'/>"
                        "</target></volume>" % (vol, raw.stat().st_size))
        self.v("vol-create-from", to, path, source, "--inputpool", pool)
        self.assertEqual(self.state(to, vol), "active")
        self.same(raw, self.fetched(to, vol))

    def test_usage(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        self.stored(name, "b", self.raw("b", 2 * MIB))
        self.stored(name, "c", self.raw("c", 3 * MIB))
        self.v("vol-delete", "--pool", name, "c")
        usage = self.json("du", name)
        self.assertEqual([(e["name"], e["unique"], e["shared"], e["freed"]) for e in
                          usage["images"]], [("b", 2 * MIB, 0, 2 * MIB), ("a", MIB, 0, MIB)])
        self.assertEqual([e["name"] for e in usage["trash"]["images"]], ["c"])
        self.assertEqual((usage["trash"]["freed"], usage["total"]["stored"],
                          usage["total"]["logical"]), (3 * MIB, 6 * MIB, 3 * MIB))
        self.assertEqual(element(self.vol_xml(name, "a"), "image:unique"), str(MIB))

    def test_clock_of_its_own(self):
        """The trash goes by the storage's clock, whatever this host's says."""
        for skew in (400000, -400000):
            with self.subTest(skew):
                self.oss.skew = skew
                name = self.oss_pool(name="%s%d" % (self.name, skew), control=False,
                                     oss="prefix='p%d'" % skew)
                raw = self.raw(size=MIB)
                self.stored(name, "a", raw)
                self.v("vol-delete", "--pool", name, "a")
                one, = self.json("trash list", name)["trash"]
                self.assertEqual(self.json("cleanup", name)["removed"], [])
                self.assertLess(abs(one["deleted"] - self.oss.now()), 3600)
                self.ctl("trash", "restore", name, one["uuid"], "a")
                self.same(raw, self.fetched(name, "a"))

    def test_image_of_somebody_else(self):
        """What a record names at the endpoint goes only if it was made of this image."""
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        theirs = self.ecs.new_image("theirs")
        theirs.status = "Available"
        found = self.oss.objects[self.keys("records/")[0]]
        data = json.loads(found.data)
        data["imageId"] = theirs.id
        found.data, found.etag = json.dumps(data).encode(), "F" * 32
        self.v("pool-refresh", name)
        self.v("vol-delete", "--pool", name, "a")
        one, = self.json("trash list", name)["trash"]
        self.ctl("trash", "purge", name, one["uuid"])
        self.assertIn(theirs.id, self.ecs.images)
        self.assertIn("'%s' of the control endpoint is not ours" % theirs.id, self.daemon.log())

    def test_versions_of_the_content_go(self):
        self.oss.versions = True
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        key, = self.contents()
        self.v("vol-delete", "--pool", name, "a")
        one, = self.json("trash list", name)["trash"]
        self.ctl("trash", "purge", name, one["uuid"])
        self.assertEqual(self.contents(), [])
        self.assertNotIn(key, [k for k, _ in self.oss.old])

    def test_object_gone(self):
        """What is exported has other bytes, and another length."""
        name = self.oss_pool()
        self.stored(name, "a", self.raw())
        key, = self.contents()
        more = self.exports(self.oss.objects.pop(key).data)
        self.no("bytes now", "vol-download", "--pool", name, "a", self.work / "out")
        self.v("pool-refresh", name)
        for _ in range(2):
            self.assertEqual(self.fetched(name, "a").read_bytes(), more)
        self.assertEqual(self.contents(), [key])
        self.assertEqual([k for k in self.oss.objects if not k.startswith(PREFIX)], [])
        self.assertEqual(self.ecs.counts["ExportImage"], 1)
        self.assertEqual(self.json("verify", name)["damaged"], [])

    def test_object_replaced(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        key, = self.contents()
        self.oss.objects[key].etag = "0" * 32
        self.no("is not the one that was uploaded", "vol-download", "--pool", name, "a",
                self.work / "out")
        self.v("vol-delete", "--pool", name, "a")
        one, = self.json("trash list", name)["trash"]
        # ours is gone: what lies there now stays, and so does nothing else
        self.ctl("trash", "purge", name, one["uuid"])
        self.assertEqual(self.contents(), [key])
        self.assertEqual(self.keys(), sorted((key, PREFIX + "/id")))

    def test_verify_without_a_sum(self):
        """What was uploaded is known, also where the storage gives no sum of its own."""
        self.oss.no_crc = True
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        self.assertEqual(self.json("verify", name)["damaged"], [])
        found = self.oss.objects[self.contents()[0]]
        found.data = found.data[:-1] + bytes([found.data[-1] ^ 1])
        self.no("", "vol-download", "--pool", name, "a", self.work / "out")
        self.assertEqual([d["name"] for d in self.json("verify", name, code=7)["damaged"]], ["a"])

    def test_verify(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        report = self.json("verify", name)
        self.assertEqual((report["checked"], report["damaged"]), (MIB, []))
        found = self.oss.objects[self.contents()[0]]
        found.data = found.data[:-1] + b"!"
        report = self.json("verify", name, code=7)
        self.assertEqual([d["name"] for d in report["damaged"]], ["a"])
        self.assertEqual(self.state(name, "a"), "error")
        self.filled_anew(name, "a", self.raw("other", MIB, 2))

    def test_states(self):
        name = self.oss_pool()
        self.v("vol-create-as", name, "a", MIB, "--format", "raw")
        self.no("exists", "vol-create-as", name, "a", MIB)
        self.v("vol-resize", "--pool", name, "a", 2 * MIB)
        self.assertEqual(element(self.vol_xml(name, "a"), "capacity"), str(2 * MIB))
        self.v("vol-wipe", "--pool", name, "a")
        self.v("vol-delete", "--pool", name, "a")
        self.wiped(name)
        self.no_traces()
        self.stored(name, "b", self.raw(size=MIB))
        self.no("delete and purge it", "vol-wipe", "--pool", name, "b")
        self.no("capacity never changes", "vol-resize", "--pool", name, "b", 2 * MIB)
        self.no("content never changes", "vol-upload", "--pool", name, "b", self.work / "raw")

    def test_quota(self):
        name = self.oss_pool(options=SOON + "<image:space quota='%d'/>" % (2 * MIB))
        self.stored(name, "a", self.raw(size=2 * MIB))
        self.v("pool-refresh", name)
        self.v("vol-create-as", name, "b", MIB, "--format", "raw")
        self.no("may hold", "vol-upload", "--pool", name, "b", self.raw("b", MIB))
        self.assertEqual(self.pool_field(name, "Capacity"), str(2 * MIB))


class TwoHosts(OssCase):
    def test_one_name(self):
        name = self.oss_pool()
        other = self.second()
        raw = self.raw()
        self.stored(name, "a", raw)
        other.fails("exists", "vol-create-as", name, "a", MIB)
        other.ok("pool-refresh", name)
        other.ok("vol-download", "--pool", name, "a", self.work / "out")
        self.same(raw, self.work / "out")
        other.ok("vol-delete", "--pool", name, "a")
        self.v("pool-refresh", name)
        self.assertEqual(self.volumes(name), [])

    def test_one_writer(self):
        name = self.oss_pool()
        other = self.second()
        raw = self.raw()
        self.v("vol-create-as", name, "a", raw.stat().st_size, "--format", "raw")
        other.ok("pool-refresh", name)
        record, = self.keys("records/")
        uid = record.rsplit("/", 1)[1]
        live = PREFIX + "/live/" + uid
        from ossserver import Object, crc64, md5_hex
        data = str(uuid.uuid4()).encode()
        self.oss.objects[live] = Object(data, md5_hex(data), {}, "v", crc64(data))
        self.no("another host writes", "vol-upload", "--pool", name, "a", raw)
        self.no("another host writes", "vol-delete", "--pool", name, "a")
        self.oss.objects[live].modified -= 1000
        self.v("vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.state(name, "a"), "active")

    def test_versions_take_one_name_twice(self):
        self.oss.versions = True
        name = self.oss_pool()
        self.assertIn("keeps versions", self.daemon.log())
        other = self.second()
        self.stored(name, "a", self.raw(size=MIB))
        other.ok("vol-create-as", name, "b", MIB)
        # what two hosts do at one moment
        for key in self.keys("records/"):
            found = self.oss.objects[key]
            record = json.loads(found.data)
            if record["name"] == "b":
                record["name"], record["created"] = "a", record["created"] + 10
                found.data, found.etag = json.dumps(record).encode(), "F" * 32
        self.v("pool-refresh", name)
        first, later = self.volumes(name)
        self.assertEqual(first, "a")
        self.assertRegex(later, "^a~[0-9a-f]{8}$")
        self.assertEqual(self.state(name, later), "error")
        self.v("vol-delete", "--pool", name, later)
        self.v("pool-refresh", name)
        self.same(self.work / "raw", self.fetched(name, "a"))

    def test_cleanup_of_strays(self):
        name = self.oss_pool(options=SOON + AT_ONCE)
        from ossserver import Object, Upload, crc64, md5_hex
        uid = str(uuid.uuid4())

        def put(key, meta):
            self.oss.objects[PREFIX + "/" + key] = Object(b"x", md5_hex(b"x"), meta, "v", crc64(b"x"))
        put(uid + "/ours", {"virtimage": uid})
        put(uid + "/theirs", {})
        put("theirs", {})
        put("names/lost", {"virtimage": uid})
        self.oss.uploads["U"] = Upload(PREFIX + "/" + uid + "/up", {})
        self.oss.uploads["V"] = Upload("elsewhere/up", {})
        dry = self.json("cleanup", name, "--dry-run")
        report = self.json("cleanup", name)
        self.assertEqual(len(dry["removed"]), len(report["removed"]))
        self.assertEqual(sorted(r["name"] for r in report["removed"]),
                         sorted(PREFIX + "/" + k for k in (uid + "/ours", uid + "/up",
                                                           "names/lost")))
        self.assertEqual(sorted(r["name"] for r in report["kept"]),
                         sorted(PREFIX + "/" + k for k in (uid + "/theirs", "theirs")))
        self.assertEqual(list(self.oss.uploads), ["V"])

    def test_strays_that_are_young_or_alive(self):
        name = self.oss_pool(options=SOON + "<image:cleanup keepDeleted='0' keepTemporary='3600'/>")
        from ossserver import Object, Upload, crc64, md5_hex
        uid = str(uuid.uuid4())
        keys = [PREFIX + "/" + k for k in (uid + "/stray", "names/stray")]

        def put(key, text):
            self.oss.objects[key] = Object(text, md5_hex(text), {"virtimage": uid}, "v", crc64(text))
        put(keys[0], b"x")
        put(keys[1], uid.encode())
        put(PREFIX + "/live/" + uid, str(uuid.uuid4()).encode())
        self.oss.uploads["U"] = Upload(keys[0], {})
        self.assertEqual(self.json("cleanup", name)["removed"], [])     # young
        for key in keys:
            self.oss.objects[key].modified -= 4000
        self.oss.uploads["U"].initiated -= 4000
        self.assertEqual(self.json("cleanup", name)["removed"], [])     # somebody works on it
        self.oss.objects[PREFIX + "/live/" + uid].modified -= 4000
        self.json("cleanup", name)
        self.assertEqual(self.keys(), [PREFIX + "/id"])
        self.assertEqual(self.oss.uploads, {})

    def test_cleanup_of_a_full_bucket(self):
        """What is not ours is named as far as there is room."""
        name = self.oss_pool()
        from ossserver import Object
        for i in range(20000):
            self.oss.objects["%s/%s-%d" % (PREFIX, "x" * 900, i)] = Object(b"x", "E", {}, "v", 0)
        report = self.json("cleanup", name)
        self.assertTrue(report["truncated"])
        self.assertGreater(len(report["kept"]), 1000)

    def test_records_that_cannot_be_read(self):
        """One image is left out and named; nothing else suffers, and nothing of it is removed."""
        name = self.oss_pool(options=SOON + AT_ONCE)
        raw = self.raw(size=MIB)
        self.stored(name, "a", raw)
        self.stored(name, "b", self.raw("b", MIB))
        key, = [k for k in self.keys("records/") if b'"b"' in self.oss.objects[k].data]
        good = self.oss.objects[key].data
        for data, fault in ((b"{}", None), (b" " * 300000, None), (good, "403:InvalidObjectState")):
            with self.subTest(data[:9]):
                self.oss.objects[key].data = data
                self.oss.objects[key].etag = str(len(data)) + str(fault)
                if fault:
                    self.oss.fault("Get:records", "status", 1000, fault)
                self.v("pool-refresh", name)
                self.assertEqual(self.volumes(name), ["a"])
                before = set(self.oss.objects)
                report = self.json("cleanup", name)
                self.assertEqual(report["removed"], [])
                self.assertIn(key, [k["name"] for k in report["kept"]])
                self.assertEqual(set(self.oss.objects), before)
                self.assertEqual([u["uuid"] for u in self.json("du", name)["unreadable"]],
                                 [key.rsplit("/", 1)[1]])
                if not fault:  # which all records have
                    self.same(raw, self.fetched(name, "a"))
        self.oss.faults.clear()
        self.v("pool-destroy", name)
        self.v("pool-start", name)
        self.oss.objects[key].data, self.oss.objects[key].etag = b"{}", "x"
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.assertEqual(self.oss.objects, {})

    def test_record_that_leads_elsewhere(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        kept = self.oss.objects[self.contents()[0]]
        self.oss.objects["elsewhere"] = kept
        record, = self.keys("records/")
        found = self.oss.objects[record]
        data = json.loads(found.data)
        data["key"] = "elsewhere"
        found.data, found.etag = json.dumps(data).encode(), "F" * 32
        self.v("pool-refresh", name)
        self.assertEqual(self.volumes(name), [])
        self.assertIn("is of another image", self.daemon.log())
        self.assertIn("elsewhere", self.oss.objects)


if __name__ == "__main__":
    runner.main("oss images")
