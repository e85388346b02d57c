/*
 * diagnose.c: the way to a RADOS pool, step by step
 *
 * Each row of the table at the end is a step, with what must have been found before it is tried.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../diagnosis.h"
#include "diagnose.h"
#include "login.h"
#include "monitor.h"
#include "rados-pool.h"
#include "store.h"
#include "../throw.h"

#define LOGIN_SECONDS 12
#define MONITOR_SECONDS 10
#define SLOW (G_USEC_PER_SEC / 2)

typedef struct {
    const VimgPluginPool *pool;
    VimgStepSink sink;
    gpointer data;
    const char *step;
    VimgCephLogin *login; /* NULL: there is no key */
    gboolean live;        /* at least one monitor speaks Ceph */
    VimgCluster *cluster; /* NULL: it does not let us in */
} Diagnosis;

static gint64
until(gint64 seconds)
{
    return g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
}

static void
look_at_key(Diagnosis *diagnosis)
{
    g_autoptr(GError) error = NULL;

    diagnosis->login = vimg_ceph_login_new(diagnosis->pool, until(LOGIN_SECONDS), &error);
    if (diagnosis->login)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("there is a key of client.%1$s, and %2$u monitors"),
             diagnosis->login->user, diagnosis->login->hosts->len);
    else
        tell(
            diagnosis, VIMG_STEP_FAILED,
            _("give the secret its value with virsh secret-set-value, or mend the way to the monitors' hosts"),
            "%s", error->message);
}

static void
look_at_monitors(Diagnosis *diagnosis)
{
    GArray *hosts = diagnosis->login->hosts;
    g_autoptr(GString) reasons = g_string_new(NULL);
    g_autoptr(GPtrArray) monitors = NULL;
    g_autoptr(GError) error = NULL;
    gint64 deadline = until(MONITOR_SECONDS);
    guint live = 0;
    guint i;

    monitors = vimg_monitor_resolve((const VimgPluginAddress *)(gconstpointer)hosts->data,
                                    hosts->len, diagnosis->pool->data_network,
                                    vimg_monitor_share(deadline, 2), reasons, &error);
    for (i = 0; monitors && i < monitors->len; i++) {
        VimgCephMonitor *monitor = monitors->pdata[i];
        g_autofree char *why =
            vimg_monitor_try(monitor, vimg_monitor_share(deadline, monitors->len - i));

        live += why == NULL;
        if (why)
            vimg_monitor_blame(reasons, monitor->what, why);
    }
    diagnosis->live = live > 0;
    if (reasons->len == 0)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("%u addresses of monitors answer"), live);
    else
        tell(diagnosis, live > 0 ? VIMG_STEP_WARNING : VIMG_STEP_FAILED,
             _("start the monitors, open their ports 3300 and 6789, or correct the definition"),
             "%s", reasons->str);
}

static const char *
find_remedy(const GError *error)
{
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_AUTH))
        return _("compare user and key with 'ceph auth get', then virsh secret-set-value");
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED))
        return _("correct the monitors or the data network with virsh pool-edit");
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED))
        return _("'ceph -s' on a host of the cluster says what it lacks");
    return NULL;
}

static void
look_at_cluster(Diagnosis *diagnosis)
{
    const char *known = diagnosis->pool->store_id;
    g_autoptr(GError) error = NULL;
    g_autofree char *id = NULL;
    VimgCluster *cluster;

    cluster = diagnosis->cluster = vimg_cluster_connect(diagnosis->pool, FALSE, &error);
    if (!cluster) {
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
        return;
    }
    id = g_strdup_printf("%s.%" G_GINT64_FORMAT, cluster->fsid, cluster->pool_id);
    if (known && strcmp(id, known) != 0)
        tell(diagnosis, VIMG_STEP_FAILED,
             _("correct the monitors or the name of the RADOS pool with virsh pool-edit"),
             _("it is storage '%1$s', not '%2$s'"), id, known);
    else
        tell(diagnosis, VIMG_STEP_OK, NULL, _("cluster %1$s has RADOS pool '%2$s'"), cluster->fsid,
             cluster->pool);
}

static void
look_at_writing(Diagnosis *diagnosis)
{
    gint64 began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_cluster_probe(diagnosis->cluster, &error);
    gint64 took = (g_get_monotonic_time() - began) / 2;

    if (!ok)
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
    else
        tell(diagnosis, took > SLOW ? VIMG_STEP_WARNING : VIMG_STEP_OK,
             took > SLOW ? _("see what keeps the OSDs busy: 'ceph osd perf'") : NULL,
             _("a small object is durable after %llu microseconds"), ULL(took));
}

static void
look_at_space(Diagnosis *diagnosis)
{
    g_autofree char *available = NULL;
    g_autofree char *stored = NULL;
    g_autoptr(GError) error = NULL;
    VimgClusterSpace space;

    if (!vimg_cluster_space(diagnosis->cluster, &space, &error)) {
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
        return;
    }
    if (!vimg_cluster_admit(diagnosis->cluster, 0, &error)) {
        tell(diagnosis, VIMG_STEP_FAILED, _("purge images and clean up, or add OSDs"), "%s",
             error->message);
        return;
    }
    available = g_format_size_full(space.available, G_FORMAT_SIZE_IEC_UNITS);
    stored = g_format_size_full(space.stored, G_FORMAT_SIZE_IEC_UNITS);
    tell(diagnosis, VIMG_STEP_OK, NULL, _("%1$s are stored, %2$s are free"), stored, available);
}

/* ---- the way ---------------------------------------------------------------------------- */

typedef enum {
    NEEDS_NOTHING,
    NEEDS_KEY,
    NEEDS_MONITOR,
    NEEDS_CLUSTER,
} Needs;

static const struct {
    const char *name;
    Needs needs;
    void (*look)(Diagnosis *diagnosis);
} steps[] = {
    {"key", NEEDS_NOTHING, look_at_key},         {"monitors", NEEDS_KEY, look_at_monitors},
    {"cluster", NEEDS_MONITOR, look_at_cluster}, {"writing", NEEDS_CLUSTER, look_at_writing},
    {"space", NEEDS_CLUSTER, look_at_space},
};

static gboolean
has(const Diagnosis *diagnosis, Needs needs)
{
    const gboolean found[] = {
        [NEEDS_NOTHING] = TRUE,
        [NEEDS_KEY] = diagnosis->login != NULL,
        [NEEDS_MONITOR] = diagnosis->live,
        [NEEDS_CLUSTER] = diagnosis->cluster != NULL,
    };

    return found[needs];
}

static gboolean
go_on(VimgPluginJob *job, GError **error)
{
    return !vimg_ceph_services || !vimg_ceph_services->job_cancelled ||
           !vimg_ceph_services->job_cancelled(job) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
}

gboolean
vimg_ceph_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data, VimgPluginJob *job,
                   GError **error)
{
    Diagnosis diagnosis = {.pool = pool, .sink = sink, .data = data};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(steps) && go_on(job, error); i++) {
        diagnosis.step = steps[i].name;
        if (has(&diagnosis, steps[i].needs))
            steps[i].look(&diagnosis);
        else
            tell(&diagnosis, VIMG_STEP_SKIPPED, NULL, "%s",
                 _("not tried: an earlier step must be right first"));
    }
    vimg_ceph_login_free(diagnosis.login);
    vimg_cluster_unref(diagnosis.cluster);
    return i == G_N_ELEMENTS(steps);
}
