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
    VimgModel *model;
    const VimgHost *host;
    char *reader;
    char *journal_dir;

    VimgMutex lock;
    VimgCond changed;
    GHashTable *live;  /* ids of journal entries whose clones run; under lock */
    GHashTable *bases; /* that somebody is at, as POOL-UUID.NAME; under lock */
    gboolean left;     /* under lock: there are entries of others */
    gboolean ending;   /* under lock */
    gboolean reaping;  /* its thread exists */
    VimgThread reaper;
};

/* ---- primary.c ----------------------------------------------------------------------------- */

/* As vimg_host_connect(). */
VimgHostConnect *vimg_host_primary_connect(const VimgHostPrimary *primary, const VimgCaller *caller,
                                           GError **error);

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
/* Of a volume there is: (transfer full) its format, or "raw"; capacity and allocation in bytes. */
gboolean vimg_host_volume_look(virStorageVolPtr vol, char **format, guint64 *capacity,
                               guint64 *allocation, GError **error);

/* ---- primary-secret.c ----------------------------------------------------------------------- */

/* Sets .foreign if a backend of ours fills volumes of its type, opened by the host's definition. */
gboolean vimg_host_pool_open_foreign(VimgHostPrimary *primary, virConnectPtr connect,
                                     VimgHostPool *pool, GError **error);

/* ---- primary-journal.c: what is unfinished --------------------------------------------------- */

typedef struct _VimgHostEntry VimgHostEntry;

/* Before a volume is made: it will be called @name.  Returns: (transfer full) */
VimgHostEntry *vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool,
                                       const char *name, guint64 capacity, GError **error);
/* It was made, and is that of @key. */
gboolean vimg_host_journal_made(VimgHostEntry *entry, const char *key, GError **error);
/* It is complete, or gone.  Frees @entry. */
void vimg_host_journal_end(VimgHostEntry *entry);
/* It is neither: it will be removed when that is possible.  Frees @entry. */
void vimg_host_journal_leave(VimgHostEntry *entry);
gboolean vimg_host_journal_start(VimgHostPrimary *primary, GError **error);
void vimg_host_journal_stop(VimgHostPrimary *primary);

/* ---- primary-sink.c: where content goes -------------------------------------------------- */

typedef struct _VimgHostSink VimgHostSink;

/*
 * Content from its first byte on.  The first piece is kept back and comes last, so that what was
 * interrupted has no header, no partition table and no boot sector.
 */
VimgHostSink *vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol, VimgForeign *foreign,
                                 VimgTransfer *source);
gboolean vimg_host_sink_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                              GError **error);
gboolean vimg_host_sink_hole(VimgHostSink *sink, guint64 length, GError **error);
gboolean vimg_host_sink_finish(VimgHostSink *sink, GError **error);
void vimg_host_sink_free(VimgHostSink *sink); /* accepts NULL; aborts what is not finished */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostSink, vimg_host_sink_free)

/* ---- primary-source.c: where content comes from -------------------------------------------- */

typedef enum {
    VIMG_HOST_AS_IS,
    VIMG_HOST_TO_RAW,
    VIMG_HOST_TO_QCOW2,
} VimgHostWay;

typedef struct {
    VimgHostPrimary *primary;
    VimgTransfer *transfer; /* the job, and the content as it is stored */
    const VimgSourceInfo *info;
    VimgHostWay way;
} VimgHostSource;

/* All of the image into @sink; *@size: bytes of what it became. */
gboolean vimg_host_source_pour(const VimgHostSource *source, VimgHostSink *sink, guint64 *size,
                               GError **error);

/* ---- primary-base.c: what overlays lie on --------------------------------------------------- */

/* Returns: (transfer full) what the image is called as a base */
char *vimg_host_base_name(const VimgSourceInfo *info);
/* Nobody else places, uses for a new overlay or removes it meanwhile; @job may be NULL. */
gboolean vimg_host_base_take(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name,
                             VimgTransfer *job, GError **error);
void vimg_host_base_give(VimgHostPrimary *primary, const VimgHostPool *pool, const char *name);
/* It is whole, from now on. */
gboolean vimg_host_base_note(VimgHostPrimary *primary, const VimgHostPool *pool,
                             virStorageVolPtr vol, const VimgSourceInfo *info, GError **error);
/* Whether @vol holds the image: known, or found by reading both. */
gboolean vimg_host_base_check(VimgHostPrimary *primary, virConnectPtr connect,
                              const VimgHostPool *pool, virStorageVolPtr vol,
                              const VimgSourceInfo *info, VimgTransfer *image, GError **error);
/* Removes those of images of our pool @uuid that this host placed and nothing is an overlay on. */
void vimg_host_bases_tidy(VimgHostPrimary *primary, const char *uuid);

/* ---- primary-out.c, primary-in.c ----------------------------------------------------------- */

gboolean vimg_host_clone_out(VimgHostPrimary *primary, virConnectPtr connect,
                             const VimgPoolId *pool, const char *xml, const VimgVolId *source,
                             guint flags, VimgVolId *out, GError **error);
gboolean vimg_host_clone_in(VimgHostPrimary *primary, virConnectPtr connect, const VimgPoolId *pool,
                            const char *xml, const VimgVolId *source, guint flags, VimgVolId *out,
                            GError **error);

#endif
