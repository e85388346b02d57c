/*
 * store.c: the images in one RADOS pool
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "store.h"
#include "../thread.h"
#include "../throw.h"

#define SECONDS ((gint64)15)

const VimgServices *vimg_ceph_services;

VimgCluster *
vimg_ceph_store_cluster(VimgCephStore *store, GError **error)
{
    LOCK_GUARD(&store->lock);
    if (store->cluster)
        return vimg_cluster_ref(store->cluster);
    throw_error(error, VIMG_ERROR_DISCONNECTED, _("the cluster is not connected"));
    return NULL;
}

gboolean
vimg_ceph_check_job(VimgPluginJob *job, GError **error)
{
    return !job || !vimg_ceph_services || !vimg_ceph_services->job_cancelled(job) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
}

void
vimg_ceph_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    if (job && vimg_ceph_services)
        vimg_ceph_services->job_progress(job, phase, done, total);
}

VimgCephPatience
vimg_ceph_patience(VimgPluginJob *job)
{
    return (VimgCephPatience){.job = job,
                              .deadline = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC};
}

int
vimg_ceph_go_on(uint64_t done, uint64_t total, void *data)
{
    const VimgCephPatience *patience = data;

    if (patience->job)
        return vimg_ceph_check_job(patience->job, NULL) ? 0 : -ECANCELED;
    return g_get_monotonic_time() > patience->deadline ? -ETIME : 0;
}

gboolean
vimg_ceph_is_lost(const GError *error)
{
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

void
vimg_ceph_warn(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    if (!vimg_ceph_services)
        return;
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    vimg_ceph_services->log(VIMG_LOG_WARNING, line);
}
