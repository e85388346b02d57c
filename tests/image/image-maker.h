/*
 * image-maker.h: small whole images of every format, to be spoilt by a test
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_IMAGE_MAKER_H
#define VIMG_TESTS_IMAGE_MAKER_H

#include <glib.h>

/* A number in the image: so many bytes, little-endian; negative: big-endian. */
typedef struct {
    guint64 at;
    int width;
    guint64 value;
} Number;

typedef struct {
    GByteArray *bytes;
} Image;

typedef void (*Maker)(Image *image);

/* Grows the image if need be. */
void image_put(Image *image, guint64 at, const void *data, gsize size);
void image_number(Image *image, Number number);
void image_grow(Image *image, gsize size);

void make_qcow2(Image *image);  /* 1 MiB in clusters of 4 KiB: table, refcounts, L1, L2, data */
void make_vmdk(Image *image);   /* 32 KiB, sparse: descriptor, directory, table, one grain */
void make_stream(Image *image); /* the same, directory at its end */
void make_vdi(Image *image);    /* 16 KiB in blocks of 4 KiB, two of them there */
void make_vpc(Image *image);    /* 16 KiB, dynamic, one block of 4 KiB there */
void make_fixed(Image *image);  /* 16 KiB, a vpc that is fixed */
void make_vhdx(Image *image);   /* 3 MiB in blocks of 1 MiB, one there */
void make_iso(Image *image);    /* 24 sectors */
void make_udf(Image *image);
void make_disk(Image *image); /* 64 KiB with an MBR and a GPT */
void make_text(Image *image); /* a descriptor of VMDK alone */

/* Makes the checksums right again, of those formats that have one. */
void image_seal(Image *image);

#endif
