/*
 * volume-list.c: images page by page, and all that is known of one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "pool/status.h"
#include "util/i18n.h"

void
vimg_volume_info_free(VimgVolumeInfo *info)
{
    if (!info)
        return;
    g_free(info->uuid);
    g_free(info->name);
    g_free(info->reason);
    g_free(info->format);
    g_free(info);
}

/* ---- pages, with the pool's lock held --------------------------------------------------- */

static VimgVolumeInfo *
info_of(const VimgVolume *volume)
{
    const VimgPluginImage *image = &volume->image;
    VimgVolumeInfo *info = g_new0(VimgVolumeInfo, 1);

    info->uuid = g_strdup(image->uuid);
    info->name = g_strdup(image->name);
    info->state = vimg_image_states[image->state];
    info->reason = g_strdup(image->reason);
    info->format = g_strdup(image->format);
    info->capacity = image->capacity;
    info->allocation = image->allocation;
    info->physical = image->physical;
    info->created = image->created;
    info->unique = volume->unique;
    info->shared = volume->shared;
    info->as_of = volume->as_of;
    return info;
}

static gint
compare_volumes(gconstpointer a, gconstpointer b)
{
    const VimgVolume *const *left = a;
    const VimgVolume *const *right = b;

    return strcmp((*left)->image.name, (*right)->image.name);
}

/* Returns: (transfer full) of VimgVolume, borrowed */
static GPtrArray *
sort_behind(VimgPool *pool, const char *after)
{
    GPtrArray *volumes = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name, volume;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, &name, &volume)) {
        if (!after || strcmp(name, after) > 0)
            g_ptr_array_add(volumes, volume);
    }
    g_ptr_array_sort(volumes, compare_volumes);
    return volumes;
}

GPtrArray *
vimg_model_volume_page(VimgModel *model, const VimgPoolId *id, const char *after, guint max,
                       GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(GPtrArray) volumes = NULL;
    GPtrArray *page;
    guint i;

    if (!pool)
        return NULL;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!pool->active) {
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                   vimg_pool_name(pool));
        return NULL;
    }
    volumes = sort_behind(pool, after);
    page = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_volume_info_free);
    for (i = 0; i < MIN(volumes->len, max); i++)
        g_ptr_array_add(page, info_of(g_ptr_array_index(volumes, i)));
    return page;
}

/* ---- one image -------------------------------------------------------------------------- */

/* Texts of an image that may be absent, in the order people want them. */
static const struct {
    const char *name;
    gsize offset;
} texts[] = {
    {"reason", G_STRUCT_OFFSET(VimgPluginImage, reason)},
    {"format", G_STRUCT_OFFSET(VimgPluginImage, format)},
    {"parent", G_STRUCT_OFFSET(VimgPluginImage, parent)},
    {"uploaded_format", G_STRUCT_OFFSET(VimgPluginImage, uploaded_format)},
    {"checksum_type", G_STRUCT_OFFSET(VimgPluginImage, checksum_type)},
    {"checksum", G_STRUCT_OFFSET(VimgPluginImage, checksum)},
    {"os", G_STRUCT_OFFSET(VimgPluginImage, os)},
    {"arch", G_STRUCT_OFFSET(VimgPluginImage, arch)},
    {"description", G_STRUCT_OFFSET(VimgPluginImage, description)},
    {"origin", G_STRUCT_OFFSET(VimgPluginImage, origin)},
    {"machine", G_STRUCT_OFFSET(VimgPluginImage, machine)},
};

static void
set_image(JsonObject *object, const VimgPluginImage *image)
{
    gsize i;

    vimg_json_set_text(object, "name", image->name);
    vimg_json_set_text(object, "uuid", image->uuid);
    vimg_json_set_text(object, "state", vimg_image_states[image->state]);
    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        vimg_json_set_text(object, texts[i].name,
                           *(char **)G_STRUCT_MEMBER_P(image, texts[i].offset));
    vimg_json_set_known(object, "capacity", TRUE, image->capacity);
    vimg_json_set_known(object, "allocation", TRUE, image->allocation);
    vimg_json_set_known(object, "physical", TRUE, image->physical);
    vimg_json_set_known(object, "uploaded_size", image->uploaded_format != NULL,
                        image->uploaded_size);
    vimg_json_set_known(object, "position", image->state == VIMG_IMAGE_SAVING, image->position);
    vimg_json_set_known(object, "created", image->created > 0, (guint64)image->created);
}

static void
set_usage(JsonObject *object, const VimgVolume *volume)
{
    gboolean known = volume->as_of > 0;

    vimg_json_set_known(object, "unique", known, volume->unique);
    vimg_json_set_known(object, "shared", known, volume->shared);
    vimg_json_set_known(object, "as_of", known, (guint64)volume->as_of);
}

static guint
count_readers(VimgPool *pool, const VimgVolume *volume)
{
    GHashTableIter iter;
    gpointer reader;
    guint n = 0;

    g_hash_table_iter_init(&iter, pool->readers);
    while (g_hash_table_iter_next(&iter, &reader, NULL))
        n += ((VimgUse *)reader)->volume == volume;
    return n;
}

static void
set_jobs(JsonObject *object, VimgPool *pool, const VimgVolume *volume)
{
    g_autoptr(GPtrArray) jobs = vimg_jobs_list(pool->model->jobs, vimg_pool_name(pool));
    guint i;

    for (i = jobs->len; i-- > 0;) {
        const VimgJobInfo *job = g_ptr_array_index(jobs, i);

        if (g_strcmp0(job->volume, volume->image.name) != 0)
            g_ptr_array_remove_index(jobs, i);
    }
    vimg_json_set_text(object, "changing", volume->changing);
    vimg_json_set_known(object, "readers", TRUE, count_readers(pool, volume));
    vimg_json_set_jobs(object, jobs);
}

static const VimgVolume *
find(VimgPool *pool, const char *name, GError **error)
{
    const VimgVolume *volume = NULL;

    if (!pool->active)
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                   vimg_pool_name(pool));
    else if (!(volume = vimg_cache_find(pool, name)))
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
    return volume;
}

char *
vimg_model_volume_show(VimgModel *model, const VimgPoolId *id, const char *name, GError **error)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autofree char *path = NULL;
    const VimgVolume *volume;

    if (!pool)
        return NULL;
    VIMG_LOCK_GUARD(&pool->lock); /* over all of it: what is called so now may be another soon */
    volume = find(pool, name, error);
    if (!volume)
        return NULL;
    path = vimg_volume_path(pool, volume);
    vimg_json_set_text(object, "pool", vimg_pool_name(pool));
    vimg_json_set_text(object, "key", volume->key);
    vimg_json_set_text(object, "path", path);
    set_image(object, &volume->image);
    set_usage(object, volume);
    set_jobs(object, pool, volume);
    return vimg_json_to_text(object);
}
