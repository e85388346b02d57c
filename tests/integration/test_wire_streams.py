#!/usr/bin/python3
# test_wire_streams.py: libvirt's wire protocol: the flow of uploads and downloads
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from rawrpc import CONTINUE, ERROR, HOLE, OK, REPLY, STREAM, Closed, RemoteError, packet, u32, u64
from wire import MIB, NO_VOL, WireCase, noise


# ---- 3.1 flow of streams ---------------------------------------------------------------------

class Streams(WireCase):
    config = "max_streams = 24\n"

    def roundtrip(self, data, size):
        ref = self.volume(len(data))
        self.c.upload(ref, data, size)
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(hashlib.sha256(self.c.download(ref)).digest(),
                         hashlib.sha256(data).digest())
        return ref

    def test_packet_sizes(self):
        data = noise(9 * MIB + 4711)
        for size in (262120, 65536, 1000003, 3000000, 4 * MIB - 28, MIB, 7777):
            with self.subTest(size):
                self.roundtrip(data, size)

    def test_packets_of_one_byte(self):
        self.roundtrip(noise(3000), 1)

    def test_packet_of_the_maximum(self):
        self.roundtrip(noise(rpc.PACKET_MAX - 28), rpc.PACKET_MAX)

    def test_empty_image(self):
        ref = self.volume(0)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.finish()
        self.assertEqual(self.c.download(ref), b"")

    def test_data_right_after_the_call(self):
        data = noise(600000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, wait=False)
        stream.data(data[:300000])
        stream.data(data[300000:])
        stream.send_finish()
        self.c.reply(stream.serial, "VOL_UPLOAD").end()
        stream.confirm()
        self.assertEqual(self.c.download(ref), data)

    def test_data_after_a_call_that_is_refused(self):
        stream = self.c.begin("VOL_UPLOAD", NO_VOL, wait=False)
        stream.data(b"x" * 100000)
        stream.send_finish()
        with self.assertRaises(RemoteError):
            self.c.reply(stream.serial, "VOL_UPLOAD")
        self.lives()

    def test_reply_to_the_call_is_empty(self):
        ref = self.volume(10)
        serial = self.c.start("VOL_UPLOAD", rpc.vol(ref) + u64(0) + u64(0) + u32(0))
        self.assertEqual(self.c.wait(serial), (rpc.REMOTE, 1, 208, REPLY, serial, OK, b""))
        self.c.send(packet(208, type=STREAM, serial=serial, status=ERROR))
        self.assertEqual(self.c.wait(serial, (STREAM,))[3:], (STREAM, serial, OK, b""))

    def test_empty_continue_is_a_no_op(self):
        data = noise(100000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.raw()
        stream.data(data[:5])
        stream.raw()
        stream.raw()
        stream.data(data[5:])
        stream.raw()
        stream.finish()
        self.assertEqual(self.c.download(ref), data)

    def test_download_ends_with_an_empty_continue_and_no_more(self):
        data = noise(700000)
        ref = self.active(data)
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        self.assertEqual(b"".join(stream.read_all()), data)
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.5)
        stream.finish()
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_download_packets_stay_below_the_legacy_limit(self):
        ref = self.active(noise(2 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        sizes = [len(piece) for piece in stream.read_all()]
        self.assertLessEqual(max(sizes), rpc.STREAM_MAX)
        stream.finish()

    def test_download_never_finished_like_go_libvirt(self):
        data = noise(300000)
        ref = self.active(data)
        for _ in range(100):
            stream = self.c.begin("VOL_DOWNLOAD", ref)
            self.assertEqual(b"".join(stream.read_all()), data)
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        self.lives()

    def test_abort_upload(self):
        ref = self.volume(10 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(2 * MIB))
        stream.abort()
        self.saving_and_free(ref)

    def test_abort_upload_at_once(self):
        ref = self.volume(10)
        self.c.begin("VOL_UPLOAD", ref).abort()
        self.saving_and_free(ref)

    def test_abort_download(self):
        ref = self.active(noise(20 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.next()
        stream.abort()
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_finish_in_a_running_download(self):
        ref = self.active(noise(20 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.next()
        stream.send_finish()
        stream.confirm(drain=True)
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_packets_after_the_end_are_dropped(self):
        data = noise(1000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(data)
        stream.finish()
        stream.data(b"late")
        stream.send_finish()
        stream.raw(status=ERROR)
        self.lives()
        self.assertEqual(self.c.download(ref), data)

    def test_data_sent_into_a_download(self):
        ref = self.active(noise(1000))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.data(b"not wanted")
        try:
            for _ in stream.read_all():
                pass
        except RemoteError:
            pass
        self.c.stash.clear()
        self.c.text("GET_HOSTNAME")

    def test_bad_status_in_a_stream(self):
        ref = self.volume(1000)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.raw(b"x", status=77)
        try:
            stream.abort()
        except RemoteError:
            pass
        self.lives()
        self.saving_and_free(ref)

    def test_client_gone_in_an_upload(self):
        for how in ("close", "CLOSE", "reset"):
            with self.subTest(how):
                ref = self.volume(10 * MIB)
                c = self.connect()
                stream = c.begin("VOL_UPLOAD", ref)
                stream.data(noise(3 * MIB))
                if how == "CLOSE":
                    c.void("CLOSE")
                elif how == "reset":
                    c.send(packet(208, type=STREAM, serial=stream.serial, length=2))
                c.close()
                self.saving_and_free(ref)

    def test_client_gone_in_a_download(self):
        ref = self.active(noise(20 * MIB))
        for _ in range(10):
            c = self.connect()
            c.begin("VOL_DOWNLOAD", ref).next()
            c.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
                break
            except RemoteError as e:
                self.assertEqual(e.code, 55)
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    # 3.2 failing in the middle

    def test_error_is_sent_once_and_the_rest_is_dropped(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=1000, flags=1)
        for _ in range(8):
            stream.data(b"x" * 400)
        stream.send_finish()
        with self.assertRaises(RemoteError) as caught:
            stream.next()
        stream.data(b"late")
        stream.hole(10)
        stream.send_finish()
        stream.raw(status=ERROR)
        self.assertEqual((caught.exception.code, caught.exception.domain), (38, 38))
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.5)
        self.lives()

    # 3.3 offset, length, sizes

    def test_more_than_length(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=5000)
        stream.data(noise(6000))
        e = self.refused(38, 38, "cannot write to stream: No space left on device", stream.next)
        self.assertEqual(e.message, "cannot write to stream: No space left on device")
        self.lives()
        self.assertEqual(self.state(ref), "saving")

    def test_less_than_length_is_no_error(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=MIB)
        stream.data(noise(6000))
        stream.finish()
        self.assertEqual(self.state(ref), "saving")

    def test_length_of_the_capacity_seals_raw(self):
        data = noise(MIB + 9)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=len(data))
        stream.data(data)
        stream.finish()
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(self.c.download(ref), data)

    def test_resume_in_two_parts(self):
        data = noise(5 * MIB)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=3 * MIB)
        stream.data(data[:3 * MIB])
        stream.finish()
        self.assertEqual(self.state(ref), "saving")
        text = self.c.vol_xml(ref)
        at = int(text.split("<image:position unit='bytes'>", 1)[1].split("<", 1)[0])
        self.assertTrue(0 <= at <= 2 * MIB, at)
        stream = self.c.begin("VOL_UPLOAD", ref, offset=at)
        stream.data(data[at:])
        stream.finish()
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(self.c.download(ref), data)

    def test_resume_with_another_file_is_refused(self):
        data = noise(5 * MIB)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=3 * MIB)
        stream.data(data[:3 * MIB])
        stream.finish()
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(data[:MIB] + b"changed" + data[MIB + 7:])
        stream.send_finish()
        self.refused(55, 18, str(MIB), stream.confirm)
        self.assertEqual(self.state(ref), "saving")
        self.c.upload(ref, data)
        self.assertEqual(self.c.download(ref), data)

    def test_offset_beyond_the_durable_end_is_refused(self):
        ref = self.volume(4 * MIB)
        self.refused(8, 18, "0", self.c.begin, "VOL_UPLOAD", ref, offset=MIB)
        self.lives()

    def test_raw_beyond_the_capacity_is_refused_at_once(self):
        """Stricter than stock, which lets the file grow: what was declared is what is sealed."""
        ref = self.volume(MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(MIB + 1))
        self.refused(8, 18, "beyond the capacity of %d bytes" % MIB, stream.next)
        self.lives()
        self.assertEqual(self.state(ref), "error")

    def test_short_raw_upload_reads_as_zeros_to_the_capacity(self):
        data = noise(100000)
        ref = self.volume(MIB)
        self.c.upload(ref, data)
        self.assertEqual(self.c.vol_info(ref)[1], MIB)
        self.assertEqual(self.c.download(ref), data + bytes(MIB - len(data)))

    def test_download_ranges(self):
        data = noise(3 * MIB + 100)
        ref = self.active(data)
        for offset, length in ((0, 1), (1, 1), (MIB - 1, 2), (MIB, MIB), (0, 10 * MIB),
                               (2 * MIB + 5, 0), (len(data) - 1, 0), (len(data) - 1, 1),
                               (len(data), 0), (len(data) + 1, 0), (1 << 62, 5),
                               ((1 << 64) - 1, 1)):
            with self.subTest(offset=offset, length=length):
                want = data[offset:offset + length if length else None]
                self.assertEqual(self.c.download(ref, offset=offset, length=length), want)

    def test_second_upload_is_in_use(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        self.refused(55, 18, "volume '%s' is still in use" % ref.name, self.bystander.begin,
                     "VOL_UPLOAD", ref)
        self.refused(55, 18, "", self.bystander.call, "VOL_DELETE", rpc.vol(ref) + u32(0))
        self.refused(55, 18, "", self.bystander.call, "POOL_DESTROY", rpc.pool(self.pool()))
        self.bystander.void("POOL_REFRESH", rpc.pool(self.pool()) + u32(0))
        stream.abort()
        self.saving_and_free(ref)

    def test_upload_into_an_active_image_is_refused(self):
        ref = self.active(noise(1000))
        self.refused(55, 18, "", self.c.begin, "VOL_UPLOAD", ref)

    def test_download_of_a_saving_image_is_refused(self):
        ref = self.volume(1000)
        self.refused(55, 18, "", self.c.begin, "VOL_DOWNLOAD", ref)

    # 3.4 sparse

    def test_sparse_upload_and_download(self):
        a, b = noise(MIB, 1), noise(300001, 2)
        ref = self.volume(49 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(5 * MIB)
        stream.data(a)
        stream.hole(40 * MIB)
        stream.data(b)
        stream.hole(3 * MIB - len(b))
        stream.finish()
        whole = bytes(5 * MIB) + a + bytes(40 * MIB) + b + bytes(3 * MIB - len(b))
        self.assertEqual(self.c.vol_info(ref)[1], len(whole))
        self.assertEqual(hashlib.sha256(self.c.download(ref)).digest(),
                         hashlib.sha256(whole).digest())
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        at, holes = 0, 0
        for piece in stream.extents():
            size = piece if isinstance(piece, int) else len(piece)
            content = bytes(size) if isinstance(piece, int) else piece
            self.assertEqual(whole[at:at + size], content)
            holes += isinstance(piece, int) and size
            last = piece
            at += size
        stream.finish()
        self.assertEqual(at, len(whole))
        self.assertGreaterEqual(holes, 40 * MIB)
        self.assertIsInstance(last, int, "a trailing hole is sent as one")

    def test_hole_packet_is_40_bytes(self):
        ref = self.volume(8 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(8 * MIB)
        stream.finish()
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        got = stream.next()
        self.assertEqual((got.type, got.status, len(got.payload)), (HOLE, CONTINUE, 12))
        stream.abort()

    def test_huge_hole_is_cheap(self):
        ref = self.volume((16 << 40) + 3)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(16 << 40)
        stream.data(b"end")
        stream.finish()
        self.assertEqual(self.c.vol_info(ref)[1], (16 << 40) + 3)
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        pieces = list(stream.extents())
        stream.finish()
        self.assertEqual(sum(p if isinstance(p, int) else len(p) for p in pieces), (16 << 40) + 3)
        self.assertEqual(self.c.download(ref, offset=(16 << 40) - 2), b"\0\0end")
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))

    def test_hole_nobody_announced(self):
        ref = self.volume(8 * MIB)
        c = self.connect()
        stream = c.begin("VOL_UPLOAD", ref)
        stream.hole(4096)
        with self.assertRaises((RemoteError, Closed)):
            stream.next()
        c.close()
        self.saving_and_free(ref)

    def test_download_without_the_flag_has_no_holes(self):
        ref = self.volume(20 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(20 * MIB)
        stream.finish()
        self.assertEqual(self.c.download(ref), bytes(20 * MIB))

    def test_bad_holes(self):
        for length, flags, payload in ((0, 0, None), (-1, 0, None), (-(1 << 63), 0, None),
                                       (4096, 1, None), (0, 0, b""), (0, 0, b"\0" * 8),
                                       ((1 << 63) - 1, 0, None)):
            with self.subTest(length=length, flags=flags, payload=payload):
                ref = self.volume(8 * MIB)
                c = self.connect()
                stream = c.begin("VOL_UPLOAD", ref, flags=1)
                stream.data(b"some")
                if payload is None:
                    stream.hole(length, flags)
                else:
                    stream.raw(payload, type=HOLE)
                stream.send_finish()
                with self.assertRaises((RemoteError, Closed)):
                    stream.confirm()
                c.close()
                self.saving_and_free(ref)

    # 3.5 flow and interleaving

    def test_streams_and_calls_interleave(self):
        blobs = [noise(3 * MIB + i, i) for i in range(6)]
        refs = [self.volume(len(b)) for b in blobs]
        streams = [self.c.begin("VOL_UPLOAD", r) for r in refs]
        for at in range(0, 4 * MIB, 200000):
            for stream, blob in zip(streams, blobs):
                if blob[at:at + 200000]:
                    stream.data(blob[at:at + 200000])
            self.c.text("GET_HOSTNAME")
        for stream in reversed(streams):
            stream.finish()
        streams = [self.c.begin("VOL_DOWNLOAD", r) for r in refs]
        self.c.text("GET_HOSTNAME")
        for stream, blob in reversed(list(zip(streams, blobs))):
            self.assertEqual(b"".join(stream.read_all()), blob)
            stream.finish()
        self.lives()

    def test_upload_and_download_at_once(self):
        data = noise(12 * MIB)
        source, target = self.active(data), self.volume(len(data))
        down = self.c.begin("VOL_DOWNLOAD", source)
        up = self.c.begin("VOL_UPLOAD", target)
        for piece in down.read_all():
            up.data(piece)
        down.finish()
        up.finish()
        self.assertEqual(self.c.download(target), data)

    def test_unread_download_stops_nobody_else(self):
        ref = self.active(noise(48 * MIB))
        rogue = self.connect()
        for _ in range(4):
            rogue.begin("VOL_DOWNLOAD", ref, wait=False)
        self.lives()
        self.assertEqual(len(self.c.download(ref)), 48 * MIB)
        rogue.close()

    def test_slow_reader_gets_every_byte(self):
        data = noise(16 * MIB)
        ref = self.active(data)
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        got = []
        for piece in stream.read_all():
            got.append(piece)
            if len(got) % 16 == 0:
                time.sleep(0.02)
        stream.finish()
        self.assertEqual(b"".join(got), data)

    def test_stream_limit(self):
        ref = self.volume(64 << 30)  # zeros: no client reads all of them by the way
        self.c.upload(ref, b"x")
        streams = [self.c.begin("VOL_DOWNLOAD", ref) for _ in range(24)]
        self.refused(87, 18, "", self.bystander.begin, "VOL_DOWNLOAD", ref)
        for stream in streams:
            stream.abort()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.bystander.begin("VOL_DOWNLOAD", ref).abort()
                break
            except RemoteError as e:
                self.assertEqual(e.code, 87)
                self.assertLess(time.monotonic(), deadline)

    def test_serial_of_a_live_stream_used_again(self):
        """Calls with the serial of a stream are still calls."""
        ref = self.volume(MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        self.c.send(packet(59, serial=stream.serial))
        self.assertEqual(self.c.wait(stream.serial).proc, 59)
        stream.abort()

    def test_many_clients_upload_at_once(self):
        errors = []
        refs = [self.volume(2 * MIB) for _ in range(12)]

        def one(i):
            try:
                with self.connect() as c:
                    data = noise(2 * MIB, 100 + i % 3)
                    c.upload(refs[i], data, 100000)
                    if c.download(refs[i]) != data:
                        errors.append("bytes of %d" % i)
            except Exception as e:
                errors.append(repr(e))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])


if __name__ == "__main__":
    runner.main("wire")
