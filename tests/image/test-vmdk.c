/*
 * test-vmdk.c: small vmdk images, whole and spoilt
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image-case.h"

#define EVIL "# Disk DescriptorFile\nversion=1\nparentFileNameHint=\"/a/b\"\n"

/* The header names a good descriptor; another is where programs look for it. */
static void
make_elsewhere(Image *image)
{
    make_vmdk(image);
    image_put(image, 18 * 512, image->bytes->data + 512, 4 * 512);
    image_put(image, 512, EVIL, sizeof(EVIL));
    image_number(image, (Number){28, 8, 18});
}

/* The descriptor of one sector, as the header says, goes on in the next one. */
static void
make_behind(Image *image)
{
    guint8 *text;

    make_vmdk(image);
    image_number(image, (Number){36, 8, 1});
    text = image->bytes->data + 512;
    memset(text + strlen((char *)text), '#', 512 - strlen((char *)text));
    image_put(image, 2 * 512, "\n" EVIL, sizeof("\n" EVIL));
}

static const Case cases[] = {
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
    {"vmdk/descriptor-outside", make_vmdk, {{36, 8, 18}}, .code = PROBE, .says = "cut off"},
    {"vmdk/descriptor-elsewhere", make_elsewhere, .code = UNSUPPORTED,
     .says = "place of the descriptor"},
    {"vmdk/overhead-outside", make_vmdk, {{64, 8, 19}}, .code = PROBE, .says = "cut off"},
    {"vmdk/overhead-wraps",
     make_vmdk,
     {{64, 8, G_GUINT64_CONSTANT(1) << 55}},
     .code = PROBE,
     .says = "overhead"},
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
    {"vmdk/parent-in-comment", make_vmdk, .text_at = 512,
     .text = "# parentFileNameHint=\"/a/b\"\n#", .code = UNSUPPORTED,
     .says = "backing file '/a/b'"},
    {"vmdk/parent-in-key", make_vmdk, .text_at = 512, .text = "xparentFileNameHint=\"/a/b\"\n#",
     .code = UNSUPPORTED, .says = "backing file '/a/b'"},
    {"vmdk/parent-behind", make_behind, .code = UNSUPPORTED, .says = "backing file '/a/b'"},
    {"vmdk/parent-behind-the-zero",
     make_behind,
     {{512 + 400, 1, 0}},
     .code = GOOD,
     .says = "vmdk",
     .capacity = 32 * KIB},
    {"vmdk/parent-unnamed", make_vmdk, .text_at = 512, .text = "#parentFileNameHint\n#",
     .code = UNSUPPORTED, .says = "backing file ''"},
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
    {"vmdk/extent-tabs", make_vmdk, .text_at = 512, .text = "RW\t64\tFLAT\t\"/a/b\"\t0\n#",
     .code = UNSUPPORTED, .says = "in the file '/a/b'"},
    {"vmdk/extent-vertical", make_vmdk, .text_at = 512, .text = "RW\v64\fFLAT \"/a/b\" 0\n#",
     .code = UNSUPPORTED, .says = "in the file '/a/b'"},
    {"vmdk/extent-unnamed", make_vmdk, .text_at = 512, .text = "RW 64 SPARSE \"\"\n#",
     .code = UNSUPPORTED, .says = "in the file"},
    {"vmdk/extent-bare", make_vmdk, .text_at = 512, .text = "RW\n#", .code = UNSUPPORTED,
     .says = "in the file"},
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
    {"vmdk/stream-directory-none",
     make_stream,
     {{17 * 512 + 56, 8, 0}},
     .code = PROBE,
     .says = "grain directory"},
    {"vmdk/stream-directory-long",
     make_stream,
     {{12, 8, 8 * 512 * 128 + 1}, {17 * 512 + 12, 8, 8 * 512 * 128 + 1}},
     .code = PROBE,
     .says = "grain directory"},
    {"vmdk/stream-capacity",
     make_stream,
     {{17 * 512 + 12, 8, 16 * MIB}},
     .code = PROBE,
     .says = "copy of the header"},
    {"vmdk/stream-version",
     make_stream,
     {{17 * 512 + 4, 4, 3}},
     .code = PROBE,
     .says = "copy of the header"},
    {"vmdk/stream-overhead",
     make_stream,
     {{17 * 512 + 64, 8, 20}},
     .code = PROBE,
     .says = "copy of the header"},
    {"vmdk/stream-compression",
     make_stream,
     {{17 * 512 + 77, 2, 0}},
     .code = PROBE,
     .says = "copy of the header"},
};

int
main(int argc, char **argv)
{
    return image_test_cases(argc, argv, cases, G_N_ELEMENTS(cases));
}
