/*
 * usage.c: what images take
 *
 * Objects have nothing in common, and the copy of one is another one: each image has all of its
 * bytes to itself, and the records say how many.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "listing.h"
#include "report.h"
#include "usage.h"

#define UNREADABLE_MAX 1000 /* that are named */

typedef struct {
    JsonArray *images[2]; /* those of the trash behind the others */
    guint64 stored[2];
    guint64 logical; /* bytes that images outside of the trash are */
    gsize room;      /* bytes that the images may still take in the report */
} Usage;

/* Most freed first. */
static gint
compare(gconstpointer a, gconstpointer b)
{
    const VimgPluginImage *x = &(*(const VimgEbsRecord *const *)a)->info;
    const VimgPluginImage *y = &(*(const VimgEbsRecord *const *)b)->info;

    if (x->allocation != y->allocation)
        return x->allocation < y->allocation ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void
set_size(JsonObject *object, const char *name, guint64 bytes)
{
    json_object_set_int_member(object, name, (gint64)MIN(bytes, G_MAXINT64));
}

static void
add(Usage *usage, const VimgPluginImage *image)
{
    static const char *const states[] = {"saving", "active", "error"};
    guint trash = image->deleted ? 1 : 0;
    JsonObject *object;

    usage->stored[trash] += image->allocation;
    usage->logical += trash ? 0 : image->physical;
    if (!vimg_ebs_report_take(&usage->room, image->name, image->reason))
        return;
    object = json_object_new();
    json_object_set_string_member(object, "name", image->name);
    json_object_set_string_member(object, "uuid", image->uuid);
    json_object_set_string_member(object, "state", states[image->state]);
    vimg_json_set_string(object, "reason", image->reason);
    set_size(object, "capacity", image->capacity);
    set_size(object, "allocation", image->allocation);
    set_size(object, "unique", image->allocation);
    set_size(object, "shared", 0);
    set_size(object, "freed", image->allocation);
    json_array_add_object_element(usage->images[trash], object);
}

static JsonArray *
format_unreadable(GHashTable *unreadable)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer uuid;
    gpointer why;

    g_hash_table_iter_init(&iter, unreadable);
    while (g_hash_table_iter_next(&iter, &uuid, &why) &&
           json_array_get_length(array) < UNREADABLE_MAX) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", uuid);
        json_object_set_string_member(object, "uuid", uuid);
        json_object_set_string_member(object, "reason", why);
        json_array_add_object_element(array, object);
    }
    return array;
}

static char *
format(const Usage *usage, GHashTable *unreadable)
{
    g_autoptr(JsonObject) root = json_object_new();
    JsonObject *trash = json_object_new();
    JsonObject *total = json_object_new();

    set_size(trash, "freed", usage->stored[1]);
    json_object_set_array_member(trash, "images", usage->images[1]);
    set_size(total, "logical", usage->logical);
    set_size(total, "stored", usage->stored[0] + usage->stored[1]);
    set_size(total, "shared", 0);
    json_object_set_int_member(root, "as_of", g_get_real_time() / G_USEC_PER_SEC);
    json_object_set_boolean_member(root, "complete", g_hash_table_size(unreadable) == 0);
    json_object_set_boolean_member(root, "truncated", usage->room == 0);
    json_object_set_array_member(root, "images", usage->images[0]);
    json_object_set_object_member(root, "trash", trash);
    json_object_set_object_member(root, "total", total);
    json_object_set_array_member(root, "unreadable", format_unreadable(unreadable));
    return vimg_json_format(root);
}

char *
vimg_ebs_usage(VimgEbsStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(job);
    g_autoptr(GHashTable) unreadable = vimg_ebs_unreadable_new();
    g_autoptr(GPtrArray) records = vimg_ebs_list_records(store, site, unreadable, &patience, error);
    Usage usage = {.room = VIMG_EBS_REPORT_ROOM};
    guint i;

    if (!records)
        return NULL;
    usage.images[0] = json_array_new();
    usage.images[1] = json_array_new();
    g_ptr_array_sort(records, compare);
    for (i = 0; i < records->len; i++)
        add(&usage, &((const VimgEbsRecord *)records->pdata[i])->info);
    return format(&usage, unreadable);
}
