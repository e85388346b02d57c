/*
 * trash-helper.h: an image in the trash of a store in memory, and two hosts that see it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_TRASH_HELPER_H
#define TESTS_IMAGESTORE_TRASH_HELPER_H

#include "memory-transport.h"
#include "store-helper.h"
#include "trash.h"

extern VimgBuffer *trash_content; /* of the image */

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
    VimgSliceStore *other; /* another host */
    char *uuid;            /* in the trash, once "a" */
} TrashFixture;

void trash_add(const char *path, gconstpointer data,
               void (*test)(TrashFixture *fixture, gconstpointer data));
/* Are what is before and after in main(). */
void trash_init(void);
int trash_run(void);

/* Another host. */
VimgSliceStore *trash_connect(MemoryDisk *disk);
void trash_delete(VimgSliceStore *store, const char *uuid);
gboolean trash_restore(VimgSliceStore *store, const char *uuid, const char *name, GError **error);
/* The first of the trash, or of the others; FALSE: there is none. */
gboolean trash_first(VimgSliceStore *store, gboolean trash, VimgPluginImage *out);
gboolean trash_is_listed(VimgSliceStore *store, gboolean trash);
/* Nobody has that name. */
void trash_assert_free(VimgSliceStore *store, const char *name);
/* Entries of @dir. */
guint trash_count(VimgSliceStore *store, const char *dir);

#endif
