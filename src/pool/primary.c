/*
 * primary.c: which side of a clone is ours, and which the host's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "pool/primary.h"

void
vimg_model_set_primary(VimgModel *model, const VimgPrimary *primary, gpointer data)
{
    model->primary = primary;
    model->primary_data = data;
}

void
vimg_primary_pool_free(VimgPrimaryPool *pool)
{
    if (!pool)
        return;
    g_free(pool->name);
    g_free(pool->type);
    g_free(pool);
}

void
vimg_source_info_clear(VimgSourceInfo *info)
{
    g_free(info->pool);
    g_free(info->pool_uuid);
    g_free(info->name);
    g_free(info->key);
    g_free(info->path);
    g_free(info->uuid);
    g_free(info->format);
    *info = (VimgSourceInfo){0};
}

gboolean
vimg_primary_is_present(const VimgModel *model)
{
    return model->primary && model->primary->present(model->primary_data);
}

/* A pool is ours by its name as by its uuid: of two with one name, the host's is not seen. */
static gboolean
is_ours(VimgModel *model, const VimgPoolId *id)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, NULL);

    return pool != NULL;
}

static gboolean
has_ours(VimgModel *model, const char *name)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(model, name, NULL);

    return pool != NULL;
}

gboolean
vimg_model_vol_clone(VimgModel *model, const VimgCaller *caller, const VimgPoolId *pool,
                     const char *xml, const VimgVolId *source, guint flags, VimgVolId *out,
                     GError **error)
{
    const VimgPrimary *primary = model->primary;
    gboolean to_ours = is_ours(model, pool);

    if (to_ours == has_ours(model, source->pool) || !vimg_primary_is_present(model))
        return vimg_model_vol_create_from(model, pool, xml, source, flags, out, error);
    if (to_ours)
        return primary->clone_in(caller, pool, xml, source, flags, out, model->primary_data, error);
    return primary->clone_out(caller, pool, xml, source, flags, out, model->primary_data, error);
}
