# sshcase.py: pools over SSH of a test, each at a server that the test chose
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import time

import remote
from ctl import CtlMixin
from delay import Delay
from sshd import Sshd
from virshcase import VirshCase, element

NS = "xmlns:image='urn:virtimage:pool:1'"
SOON = "<image:reconnect enabled='yes' interval='1'/>"
SECONDS = 90


class SshCase(CtlMixin, VirshCase):
    """@server: what the sshd of all tests of a class is started with."""

    server = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sshd = Sshd(**cls.server)
        try:
            cls.sshd.start()
            remote.prepare(cls.daemon, cls.sshd)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.sshd.remove()
        finally:
            super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.delays = []
        if not self.sshd.alive():
            self.sshd.start()

    def tearDown(self):
        super().tearDown()
        for delay in self.delays:
            delay.close()

    def delay(self, seconds=0.025):
        """A proxy before the server; the daemon knows its key there too."""
        delay = Delay(self.sshd.port, seconds)
        self.delays.append(delay)
        self.know(self.sshd.known_hosts(delay.port))
        return delay

    def other(self, **server):
        """Another server, of which the daemon knows nothing yet."""
        sshd = Sshd(**server)
        self.addCleanup(sshd.remove)
        return sshd.start()

    @property
    def known_hosts(self):
        return self.daemon.state_dir / "known_hosts"

    def know(self, lines):
        with open(self.known_hosts, "a", encoding="utf-8") as out:
            out.write(lines)

    # ---- pools

    def far_xml(self, options=SOON, name=None, path=None, sshd=None, port=None, source=None):
        return ("<pool type='imagestore' %s><name>%s</name>%s<image:options>%s</image:options>"
                "</pool>" % (NS, name or self.name,
                             source or remote.source(path or self.dir, sshd or self.sshd, port),
                             options))

    def far(self, *args, start=True, **kw):
        """A pool at the server, defined and started."""
        name = kw.get("name") or self.name
        self.define(self.far_xml(*args, **kw), name)
        if start:
            self.v("pool-start", name)
        return name

    def refused(self, text, *args, **kw):
        """It cannot be started; returns why.  The password is not in it."""
        name = self.far(*args, start=False, **kw)
        return self.no(text, "pool-start", name)

    def wait_refresh(self, pool):
        """Until it answers again."""
        deadline = time.monotonic() + SECONDS
        while True:
            done = self.daemon.virsh("pool-refresh", pool)
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError("%s does not come back: %s" % (pool, done.stderr))
            time.sleep(0.05)

    def index(self, pool, vol):
        """The bytes of an image's index."""
        uuid = element(self.vol_xml(pool, vol), "image:uuid")
        return (self.dir / "images" / uuid / "image.caibx").read_bytes()

    def no_secret(self, *secrets):
        """None of @secrets, nor a password of the server, is where people look."""
        texts = {"log": self.daemon.log()}
        for pool in self.made:
            for args in ((), ("--inactive",)):
                texts["XML of %s" % pool] = self.daemon.virsh("pool-dumpxml", pool, *args).stdout
        for path in (*self.daemon.config_dir.glob("*.xml"), *self.daemon.run_dir.rglob("*.xml")):
            texts[str(path)] = path.read_text(errors="replace")
        for where, text in texts.items():
            for secret in (self.sshd.password, *secrets):
                self.assertNotIn(secret, text, where)

    def log_has(self, pattern):
        self.assertTrue(re.search(pattern, self.daemon.log()), self.daemon.log_tail(20))
