/*
 * layers.c: what images have of their own, and what of those they were cloned from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "layers.h"
#include "stream.h"
#include "../throw.h"

#define DEPTH_MAX 64 /* RBD itself becomes slow long before */

static void
free_layer(gpointer data)
{
    VimgCephLayer *layer = data;

    g_free(layer->id);
    g_free(layer);
}

GHashTable *
vimg_ceph_layers_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_layer);
}

/* Of all snapshots, as none of them is set. */
static int
has_children(rbd_image_t image, gboolean *out)
{
    rbd_linked_image_spec_t child[1];
    size_t n = 1;
    int result = rbd_list_children3(image, child, &n);

    *out = result == -ERANGE || (result == 0 && n > 0);
    if (result == 0)
        rbd_linked_image_spec_list_cleanup(child, n);
    return result == -ERANGE ? 0 : result;
}

/* @out: (transfer full) the id of what it was cloned from, if that lies in the same RADOS pool. */
static int
find_below(rbd_image_t image, gint64 pool, char **out)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snapshot;
    int result = rbd_get_parent(image, &parent, &snapshot);

    if (result < 0)
        return result == -ENOENT ? 0 : result;
    if (parent.pool_id == pool && !*parent.pool_namespace)
        *out = g_strdup(parent.image_id);
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snapshot);
    return 0;
}

/* An image in RBD's first format has no id. */
static int
open_image(VimgCluster *cluster, const char *id, const char *name, rbd_image_t *out)
{
    if (*id)
        return rbd_open_by_id_read_only(cluster->io, id, out, NULL);
    return rbd_open_read_only(cluster->io, name, out, NULL);
}

/* @below: (transfer full) as find_below(). */
static VimgCephLayer *
look_at(VimgCluster *cluster, const char *id, const char *name, char **below, GError **error)
{
    VimgCephLayer *layer = g_new0(VimgCephLayer, 1);
    gboolean ok;
    rbd_image_t image;
    int result = open_image(cluster, id, name, &image);

    if (result < 0) {
        g_free(layer);
        vimg_cluster_throw(error, result, _("cannot open the RBD image"));
        return NULL;
    }
    result = has_children(image, &layer->needed);
    if (result == 0)
        result = find_below(image, cluster->pool_id, below);
    ok = result == 0 ? vimg_ceph_stream_used(image, &layer->own, error)
                     : vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    vimg_ceph_closing_read(cluster, image, NULL);
    layer->id = g_strdup(*id ? id : name);
    if (ok)
        return layer;
    free_layer(layer);
    return NULL;
}

const VimgCephLayer *
vimg_ceph_layers_look(GHashTable *layers, VimgCluster *cluster, const VimgCephRecord *record,
                      GError **error)
{
    g_autofree char *id = g_strdup(record->id);
    VimgCephLayer *above = NULL;
    VimgCephLayer *top = NULL;
    guint depth;

    for (depth = 0; id && depth < DEPTH_MAX; depth++) {
        VimgCephLayer *layer = g_hash_table_lookup(layers, *id ? id : record->rbd);
        g_autofree char *below = NULL;
        gboolean known = layer != NULL;

        if (!known && !(layer = look_at(cluster, id, record->rbd, &below, error)))
            return NULL;
        if (!known)
            g_hash_table_insert(layers, layer->id, layer);
        if (above)
            above->below = layer;
        top = top ? top : layer;
        if (known)
            break;
        above = layer;
        g_free(id);
        id = g_steal_pointer(&below);
    }
    return top;
}
