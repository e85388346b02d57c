/*
 * primary-private.h: what the files of clones into and out of the host's pools share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_PRIVATE_H
#define VIMG_HOST_PRIMARY_PRIVATE_H

#include "conf/pool-def.h"
#include "conf/volume-def.h"
#include "host/connect.h"
#include "host/primary.h"
#include "pool/primary.h"
#include "util/thread.h"

struct _VimgHostPrimary {
    gint refs; /* atomic: its owner and each entry of the journal, of which some outlive that */
    VimgModel *model;
    const VimgHost *host;
    char *reader;
    char *journal_dir;

    VimgMutex lock;
    VimgCond changed;
    GHashTable *live;    /* ids of journal entries whose clones run, to their volumes; under lock */
    GHashTable *passed;  /* those of them whose names others completed; under lock */
    GHashTable *bases;   /* that somebody is at, as POOL-UUID.NAME; under lock */
    GHashTable *moments; /* uuids of their images, to how many read by them, -1: it is being
                            dropped; under lock */
    char *settling;      /* what the reaper is at, as those; under lock */
    gboolean left;       /* under lock: there are entries of others */
    gboolean ending;     /* under lock */
    int line;            /* of the reaper's connection, -1: it has none; under lock */
    gboolean reaping;    /* its thread exists */
    VimgThread reaper;
};

/* ---- primary.c ----------------------------------------------------------------------------- */

VimgHostPrimary *vimg_host_primary_ref(VimgHostPrimary *primary);
void vimg_host_primary_unref(VimgHostPrimary *primary);
/* As vimg_host_connect(). */
VimgHostConnect *vimg_host_primary_connect(const VimgHostPrimary *primary, const VimgCaller *caller,
                                           int *line, GError **error);

/* ---- primary-volume.c: documents of the host's volumes ------------------------------------- */

/* How volumes of a type of the host's pools are stored. */
typedef enum {
    VIMG_HOST_BLOCKS, /* as they are seen by a machine, and nothing else */
    VIMG_HOST_FILES,  /* files of any format */
    VIMG_HOST_OTHERS, /* blocks that a backend of ours fills */
} VimgHostKind;

/* One pool of the host. */
typedef struct {
    virStoragePoolPtr pool;
    char *xml;
    char *type;
    VimgHostKind kind;
    VimgForeign *foreign; /* a backend of ours fills its volumes; NULL: libvirt does */
    char uuid[VIR_UUID_STRING_BUFLEN];
} VimgHostPool;

/* Looks it up, by its uuid or (all zeros) its name.  @out: zeroed, cleared by the caller always */
gboolean vimg_host_pool_find(virConnectPtr connect, const VimgPoolId *id, VimgHostPool *out,
                             GError **error);
void vimg_host_pool_clear(VimgHostPool *pool);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgHostPool, vimg_host_pool_clear)
/* Returns: (transfer full) the type that a definition has; NULL: it is none */
char *vimg_host_pool_type(const char *xml);

/* What a volume that is to be made shall say of itself. */
typedef struct {
    guint64 capacity;           /* bytes */
    const char *format;         /* NULL: nothing */
    gboolean sparse;            /* nothing is allocated beforehand */
    const char *backing;        /* path; NULL: none */
    const char *backing_format; /* of that */
} VimgHostVolume;

/*
 * The document a client gave, with that in the place of what it says itself.  Returns: (transfer
 * full); NULL with @error, also if it asks for encryption, which nothing here does
 */
char *vimg_host_volume_xml(const char *xml, const VimgHostVolume *volume, GError **error);
/* The same of an image of ours, whose own elements stay. */
char *vimg_host_image_xml(const char *xml, const VimgHostVolume *volume, GError **error);
/* Returns: (transfer full) when its content changed last, "seconds.fraction"; NULL: it is not told
 */
char *vimg_host_volume_mtime(virStorageVolPtr vol);
/* Of a volume there is: (transfer full) its format, or "raw"; capacity and allocation in bytes. */
gboolean vimg_host_volume_look(virStorageVolPtr vol, char **format, guint64 *capacity,
                               guint64 *allocation, GError **error);

/* ---- primary-in.c ---------------------------------------------------------------------------- */

/* The volume @source and its pool; @pool: zeroed, cleared by the caller always.  NULL with @error.
 */
virStorageVolPtr vimg_host_volume_find(virConnectPtr connect, const VimgVolId *source,
                                       VimgHostPool *pool, GError **error);

/* ---- primary-secret.c ----------------------------------------------------------------------- */

/* Sets .foreign if a backend of ours fills volumes of its type, opened by the host's definition. */
gboolean vimg_host_pool_open_foreign(VimgHostPrimary *primary, virConnectPtr connect,
                                     VimgHostPool *pool, GError **error);

/* ---- primary-reaper.c: what was left over -----------------------------------------------------
 */

gboolean vimg_host_reaper_start(VimgHostPrimary *primary, GError **error);
void vimg_host_reaper_stop(VimgHostPrimary *primary);
/* There is something for it, which files say. */
void vimg_host_reaper_kick(VimgHostPrimary *primary);

/* ---- primary-base.c: what overlays lie on --------------------------------------------------- */

/* Returns: (transfer full) what the image, as it is now, is called as a base */
char *vimg_host_base_name(const VimgSourceInfo *info);
/* Nobody else places, uses for a new overlay or removes it meanwhile; @job may be NULL. */
gboolean vimg_host_base_take(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                             VimgTransfer *job, GError **error);
void vimg_host_base_give(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name);
/* It is whole, and what the image holds, from now on; @placed: by this host. */
gboolean vimg_host_base_note(VimgHostPrimary *primary, const VimgHostPool *pool,
                             virStorageVolPtr vol, const VimgSourceInfo *info, gboolean placed,
                             GError **error);
/* Whether @vol is the very volume that is known to hold the image, as that is now, and was not
 * touched since. */
gboolean vimg_host_base_is_noted(VimgHostPrimary *primary, const VimgHostPool *pool,
                                 virStorageVolPtr vol, const VimgSourceInfo *info);
/* Nothing is known of @name any more. */
gboolean vimg_host_base_forget(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                               GError **error);
/* Whether @vol holds the image: known, or found by reading both. */
gboolean vimg_host_base_check(VimgHostPrimary *primary, virConnectPtr connect,
                              const VimgHostPool *pool, virStorageVolPtr vol,
                              const VimgSourceInfo *info, VimgTransfer *image, GError **error);
/* @vol, which was just placed, is none of its image: it goes, unless another host may have laid an
 * overlay on it. */
void vimg_host_base_drop(virConnectPtr connect, const VimgHostPool *pool, virStorageVolPtr vol);
/*
 * Removes those of images of our pool @uuid that this host placed and nothing lies on, except in
 * pools of network file systems, where another host may be laying one at this moment.
 */
void vimg_host_bases_tidy(VimgHostPrimary *primary, const char *uuid);

/* ---- primary-used.c ------------------------------------------------------------------------- */

/* Whether any volume or machine of the host lies on @vol, or nobody can tell. */
gboolean vimg_host_is_used(virConnectPtr connect, virStorageVolPtr vol);

/* ---- primary-out.c, primary-in.c ----------------------------------------------------------- */

/* @line: of @connect, as vimg_cutter_new() takes it. */
gboolean vimg_host_clone_out(VimgHostPrimary *primary, virConnectPtr connect, int line,
                             const VimgPoolId *pool, const char *xml, const VimgVolId *source,
                             guint flags, VimgVolId *out, GError **error);
gboolean vimg_host_clone_in(VimgHostPrimary *primary, virConnectPtr connect, int line,
                            const VimgPoolId *pool, const char *xml, const VimgVolId *source,
                            guint flags, VimgVolId *out, GError **error);

#endif
