/*
 * promise.c: images that no host removes before a time, though they be deleted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

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
    g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT, until);
    const char *key = name, *text = value;
    size_t size = strlen(value);
    rados_write_op_t op = rados_create_write_op();
    int result;

    if (until > 0)
        rados_write_op_omap_set(op, &key, &text, &size, 1);
    else
        rados_write_op_omap_rm_keys(op, &key, 1);
    result = rados_write_op_operate(op, cluster->io, OBJECT, NULL, 0);
    rados_release_write_op(op);
    return until > 0 || result != -ENOENT ? result : 0;
}

static gint64
read_time(const char *value, size_t size)
{
    g_autofree char *text = g_strndup(value, MIN(size, VALUE_MAX));
    guint64 time;

    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &time, NULL) ? (gint64)time : 0;
}

/* Until when image @uuid is promised to anybody; 0: it is not.  Returns: 0, or a negative errno. */
static int
look(VimgCluster *cluster, const char *uuid, gint64 *until)
{
    g_autofree char *prefix = g_strconcat(uuid, "/", NULL);
    rados_read_op_t op = rados_create_read_op();
    rados_omap_iter_t values = NULL;
    unsigned char more = 0;
    char *name = NULL, *value = NULL;
    size_t size = 0;
    int inner = 0;
    int result;

    *until = 0;
    rados_read_op_omap_get_vals2(op, "", prefix, MOST, &values, &more, &inner);
    result = rados_read_op_operate(op, cluster->io, OBJECT, 0);
    if (result == 0)
        result = inner;
    while (result == 0 && rados_omap_get_next(values, &name, &value, &size) == 0 && name)
        *until = MAX(*until, read_time(value, size));
    if (values)
        rados_omap_get_end(values);
    rados_release_read_op(op);
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
