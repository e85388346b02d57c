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

/* ---- primary-moment.c: what volumes held when images were made of them ------------------------
 */

/* As the callbacks of VimgPrimary. */
gboolean vimg_host_hold(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
                        const VimgVolId *source, GError **error);
gboolean vimg_host_fill(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
                        const VimgVolId *source, VimgFilled *out, GError **error);
/* Moments whose images are gone from our pool @uuid, or were followed by others, are dropped. */
void vimg_host_moments_tidy(VimgHostPrimary *primary, const char *uuid);
/* That of image @uuid is, if there is one. */
void vimg_host_moment_gone(VimgHostPrimary *primary, const char *uuid);
/* Those of pools that are undefined go.  @connect may be NULL.  Returns: whether none of them is
 * left */
gboolean vimg_host_moments_reap(VimgHostPrimary *primary, virConnectPtr connect);
/* Whether there are any. */
gboolean vimg_host_moments_are_over(VimgHostPrimary *primary);

/* ---- primary-since.c: filling an image with that -----------------------------------------------
 */

typedef struct {
    VimgTransfer *upload;
    VimgTransfer *base; /* NULL: there is none */
    const char *base_name;
    guint64 base_at;  /* of the first byte of .piece */
    VimgExtent piece; /* what came of it last */
    guint64 at;
    guint64 read;
} VimgHostFill;

/* All that @reader tells; what is the same comes of .base, whose bytes are so many at least. */
gboolean vimg_host_fill_pour(VimgHostFill *fill, VimgForeignReader *reader, GError **error);
void vimg_host_fill_clear(VimgHostFill *fill); /* the transfers are the caller's */

/* ---- primary-secret.c ----------------------------------------------------------------------- */

/* Sets .foreign if a backend of ours fills volumes of its type, opened by the host's definition. */
gboolean vimg_host_pool_open_foreign(VimgHostPrimary *primary, virConnectPtr connect,
                                     VimgHostPool *pool, GError **error);

/* ---- primary-mark.c: what tells an unfinished volume from every other ------------------------ */

#define VIMG_HOST_MARK_SIZE 64        /* bytes */
#define VIMG_HOST_NO_MARK G_MAXUINT64 /* a place: content of that size has no room for one */
#define VIMG_HOST_HEAD                                                                             \
    ((gsize)64 * 1024) /* bytes that come last, at once, the mark's among them                     \
                        */

/* Where it stands in a volume of @size bytes of content: the offset, or VIMG_HOST_NO_MARK. */
guint64 vimg_host_mark_place(guint64 size);
/* What it is, VIMG_HOST_MARK_SIZE bytes. */
void vimg_host_mark_fill(gpointer mark, const char *id);
gboolean vimg_host_mark_put(virConnectPtr connect, virStorageVolPtr vol, const char *id,
                            guint64 place, GError **error);
/*
 * The file at @path, if the mark is in it.  Returns: (transfer full) its descriptor; -1 with
 * @error: it is none, or not for us
 */
int vimg_host_mark_open(const char *path, const char *id, guint64 place, GError **error);
/* FALSE with @error: nobody can tell. */
gboolean vimg_host_mark_look(virConnectPtr connect, virStorageVolPtr vol, const char *id,
                             guint64 place, gboolean *there, GError **error);

/* ---- primary-journal.c: what is unfinished --------------------------------------------------- */

typedef struct _VimgHostEntry VimgHostEntry;

/*
 * Before a volume is made: it will be called @name, have @capacity, and get @size bytes of content.
 * Waits while the reaper is at one of that name, unless @job is cancelled.  Returns: (transfer
 * full)
 */
VimgHostEntry *vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool,
                                       const char *name, guint64 capacity, guint64 size,
                                       VimgTransfer *job, GError **error);
/* The same of one that is whole when libvirt has made it, so nothing is noted of it. */
VimgHostEntry *vimg_host_journal_begin_whole(VimgHostPrimary *primary, const VimgHostPool *pool,
                                             const char *name, VimgTransfer *job, GError **error);
/* It was made: from now on it can be told from every other, also of its name. */
gboolean vimg_host_journal_made(VimgHostEntry *entry, virConnectPtr connect,
                                const VimgHostPool *pool, virStorageVolPtr vol, GError **error);
/* Returns: its id, by which its mark is known; *@place: where that stands */
const char *vimg_host_journal_mark(const VimgHostEntry *entry, guint64 *place);
/* Returns: (transfer full) the name of one that is to be made beside it and to take its place */
char *vimg_host_journal_beside(VimgHostEntry *entry, GError **error);
/* It takes that place now; errors as vimg_foreign_replace(). */
gboolean vimg_host_journal_replace(VimgHostEntry *entry, const VimgHostPool *pool,
                                   const char *beside, GError **error);
/*
 * Of an entry that has no identity: what @identity is, and was found to be it, goes, and nothing
 * else that has the name by now.  VIMG_ERROR_NO_SUPPORT: its backend cannot; VIMG_ERROR_VOL_EXISTS:
 * it is another now, or holds something, and stays
 */
gboolean vimg_host_journal_put_away(VimgHostPrimary *primary, GKeyFile *file, const char *id,
                                    const VimgHostPool *pool, const char *identity, GError **error);
/* It will not, and goes.  Returns: whether nothing of that is left */
gboolean vimg_host_journal_end_beside(const VimgHostEntry *entry, const VimgHostPool *pool);
/* Whether @vol is still the one that was made, and unfinished.  FALSE with @error: nobody can tell.
 */
gboolean vimg_host_journal_look(VimgHostEntry *entry, virConnectPtr connect,
                                const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                                GError **error);
/* It is complete, so no other clone of its name has one: those are dropped.  Then as
 * vimg_host_journal_end(). */
gboolean vimg_host_journal_complete(VimgHostEntry *entry, GError **error);
/*
 * It is complete, or gone.  Frees @entry.  FALSE with @error: the next daemon takes it for
 * unfinished.
 */
gboolean vimg_host_journal_end(VimgHostEntry *entry, GError **error);
/* It is neither: it will be removed when that is possible.  @answered: libvirt said that it has
 * made it.  Frees @entry. */
void vimg_host_journal_leave(VimgHostEntry *entry, gboolean answered);
/* The same of one, @entry, that nobody could touch until now; in any thread, and as late as it
 * likes. */
void vimg_host_journal_answered(gpointer entry);
/* Whether a clone makes that volume, POOL-UUID.NAME, or somebody is at that base; else nobody
 * begins until vimg_host_journal_give(). */
gboolean vimg_host_journal_take(VimgHostPrimary *primary, const char *turn);
void vimg_host_journal_give(VimgHostPrimary *primary);

/* What was to take its place goes, of an entry that is left.  Returns: whether that is done */
gboolean vimg_host_journal_drop_beside(GKeyFile *file, const VimgHostPool *pool);
/* Returns: (transfer full) names of the files whose clones do not run. */
GPtrArray *vimg_host_journal_list(VimgHostPrimary *primary);
/* Returns: (transfer full) the id of the entry in file @base */
char *vimg_host_entry_id(const char *base);
/* Whether libvirt said that it has made the volume. */
gboolean vimg_host_journal_is_answered(GKeyFile *file);
/* Whether libvirt may still make a volume that is not there now: nobody heard its answer. */
gboolean vimg_host_journal_may_come(GKeyFile *file);
/* It is looked at: the first to do so notes when, where a daemon was killed that could not. */
void vimg_host_journal_is_seen(GKeyFile *file);
/*
 * *@there: whether the storage has a volume @name, asked without libvirt, which stops a pool that
 * it cannot refresh.  FALSE: it does not answer, or libvirt alone could tell
 */
gboolean vimg_host_journal_ask(const VimgHostPool *pool, const char *name, gboolean *there);
/* What an entry says, of what is stored. */
gboolean vimg_host_journal_is_it(GKeyFile *file, const char *id, virConnectPtr connect,
                                 const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                                 GError **error);
/* Its volume is being made at this moment, though nobody waits for it any more. */
void vimg_host_journal_is_made(GKeyFile *file);

/* ---- primary-reaper.c: what was left over -----------------------------------------------------
 */

gboolean vimg_host_reaper_start(VimgHostPrimary *primary, GError **error);
void vimg_host_reaper_stop(VimgHostPrimary *primary);
/* There is something for it, which files say. */
void vimg_host_reaper_kick(VimgHostPrimary *primary);

#define VIMG_HOST_ENTRY_GROUP "clone"
#define VIMG_HOST_ENTRY_SUFFIX ".clone"
#define VIMG_HOST_ENTRY_BESIDE "beside" /* a key: the name of what takes the volume's place */

/* ---- primary-sink.c: where content goes -------------------------------------------------- */

typedef struct _VimgHostSink VimgHostSink;

/*
 * Content from its first byte on.  The first piece is kept back and comes last, so that what was
 * interrupted has no header, no partition table and no boot sector.
 */
VimgHostSink *vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol,
                                 const VimgHostEntry *entry, const VimgHostPool *pool,
                                 VimgTransfer *source);
gboolean vimg_host_sink_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                              GError **error);
gboolean vimg_host_sink_hole(VimgHostSink *sink, guint64 length, GError **error);
/* The same as write, of what may be zeros that nobody knew of: they are holes. */
gboolean vimg_host_sink_data(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                             GError **error);
/* All but the first piece is there. */
gboolean vimg_host_sink_rest(VimgHostSink *sink, GError **error);
/*
 * The first one too, but with the mark in it, so that it is what others can change, and whoever
 * dies then leaves what is known to be unfinished.  Of a qcow2 volume alone, in whose first piece
 * that is a place for nothing; VIMG_ERROR_OPERATION_UNSUPPORTED: it is not.
 */
gboolean vimg_host_sink_head(VimgHostSink *sink, GError **error);
/* The first one too, or what is missing of it, so it is complete. */
gboolean vimg_host_sink_finish(VimgHostSink *sink, GError **error);
/* Whether the volume that was written is, where that can be told, still the one of its path. */
gboolean vimg_host_sink_is_there(VimgHostSink *sink, GError **error);
/* If its storage hangs: @entry is left when that answers, by whoever hears of it.  FALSE: it does
 * not. */
gboolean vimg_host_sink_hand_over(VimgHostSink *sink, VimgHostEntry *entry);
/* Whether this daemon holds the very file, so that nothing it does is done by name. */
gboolean vimg_host_sink_has_file(const VimgHostSink *sink);
void vimg_host_sink_stop(VimgHostSink *sink); /* nothing comes into it any more */
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
    VimgExtent *first; /* of the content, if it was read already; taken */
} VimgHostSource;

/* All of the image into @sink; *@size: bytes of what it became. */
gboolean vimg_host_source_pour(const VimgHostSource *source, VimgHostSink *sink, guint64 *size,
                               GError **error);

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
