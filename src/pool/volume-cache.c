/*
 * volume-cache.c: the volumes of an active pool, as far as memory knows them
 *
 * A listing takes long and changes go on meanwhile.  Every change made here has a tick; a listing
 * notes the tick at which it began, and what changed, came or went after that wins over it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

void
vimg_image_copy(VimgPluginImage *out, const VimgPluginImage *image)
{
    *out = *image;
    out->size = sizeof(*out);
    out->uuid = g_strdup(image->uuid);
    out->name = g_strdup(image->name);
    out->format = g_strdup(image->format);
    out->reason = g_strdup(image->reason);
    out->parent = g_strdup(image->parent);
    out->checksum_type = g_strdup(image->checksum_type);
    out->checksum = g_strdup(image->checksum);
    out->os = g_strdup(image->os);
    out->arch = g_strdup(image->arch);
    out->description = g_strdup(image->description);
    out->origin = g_strdup(image->origin);
    out->copy_of = g_strdup(image->copy_of);
    out->uploaded_format = g_strdup(image->uploaded_format);
    out->needed_by = g_strdup(image->needed_by);
    out->machine = g_strdup(image->machine);
    out->generation = g_strdup(image->generation);
}

void
vimg_image_forget_upload(VimgPluginImage *image, const VimgPluginImage *base)
{
    if (!base->uploaded_format)
        return;
    g_clear_pointer(&image->uploaded_format, g_free);
    image->uploaded_size = 0;
    if (g_strcmp0(image->checksum, base->checksum) != 0)
        return;
    g_clear_pointer(&image->checksum_type, g_free);
    g_clear_pointer(&image->checksum, g_free);
}

static VimgPluginImage *
image_new(const VimgPluginImage *image)
{
    VimgPluginImage *copy = g_new0(VimgPluginImage, 1);

    vimg_image_copy(copy, image);
    return copy;
}

static void
image_free(gpointer data)
{
    VimgPluginImage *image = data;

    vimg_plugin_image_clear(image);
    g_free(image);
}

VimgVolume *
vimg_volume_ref(VimgVolume *volume)
{
    __atomic_add_fetch(&volume->refs, 1, __ATOMIC_RELAXED);
    return volume;
}

void
vimg_volume_unref(VimgVolume *volume)
{
    if (!volume || __atomic_sub_fetch(&volume->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_plugin_image_clear(&volume->image);
    g_clear_pointer(&volume->seen, image_free);
    g_free(volume->key);
    g_free(volume);
}

/* ---- tables, under the pool's lock ------------------------------------------------------ */

void
vimg_cache_init(VimgPool *pool)
{
    pool->volumes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vimg_volume_unref);
    pool->by_image = g_hash_table_new(g_str_hash, g_str_equal);
    pool->reserved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pool->removed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    pool->readers = g_hash_table_new(NULL, NULL);
}

void
vimg_cache_clear(VimgPool *pool)
{
    g_hash_table_remove_all(pool->by_image);
    g_hash_table_remove_all(pool->volumes);
    g_hash_table_remove_all(pool->reserved);
    g_clear_pointer(&pool->store_id, g_free);
    g_clear_pointer(&pool->location, g_free);
    pool->tick++;
    pool->listed = pool->tick; /* listings still running are of the past */
    pool->sizes = (VimgPoolSizes){0};
}

void
vimg_cache_free(VimgPool *pool)
{
    g_hash_table_unref(pool->by_image);
    g_hash_table_unref(pool->volumes);
    g_hash_table_unref(pool->reserved);
    g_hash_table_unref(pool->removed);
    g_hash_table_unref(pool->readers);
}

VimgVolume *
vimg_cache_find(VimgPool *pool, const char *name)
{
    return g_hash_table_lookup(pool->volumes, name);
}

static void
drop(VimgPool *pool, VimgVolume *volume)
{
    g_hash_table_remove(pool->by_image, volume->image.uuid);
    g_hash_table_remove(pool->volumes, volume->image.name);
}

static VimgVolume *
add(VimgPool *pool, const VimgPluginImage *image)
{
    VimgVolume *volume = g_new0(VimgVolume, 1);

    volume->refs = 1;
    vimg_image_copy(&volume->image, image);
    volume->key = g_strdup_printf("%s:%s/%s", pool->def->type, pool->store_id, image->uuid);
    g_hash_table_replace(pool->volumes, g_strdup(image->name), volume);
    g_hash_table_insert(pool->by_image, volume->image.uuid, volume);
    return volume;
}

VimgVolume *
vimg_cache_add(VimgPool *pool, const VimgPluginImage *image)
{
    VimgVolume *volume = g_hash_table_lookup(pool->by_image, image->uuid);

    if (volume) { /* a listing was faster than its creator */
        vimg_cache_change(pool, volume, image);
        return volume;
    }
    volume = vimg_cache_find(pool, image->name);
    if (volume)
        drop(pool, volume);
    volume = add(pool, image);
    volume->tick = ++pool->tick;
    return volume;
}

/* The uuid of an image is for ever; @volume stays where the tables have it unless its name moved.
 */
static void
set_image(VimgPool *pool, VimgVolume *volume, const VimgPluginImage *image)
{
    gboolean known = g_hash_table_lookup(pool->by_image, image->uuid) == volume;
    VimgVolume *namesake = vimg_cache_find(pool, image->name);

    vimg_volume_ref(volume);
    if (known)
        drop(pool, volume);
    if (known && namesake && namesake != volume)
        drop(pool, namesake); /* the storage says that the name is no longer its */
    vimg_plugin_image_clear(&volume->image);
    vimg_image_copy(&volume->image, image);
    if (known) {
        g_hash_table_replace(pool->volumes, g_strdup(image->name), vimg_volume_ref(volume));
        g_hash_table_insert(pool->by_image, volume->image.uuid, volume);
    }
    vimg_volume_unref(volume);
}

void
vimg_cache_change(VimgPool *pool, VimgVolume *volume, const VimgPluginImage *image)
{
    set_image(pool, volume, image);
    volume->tick = ++pool->tick;
}

void
vimg_cache_remove(VimgPool *pool, VimgVolume *volume)
{
    guint64 *tick;

    pool->tick++;
    if (pool->listings > 0) {
        tick = g_new(guint64, 1);
        *tick = pool->tick;
        g_hash_table_replace(pool->removed, g_strdup(volume->image.uuid), tick);
    }
    if (g_hash_table_lookup(pool->by_image, volume->image.uuid) == volume)
        drop(pool, volume);
}

gboolean
vimg_cache_reserve(VimgPool *pool, const char *name, GError **error)
{
    guint taken = g_hash_table_size(pool->volumes) + g_hash_table_size(pool->reserved);

    if (vimg_cache_find(pool, name) || g_hash_table_contains(pool->reserved, name))
        return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
    if (taken >= VIMG_POOL_MAX_VOLUMES)
        return vimg_throw(error, VIMG_ERROR_BUSY,
                          _("storage pool '%1$s' holds %2$u volumes, and more could not be listed"),
                          vimg_pool_name(pool), taken);
    g_hash_table_add(pool->reserved, g_strdup(name));
    return TRUE;
}

void
vimg_cache_unreserve(VimgPool *pool, const char *name)
{
    g_hash_table_remove(pool->reserved, name);
}

/* ---- listing ---------------------------------------------------------------------------- */

typedef struct {
    GPtrArray *images; /* of VimgPluginImage */
    gboolean more;     /* there were too many */
} Listing;

static gboolean
collect(const VimgPluginImage *image, gpointer data)
{
    Listing *listing = data;

    if (listing->images->len >= VIMG_POOL_MAX_VOLUMES) {
        listing->more = TRUE;
        return FALSE;
    }
    g_ptr_array_add(listing->images, image_new(image));
    return TRUE;
}

static gboolean
removed_since(VimgPool *pool, const char *uuid, guint64 began)
{
    const guint64 *tick = g_hash_table_lookup(pool->removed, uuid);

    return tick && *tick > began;
}

/* Whoever changes @volume may fail and know less than a listing of that time: it waits till then.
 */
static void
note_seen(VimgVolume *volume, const VimgPluginImage *image, guint64 began)
{
    g_clear_pointer(&volume->seen, image_free);
    volume->seen = image ? image_new(image) : NULL;
    volume->seen_at = began;
}

/* Whom the listing does not show and who was not made or changed since it began, is gone. */
static void
drop_unlisted(VimgPool *pool, GPtrArray *images, guint64 began)
{
    g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    guint i;

    for (i = 0; i < images->len; i++)
        g_hash_table_add(listed, ((VimgPluginImage *)g_ptr_array_index(images, i))->uuid);
    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgVolume *volume = value;

        if (volume->tick > began || g_hash_table_contains(listed, volume->image.uuid))
            continue;
        if (volume->changing)
            note_seen(volume, NULL, began);
        else
            g_ptr_array_add(gone, volume);
    }
    for (i = 0; i < gone->len; i++)
        drop(pool, g_ptr_array_index(gone, i));
}

static void
merge(VimgPool *pool, GPtrArray *images, guint64 began)
{
    guint i;

    if (pool->listed > began)
        return; /* a newer listing, or another start, has been here */
    pool->listed = began;
    drop_unlisted(pool, images, began);
    for (i = 0; i < images->len; i++) {
        const VimgPluginImage *image = g_ptr_array_index(images, i);
        VimgVolume *known = g_hash_table_lookup(pool->by_image, image->uuid);
        VimgVolume *namesake = vimg_cache_find(pool, image->name);

        if (removed_since(pool, image->uuid, began) ||
            g_hash_table_contains(pool->reserved, image->name))
            continue; /* its creator or remover knows better */
        if (known && known->tick > began)
            continue;
        if (known && known->changing) {
            note_seen(known, image, began);
            continue;
        }
        if (namesake && namesake != known)
            continue; /* newer than the listing, or it would have been dropped */
        if (known)
            set_image(pool, known, image);
        else
            add(pool, image);
    }
}

void
vimg_cache_settle(VimgPool *pool, VimgVolume *volume)
{
    VimgPluginImage *seen = g_steal_pointer(&volume->seen);
    gboolean known = g_hash_table_lookup(pool->by_image, volume->image.uuid) == volume;
    gboolean newer = volume->seen_at > volume->tick; /* else what its job found is the truth */
    VimgVolume *namesake = seen ? vimg_cache_find(pool, seen->name) : NULL;

    volume->seen_at = 0;
    if (known && newer && !seen)
        drop(pool, volume);
    else if (known && newer && (!namesake || namesake == volume))
        set_image(pool, volume, seen);
    if (seen)
        image_free(seen);
}

static guint64
begin_listing(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    pool->listings++;
    return ++pool->tick; /* each has its own: of two, the one that began last is right */
}

gboolean
vimg_cache_refresh(VimgPool *pool, VimgSession *session, GError **error)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(image_free);
    Listing listing = {.images = images};
    guint64 began = begin_listing(pool);
    gboolean ok = vimg_store_list(vimg_session_store(session), collect, &listing, error);

    if (ok && listing.more)
        vimg_warning("storage pool '%s' holds more than %d images; the others are not shown",
                     vimg_pool_name(pool), VIMG_POOL_MAX_VOLUMES);
    VIMG_LOCK_GUARD(&pool->lock);
    if (ok)
        merge(pool, images, began);
    if (--pool->listings == 0)
        g_hash_table_remove_all(pool->removed);
    return ok;
}
