/*
 * space.c: how full the RADOS pool is
 *
 * What counts is the pool's own: the cluster's totals are of raw bytes, of which a pool that keeps
 * several copies has a part.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "answer.h"
#include "cluster.h"
#include "../throw.h"

#define PATIENCE 15 /* seconds */
#define NAP (G_USEC_PER_SEC / 4)

/* Returns: the object of @list whose @key is @id. */
static JsonObject *
find_pool(JsonArray *list, const char *key, gint64 id)
{
    JsonObject *item;
    guint i;

    for (i = 0; (item = vimg_answer_item(list, i)); i++) {
        if (vimg_answer_number(item, key) == (guint64)id)
            return item;
    }
    return NULL;
}

/* @known: the manager of the cluster has reported the pool. */
static gboolean
read_sizes(VimgCluster *cluster, VimgClusterSpace *out, gboolean *known, GError **error)
{
    g_autoptr(JsonNode) answer = vimg_ceph_ask(cluster->rados, "\"prefix\": \"df\"", error);
    JsonObject *stats = NULL;

    if (!answer)
        return FALSE;
    if (JSON_NODE_HOLDS_OBJECT(answer)) {
        JsonArray *pools = vimg_answer_array(json_node_get_object(answer), "pools");

        stats = vimg_answer_object(find_pool(pools, "id", cluster->pool_id), "stats");
    }
    *known = stats != NULL;
    if (!stats)
        return TRUE;
    out->stored = MIN(vimg_answer_number(stats, "stored"), G_MAXINT64 / 2);
    out->available = MIN(vimg_answer_number(stats, "max_avail"), G_MAXINT64 / 2);
    return TRUE;
}

/* The manager reports every few seconds, so it knows nothing yet of a pool that was just made. */
static gboolean
wait_for_sizes(VimgCluster *cluster, VimgClusterSpace *out, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)PATIENCE * G_USEC_PER_SEC;
    gboolean known = FALSE;

    while (read_sizes(cluster, out, &known, error)) {
        if (known)
            return TRUE;
        if (g_get_monotonic_time() >= deadline)
            return throw_error(error, VIMG_ERROR_DISCONNECTED,
                               _("no manager of the cluster reports the size of RADOS pool '%s'"),
                               cluster->pool);
        g_usleep(NAP);
    }
    return FALSE;
}

static gboolean
has_flag(const char *names, const char *flag)
{
    g_auto(GStrv) list = g_strsplit(names ? names : "", ",", -1);

    return g_strv_contains((const char *const *)list, flag);
}

/* Since Luminous every pool has the flags of the OSDs it lies on.  @quota 0: none. */
static gboolean
read_flags(VimgCluster *cluster, VimgClusterSpace *out, guint64 *quota, GError **error)
{
    g_autoptr(JsonNode) answer =
        vimg_ceph_ask(cluster->rados, "\"prefix\": \"osd pool ls\", \"detail\": \"detail\"", error);
    JsonObject *pool = NULL;
    const char *flags;

    if (!answer)
        return FALSE;
    if (JSON_NODE_HOLDS_ARRAY(answer))
        pool = find_pool(json_node_get_array(answer), "pool_id", cluster->pool_id);
    if (!pool)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the cluster knows no RADOS pool '%s' any more"), cluster->pool);
    flags = vimg_answer_text(pool, "flags_names");
    /* the second takes the place of the first */
    out->nearfull = has_flag(flags, "nearfull") || has_flag(flags, "backfillfull");
    out->full = has_flag(flags, "full") || has_flag(flags, "full_quota");
    *quota = vimg_answer_number(pool, "quota_max_bytes");
    return TRUE;
}

static void
apply_quota(VimgClusterSpace *out, guint64 quota)
{
    if (quota > 0)
        out->available = MIN(out->available, quota - MIN(quota, out->stored));
}

/* What the definition of the pool leaves of it. */
static void
apply_limits(VimgCluster *cluster, VimgClusterSpace *out)
{
    guint64 reserve = __atomic_load_n(&cluster->reserve, __ATOMIC_RELAXED);
    guint64 quota = __atomic_load_n(&cluster->quota, __ATOMIC_RELAXED);

    out->available -= MIN(out->available, reserve);
    apply_quota(out, quota);
}

gboolean
vimg_cluster_space(VimgCluster *cluster, VimgClusterSpace *out, GError **error)
{
    guint64 quota = 0;

    memset(out, 0, sizeof(*out));
    if (!read_flags(cluster, out, &quota, error) || !wait_for_sizes(cluster, out, error))
        return FALSE;
    apply_quota(out, quota);
    out->total = out->stored + out->available;
    apply_limits(cluster, out);
    return TRUE;
}

/* Of @bytes, of one that begins or goes on. */
static gboolean
check_space(const VimgCluster *cluster, const VimgClusterSpace *space, guint64 bytes,
            gboolean begins, GError **error)
{
    g_autofree char *available = NULL;
    g_autofree char *stored = NULL;
    g_autofree char *wanted = NULL;
    gboolean nearfull = begins && space->nearfull;

    if (!space->full && !nearfull && bytes <= space->available && space->available > 0)
        return TRUE;
    available = g_format_size_full(space->available, G_FORMAT_SIZE_IEC_UNITS);
    stored = g_format_size_full(space->stored, G_FORMAT_SIZE_IEC_UNITS);
    wanted = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    if (nearfull && !space->full)
        return throw_error(
            error, VIMG_ERROR_NO_SPACE,
            _("RADOS pool '%1$s' is nearly full and takes no new images: %2$s are stored, %3$s are free"),
            cluster->pool, stored, available);
    if (space->full || bytes == 0)
        return throw_error(error, VIMG_ERROR_NO_SPACE,
                           _("RADOS pool '%1$s' is full: %2$s are stored, %3$s are free"),
                           cluster->pool, stored, available);
    return throw_error(error, VIMG_ERROR_NO_SPACE,
                       _("%1$s do not fit into RADOS pool '%2$s': %3$s are stored, %4$s are free"),
                       wanted, cluster->pool, stored, available);
}

gboolean
vimg_cluster_admit(VimgCluster *cluster, guint64 bytes, GError **error)
{
    VimgClusterSpace space;

    return vimg_cluster_space(cluster, &space, error) &&
           check_space(cluster, &space, bytes, TRUE, error);
}

gboolean
vimg_cluster_has_room(VimgCluster *cluster, guint64 bytes, GError **error)
{
    VimgClusterSpace space;

    return !vimg_cluster_space(cluster, &space, NULL) ||
           check_space(cluster, &space, bytes, FALSE, error);
}
