/*
 * usage.c: what images take
 *
 * An image has its own bytes to itself unless something was cloned from it; what it was cloned from
 * it has in common with that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "layers.h"
#include "listing.h"
#include "../throw.h"
#include "usage.h"

#define MAX_IMAGES 16384 /* the daemon shows no more */

typedef struct {
    VimgCluster *cluster;
    VimgPluginJob *job;
    GHashTable *layers;
    JsonArray *images;
    JsonArray *unreadable;
    guint64 logical; /* bytes that all images are */
    guint64 purging; /* bytes that only images in the trash need */
    guint n_trash;
    guint done;
    gboolean truncated;
} Usage;

static guint64
sum_below(const VimgCephLayer *layer)
{
    guint64 sum = 0;

    for (layer = layer->below; layer; layer = layer->below)
        sum += layer->own;
    return sum;
}

static void
add_image(Usage *usage, const VimgCephRecord *record, const VimgCephLayer *layer)
{
    static const char *const states[] = {"saving", "active", "error"};
    guint64 unique = layer->needed ? 0 : layer->own;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "name", record->info.name);
    json_object_set_string_member(object, "uuid", record->info.uuid);
    json_object_set_string_member(object, "state", states[record->info.state]);
    json_object_set_int_member(object, "capacity", (gint64)record->info.capacity);
    json_object_set_int_member(object, "allocation", (gint64)record->info.allocation);
    json_object_set_int_member(object, "unique", (gint64)unique);
    json_object_set_int_member(object, "shared", (gint64)(layer->own - unique + sum_below(layer)));
    json_object_set_int_member(object, "freed", (gint64)unique);
    json_array_add_object_element(usage->images, object);
    usage->logical += record->info.physical;
}

static void
add(Usage *usage, const VimgCephRecord *record, const VimgCephLayer *layer, gboolean trash)
{
    if (!trash) {
        add_image(usage, record, layer);
        return;
    }
    usage->n_trash++;
    usage->purging += layer->needed ? 0 : layer->own;
}

static gboolean
look_at(Usage *usage, const VimgCephRecord *record, gboolean trash, GError **error)
{
    g_autoptr(GError) local = NULL;
    const VimgCephLayer *layer;

    vimg_ceph_progress(usage->job, "measuring images", usage->done++, 0);
    if (!vimg_ceph_check_job(usage->job, error))
        return FALSE;
    layer = vimg_ceph_layers_look(usage->layers, usage->cluster, record, &local);
    if (layer) {
        add(usage, record, layer, trash);
        return TRUE;
    }
    if (vimg_ceph_is_lost(local)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    json_array_add_string_element(usage->unreadable, record->info.name);
    return TRUE;
}

static gboolean
look_at_all(Usage *usage, VimgCephStore *store, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_record_list(store, trash, error);
    guint i;

    for (i = 0; records && i < MIN(records->len, MAX_IMAGES); i++) {
        if (!look_at(usage, records->pdata[i], trash, error))
            return FALSE;
    }
    usage->truncated |= records && records->len > MAX_IMAGES;
    return records != NULL;
}

/* ---- the report ------------------------------------------------------------------------- */

static void
set_total(const Usage *usage, JsonObject *root)
{
    JsonObject *total = json_object_new();
    GHashTableIter iter;
    guint64 stored = 0;
    guint64 shared = 0;
    gpointer value;

    g_hash_table_iter_init(&iter, usage->layers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgCephLayer *layer = value;

        stored += layer->own;
        shared += layer->needed ? layer->own : 0;
    }
    json_object_set_int_member(total, "logical", (gint64)MIN(usage->logical, G_MAXINT64));
    json_object_set_int_member(total, "stored", (gint64)MIN(stored, G_MAXINT64));
    json_object_set_int_member(total, "shared", (gint64)MIN(shared, G_MAXINT64));
    json_object_set_object_member(root, "total", total);
}

static char *
format(const Usage *usage)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) root = json_object_new();
    JsonObject *trash = json_object_new();

    json_object_set_int_member(trash, "images", usage->n_trash);
    json_object_set_int_member(trash, "freed", (gint64)MIN(usage->purging, G_MAXINT64));
    json_object_set_int_member(root, "as_of", g_get_real_time() / G_USEC_PER_SEC);
    json_object_set_array_member(root, "images", json_array_ref(usage->images));
    json_object_set_object_member(root, "trash", trash);
    set_total(usage, root);
    json_object_set_boolean_member(root, "truncated", usage->truncated);
    json_object_set_array_member(root, "unreadable", json_array_ref(usage->unreadable));
    json_node_set_object(node, root);
    return json_to_string(node, FALSE);
}

char *
vimg_ceph_usage(VimgCephStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GHashTable) layers = vimg_ceph_layers_new();
    g_autoptr(JsonArray) images = json_array_new();
    g_autoptr(JsonArray) unreadable = json_array_new();
    Usage usage = {.cluster = cluster,
                   .job = job,
                   .layers = layers,
                   .images = images,
                   .unreadable = unreadable};

    return cluster && look_at_all(&usage, store, FALSE, error) &&
                   look_at_all(&usage, store, TRUE, error)
               ? format(&usage)
               : NULL;
}
