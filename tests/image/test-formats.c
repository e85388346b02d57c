/*
 * test-formats.c: small images, whole and spoilt, in one piece and in many
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image-maker.h"
#include "image/inspect.h"

#define KIB 1024
#define MIB (1024 * 1024)
#define TIB (G_GUINT64_CONSTANT(1) << 40)

#define GOOD -1
#define PROBE VIMG_ERROR_PROBE
#define UNSUPPORTED VIMG_ERROR_CONFIG_UNSUPPORTED

typedef struct {
    const char *path;
    Maker make;
    Number numbers[4]; /* written over it */
    guint64 text_at;
    const char *text; /* so is this; NULL: nothing */
    gint64 grow;      /* bytes at its end; negative: cut off */
    const char *declared;
    int code;
    const char *says; /* GOOD: the format; else a part of the message */
    guint64 capacity;
    gboolean unsealed; /* checksums stay wrong */
} Case;

static const Case cases[] = {
    /* what is declared */
    {"declared/qcow2", make_qcow2, .declared = "qcow2", .code = GOOD, .says = "qcow2",
     .capacity = MIB},
    {"declared/qcow2-as-raw", make_qcow2, .declared = "raw", .code = PROBE,
     .says = "is qcow2, declared was raw; create the volume with --format qcow2"},
    {"declared/qcow2-as-iso", make_qcow2, .declared = "iso", .code = PROBE,
     .says = "is qcow2, declared was iso"},
    {"declared/raw-as-qcow2", make_disk, .declared = "qcow2", .code = PROBE,
     .says = "is raw, declared was qcow2"},
    {"declared/raw-as-vpc", make_disk, .declared = "vpc", .code = PROBE, .says = "no vpc footer"},
    {"declared/vmdk-as-raw", make_vmdk, .declared = "raw", .code = PROBE, .says = "is vmdk"},
    {"declared/vdi-as-raw", make_vdi, .declared = "raw", .code = PROBE, .says = "is vdi"},
    {"declared/vpc-as-raw", make_vpc, .declared = "raw", .code = PROBE, .says = "is vpc"},
    {"declared/fixed-as-raw", make_fixed, .declared = "raw", .code = PROBE, .says = "is vpc"},
    {"declared/vhdx-as-raw", make_vhdx, .declared = "raw", .code = PROBE, .says = "is vhdx"},
    {"declared/text-as-raw", make_text, .declared = "raw", .code = PROBE, .says = "is vmdk"},
    {"declared/iso-as-raw", make_iso, .declared = "raw", .code = GOOD, .says = "raw",
     .capacity = 24 * 2048},
    {"declared/cut-iso-as-raw", make_iso, .grow = -2048, .declared = "raw", .code = GOOD,
     .says = "raw", .capacity = 23 * 2048},
    {"declared/raw-as-iso", make_disk, .declared = "iso", .code = PROBE,
     .says = "is raw, declared was iso"},
    /* raw and iso */
    {"raw/empty", make_disk, .grow = -64 * KIB, .code = GOOD, .says = "raw", .capacity = 0},
    {"raw/disk", make_disk, .declared = "raw", .code = GOOD, .says = "raw", .capacity = 64 * KIB},
    {"raw/luks", make_disk, .text = "LUKS\xba\xbe", .code = GOOD, .says = "raw",
     .capacity = 64 * KIB},
    {"raw/qed", make_disk, .text = "QED", .declared = "raw", .code = UNSUPPORTED,
     .says = "a qed image"},
    {"raw/parallels", make_disk, .text = "WithouFreSpacExt", .code = UNSUPPORTED,
     .says = "parallels"},
    {"raw/old-parallels", make_disk, .text = "WithoutFreeSpace", .code = UNSUPPORTED,
     .says = "parallels"},
    {"raw/bochs", make_disk, .text = "Bochs Virtual HD Image", .code = UNSUPPORTED,
     .says = "bochs"},
    {"raw/cloop", make_disk, .text = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop", .code = UNSUPPORTED,
     .says = "cloop"},
    {"raw/dmg", make_disk, .text_at = 64 * KIB - 512, .text = "koly", .declared = "raw",
     .code = UNSUPPORTED, .says = "dmg"},
    {"iso/found", make_iso, .code = GOOD, .says = "iso", .capacity = 24 * 2048},
    {"iso/hybrid",
     make_iso,
     {{510, 2, 0xaa55}, {446 + 4, 1, 0x17}},
     .code = GOOD,
     .says = "iso",
     .capacity = 24 * 2048},
    {"iso/udf", make_udf, .declared = "iso", .code = GOOD, .says = "iso", .capacity = 24 * 2048},
    {"iso/udf-half",
     make_udf,
     {{17 * 2048 + 1, 1, 0}},
     .declared = "iso",
     .code = PROBE,
     .says = "is raw"},
    {"iso/padded", make_iso, .grow = 300 * KIB, .code = GOOD, .says = "iso",
     .capacity = 24 * 2048 + 300 * KIB},
    {"iso/cut", make_iso, .grow = -1, .declared = "iso", .code = PROBE, .says = "cut off"},
    {"iso/block-size", make_iso, {{16 * 2048 + 128, 2, 100}}, .code = PROBE, .says = "block size"},
    /* qcow2 */
    {"qcow2/found", make_qcow2, .code = GOOD, .says = "qcow2", .capacity = MIB},
    {"qcow2/version-2",
     make_qcow2,
     {{4, -4, 2}, {72, -8, 0}, {96, -8, 0}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/version-1", make_qcow2, {{4, -4, 1}}, .code = UNSUPPORTED, .says = "version"},
    {"qcow2/version-4", make_qcow2, {{4, -4, 4}}, .code = UNSUPPORTED, .says = "version"},
    {"qcow2/stub", make_qcow2, .grow = 60 - 24 * KIB, .code = PROBE, .says = "cut off"},
    {"qcow2/dirty", make_qcow2, {{72, -8, 1}}, .code = GOOD, .says = "qcow2", .capacity = MIB},
    {"qcow2/corrupt", make_qcow2, {{72, -8, 2}}, .code = UNSUPPORTED, .says = "corrupt"},
    {"qcow2/data-file-bit",
     make_qcow2,
     {{72, -8, 4}},
     .code = UNSUPPORTED,
     .says = "in the file '?'"},
    {"qcow2/data-file",
     make_qcow2,
     {{104, -4, 0x44415441}, {108, -4, 5}},
     .text_at = 112,
     .text = "a\nb\xff!",
     .code = UNSUPPORTED,
     .says = "in the file 'a?b\xef\xbf\xbd!'"},
    {"qcow2/extension",
     make_qcow2,
     {{104, -4, 0x12345678}, {108, -4, 4000}},
     .code = PROBE,
     .says = "extension"},
    {"qcow2/compression",
     make_qcow2,
     {{72, -8, 8}, {100, -4, 112}, {104, 1, 1}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/compression-unknown",
     make_qcow2,
     {{72, -8, 8}, {100, -4, 112}, {104, 1, 2}},
     .code = UNSUPPORTED,
     .says = "compression"},
    {"qcow2/compression-without-bit",
     make_qcow2,
     {{100, -4, 112}, {104, 1, 1}},
     .code = PROBE,
     .says = "compression"},
    {"qcow2/extended-l2-small", make_qcow2, {{72, -8, 16}}, .code = PROBE, .says = "cluster size"},
    {"qcow2/feature-unknown",
     make_qcow2,
     {{72, -8, 32}},
     .code = UNSUPPORTED,
     .says = "incompatible feature"},
    {"qcow2/feature-far",
     make_qcow2,
     {{72, -8, G_GUINT64_CONSTANT(1) << 63}},
     .code = UNSUPPORTED,
     .says = "incompatible feature"},
    {"qcow2/backing",
     make_qcow2,
     {{8, -8, 1 * KIB}, {16, -4, 11}},
     .text_at = KIB,
     .text = "/etc/shadow",
     .code = UNSUPPORTED,
     .says = "backing file '/etc/shadow'; flatten"},
    {"qcow2/backing-far",
     make_qcow2,
     {{8, -8, TIB}, {16, -4, 11}},
     .code = UNSUPPORTED,
     .says = "parent"},
    {"qcow2/backing-long",
     make_qcow2,
     {{8, -8, 4 * KIB - 1}, {16, -4, 0xffffffff}},
     .code = UNSUPPORTED,
     .says = "parent"},
    {"qcow2/luks", make_qcow2, {{32, -4, 2}}, .code = GOOD, .says = "qcow2", .capacity = MIB},
    {"qcow2/luks-cut",
     make_qcow2,
     {{32, -4, 2},
      {104, -8, G_GUINT64_CONSTANT(0x0537be7700000010)},
      {112, -8, 20 * KIB},
      {120, -8, 5 * KIB}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/encryption-unknown",
     make_qcow2,
     {{32, -4, 3}},
     .code = UNSUPPORTED,
     .says = "encryption"},
    {"qcow2/cluster-8", make_qcow2, {{20, -4, 8}}, .code = PROBE, .says = "cluster size"},
    {"qcow2/cluster-22", make_qcow2, {{20, -4, 22}}, .code = PROBE, .says = "cluster size"},
    {"qcow2/cluster-huge",
     make_qcow2,
     {{20, -4, 0xffffffff}},
     .code = PROBE,
     .says = "cluster size"},
    {"qcow2/header-length", make_qcow2, {{100, -4, 103}}, .code = PROBE, .says = "header length"},
    {"qcow2/header-length-huge",
     make_qcow2,
     {{100, -4, 0xfffffff8}},
     .code = PROBE,
     .says = "header length"},
    {"qcow2/refcount-order", make_qcow2, {{96, -4, 7}}, .code = PROBE, .says = "refcount order"},
    {"qcow2/refcount-none", make_qcow2, {{56, -4, 0}}, .code = PROBE, .says = "refcount table"},
    {"qcow2/refcount-odd",
     make_qcow2,
     {{48, -8, 4 * KIB + 8}},
     .code = PROBE,
     .says = "refcount table"},
    {"qcow2/refcount-outside", make_qcow2, {{48, -8, 24 * KIB}}, .code = PROBE, .says = "cut off"},
    {"qcow2/refcount-huge",
     make_qcow2,
     {{56, -4, 0xffffffff}},
     .code = PROBE,
     .says = "refcount table"},
    {"qcow2/size-zero", make_qcow2, {{24, -8, 0}}, .code = GOOD, .says = "qcow2", .capacity = 0},
    {"qcow2/size-over-l1", make_qcow2, {{24, -8, 2 * MIB + 1}}, .code = PROBE, .says = "L1 table"},
    {"qcow2/size-negative",
     make_qcow2,
     {{24, -8, G_MAXUINT64}},
     .code = PROBE,
     .says = "virtual size"},
    {"qcow2/l1-huge", make_qcow2, {{36, -4, 0x7fffffff}}, .code = PROBE, .says = "L1 table"},
    {"qcow2/l1-odd", make_qcow2, {{40, -8, 12 * KIB + 8}}, .code = PROBE, .says = "L1 table"},
    {"qcow2/l1-outside", make_qcow2, {{40, -8, TIB}}, .code = PROBE, .says = "cut off"},
    {"qcow2/l1-overflow",
     make_qcow2,
     {{40, -8, G_GUINT64_CONSTANT(0xfffffffffffff000)}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/l2-outside", make_qcow2, {{12 * KIB, -8, 24 * KIB}}, .code = PROBE, .says = "cut off"},
    {"qcow2/data-outside",
     make_qcow2,
     {{16 * KIB + 8, -8, 24 * KIB}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/data-outside-last",
     make_qcow2,
     {{20 * KIB - 8, -8, 24 * KIB}},
     .code = PROBE,
     .says = "at least 28672"},
    {"qcow2/zero-outside",
     make_qcow2,
     {{16 * KIB + 8, -8, 24 * KIB + 1}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/data-cut", make_qcow2, .grow = -1, .code = PROBE, .says = "cut off"},
    {"qcow2/data-cut-behind-the-end",
     make_qcow2,
     {{24, -8, MIB - 512}},
     .grow = -512,
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB - 512},
    {"qcow2/compressed",
     make_qcow2,
     {{16 * KIB, -8, G_GUINT64_CONSTANT(16 + 7) << 58 | (24 * KIB - 513)}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/compressed-inside",
     make_qcow2,
     {{16 * KIB, -8, G_GUINT64_CONSTANT(16 + 4) << 58 | (20 * KIB + 7)}},
     .grow = -2047,
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/compressed-cut",
     make_qcow2,
     {{16 * KIB, -8, G_GUINT64_CONSTANT(16 + 4) << 58 | (20 * KIB + 7)}},
     .grow = -2048,
     .code = PROBE,
     .says = "at least 22529"},
    {"qcow2/l2-before-l1",
     make_qcow2,
     {{12 * KIB, -8, 8 * KIB}, {8 * KIB, -8, TIB}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/l2-in-second-cluster",
     make_qcow2,
     {{12 * KIB, -8, 4 * KIB}, {4 * KIB, -8, TIB}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/l2-twice",
     make_qcow2,
     {{24, -8, 3 * MIB}, {36, -4, 2}, {12 * KIB + 8, -8, 16 * KIB}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = 3 * MIB},
    {"qcow2/snapshots",
     make_qcow2,
     {{60, -4, 1}, {64, -8, 20 * KIB}},
     .code = GOOD,
     .says = "qcow2",
     .capacity = MIB},
    {"qcow2/snapshots-outside",
     make_qcow2,
     {{60, -4, 1}, {64, -8, 24 * KIB}},
     .code = PROBE,
     .says = "cut off"},
    {"qcow2/snapshots-many",
     make_qcow2,
     {{60, -4, 65537}, {64, -8, 20 * KIB}},
     .code = PROBE,
     .says = "snapshot table"},
    /* vmdk */
    {"vmdk/found", make_vmdk, .code = GOOD, .says = "vmdk", .capacity = 32 * KIB},
    {"vmdk/declared", make_vmdk, .declared = "vmdk", .code = GOOD, .says = "vmdk",
     .capacity = 32 * KIB},
    {"vmdk/cut", make_vmdk, .grow = -512, .code = PROBE, .says = "cut off"},
    {"vmdk/stub", make_vmdk, .grow = 512 - 18 * 512, .code = PROBE, .says = "cut off"},
    {"vmdk/table-outside", make_vmdk, {{5 * 512, 4, 15}}, .code = PROBE, .says = "cut off"},
    {"vmdk/grain-outside", make_vmdk, {{6 * 512 + 28, 4, 18}}, .code = PROBE, .says = "cut off"},
    {"vmdk/grain-zero",
     make_vmdk,
     {{6 * 512 + 28, 4, 1}},
     .code = GOOD,
     .says = "vmdk",
     .capacity = 32 * KIB},
    {"vmdk/version", make_vmdk, {{4, 4, 4}}, .code = UNSUPPORTED, .says = "version"},
    {"vmdk/capacity-zero", make_vmdk, {{12, 8, 0}}, .code = PROBE, .says = "capacity"},
    {"vmdk/capacity-huge", make_vmdk, {{12, 8, G_MAXUINT64}}, .code = PROBE, .says = "capacity"},
    {"vmdk/grain-odd", make_vmdk, {{20, 8, 9}}, .code = PROBE, .says = "grain size"},
    {"vmdk/table-empty", make_vmdk, {{44, 4, 0}}, .code = PROBE, .says = "grain table"},
    {"vmdk/directory-none", make_vmdk, {{56, 8, 0}}, .code = PROBE, .says = "grain directory"},
    {"vmdk/directory-outside", make_vmdk, {{56, 8, 18}}, .code = PROBE, .says = "cut off"},
    {"vmdk/line-ends", make_vmdk, {{75, 1, '\n'}}, .code = PROBE, .says = "line end"},
    {"vmdk/grain-compressed",
     make_vmdk,
     {{8, 4, 0x30001}, {77, 2, 1}, {10 * 512 + 8, 4, 4096 - 12}},
     .code = GOOD,
     .says = "vmdk",
     .capacity = 32 * KIB},
    {"vmdk/grain-compressed-cut",
     make_vmdk,
     {{8, 4, 0x30001}, {77, 2, 1}, {10 * 512 + 8, 4, 4096 - 11}},
     .code = PROBE,
     .says = "at least 9217"},
    {"vmdk/grain-compressed-far",
     make_vmdk,
     {{8, 4, 0x30001}, {77, 2, 1}, {6 * 512, 4, 11}, {11 * 512 + 8, 4, 3584 - 11}},
     .code = PROBE,
     .says = "at least 9217"},
    {"vmdk/grain-compressed-outside",
     make_vmdk,
     {{8, 4, 0x30001}, {77, 2, 1}, {6 * 512, 4, 18}},
     .code = PROBE,
     .says = "cut off"},
    {"vmdk/compression",
     make_vmdk,
     {{8, 4, 0x10001}, {77, 2, 2}},
     .code = UNSUPPORTED,
     .says = "compression"},
    {"vmdk/descriptor-huge", make_vmdk, {{36, 8, 129}}, .code = PROBE, .says = "descriptor"},
    {"vmdk/descriptor-outside", make_vmdk, {{28, 8, 18}}, .code = PROBE, .says = "cut off"},
    {"vmdk/overhead-outside", make_vmdk, {{64, 8, 19}}, .code = PROBE, .says = "cut off"},
    {"vmdk/descriptor-none",
     make_vmdk,
     {{36, 8, 0}},
     .code = UNSUPPORTED,
     .says = "without descriptor"},
    {"vmdk/cowd", make_disk, .text = "COWD", .code = UNSUPPORTED, .says = "ESX"},
    {"vmdk/se-sparse", make_disk, {{0, 8, 0xcafebabe}}, .code = UNSUPPORTED, .says = "ESX"},
    {"vmdk/child", make_vmdk, .text_at = 512, .text = "parentCID = 12345678\n#",
     .code = UNSUPPORTED, .says = "parent"},
    {"vmdk/parent", make_vmdk, .text_at = 512, .text = "parentfilenamehint=\"/a/b\"\n#",
     .code = UNSUPPORTED, .says = "backing file '/a/b'"},
    {"vmdk/no-type", make_vmdk, .text_at = 512 + 64, .text = "x", .code = UNSUPPORTED,
     .says = "createType"},
    {"vmdk/type", make_vmdk, .text_at = 512, .text = "createType=\"twoGbMaxExtentSparse\"\n#",
     .code = UNSUPPORTED, .says = "in the file 'disk.vmdk'"},
    {"vmdk/second-extent", make_vmdk, .text_at = 512, .text = "RW 64 SPARSE \"a.vmdk\"\n#",
     .code = UNSUPPORTED, .says = "in the file 'a.vmdk'"},
    {"vmdk/flat-extent", make_vmdk, .text_at = 512, .text = "RW 64 FLAT \"a.vmdk\" 0\n#",
     .code = UNSUPPORTED, .says = "in the file 'a.vmdk'"},
    {"vmdk/extent-elsewhere", make_vmdk, .text_at = 512, .text = "RW 64 SPARSE \"../a\"\n#",
     .code = UNSUPPORTED, .says = "in the file '../a'"},
    {"vmdk/text", make_text, .declared = "vmdk", .code = UNSUPPORTED,
     .says = "in the file 'disk.vmdk'"},
    {"vmdk/text-plain", make_disk, .text = "# hello\n\nversion=1\nRW 1 FLAT \"/dev/sda\" 0\n",
     .code = UNSUPPORTED, .says = "in the file '/dev/sda'"},
    {"vmdk/stream", make_stream, .code = GOOD, .says = "vmdk", .capacity = 32 * KIB},
    {"vmdk/stream-cut", make_stream, .grow = -512, .code = PROBE, .says = "end-of-stream marker"},
    {"vmdk/stream-grown", make_stream, .grow = 512, .code = PROBE, .says = "end-of-stream marker"},
    {"vmdk/stream-footer",
     make_stream,
     {{17 * 512, 1, 0}},
     .code = PROBE,
     .says = "end-of-stream marker"},
    {"vmdk/stream-directory",
     make_stream,
     {{17 * 512 + 56, 8, 19}},
     .code = PROBE,
     .says = "grain directory"},
    /* vdi */
    {"vdi/found", make_vdi, .code = GOOD, .says = "vdi", .capacity = 16 * KIB},
    {"vdi/static",
     make_vdi,
     {{76, 4, 2}},
     .declared = "vdi",
     .code = GOOD,
     .says = "vdi",
     .capacity = 16 * KIB},
    {"vdi/cut", make_vdi, .grow = -1, .code = PROBE, .says = "cut off"},
    {"vdi/block-outside", make_vdi, {{516, 4, 2}}, .code = PROBE, .says = "cut off"},
    {"vdi/allocated", make_vdi, {{388, 4, 3}}, .code = PROBE, .says = "cut off"},
    {"vdi/stub", make_vdi, .grow = 100 - 9 * KIB, .code = PROBE, .says = "cut off"},
    {"vdi/version", make_vdi, {{68, 4, 0x20000}}, .code = UNSUPPORTED, .says = "version"},
    {"vdi/undo", make_vdi, {{76, 4, 3}}, .code = UNSUPPORTED, .says = "image type"},
    {"vdi/difference", make_vdi, {{76, 4, 4}}, .code = UNSUPPORTED, .says = "parent"},
    {"vdi/parent", make_vdi, {{440, 4, 4}}, .code = UNSUPPORTED, .says = "parent"},
    {"vdi/block-size", make_vdi, {{376, 4, 4097}}, .code = PROBE, .says = "block size"},
    {"vdi/blocks", make_vdi, {{388, 4, 5}}, .code = PROBE, .says = "number of blocks"},
    {"vdi/size", make_vdi, {{368, 8, 16 * KIB + 1}}, .code = PROBE, .says = "virtual size"},
    {"vdi/map", make_vdi, {{344, 4, 520}}, .code = PROBE, .says = "block map"},
    /* vpc */
    {"vpc/found", make_vpc, .code = GOOD, .says = "vpc", .capacity = 16 * KIB},
    {"vpc/declared", make_vpc, .declared = "vpc", .code = GOOD, .says = "vpc",
     .capacity = 16 * KIB},
    {"vpc/cut", make_vpc, .grow = -512, .code = PROBE, .says = "cut off"},
    {"vpc/cut-elsewhere",
     make_vpc,
     {{1536 + 4, -4, 0xffffffff}},
     .grow = -512,
     .code = PROBE,
     .says = "does not end in its footer"},
    {"vpc/grown", make_vpc, .grow = 512, .code = PROBE, .says = "does not end in its footer"},
    {"vpc/checksum", make_vpc, {{20, 1, 1}}, .code = PROBE, .says = "checksum", .unsealed = TRUE},
    {"vpc/difference", make_vpc, {{60, -4, 4}}, .code = UNSUPPORTED, .says = "parent"},
    {"vpc/type", make_vpc, {{60, -4, 1}}, .code = UNSUPPORTED, .says = "disk type"},
    {"vpc/version", make_vpc, {{12, -4, 0x20000}}, .code = UNSUPPORTED, .says = "version"},
    {"vpc/copy-differs",
     make_vpc,
     {{48, -8, 12 * KIB}},
     .code = PROBE,
     .says = "copy of the footer"},
    {"vpc/copy-missing", make_vpc, {{0, 8, 0}}, .code = PROBE, .says = "copy of the footer"},
    {"vpc/header", make_vpc, {{512, 1, 0}}, .code = PROBE, .says = "dynamic disk header"},
    {"vpc/header-outside", make_vpc, {{16, -8, TIB}}, .code = PROBE, .says = "cut off"},
    {"vpc/header-version",
     make_vpc,
     {{512 + 24, -4, 0x20000}},
     .code = UNSUPPORTED,
     .says = "version"},
    {"vpc/block-size", make_vpc, {{512 + 32, -4, 4097}}, .code = PROBE, .says = "block size"},
    {"vpc/table-short", make_vpc, {{512 + 28, -4, 3}}, .code = PROBE, .says = "block table"},
    {"vpc/table-outside", make_vpc, {{512 + 16, -8, TIB}}, .code = PROBE, .says = "cut off"},
    {"vpc/block-outside", make_vpc, {{1536, -4, 5}}, .code = PROBE, .says = "cut off"},
    {"vpc/fixed", make_fixed, .code = GOOD, .says = "vpc", .capacity = 16 * KIB},
    {"vpc/fixed-short",
     make_fixed,
     {{16 * KIB + 48, -8, 17 * KIB}},
     .code = PROBE,
     .says = "cut off"},
    {"vpc/fixed-huge",
     make_fixed,
     {{16 * KIB + 48, -8, G_MAXUINT64}},
     .code = PROBE,
     .says = "virtual size"},
    {"vpc/fixed-checksum",
     make_fixed,
     {{16 * KIB + 48, -8, KIB}},
     .code = GOOD,
     .says = "raw",
     .capacity = 16 * KIB + 512,
     .unsealed = TRUE},
    {"vpc/fixed-cut", make_fixed, .grow = -512, .declared = "vpc", .code = PROBE,
     .says = "no vpc footer"},
    /* vhdx */
    {"vhdx/found", make_vhdx, .code = GOOD, .says = "vhdx", .capacity = 3 * MIB},
    {"vhdx/declared", make_vhdx, .declared = "vhdx", .code = GOOD, .says = "vhdx",
     .capacity = 3 * MIB},
    {"vhdx/stub", make_vhdx, .grow = 200 * KIB - 5 * MIB, .code = PROBE, .says = "cut off"},
    {"vhdx/cut", make_vhdx, .grow = -1, .code = PROBE, .says = "cut off"},
    {"vhdx/block-outside",
     make_vhdx,
     {{2 * MIB + 16, 8, 5 * MIB + 6}},
     .code = PROBE,
     .says = "at least 6291456"},
    {"vhdx/block-unused-outside",
     make_vhdx,
     {{2 * MIB + 16, 8, 5 * MIB + 2}},
     .code = GOOD,
     .says = "vhdx",
     .capacity = 3 * MIB},
    {"vhdx/header",
     make_vhdx,
     {{64 * KIB, 1, 0}, {128 * KIB, 1, 0}},
     .code = PROBE,
     .says = "header is impossible"},
    {"vhdx/one-header",
     make_vhdx,
     {{128 * KIB, 1, 0}},
     .code = GOOD,
     .says = "vhdx",
     .capacity = 3 * MIB},
    {"vhdx/log",
     make_vhdx,
     {{128 * KIB + 48, 8, 1}},
     .code = UNSUPPORTED,
     .says = "not closed cleanly"},
    {"vhdx/old-log",
     make_vhdx,
     {{64 * KIB + 48, 8, 1}},
     .code = GOOD,
     .says = "vhdx",
     .capacity = 3 * MIB},
    {"vhdx/version", make_vhdx, {{128 * KIB + 66, 2, 2}}, .code = UNSUPPORTED, .says = "version"},
    {"vhdx/regions", make_vhdx, {{192 * KIB, 1, 0}}, .code = PROBE, .says = "region table"},
    {"vhdx/regions-many",
     make_vhdx,
     {{192 * KIB + 8, 4, 2048}},
     .code = PROBE,
     .says = "region table"},
    {"vhdx/region-missing",
     make_vhdx,
     {{192 * KIB + 8, 4, 1}},
     .code = PROBE,
     .says = "region table"},
    {"vhdx/region-unknown",
     make_vhdx,
     {{192 * KIB + 8, 4, 3}, {192 * KIB + 80 + 28, 4, 1}},
     .code = UNSUPPORTED,
     .says = "region"},
    {"vhdx/region-outside",
     make_vhdx,
     {{192 * KIB + 64, 8, 5 * MIB}},
     .code = PROBE,
     .says = "cut off"},
    {"vhdx/blocks-outside",
     make_vhdx,
     {{192 * KIB + 32, 8, 5 * MIB}},
     .code = PROBE,
     .says = "cut off"},
    {"vhdx/region-odd",
     make_vhdx,
     {{192 * KIB + 64, 8, 3 * MIB + 8}},
     .code = PROBE,
     .says = "region table"},
    {"vhdx/metadata", make_vhdx, {{3 * MIB, 1, 0}}, .code = PROBE, .says = "metadata table"},
    {"vhdx/metadata-missing",
     make_vhdx,
     {{3 * MIB + 10, 2, 1}},
     .code = PROBE,
     .says = "metadata table"},
    {"vhdx/metadata-unknown",
     make_vhdx,
     {{3 * MIB + 10, 2, 3}, {3 * MIB + 96, 1, 9}, {3 * MIB + 96 + 24, 4, 4}},
     .code = UNSUPPORTED,
     .says = "metadata item"},
    {"vhdx/item-outside",
     make_vhdx,
     {{3 * MIB + 80, 4, MIB - 7}},
     .code = PROBE,
     .says = "metadata table"},
    {"vhdx/parent",
     make_vhdx,
     {{3 * MIB + 64 * KIB + 4, 4, 2}},
     .code = UNSUPPORTED,
     .says = "parent"},
    {"vhdx/block-size",
     make_vhdx,
     {{3 * MIB + 64 * KIB, 4, MIB + 1}},
     .code = PROBE,
     .says = "block size"},
    {"vhdx/size",
     make_vhdx,
     {{3 * MIB + 64 * KIB + 8, 8, 65 * TIB}},
     .code = PROBE,
     .says = "virtual size"},
    {"vhdx/table-short",
     make_vhdx,
     {{3 * MIB + 64 * KIB + 8, 8, TIB}},
     .code = PROBE,
     .says = "block table"},
};

/* ---- verdicts --------------------------------------------------------------------------- */

typedef struct {
    gboolean ok;
    VimgInspection found;
    GError *error;
} Verdict;

static gboolean
is_zero(const guint8 *data, gsize size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Feeds pieces of @piece bytes; @holes: those of zeros as holes. */
static Verdict
inspect(const GByteArray *bytes, gsize piece, gboolean holes, const char *declared)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    Verdict verdict = {.error = NULL};
    gsize at;

    for (at = 0; at < bytes->len; at += piece) {
        gsize n = MIN(piece, bytes->len - at);
        /* a copy of its own, so that a sanitizer sees a read behind its end */
        g_autofree guint8 *data = g_memdup2(bytes->data + at, n);

        vimg_inspector_feed(inspector, holes && is_zero(data, n) ? NULL : data, n);
    }
    verdict.ok = vimg_inspector_finish(inspector, declared, &verdict.found, &verdict.error);
    return verdict;
}

static void
check_case(const Case *c, const Verdict *verdict)
{
    if (c->code == GOOD) {
        g_assert_no_error(verdict->error);
        g_assert_true(verdict->ok);
        g_assert_cmpstr(verdict->found.format, ==, c->says);
        g_assert_cmpuint(verdict->found.capacity, ==, c->capacity);
        return;
    }
    g_assert_error(verdict->error, VIMG_ERROR, c->code);
    g_assert_false(verdict->ok);
    if (!strstr(verdict->error->message, c->says))
        g_error("'%s' is not in: %s", c->says, verdict->error->message);
}

static void
test_case(gconstpointer data)
{
    static const gsize pieces[] = {1, 7, 511, 512, 4095, 4096, 4097, 65536, 1000003};
    const Case *c = data;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Image image = {bytes};
    Verdict whole;
    gsize i;

    c->make(&image);
    image_seal(&image);
    for (i = 0; i < G_N_ELEMENTS(c->numbers) && c->numbers[i].width; i++)
        image_number(&image, c->numbers[i]);
    if (c->text)
        image_put(&image, c->text_at, c->text, strlen(c->text));
    if (!c->unsealed)
        image_seal(&image);
    image_grow(&image, bytes->len + MAX(c->grow, 0));
    g_byte_array_set_size(bytes, bytes->len + (guint)MIN(c->grow, 0));

    whole = inspect(bytes, G_MAXUINT32, FALSE, c->declared);
    check_case(c, &whole);
    for (i = 0; i < G_N_ELEMENTS(pieces); i++) {
        Verdict again;

        if (bytes->len > 64 * KIB && pieces[i] < 511)
            continue;
        again = inspect(bytes, pieces[i], i % 2, c->declared);
        check_case(c, &again);
        if (whole.error)
            g_assert_cmpstr(again.error->message, ==, whole.error->message);
        g_clear_error(&again.error);
    }
    g_clear_error(&whole.error);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/formats/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    return g_test_run();
}
