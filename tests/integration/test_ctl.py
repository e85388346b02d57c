#!/usr/bin/python3
# test_ctl.py: virtimagectl in a pipe: every command for people and programs, and wrong arguments
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import subprocess
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl as lib
import rawrpc as rpc
import runner
from ctl import (CTL, FAILED, NOT_FOUND, PROBLEM, REFUSED, UNREACHABLE, UNSUPPORTED, USAGE,
                 CtlMixin)
from daemon import BUILD, TOP, slow
from images import MIB, same
from rawrpc import Connection, pool_xml, u32
from virshcase import SIZE, VirshCase

COMMANDS = [c["name"] for c in json.loads(lib.run("", "help", "--json").stdout)["commands"]]
MANY = 1500 if slow() else 10000


class CtlCase(CtlMixin, VirshCase):
    def images(self):
        """A pool with two versions of an image and a deleted one; its name."""
        name = self.pool()
        one, two = self.raw("one", SIZE, 1), self.work / "two"
        data = bytearray(one.read_bytes())
        data[MIB:MIB + 5] = b"other"
        two.write_bytes(data)
        for vol, path in (("one", one), ("two", two), ("gone", one)):
            self.stored(name, vol, path)
        self.v("vol-delete", "--pool", name, "gone")
        return name


class Local(CtlMixin, unittest.TestCase):
    """What needs no daemon."""

    class daemon:  # nobody answers there
        uri = "image+unix:///system?socket=/nowhere/virtimaged-sock"

        @staticmethod
        def log_tail(lines):
            return ""

    def test_help(self):
        text = self.ctl("help")
        self.assertIn("error: a command is missing", self.ctl(code=USAGE))
        self.assertIn("  -c URI, --connect=URI\n", text)
        self.assertNotRegex(text + self.ctl("jobs", "x", code=USAGE), "(?m) $")
        self.ctl("help", "nothing", "--json", code=USAGE)
        self.assertEqual(text, self.ctl("--help"))
        for name in COMMANDS:
            self.assertIn("  " + name, text)
            self.assertIn("  " + name, self.ctl("help", *name.split()))
            self.assertEqual(self.ctl("help", *name.split()), self.ctl(*name.split(), "--help"))
        self.assertEqual(self.ctl("help", "trash").count("trash "), 3)
        self.assertIn("error: unknown command 'nothing'", self.ctl("help", "nothing", code=USAGE))
        self.json("help")
        self.assertEqual(self.json("version"), {"version": self.ctl("version").split()[-1]})
        self.assertEqual(self.ctl("-V"), self.ctl("version"))

    def test_schema(self):
        """Each command is described, and described strictly."""
        self.assertEqual([c for c in COMMANDS if c not in lib.SCHEMA["definitions"]], [])
        for name in COMMANDS:
            with self.assertRaises(lib.jsonschema.ValidationError):
                lib.validate(name, {})

    def test_usage(self):
        for args, text in (
                (["nothing"], "unknown command 'nothing'"),
                (["trash"], "'trash' is followed by one of: list, restore, purge"),
                (["trash", "empty"], "'trash' is followed by one of: list, restore, purge"),
                (["--dry-run", "cleanup", "a"], "option '--dry-run' stands behind the command"),
                (["--nothing", "cleanup", "a"], "unknown option '--nothing'"),
                (["list"], "too few arguments\nusage: virtimagectl list POOL"),
                (["list", "a", "b"], "unexpected argument 'b'"),
                (["list", "--dry-run", "a"], "unknown option '--dry-run'"),
                (["cleanup", "--dry-run=1", "a"], "option '--dry-run' takes no value"),
                (["list", "a", "-x"], "unknown option '-x'"),
                (["list", "a", "--connect"], "option '--connect' takes a value"),
                (["list", "a", "--progress=loud"], "'loud' is not auto, json or none"),
                (["list", "a", "\x1b[31m"], "unexpected argument '\\x1b[31m'"),
                (["job-cancel", "x"], "'x' is not the number of a job"),
                (["job-cancel", "0"], "'0' is not the number of a job"),
                (["job-cancel", "9" * 20], "'%s' is not the number of a job" % ("9" * 20)),
                (["list", "a", "--", "--json"], "unexpected argument '--json'"),
        ):
            with self.subTest(args):
                self.assertIn("error: " + text, self.ctl(*args, code=USAGE).replace(
                    "--progress: ", ""))

    def test_names(self):
        for args in (["list", "a\nb"], ["show", "p", "\x1b"], ["trash", "purge", "p", "\udcff"],
                     ["trash", "restore", "p", "a", "b\x7f"], ["zone", "delete", "a\tb"]):
            with self.subTest(args):
                said = self.ctl(*args, code=USAGE)
                self.assertIn("is no name", said)
                self.assertEqual(said.count("\n"), 1)

    def test_unreachable(self):
        values = {"POOL": "p", "IMAGE": "a", "ID": "1", "NAME": "n", "TEXT": "t", "ZONE": "z",
                  "URL": "https://example.org/a", "FINGERPRINT": "SHA256:a",
                  "FILE": __file__, "IMAGE|UUID": "a", "DOMAIN": "d"}
        for command in json.loads(self.ctl("help", "--json"))["commands"]:
            if command["name"] in ("help", "version", "explain"):
                continue
            args = [values[word] for word in command["args"].split() if word[0] != "["]
            options = ["--retry=0"] if command["name"] in ("upload", "download") else []
            options += ["--list"] if command["name"] == "machine-snapshot" else []
            with self.subTest(command["name"]):
                said = self.ctl(*command["name"].split(), *args, *options, code=UNREACHABLE)
                self.assertIn("error: no daemon answers at '/nowhere/virtimaged-sock'", said)
        for uri in ("qemu:///system", "image+ssh://-oProxyCommand=x/system", "image:///nothing",
                    "no-alias", "://"):
            with self.subTest(uri):
                done = lib.run("", "-c", uri, "status")
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertTrue(done.stderr.startswith("error: "))

    def test_explain(self):
        by_number = self.ctl("explain", "87")
        self.assertEqual(by_number, self.ctl("explain", "RESOURCE_BUSY"))
        self.assertEqual(by_number, self.ctl("explain", "vir_err_resource_busy"))
        self.assertEqual(by_number, self.ctl("explain", "error: resource busy: whatever"))
        self.assertTrue(by_number.startswith("87 VIR_ERR_RESOURCE_BUSY\n"))
        said = self.ctl("explain", "error: Requested operation is not valid: volume 'x' is "
                        "complete: its content never changes")
        self.assertIn("sealed", said)
        self.assertNotIn("VIR_ERR", said)
        self.assertEqual(said, self.ctl("explain", "CONTENT never changes"))
        for unknown in ("xyzzy", "", "999", "is", "%s", "\x1b[31m"):
            self.assertNotIn("\x1b", self.ctl("explain", unknown, code=NOT_FOUND))
        self.json("explain", "55")
        self.json("explain", "is disabled")

    def test_explained_messages(self):
        """What is explained is said somewhere, to the letter."""
        texts = re.findall(r'N_\(\s*"((?:[^"\\]|\\.)*)"\)',
                           (TOP / "src/cli/explain-text.c").read_text().split("_messages[]")[1])
        sources = "\n".join(p.read_text(encoding="utf-8") for top in ("src", "plugin")
                            for p in (TOP / top).rglob("*.c") if p.name != "explain-text.c")
        self.assertGreater(len(texts), 60)
        for message in texts[::3]:
            self.assertIn('"%s"' % message, sources)

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([CTL, "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (FAILED, "error: cannot write: No space left on device\n"))


class Commands(CtlCase):
    def test_status(self):
        name = self.images()
        other = self.pool("stopped", self.work / "stopped", start=False)
        report = {p["name"]: p for p in self.json("status")["pools"]}
        self.assertEqual(report[name]["status"], "connected")
        self.assertEqual(report[name]["images"], 2)
        self.assertFalse(report[other]["active"])
        self.assertEqual(len(self.json("status", name)["pools"]), 1)
        line = next(x for x in self.ctl("status").splitlines() if x.startswith(" " + name))
        self.assertIn("connected", line)
        self.assertIn("Autostart: ", self.ctl("status", name))
        self.ctl("status", "nowhere", code=NOT_FOUND)
        self.ctl("-r", "status")

    def test_list_and_show(self):
        name = self.images()
        report = self.json("list", name)
        self.assertEqual([v["name"] for v in report["volumes"]], ["one", "two"])
        self.assertEqual(report["volumes"][0]["capacity"], SIZE)
        head, rule, *lines = self.ctl("list", name).splitlines()
        self.assertEqual(head.split()[:2], ["Name", "State"])
        self.assertEqual(set(rule), {"-"})
        self.assertEqual([x.split()[:3] for x in lines],
                         [["one", "active", "raw"], ["two", "active", "raw"]])
        self.assertEqual(self.ctl("-q", "list", name).splitlines(), lines)
        self.assertIn(str(SIZE), self.ctl("list", "--bytes", name))
        self.assertNotIn(str(SIZE), self.ctl("list", name))
        shown = self.json("show", name, "one")
        self.assertEqual((shown["name"], shown["capacity"]), ("one", SIZE))
        self.assertRegex(self.ctl("show", name, "one"), "(?m)^Format: +raw$")
        path = re.search(r"\S+://\S+/one\b", self.v("vol-list", name)).group()
        self.assertEqual(self.json("show", path), shown)
        self.assertIn("Name:", self.ctl("show", "imagestore://%s/one" % name))
        for wrong in ("imagestore://one", "imagestore:///one", "imagestore://%s/" % name):
            self.ctl("show", wrong, code=2)
        for args in (("list", "nowhere"), ("show", name, "nothing"), ("show", "nowhere", "one")):
            self.assertIn("not found", self.ctl(*args, code=NOT_FOUND))
        uuid = self.v("pool-uuid", name).strip()
        self.assertEqual(self.json("list", uuid), report)

    def test_du(self):
        name = self.images()
        report = self.json("du", name)
        self.assertEqual(sorted(i["name"] for i in report["images"]), ["one", "two"])
        self.assertRegex(self.ctl("du", name), "(?m)^ one ")
        self.v("vol-delete", "--pool", name, "two")
        self.ctl("trash", "purge", name, "two")
        said = self.ctl("du", name)
        fields = re.findall("(?m)^(Size of images|Stored|Purging frees|Garbage): +", said)
        self.assertEqual(fields, ["Size of images", "Stored", "Purging frees", "Garbage"])
        self.assertEqual(len({len(x) for x in re.findall(
            "(?m)^(?:Size of images|Purging frees|Garbage): +", said)}), 1, said)
        self.assertEqual(self.json("du", name)["total"]["orphans"], int(re.search(
            r"(?m)^Garbage: +(\d+)$", self.ctl("du", name, "--bytes")).group(1)))

    def test_diff(self):
        name = self.images()
        report = self.json("diff", name, "one", "two")
        self.assertEqual((report["from"], report["to"]), ("one", "two"))
        self.assertGreaterEqual(report["changed"], 5)
        self.assertIn("Changed: ", self.ctl("diff", name, "one", "two"))
        offset = report["extents"][0]["offset"]
        self.assertIn(str(offset), self.ctl("diff", name, "one", "two", "--extents"))
        self.ctl("diff", name, "one", "nothing", code=NOT_FOUND)

    def test_transfer(self):
        name = self.pool()
        path = self.raw()
        self.json("upload", path, name, "a")
        self.ctl("upload", path, name, "a", code=REFUSED)
        self.json("download", name, "a", self.work / "back")
        same(path, self.work / "back")

    def test_upkeep(self):
        name = self.images()
        trash = self.json("trash list", name)["trash"]
        self.assertEqual([t["name"] for t in trash], ["gone"])
        self.assertRegex(self.ctl("trash", "list", name), "(?m)^ gone ")
        self.assertIs(self.json("cleanup", name)["dry_run"], False)
        self.assertIn("Freed: ", self.ctl("cleanup", name))
        self.assertIn("Would free: ", self.ctl("cleanup", name, "--dry-run"))
        self.assertEqual(self.json("trash restore", name, "gone")["name"], "gone")
        self.v("vol-delete", "--pool", name, "gone")
        self.assertEqual(self.ctl("trash", "restore", name, trash[0]["uuid"], "back"),
                         "Image back is back in pool %s\n" % name)
        self.v("vol-delete", "--pool", name, "back")
        self.json("trash purge", name, "back")
        self.ctl("trash", "purge", name, "back", code=NOT_FOUND)
        self.assertEqual(self.ctl("-q", "trash", "list", name), "")

    def test_same_names_in_the_trash(self):
        name = self.images()
        self.v("vol-create-as", name, "gone", "1M")
        self.v("vol-clone", "--pool", name, "one", "x")
        for vol in ("x", "x2"):
            if vol == "x2":
                self.v("vol-clone", "--pool", name, "one", "x")
            self.v("vol-delete", "--pool", name, "x")
        self.assertIn("several deleted images", self.ctl("trash", "purge", name, "x", code=USAGE))
        for entry in self.json("trash list", name)["trash"]:
            if entry["name"] == "x":
                self.ctl("trash", "purge", name, entry["uuid"])

    def test_verify(self):
        name = self.images()
        self.assertEqual(self.json("verify", name)["damaged"], [])
        self.assertGreater(self.json("verify", name, "one")["checked"], 0)
        for slice_file in Path(self.dir).glob("slices.castr/*/*.cacnk"):
            slice_file.write_bytes(b"x" + slice_file.read_bytes()[1:])
        report = self.json("verify", name, code=PROBLEM)
        self.assertEqual(sorted(d["name"] for d in report["damaged"]), ["gone", "one", "two"])
        self.assertRegex(self.ctl("verify", name, code=PROBLEM), "(?m)^ one ")

    def test_verify_of_what_no_image_needs(self):
        name = self.pool()
        self.stored(name, "a", self.raw())
        self.v("vol-delete", "--pool", name, "a")
        self.ctl("trash", "purge", name, "a")
        self.assertEqual(self.json("verify", name)["damaged"], [])
        for slice_file in Path(self.dir).glob("slices.castr/*/*.cacnk"):
            slice_file.write_bytes(b"x" + slice_file.read_bytes()[1:])
        report = self.json("verify", name, code=PROBLEM)
        self.assertEqual(report["damaged"], [])
        self.assertGreater(report["slices"]["bad"], 0)

    def test_doctor(self):
        name = self.images()
        self.json("doctor", name)
        self.assertIn("[ok] backend: ", self.ctl("doctor", name))

    def test_jobs(self):
        name = self.pool()
        self.v("vol-create-as", name, "a", SIZE)
        self.assertEqual(self.json("jobs")["jobs"], [])
        with Connection(self.daemon.socket) as c:
            c.open()
            stream = c.begin("VOL_UPLOAD", rpc.VolRef(name, "a", ""))
            stream.data(b"x" * 1000)
            job = self.json("jobs")["jobs"][0]
            self.assertEqual((job["pool"], job["volume"], job["kind"]), (name, "a", "upload"))
            self.assertIn("upload", self.ctl("jobs"))
            self.assertEqual(self.json("job-cancel", str(job["id"])), {"job": str(job["id"])})
            stream.data(b"x" * 1000)
            with self.assertRaises(rpc.RemoteError):
                stream.next()
        self.assertIn("no job with id", self.ctl("job-cancel", "99999", code=NOT_FOUND))

    def test_metrics(self):
        text = self.ctl("metrics")
        self.assertTrue(text.endswith("# EOF\n"))
        report = self.json("metrics")
        self.assertEqual(report["openmetrics"].splitlines()[:5], text.splitlines()[:5])

    def test_read_only(self):
        name = self.images()
        for command in ("cleanup", "verify", "trash list", "du", "doctor", "pool-enable"):
            said = lib.run(self.daemon.uri_ro, *command.split(), name, "-r")
            self.assertEqual(said.returncode, REFUSED, command + said.stderr)
            self.assertIn("read only", said.stderr)

    def test_hostile_names(self):
        """They reach a terminal as escapes, and programs as what they are."""
        name = self.pool()
        self.v("vol-create-as", name, "a\u202eb\u200bc", "1M")
        self.v("vol-create-as", name, "镜像\u0301", "1M")
        self.assertIn(" a\\u202eb\\u200bc ", self.ctl("list", name))
        self.assertIn(" 镜像\u0301 ", self.ctl("list", name))
        self.assertIn('"a\\u202eb\\u200bc"', self.ctl("list", name, "--json"))
        self.assertIn("a\u202eb\u200bc", [v["name"] for v in self.json("list", name)["volumes"]])

    def test_progress(self):
        """Lines of JSON on standard error when asked, else nothing."""
        name = self.images()
        done = lib.run(self.daemon.uri, "upload", self.raw("new", SIZE, 9), name, "new",
                       "--progress=json")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in done.stderr.splitlines():
            self.assertIsInstance(json.loads(line), dict)
        self.assertNotEqual(done.stderr, "")
        for args in (("verify", name), ("verify", name, "--progress=none")):
            self.assertEqual(lib.run(self.daemon.uri, *args).stderr, "")


class Pools(CtlCase):
    """What changes definitions."""

    def test_enabled(self):
        name = self.pool()
        self.json("pool-disable", name)
        self.daemon.fails("is disabled", "vol-create-as", name, "a", "1M")
        self.assertIn("is disabled", self.ctl("cleanup", name, code=REFUSED))
        self.json("pool-enable", name)
        self.v("vol-create-as", name, "a", "1M")
        self.json("pool-describe", name, "What <it> is & 描述")
        self.assertIn("What &lt;it&gt; is &amp; 描述", self.pool_xml(name))
        self.ctl("pool-describe", name, "")
        self.assertNotIn("描述", self.pool_xml(name))

    def test_rename(self):
        name = self.pool()
        self.assertEqual(self.json("pool-rename", name, "renamed"), {"pool": "renamed",
                                                                      "was": name})
        self.made.append("renamed")
        self.ctl("list", name, code=NOT_FOUND)
        self.ctl("list", "renamed")


class Zones(CtlCase):
    config = 'zones = [ "north", "south" ]\n'

    def test_zones(self):
        name = self.pool()
        self.json("zone attach", name, "south")
        report = {z["name"]: z for z in self.json("zone list")["zones"]}
        self.assertIn(name, [p["name"] for p in report["south"]["pools"]])
        self.assertRegex(self.ctl("zone", "list"), "(?m)^ south .*%s" % name)
        self.json("zone detach", name, "south")
        self.ctl("zone", "delete", "nowhere", "--yes", code=NOT_FOUND)
        said = self.ctl("zone", "delete", "north", code=USAGE)
        self.assertIn("give --yes", said)
        self.v("pool-info", name)
        self.json("zone delete", "north", "--yes")
        self.daemon.fails("not found", "pool-info", name)


class Many(CtlMixin, runner.DaemonCase):
    args = ["--plugin-dir", str(BUILD / "tests" / "pool")]

    def test_list(self):
        with Connection(self.daemon.socket) as c:
            c.open()
            where = c.define(pool_xml("many", self.daemon.path("many"), "", "memory"))
            c.void("POOL_CREATE", rpc.pool(where) + u32(0))
            for i in range(MANY):
                c.create_vol(where, "image-%05d" % i, 4096)
        report = self.json("list", "many")
        self.assertEqual([v["name"] for v in report["volumes"]],
                         ["image-%05d" % i for i in range(MANY)])
        self.assertEqual(len(self.ctl("-q", "list", "many").splitlines()), MANY)
        with subprocess.Popen([CTL, "list", "many"], stdout=subprocess.PIPE, text=True,
                              env=lib.environment(self.daemon.uri)) as reader:
            reader.stdout.readline()
            reader.stdout.close()  # as head does
            self.assertIn(reader.wait(60), (0, FAILED))


# ---- the manual and completion --------------------------------------------------------------

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        data = self.server.data
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *unused):
        pass


def blocks(section=None):
    """The examples of the manual, a block each, in its order."""
    text = (TOP / "docs" / "virtimagectl.rst").read_text(encoding="utf-8")
    for part in re.split(r"::\n\n", text)[1:]:
        lines = []
        for line in part.split("\n"):
            if line and not line.startswith("    "):
                break
            lines.append(line.strip())
        yield "\n".join(lines).strip()


class Manual(CtlCase):
    config = ('zones = [ "north", "south", "west" ]\n'
              'import_addresses = [ "127.0.0.1/32" ]\n'
              'export_listen = "127.0.0.1:0"\n')

    def setUp(self):
        super().setUp()
        self.server = HTTPServer(("127.0.0.1", 0), Server)
        self.server.data = os.urandom(MIB)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        super().tearDown()

    def prepare(self):
        for pool in ("images", "lab", "field", "mirror"):
            (self.work / ("store-" + pool)).mkdir()
            self.pool(pool, self.work / ("store-" + pool))
        self.ctl("zone", "attach", "field", "west")
        self.ctl("zone", "detach", "field", "north")
        first, second = self.raw("debian-12.raw"), self.work / "debian-12.1.raw"
        second.write_bytes(first.read_bytes()[:-1] + b"!")
        self.raw("debian-13.raw", seed=13)
        for path in (first, second):
            self.stored("images", path.name, path)
        big = self.raw("big.raw", SIZE, seed=14)
        self.v("vol-create-as", "images", "big.raw", SIZE)
        self.partly(big)

    def partly(self, big):
        """The first half of it, from a client that goes away."""
        with Connection(self.daemon.socket) as c:
            c.open()
            stream = c.begin("VOL_UPLOAD", rpc.VolRef("images", "big.raw", ""))
            data = big.read_bytes()[:SIZE // 2]
            for at in range(0, len(data), 262120):
                stream.data(data[at:at + 262120])
            # what waits when the client goes is lost, and what came is noted after the answer
            self.until(lambda: self.json("jobs")["jobs"][0]["done"] >= len(data))
            stream.abort()
        self.until(lambda: self.json("show", "images", "big.raw")["position"] > 0)

    def until(self, reached):
        deadline = time.monotonic() + 60
        while not reached():
            self.assertLess(time.monotonic(), deadline, "half an upload is not kept")
            time.sleep(0.05)

    def shell(self, script):
        env = lib.environment(self.daemon.uri, LIBVIRT_DEFAULT_URI=self.daemon.uri,
                              PATH="%s:%s" % (CTL.parent, os.environ["PATH"]))
        return subprocess.run(["bash", "-e", "-c", script], cwd=self.work, env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def example(self, script):
        done = self.shell(script)
        self.assertEqual(done.returncode, 0, script + "\n" + done.stderr + done.stdout)
        return done.stdout

    def test_examples(self):
        self.prepare()
        seen = set()
        for script in blocks():
            seen.update(re.findall(r"(?m)^(?:uri=\$\()?virtimagectl (?:--quiet )?((?:trash |zone |host-key |export (?=list|revoke)|nbd (?=stop))?[a-z-]+)", script))
            with self.subTest(script):
                self.run_one(script)
        self.assertEqual(sorted(set(COMMANDS) - seen), [])

    def run_one(self, script):
        if "machine-" in script:
            return  # test_machine.py runs those
        if "import" in script:
            script = script.replace("https://images.example.org",
                                    "http://127.0.0.1:%d" % self.server.server_port)
        if "job-cancel" in script:
            self.cancel(script)
            return
        if "export revoke" in script:
            known = self.json("export list")["exports"][0]["id"]
            script = re.sub(r"[0-9a-f-]{36}", known, script)
        if "nbd stop" in script:
            known = [e["id"] for e in self.json("export list")["exports"]
                     if e["state"] == "served"][0]
            script = re.sub(r"[0-9a-f-]{36}", known, script)
        if "host-key" in script:
            done = self.shell(script.replace(" remote ", " images "))
            self.assertIn("which has no host key", done.stderr)
            return
        if "big.raw" in script and not script.startswith("virtimagectl upload"):
            self.again()
        self.example(script)

    def again(self):
        self.v("vol-delete", "--pool", "images", "big.raw")
        self.v("vol-create-as", "images", "big.raw", SIZE)
        self.partly(self.work / "big.raw")

    def cancel(self, script):
        with Connection(self.daemon.socket) as c:
            c.open()
            c.begin("VOL_UPLOAD", rpc.VolRef("images", "big.raw", "")).data(b"x")
            job = self.json("jobs")["jobs"][0]["id"]
            self.example(script.replace(" 7", " %d" % job))

    def test_import(self):
        name = self.pool()
        url = "http://127.0.0.1:%d/a.raw?signature=secret" % self.server.server_port
        report = self.json("import", name, "a", url)
        self.assertEqual((report["name"], report["received"]), ("a", MIB))
        self.assertIn("Format: ", self.ctl("import", name, "b", url, "--format=raw"))
        said = self.ctl("import", name, "c", url, "--digest=sha256:" + "0" * 64, code=FAILED)
        self.assertNotIn("secret", said)
        self.assertIn("with --no-resume it is wiped", said)
        self.assertIn("must be wiped", self.ctl("import", name, "c", url, code=REFUSED))
        self.assertEqual(self.json("import", name, "c", url, "--no-resume")["resumed_at"], 0)
        self.json("import", name, "e", url, "--no-resume")
        self.ctl("import", name, "a", url, "--no-resume", code=REFUSED)
        self.ctl("import", name, "a", url, code=REFUSED)
        self.ctl("import", name, "d", url, "--digest=md5:00", code=USAGE)

    def test_whole_file_at_an_offset(self):
        self.prepare()
        position = self.json("show", "images", "big.raw")["position"]
        self.assertGreater(position, 0)
        done = self.shell("virsh vol-upload big.raw big.raw --pool images --offset %d" % position)
        self.assertEqual(done.returncode, 1, done.stdout)
        # what lies there is compared while more comes, so either may be found first
        image = self.json("show", "images", "big.raw")
        self.assertIn((image["state"], "differs" in done.stderr, "beyond" in (image["reason"] or "")),
                      (("saving", True, False), ("error", False, True)))


class Completion(unittest.TestCase):
    def complete(self, *words, home="/nowhere"):
        script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE=$LINE; '
                  '_virtimagectl; '
                  '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"')
        env = dict(os.environ, PATH="%s:%s" % (CTL.parent, os.environ["PATH"]),
                   XDG_CONFIG_HOME=str(home), LC_ALL="C.UTF-8",
                   LINE=re.sub(" ?([=:]) ?", r"\1", " ".join(("virtimagectl", *words))))
        done = subprocess.run(["bash", "-c", script, TOP / "src/cli/virtimagectl.bash",
                               "virtimagectl", *words], env=env, cwd=TOP, capture_output=True,
                              text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_words(self):
        self.assertEqual(self.complete(""), sorted({c.split()[0] for c in COMMANDS}))
        self.assertEqual(self.complete("tr"), ["trash"])
        self.assertEqual(self.complete("trash", ""), ["list", "purge", "restore"])
        self.assertEqual(self.complete("export", "l"), ["list"])
        self.assertEqual(self.complete("export", ""), ["list", "revoke"])
        self.assertEqual(self.complete("export", "list", ""), [])
        self.assertEqual(self.complete("cleanup", "--d"), ["--dry-run"])
        self.assertIn("--json", self.complete("cleanup", "--"))
        self.assertEqual(self.complete("status", "--progress", "=", "j"), ["json"])
        self.assertEqual(self.complete("status", "--progress", "="), ["auto", "json", "none"])
        self.assertEqual(self.complete("upload", "READ"), ["README.md"])
        self.assertEqual(self.complete("upload", "--format", "=", "q"), ["qcow2"])
        self.assertEqual(self.complete("explain", ""), [])
        for uri in (["--connect", "="], ["-c"]):
            self.assertEqual(self.complete(*uri, "image", ":", "///s"), ["///system", "///session"])
            self.assertEqual(self.complete(*uri, "image", ":", "///system", "st"), ["status"])
        self.assertEqual(self.complete("-c", "image", ":"), ["///system", "///session"])
        self.assertEqual(self.complete("a/b;p", "st"), [])

    def test_pools(self):
        daemon = runner.Daemon()
        self.addCleanup(daemon.remove)
        where = daemon.path("libvirt") / "image"
        where.mkdir()
        for name in ("demo", "图像", "a b"):
            (where / (name + ".xml")).touch()
        self.assertEqual(self.complete("list", "", home=daemon.root), ["a\\ b", "demo", "图像"])
        self.assertEqual(self.complete("-c", "image:///system", "list", "d", home=daemon.root),
                         ["demo"])
        self.assertEqual(self.complete("upload", "f", "d", home=daemon.root), ["demo"])
        self.assertEqual(self.complete("list", "demo", "", home=daemon.root), [])
        self.assertEqual(self.complete("list", "a\\ ", home=daemon.root), ["a\\ b"])


if __name__ == "__main__":
    runner.main("ctl")
