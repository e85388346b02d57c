# clones.py: images into pools of the host's libvirt, against its own clone of a volume
#
# SPDX-License-Identifier: LGPL-2.1-or-later
from data import SIZE, run
from peers import Pool

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
