/*
 * sync-image.c: one image of a synchronisation
 *
 * One that is there with the same content is left alone, one that an earlier run left half done is
 * gone on with, and one that is there with other content is never touched.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/fill.h"
#include "pool/source-key.h"
#include "pool/sync-private.h"
#include "util/i18n.h"

gboolean
vimg_sync_hold(VimgPool *pool, const char *name, const char *key, VimgAction action, VimgUse *use,
               GError **error)
{
    const VimgVolId id = {.name = (char *)name, .key = (char *)key};

    use->jobless = TRUE;
    return vimg_use_volume_of(pool, &id, action, VIMG_SYNC_KIND, use, error);
}

gboolean
vimg_sync_check_enabled(VimgPool *pool, GError **error)
{
    VIMG_LOCK_GUARD(&pool->lock);
    if (!pool->def->disabled)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("storage pool '%s' is disabled: it is not synchronised"),
                      vimg_pool_name(pool));
}

/* Whether @image was made of the one with @key, @base, and nothing of that speaks against it. */
static gboolean
is_copy(const VimgPluginImage *image, const VimgPluginImage *base, const char *key)
{
    gboolean converted = image->uploaded_format != NULL;
    const char *format = converted ? image->uploaded_format : image->format;
    guint64 length = converted ? image->uploaded_size : image->physical;

    return vimg_source_key_names(image->copy_of, key) &&
           !vimg_source_key_is_stale(image->copy_of, base->generation) &&
           image->capacity == base->capacity && length == base->physical &&
           g_strcmp0(format, base->format) == 0;
}

static gboolean
find_same(VimgSync *sync, VimgFill *fill, gboolean *same, GError **error)
{
    g_autofree char *key = vimg_use_key(fill->from);
    g_autofree char *own = vimg_use_key(fill->to);
    g_autoptr(GError) local = NULL;

    /* what it was made of may have been uploaded anew since: that is believed only of what was
     * converted, which nobody can compare, unless it says of which content it was made */
    *same = (fill->image->uploaded_format && is_copy(fill->image, fill->base, key)) ||
            (fill->base->uploaded_format && is_copy(fill->base, fill->image, own)) ||
            vimg_source_key_proves(fill->image->copy_of, key, fill->base->generation);
    if (*same ||
        vimg_store_same(vimg_session_store(fill->to->session), fill->image->uuid,
                        vimg_session_store(fill->from->session), fill->base->uuid, same, &local))
        return TRUE;
    *same = is_copy(fill->image, fill->base, key); /* of an earlier release: all would be read */
    if (vimg_error_is(local, VIMG_ERROR_NO_SUPPORT) && *same)
        return TRUE;
    if (vimg_error_is(local, VIMG_ERROR_NO_SUPPORT) && fill->image->state == VIMG_IMAGE_ACTIVE)
        return vimg_fill_check_network(fill, error) &&
               vimg_fill_compare(fill->from, fill->base, fill->to, fill->image, sync->use.job, same,
                                 error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* What is wrong with an image that cannot be mended is said before what follows from it. */
static gboolean
blame_broken(VimgPool *pool, const VimgPluginImage *image, GError *why, GError **error)
{
    if (image->state != VIMG_IMAGE_ERROR || (!vimg_error_is(why, VIMG_ERROR_OPERATION_INVALID) &&
                                             !vimg_error_is(why, VIMG_ERROR_NO_SUPPORT))) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_error_free(why);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("volume '%1$s' cannot be completed, delete or wipe it in storage pool '%2$s': %3$s"),
        image->name, vimg_pool_name(pool), image->reason);
}

/* One of its name is complete, or was. */
static gboolean
settle_complete(VimgSync *sync, VimgFill *fill, const char *name, const char *key, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    GError *local = NULL;
    gboolean same;

    if (!vimg_sync_hold(sync->to, name, key, VIMG_ACTION_COMPARE, fill->to, error))
        return FALSE;
    vimg_use_image(fill->to, &image);
    fill->image = &image;
    if (!find_same(sync, fill, &same, &local))
        return blame_broken(sync->to, &image, local, error);
    if (!same)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("storage pool '%1$s' has another volume '%2$s'"),
                          vimg_pool_name(sync->to), name);
    if (image.state == VIMG_IMAGE_ACTIVE) {
        vimg_sync_report_present(sync->report, &image);
        return TRUE;
    }
    if (!vimg_store_can_pull(vimg_session_store(fill->to->session),
                             vimg_session_store(fill->from->session)))
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("volume '%1$s' cannot be read: %2$s"), name, image.reason);
    if (!vimg_fill_image(fill, &out, &local))
        return blame_broken(sync->to, &image, local, error);
    vimg_use_changed(fill->to, &out);
    vimg_sync_report_copied(sync->report, &out, fill->sent);
    return TRUE;
}

/* The image here that is a copy of what @base was made of.  Returns: (transfer full), or NULL. */
static char *
find_parent(VimgSync *sync, const VimgPluginImage *base, const char *key)
{
    g_autofree char *store = g_strndup(key, (gsize)(strrchr(key, '/') - key));
    g_autofree char *parent = base->parent ? g_strconcat(store, "/", base->parent, NULL) : NULL;
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&sync->to->lock);
    g_hash_table_iter_init(&iter, sync->to->volumes);
    while (parent && g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgPluginImage *image = &((VimgVolume *)value)->image;

        if (vimg_source_key_names(image->copy_of, parent))
            return g_strdup(image->uuid);
    }
    return NULL;
}

static gboolean
make_image(VimgSync *sync, VimgFill *fill, GError **error)
{
    const VimgPluginImage *base = fill->base;
    g_autofree char *key = vimg_use_key(fill->from);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    fill->to->jobless = TRUE;
    if (!vimg_use_create(sync->to, base->name, VIMG_SYNC_KIND, fill->to, error))
        return FALSE;
    vimg_image_copy(&image, base);
    g_free(image.uuid);
    image.uuid = g_uuid_string_random();
    image.state = VIMG_IMAGE_SAVING;
    image.created = g_get_real_time() / G_USEC_PER_SEC;
    g_clear_pointer(&image.origin, g_free); /* the file lies there, not here */
    vimg_image_forget_upload(&image, base);
    g_free(image.copy_of);
    image.copy_of = vimg_source_key_new(key, base->generation);
    g_clear_pointer(&image.generation, g_free);
    g_free(image.parent);
    image.parent = find_parent(sync, base, key);
    if (!vimg_store_create(vimg_session_store(fill->to->session), &image, &out, error))
        return FALSE;
    vimg_use_created(fill->to, &out, VIMG_SYNC_KIND);
    return TRUE;
}

/* Whatever has its name here.  Returns: whether anything has; @key: (transfer full) its own. */
static gboolean
look_here(VimgSync *sync, const char *name, char **key, VimgPluginImage *image)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&sync->to->lock);
    volume = vimg_cache_find(sync->to, name);
    if (!volume)
        return FALSE;
    *key = g_strdup(volume->key);
    vimg_image_copy(image, &volume->image);
    return TRUE;
}

/* It goes on where it is, unless nothing came yet, or what must not. */
static void
leave_half(VimgFill *fill, const GError *why)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;

    if (!fill->to->volume || vimg_error_is(why, VIMG_ERROR_DISCONNECTED))
        return;
    vimg_use_restat(fill->to);
    vimg_use_image(fill->to, &now);
    if (now.state == VIMG_IMAGE_SAVING && (now.physical == 0 || fill->refused))
        vimg_use_discard(fill->to, now.uuid);
}

static gboolean
complete_half(VimgSync *sync, VimgFill *fill, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    GError *local = NULL;

    vimg_use_image(fill->to, &image);
    image.physical = fill->base->physical;
    fill->image = &image;
    if (!vimg_fill_image(fill, &out, &local)) {
        vimg_sync_report_sent(sync->report, fill->sent);
        leave_half(fill, local);
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_use_changed(fill->to, &out);
    vimg_sync_report_copied(sync->report, &out, fill->sent);
    return TRUE;
}

static gboolean
settle_name(VimgSync *sync, VimgFill *fill, const char *name, GError **error)
{
    g_autofree char *source = vimg_use_key(fill->from);
    g_autofree char *key = NULL;
    g_auto(VimgPluginImage) here = VIMG_PLUGIN_IMAGE_INIT;

    if (!look_here(sync, name, &key, &here))
        return make_image(sync, fill, error) && complete_half(sync, fill, error);
    if (here.state != VIMG_IMAGE_SAVING)
        return settle_complete(sync, fill, name, key, error);
    if (!vimg_source_key_names(here.copy_of, source) ||
        vimg_source_key_is_stale(here.copy_of, fill->base->generation) ||
        here.capacity != fill->base->capacity)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("storage pool '%1$s' has another volume '%2$s'"),
                          vimg_pool_name(sync->to), name);
    return vimg_sync_hold(sync->to, name, key, VIMG_ACTION_UPLOAD, fill->to, error) &&
           complete_half(sync, fill, error);
}

gboolean
vimg_sync_image(VimgSync *sync, const char *name, GError **error)
{
    g_auto(VimgPluginImage) base = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) from = {0};
    g_auto(VimgUse) to = {0};
    VimgFill fill = {&from, &to, sync->use.job, sync->use.job, &base};

    if (!vimg_sync_check_enabled(sync->from, error) || !vimg_sync_check_enabled(sync->to, error) ||
        !vimg_sync_hold(sync->from, name, NULL, VIMG_ACTION_SOURCE, &from, error))
        return FALSE;
    vimg_use_image(&from, &base);
    fill.request = (VimgPullRequest){
        .size = sizeof(fill.request),
        .bandwidth = sync->request->bandwidth,
        .sync_network = sync->network,
    };
    return settle_name(sync, &fill, name, error);
}
