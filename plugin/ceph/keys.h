/*
 * keys.h: keys of a RADOS object, which are a table of short values
 *
 * Each call asks the cluster, and holds no lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_KEYS_H
#define VIMG_CEPH_KEYS_H

#include "cluster.h"

/* Which keys: those behind @after that begin with @prefix, at most @most of them. */
typedef struct {
    const char *object;
    const char *after;
    const char *prefix;
    guint64 most;
} VimgCephKeys;

/* @value: @size bytes that no NUL ends. */
typedef void (*VimgCephKeyFunc)(gpointer data, const char *key, const char *value, gsize size);

/*
 * @key of @object has @value, or (NULL) is none.  Returns: 0, or a negative errno; -ENOENT: to take
 * one away from an object that does not exist
 */
int vimg_ceph_key_set(VimgCluster *cluster, const char *object, const char *key, const char *value);
/*
 * @func(@data) for each, in their order.  @more: whether there are others behind; may be NULL.
 * Returns: 0, or a negative errno; -ENOENT: there is no such object
 */
int vimg_ceph_keys_each(VimgCluster *cluster, const VimgCephKeys *keys, VimgCephKeyFunc func,
                        gpointer data, gboolean *more);

#endif
