/*
 * store.h: an open slice store
 *
 * Nothing of its content is relied on in memory but what the storage says did not change: what lies
 * there is the truth, and other hosts change it at any time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_STORE_H
#define VIMG_IMAGESTORE_STORE_H

#include <pthread.h>

#include "catalog.h"
#include "index.h"
#include "reach.h"
#include "transport.h"
#include "usage.h"
#include "watch.h"
#include "vimg-plugin.h"

#define VIMG_STORE_FILE "store.json"
#define VIMG_STORE_FORMAT 1
#define VIMG_SLICE_SIZE_MIN VIMG_ZERO_MIN
#define VIMG_SLICE_SIZE_MAX ((guint64)16 * 1024 * 1024)
#define VIMG_SLICE_SIZE_DEFAULT ((guint64)1024 * 1024)
#define VIMG_COMPRESSION_DEFAULT 1
#define VIMG_PAUSE_MAX 50000
/* Half of what one disk reads: a TiB in three hours, and guests on the same disks go on. */
#define VIMG_VERIFY_RATE_DEFAULT ((guint64)100 * 1024 * 1024)

/* An image that became active; an empty uuid stands for none. */
typedef struct {
    char uuid[37];
    gint64 stored;
} VimgRecent;

#define VIMG_RECENT 16

typedef struct _VimgSliceStore VimgSliceStore;

struct _VimgSliceStore {
    /* set once */
    VimgTransport *transport;
    VimgLink *link; /* the transport's own; NULL: the store is on this host */
    char *where;    /* the root, for people; NULL in tests */
    char *uuid;
    guint64 slice_size;
    gboolean read_only;
    guint pause;     /* microseconds at most until what another host holds is asked for again */
    guint ready;     /* microseconds that the lease of a create is kept; see ready.h */
    char *state_dir; /* of this pool on this host; NULL: none */
    VimgPluginHost *host; /* NULL in tests */
    guint timer;          /* heartbeats; 0: none */
    guint collector;      /* timer that goes on with collections; 0: none */
    VimgUsage *usage;
    VimgWatch *watch;
    VimgCatalog *catalog;
    struct _VimgReadies *readies; /* see ready.h */
    /* of the collector's timer alone */
    gint64 rest_after; /* no earlier it tries again, monotonic */
    gint64 rest_pause; /* microseconds; doubles with each failure */

    /* through __atomic builtins */
    gint closing;
    guint64 fenced; /* leases that we took away */
    guint64 fenced_bytes;

    /* options, through __atomic builtins */
    gint compression;
    guint64 space_reserve;
    guint64 quota;          /* bytes; 0: none */
    guint64 keep_deleted;   /* seconds */
    guint64 keep_temporary; /* seconds */
    guint64 verify_rate;    /* bytes of slices a second; 0: no limit */

    guint32 prefixes[65536 / 32]; /* prefix directories known to exist; __atomic builtins */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    VimgSpace space;      /* when it was looked at */
    gint64 space_until;   /* so long it stands for a look; monotonic, 0: it does not */
    guint doubts;         /* how often that was ended */
    GQueue leases;        /* paths of our heartbeats, borrowed */
    GQueue guesses;       /* see guess.h */
    GQueue ended;         /* of char: directories of leases that are to be removed */
    gboolean sweeping;    /* somebody is at it */
    gboolean swept;       /* there is a thread to be joined: */
    pthread_t sweeper;
    VimgRecent recent[VIMG_RECENT]; /* the images stored last, as far as seen; the newest first */
};

/* What a new store is made with. */
typedef struct {
    guint64 slice_size;
} VimgStoreParams;

/*
 * What lies at the root.  VIMG_PLACE_MISSING: there is no such directory.  VIMG_PLACE_EMPTY also
 * covers a store whose making was interrupted.
 */
typedef enum {
    VIMG_PLACE_MISSING,
    VIMG_PLACE_EMPTY,
    VIMG_PLACE_STORE,
    VIMG_PLACE_FOREIGN,
} VimgPlace;

gboolean vimg_slice_store_survey(VimgTransport *transport, VimgPlace *out, GError **error);
/*
 * Which store it is.  Returns: 0 or a value of errno; @out: (transfer full) NULL if the file of the
 * store names none.
 */
int vimg_slice_store_uuid(VimgTransport *transport, char **out);

/* Makes a store in an empty or foreign root; a failure removes what it made. */
gboolean vimg_slice_store_make(VimgTransport *transport, const VimgStoreParams *params,
                               GError **error);

/*
 * Opens the store at the root.  Takes @transport over, also on failure.  Fences what former leases
 * of this boot were left behind by dead processes.
 */
VimgSliceStore *vimg_slice_store_new(VimgTransport *transport, GError **error);
/* The same only to look: nothing is written, fenced or collected. */
VimgSliceStore *vimg_slice_store_peek(VimgTransport *transport, GError **error);
/* Accepts NULL. */
void vimg_slice_store_free(VimgSliceStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSliceStore, vimg_slice_store_free)

/*
 * As it was found a moment ago when the store was opened, unless it was probed or updated since.
 * Returns: 0 or a value of errno.
 */
int vimg_slice_store_space(VimgSliceStore *store, VimgSpace *out);
/* Answers the probe of the next seconds, for whoever has something else to wait for meanwhile. */
void vimg_slice_store_look_ahead(VimgSliceStore *store);
/* From now on probes look themselves again. */
void vimg_slice_store_doubt(VimgSliceStore *store);
/* Still the same store and its sizes; VIMG_ERROR_DISCONNECTED. */
gboolean vimg_slice_store_probe(VimgSliceStore *store, VimgPluginStore *out, GError **error);
/*
 * Before @bytes more are staged, which vimg_usage_settle() ends: VIMG_ERROR_NO_SPACE if they would
 * go beyond the quota.
 */
gboolean vimg_slice_store_take(VimgSliceStore *store, guint64 bytes, GError **error);
/* Makes the zero slices that are missing again. */
gboolean vimg_slice_store_mend_zeros(VimgSliceStore *store, GError **error);
/* Throws VIMG_ERROR_OPERATION_INVALID on a store that cannot be written. */
gboolean vimg_slice_store_need_writable(VimgSliceStore *store, GError **error);
/*
 * @done: whether a callback succeeded.  If it did not because the storage is out of reach, @error,
 * which may say no more than that, says why.  Returns: @done.
 */
gboolean vimg_slice_store_explain(VimgSliceStore *store, gboolean done, GError **error);

/* The daemon's services; NULL in tests.  Set once, before anything else. */
extern const VimgServices *vimg_services;
void vimg_slice_store_log(VimgLogLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Whether the deleted image @uuid is promised to somebody on this host. */
gboolean vimg_slice_store_keeps(const VimgSliceStore *store, const char *uuid);
/* FALSE with VIMG_ERROR_ABORTED once @job was cancelled. */
gboolean vimg_slice_store_check_job(VimgPluginJob *job, GError **error);
void vimg_slice_store_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total);

#endif
