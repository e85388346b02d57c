/*
 * keys.c: keys of a RADOS object, which are a table of short values
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "keys.h"

int
vimg_ceph_key_set(VimgCluster *cluster, const char *object, const char *key, const char *value)
{
    rados_write_op_t op = rados_create_write_op();
    size_t size = value ? strlen(value) : 0;
    int result;

    if (value)
        rados_write_op_omap_set(op, &key, &value, &size, 1);
    else
        rados_write_op_omap_rm_keys(op, &key, 1);
    result = rados_write_op_operate(op, cluster->io, object, NULL, 0);
    rados_release_write_op(op);
    return result;
}

int
vimg_ceph_keys_each(VimgCluster *cluster, const VimgCephKeys *keys, VimgCephKeyFunc func,
                    gpointer data, gboolean *more)
{
    rados_read_op_t op = rados_create_read_op();
    rados_omap_iter_t values = NULL;
    unsigned char others = 0;
    char *key = NULL, *value = NULL;
    size_t size = 0;
    int inner = 0;
    int result;

    rados_read_op_omap_get_vals2(op, keys->after, keys->prefix, keys->most, &values, &others,
                                 &inner);
    result = rados_read_op_operate(op, cluster->io, keys->object, 0);
    if (result == 0)
        result = inner;
    while (result == 0 && rados_omap_get_next(values, &key, &value, &size) == 0 && key)
        func(data, key, value, size);
    if (values)
        rados_omap_get_end(values);
    rados_release_read_op(op);
    if (more)
        *more = others != 0;
    return result;
}
