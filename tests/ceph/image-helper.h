/*
 * image-helper.h: a store in a RADOS pool of its own, and images in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_CEPH_IMAGE_HELPER_H
#define VIMG_TESTS_CEPH_IMAGE_HELPER_H

#include "cluster-helper.h"
#include "image.h"
#include "open.h"
#include "trash.h"

#define POOL "vimg-unit"
#define MIB ((guint64)1024 * 1024)

typedef struct {
    Definition *definition;
    VimgCephStore *store;
    VimgCluster *cluster;
} Fixture;

typedef struct {
    const char *path;
    void (*test)(Fixture *, gconstpointer);
    void (*alone)(void); /* or this, which needs no store */
} ImageTest;

/*
 * Is main().  What the store has made must be gone at the end of a test; so are, before, images of
 * other tools that the test made.
 */
int image_helper_run(int argc, char **argv, const ImageTest *tests, gsize n);

/* Returns: (transfer full) the uuid of a new saving image of 8 MiB. */
char *image_create(Fixture *fixture, const char *name);
/* Returns: (transfer full) the uuid of an image with a byte in it, as an upload leaves it. */
char *image_active(Fixture *fixture, const char *name);
void image_delete(Fixture *fixture, const char *uuid);
/* Writes a byte to RBD image @name, as an upload does. */
void image_write(Fixture *fixture, const char *name);
/* Returns: what is true of it. */
VimgImageState image_state(Fixture *fixture, const char *uuid);
/* Returns: (transfer full) names of images, sorted, with a blank between. */
char *image_names(Fixture *fixture, gboolean trash);
/* As rbd makes one. */
void foreign_create(Fixture *fixture, const char *name, guint64 size);
/* Returns: (transfer full) uuid of the image of that name. */
char *image_uuid(Fixture *fixture, const char *name);

/* @error has @code and says @part; it is cleared. */
void assert_error(GError **error, VimgErrorCode code, const char *part);

#endif
