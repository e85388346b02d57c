/*
 * image-case.h: one image, whole or spoilt, and what is found in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_IMAGE_CASE_H
#define VIMG_TESTS_IMAGE_CASE_H

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

/* The main() of a file of them: each is a test, fed in one piece and in many. */
int image_test_cases(int argc, char **argv, const Case *cases, gsize n);

#endif
