# hostclient.py: a client of one of several hosts that does what chance says, and checks each answer
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import random
import re
import threading
import time
import traceback

import rawrpc as rpc
from hosts import POOL
from rawrpc import Closed, RemoteError, string, u32

NO_VOL, INVALID, EXISTS, BUSY, FAILED = 50, 55, 90, 87, 9
PATIENCE = 60
PACKET = 150000
MOST = 40  # images at a time
RIVALS = ["r%d" % i for i in range(5)]
FENCED = "the lease of this job was taken away"
CUT_OFF = "has lost its storage"    # what begins then is refused; what runs waits
# what clients may hear who fight for a name
RIVALLED = re.compile(r"still in use|still being saved|complete: its content never changes|"
                      r"content of an active image never changes|made the image active meanwhile")


class Lost(Exception):
    """The host was killed meanwhile."""


class Fenced(Exception):
    """The operation failed because its lease was taken away, or the host was cut off."""


class Fault(AssertionError):
    pass


def flat(extents):
    return b"".join(bytes(e) if isinstance(e, int) else e for e in extents)


def is_busy(e):
    """Somebody else is at it, or the end of what a client that hung up had begun."""
    return e.code == BUSY or e.code == INVALID and "still in use" in e.message


class Client(threading.Thread):
    """@test: what all clients share: oracle, stop, log(), fail(), and how long things are kept."""

    def __init__(self, test, host, number):
        super().__init__(name="%d.%d" % (host.number, number), daemon=True)
        self.test, self.host = test, host
        self.oracle = test.oracle
        self.rnd = random.Random("%d %s" % (test.seed, self.name))
        self.control = self.c = self.where = None
        self.kills = 0

    def run(self):
        try:
            while not self.test.stop.is_set():
                try:
                    self.connect()
                    while not self.test.stop.is_set():
                        self.act()
                except Lost:
                    self.test.log("lost")
                finally:
                    if self.control:
                        self.control.close()
        except BaseException:
            self.test.fail_with(traceback.format_exc())

    def connect(self):
        while True:
            with self.host.lock:  # not in the middle of a restart
                self.kills = self.host.kills
            try:
                self.control, self.where = self.host.connect()
                self.c = self.control.c
                return
            except (Closed, OSError):
                if self.kills == self.host.kills:
                    raise

    def act(self):
        full = self.oracle.count("active") + self.oracle.count("saving") > MOST
        kinds = [(0 if full else 8, self.upload), (0 if full else 4, self.upload_part),
                 (6, self.resume), (10, self.download), (0 if full else 6, self.clone),
                 (10 if full else 5, self.delete), (5, self.restore), (2, self.purge),
                 (3, self.audit), (8, self.clean), (1, self.verify), (8, self.rival),
                 (12, self.settle)]
        kind = self.rnd.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
        with contextlib.suppress(Fenced):  # what changes nothing may be ended so too
            kind()

    # ---- what may go wrong

    @contextlib.contextmanager
    def step(self, what, *about):
        """Tells the faults of the test's own making from others."""
        fences = self.host.fences
        text = "%s %s" % (what, " ".join(map(str, about)))
        self.test.log(text)
        try:
            yield
        except (Closed, ConnectionError, FileNotFoundError) as e:
            if self.kills == self.host.kills:
                raise Fault("%s: %r, but %s was not killed" % (text, e, self.host)) from e
            raise Lost() from e
        except RemoteError as e:
            self.test.log("%s: error %d %s" % (text, e.code, e.message))
            if FENCED in e.message and fences != self.host.fences:
                raise Fenced() from e
            if CUT_OFF in e.message and self.host.far:
                raise Fenced() from e
            raise
        self.test.log(text + ": done")

    def patient(self, call):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except RemoteError as e:
                if not is_busy(e) or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    @contextlib.contextmanager
    def hold(self, state, alone):
        """An image in @state, or None.  What it may be if the host dies is in its could."""
        image = self.oracle.pick(self.rnd, state, alone)
        if not image:
            yield None
            return
        try:
            yield image
        finally:
            self.oracle.leave(image, alone)

    def expired(self, image):
        return image.may_expire(self.test.keep_deleted, self.test.keep_temporary)

    # ---- calls

    def refresh(self):
        self.c.void("POOL_REFRESH", rpc.pool(self.where) + u32(0))

    def listed(self):
        reader = self.c.call("POOL_LIST_ALL_VOLUMES", rpc.pool(self.where) + u32(1) + u32(0))
        return {ref.key.split("/")[-1]: ref for ref in reader.array(reader.vol)}

    def find(self, image):
        """Its volume after a refresh, or None."""
        with self.step("find", image):
            self.refresh()
            listed = self.listed()
        for uuid, ref in listed.items():
            if uuid == image.uuid or not image.uuid and ref.name == image.name:
                return ref
        return None

    def need(self, image):
        ref = self.find(image)
        if not ref or ref.name != image.name:
            raise Fault("%s is not there after a refresh: %s" % (image, ref))
        return ref

    def trash(self):
        return {e.uuid: e for e in self.control.trash_list(POOL, self.rnd.choice((3, 1024)))}

    def state(self, ref):
        xml = self.c.vol_xml(ref)
        return (re.search(r"<image:state[^>]*>(\w+)", xml).group(1),
                int((re.search(r"<image:position[^>]*>(\d+)", xml) or [0, 0])[1]))

    def create(self, name, content):
        ref = self.c.create_vol(self.where, name, len(content.data()), content.format)
        return ref, ref.key.split("/")[-1]

    def send(self, ref, data, at=0, end=None, slow=False):
        """Returns the stream, with data sent up to @end."""
        end = len(data) if end is None else end
        sparse = self.rnd.random() < 0.4
        stream = self.c.begin("VOL_UPLOAD", ref, offset=at, flags=1 if sparse else 0)
        pause = self.rnd.randrange(at, end + 1) if slow else end
        while at < end:
            piece = data[at:min(end, at + self.rnd.randrange(1, PACKET))]
            if sparse and not piece.strip(b"\0"):
                stream.hole(len(piece))
            else:
                stream.data(piece)
            at += len(piece)
            if at >= pause:
                time.sleep(self.rnd.random() * 1.5 * self.test.keep_temporary)
                pause = end
        return stream

    def fetch(self, ref, begun=lambda: None, slow=False):
        sparse = self.rnd.random() < 0.4
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1 if sparse else 0)
        extents = stream.extents(sparse)
        first = [next(extents)]
        begun()
        if slow:
            time.sleep(self.rnd.random() * 1.5 * self.test.keep_deleted)
        data = flat(first + list(extents))
        stream.finish()
        return data

    def copy(self, ref, name):
        xml = "<volume><name>%s</name><capacity>0</capacity></volume>" % name
        made = self.c.vol("VOL_CREATE_XML_FROM",
                          rpc.pool(self.where) + string(xml) + rpc.vol(ref) + u32(0))
        return made.key.split("/")[-1]

    def remove(self, ref):
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))

    # ---- clients that stay out of each other's way: all they do succeeds

    def upload(self):
        image = self.oracle.new(self.rnd)
        try:
            ref = self.begin(image)
            with self.step("upload", image):
                self.send(ref, image.content.data(), slow=self.rnd.random() < 0.05).finish()
            image.became("active")
        except Fenced:
            pass
        finally:
            self.oracle.leave(image, True)

    def begin(self, image):
        image.since = time.monotonic()
        image.doubt("gone", "saving")
        with self.step("create", image):
            ref, image.uuid = self.create(image.name, image.content)
        image.doubt("saving", "active")
        return ref

    def upload_part(self):
        image = self.oracle.new(self.rnd)
        data = image.content.data()
        end = self.rnd.randrange(len(data))
        try:
            ref = self.begin(image)
            image.doubt("saving")
            with self.step("begin", image, end):
                stream = self.send(ref, data, end=end)
                if self.rnd.random() < 0.5:
                    stream.abort()
                    image.became("saving")
                    return
            self.control.close()
            self.connect()
            image.became("saving")
        except Fenced:
            pass
        finally:
            self.oracle.leave(image, True)

    def resume(self):
        with self.hold("saving", True) as image:
            if not image:
                return
            try:
                ref = self.find(image)
                if not ref:
                    if not self.expired(image):
                        raise Fault("%s is not there after a refresh" % image)
                    image.became("gone")
                    return
                image.doubt("saving", "active")
                with self.step("resume", image):
                    self.patient(lambda: self.go_on(ref, image))
                image.became("active")
            except Fenced:
                pass
            except RemoteError as e:
                if e.code != NO_VOL or not self.expired(image):
                    raise Fault("resume of %s: %s" % (image, e)) from e

    def go_on(self, ref, image):
        self.refresh()
        _, position = self.state(ref)
        self.send(ref, image.content.data(), position, slow=self.rnd.random() < 0.3).finish()

    def download(self):
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(self.hold("active", False))
            if not image:
                return
            ref, content = self.need(image), image.content
            with self.step("download", image):
                # once it runs, others may do with the image what they like
                data = self.fetch(ref, stack.close, self.rnd.random() < 0.3)
            if data != content.data():
                raise Fault("%s came back with other bytes" % image)

    def clone(self):
        with self.hold("active", False) as source:
            if not source:
                return
            ref = self.need(source)
            image = self.oracle.new(self.rnd, source.content, "c")
            image.doubt("gone", "saving", "active")
            try:
                with self.step("clone", source, image):
                    image.uuid = self.copy(ref, image.name)
                image.became("active")
            except Fenced:
                pass
            finally:
                self.oracle.leave(image, True)

    def delete(self):
        with self.hold("active", True) as image:
            if not image:
                return
            ref = self.need(image)
            image.doubt("active", "trash")
            image.since = time.monotonic()
            with contextlib.suppress(Fenced), self.step("delete", image):
                self.patient(lambda: self.remove(ref))
                image.became("trash")

    def restore(self):
        with self.hold("trash", True) as image:
            if not image:
                return
            name = self.oracle.new_name("n") if self.rnd.random() < 0.3 else None
            image.doubt("trash", "active")
            try:
                with self.step("restore", image, name):
                    self.refresh()
                    ref = self.patient(lambda: self.control.trash_restore(POOL, image.uuid, name))
                if (ref.name, ref.key.split("/")[-1]) != (name or image.name, image.uuid):
                    raise Fault("restore of %s: %s" % (image, ref))
                image.name = ref.name
                image.became("active")
            except Fenced:
                image.names = {image.name, name or image.name}
            except Lost:
                image.names = {image.name, name or image.name}
                raise
            except RemoteError as e:
                if e.code != NO_VOL or not self.expired(image):
                    raise Fault("restore of %s: %s" % (image, e)) from e
                image.became("gone")

    def purge(self):
        with self.hold("trash", True) as image:
            if not image:
                return
            image.doubt("trash", "gone")
            try:
                with self.step("purge", image):
                    self.control.trash_purge(POOL, image.uuid)
                image.became("gone")
            except Fenced:
                pass
            except RemoteError as e:
                if is_busy(e):
                    return
                if e.code != NO_VOL or not self.expired(image):
                    raise Fault("purge of %s: %s" % (image, e)) from e
                image.became("gone")

    def settle(self):
        """What became of an image whose host died, or whose lease was taken away."""
        with self.hold("unknown", True) as image:
            if image:
                with self.step("settle", image, image.could):
                    self.find_out(image)

    def find_out(self, image):
        ref = self.find(image)
        entry = None if ref or not image.uuid else self.trash().get(image.uuid)
        state = self.state(ref)[0] if ref else "trash" if entry else "gone"
        name = (ref or entry or image).name
        if state not in image.could and not (state == "gone" and self.expired(image)):
            raise Fault("%s is %s, but was to be one of %s" % (image, state, image.could))
        if name not in image.names | {image.name}:
            raise Fault("%s is called %s" % (image, name))
        if ref:
            image.uuid = ref.key.split("/")[-1]
        image.name = name
        image.became(state)

    # ---- everything at once

    def audit(self):
        """What was done and is not being changed shows on every host after a refresh."""
        before = self.oracle.idle()
        with self.step("audit"):
            self.refresh()
            listed = self.listed()
        for image, version in before:
            there = listed.get(image.uuid)
            with self.oracle.lock:
                if image.taken or image.version != version:
                    continue
                state, expired = image.state, self.expired(image)
            if there and (state in ("trash", "gone") or there.name != image.name):
                raise Fault("%s is listed as %s" % (image, there))
            if not there and (state == "active" or state == "saving" and not expired):
                raise Fault("%s is not listed" % image)

    def clean(self):
        kind = self.rnd.randrange(4)
        taken = self.host.takeovers
        try:
            with self.step("clean", kind):
                if kind == 0:
                    self.c.void("POOL_BUILD", rpc.pool(self.where) + u32(0))
                else:
                    self.test.log(str(self.control.cleanup(POOL, kind == 1)))
        except RemoteError as e:
            over = "took over cleaning up" in e.message and taken != self.host.takeovers
            if not is_busy(e) and not over:
                raise

    def verify(self):
        name = None
        with self.hold("active", False) as image:
            if image and self.rnd.random() < 0.7:
                name = self.need(image).name
            try:
                with self.step("verify", name):
                    report = self.control.verify(POOL, name)
                if report["damaged"]:
                    raise Fault("verify: %s" % report)
            except Fenced:
                pass
            except RemoteError as e:
                if not is_busy(e):
                    raise

    # ---- clients that fight for names

    def rival(self):
        name = self.rnd.choice(RIVALS)
        kind = self.rnd.choice((self.rival_upload, self.rival_upload, self.rival_read,
                                self.rival_delete, self.rival_clone, self.rival_restore))
        try:
            with self.step(kind.__name__, name):
                kind(name)
        except Fenced:
            pass
        except RemoteError as e:
            if e.code not in (NO_VOL, EXISTS, BUSY) and not RIVALLED.search(e.message):
                raise

    def rival_ref(self, name):
        self.refresh()
        return self.c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(self.where) + string(name))

    def rival_upload(self, name):
        content = self.oracle.content(self.rnd)
        self.oracle.rival(name, content)
        ref, uuid = self.create(name, content)
        self.oracle.rival(name, content, uuid)
        self.send(ref, content.data()).finish()

    def rival_read(self, name):
        ref = self.rival_ref(name)
        if not self.oracle.is_rival(name, ref.key.split("/")[-1], self.fetch(ref)):
            raise Fault("%s holds what nobody stored" % (ref,))

    def rival_delete(self, name):
        self.remove(self.rival_ref(name))

    def rival_clone(self, name):
        with self.hold("active", False) as source:
            if source:
                ref = self.need(source)
                self.oracle.rival(name, source.content)
                self.oracle.rival(name, source.content, self.copy(ref, name))

    def rival_restore(self, name):
        some = [u for u, e in self.trash().items() if u in self.oracle.rivals]
        if some:
            uuid = self.rnd.choice(some)
            self.control.trash_restore(POOL, uuid, name)
