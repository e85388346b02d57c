/*
 * sync-private.h: a synchronisation under way
 *
 * sync.c: all of it; sync-image.c: one image.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_SYNC_PRIVATE_H
#define VIMG_POOL_SYNC_PRIVATE_H

#include "pool/model-private.h"
#include "pool/sync-report.h"

#define VIMG_SYNC_KIND "sync" /* of its jobs */

typedef struct {
    VimgModel *model;
    const VimgSyncRequest *request;
    VimgPool *from;
    VimgPool *to;
    VimgUse source; /* of one, without a job */
    VimgUse use;    /* of the other, with the job of both */
    char *network;  /* NULL: any */
    GPtrArray *items;
    guint at;      /* of them */
    guint64 done;  /* bytes that the images before it take */
    guint64 total; /* bytes that all take */
    VimgSyncReport *report;
} VimgSync;

gboolean vimg_sync_check_enabled(VimgPool *pool, GError **error);
/* The image @name of @pool, of that @key unless it is NULL, within the job of the whole. */
gboolean vimg_sync_hold(VimgPool *pool, const char *name, const char *key, VimgAction action,
                        VimgUse *use, GError **error);
/* Sees to it that .to has the image @name of .from, and reports what it did. */
gboolean vimg_sync_image(VimgSync *sync, const char *name, GError **error);

#endif
