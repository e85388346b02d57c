/*
 * model-private.h: what the files of the model share; nobody outside of them includes it
 *
 * Locks, in the order they are taken: VimgModel.files_lock (autostart links, see there),
 * VimgModel.lock (the registry), VimgPool.lock (one pool and its volumes), then leaves (jobs,
 * secrets, the task list).  All but the first guard tables; none of those is held during I/O or a
 * call of a backend.  What takes long on one pool excludes others by VimgPool.busy.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_MODEL_PRIVATE_H
#define VIMG_POOL_MODEL_PRIVATE_H

#include "conf/pool-def.h"
#include "conf/volume-def.h"
#include "pool/backend.h"
#include "pool/job.h"
#include "pool/model.h"
#include "pool/secrets.h"
#include "pool/services.h"
#include "util/thread.h"

/* Images of one pool: what a client takes in one list. */
#define VIMG_POOL_MAX_VOLUMES 16384

typedef struct _VimgPool VimgPool;
typedef struct _VimgPluginHost VimgSession;
typedef struct _VimgVolume VimgVolume;

/* ---- the model -------------------------------------------------------------------------- */

struct _VimgModel {
    char *config_dir;
    char *autostart_dir;
    char *state_dir;
    char *stores_dir; /* remembered store ids, by uuid of the pool */
    char *run_dir;
    char **zones;
    char **search_paths;
    const struct _VimgImportRules *imports; /* may be NULL */
    VimgBackends *backends;
    VimgSecrets *secrets;
    VimgJobs *jobs;
    struct _VimgExports *exports;
    gint hurried;                       /* atomic: nobody is to wait any more for what may come */
    const struct _VimgPrimary *primary; /* set before anybody asks; NULL: there is none */
    gpointer primary_data;
    VimgEventSink sink; /* set before the model starts */
    gpointer sink_data;

    VimgMutex lock;
    GHashTable *by_name; /* of VimgPool, borrowed; under lock */
    GHashTable *by_uuid; /* text of it -> VimgPool, owned; under lock */

    VimgMutex files_lock; /* orders autostart links; taken first, held over those small files */

    VimgMutex tasks_lock; /* a leaf */
    VimgCond tasks_changed;
    GQueue tasks;      /* of Task, not yet begun */
    guint n_threads;   /* that run tasks */
    guint n_uses;      /* calls and transfers that hold a session */
    gboolean ending;   /* nothing new begins */
    gboolean retry;    /* the reconnect thread must look again */
    gboolean retrying; /* the reconnect thread exists */
    VimgThread retry_thread;

    VimgWorkers *upkeep; /* that run scheduled cleanups; NULL before the start */
    guint upkeep_timer;

    char *metrics_file; /* NULL: none */
    guint metrics_interval;
    guint metrics_timer;
    gboolean metrics_failed; /* its timer's alone */
};

void vimg_model_emit(VimgModel *model, const VimgEvent *event);
void vimg_model_emit_pool(VimgModel *model, VimgPool *pool, VimgEventKind kind, int event);

/* Runs @func(@pool) in a thread of a bounded number, with a reference held meanwhile. */
void vimg_model_spawn(VimgModel *model, void (*func)(VimgPool *pool), VimgPool *pool);
gboolean vimg_model_ending(VimgModel *model);
/* By whoever holds a use: the model lives until vimg_model_release(), also without it. */
void vimg_model_keep(VimgModel *model);
void vimg_model_release(VimgModel *model);

/* For %llu in messages: a format macro would cut what translators see. */
#define VIMG_ULL(number) ((unsigned long long)(number))

/* VIMG_ERROR_FLAGS in libvirt's words if @flags has a bit outside @allowed. */
gboolean vimg_flags_check(guint flags, guint allowed, const char *function, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgModel, vimg_model_free)

/* ---- pools ------------------------------------------------------------------------------ */

/* What has a pool for itself; at most one at a time. */
typedef enum {
    VIMG_POOL_FREE,
    VIMG_POOL_DEFINING,
    VIMG_POOL_RENAMING,
    VIMG_POOL_STARTING,
    VIMG_POOL_STOPPING,
    VIMG_POOL_BUILDING,
    VIMG_POOL_DELETING,
    VIMG_POOL_UNDEFINING,
    VIMG_POOL_N_BUSY
} VimgPoolBusy;

typedef enum {
    VIMG_POOL_DISCONNECTED,
    VIMG_POOL_CONNECTING,
    VIMG_POOL_CONNECTED,
} VimgPoolStatus;

/* What all images of a storage take, as it was counted at some time. */
typedef struct {
    gboolean verified; /* the number of bad ones is known */
    gint64 as_of;      /* seconds since 1970; 0: never */
    guint64 stored;    /* bytes */
    guint64 plain;     /* bytes that is, not compressed; 0: not known */
    guint64 allocated; /* sum of what each alone would take */
    guint64 bad;       /* pieces of content that are damaged or missing */
} VimgPoolTotals;

struct _VimgPool {
    gint refs;
    VimgModel *model;            /* outlives its pools */
    const char *called;          /* atomic: see vimg_pool_name() */
    guint8 uuid[VIMG_UUID_SIZE]; /* these two never change */
    char uuid_text[VIMG_UUID_TEXT_SIZE];

    /* under the model's lock */
    gboolean hidden;     /* in the registry to keep name, uuid and source; nobody sees it yet */
    char *identity;      /* what its definition means; NULL: the backend is not available */
    char *next_identity; /* of next_def */
    char *claimed;       /* of a definition about to be taken */
    GSList *names;       /* that it has or had, owned */

    VimgMutex lock;
    VimgCond changed;

    /* under lock */
    VimgPoolBusy busy;
    gboolean gone;         /* no longer in the registry */
    VimgPoolDef *def;      /* what it works by; replaced, never changed */
    guint defined;         /* counts definitions that took the place of another while it ran */
    VimgPoolDef *next_def; /* what the file says, if that waits for the next start */
    gboolean persistent;
    gboolean autostart;
    gboolean active;
    guint sessions;  /* alive, the current one included */
    gint64 cleaned;  /* when its last cleanup began, seconds since 1970; 0: look into the file */
    gint64 looked;   /* when its schedule was looked at last; 0: it has none */
    gint64 tried;    /* when a scheduled cleanup was asked for last */
    gboolean queued; /* it waits for a worker */

    /* under lock, whatever becomes of the storage */
    char *last_error; /* of the storage; NULL: none since the start */
    gint64 failed_at; /* when that was, seconds since 1970 */
    guint64 reconnects;
    char *hides; /* uuid of the host's pool that is hidden behind it; NULL: none */
    VimgPoolTotals totals;

    /* under lock, of an active pool */
    VimgSession *session; /* NULL: nothing is open */
    VimgPoolStatus status;
    gboolean back;     /* its storage is, says the backend; it is only to be looked through */
    gint64 back_until; /* monotonic microseconds: then nobody waits for that any more */
    char *lost;        /* why it is not connected, in words */
    gint64 retry_at;   /* monotonic microseconds; 0: no retry is due */
    char *store_id;    /* part of the keys of its volumes */
    char *location;    /* part of their paths; NULL: the name of the pool */
    VimgPoolSizes sizes;
    gboolean read_only;
    GHashTable *volumes;  /* name -> VimgVolume, owned */
    GHashTable *by_image; /* uuid -> VimgVolume, borrowed */
    GHashTable *reserved; /* names about to become volumes */
    GHashTable *removed;  /* uuid -> tick, while a listing runs */
    GHashTable *readers;  /* set of VimgUse, borrowed: who reads an image, deleted since or not */
    const char *tending;  /* kind of the job that tends the whole storage; NULL: none */
    guint listings;       /* running */
    guint64 tick;         /* counts changes made here */
    guint64 listed;       /* tick at which the newest merged listing began */
    VimgJob *adopting;    /* the one that adopts files; NULL: nobody does */
    gboolean adopt_again; /* it must look once more */
    GHashTable *left_out; /* origin -> why it was refused; its alone, without the lock */
};

VimgPool *vimg_pool_new(VimgModel *model, VimgPoolDef *def); /* (transfer full) def */
VimgPool *vimg_pool_ref(VimgPool *pool);
void vimg_pool_unref(VimgPool *pool); /* accepts NULL */
/*
 * What it is called now: under the pool's lock, or the model's, it stays so.  What was returned
 * lives as long as the pool.
 */
const char *vimg_pool_name(const VimgPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPool, vimg_pool_unref)

/*
 * Takes the pool for @busy.  Waits a moment for whoever has it, then VIMG_ERROR_BUSY names that
 * operation; VIMG_ERROR_NO_POOL if it went meanwhile.
 */
gboolean vimg_pool_begin(VimgPool *pool, VimgPoolBusy busy, GError **error);
void vimg_pool_end(VimgPool *pool); /* accepts NULL */
/* Who has it now does something else. */
void vimg_pool_turn_to(VimgPool *pool, VimgPoolBusy busy);
/* A pool taken by vimg_pool_begin(), given back at the end of the block; holds no reference. */
typedef VimgPool VimgPoolTurn;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPoolTurn, vimg_pool_end)

/* VIMG_ERROR_BUSY naming what has the pool, under its lock.  Returns: FALSE. */
gboolean vimg_pool_throw_busy(VimgPool *pool, GError **error);
/*
 * Whether the backend can take @def; @identity: (transfer full) what it means.  @load: a type whose
 * backend is not available here will do, with *@identity NULL.
 */
gboolean vimg_pool_check_def(VimgModel *model, const VimgPoolDef *def, gboolean load,
                             char **identity, GError **error);

gboolean vimg_pool_check_active(VimgPool *pool, gboolean want, const char *message,
                                GError **error); /* takes the lock */
VimgPoolDef *vimg_pool_copy_def(VimgPool *pool); /* takes the lock */

/* ---- registry.c ------------------------------------------------------------------------- */

/* Each returns (transfer full) or NULL with VIMG_ERROR_NO_POOL; hidden pools are not found. */
VimgPool *vimg_registry_get(VimgModel *model, const VimgPoolId *id, GError **error);
VimgPool *vimg_registry_by_name(VimgModel *model, const char *name, GError **error);
/* Returns: (transfer full) of VimgPool, hidden ones left out. */
GPtrArray *vimg_registry_list(VimgModel *model);

/*
 * Finds or makes the pool of @def, which takes name, uuid and source from now on.  A new one is
 * hidden.  Returns: (transfer full) taken for VIMG_POOL_DEFINING, *@made says whether it is new;
 * NULL if name, uuid or source belong to another.
 */
VimgPool *vimg_registry_claim(VimgModel *model, const VimgPoolDef *def, const char *identity,
                              gboolean *made, GError **error);
/* After it was taken or refused. */
void vimg_registry_unclaim(VimgPool *pool);
void vimg_registry_show(VimgPool *pool);
/* Returns: (transfer full) what the two are; either may be NULL. */
void vimg_registry_identities(VimgPool *pool, char **identity, char **next);
/* Sets what its definition, and the one waiting for the next start, mean. */
void vimg_registry_note(VimgPool *pool, const char *identity, const char *next);
/* What waited for the next start is the source now. */
void vimg_registry_settle(VimgPool *pool);
void vimg_registry_remove(VimgPool *pool);
/* Keeps @name for @pool, which is not found by it yet; VIMG_ERROR_FAILED: it is taken. */
gboolean vimg_registry_reserve(VimgPool *pool, const char *name, GError **error);
void vimg_registry_unreserve(VimgPool *pool, const char *name);
/*
 * It is called @name, which was reserved, from now on; so are its jobs and definitions.  Its former
 * name is free.
 */
void vimg_registry_rename(VimgPool *pool, const char *name);
/*
 * @store_id is what @pool has open from now on, unless another pool has it: two paths may lead to
 * one storage.  Given back by vimg_cache_clear().
 */
gboolean vimg_registry_take_store(VimgPool *pool, const char *type, const char *store_id,
                                  GError **error);

/* ---- persist.c: files; all of it is I/O ------------------------------------------------- */

gboolean vimg_persist_dirs(VimgModel *model, GError **error);
gboolean vimg_persist_save(VimgPool *pool, const VimgPoolDef *def, GError **error);
gboolean vimg_persist_forget(VimgPool *pool, GError **error); /* definition and autostart link */
/*
 * Nothing of a former pool of its name or uuid is true of a new one.  A file of its name that was
 * skipped at start is that pool's own, come back: its storage stays remembered.
 */
gboolean vimg_persist_fresh(VimgPool *pool, GError **error);
gboolean vimg_persist_write(const char *path, const VimgPoolDef *def, GError **error);
gboolean vimg_persist_link(VimgModel *model, const char *name, GError **error);
gboolean vimg_persist_autostart(VimgPool *pool, gboolean autostart, GError **error);
gboolean vimg_persist_run_save(VimgPool *pool, const VimgPoolDef *def, GError **error);
gboolean vimg_persist_run_remove(VimgPool *pool, GError **error);
/* Returns: (transfer full); NULL: it never had a store (or @error is set). */
char *vimg_persist_store_id(VimgPool *pool, GError **error);
gboolean vimg_persist_store_remember(VimgPool *pool, const char *store_id, GError **error);
gboolean vimg_persist_store_forget(VimgPool *pool, GError **error);
/* The same for a pool that is gone already; a failure is logged. */
void vimg_persist_store_drop(VimgPool *pool);
/* When it was last cleaned up, in seconds since 1970; 0: never, or nobody knows. */
gint64 vimg_persist_cleaned(VimgPool *pool);
gboolean vimg_persist_note_cleaned(VimgPool *pool, gint64 when, GError **error);
/* Returns: (transfer full) the pool's private directory for its backend. */
char *vimg_persist_pool_dir(VimgPool *pool);
/* Puts what the directories hold into the registry; pools that were active are returned. */
gboolean vimg_persist_load(VimgModel *model, GPtrArray *were_active, GError **error);

/* ---- persist-rename.c ------------------------------------------------------------------- */

/* All files of @pool as those of @name; its own name is the caller's. */
gboolean vimg_persist_rename(VimgPool *pool, const char *name, GError **error);
/* What was interrupted; before anything is loaded. */
void vimg_persist_renames_go_on(VimgModel *model);

/* ---- zone.c ----------------------------------------------------------------------------- */

void vimg_zone_default(VimgPoolDef *def, char **zones);
gboolean vimg_zone_check(const VimgPoolDef *def, char **zones, GError **error);
/* Returns: (transfer full) of char *, as its definition says, also if that waits. */
GPtrArray *vimg_zones_of(VimgPool *pool);

/* ---- zone-edit.c ------------------------------------------------------------------------ */

/* The next two say the same; it is attached to @zone, and the caller has it to itself. */
gboolean vimg_zone_check_detach(VimgPool *pool, const char *zone, GError **error);
gboolean vimg_zone_detach(VimgPool *pool, const char *zone, GError **error);

/* ---- pool-session.c: the open storage of a pool ----------------------------------------- */

VimgSession *vimg_session_ref(VimgSession *session);
void vimg_session_unref(VimgSession *session); /* accepts NULL; the last one closes: may block */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSession, vimg_session_unref)
VimgStore *vimg_session_store(VimgSession *session);
/*
 * Opens the storage of @def, makes sure it is the one the pool knows, and remembers it if the pool
 * had none.  @info: (transfer full) what it answered.  The caller has the pool to itself.
 */
VimgSession *vimg_session_open(VimgPool *pool, const VimgPoolDef *def, guint flags,
                               VimgPluginStore *info, GError **error);
/* Waits a moment for former sessions to close, then VIMG_ERROR_BUSY. */
gboolean vimg_session_drain(VimgPool *pool, GError **error);
void vimg_store_info_clear(VimgPluginStore *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPluginStore, vimg_store_info_clear)

/* Notes that a call failed for want of the storage; any other error is none of its business. */
void vimg_session_failed(VimgSession *session, const GError *error);
/* Sizes again, after something changed; a failure is only noted. */
void vimg_session_sizes(VimgSession *session);
/* The same with the error. */
gboolean vimg_session_probe(VimgSession *session, GError **error);
/* Nobody shall wait for its answers: who connects the pool again asks for everything anew. */
gboolean vimg_session_is_lost(VimgSession *session);
/* A VimgStatusFunc. */
void vimg_session_status(VimgSession *session, const GError *error, gpointer data);
/* A VimgKeptFunc. */
gboolean vimg_session_keeps(VimgSession *session, const char *uuid);

/* Under the pool's lock: it lost its storage; what its storage answered. */
void vimg_pool_set_lost(VimgPool *pool, const char *reason);
void vimg_pool_set_info(VimgPool *pool, const VimgPluginStore *info);

/* ---- volume-cache.c: the volumes of an active pool, in memory ---------------------------- */

struct _VimgSourceInfo; /* pool/primary.h */

struct _VimgVolume {
    gint refs;
    char *key;

    /* under the pool's lock */
    VimgPluginImage image;
    guint64 tick;          /* when it last changed here */
    guint64 reserve;       /* bytes its creator announced; 0: none */
    guint64 reserved;      /* bytes that its upload keeps free */
    const char *changing;  /* kind of the job that changes it; NULL: none */
    guint64 seen_at;       /* the listing that found it so meanwhile; 0: none did */
    VimgPluginImage *seen; /* as that listing showed it; NULL: it did not */
    guint64 unique;        /* bytes that it alone needs in the storage, others too: as counted */
    guint64 shared;
    gint64 as_of; /* when, in seconds since 1970; 0: never */
};

VimgVolume *vimg_volume_ref(VimgVolume *volume);
void vimg_volume_unref(VimgVolume *volume); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgVolume, vimg_volume_unref)
void vimg_image_copy(VimgPluginImage *out, const VimgPluginImage *image);
/* In primary.c: what is known of @volume now.  Takes the pool's lock. */
void vimg_source_info_take(struct _VimgSourceInfo *out, VimgPool *pool, VimgVolume *volume);
/* @image gets what @base gives out: what that was made of, and its checksum, are not its own. */
void vimg_image_forget_upload(VimgPluginImage *image, const VimgPluginImage *base);

/* With the pool's lock held, all of these. */
void vimg_cache_init(VimgPool *pool);
void vimg_cache_clear(VimgPool *pool);
void vimg_cache_free(VimgPool *pool);
VimgVolume *vimg_cache_find(VimgPool *pool, const char *name); /* borrowed, or NULL */
/* Returns: (transfer none) */
VimgVolume *vimg_cache_add(VimgPool *pool, const VimgPluginImage *image);
void vimg_cache_change(VimgPool *pool, VimgVolume *volume, const VimgPluginImage *image);
void vimg_cache_remove(VimgPool *pool, VimgVolume *volume);
/* The job that changed it has ended: what a listing saw after its last change holds now. */
void vimg_cache_settle(VimgPool *pool, VimgVolume *volume);
/* Keeps @name for one to come.  Returns: FALSE with VIMG_ERROR_VOL_EXISTS or VIMG_ERROR_BUSY. */
gboolean vimg_cache_reserve(VimgPool *pool, const char *name, GError **error);
void vimg_cache_unreserve(VimgPool *pool, const char *name);

/* Returns: (transfer full) what its path is called. */
char *vimg_volume_path(const VimgPool *pool, const VimgVolume *volume);

/* Without it: lists the storage and makes the cache agree; what changed here meanwhile stays. */
gboolean vimg_cache_refresh(VimgPool *pool, VimgSession *session, GError **error);

/* ---- use.c: what a call holds of an active pool ------------------------------------------ */

typedef enum {
    VIMG_ACTION_UPLOAD,
    VIMG_ACTION_DOWNLOAD,
    VIMG_ACTION_SOURCE, /* of a clone or copy */
    VIMG_ACTION_RESIZE,
    VIMG_ACTION_WIPE,
    VIMG_ACTION_DELETE,
    VIMG_ACTION_VERIFY,
    VIMG_ACTION_FLATTEN,
    VIMG_ACTION_COMPARE, /* with what it is to be, and give it what it lacks */
    VIMG_N_ACTIONS
} VimgAction;

typedef struct {
    VimgPool *pool;
    VimgSession *session;
    VimgVolume *volume; /* NULL: the pool itself, or an image that is not made yet */
    gboolean changing;  /* it is held for changes, else for reading */
    gboolean rewriting; /* others read it meanwhile, but do not change it */
    gboolean tending;   /* nobody else tends the storage meanwhile */
    const char *kind;   /* of the job on @volume */
    char *reserved;     /* the name of the image to be made */
    gboolean jobless;   /* set by the caller before: it is part of another job */
    VimgJob *job;
} VimgUse;

/* Ends job and hold; the session may close here.  Not with a lock held. */
void vimg_use_clear(VimgUse *use);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgUse, vimg_use_clear)

/* @out of these is zeroed but for @jobless by the caller, who clears it whatever they return. */

/* The open storage of @pool. */
gboolean vimg_use_pool(VimgPool *pool, VimgUse *out, GError **error);
/*
 * The same for @action on @vol, which the state table, the pool's state and whoever else is at it
 * must allow.  A job of @kind (static) begins.
 */
gboolean vimg_use_volume(VimgModel *model, const VimgVolId *vol, VimgAction action,
                         const char *kind, VimgUse *out, GError **error);
/* The same of that very pool, whatever has its name. */
gboolean vimg_use_volume_of(VimgPool *pool, const VimgVolId *vol, VimgAction action,
                            const char *kind, VimgUse *out, GError **error);
/*
 * The same for a job of @kind (static) that has the whole storage for its subject: one at a time,
 * beside all that goes on with images.
 */
gboolean vimg_use_tend(VimgPool *pool, const char *kind, gboolean writes, VimgUse *out,
                       GError **error);
/* The same for one that only looks at the storage, of which there may be any number. */
gboolean vimg_use_look(VimgPool *pool, const char *kind, VimgUse *out, GError **error);
/* The same for one that adds images. */
gboolean vimg_use_fill(VimgPool *pool, const char *kind, VimgUse *out, GError **error);
/* The same for an image of the trash that is to go for good, unless somebody still reads it. */
gboolean vimg_use_trash(VimgPool *pool, const char *uuid, const char *kind, VimgUse *out,
                        GError **error);
/* The same for a new image: takes @name, begins a job. */
gboolean vimg_use_create(VimgPool *pool, const char *name, const char *kind, VimgUse *out,
                         GError **error);
/* The image exists now: it is a volume, held for changes by a job of kind @changing (static). */
void vimg_use_created(VimgUse *use, const VimgPluginImage *image, const char *changing);
/* The volume is gone from the storage. */
void vimg_use_removed(VimgUse *use);
/* The volume is now as @image says. */
void vimg_use_changed(VimgUse *use, const VimgPluginImage *image);
/* Asks the storage what is true of the volume; for after a failure. */
void vimg_use_restat(VimgUse *use);
/* Removes the half-made image @uuid, unless another host has completed it; @use is as it is then.
 */
void vimg_use_discard(VimgUse *use, const char *uuid);
/* A call of the backend failed, and with it the job: notes a lost storage.  Returns: FALSE. */
gboolean vimg_use_failed(VimgUse *use, const GError *error);
/*
 * Asks the storage whether image @uuid, volume @name, still holds @generation (NULL: not known,
 * which speaks against nothing, as does a storage that does not say), whatever other hosts did
 * since it was listed.  VIMG_ERROR_OPERATION_INVALID: it does not
 */
gboolean vimg_use_confirm(VimgUse *use, const char *uuid, const char *name, const char *generation,
                          GError **error);
gboolean vimg_use_throw_other(const VimgUse *use, const char *name, GError **error);
/* What the job is for fails with @error, whatever is the cause.  Returns: FALSE. */
gboolean vimg_use_fail(VimgUse *use, GError **error);
/* Each returns: (transfer full) */
char *vimg_use_uuid(VimgUse *use);
char *vimg_use_key(VimgUse *use);
/* @out: (transfer full) a copy of what is known now. */
void vimg_use_image(VimgUse *use, VimgPluginImage *out);
void vimg_use_fill_id(VimgUse *use, VimgVolId *out);

/* Returns: (transfer full), with (transfer full) *@pool, which is active; NULL with @error. */
VimgVolume *vimg_vol_find(VimgModel *model, const VimgVolId *vol, VimgPool **pool, GError **error);

/* ---- pool-start.c; the caller has the pool for itself in all of it ------------------------ */

gboolean vimg_pool_check_create_flags(guint flags, const char *function, GError **error);
/* @flags: VimgBuildFlags */
gboolean vimg_pool_build(VimgPool *pool, guint flags, GError **error);
/* @flags: virStoragePoolCreateFlags.  No event. */
gboolean vimg_pool_start(VimgPool *pool, guint flags, GError **error);
/*
 * As after a restart of the daemon: a pool that was active is so again, whether its storage can be
 * reached or not.  @autostart: it was not.  Returns: whether it is active.
 */
gboolean vimg_pool_resume(VimgPool *pool, gboolean autostart);
gboolean vimg_pool_stop(VimgPool *pool, GError **error);
/*
 * Kinds of jobs that do not keep a pool from being stopped: the adoption of files ends for it and
 * is taken up again at the next start, the doctor holds nothing of the pool.
 */
extern const char *const vimg_stop_beside[];
/* Lets go of the open storage; inactive afterwards. */
void vimg_pool_detach(VimgPool *pool);

/* ---- upkeep.c ---------------------------------------------------------------------------- */

/* As vimg_model_pool_cleanup(). */
char *vimg_pool_cleanup(VimgPool *pool, gboolean dry_run, GError **error);
/* A cleanup of it begins at @now: schedules count from here. */
void vimg_pool_note_cleanup(VimgPool *pool, gint64 now);

/* ---- status.c ---------------------------------------------------------------------------- */

/* With the pool's lock held: an error of its storage that people shall see later. */
void vimg_pool_note_error(VimgPool *pool, const char *message);
/* Remembers the totals in a report of the whole storage, if it has any. */
void vimg_pool_note_report(VimgPool *pool, const char *report);

/* What there is to say of a pool without asking its storage. */
typedef struct {
    VimgPool *pool; /* a reference */
    char *name;     /* what it was called then */
    char *type;
    gboolean active, persistent, autostart, disabled, read_only;
    gboolean root_only; /* no data volumes are cloned through it */
    const char *status; /* static: inactive, … */
    char *error;        /* the last one; may be NULL */
    gint64 failed_at;
    gint64 retry_in; /* seconds; -1: never */
    guint64 reconnects;
    char *hides;
    VimgPoolSizes sizes;
    guint64 reserved, logical;
    guint64 images[VIMG_IMAGE_ERROR + 1]; /* by state */
    VimgPoolTotals totals;
    GPtrArray *jobs; /* of VimgJobInfo */
} VimgPoolLook;

extern const char *const vimg_image_states[VIMG_IMAGE_ERROR + 1];
extern const char *const vimg_pool_statuses[4];

/* Returns: (transfer full) of VimgPoolLook, in the order of names; @name NULL: of all. */
GPtrArray *vimg_pools_look(VimgModel *model, const char *name, GError **error);
/* The ratios; 0: not known. */
gdouble vimg_totals_dedup(const VimgPoolTotals *totals);
gdouble vimg_totals_compression(const VimgPoolTotals *totals);

/* ---- upkeep-timer.c ---------------------------------------------------------------------- */

gboolean vimg_upkeep_start(VimgModel *model, GError **error);
/* After the model began to end and its jobs were cancelled. */
void vimg_upkeep_stop(VimgModel *model);
/*
 * Begins the cleanups that are due at @now, in seconds since 1970; what the daemon does every few
 * seconds.  Returns: how many.
 */
guint vimg_upkeep_tick(VimgModel *model, gint64 now, GTimeZone *zone);

/* ---- metrics-file.c ---------------------------------------------------------------------- */

gboolean vimg_metrics_start(VimgModel *model, GError **error);
void vimg_metrics_stop(VimgModel *model);

/* ---- pool-define.c ----------------------------------------------------------------------- */

/* @def as the backends see it; borrows it. */
VimgPoolView *vimg_pool_view(VimgModel *model, const VimgPoolDef *def, const char *store_id);
/* Whether a local path may be used.  Does I/O. */
gboolean vimg_pool_check_path(const VimgPoolDef *def, GError **error);
gboolean vimg_pool_forget(VimgPool *pool, GError **error);
/* Returns: (transfer full) the one to be told of a change, or NULL. */
VimgSession *vimg_pool_session(VimgPool *pool);
/* The backend reads @def, and secrets, again. */
gboolean vimg_session_update(VimgPool *pool, VimgSession *session, const VimgPoolDef *def,
                             GError **error);

/* ---- pool-edit.c ------------------------------------------------------------------------- */

/* Changes a definition in place, or says why not. */
typedef gboolean (*VimgEditFunc)(VimgPoolDef *def, gconstpointer data, GError **error);

/*
 * What @func makes of the definition is true, also of one that waits for the next start.  Only of
 * what no backend sees.  The caller has the pool to itself.  No event.
 */
gboolean vimg_pool_edit(VimgPool *pool, VimgEditFunc func, gconstpointer data, GError **error);
/* Returns: (transfer full) the one that waits for the next start, or NULL; takes the lock. */
VimgPoolDef *vimg_pool_copy_next(VimgPool *pool);
/* Takes edits back: @def, and @next unless NULL, are what there was before. */
gboolean vimg_pool_unedit(VimgPool *pool, const VimgPoolDef *def, const VimgPoolDef *next,
                          GError **error);
/* What clients are told of that. */
void vimg_pool_emit_edited(VimgPool *pool);
/* The same as a call of a client. */
gboolean vimg_pool_edit_by_id(VimgModel *model, const VimgPoolId *id, VimgEditFunc func,
                              gconstpointer data, GError **error);

/* ---- primary.c --------------------------------------------------------------------------- */

/* Whether the host has pools of its own now. */
gboolean vimg_primary_is_present(const VimgModel *model);

/* ---- doctor.c ---------------------------------------------------------------------------- */

#define VIMG_DOCTOR_KIND "doctor" /* of its jobs */

/* ---- adopt.c: images of plain files that lie in a storage -------------------------------- */

#define VIMG_ADOPT_KIND "adopt" /* of its jobs */

/*
 * Looks in another thread for files to adopt, if the definition asks for it and the pool may be
 * written; else ends what is under way.  Whenever one of that may have changed.
 */
void vimg_adopt_kick(VimgPool *pool);
/* Cancels it and waits a moment for its end, then VIMG_ERROR_OPERATION_INVALID. */
gboolean vimg_adopt_stop(VimgPool *pool, GError **error);

/* ---- reconnect.c ------------------------------------------------------------------------- */

/* Connects again and lists again.  One at a time; others wait for it. */
gboolean vimg_pool_reconnect(VimgPool *pool, GError **error);
/* If its storage is back, waits until @pool was looked through, but not long after that was said.
 */
void vimg_pool_await_back(VimgPool *pool);
void vimg_reconnect_kick(VimgModel *model);
gboolean vimg_reconnect_start(VimgModel *model, GError **error);
void vimg_reconnect_stop(VimgModel *model);

#endif
