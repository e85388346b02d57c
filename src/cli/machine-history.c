/*
 * machine-history.c: the images that pools have of a machine
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "cli/machine-history.h"

/* How many images before @image are among those of @known, by uuid. */
static guint
depth_of(GHashTable *known, const VimgImage *image)
{
    guint depth = 0;

    /* a loop, which nobody makes but by hand, ends all the same */
    while (image->parent && depth < g_hash_table_size(known) &&
           (image = g_hash_table_lookup(known, image->parent)))
        depth++;
    return depth;
}

static int
compare_disks(const VimgImage *one, const VimgImage *other)
{
    int by_disk = g_strcmp0(one->machine_disk, other->machine_disk);

    return by_disk ? by_disk : strcmp(one->uuid, other->uuid);
}

/* Of those of one second, an image that is based on another is the younger. */
static int
compare_ages(gconstpointer a, gconstpointer b, gpointer known)
{
    const VimgImage *one = *(const VimgImage *const *)a;
    const VimgImage *other = *(const VimgImage *const *)b;
    guint depth = depth_of(known, one), other_depth = depth_of(known, other);

    if (one->created != other->created)
        return one->created < other->created ? -1 : 1;
    if (depth != other_depth)
        return depth < other_depth ? -1 : 1;
    return compare_disks(one, other);
}

/* Returns: (transfer full) those of @history by their uuids, borrowed. */
static GHashTable *
known_of(GPtrArray *history)
{
    GHashTable *known = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < history->len; i++) {
        VimgImage *image = history->pdata[i];

        g_hash_table_insert(known, image->uuid, image);
    }
    return known;
}

void
vimg_history_sort(GPtrArray *history)
{
    g_autoptr(GHashTable) known = known_of(history);

    g_ptr_array_sort_with_data(history, compare_ages, known);
}

/* ---- of several pools ------------------------------------------------------------------- */

/* The images of one snapshot, which are of one moment though they may be made in several seconds.
 */
typedef struct {
    gint64 created; /* the first of them */
    guint depth;
} Moment;

/* What tells the moment of @image from others.  Returns: (transfer full) */
static char *
moment_of(const VimgImage *image)
{
    return image->snapshot && *image->snapshot
               ? g_strdup_printf("%s/%s", image->pool, image->snapshot)
               : g_strdup_printf("%s//%s", image->pool, image->uuid);
}

static GHashTable *
find_moments(GPtrArray *history)
{
    GHashTable *moments = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) known = known_of(history);

    for (guint i = 0; i < history->len; i++) {
        const VimgImage *image = history->pdata[i];
        g_autofree char *key = moment_of(image);
        Moment *moment = g_hash_table_lookup(moments, key);

        if (!moment) {
            moment = g_new0(Moment, 1);
            moment->created = image->created;
            g_hash_table_insert(moments, g_steal_pointer(&key), moment);
        }
        moment->created = MIN(moment->created, image->created);
        moment->depth = MAX(moment->depth, depth_of(known, image));
    }
    return moments;
}

/* By their moments, each in one piece.  Nobody knows the order of two of one second that are in
 * different pools: it is that of the pools' names. */
static int
compare_moments(gconstpointer a, gconstpointer b, gpointer moments)
{
    const VimgImage *one = *(const VimgImage *const *)a;
    const VimgImage *other = *(const VimgImage *const *)b;
    g_autofree char *key = moment_of(one);
    g_autofree char *other_key = moment_of(other);
    const Moment *moment = g_hash_table_lookup(moments, key);
    const Moment *other_moment = g_hash_table_lookup(moments, other_key);
    int by_pool = g_strcmp0(one->pool, other->pool);

    if (strcmp(key, other_key) == 0)
        return compare_disks(one, other);
    if (moment->created != other_moment->created)
        return moment->created < other_moment->created ? -1 : 1;
    if (by_pool != 0)
        return by_pool;
    if (moment->depth != other_moment->depth)
        return moment->depth < other_moment->depth ? -1 : 1;
    return strcmp(key, other_key);
}

void
vimg_history_sort_moments(GPtrArray *history)
{
    g_autoptr(GHashTable) moments = find_moments(history);

    g_ptr_array_sort_with_data(history, compare_moments, moments);
}

/* ---- asking for them -------------------------------------------------------------------- */

GPtrArray *
vimg_history_of_pool(VimgCtl *ctl, const VimgCtlPool *pool, const char *uuid, GError **error)
{
    g_autoptr(JsonObject) list = vimg_image_list(ctl, pool, error);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_image_free);

    if (!list)
        return NULL;
    for (guint i = 0; i < vimg_report_count(list, "volumes"); i++) {
        const char *name = vimg_report_string(vimg_report_element(list, "volumes", i), "name");
        g_autoptr(GError) local = NULL;
        g_autoptr(VimgImage) image = name ? vimg_image_find(ctl, pool, name, &local) : NULL;

        if (local && !g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_NO_STORAGE_VOL)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        if (image && g_strcmp0(image->machine, uuid) == 0 && strcmp(image->state, "active") == 0)
            g_ptr_array_add(found, g_steal_pointer(&image));
    }
    vimg_history_sort(found);
    return g_steal_pointer(&found);
}

GPtrArray *
vimg_history_pools(VimgCtl *ctl, gboolean enabled, GError **error)
{
    vimg_control_status_args args = {NULL};
    g_autoptr(JsonObject) status = vimg_ctl_report(
        ctl, VIMG_CONTROL_STATUS, (xdrproc_t)xdr_vimg_control_status_args, &args, error);
    GPtrArray *names;

    if (!status)
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < vimg_report_count(status, "pools"); i++) {
        JsonObject *pool = vimg_report_element(status, "pools", i);

        if (g_strcmp0(vimg_report_string(pool, "status"), "connected") == 0 &&
            (!enabled || g_strcmp0(vimg_report_string(pool, "state"), "enabled") == 0))
            g_ptr_array_add(names, g_strdup(vimg_report_string(pool, "name")));
    }
    return names;
}

GPtrArray *
vimg_history_of_all(VimgCtl *ctl, const char *uuid, GError **error)
{
    g_autoptr(GPtrArray) pools = vimg_history_pools(ctl, FALSE, error);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_image_free);

    for (guint i = 0; pools && i < pools->len; i++) {
        g_auto(VimgCtlPool) pool = {0};
        g_autoptr(GPtrArray) some = NULL;

        if (vimg_ctl_find_pool(ctl, pools->pdata[i], &pool, error))
            some = vimg_history_of_pool(ctl, &pool, uuid, error);
        if (!some)
            return NULL;
        g_ptr_array_extend_and_steal(all, g_steal_pointer(&some));
    }
    vimg_history_sort_moments(all);
    return pools ? g_steal_pointer(&all) : NULL;
}

const VimgImage *
vimg_history_last(GPtrArray *history, const char *disk, guint64 capacity)
{
    for (guint i = history->len; i > 0; i--) {
        const VimgImage *image = history->pdata[i - 1];

        if (g_strcmp0(image->machine_disk, disk) == 0 && image->physical == capacity)
            return image;
    }
    return NULL;
}
