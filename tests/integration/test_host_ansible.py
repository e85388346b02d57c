#!/usr/bin/python3
# test_host_ansible.py: pools of both sides, as Ansible's community.libvirt.virt_pool runs them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from daemon import TOP
from stock import Stock

PLAYBOOK = TOP / "tests" / "clients" / "pools.yml"
POOL = "<pool type='%s'><name>%s</name><target><path>%s</path></target></pool>"
NAMES = {"ours": "imagestore", "theirs": "dir"}


class Ansible(runner.DaemonCase):
    @classmethod
    def setUpClass(cls):
        stock = Stock()
        cls.addClassCleanup(stock.stop)
        stock.start()
        cls.stock = stock
        cls.config = 'host_uri = "%s"\ncompat_uris = ["qemu:///system"]\n' % stock.qemu
        super().setUpClass()

    def play(self, **values):
        """Returns what each task said: {TASK: result, or a list of one for each item}."""
        home = self.daemon.path("ansible")
        env = dict(os.environ, HOME=str(home), ANSIBLE_LOCAL_TEMP=str(home),
                   ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_PIPELINING="1",
                   ANSIBLE_LOCALHOST_WARNING="0", LC_ALL="C.UTF-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "-e", "ansible_python_interpreter=/usr/bin/python3",
             "-e", json.dumps(values), PLAYBOOK], capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, env=env, cwd=home)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr)
        said = {}
        for task in json.loads(done.stdout)["plays"][0]["tasks"]:
            result = task["hosts"]["localhost"]
            said[task["task"]["name"]] = result.get("results", result)
        return said

    def changed(self, results):
        return [r["changed"] for r in results]

    def test_life_of_pools(self):
        where = {name: self.daemon.path(name, make=False) for name in NAMES}
        pools = [{"name": name, "xml": POOL % (kind, name, where[name])}
                 for name, kind in NAMES.items()]
        said = self.play(uri=self.daemon.uri, pools=pools,
                         alias="qemu:///system?socket=" + self.daemon.socket)
        self.assertEqual([(r["created"], r["changed"]) for r in said["define"]],
                         [(name, True) for name in NAMES])
        self.assertEqual(self.changed(said["present"]), [False, False])
        self.assertEqual(self.changed(said["build"]), [True, True])
        self.assertEqual(said["create"]["create"], 0)
        self.assertEqual(self.changed(said["active"]), [False, True])
        self.assertEqual(self.changed(said["autostart"]), [True, True])
        for listed in said["list"]:
            self.assertEqual(sorted(listed["list_pools"]), sorted(NAMES))
        self.assertEqual(said["info"]["pools"],
                         said["facts"]["ansible_facts"]["ansible_libvirt_pools"])
        for name, pool in said["info"]["pools"].items():
            self.assertEqual({k: pool[k] for k in ("autostart", "persistent", "state", "status",
                                                   "type", "volume_count", "volumes", "path")},
                             {"autostart": "yes", "persistent": "yes", "state": "active",
                              "status": "running", "type": NAMES[name], "volume_count": 0,
                              "volumes": [], "path": str(where[name])})
            self.assertGreaterEqual(int(pool["size_total"]), int(pool["size_available"]))
        for name, result in zip(NAMES, said["xml"]):
            self.assertIn(said["info"]["pools"][name]["uuid"], result["get_xml"])
        self.assertEqual(self.changed(said["inactive"]), [True, True])
        self.assertEqual(sorted(said["list of inactive ones"]["list_pools"]), sorted(NAMES))
        self.assertEqual([r["undefine"] for r in said["undefine"]], [0, 0])
        self.assertEqual(said["empty list"]["list_pools"], [])
        # each side had its own, and nothing of either is left
        self.assertTrue((where["ours"] / "store.json").exists())
        self.assertEqual(list(where["theirs"].iterdir()), [])
        self.assertEqual(self.stock.virsh("pool-list", "--all", "--name").stdout.strip(), "")
        self.assertEqual(self.daemon.ok("pool-list", "--all", "--name").strip(), "")


if __name__ == "__main__":
    runner.main("clients")
