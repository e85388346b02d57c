/*
 * cluster.h: a connection to a Ceph cluster and to one RADOS pool in it
 *
 * Every call that reaches the cluster ends by itself: the client's timeouts are set before it
 * connects.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CLUSTER_H
#define VIMG_CEPH_CLUSTER_H

#include <rados/librados.h>
#include <rbd/librbd.h>

#include "vimg-plugin.h"

/* One connection: shared by reference, so that whoever still uses a lost one ends in peace. */
typedef struct {
    gint refs; /* through vimg_cluster_ref() and _unref() */
    rados_t rados;
    rados_ioctx_t io; /* of the pool; calls may come from any thread */
    char fsid[37];
    gint64 pool_id;
    char *pool;      /* its name */
    char *user;      /* "admin", without "client." */
    VimgBuffer *key; /* for a child process; wiped at the end */
    char *monitors;  /* as of mon_host, for a child process: "v2:10.0.0.5:3300" */
    char *probe;     /* name of the object that is written to see whether it can be */
    char *origin;    /* vimg_cluster_origin() of its definition */
    gboolean made;   /* the RADOS pool, just now */

    /* of <space>, bytes; through __atomic builtins */
    guint64 reserve;
    guint64 quota;
} VimgCluster;

/* How long an OSD may take to answer; tests are less patient.  Read when connecting. */
extern guint vimg_cluster_osd_seconds;

typedef struct {
    guint64 total;     /* bytes: stored and available of the RADOS pool */
    guint64 stored;    /* bytes */
    guint64 available; /* bytes: max_avail of the pool */
    gboolean nearfull; /* flags of the cluster or the pool */
    gboolean full;
} VimgClusterSpace;

/*
 * Connects to the first monitor of @pool that answers, with the key of its <auth>, or one fetched
 * over SSH.  @make: make the RADOS pool if the definition names none and there is none.  Returns:
 * (transfer full); NULL with VIMG_ERROR_DISCONNECTED (why for each monitor), VIMG_ERROR_AUTH,
 * VIMG_ERROR_CONFIG_UNSUPPORTED (monitors of several clusters, a way outside of the data network)
 * or VIMG_ERROR_SYSTEM for a RADOS pool that is not there.
 */
VimgCluster *vimg_cluster_connect(const VimgPluginPool *pool, gboolean make, GError **error);
/*
 * Returns: (transfer full) what tells connections by one definition and its secrets from those by
 * another, without going anywhere; NULL with @error.
 */
char *vimg_cluster_origin(const VimgPluginPool *pool, GError **error);
VimgCluster *vimg_cluster_ref(VimgCluster *cluster);
/* Accepts NULL. */
void vimg_cluster_unref(VimgCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCluster, vimg_cluster_unref)

gboolean vimg_cluster_space(VimgCluster *cluster, VimgClusterSpace *out, GError **error);
/* Room for a new image of @bytes (0: not known): VIMG_ERROR_NO_SPACE with the numbers. */
gboolean vimg_cluster_admit(VimgCluster *cluster, guint64 bytes, GError **error);
/*
 * Room for one to go on that has begun, for @bytes more (0: not known): a nearly full pool takes
 * it, as else its space would be taken for nothing.  Only FALSE with VIMG_ERROR_NO_SPACE: monitors
 * that do not answer say nothing of the OSDs.
 */
gboolean vimg_cluster_has_room(VimgCluster *cluster, guint64 bytes, GError **error);
/*
 * Still there, and still lets us write: a small object written and removed.  VIMG_ERROR_AUTH: it
 * lets us only read; VIMG_ERROR_NO_SPACE: it is full.
 */
gboolean vimg_cluster_probe(VimgCluster *cluster, GError **error);
/* Sets @error from @result, a negative errno of librados or librbd; lost ones: DISCONNECTED. */
gboolean vimg_cluster_throw(GError **error, int result, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
