/*
 * image-maker.c: small whole images of every format, to be spoilt by a test
 *
 * Written from the formats' descriptions, not with the structures of the inspector.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "image-maker.h"

#define KIB 1024
#define MIB (1024 * 1024)

void
image_grow(Image *image, gsize size)
{
    gsize old = image->bytes->len;

    if (size <= old)
        return;
    g_byte_array_set_size(image->bytes, (guint)size);
    memset(image->bytes->data + old, 0, size - old);
}

void
image_put(Image *image, guint64 at, const void *data, gsize size)
{
    image_grow(image, at + size);
    memcpy(image->bytes->data + at, data, size);
}

void
image_number(Image *image, Number number)
{
    gsize width = (gsize)ABS(number.width);
    guint8 data[8];
    gsize i;

    for (i = 0; i < width; i++)
        data[number.width < 0 ? width - 1 - i : i] = (guint8)(number.value >> 8 * i);
    image_put(image, number.at, data, width);
}

static void
put_numbers(Image *image, guint64 base, const Number *numbers, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++)
        image_number(image, (Number){base + numbers[i].at, numbers[i].width, numbers[i].value});
}

static void
put_text(Image *image, guint64 at, const char *text)
{
    image_put(image, at, text, strlen(text));
}

/* ---- qcow2 ------------------------------------------------------------------------------ */

void
make_qcow2(Image *image)
{
    static const Number header[] = {
        {4, -4, 3},
        {20, -4, 12},
        {24, -8, MIB},
        {36, -4, 1},
        {40, -8, 12 * KIB},
        {48, -8, 4 * KIB},
        {56, -4, 1},
        {96, -4, 4},
        {100, -4, 104},
        {4 * KIB, -8, 8 * KIB},
        {12 * KIB, -8, 16 * KIB},
        {16 * KIB, -8, 20 * KIB},
    };

    put_text(image, 0, "QFI\xfb");
    put_numbers(image, 0, header, G_N_ELEMENTS(header));
    image_grow(image, 24 * KIB);
    memset(image->bytes->data + 20 * KIB, 'd', 4 * KIB);
}

/* ---- vmdk ------------------------------------------------------------------------------- */

static const char descriptor[] = "# Disk DescriptorFile\n"
                                 "version=1\n"
                                 "CID=12345678\n"
                                 "parentCID=ffffffff\n"
                                 "createType=\"monolithicSparse\"\n"
                                 "RW 64 SPARSE \"disk.vmdk\"\n"
                                 "ddb.adapterType = \"ide\"\n";

static void
put_vmdk_header(Image *image, guint64 at, guint64 directory)
{
    const Number header[] = {
        {4, 4, 1},  {8, 4, 1},    {12, 8, 64},        {20, 8, 8},  {28, 8, 1},
        {36, 8, 4}, {44, 4, 512}, {56, 8, directory}, {64, 8, 10}, {77, 2, 0},
    };

    put_text(image, at, "KDMV");
    put_numbers(image, at, header, G_N_ELEMENTS(header));
    put_text(image, at + 73, "\n \r\n");
}

void
make_vmdk(Image *image)
{
    put_vmdk_header(image, 0, 5);
    put_text(image, 512, descriptor);
    image_number(image, (Number){5 * 512, 4, 6});
    image_number(image, (Number){6 * 512, 4, 10});
    image_grow(image, 18 * 512);
}

void
make_stream(Image *image)
{
    guint i;

    for (i = 0; i <= 17; i += 17) { /* the footer is a copy of the header */
        put_vmdk_header(image, i * 512, i ? 15 : G_MAXUINT64);
        image_number(image, (Number){i * 512 + 8, 4, 0x30001});
        image_number(image, (Number){i * 512 + 77, 2, 1});
    }
    put_text(image, 512, descriptor);
    image_number(image, (Number){15 * 512, 4, 11}); /* table at 11, directory at 15 */
    image_number(image, (Number){16 * 512, 8, 1});
    image_number(image, (Number){16 * 512 + 12, 4, 3});
    image_grow(image, 19 * 512);
}

void
make_text(Image *image)
{
    put_text(image, 0, descriptor);
}

/* ---- vdi -------------------------------------------------------------------------------- */

void
make_vdi(Image *image)
{
    static const Number header[] = {
        {64, 4, 0xbeda107f},  {68, 4, 0x10001},     {72, 4, 0x190}, {76, 4, 1},
        {340, 4, 512},        {344, 4, 1024},       {360, 4, 512},  {368, 8, 16 * KIB},
        {376, 4, 4 * KIB},    {384, 4, 4},          {388, 4, 2},    {512, 4, 0},
        {516, 4, 0xffffffff}, {520, 4, 0xfffffffe}, {524, 4, 1},
    };

    put_text(image, 0, "<<< Oracle VM VirtualBox Disk Image >>>\n");
    put_numbers(image, 0, header, G_N_ELEMENTS(header));
    image_grow(image, 1024 + 8 * KIB);
}

/* ---- vpc -------------------------------------------------------------------------------- */

static void
put_footer(Image *image, guint64 at, guint32 type)
{
    const Number footer[] = {
        {8, -4, 2},         {12, -4, 0x10000},  {16, -8, type == 2 ? G_MAXUINT64 : 512},
        {40, -8, 16 * KIB}, {48, -8, 16 * KIB}, {60, -4, type},
    };

    put_text(image, at, "conectix");
    put_numbers(image, at, footer, G_N_ELEMENTS(footer));
    image_grow(image, at + 512);
}

void
make_vpc(Image *image)
{
    static const Number sparse[] = {
        {8, -8, G_MAXUINT64}, {16, -8, 1536},         {24, -4, 0x10000},
        {28, -4, 4},          {32, -4, 4 * KIB},      {1024, -4, 0xffffffff},
        {1028, -4, 4},        {1032, -4, 0xffffffff}, {1036, -4, 0xffffffff},
    };

    put_footer(image, 0, 3);
    put_text(image, 512, "cxsparse");
    put_numbers(image, 512, sparse, G_N_ELEMENTS(sparse));
    image_grow(image, 2048 + 512);
    put_footer(image, 2048 + 512 + 4 * KIB, 3);
}

void
make_fixed(Image *image)
{
    image_grow(image, 16 * KIB);
    put_footer(image, 16 * KIB, 2);
}

static void
seal_sum(Image *image, guint64 at, gsize size, gsize sum_at)
{
    guint32 sum = 0;
    gsize i;

    image_number(image, (Number){at + sum_at, -4, 0});
    for (i = 0; i < size; i++)
        sum += image->bytes->data[at + i];
    image_number(image, (Number){at + sum_at, -4, ~sum});
}

/* ---- vhdx ------------------------------------------------------------------------------- */

void
make_vhdx(Image *image)
{
    static const Number numbers[] = {
        /* headers: sequence number, version, log */
        {64 * KIB + 8, 8, 1},
        {64 * KIB + 66, 2, 1},
        {64 * KIB + 68, 4, MIB},
        {64 * KIB + 72, 8, MIB},
        {128 * KIB + 8, 8, 2},
        {128 * KIB + 66, 2, 1},
        {128 * KIB + 68, 4, MIB},
        {128 * KIB + 72, 8, MIB},
        /* regions: blocks at 2 MiB, metadata at 3 MiB */
        {192 * KIB + 8, 4, 2},
        {192 * KIB + 16, -8, 0x6677c22d23f60042},
        {192 * KIB + 24, -8, 0x9d64115e9bfd4a08},
        {192 * KIB + 32, 8, 2 * MIB},
        {192 * KIB + 40, 4, MIB},
        {192 * KIB + 44, 4, 1},
        {192 * KIB + 48, -8, 0x06a27c8b90479a4b},
        {192 * KIB + 56, -8, 0xb8fe575f050f886e},
        {192 * KIB + 64, 8, 3 * MIB},
        {192 * KIB + 72, 4, MIB},
        {192 * KIB + 76, 4, 1},
        /* blocks: the second is at 4 MiB */
        {2 * MIB + 8, 8, 4 * MIB + 6},
        /* metadata: file parameters, virtual size */
        {3 * MIB + 10, 2, 2},
        {3 * MIB + 32, -8, 0x3767a1ca36fa434d},
        {3 * MIB + 40, -8, 0xb3b633f0aa44e76b},
        {3 * MIB + 48, 4, 64 * KIB},
        {3 * MIB + 52, 4, 8},
        {3 * MIB + 56, 4, 4},
        {3 * MIB + 64, -8, 0x2442a52f1bcd7648},
        {3 * MIB + 72, -8, 0xb2115dbed83bf4b8},
        {3 * MIB + 80, 4, 64 * KIB + 8},
        {3 * MIB + 84, 4, 8},
        {3 * MIB + 88, 4, 6},
        {3 * MIB + 64 * KIB, 4, MIB},
        {3 * MIB + 64 * KIB + 8, 8, 3 * MIB},
    };

    put_text(image, 0, "vhdxfile");
    put_text(image, 64 * KIB, "head");
    put_text(image, 128 * KIB, "head");
    put_text(image, 192 * KIB, "regi");
    put_text(image, 3 * MIB, "metadata");
    put_numbers(image, 0, numbers, G_N_ELEMENTS(numbers));
    image_grow(image, 5 * MIB);
}

static void
seal_crc(Image *image, guint64 at, gsize size)
{
    guint32 crc = G_MAXUINT32;
    gsize i;
    int bit;

    image_number(image, (Number){at + 4, 4, 0});
    for (i = 0; i < size; i++) {
        crc ^= image->bytes->data[at + i];
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    image_number(image, (Number){at + 4, 4, ~crc});
}

/* ---- discs and disks -------------------------------------------------------------------- */

void
make_iso(Image *image)
{
    static const Number primary[] = {{80, 4, 24}, {84, -4, 24}, {128, 2, 2048}, {130, -2, 2048}};

    put_text(image, 16 * 2048, "\1CD001\1");
    put_numbers(image, 16 * 2048, primary, G_N_ELEMENTS(primary));
    put_text(image, 17 * 2048, "\377CD001\1");
    image_grow(image, 24 * 2048);
}

void
make_udf(Image *image)
{
    put_text(image, 16 * 2048 + 1, "BEA01\1");
    put_text(image, 17 * 2048 + 1, "NSR03\1");
    put_text(image, 18 * 2048 + 1, "TEA01\1");
    image_grow(image, 24 * 2048);
}

void
make_disk(Image *image)
{
    static const Number mbr[] = {
        {446 + 4, 1, 0xee}, {446 + 8, 4, 1}, {446 + 12, 4, 127}, {510, 2, 0xaa55}};

    put_numbers(image, 0, mbr, G_N_ELEMENTS(mbr));
    put_text(image, 512, "EFI PART");
    image_grow(image, 64 * KIB);
}

void
image_seal(Image *image)
{
    gsize size = image->bytes->len;
    const guint8 *data = image->bytes->data;

    if (size >= 5 * MIB && memcmp(data, "vhdxfile", 8) == 0) {
        seal_crc(image, 64 * KIB, 4 * KIB);
        seal_crc(image, 128 * KIB, 4 * KIB);
        seal_crc(image, 192 * KIB, 64 * KIB);
    }
    if (size >= 2048 && memcmp(data, "conectix", 8) == 0) {
        seal_sum(image, 0, 512, 64);
        seal_sum(image, 512, 1024, 36);
    }
    if (size >= 512 && memcmp(image->bytes->data + size - 512, "conectix", 8) == 0)
        seal_sum(image, size - 512, 512, 64);
}
