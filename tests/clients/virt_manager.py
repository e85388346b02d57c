#!/usr/bin/python3
# virt_manager.py: works virt-manager through its accessibility interface, as a user works it
#
# Usage: virt_manager.py URI POOL VOLUME SIZE DIRECTORY
# To be run in a session of its own (dbus-run-session) on a display of its own (DISPLAY).  Connects,
# finds POOL and its VOLUME with SIZE ("3.00 MiB"), stops, starts and refreshes the pool, and deletes
# the volume.  Screenshots go to DIRECTORY.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib

SECONDS = 60
uri, pool, volume, size, directory = sys.argv[1:]


def name(node):
    try:
        return node.get_name() or ""
    except GLib.Error:
        return ""


def walk(node):
    """All of a tree; nodes that go away meanwhile are passed over."""
    yield node
    try:
        count = node.get_child_count()
    except GLib.Error:
        return
    for i in range(min(count, 500)):
        try:
            child = node.get_child_at_index(i)
        except GLib.Error:
            continue
        if child is not None:
            yield from walk(child)


def window():
    desktop = Atspi.get_desktop(0)
    for i in range(desktop.get_child_count()):
        app = desktop.get_child_at_index(i)
        if app is not None and "virt-manager" in name(app):
            return app
    return None


def role(node):
    try:
        return node.get_role_name()
    except GLib.Error:
        return ""


def give_up(why):
    shot("failed")
    for node in walk(window()) if window() else ():
        if name(node):
            print("    ", role(node), "|", name(node)[:100])
    raise SystemExit("virt-manager: " + why)


def find(test, what, wanted=True, again=None):
    """Waits until a node passes @test, or with @wanted False until none does."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if again:
            again()
        app = window()
        found = next((n for n in walk(app) if test(n)), None) if app else None
        if bool(found) == wanted:
            return found
        time.sleep(0.1)
    give_up("%s: %s" % ("no" if wanted else "still there", what))


def named(what, kind=None):
    return lambda n: name(n) == what and (kind is None or role(n) == kind)


def has_state(node, state):
    return node.get_state_set().contains(state)


def shot(what):
    path = os.path.join(directory, "virt-manager-%s.png" % what)
    subprocess.run("xwd -silent -root | convert xwd:- %s" % path, shell=True, check=False)


def press(what, kind=None, again=None):
    """Once it can be; @again, if given, is called before each look."""
    def ready(n):
        return (named(what, kind)(n) and has_state(n, Atspi.StateType.SENSITIVE)
                and has_state(n, Atspi.StateType.SHOWING))
    # with the mouse: an accessible action would not return before a dialog that it opens
    place = Atspi.Component.get_extents(find(ready, "button %s to press" % what, again=again),
                                        Atspi.CoordType.SCREEN)
    Atspi.generate_mouse_event(place.x + place.width // 2, place.y + place.height // 2, "b1c")


def said(node):
    """What a cell shows: its own text and that of its parts."""
    texts = []
    for n in walk(node):
        texts.append(name(n))
        try:
            texts.append(Atspi.Text.get_text(n, 0, -1))
        except (GLib.Error, TypeError):
            pass
    return " ".join(t for t in texts if t)


def rows(table_name):
    """Of a list: the accessible, the number and the texts of each row."""
    for node in walk(window()):
        if name(node) != table_name:
            continue
        try:
            for row in range(Atspi.Table.get_n_rows(node)):
                yield node, row, [said(Atspi.Table.get_accessible_at(node, row, column))
                                  for column in range(Atspi.Table.get_n_columns(node))]
        except GLib.Error:
            continue


def select_row(table_name, text):
    """Selects the row of a list whose cells say @text; returns their texts."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for node, row, cells in list(rows(table_name)):
            if any(text in cell for cell in cells):
                Atspi.Table.add_row_selection(node, row)
                return cells
        time.sleep(0.1)
    give_up("no %r in %s: %r" % (text, table_name, [c for _, _, c in rows(table_name)]))


def row_is_gone(table_name, text):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not any(text in cell for _, _, cells in rows(table_name) for cell in cells):
            return
        time.sleep(0.1)
    give_up("%r is still in %s" % (text, table_name))


def state(what):
    find(lambda n: name(n) == what and role(n) == "label" and
         has_state(n, Atspi.StateType.SHOWING), "pool state " + what)


program = subprocess.Popen(["virt-manager", "--no-fork", "-c", uri, "--show-host-summary"])
try:
    find(named("Storage", "page tab"), "the storage page")
    tab = find(named("Storage", "page tab"), "the storage page")
    tabs = tab.get_parent()
    Atspi.Selection.select_child(tabs, tab.get_index_in_parent())
    select_row("pool-list", pool)
    state("Active")
    cells = select_row("vol-list", volume)
    shot("volumes")
    if not any(size in cell for cell in cells):
        raise SystemExit("virt-manager: the size %s is not in %r" % (size, cells))
    print("connected, pool and volume shown:", cells, flush=True)
    press("pool-stop")
    state("Inactive")
    shot("stopped")
    press("pool-start")
    state("Active")
    print("stopped and started", flush=True)
    press("vol-refresh")
    # the refresh fills the list again at some time, and what was selected is so no more
    press("vol-delete", again=lambda: select_row("vol-list", volume))
    press("Yes")
    row_is_gone("vol-list", volume)
    shot("deleted")
    print("refreshed, volume deleted", flush=True)
    if program.poll() is not None:
        raise SystemExit("virt-manager ended with %s" % program.returncode)
finally:
    program.terminate()
    program.wait()
