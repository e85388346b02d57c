/*
 * export.h: images that whoever has their URL may download
 *
 * The table is a leaf among the locks.  An export keeps its image from being purged by being in the
 * table, and holds nothing of its pool: that may be stopped, renamed and started meanwhile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_EXPORT_H
#define VIMG_POOL_EXPORT_H

#include "pool/export-record.h"
#include "pool/model-private.h"

#define VIMG_EXPORT_KIND "export" /* of its jobs */

typedef struct _VimgExports VimgExports;

/* One export; @record does not change but for what is under the lock of the table. */
typedef struct {
    gint refs;
    VimgExportRecord *record; /* under lock: sha256, revoked */

    /* under lock */
    VimgQcow2Layout *layout; /* once needed; does not change then */
    GQueue idle;             /* of VimgExportPosition, the one used last at the end */
    gboolean summing;
    gint64 sum_failed; /* monotonic microseconds; 0: never */
} VimgExport;

struct _VimgExports {
    VimgModel *model;
    char *dir;
    char *url;            /* below which they are served; NULL: they are not */
    VimgMutex files_lock; /* orders the files; taken first, held over those small files */

    VimgMutex lock; /* a leaf */
    VimgCond changed;
    GHashTable *by_id; /* of VimgExport, owned */
    guint n_positions; /* of all exports */
    gboolean ending;

    VimgWorkers *summer; /* NULL before the start */
    VimgThread reaper;
    gboolean reaping; /* it runs */
};

VimgExports *vimg_exports_new(VimgModel *model);
/* Loads what is there. */
gboolean vimg_exports_start(VimgExports *exports, GError **error);
/* After the jobs were cancelled. */
void vimg_exports_stop(VimgExports *exports);
void vimg_exports_free(VimgExports *exports); /* accepts NULL */

VimgExport *vimg_export_new(VimgExportRecord *record); /* (transfer full) record */
VimgExport *vimg_export_ref(VimgExport *export);
void vimg_export_unref(VimgExport *export); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgExport, vimg_export_unref)

/*
 * Whether an image of a pool, both by their uuids, is one that somebody may download.  Returns:
 * (transfer full) what it was called; NULL: it is none
 */
char *vimg_exports_keep(VimgExports *exports, const char *pool, const char *image);
/* The record as it is now goes to its file. */
gboolean vimg_export_save(VimgExports *exports, VimgExport *export, GError **error);

/* ---- export-read.c ---------------------------------------------------------------------- */

/* At least one of @length bytes at @offset of what is downloaded; of data at most @most. */
gboolean vimg_export_read(VimgExports *exports, VimgExport *export, guint64 offset, guint64 length,
                          gsize most, VimgExtent *out, GError **error);
/* Lets go of what is kept open of @pool (NULL: of all) that nobody used for @idle microseconds. */
void vimg_exports_let_go(VimgExports *exports, const VimgPool *pool, gint64 idle);
/* What the reaper does: that again and again. */
void vimg_exports_reap(gpointer data);

/* ---- export-make.c ---------------------------------------------------------------------- */

/* Which clusters of the image that @use holds are not zeros.  Returns: (transfer full) */
VimgQcow2Layout *vimg_export_lay_out(VimgUse *use, const VimgPluginImage *image, GError **error);
/* Sums up what is downloaded, unless that is known or under way. */
void vimg_export_sum(VimgExports *exports, VimgExport *export);

#endif
