/*
 * cluster.c: a connection to a Ceph cluster
 *
 * Nothing of the host's own configuration of Ceph is read.  All monitors that are alive are tried
 * together, as librados does; if that fails, each one alone, which tells what is wrong with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "answer.h"
#include "cluster.h"
#include "login.h"
#include "monitor.h"
#include "peers.h"
#include "rados-pool.h"
#include "store.h"
#include "../throw.h"

#define CONNECT_SECONDS 25            /* all in all; the daemon allows half a minute */
#define MOUNT_SECONDS 10              /* for all monitors together */
#define PATIENCE (2 * G_USEC_PER_SEC) /* with a monitor whose host is silent */
#define PROBE_OBJECT "virtimage.probe."

guint vimg_cluster_osd_seconds = 20;

static const struct {
    const char *option;
    const char *value;
} settings[] = {
    /* silent: what librados has to say goes into our errors */
    {"log_to_stderr", "false"},
    {"err_to_stderr", "false"},
    {"log_to_syslog", "false"},
    {"err_to_syslog", "false"},
    {"log_file", "/dev/null"},
    {"admin_socket", ""},
    /* the key is given, not looked for */
    {"keyring", ""},
    {"auth_client_required", "cephx"},
    /* without this, and that for OSDs below, a call waits until the cluster is back */
    {"rados_mon_op_timeout", "10"},
    /* content is written once, in whole objects */
    {"rbd_cache", "false"},
    /* and its buffers never change */
    {"rbd_disable_zero_copy_writes", "false"},
};

/* ---- errors ----------------------------------------------------------------------------- */

static const struct {
    int result;
    VimgErrorCode code;
    const char *text; /* NULL: the system's */
} failures[] = {
    {ETIMEDOUT, VIMG_ERROR_DISCONNECTED, N_("the cluster does not answer in time")},
    {ENOTCONN, VIMG_ERROR_DISCONNECTED, NULL},
    {ESHUTDOWN, VIMG_ERROR_DISCONNECTED, N_("the cluster has put this host on its blocklist")},
    {EPERM, VIMG_ERROR_AUTH, N_("the key does not allow it")},
    {EACCES, VIMG_ERROR_AUTH, N_("the key does not allow it")},
    {ENOSPC, VIMG_ERROR_NO_SPACE, NULL},
    {EDQUOT, VIMG_ERROR_NO_SPACE, N_("the RADOS pool has reached its quota")},
    {ENOMEM, VIMG_ERROR_NO_MEMORY, NULL},
};

gboolean
vimg_cluster_throw(GError **error, int result, const char *format, ...)
{
    VimgErrorCode code = VIMG_ERROR_SYSTEM;
    const char *text = g_strerror(ABS(result));
    g_autofree char *what = NULL;
    va_list args;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(failures); i++) {
        if (failures[i].result != ABS(result))
            continue;
        code = failures[i].code;
        text = failures[i].text ? _(failures[i].text) : text;
        break;
    }
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    return throw_error(error, code, "%s: %s", what, text);
}

/* ---- references ------------------------------------------------------------------------- */

VimgCluster *
vimg_cluster_ref(VimgCluster *cluster)
{
    __atomic_add_fetch(&cluster->refs, 1, __ATOMIC_RELAXED);
    return cluster;
}

void
vimg_cluster_unref(VimgCluster *cluster)
{
    if (!cluster || __atomic_sub_fetch(&cluster->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (cluster->io)
        rados_ioctx_destroy(cluster->io);
    if (cluster->rados)
        rados_shutdown(cluster->rados);
    vimg_ceph_secret_free(cluster->key);
    g_free(cluster->pool);
    g_free(cluster->user);
    g_free(cluster->monitors);
    g_free(cluster->origin);
    g_free(cluster->probe);
    g_free(cluster);
}

/* ---- one attempt ------------------------------------------------------------------------ */

typedef struct {
    const VimgCephLogin *login;
    const GPtrArray *monitors; /* of VimgCephMonitor */
    GPtrArray *live;           /* those that speak Ceph */
    gint64 deadline;
    GString *reasons; /* why for each monitor that failed */
    gboolean refused; /* one of them did not like the key */
} Attempt;

static int
set_key(rados_t rados, const VimgBuffer *key)
{
    char *text = g_strndup((const char *)key->data, key->size);
    int result = rados_conf_set(rados, "key", text);

    explicit_bzero(text, key->size);
    g_free(text);
    return result;
}

static int
configure(rados_t rados, const VimgCephLogin *login, const char *addresses, gint64 seconds)
{
    g_autofree char *timeout = g_strdup_printf("%d", (int)CLAMP(seconds, 1, MOUNT_SECONDS));
    g_autofree char *osd_timeout = g_strdup_printf("%u", vimg_cluster_osd_seconds);
    int result = 0;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(settings) && result == 0; i++)
        result = rados_conf_set(rados, settings[i].option, settings[i].value);
    if (result == 0)
        result = rados_conf_set(rados, "client_mount_timeout", timeout);
    if (result == 0)
        result = rados_conf_set(rados, "rados_osd_op_timeout", osd_timeout);
    if (result == 0)
        result = rados_conf_set(rados, "mon_host", addresses);
    return result == 0 ? set_key(rados, login->key) : result;
}

/* Returns: 0 and a connected @out, or a negative errno. */
static int
connect_to(const VimgCephLogin *login, const char *addresses, gint64 deadline, rados_t *out)
{
    g_autofree char *name = g_strconcat("client.", login->user, NULL);
    gint64 seconds = (deadline - g_get_monotonic_time()) / G_USEC_PER_SEC;
    rados_t rados;
    int result = rados_create2(&rados, "ceph", name, 0);

    if (result < 0)
        return result;
    result = configure(rados, login, addresses, seconds);
    if (result == 0)
        result = rados_connect(rados);
    if (result == 0)
        *out = rados;
    else
        rados_shutdown(rados);
    return result;
}

static gboolean
is_refusal(int result)
{
    return result == -EACCES || result == -EPERM;
}

static char *
why_not(const Attempt *attempt, int result)
{
    if (is_refusal(result))
        return g_strdup_printf(_("it refuses the key of client.%s"), attempt->login->user);
    if (result == -ETIMEDOUT)
        return g_strdup(_("it answers, but the monitors have no quorum"));
    return g_strdup(g_strerror(-result));
}

/* Who speaks Ceph at all; the others are put to the reasons. */
static void
look_for_live(Attempt *attempt)
{
    gint64 deadline = vimg_monitor_share(attempt->deadline, 2);
    guint i;

    for (i = 0; i < attempt->monitors->len; i++) {
        VimgCephMonitor *monitor = attempt->monitors->pdata[i];
        gint64 share = vimg_monitor_share(deadline, attempt->monitors->len - i);
        gint64 patience = g_get_monotonic_time() + PATIENCE;
        g_autofree char *why = vimg_monitor_try(monitor, MIN(share, patience));

        if (why)
            vimg_monitor_blame(attempt->reasons, monitor->what, why);
        else
            g_ptr_array_add(attempt->live, monitor);
    }
}

static char *
join_addresses(const GPtrArray *monitors)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint i;

    for (i = 0; i < monitors->len; i++) {
        const VimgCephMonitor *monitor = monitors->pdata[i];

        g_string_append_printf(text, "%s%s", i > 0 ? "," : "", monitor->exact);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Whether @monitor alone connects us. */
static gboolean
try_alone(Attempt *attempt, const VimgCephMonitor *monitor, gint64 deadline, rados_t *out)
{
    int result = connect_to(attempt->login, monitor->exact, deadline, out);
    g_autofree char *why = result < 0 ? why_not(attempt, result) : NULL;

    if (!why)
        return TRUE;
    attempt->refused |= is_refusal(result);
    vimg_monitor_blame(attempt->reasons, monitor->what, why);
    return FALSE;
}

static gboolean
connect_any(Attempt *attempt, rados_t *out, GError **error)
{
    guint i;

    look_for_live(attempt);
    if (attempt->live->len > 1) {
        g_autofree char *addresses = join_addresses(attempt->live);

        if (connect_to(attempt->login, addresses, vimg_monitor_share(attempt->deadline, 2), out) ==
            0)
            return TRUE;
    }
    for (i = 0; i < attempt->live->len; i++) {
        if (try_alone(attempt, attempt->live->pdata[i],
                      vimg_monitor_share(attempt->deadline, attempt->live->len - i), out))
            return TRUE;
    }
    return throw_error(error, attempt->refused ? VIMG_ERROR_AUTH : VIMG_ERROR_DISCONNECTED,
                       _("no monitor lets us in: %s"), attempt->reasons->str);
}

/* ---- all of one cluster ----------------------------------------------------------------- */

static gboolean
is_peer(const VimgCephMonitor *monitor, const GPtrArray *peers)
{
    guint i;

    for (i = 0; i < peers->len; i++) {
        const VimgCephPeer *peer = peers->pdata[i];

        if (vimg_monitor_is(monitor, peer->address))
            return TRUE;
    }
    return FALSE;
}

/* Returns: (transfer full) the cluster of one that the others do not know; NULL: it is silent. */
static char *
ask_stranger(const Attempt *attempt, const VimgCephMonitor *monitor, gint64 deadline)
{
    char fsid[37] = "?";
    rados_t rados;
    int result = connect_to(attempt->login, monitor->exact, deadline, &rados);

    if (result < 0)
        return is_refusal(result) ? why_not(attempt, result) : NULL;
    rados_cluster_fsid(rados, fsid, sizeof(fsid));
    rados_shutdown(rados);
    return g_strdup(fsid);
}

/* A monitor of another cluster would sooner or later be the one we land at. */
static gboolean
check_one_cluster(const Attempt *attempt, const VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) peers = vimg_ceph_monitors(cluster->rados, error);
    g_autoptr(GString) list = g_string_new(NULL);
    gboolean strange = FALSE;
    guint i;

    if (!peers)
        return FALSE;
    for (i = 0; i < attempt->live->len; i++) {
        const VimgCephMonitor *monitor = attempt->live->pdata[i];
        gint64 share = vimg_monitor_share(attempt->deadline, attempt->live->len - i);
        g_autofree char *found = is_peer(monitor, peers) ? g_strdup(cluster->fsid)
                                                         : ask_stranger(attempt, monitor, share);

        if (!found)
            continue;
        vimg_monitor_blame(list, monitor->what, found);
        strange |= strcmp(found, cluster->fsid) != 0;
    }
    if (!strange)
        return TRUE;
    return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                       _("the monitors do not belong to one cluster: %s"), list->str);
}

/* ---- connecting ------------------------------------------------------------------------- */

static gboolean
read_fsid(VimgCluster *cluster, const VimgCephLogin *login, GError **error)
{
    int result = rados_cluster_fsid(cluster->rados, cluster->fsid, sizeof(cluster->fsid));

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot get the id of the cluster"));
    if (!login->fsid || strcmp(login->fsid, cluster->fsid) == 0)
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_CONFIG_UNSUPPORTED,
        _("the monitors' hosts say that they belong to cluster %1$s, but the monitors to %2$s"),
        login->fsid, cluster->fsid);
}

static gboolean
connect_cluster(VimgCluster *cluster, const VimgPluginPool *pool, const VimgCephLogin *login,
                gint64 deadline, GError **error)
{
    g_autoptr(GString) reasons = g_string_new(NULL);
    g_autoptr(GPtrArray) live = g_ptr_array_new();
    g_autoptr(GPtrArray) monitors = NULL;
    Attempt attempt = {.login = login, .live = live, .deadline = deadline, .reasons = reasons};

    monitors = vimg_monitor_resolve((const VimgPluginAddress *)(gconstpointer)login->hosts->data,
                                    login->hosts->len, pool->data_network,
                                    vimg_monitor_share(deadline, 3), reasons, error);
    attempt.monitors = monitors;
    if (!monitors || !connect_any(&attempt, &cluster->rados, error) ||
        !read_fsid(cluster, login, error))
        return FALSE;
    cluster->monitors = join_addresses(live);
    return check_one_cluster(&attempt, cluster, error) &&
           (!pool->data_network ||
            vimg_peers_check_routes(cluster->rados, pool->data_network, error));
}

/* One for each host and pool: what a write that came late leaves is overwritten by the next. */
static char *
name_probe(const VimgPluginPool *pool)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *machine = NULL;

    if (!g_file_get_contents("/etc/machine-id", &machine, NULL, NULL))
        machine = g_strdup(g_get_host_name());
    g_checksum_update(sum, (const guchar *)machine, -1);
    g_checksum_update(sum, (const guchar *)pool->uuid, -1);
    return g_strdup_printf(PROBE_OBJECT "%.32s", g_checksum_get_string(sum));
}

VimgCluster *
vimg_cluster_connect(const VimgPluginPool *pool, gboolean make, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)CONNECT_SECONDS * G_USEC_PER_SEC;
    g_autoptr(VimgCluster) cluster = g_new0(VimgCluster, 1);
    g_autoptr(VimgCephLogin) login = NULL;

    cluster->refs = 1;
    cluster->probe = name_probe(pool);
    cluster->origin = vimg_cluster_origin(pool, error);
    if (!cluster->origin)
        return NULL;
    /* what SSH does not need is left for the monitors */
    login = vimg_ceph_login_new(pool, vimg_monitor_share(deadline, 2), error);
    if (!login || !connect_cluster(cluster, pool, login, deadline, error))
        return NULL;
    cluster->user = g_strdup(login->user);
    cluster->key = vimg_buffer_ref(login->key);
    if (!vimg_rados_pool_open(cluster, pool, make, error))
        return NULL;
    return g_steal_pointer(&cluster);
}

/* ---- health ----------------------------------------------------------------------------- */

gboolean
vimg_cluster_probe(VimgCluster *cluster, GError **error)
{
    int result = rados_write_full(cluster->io, cluster->probe, "probe", 5);
    int removed = result == 0 ? rados_remove(cluster->io, cluster->probe) : 0;

    /* another thread may probe at the same time */
    if (removed != -ENOENT)
        result = MIN(result, removed);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot write to RADOS pool '%s'"), cluster->pool);
}
