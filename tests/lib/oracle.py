# oracle.py: which images a store must hold, and with which bytes
#
# Clients take an image before they change it and share it while they begin to read it, so that each
# knows what the others have done to it, and every answer it gets is either right or a fault.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import functools
import hashlib
import random
import threading
import time

from images import qcow2_around

BLOCK = 65536
WINDOW, CYCLE = 24, 72  # common blocks in use at a time, and until they come again
REMEMBERED, GONE = 500, 100  # images, and those of them that may be gone
SLACK = 1.1  # the storage's clock is read in whole seconds


@functools.lru_cache(128)
def block(number):
    return random.Random(number).randbytes(BLOCK) if number >= 0 else bytes(BLOCK)


class Content:
    """Bytes of an image: blocks, most of which other images have too."""

    def __init__(self, rnd, since):
        first = int(since) % CYCLE
        self.qcow2 = rnd.random() < 0.4
        self.blocks = []
        for _ in range(rnd.randrange(1, 14)):
            kind = rnd.randrange(8)
            self.blocks.append(-1 if kind == 0 else rnd.randrange(1 << 40) if kind == 1 else
                               (first + rnd.randrange(WINDOW)) % CYCLE)
        if rnd.random() < 0.06:  # too long to be read ahead as a whole
            self.blocks[:1] = [self.blocks[0]] * 300
        self.tail = rnd.randrange(1, BLOCK)

    @property
    def format(self):
        return "qcow2" if self.qcow2 else "raw"

    def data(self):
        data = b"".join(map(block, self.blocks)) + block(CYCLE)[:self.tail]
        return qcow2_around(data) if self.qcow2 else data

    @functools.cached_property
    def digest(self):
        return hashlib.sha256(self.data()).hexdigest()


class Image:
    """@state: active, saving, trash, gone; unknown: one of @could, whoever looks will know."""

    def __init__(self, name, content):
        self.name, self.content = name, content
        self.names = set()  # it may have got one of these meanwhile
        self.uuid = None
        self.state, self.could = "unknown", {"gone"}
        self.since = time.monotonic()  # when its state began, or before
        self.taken, self.shared, self.version = None, 0, 0

    def __str__(self):
        return "%s (%s, %s)" % (self.name, self.uuid, self.state)

    def became(self, state, since=None):
        self.state, self.could = state, {state}
        if since is not None:
            self.since = since

    def doubt(self, *states):
        self.state, self.could = "unknown", set(states)

    def may_expire(self, keep_deleted, keep_temporary):
        age = time.monotonic() - self.since + SLACK
        return ("trash" in self.could and age > keep_deleted or
                "saving" in self.could and age > keep_temporary)


class Oracle:
    def __init__(self):
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.images = []
        self.made = 0
        # images whose names clients fight for: nobody takes them, only their bytes are known
        self.rivals = {}   # content, by uuid
        self.rivalled = {}  # contents that may have got a name, by name

    def content(self, rnd):
        return Content(rnd, time.monotonic() - self.began)

    def new_name(self, prefix):
        with self.lock:
            self.made += 1
            return "%s%05d" % (prefix, self.made)

    def new(self, rnd, content=None, prefix="i"):
        """A new image, taken."""
        image = Image(self.new_name(prefix), content or self.content(rnd))
        with self.lock:
            image.taken = threading.current_thread().name
            self.images.append(image)
            if len(self.images) > REMEMBERED:
                self.images = [i for i in self.images[:-GONE] if i.state != "gone" or i.shared
                               or i.taken] + self.images[-GONE:]
            return image

    def count(self, state):
        with self.lock:
            return sum(i.state == state for i in self.images)

    def pick(self, rnd, state, alone):
        """An image in @state nobody is at: taken if @alone, else shared; None if there is none."""
        with self.lock:
            some = [i for i in self.images
                    if i.state == state and not i.taken and not (alone and i.shared)]
            if not some:
                return None
            image = rnd.choice(some)
            if alone:
                image.taken = threading.current_thread().name
                image.version += 1
            else:
                image.shared += 1
            return image

    def leave(self, image, alone):
        with self.lock:
            if alone:
                image.taken = None
                image.version += 1
            else:
                image.shared -= 1

    def idle(self):
        """(image, version) of all that nobody changes."""
        with self.lock:
            return [(i, i.version) for i in self.images if not i.taken and i.state != "unknown"]

    def rival(self, name, content, uuid=None):
        with self.lock:
            self.rivalled[name] = self.rivalled.get(name, [])[-GONE:] + [content]
            if uuid:
                self.rivals[uuid] = content

    def is_rival(self, name, uuid, data):
        """Whether an image whose name is fought for may have these bytes."""
        digest = hashlib.sha256(data).hexdigest()
        with self.lock:
            known = self.rivals.get(uuid)
            some = [known] if known else [c for all in self.rivalled.values() for c in all]
        return any(c.digest == digest for c in some)
