# clones.py: images into pools of the host's libvirt, against its own clone of a volume
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import uuid

from ceph import Cluster
from data import SIZE, run
from peers import Pool
from rados import CephPool
from stock import Stock

VOLUME = "<volume><name>%s</name>%s<capacity unit='bytes'>%d</capacity><target>" \
         "<format type='%s'/></target></volume>"


class Host(Pool):
    """A pool of the host, seen through virtimaged too."""

    def __init__(self, bench, ours, name):
        super().__init__(bench.stock(), "dir", bench.work, name)
        self.bench, self.ours = bench, ours

    def clone(self, name, image, pool, fmt="raw", more=""):
        path = self.bench.work / "clone.xml"
        path.write_text(VOLUME % (name, more, SIZE, fmt))
        return ["virsh", "-q", "-c", self.ours.uri, "vol-create-from", self.name, str(path), image,
                "--inputpool", pool]

    def forget(self, *names):
        for name in names:
            self.virsh("vol-delete", name, "--pool", self.name)


def part_clone(bench):
    """A system image, stored raw and as qcow2, becomes a raw volume, and overlays."""
    images = bench.images()
    ours = bench.ours('host_uri = "%s"\n' % bench.stock().qemu)
    pool, host = Pool(ours, "imagestore", bench.work, "images"), Host(bench, ours, "primary")
    pool.store("v1", images.v1)
    qcow2 = bench.work / "v1.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", images.v1, qcow2)
    pool.store("v1.qcow2", qcow2, "qcow2")
    host.store("local", images.v1)
    for i in range(bench.rounds):
        bench.timed("clone of an image", host.clone("c", "v1", pool.name), [pool.dir])
        if i == 0:
            run("qemu-img", "compare", "-f", "raw", "-F", "raw", images.v1, host.dir / "c")
        host.forget("c")
        bench.timed("stock vol-clone", host.command("vol-clone", "local", "c", "--pool", host.name),
                    [host.dir])
        host.forget("c")
        bench.timed("clone of a qcow2 image", host.clone("c", "v1.qcow2", pool.name), [pool.dir])
        host.forget("c")
        over = "<backingStore><path>imagestore://%s/v1</path></backingStore>" % pool.name
        bench.timed("first overlay", host.clone("o1", "v1", pool.name, "qcow2", over), [pool.dir])
        bench.timed("second overlay", host.clone("o2", "v1", pool.name, "qcow2", over))
        host.forget("o1", "o2", next(host.dir.glob("virtimage-base-*")).name)
    bench.ratio("clone of an image", 1.0, "stock vol-clone")
    bench.ratio("clone of a qcow2 image", 1.0, "stock vol-clone")
    bench.seconds("second overlay", 0.2)
    for store in (pool, host):
        store.remove()


RBD = "<pool type='rbd'><name>%s</name><source><host name='127.0.0.1' port='%d'/><name>%s</name>" \
      "<auth type='ceph' username='admin'><secret uuid='%s'/></auth></source></pool>"


def rbd_pool(bench, cluster, stock, name):
    """A pool of the host in a RADOS pool of its own; its key is the host's."""
    secret, path = str(uuid.uuid4()), bench.work / "rbd.xml"

    def virsh(*args):
        return run("virsh", "-q", "-c", stock.qemu, *args)

    cluster.pool(name)
    path.write_text("<secret private='no'><uuid>%s</uuid><usage type='ceph'><name>%s</name></usage>"
                    "</secret>" % (secret, name))
    virsh("secret-define", path)
    path.write_text(cluster.key())
    virsh("secret-set-value", secret, "--file", path)
    path.write_text(RBD % (name, cluster.port, name, secret))
    virsh("pool-define", path)
    virsh("pool-start", name)


def part_clonerbd(bench):
    """An image of a cluster becomes a volume of the host's pool in the same cluster."""
    cluster, stock = Cluster(bench.work / "cluster"), Stock(network=True)
    bench.daemons.append(stock)
    try:
        cluster.start()
        os.environ["CEPH_CONF"] = cluster.conf
        stock.start()
        ours = bench.ours('host_uri = "%s"\n' % stock.qemu)
        pool = CephPool(ours, cluster, bench.work, "images")
        pool.create("image", size=SIZE)
        run(*pool.upload("image", bench.images().v1, "--sparse"))
        rbd_pool(bench, cluster, stock, "primary")
        xml = bench.work / "clone.xml"
        for i in range(2 * bench.rounds):
            xml.write_text(VOLUME % ("c%d" % i, "", SIZE, "raw"))
            bench.timed("Ceph to rbd", ["virsh", "-q", "-c", ours.uri, "vol-create-from", "primary",
                                        str(xml), "image", "--inputpool", pool.name])
        if len(cluster.rbd("children", "images/image@image").split()) != 2 * bench.rounds:
            raise AssertionError("the clones were copied")
        bench.seconds("Ceph to rbd", 0.3)
    finally:
        cluster.stop()
