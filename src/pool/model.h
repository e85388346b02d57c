/*
 * model.h: everything that rpc/ and host/ may ask of pools, volumes and secrets
 *
 * Objects are named by value, as on the wire; every function looks them up afresh, so a caller
 * never holds one.  All functions are safe from any thread and hold no lock while a backend works.
 * Those marked (memory) never wait for a storage.  All others may block for as long as it takes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_MODEL_H
#define VIMG_POOL_MODEL_H

#include "util/error.h"
#include "util/peer.h"
#include "util/uuid.h"

typedef struct _VimgModel VimgModel;

typedef struct {
    char *name;
    guint8 uuid[VIMG_UUID_SIZE];
} VimgPoolId;

typedef struct {
    char *pool;
    char *name;
    char *key;
} VimgVolId;

typedef struct {
    guint8 uuid[VIMG_UUID_SIZE];
    int usage_type;
    char *usage_id;
} VimgSecretId;

/* Who asks, as the kernel says of the other end of a connection. */
typedef VimgPeer VimgCaller;

void vimg_pool_id_clear(VimgPoolId *id);
void vimg_vol_id_clear(VimgVolId *id);
void vimg_secret_id_clear(VimgSecretId *id);
void vimg_pool_id_free(VimgPoolId *id);
void vimg_vol_id_free(VimgVolId *id);
void vimg_secret_id_free(VimgSecretId *id);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPoolId, vimg_pool_id_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgVolId, vimg_vol_id_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgSecretId, vimg_secret_id_clear)

/* ---- life ------------------------------------------------------------------------------- */

typedef enum {
    VIMG_EVENT_POOL_LIFECYCLE, /* @event: virStoragePoolEventLifecycleType */
    VIMG_EVENT_POOL_REFRESH,
    VIMG_EVENT_SECRET_LIFECYCLE, /* @event: virSecretEventLifecycleType */
    VIMG_EVENT_SECRET_VALUE,
} VimgEventKind;

typedef struct {
    VimgEventKind kind;
    int event;
    VimgPoolId pool;
    VimgSecretId secret;
} VimgEvent;

/* Called in any thread, no lock of the model held; @event is borrowed.  Must not block. */
typedef void (*VimgEventSink)(const VimgEvent *event, gpointer data);

typedef struct {
    const char *config_dir; /* definitions, autostart/, secrets/ */
    const char *state_dir;  /* journals, remembered store ids: survive a reboot */
    const char *run_dir;    /* live state of active pools: gone after a reboot */
    const char *plugin_dir;
    const char *const *zones;
    const char *const *search_paths;
    const char *metrics_file;               /* NULL: none is written */
    guint metrics_interval;                 /* seconds */
    const struct _VimgImportRules *imports; /* outlives the model; NULL: nothing is imported */
} VimgModelConfig;

/* Strings of @config are copied.  Loads no definition yet. */
VimgModel *vimg_model_new(const VimgModelConfig *config, GError **error);
void vimg_model_set_event_sink(VimgModel *model, VimgEventSink sink, gpointer data);
/*
 * Loads definitions and secrets, re-opens pools that were active, starts autostart ones.  A bad
 * file is logged by name and skipped; only an unusable directory is an error.  Storages are opened
 * by workers after it returned; a pool being opened answers as inactive until then.
 */
gboolean vimg_model_start(VimgModel *model, GError **error);
/*
 * The daemon is about to end: every job that runs or begins from now on is cancelled, and nobody
 * waits for a storage or a server that comes back, so calls that wait for one return soon.
 */
void vimg_model_cancel_jobs(VimgModel *model);
/*
 * Waits for what pools do by themselves: afterwards nobody is told of pools and images any more, so
 * who was may go.  Calls are over before.
 */
void vimg_model_stop(VimgModel *model);
/* vimg_model_stop(), closes every pool, frees.  Accepts NULL. */
void vimg_model_free(VimgModel *model);
/* (memory) Number of pools and secrets, hidden ones too. */
guint vimg_model_size(VimgModel *model);
/* (memory) Number of active pools and running jobs: a daemon with --timeout ends at 0. */
guint vimg_model_busy(VimgModel *model);

/* ---- pools ------------------------------------------------------------------------------ */

/* (memory) @flags: virConnectListAllStoragePoolsFlags.  Returns: (transfer full) of VimgPoolId. */
GPtrArray *vimg_model_pool_list(VimgModel *model, guint flags);
/* (memory) */
gboolean vimg_model_pool_by_name(VimgModel *model, const char *name, VimgPoolId *out,
                                 GError **error);
gboolean vimg_model_pool_by_uuid(VimgModel *model, const guint8 *uuid, VimgPoolId *out,
                                 GError **error);
gboolean vimg_model_pool_by_volume(VimgModel *model, const VimgVolId *vol, VimgPoolId *out,
                                   GError **error);
gboolean vimg_model_pool_by_target_path(VimgModel *model, const char *path, VimgPoolId *out,
                                        GError **error);

/* @flags: virStoragePoolDefineFlags */
gboolean vimg_model_pool_define(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                                GError **error);
/* @flags of the next two: virStoragePoolCreateFlags */
gboolean vimg_model_pool_create_xml(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                                    GError **error);
gboolean vimg_model_pool_create(VimgModel *model, const VimgPoolId *pool, guint flags,
                                GError **error);
/* @flags: virStoragePoolBuildFlags */
gboolean vimg_model_pool_build(VimgModel *model, const VimgPoolId *pool, guint flags,
                               GError **error);
gboolean vimg_model_pool_destroy(VimgModel *model, const VimgPoolId *pool, GError **error);
gboolean vimg_model_pool_delete(VimgModel *model, const VimgPoolId *pool, guint flags,
                                GError **error);
gboolean vimg_model_pool_undefine(VimgModel *model, const VimgPoolId *pool, GError **error);
gboolean vimg_model_pool_refresh(VimgModel *model, const VimgPoolId *pool, guint flags,
                                 GError **error);

typedef struct {
    guint8 state; /* virStoragePoolState */
    guint64 capacity, allocation, available;
} VimgPoolInfo;

/* (memory), all down to the capabilities */
gboolean vimg_model_pool_info(VimgModel *model, const VimgPoolId *pool, VimgPoolInfo *out,
                              GError **error);
/* @flags: virStorageXMLFlags.  Returns: (transfer full) */
char *vimg_model_pool_xml(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error);
gboolean vimg_model_pool_get_autostart(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                                       GError **error);
gboolean vimg_model_pool_set_autostart(VimgModel *model, const VimgPoolId *pool, gboolean autostart,
                                       GError **error);
gboolean vimg_model_pool_is_active(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                                   GError **error);
gboolean vimg_model_pool_is_persistent(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                                       GError **error);
/* Returns: (transfer full) of VimgVolId, at most 16384, or NULL with @error. */
GPtrArray *vimg_model_pool_volumes(VimgModel *model, const VimgPoolId *pool, GError **error);

/* Returns: (transfer full) a <storagepoolCapabilities> document. */
char *vimg_model_pool_capabilities(VimgModel *model, GError **error);
/* Returns: (transfer full) a <sources> document. */
char *vimg_model_find_sources(VimgModel *model, const char *type, const char *spec, guint flags,
                              GError **error);

/* ---- beside pools of the host's own daemon ---------------------------------------------- */

/* (memory) Whether pools of @type are ours, also if its backend is not to be had. */
gboolean vimg_model_knows_type(VimgModel *model, const char *type);
/* (memory) Whether a pool of ours has the name or the uuid of @host, a pool of the host. */
gboolean vimg_model_hides_host_pool(VimgModel *model, const VimgPoolId *host);

/* Which pool a document, of any type, wishes for. */
typedef struct {
    gboolean ours; /* it is of a type of ours, or of none */
    VimgPoolId id; /* .name may be NULL */
    gboolean has_uuid;
} VimgPoolWish;

void vimg_pool_wish_clear(VimgPoolWish *wish);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPoolWish, vimg_pool_wish_clear)
/* (memory) @out: zeroed.  Fails on what no parser would take. */
gboolean vimg_model_pool_wish(VimgModel *model, const char *xml, VimgPoolWish *out, GError **error);
/*
 * (memory) Whether names and uuids stay unique over both sides.  @host: of VimgPoolId, all pools of
 * the host; NULL: not known.  VIMG_ERROR_FAILED in libvirt's words.
 */
gboolean vimg_model_check_wish(VimgModel *model, const VimgPoolWish *wish, const GPtrArray *host,
                               GError **error);
/*
 * (memory) The log and the status say which pools of the host ours hide; the log once.  @host: of
 * VimgPoolId; @all: the host has no others.
 */
void vimg_model_note_host_pools(VimgModel *model, const GPtrArray *host, gboolean all);
/*
 * Returns: (transfer full) the document @ours of vimg_model_pool_capabilities() with the types of
 * @host, one of libvirt's; NULL with @error if that is none.
 */
char *vimg_capabilities_merge(const char *ours, const char *host, GError **error);

/* ---- volumes ---------------------------------------------------------------------------- */

/* (memory) */
gboolean vimg_model_vol_by_name(VimgModel *model, const VimgPoolId *pool, const char *name,
                                VimgVolId *out, GError **error);
gboolean vimg_model_vol_by_key(VimgModel *model, const char *key, VimgVolId *out, GError **error);
gboolean vimg_model_vol_by_path(VimgModel *model, const char *path, VimgVolId *out, GError **error);
/* (memory) Returns: (transfer full) */
char *vimg_model_vol_path(VimgModel *model, const VimgVolId *vol, GError **error);
char *vimg_model_vol_xml(VimgModel *model, const VimgVolId *vol, guint flags, GError **error);

typedef struct {
    int type; /* virStorageVolType, always network */
    guint64 capacity, allocation, physical;
} VimgVolInfo;

/* (memory) */
gboolean vimg_model_vol_info(VimgModel *model, const VimgVolId *vol, VimgVolInfo *out,
                             GError **error);

/* @flags: virStorageVolCreateFlags */
gboolean vimg_model_vol_create(VimgModel *model, const VimgPoolId *pool, const char *xml,
                               guint flags, VimgVolId *out, GError **error);
gboolean vimg_model_vol_create_from(VimgModel *model, const VimgPoolId *pool, const char *xml,
                                    const VimgVolId *source, guint flags, VimgVolId *out,
                                    GError **error);
/* The same where either of the two may be the host's, which is seen with the rights of @caller. */
gboolean vimg_model_vol_clone(VimgModel *model, const VimgCaller *caller, const VimgPoolId *pool,
                              const char *xml, const VimgVolId *source, guint flags, VimgVolId *out,
                              GError **error);
/*
 * What @source, a volume of the host, holds now is kept for @image, a saving one of the machine's.
 * VIMG_ERROR_ARGUMENT_UNSUPPORTED: no such volume can be kept.
 */
gboolean vimg_model_vol_hold(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                             const VimgVolId *source, GError **error);
/*
 * The image gets that content: what was changed since an image before of the same volume is read,
 * the rest comes from that image.  Returns: (transfer full) JSON, "read" (bytes of the volume) and
 * "base" (the name of that image, or null); NULL with @error, and the image is saving
 */
char *vimg_model_vol_fill(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                          const VimgVolId *source, GError **error);
gboolean vimg_model_vol_delete(VimgModel *model, const VimgVolId *vol, guint flags, GError **error);
/* @algorithm: virStorageVolWipeAlgorithm */
gboolean vimg_model_vol_wipe(VimgModel *model, const VimgVolId *vol, guint algorithm, guint flags,
                             GError **error);
gboolean vimg_model_vol_resize(VimgModel *model, const VimgVolId *vol, guint64 capacity,
                               guint flags, GError **error);

/*
 * Which pools of images serve which primary storage.  @name: a pool of the host or a kind of
 * primary storage, as "Vhost"; NULL: all.  Returns: (transfer full) a JSON object, its one member
 * "matches" an array: "primary", the kind; "types", libvirt's of its pools, which may be none;
 * "storage", the type of pools of images; "default", whether it is the first choice; "guide",
 * whether the users' guide has the pair; "way": clone, share (a clone that copies nothing) or
 * download (libvirt has no such pools); "pools", ours of the type that run, and "host_pools", those
 * of the host, arrays of {"name"}.
 */
char *vimg_model_match(VimgModel *model, const VimgCaller *caller, const char *name,
                       GError **error);

/* ---- streams ---------------------------------------------------------------------------- */

/* One upload or download.  Calls on one never overlap; any thread. */
typedef struct _VimgTransfer VimgTransfer;

/*
 * @length 0: to the end.  Flags are checked by the caller.  @sparse: holes may come, so that
 * @length says nothing of the space it takes.
 */
VimgTransfer *vimg_model_upload(VimgModel *model, const VimgVolId *vol, guint64 offset,
                                guint64 length, gboolean sparse, GError **error);
VimgTransfer *vimg_model_download(VimgModel *model, const VimgVolId *vol, guint64 offset,
                                  guint64 length, GError **error);

/* After an error only vimg_transfer_free() may follow. */
gboolean vimg_transfer_write(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, gsize size,
                             GError **error);
gboolean vimg_transfer_hole(VimgTransfer *transfer, guint64 length, GError **error);
/* An upload that nothing comes for: its volume shows what the storage took meanwhile. */
void vimg_transfer_idle(VimgTransfer *transfer);
gboolean vimg_transfer_finish(VimgTransfer *transfer, GError **error);
/* TRUE with @out->length 0 at the end. */
gboolean vimg_transfer_next(VimgTransfer *transfer, VimgExtent *out, GError **error);
/* Ends it: an upload that was not finished is aborted.  Accepts NULL. */
void vimg_transfer_free(VimgTransfer *transfer);
/* From any thread at any time before free: a blocked call returns VIMG_ERROR_ABORTED soon. */
void vimg_transfer_cancel(VimgTransfer *transfer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTransfer, vimg_transfer_free)

/* ---- imports ---------------------------------------------------------------------------- */

typedef struct {
    const char *name; /* of an image that is saving, or of a new one */
    const char *url;
    const char *digest; /* "sha256:" or "sha512:" and digits, of what comes; NULL: not known */
    const char *format; /* NULL: recognised */
} VimgImportRequest;

/*
 * Fetches what lies at a URL into an image, which is active then; gzip, xz and zstd are unpacked.
 * It goes on whatever becomes of the client.  What failed leaves a saving image that the same
 * import takes up again, if anything came, or one that says why its content can never be used.
 * Returns: (transfer full) a JSON object: "name", "uuid", "format" of the image; "packed": "gzip",
 * "xz", "zstd" or null; in bytes "capacity", "allocation" and "physical" of the image, "received",
 * what was fetched, and "resumed_at", the offset of the first of that.
 */
char *vimg_model_vol_import(VimgModel *model, const VimgPoolId *pool,
                            const VimgImportRequest *request, GError **error);

/* ---- synchronisation ------------------------------------------------------------------------ */

typedef struct {
    const char *const *images; /* names; @n_images 0: all that are complete */
    gsize n_images;
    const char *const *deletes; /* uuids of images that go to the trash unless the source has one
                                   of their names; as whoever confirmed it was shown them */
    gsize n_deletes;
    guint64 bandwidth; /* bytes a second at most; 0: no limit */
} VimgSyncRequest;

/*
 * The images of @source become images of @pool too; one that is there with the same content is left
 * alone.  It goes on whatever becomes of the client; interrupted, the same again goes on from
 * there.  Returns: (transfer full) a JSON object: "source" and "pool", their names; arrays of
 * "name" and "uuid": "copied", also with "sent" (bytes that travelled) and "allocation", "present"
 * and "deleted"; "refused", an array of "name" and "reason"; bytes of all: "sent", and "total", the
 * allocation of those copied; "truncated": the arrays lack some; "copied_count", "present_count",
 * "deleted_count" and "refused_count": how many there are with those
 */
char *vimg_model_pool_sync(VimgModel *model, const VimgPoolId *pool, const VimgPoolId *source,
                           const VimgSyncRequest *request, GError **error);

/* ---- exports ---------------------------------------------------------------------------- */

#define VIMG_EXPORT_HASH_SIZE 32 /* bytes of the SHA-256 of a token */

typedef struct {
    char *id;   /* a uuid */
    char *pool; /* what it is called now, or was when it was last seen */
    char *pool_uuid;
    char *image;      /* its name then */
    char *image_uuid; /* which one it is */
    char *generation; /* which content of it; NULL: not known */
    char *file;       /* what a download is called */
    char *format;     /* of what is downloaded */
    gboolean compress;
    gboolean direct;         /* the storage serves it: it cannot be revoked */
    guint64 size;            /* bytes of a download, uncompressed */
    guint64 capacity;        /* of the image */
    char *sha256;            /* of a download; NULL: not known yet, or it is compressed */
    gint64 created, expires; /* seconds since 1970 */
    const char *state;       /* live, expired, revoked, replaced: its image holds something else;
                                served: over NBD, it does not expire (0) */
} VimgExportInfo;

void vimg_export_info_free(VimgExportInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgExportInfo, vimg_export_info_free)

typedef struct {
    const char *image;  /* its name */
    const char *format; /* raw, qcow2; NULL: as the image is stored */
    guint64 lifetime;   /* seconds */
    gboolean compress;  /* what is downloaded */
    gboolean direct;    /* by a URL of the storage itself */
} VimgExportRequest;

/*
 * Whoever has the URL can download the image from then on, which is not purged meanwhile.
 * @url: (transfer full) holds the only copy of the token.  VIMG_ERROR_OPERATION_UNSUPPORTED:
 * nothing serves exports here.  A direct one keeps nothing: purging the image is what ends it.
 */
VimgExportInfo *vimg_model_export_create(VimgModel *model, const VimgPoolId *pool,
                                         const VimgExportRequest *request, char **url,
                                         GError **error);
/*
 * (memory) Exports in the order of their ids, those that ended lately included: the first @max
 * behind @after (NULL: from the beginning).  Returns: (transfer full) of VimgExportInfo
 */
GPtrArray *vimg_model_export_list(VimgModel *model, const char *after, guint max);
/* Nothing more of it is downloaded.  Revoked twice is revoked; a direct one cannot be. */
gboolean vimg_model_export_revoke(VimgModel *model, const char *id, GError **error);
/* (memory) The data networks of all pools, in the order of their names.  Returns: (transfer full)
 */
char **vimg_model_data_networks(VimgModel *model);
/* Before anybody asks: the URL below which exports are served.  NULL: none are. */
void vimg_model_set_export_url(VimgModel *model, const char *url);
/* Whether they are just now; not, and no @why: soon, which whoever wants one waits for a while. */
void vimg_model_set_export_served(VimgModel *model, gboolean served, const char *why);

typedef enum {
    VIMG_EXPORT_LIVE,
    VIMG_EXPORT_AWAY,  /* it is, but its pool does not run or is not connected */
    VIMG_EXPORT_ENDED, /* it is expired or revoked, or of what the image holds no more */
    VIMG_EXPORT_ABSENT,
} VimgExportState;

/* (memory) Which export has a token of this hash.  @out: (transfer full) unless it is absent. */
VimgExportState vimg_model_export_find(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                                       VimgExportInfo **out);
/* What of a download is to be read. */
typedef struct {
    guint64 offset;
    guint64 length; /* within it, at least 1 */
    guint64 until;  /* over NBD: to where more will be asked for, which is read ahead */
    gsize most;     /* bytes of data at a time */
} VimgExportPart;

/* At least one byte of @part.  A download that began goes on a while after its export expired. */
gboolean vimg_model_export_read(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                                const VimgExportPart *part, VimgExtent *out, GError **error);

/* What of an image is known to be zeros, and what may be data. */
typedef struct {
    guint64 length;
    gboolean zeros;
} VimgExportExtent;

/* (memory) What is at @offset of one that is served over NBD, until it changes. */
gboolean vimg_model_export_map(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                               guint64 offset, VimgExportExtent *out, GError **error);

/* Who serves an image to programs of this host. */
typedef struct {
    /* The export of @hash, to user @uid.  Returns: (transfer full) the path of its socket */
    char *(*start)(const char *id, const guint8 *hash, uid_t uid, gpointer data, GError **error);
    /* Of one that may have ended by itself; soon. */
    void (*stop)(const char *id, gpointer data);
} VimgNbdServer;

/* Before anybody asks.  NULL: there is none. */
void vimg_model_set_nbd(VimgModel *model, const VimgNbdServer *server, gpointer data);
/*
 * Serves an image as it is stored, which is not purged meanwhile, until the last client of the
 * socket is gone.  It is an export that can be revoked.  @path: (transfer full) of the socket.
 * VIMG_ERROR_OPERATION_UNSUPPORTED: nothing serves them here.
 */
VimgExportInfo *vimg_model_nbd_start(VimgModel *model, const VimgPoolId *pool, const char *image,
                                     uid_t uid, char **path, GError **error);
/*
 * The raw disk of an image stored as qcow2, read by vimg_model_export_read() with what @hash
 * becomes, until vimg_model_nbd_stop().  VIMG_ERROR_OPERATION_UNSUPPORTED: it is stored otherwise.
 */
VimgExportInfo *vimg_model_disk_start(VimgModel *model, const VimgPoolId *pool, const char *image,
                                      guint8 hash[VIMG_EXPORT_HASH_SIZE], GError **error);
gboolean vimg_model_nbd_stop(VimgModel *model, const char *id, GError **error);
/* Its server is gone.  One that is unknown is none. */
void vimg_model_nbd_ended(VimgModel *model, const char *id);

/* ---- upkeep ----------------------------------------------------------------------------- */

/*
 * Frees what nobody needs, one job of a pool at a time (VIMG_ERROR_BUSY).  It goes on whatever
 * becomes of the client.  Returns: (transfer full) the backend's report, a JSON object; see
 * vimg-plugin.h.
 */
char *vimg_model_pool_cleanup(VimgModel *model, const VimgPoolId *pool, gboolean dry_run,
                              GError **error);
/* The same for reading again what is stored; @volume: the name of one, or NULL for everything. */
char *vimg_model_pool_verify(VimgModel *model, const VimgPoolId *pool, const char *volume,
                             GError **error);

/*
 * What each image takes.  Returns: (transfer full) the backend's report, a JSON object; see
 * vimg-plugin.h.  From then on volumes show what it says of them.
 */
char *vimg_model_pool_usage(VimgModel *model, const VimgPoolId *pool, GError **error);
/* In what the content of volume @to differs from that of @from.  Returns: as above. */
char *vimg_model_vol_diff(VimgModel *model, const VimgPoolId *pool, const char *from,
                          const char *to, GError **error);
/* A clone that shares data with its source gets all of it.  Returns: as vimg_model_volume_show().
 */
char *vimg_model_vol_flatten(VimgModel *model, const VimgPoolId *pool, const char *name,
                             GError **error);
/*
 * The way to the storage of a pool, active or not, step by step; nothing is changed.  Returns:
 * (transfer full) a JSON object: "pool", its name; "verdict", the worst of all; "steps", an array
 * of
 * {"step", "verdict": ok, warning, failed or skipped, "detail", "remedy"}, the last only where
 * something is to be done.
 */
char *vimg_model_pool_doctor(VimgModel *model, const VimgPoolId *pool, GError **error);

typedef struct {
    char *uuid;
    char *name;   /* others may have it too */
    char *format; /* may be NULL */
    guint64 capacity, allocation, physical;
    gint64 created, deleted; /* seconds since 1970 */
    gint64 expires;          /* from when a cleanup takes it */
    char *needed_by;         /* clones without which it would; NULL: none are known */
} VimgTrashEntry;

void vimg_trash_entry_free(VimgTrashEntry *entry);

/*
 * Deleted images in the order of their uuids: the first @max behind @after (NULL: from the
 * beginning).  Returns: (transfer full) of VimgTrashEntry
 */
GPtrArray *vimg_model_trash_list(VimgModel *model, const VimgPoolId *pool, const char *after,
                                 guint max, GError **error);
/* @name NULL: the one it had. */
gboolean vimg_model_trash_restore(VimgModel *model, const VimgPoolId *pool, const char *uuid,
                                  const char *name, VimgVolId *out, GError **error);
gboolean vimg_model_trash_purge(VimgModel *model, const VimgPoolId *pool, const char *uuid,
                                GError **error);

typedef struct {
    guint64 id;
    char *pool;
    char *volume; /* NULL: the pool itself */
    char *kind;   /* upload, download, clone, copy, build, delete, cleanup, verify, … */
    char *phase;
    guint64 done, total; /* of @phase: bytes, or what it goes through; total 0: not known */
    gint64 started;      /* seconds since 1970 */
    gboolean cancelled;
    guint64 caller; /* who asked for it, see vimg_thread_set_caller() */
} VimgJobInfo;

void vimg_job_info_free(VimgJobInfo *info);

typedef enum {
    VIMG_JOB_BEGUN,
    VIMG_JOB_MOVED, /* at most twice a second */
    VIMG_JOB_ENDED, /* always the last */
} VimgJobStep;

typedef struct {
    VimgJobInfo *job;
    VimgJobStep step;
    char *error; /* VIMG_JOB_ENDED: what whoever waited for it was told; NULL: it was completed */
} VimgJobEvent;

/* Called in one thread, no lock of the model held; @event is borrowed.  Must not block. */
typedef void (*VimgJobSink)(const VimgJobEvent *event, gpointer data);

/* Before the model starts. */
void vimg_model_set_job_sink(VimgModel *model, VimgJobSink sink, gpointer data);
/* (memory) One watches more, or (cannot fail) less; without any the sink is not called. */
gboolean vimg_model_watch_jobs(VimgModel *model, gboolean on, GError **error);

/* (memory) Returns: (transfer full) of VimgJobInfo, oldest first. */
GPtrArray *vimg_model_job_list(VimgModel *model);
/* (memory) It ends soon, with VIMG_ERROR_ABORTED for whoever waits for it. */
gboolean vimg_model_job_cancel(VimgModel *model, guint64 id, GError **error);
/* What @caller asked for, and asks for from now on, is cancelled, as whoever wanted it is gone;
 * until it is forgotten, after the last of its calls.  What deletes goes on. */
void vimg_model_jobs_leave(VimgModel *model, guint64 caller);
void vimg_model_jobs_forget(VimgModel *model, guint64 caller);

/* ---- what is there ---------------------------------------------------------------------- */

/*
 * (memory) All pools in the order of names, or the one of @name.  Returns: (transfer full) a JSON
 * object, {"pools": [...]}; of each pool:
 *
 * "name", "uuid", "type"; "active", "persistent", "autostart", "read_only" (its storage is);
 * "state": enabled, disabled; "status": inactive, connecting, connected, disconnected; "error",
 * "error_time": the last one of its storage, null if there was none since the daemon started;
 * "retry_in": seconds until it is connected again, null if it is not to be; "reconnects": how often
 * it was since the daemon started;
 * "capacity", "available", "allocation": bytes of its storage; "reserved": bytes that running
 * uploads of this host keep free; "images", "saving", "damaged" (in state error): how many;
 * "logical": bytes that downloads of all complete images return; these are null while the pool is
 * not active;
 * "stored": bytes that all content takes, "dedup_ratio": how many times as much the images would
 * take each alone, "compression_ratio": how many times as much it would take uncompressed,
 * "damaged_slices": pieces of content that are bad or missing, each null if it is not known;
 * "as_of": when the last four were counted, by a cleanup, a verification or the like;
 * "hides": the uuid of a pool of the host's own daemon that cannot be seen for this one's name or
 * uuid, null if there is none;
 * "jobs": array of "id", "pool", "volume" (null: the pool's), "kind", "phase", "done", "total" (0:
 * not known), "started", "cancelled".
 */
char *vimg_model_status(VimgModel *model, const char *name, GError **error);

typedef struct {
    char *uuid;
    char *name;
    const char *state; /* saving, active, error */
    char *reason;      /* of an error; may be NULL */
    char *format;      /* may be NULL */
    guint64 capacity, allocation, physical;
    gint64 created;         /* seconds since 1970 */
    guint64 unique, shared; /* bytes, as of: */
    gint64 as_of;           /* 0: not known */
} VimgVolumeInfo;

void vimg_volume_info_free(VimgVolumeInfo *info);

/*
 * (memory) In the order of names: the first @max behind @after (NULL: from the beginning).
 * Returns: (transfer full) of VimgVolumeInfo
 */
GPtrArray *vimg_model_volume_page(VimgModel *model, const VimgPoolId *pool, const char *after,
                                  guint max, GError **error);
/*
 * (memory) Returns: (transfer full) a JSON object of all that is known: "name", "uuid", "pool",
 * "key", "path"; "state": saving, active, error, with its "reason"; "format"; "capacity",
 * "allocation", "physical", "unique", "shared", "as_of"; "position": where an upload may be taken
 * up; "created"; "parent" (uuid), "uploaded_format", "uploaded_size", "checksum_type", "checksum",
 * "os", "arch", "description", "origin" (of a file that was adopted); "changing": kind of the job
 * that changes it; "readers": how many jobs read it; "jobs": as vimg_model_status().  What there is
 * none of is null.
 */
char *vimg_model_volume_show(VimgModel *model, const VimgPoolId *pool, const char *name,
                             GError **error);

/* (memory) Returns: (transfer full) an OpenMetrics text; what is in it says virtimaged(8). */
char *vimg_model_metrics(VimgModel *model);

/* ---- edited while it runs ------------------------------------------------------------------- */

/*
 * What a definition says of it changes at once and for good; what waits for the next start goes on
 * waiting.  A disabled pool refuses to add and delete; what runs goes on.
 */
gboolean vimg_model_pool_enable(VimgModel *model, const VimgPoolId *pool, gboolean enabled,
                                GError **error);
/*
 * It, its images and all that runs go on under @name; nothing is called by the old one any more.
 * VIMG_ERROR_FAILED: the name is taken.
 */
gboolean vimg_model_pool_rename(VimgModel *model, const VimgPoolId *pool, const char *name,
                                GError **error);
/*
 * The server of the pool, active or not, is known by its key with @fingerprint from now on; a pool
 * that was lost connects again at once.
 */
gboolean vimg_model_host_key_accept(VimgModel *model, const VimgPoolId *pool,
                                    const char *fingerprint, GError **error);
/* @description NULL, or blank: none. */
gboolean vimg_model_pool_describe(VimgModel *model, const VimgPoolId *pool, const char *description,
                                  GError **error);

/* ---- zones ------------------------------------------------------------------------------ */

/*
 * (memory) Returns: (transfer full) a JSON object, its one member "zones" an array in the order of
 * names: those of this host and those that a pool is attached to.  Of each
 *   name
 *   here     whether it is one of this host's
 *   current  whether it is the one that a pool defined without any is attached to
 *   pools    an array in the order of names: name, uuid, only (it is attached to no other zone)
 * Pools are attached as their definition says, also if that waits for the next start.
 */
char *vimg_model_zone_list(VimgModel *model);
/* Attached twice is attached. */
gboolean vimg_model_zone_attach(VimgModel *model, const VimgPoolId *pool, const char *zone,
                                GError **error);
/*
 * VIMG_ERROR_OPERATION_INVALID: it is not attached to it; this host has zones and it would be left
 * with none, or runs and would be left with none of this host's.
 */
gboolean vimg_model_zone_detach(VimgModel *model, const VimgPoolId *pool, const char *zone,
                                GError **error);
/*
 * Stops and undefines the pools that are attached to @zone alone, whose storages stay as they are,
 * and detaches all others.  @uuids: @n texts, exactly the pools that go, or nothing is done and the
 * error names the difference.  Nothing is done either while one of those has jobs.  What a crash
 * leaves over is attached still: the same again ends it.
 */
gboolean vimg_model_zone_delete(VimgModel *model, const char *zone, const char *const *uuids,
                                gsize n, GError **error);

/* ---- secrets ---------------------------------------------------------------------------- */

/* (memory) @flags: virConnectListAllSecretsFlags.  Returns: (transfer full) of VimgSecretId. */
GPtrArray *vimg_model_secret_list(VimgModel *model, guint flags);
gboolean vimg_model_secret_by_uuid(VimgModel *model, const guint8 *uuid, VimgSecretId *out,
                                   GError **error);
gboolean vimg_model_secret_by_usage(VimgModel *model, int usage_type, const char *usage_id,
                                    VimgSecretId *out, GError **error);
gboolean vimg_model_secret_define(VimgModel *model, const char *xml, guint flags, VimgSecretId *out,
                                  GError **error);
char *vimg_model_secret_xml(VimgModel *model, const guint8 *uuid, GError **error);
gboolean vimg_model_secret_set_value(VimgModel *model, const guint8 *uuid, const void *value,
                                     gsize size, GError **error);
/* Returns: (transfer full) to be ended by vimg_secret_value_free(), which wipes it. */
VimgBuffer *vimg_model_secret_get_value(VimgModel *model, const guint8 *uuid, GError **error);
void vimg_secret_value_free(VimgBuffer *value);
gboolean vimg_model_secret_undefine(VimgModel *model, const guint8 *uuid, GError **error);

/*
 * Finds a secret that is not ours at the host's own daemon.  Called in any thread, no lock held;
 * may wait.  @usage NULL: by @uuid.  Returns: (transfer full) to be wiped; NULL with
 * VIMG_ERROR_NO_SECRET if it has none either.
 */
typedef VimgBuffer *(*VimgHostSecretFunc)(gpointer data, int usage_type, const char *usage,
                                          const guint8 *uuid, GError **error);
/* Before the model starts; for pools, whose secrets are looked for here first. */
void vimg_model_set_host_secrets(VimgModel *model, VimgHostSecretFunc func, gpointer data);

#endif
