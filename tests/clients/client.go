// client.go: what a Go program (Terraform's provider, for one) does with an image pool
//
// Usage: client SOCKET URI DIRECTORY IMAGE OUTPUT [PRIMARY]
// Defines, builds and starts a pool on DIRECTORY, stores IMAGE, looks it up in every way, clones it,
// reads the clone into OUTPUT, and removes everything.  With PRIMARY, a pool of the host, the image
// becomes a volume there too.  Exit status 1 with a message on any failure.
//
// SPDX-License-Identifier: LGPL-2.1-or-later
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "client.go: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func expect(what string, ok bool) {
	if !ok {
		must(what, fmt.Errorf("not as expected"))
	}
}

func primary(l *libvirt.Libvirt, name string, vol libvirt.StorageVol, size int64) {
	pool, err := l.StoragePoolLookupByName(name)
	must("the host's pool", err)
	pools, _, err := l.ConnectListAllStoragePools(1, 0)
	must("list pools of both sides", err)
	found := 0
	for _, each := range pools {
		if each.Name == name || each.Name == "go" {
			found++
		}
	}
	expect("pools of both sides", found == 2)
	copied, err := l.StorageVolCreateXMLFrom(pool, fmt.Sprintf(
		"<volume><name>go.img</name><capacity>%d</capacity><target><format type='raw'/></target>"+
			"</volume>", size), vol, 0)
	must("clone into the host's pool", err)
	kind, _, _, err := l.StorageVolGetInfo(copied)
	must("the host's volume", err)
	expect("a file", kind == 0)
	_, _, err = l.ConnectListAllDomains(1, 0)
	must("domains of the host", err)
}

func main() {
	socket, uri, dir, image, output := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	l := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(socket)))
	must("connect", l.ConnectToURI(libvirt.ConnectURI(uri)))

	version, err := l.ConnectGetLibVersion()
	must("library version", err)
	expect("library version", version > 1000000)
	capabilities, err := l.ConnectGetCapabilities()
	must("capabilities", err)
	expect("capabilities", strings.Contains(capabilities, "<capabilities"))

	_, err = l.StoragePoolLookupByName("no-such-pool")
	expect("missing pool", libvirt.IsNotFound(err) || strings.Contains(err.Error(), "not found"))

	pool, err := l.StoragePoolDefineXML(fmt.Sprintf(
		"<pool type='imagestore'><name>go</name><target><path>%s</path></target></pool>", dir), 0)
	must("define", err)
	must("build", l.StoragePoolBuild(pool, 0))
	must("start", l.StoragePoolCreate(pool, 0))
	_, capacity, _, _, err := l.StoragePoolGetInfo(pool)
	must("pool info", err)
	expect("pool capacity", capacity > 0)

	info, err := os.Stat(image)
	must("stat", err)
	vol, err := l.StorageVolCreateXML(pool, fmt.Sprintf(
		"<volume><name>go.img</name><capacity>%d</capacity><target><format type='raw'/></target>"+
			"</volume>", info.Size()), 0)
	must("create", err)
	in, err := os.Open(image)
	must("open", err)
	must("upload", l.StorageVolUpload(vol, in, 0, 0, 0))
	in.Close()

	byKey, err := l.StorageVolLookupByKey(vol.Key)
	must("lookup by key", err)
	expect("lookup by key", byKey.Name == "go.img" && byKey.Pool == "go")
	_, size, _, err := l.StorageVolGetInfo(vol)
	must("volume info", err)
	expect("capacity", size == uint64(info.Size()))
	clone, err := l.StorageVolCreateXMLFrom(pool,
		"<volume><name>clone.img</name><capacity>0</capacity></volume>", vol, 0)
	must("clone", err)
	vols, count, err := l.StoragePoolListAllVolumes(pool, 1, 0)
	must("list", err)
	expect("two volumes", len(vols) == 2 && count == 2)
	pools, _, err := l.ConnectListAllStoragePools(1, 0)
	must("list pools", err)
	expect("a pool", len(pools) > 0)

	out, err := os.Create(output)
	must("create output", err)
	must("download", l.StorageVolDownload(clone, out, 0, 0, 0))
	must("close output", out.Close())
	for i := 0; i < 20; i++ { // it never sends a finish: streams must not pile up
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		must("null", err)
		must("download again", l.StorageVolDownload(clone, null, 0, 1000, 0))
		null.Close()
	}

	err = l.StorageVolResize(vol, uint64(info.Size())*2, 0)
	expect("a sealed image cannot be resized", err != nil)
	err = l.StorageVolUpload(vol, strings.NewReader("x"), 0, 0, 0)
	expect("a sealed image cannot be overwritten", err != nil)
	if len(os.Args) > 6 {
		primary(l, os.Args[6], vol, info.Size())
	}
	must("delete", l.StorageVolDelete(vol, 0))
	must("delete the clone", l.StorageVolDelete(clone, 0))
	must("refresh", l.StoragePoolRefresh(pool, 0))
	must("stop", l.StoragePoolDestroy(pool))
	must("undefine", l.StoragePoolUndefine(pool))
	must("disconnect", l.Disconnect())
	fmt.Println("done")
}
