# eventloop.py: libvirt's event loop for tests that hear events through its Python binding
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import threading

import libvirt


class EventLoop:
    """libvirt's own event loop in a thread, as every Python program with events runs it."""

    started = False

    @classmethod
    def start(cls):
        if not cls.started:
            cls.started = True
            libvirt.virEventRegisterDefaultImpl()
            libvirt.registerErrorHandler(lambda *a: None, None)
            threading.Thread(target=cls.loop, daemon=True).start()

    @staticmethod
    def loop():
        while True:
            libvirt.virEventRunDefaultImpl()
