/*
 * pull-helper.h: two stores in memory, and an image of one that is pulled into the other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_PULL_HELPER_H
#define TESTS_IMAGESTORE_PULL_HELPER_H

#include "memory-transport.h"
#include "pull.h"
#include "slice.h"
#include "store-helper.h"

#define PULL_SLICE (64 * KIB)
#define PULL_SLICES 12 /* of the image; each third is zeros */

extern VimgBuffer *pull_content; /* of the image to be pulled */
extern VimgBuffer *pull_shared;  /* of one that has its first slices, and others */

typedef struct {
    MemoryDisk *disks[2]; /* source, destination */
    VimgSliceStore *source;
    VimgSliceStore *here;
    char *from;   /* the image there */
    char *uuid;   /* what it is to be here */
    guint64 sent; /* by the last pull */
} World;

World world_new(gboolean whole);
World world_copy(const World *from, gboolean whole);
void world_clear(World *world);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

/* @whole: the storage can sync everything at once */
VimgSliceStore *pull_open(MemoryDisk *disk, gboolean whole);
/* Returns: (transfer full) the uuid of a new image. */
char *pull_put(VimgSliceStore *store, const char *name, const VimgBuffer *bytes);
/* What the image is to be here. */
gboolean pull_make(World *world, GError **error);
gboolean pull_job(World *world, guint64 bandwidth, VimgPluginJob *job, GError **error);
gboolean pull_now(World *world, GError **error);
/* As a client would who was told of a failure. */
void pull_again(World *world);

/* Of the slice @i of @bytes. */
VimgSliceId pull_slice(const VimgBuffer *bytes, gsize i);
/* Bytes that those slices of the image take where they lie. */
guint64 pull_frames(VimgSliceStore *store, gsize first, gsize last);

/* Is the rest of main(): what g_test_run() says. */
int pull_run(void);
void pull_init(void);

#endif
