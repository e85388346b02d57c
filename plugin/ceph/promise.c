/*
 * promise.c: images that no host removes before a time, though they be deleted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "keys.h"
#include "promise.h"
#include "record.h"
#include "../throw.h"
#include "../kept.h"

#define OBJECT "virtimage.kept"
#define MOST 4096 /* of one image that are looked at */
#define VALUE_MAX 20

/* Returns: 0, or a negative errno. */
static int
set(VimgCluster *cluster, const char *uuid, const char *id, gint64 until)
{
    g_autofree char *name = g_strconcat(uuid, "/", id, NULL);
    g_autofree char *value = until > 0 ? g_strdup_printf("%" G_GINT64_FORMAT, until) : NULL;
    int result = vimg_ceph_key_set(cluster, OBJECT, name, value);

    return until > 0 || result != -ENOENT ? result : 0;
}

static void
take_latest(gpointer until, const char *key, const char *value, gsize size)
{
    g_autofree char *text = g_strndup(value, MIN(size, VALUE_MAX));
    guint64 time;

    if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &time, NULL))
        *(gint64 *)until = MAX(*(gint64 *)until, (gint64)time);
}

/* Until when image @uuid is promised to anybody; 0: it is not.  Returns: 0, or a negative errno. */
static int
look(VimgCluster *cluster, const char *uuid, gint64 *until)
{
    g_autofree char *prefix = g_strconcat(uuid, "/", NULL);
    const VimgCephKeys keys = {OBJECT, "", prefix, MOST};
    int result;

    *until = 0;
    result = vimg_ceph_keys_each(cluster, &keys, take_latest, until, NULL);
    return result == -ENOENT ? 0 : result;
}

static gboolean
throw_failed(GError **error, int result, const char *uuid)
{
    return vimg_cluster_throw(error, result, _("cannot keep image %s"), uuid);
}

gboolean
vimg_ceph_keep(VimgCephStore *store, const char *uuid, const char *id, gint64 until, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = NULL;
    int result;

    if (!cluster)
        return FALSE;
    result = set(cluster, uuid, id, until);
    if (result < 0)
        return throw_failed(error, result, uuid);
    if (until == 0)
        return TRUE;
    /* only now: deleted before, it may be on its way out without anybody looking at this */
    record = vimg_ceph_record_find(store, uuid, error);
    if (!record)
        set(cluster, uuid, id, 0);
    return record != NULL;
}

gboolean
vimg_ceph_is_kept(const VimgCephStore *store, const char *uuid)
{
    return host_keeps(vimg_ceph_services, store->host, uuid);
}

gboolean
vimg_ceph_promise_check(VimgCluster *cluster, const char *uuid, GError **error)
{
    gint64 until;
    int result = look(cluster, uuid, &until);

    if (result < 0)
        return throw_failed(error, result, uuid);
    return until <= g_get_real_time() / G_USEC_PER_SEC ||
           throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("a host exports it: revoke that there, or wait until it expires"));
}

gboolean
vimg_ceph_promise_forget(VimgCluster *cluster, GError **error)
{
    int result = rados_remove(cluster->io, OBJECT);

    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove '%s'"), OBJECT);
}
