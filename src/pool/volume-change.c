/*
 * volume-change.c: delete, wipe, resize and flatten
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/import-note.h"
#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"

/* Returns: FALSE with @local (transfer full) as the error. */
static gboolean
fail(VimgUse *use, GError *local, GError **error)
{
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_model_vol_delete(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    g_auto(VimgUse) use = {0};
    g_autofree char *uuid = NULL;
    GError *local = NULL;

    if (!vimg_flags_check(flags, 0, "virStorageVolDelete", error) ||
        !vimg_use_volume(model, vol, VIMG_ACTION_DELETE, "delete", &use, error))
        return FALSE;
    uuid = vimg_use_uuid(&use);
    if (!vimg_store_remove_image(vimg_session_store(use.session), uuid, &local)) {
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
            vimg_use_removed(&use); /* another host was faster */
        return fail(&use, local, error);
    }
    vimg_use_removed(&use);
    vimg_session_sizes(use.session);
    vimg_primary_gone(model, uuid);
    return TRUE;
}

gboolean
vimg_model_vol_wipe(VimgModel *model, const VimgVolId *vol, guint algorithm, guint flags,
                    GError **error)
{
    g_auto(VimgUse) use = {0};
    g_autofree char *uuid = NULL;
    GError *local = NULL;

    if (!vimg_flags_check(flags, 0, "virStorageVolWipePattern", error))
        return FALSE;
    if (algorithm > VIR_STORAGE_VOL_WIPE_ALG_TRIM)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("wiping algorithm %u not supported"),
                          algorithm);
    if (algorithm != VIR_STORAGE_VOL_WIPE_ALG_ZERO && algorithm != VIR_STORAGE_VOL_WIPE_ALG_TRIM)
        return vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED, "%s",
                          _("images can be wiped by algorithms zero and trim only"));
    if (!vimg_use_volume(model, vol, VIMG_ACTION_WIPE, "wipe", &use, error))
        return FALSE;
    uuid = vimg_use_uuid(&use);
    vimg_import_forget(model->state_dir, uuid);
    vimg_primary_gone(model, uuid); /* first: it may be filled with anything then */
    if (!vimg_store_wipe(vimg_session_store(use.session), uuid, &local)) {
        vimg_use_restat(&use);
        return fail(&use, local, error);
    }
    vimg_use_restat(&use);
    vimg_session_sizes(use.session);
    return TRUE;
}

/* ---- resize ----------------------------------------------------------------------------- */

#define RESIZE_FLAGS                                                                               \
    (VIR_STORAGE_VOL_RESIZE_ALLOCATE | VIR_STORAGE_VOL_RESIZE_DELTA | VIR_STORAGE_VOL_RESIZE_SHRINK)

/* What @capacity and @flags mean for an image of @now bytes. */
static gboolean
wanted_capacity(guint64 now, guint64 capacity, guint flags, guint64 *wanted, GError **error)
{
    *wanted = capacity;
    if (flags & VIR_STORAGE_VOL_RESIZE_DELTA) {
        if (flags & VIR_STORAGE_VOL_RESIZE_SHRINK)
            *wanted = now - MIN(capacity, now);
        else if (capacity > G_MAXINT64 - MIN(now, G_MAXINT64))
            *wanted = G_MAXUINT64;
        else
            *wanted = now + capacity;
    }
    if (*wanted <= G_MAXINT64)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                      _("a capacity of more than %llu bytes is not possible"),
                      VIMG_ULL(G_MAXINT64));
}

static gboolean
check_resize(VimgUse *use, const VimgPluginImage *image, guint64 wanted, guint flags,
             GError **error)
{
    guint64 available;

    if (wanted < image->position)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("can't shrink capacity below existing allocation"));
    if (wanted < image->capacity && !(flags & VIR_STORAGE_VOL_RESIZE_SHRINK))
        return vimg_throw(
            error, VIMG_ERROR_INVALID_ARG, "%s",
            _("Can't shrink capacity below current capacity unless shrink flag explicitly specified"));
    vimg_mutex_lock(&use->pool->lock);
    available = use->pool->sizes.available;
    vimg_mutex_unlock(&use->pool->lock);
    if ((flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE) && wanted > image->capacity &&
        wanted - image->capacity > available)
        return vimg_throw(error, VIMG_ERROR_FAILED, "%s",
                          _("Not enough space left in storage pool"));
    return TRUE;
}

gboolean
vimg_model_vol_resize(VimgModel *model, const VimgVolId *vol, guint64 capacity, guint flags,
                      GError **error)
{
    g_auto(VimgUse) use = {0};
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    guint64 wanted = 0;
    GError *local = NULL;

    if (!vimg_flags_check(flags, RESIZE_FLAGS, "virStorageVolResize", error) ||
        !vimg_use_volume(model, vol, VIMG_ACTION_RESIZE, "resize", &use, error))
        return FALSE;
    vimg_use_image(&use, &image);
    if (!wanted_capacity(image.capacity, capacity, flags, &wanted, error) ||
        !check_resize(&use, &image, wanted, flags, error))
        return vimg_use_fail(&use, error);
    if (!vimg_store_resize(vimg_session_store(use.session), image.uuid, wanted, &local))
        return fail(&use, local, error);
    vimg_use_restat(&use);
    return TRUE;
}

/* ---- flatten ---------------------------------------------------------------------------- */

static gboolean
flatten(VimgPool *pool, const char *name, GError **error)
{
    const VimgVolId vol = {.pool = (char *)vimg_pool_name(pool), .name = (char *)name};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};
    g_autofree char *uuid = NULL;
    GError *local = NULL;

    if (!vimg_use_volume_of(pool, &vol, VIMG_ACTION_FLATTEN, "flatten", &use, error))
        return FALSE;
    uuid = vimg_use_uuid(&use);
    if (!vimg_store_flatten(vimg_session_store(use.session), uuid, use.job, &out, &local))
        return fail(&use, local, error);
    vimg_use_changed(&use, &out);
    vimg_session_sizes(use.session);
    return TRUE;
}

char *
vimg_model_vol_flatten(VimgModel *model, const VimgPoolId *id, const char *name, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    return pool && flatten(pool, name, error) ? vimg_model_volume_show(model, id, name, error)
                                              : NULL;
}
