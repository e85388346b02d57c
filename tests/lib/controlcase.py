# controlcase.py: tests that ask a daemon by virtimage's own program, and by virsh
#
# SPDX-License-Identifier: LGPL-2.1-or-later
from control import Control
from rawrpc import RemoteError
from virshcase import VirshCase


class ControlCase(VirshCase):
    def setUp(self):
        super().setUp()
        self.control = Control(self.daemon.socket)
        self.c = self.control.c

    def tearDown(self):
        self.control.close()
        super().tearDown()

    def refused(self, code, text, call, *args):
        with self.assertRaises(RemoteError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        self.assertIn(text, caught.exception.message)
