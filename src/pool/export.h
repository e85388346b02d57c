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

#include "image/qcow2-guest.h"
#include "pool/export-record.h"
#include "pool/model-private.h"

#define VIMG_EXPORT_KIND "export" /* of its jobs */

typedef struct _VimgExports VimgExports;

/* Of zeros, from @start to before @end. */
typedef struct {
    guint64 start, end;
} VimgExportRun;

/* One export; @record does not change but for what is under the lock of the table. */
typedef struct {
    gint refs;
    /* under lock: sha256, generation if it was NULL, revoked, replaced, released */
    VimgExportRecord *record;
    GArray *zeros; /* of VimgExportRun, in order; NULL: nobody asks; does not change */

    /* under lock */
    VimgQcow2Layout *layout; /* once needed; does not change then, nor does the next one */
    VimgQcow2Guest *guest;
    GQueue pages; /* of what is kept of a file whose disk is read, the last used last */
    GQueue idle;  /* of VimgExportPosition, the one used last at the end */
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
    GHashTable *by_id;  /* of VimgExport, owned */
    guint n_positions;  /* of all exports */
    guint n_pages;      /* the same; by atomics */
    gint64 sum_turn;    /* microseconds, after which another is summed up; does not change */
    gint64 reading_max; /* microseconds that one is kept open; does not change */
    gboolean ending;
    gboolean unserved;
    char *unserved_why; /* NULL: that will soon change */

    const VimgNbdServer *nbd; /* set before anybody asks; NULL: there is none */
    gpointer nbd_data;

    VimgWorkers *summer; /* NULL before the start */
    VimgThread reaper;
    gboolean reaping; /* it runs */
};

VimgExports *vimg_exports_new(VimgModel *model);
/* Loads what is there. */
gboolean vimg_exports_start(VimgExports *exports, GError **error);
/* After nobody is to wait any more: those who do look again. */
void vimg_exports_hurry(VimgExports *exports);
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
/* Into the table, which has bounds. */
gboolean vimg_exports_add(VimgExports *exports, VimgExport *export, GError **error);
/* As if it had never been. */
void vimg_exports_remove(VimgExports *exports, VimgExport *export);
/* Returns: (transfer full) NULL: there is none */
VimgExport *vimg_exports_get_by_id(VimgExports *exports, const char *id);
/* Seconds since 1970. */
gint64 vimg_export_now(void);
/* When it ended, or will: from then on nobody begins to download it. */
gint64 vimg_export_end(const VimgExportRecord *record);

/* ---- export-keep.c ---------------------------------------------------------------------- */

#define VIMG_EXPORT_GRACE ((gint64)3600) /* seconds that a download goes on after the end */

/* The storage of @use keeps the image until the export of @record has ended. */
gboolean vimg_export_promise(VimgUse *use, const VimgExportRecord *record, GError **error);
/* No longer; a failure is logged, and it is tried again by the next. */
void vimg_export_release(VimgExports *exports, VimgExport *export);
/* The same of all that have ended. */
void vimg_exports_release_ended(VimgExports *exports);

/* ---- export-look.c, export-create.c ----------------------------------------------------- */

/* Whether its pool runs and is connected. */
gboolean vimg_export_is_within_reach(VimgModel *model, const VimgExportRecord *record);
/*
 * Whether its image holds something else by now; if so it has ended, on disk too, whatever the
 * image holds later.  One of which nobody knew what it is of is of what its image holds now.
 */
gboolean vimg_export_is_replaced(VimgExports *exports, VimgExport *export);
/* The same of what @reader reads of its image. */
gboolean vimg_export_is_read(VimgExports *exports, VimgExport *export, const VimgReader *reader);
/* Its image holds something else: it has ended. */
void vimg_export_end_replaced(VimgExports *exports, VimgExport *export);
gboolean vimg_export_throw_replaced(const VimgExport *export, GError **error);
/* Returns: (transfer full); NULL with @error if it ended */
VimgExport *vimg_exports_get(VimgExports *exports, const guint8 *hash, GError **error);
VimgExportInfo *vimg_export_info(VimgExports *exports, const VimgExport *export);
/* Returns: (transfer full) without a token */
VimgExportRecord *vimg_export_record_new(const VimgPool *pool, const VimgPluginImage *image,
                                         const VimgExportRequest *request, GError **error);

/* ---- export-nbd.c ----------------------------------------------------------------------- */

#define VIMG_EXPORT_NEVER (G_MAXINT64 / 2) /* when one expires that ends with its server */

/* From where to @offset only zeros are known to be: at most it. */
guint64 vimg_export_zeros_before(const VimgExport *export, guint64 offset);
/* Ends one of those, and its server. */
void vimg_export_stop_nbd(VimgExports *exports, VimgExport *export);

/* ---- export-read.c ---------------------------------------------------------------------- */

/* At least one byte of @part of what is downloaded. */
gboolean vimg_export_read(VimgExports *exports, VimgExport *export, const VimgExportPart *part,
                          VimgExtent *out, GError **error);
/* Lets go of what is kept open of @pool (NULL: of all) that nobody used for @idle microseconds. */
void vimg_exports_let_go(VimgExports *exports, const VimgPool *pool, gint64 idle);
/* The same of all that is kept open of one that is revoked: nothing more will be. */
void vimg_export_let_go(VimgExports *exports, VimgExport *export);
/* What the reaper does: that again and again. */
void vimg_exports_reap(gpointer data);

/* At least one byte of @part of the image as it is stored; it may be read over from @from on. */
gboolean vimg_export_read_image(VimgExports *exports, VimgExport *export, guint64 from,
                                const VimgExportPart *part, VimgExtent *out, GError **error);

/* Whether it is being read from @from to @to, and on: who asks for more there opens nothing. */
gboolean vimg_export_is_open(VimgExports *exports, const VimgExport *export, guint64 from,
                             guint64 to);

/* ---- export-guest.c --------------------------------------------------------------------- */

/* Bytes of the disk in the qcow2 image that @use holds, if it can be read alone. */
gboolean vimg_export_find_guest(VimgUse *use, const VimgPluginImage *image, guint64 *size,
                                GError **error);
/* At least one byte of @part of that disk. */
gboolean vimg_export_read_guest(VimgExports *exports, VimgExport *export,
                                const VimgExportPart *part, VimgExtent *out, GError **error);
/* Under lock: lets go of what nobody used after @since, in monotonic microseconds. */
void vimg_export_pages_drop(VimgExport *export, gint64 since);

/* ---- export-make.c ---------------------------------------------------------------------- */

/* Which clusters of the image that @use holds are not zeros.  Returns: (transfer full) */
VimgQcow2Layout *vimg_export_lay_out(VimgUse *use, const VimgPluginImage *image, GError **error);
/* Sums up what is downloaded, unless that is known or under way. */
void vimg_export_sum(VimgExports *exports, VimgExport *export);

#endif
