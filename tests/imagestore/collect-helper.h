/*
 * collect-helper.h: a store in memory, and collections of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_COLLECT_HELPER_H
#define TESTS_IMAGESTORE_COLLECT_HELPER_H

#include "json.h"
#include "memory-transport.h"
#include "store-helper.h"

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store; /* nothing in it expires but where a test says so */
} CollectFixture;

void collect_set_up(CollectFixture *fixture, gconstpointer data);
void collect_tear_down(CollectFixture *fixture, gconstpointer data);

/* A collection that succeeds.  Returns: (transfer full) its report. */
JsonObject *collect_run(VimgSliceStore *store, gboolean dry_run);
/* How many of @name it counts. */
gint64 collect_tally(JsonObject *report, const char *name);

/* Returns: (transfer full) the uuid of an active image of @slices slices that depend on @seed. */
char *collect_upload(VimgSliceStore *store, const char *name, guint32 seed, gsize slices);
void collect_assert_whole(VimgSliceStore *store, const char *uuid, guint32 seed, gsize slices);
void collect_remove(VimgSliceStore *store, const char *uuid);
/* An upload that stops with @slices durable; its writer lives on. */
VimgSliceWriter *collect_begin_upload(VimgSliceStore *store, const char *uuid, guint32 seed,
                                      gsize slices);
guint collect_count_names(VimgSliceStore *store, const char *dir);

#endif
