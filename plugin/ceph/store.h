/*
 * store.h: the images in one RADOS pool
 *
 * An image of ours is an RBD image with metadata of ours; one without was made by other tools: it
 * is listed, read and cloned, and nothing of ours changes or removes it.
 *
 *   virtimage.name.<name>     RADOS object; exclusively made, its content is the uuid: who has it
 *                             has the name
 *   virtimage.staged.<uuid>   RBD image that is being uploaded; its watcher tells that it lives
 *   <name>                    RBD image that is active, with snapshot "image"; renaming a staged
 *                             one to it is the only commit
 *   RBD's trash               deleted images that carry our metadata
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_STORE_H
#define VIMG_CEPH_STORE_H

#include <pthread.h>

#include "cluster.h"

#define VIMG_CEPH_CLAIM "virtimage.name."
#define VIMG_CEPH_STAGED "virtimage.staged."
#define VIMG_CEPH_SECOND ".raw" /* behind it: what it is converted to */
#define VIMG_CEPH_SNAPSHOT "image"
#define VIMG_CEPH_METADATA "virtimage" /* key of an RBD image: one JSON object */

typedef struct {
    VimgPluginHost *host;
    char *store_id; /* "FSID.POOL-ID" */

    /* options, through __atomic builtins */
    guint64 keep_deleted;   /* seconds */
    guint64 keep_temporary; /* seconds */
    guint64 verify_rate;    /* bytes a second; 0: no limit */

    gboolean lost; /* when it was probed last; through __atomic builtins */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    VimgCluster *cluster; /* NULL: lost */
    GHashTable *ids;      /* uuid → RBD's id of the image when it was last seen; NULL: none yet */
} VimgCephStore;

/* Returns: (transfer full) the connection of now; NULL with VIMG_ERROR_DISCONNECTED. */
VimgCluster *vimg_ceph_store_cluster(VimgCephStore *store, GError **error);

/* For pool-delete: images, snapshots and trash that carry our metadata, and claims of names. */
gboolean vimg_ceph_store_remove_all(VimgCephStore *store, VimgPluginJob *job, GError **error);

/* @job may be NULL.  FALSE with VIMG_ERROR_ABORTED: a client cancelled it. */
gboolean vimg_ceph_check_job(VimgPluginJob *job, GError **error);
void vimg_ceph_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total);

/*
 * For what RBD tells its progress, in threads of its own: it goes on until @job is cancelled, which
 * is -ECANCELED; without one until 15 s passed, as the daemon allows half a minute: -ETIME.
 */
typedef struct {
    VimgPluginJob *job;
    gint64 deadline;
} VimgCephPatience;

VimgCephPatience vimg_ceph_patience(VimgPluginJob *job);
int vimg_ceph_go_on(uint64_t done, uint64_t total, void *patience);

/* Whether the cluster was lost: then nothing more is tried, as each attempt takes its time. */
gboolean vimg_ceph_is_lost(const GError *error);
void vimg_ceph_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The daemon's services; NULL in tests.  Set once, before anything else. */
extern const VimgServices *vimg_ceph_services;

#endif
