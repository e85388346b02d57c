/*
 * primary.h: the host's primary storage, as the model and who serves it see each other
 *
 * Images are cloned into and out of pools that another daemon of this host has.  The model knows
 * images and decides nothing about those pools; who registers here knows the pools and asks for
 * images by what follows.  All functions are safe from any thread and hold no lock while anybody
 * works.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_PRIMARY_H
#define VIMG_POOL_PRIMARY_H

#include "pool/model.h"

/* ---- who serves it ---------------------------------------------------------------------- */

/* What was done to fill an image. */
typedef struct _VimgFilled {
    guint64 read; /* bytes of the volume */
    char *base;   /* the image that the rest was taken from; NULL: there was none */
} VimgFilled;

/* Each does all of it with the rights of @caller alone, and leaves nothing of what failed. */
typedef struct _VimgPrimary {
    /* Whether the host has any now; quick. */
    gboolean (*present)(gpointer data);
    /* @pool is one of the host, @source an image of ours.  @out: (transfer full) */
    gboolean (*clone_out)(const VimgCaller *caller, const VimgPoolId *pool, const char *xml,
                          const VimgVolId *source, guint flags, VimgVolId *out, gpointer data,
                          GError **error);
    /* @pool is one of ours, @source a volume of the host. */
    gboolean (*clone_in)(const VimgCaller *caller, const VimgPoolId *pool, const char *xml,
                         const VimgVolId *source, guint flags, VimgVolId *out, gpointer data,
                         GError **error);
    /*
     * What @source, a volume of the host, holds now is kept for @image, a saving one of ours, that
     * fill() gives that content.  VIMG_ERROR_ARGUMENT_UNSUPPORTED: no such volume can be kept.
     */
    gboolean (*hold)(const VimgCaller *caller, const VimgVolId *image, const VimgVolId *source,
                     gpointer data, GError **error);
    /* @out: of zeroed, cleared by the caller always */
    gboolean (*fill)(const VimgCaller *caller, const VimgVolId *image, const VimgVolId *source,
                     struct _VimgFilled *out, gpointer data, GError **error);
    /* Returns: (transfer full) of VimgPrimaryPool, active or not */
    GPtrArray *(*pools)(const VimgCaller *caller, gpointer data, GError **error);
    /* The pool of ours with @uuid is cleaned up: what nobody uses of its images goes there too. */
    void (*tidy)(const char *uuid, gpointer data);
    /* optional: what the image with @uuid held is gone: it was deleted, or wiped */
    void (*gone)(const char *uuid, gpointer data);
    /* optional: there is no pool of ours with @uuid any more: what is kept for its images goes, if
     * not at once */
    void (*undefined)(const char *uuid, gpointer data);
} VimgPrimary;

/* Before anybody asks.  NULL: the host has none. */
void vimg_model_set_primary(VimgModel *model, const VimgPrimary *primary, gpointer data);

/* A pool of the host. */
typedef struct {
    char *name;
    char *type; /* libvirt's */
} VimgPrimaryPool;

void vimg_primary_pool_free(VimgPrimaryPool *pool);

/* Tells who serves it, without a lock.  @uuid: an image's */
void vimg_primary_gone(const VimgModel *model, const char *uuid);
/* The same.  @uuid: a pool's */
void vimg_primary_undefined(const VimgModel *model, const char *uuid);

/* ---- images, as sources ----------------------------------------------------------------- */

typedef struct _VimgSourceInfo {
    char *pool;
    char *pool_uuid;
    char *name;
    char *key;
    char *path;
    char *uuid;
    char *format;
    char *checksum;   /* TYPE:DIGITS, as it was announced; empty: it was not */
    char *generation; /* which content it has of all it had; NULL: not known */
    char *machine;    /* what machine's disk it was; NULL: none's, or it was wiped since */
    guint64 capacity; /* bytes: what a machine sees */
    guint64 physical; /* bytes of the content as it is stored */
    gboolean active;  /* it is complete */
} VimgSourceInfo;

void vimg_source_info_clear(VimgSourceInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgSourceInfo, vimg_source_info_clear)

/*
 * A job of kind "clone" that holds the image while it lives; content comes by vimg_transfer_next(),
 * if it is asked for.
 */
VimgTransfer *vimg_model_source(VimgModel *model, const VimgVolId *vol, VimgSourceInfo *out,
                                GError **error);
/*
 * Asks the storage whether the image of @source is complete and holds what @info says still:
 * another host may have wiped it and filled it with something else.
 */
gboolean vimg_transfer_confirm(VimgTransfer *source, const VimgSourceInfo *info, GError **error);
/* As vimg_model_source() of an image that nobody holds: what is known of it now. */
gboolean vimg_model_image_look(VimgModel *model, const VimgVolId *vol, VimgSourceInfo *out,
                               GError **error);
/* By uuids; VIMG_ERROR_NO_VOL: the pool has no such image, all else: nobody knows. */
gboolean vimg_model_image_find(VimgModel *model, const char *pool_uuid, const char *uuid,
                               VimgSourceInfo *out, GError **error);
/* How far the job is, in bytes.  VIMG_ERROR_ABORTED: somebody cancelled it. */
gboolean vimg_transfer_progress(VimgTransfer *transfer, const char *phase, guint64 done,
                                guint64 total, GError **error);
/* The same without anything to tell. */
gboolean vimg_transfer_check(VimgTransfer *transfer, GError **error);
/* The job fails with @error.  Returns: FALSE */
gboolean vimg_transfer_fail(VimgTransfer *transfer, const GError *error);

/* ---- volumes of the host that only a backend of ours can fill or read ------------------------ */

typedef struct _VimgForeign VimgForeign;
typedef struct _VimgForeignWriter VimgForeignWriter;
typedef struct _VimgForeignReader VimgForeignReader;

/* The value of a secret of the host, by one of the two.  (transfer full), which is wiped */
typedef VimgBuffer *(*VimgForeignSecret)(const char *usage, const char *uuid, gpointer data,
                                         GError **error);

/*
 * Opens the storage of a pool that libvirt defines by @xml.  @secret is asked for what is no secret
 * of ours.  *@out: (transfer full); NULL with TRUE: no backend knows pools of @pool_type
 */
gboolean vimg_model_foreign_open(VimgModel *model, const char *pool_type, const char *xml,
                                 VimgForeignSecret secret, gpointer data, VimgForeign **out,
                                 GError **error);
void vimg_foreign_close(VimgForeign *foreign); /* accepts NULL */
/* *@out: (transfer full) what no other volume ever had; NULL with TRUE: its backend cannot tell */
gboolean vimg_foreign_identity(VimgForeign *foreign, const char *volume, char **out,
                               GError **error);
/* Whether it is as libvirt makes it, of @capacity bytes, and was made from @since to @until, in
 * seconds since 1970; FALSE also where its backend cannot tell. */
gboolean vimg_foreign_fresh(VimgForeign *foreign, const char *volume, guint64 capacity,
                            gint64 since, gint64 until, gboolean *fresh, GError **error);

/* Content of @volume from @offset on; the job is that of @source, which lives longer. */
VimgForeignWriter *vimg_foreign_writer_new(VimgForeign *foreign, const char *volume, guint64 offset,
                                           VimgTransfer *source, GError **error);
/* @buffer NULL: zeros */
gboolean vimg_foreign_write(VimgForeignWriter *writer, VimgBuffer *buffer, gsize offset,
                            guint64 size, GError **error);
gboolean vimg_foreign_finish(VimgForeignWriter *writer, GError **error); /* frees @writer */
void vimg_foreign_abort(VimgForeignWriter *writer);                      /* the same */

/* All of @volume; the job is that of @upload, which lives longer. */
VimgForeignReader *vimg_foreign_reader_new(VimgForeign *foreign, const char *volume,
                                           VimgTransfer *upload, GError **error);
/* TRUE with @out->length 0 at the end. */
gboolean vimg_foreign_next(VimgForeignReader *reader, VimgExtent *out, GError **error);
void vimg_foreign_reader_close(VimgForeignReader *reader); /* accepts NULL */

/*
 * Whether what its volumes hold at a moment can be kept; all others need it.  A moment is a uuid;
 * one that is not there is dropped with success.
 */
gboolean vimg_foreign_has_moments(const VimgForeign *foreign);
gboolean vimg_foreign_hold(VimgForeign *foreign, const char *volume, const char *moment,
                           GError **error);
gboolean vimg_foreign_drop(VimgForeign *foreign, const char *volume, const char *moment,
                           GError **error);
/*
 * All of @volume at @moment; @since: or what is not as it was then, VIMG_ERROR_NO_SUPPORT if nobody
 * knows.  The job is that of @upload, which lives longer.
 */
VimgForeignReader *vimg_foreign_reader_new_at(VimgForeign *foreign, const char *volume,
                                              const char *moment, const char *since,
                                              VimgTransfer *upload, GError **error);
/* As vimg_foreign_next(), of such a reader; *@same: it is as it was, and does not come. */
gboolean vimg_foreign_next_at(VimgForeignReader *reader, VimgExtent *out, gboolean *same,
                              GError **error);

/*
 * @volume, new and empty, is replaced by one of @capacity bytes that shares the image of @source.
 * *@done FALSE with TRUE: that cannot be, and it is as it was
 */
gboolean vimg_foreign_share(VimgForeign *foreign, const char *volume, guint64 capacity,
                            VimgTransfer *source, gboolean *done, GError **error);
/* Whether that makes one that was not there, which vimg_foreign_replace() then gives its name. */
gboolean vimg_foreign_replaces(const VimgForeign *foreign);
/*
 * @by takes the place of @volume, which is new and empty, and is called @away on its way out.  One
 * of another @identity stays, as far as its backend can tell (NULL: it cannot), and so does what
 * was written to meanwhile: VIMG_ERROR_VOL_EXISTS.  @by NULL: it only goes; VIMG_ERROR_NO_SUPPORT
 */
gboolean vimg_foreign_replace(VimgForeign *foreign, const char *volume, const char *identity,
                              const char *by, const char *away, GError **error);
/*
 * Ends a replacement that a daemon died in, as far as its backend can: what is called @away goes,
 * or gets the name @volume back if it is another one; *@kept: it has lost that.  @second: the
 * identity of @by, or NULL.  Of @by goes what nobody can open
 */
gboolean vimg_foreign_settle(VimgForeign *foreign, const char *volume, const char *identity,
                             const char *second, const char *by, const char *away, gboolean *kept,
                             GError **error);

/*
 * An image of the document @xml is made of what @volume, raw and of @capacity bytes, holds at one
 * moment, sharing its content.  *@done FALSE with TRUE: that cannot be, and nothing was made
 */
gboolean vimg_model_vol_of_foreign(VimgModel *model, const VimgPoolId *id, const char *xml,
                                   VimgForeign *foreign, const char *volume, guint64 capacity,
                                   VimgVolId *out, gboolean *done, GError **error);

#endif
