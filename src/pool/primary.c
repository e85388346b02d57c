/*
 * primary.c: which side of a clone is ours, and which the host's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"

void
vimg_model_set_primary(VimgModel *model, const VimgPrimary *primary, gpointer data)
{
    model->primary_data = data;
    __atomic_store_n(&model->primary, primary, __ATOMIC_SEQ_CST); /* pools are starting already */
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
    g_free(info->checksum);
    g_free(info->generation);
    g_free(info->machine);
    *info = (VimgSourceInfo){0};
}

void
vimg_source_info_take(VimgSourceInfo *out, VimgPool *pool, VimgVolume *volume)
{
    const VimgPluginImage *image = &volume->image;

    VIMG_LOCK_GUARD(&pool->lock);
    out->pool = g_strdup(vimg_pool_name(pool));
    out->pool_uuid = g_strdup(pool->uuid_text);
    out->name = g_strdup(image->name);
    out->key = g_strdup(volume->key);
    out->path = vimg_volume_path(pool, volume);
    out->uuid = g_strdup(image->uuid);
    out->format = g_strdup(image->format);
    out->checksum = image->checksum ? g_strconcat(image->checksum_type, ":", image->checksum, NULL)
                                    : g_strdup("");
    out->generation = g_strdup(image->generation);
    out->machine = g_strdup(image->machine);
    out->capacity = image->capacity;
    out->physical = image->physical;
    out->active = image->state == VIMG_IMAGE_ACTIVE;
}

gboolean
vimg_model_image_look(VimgModel *model, const VimgVolId *vol, VimgSourceInfo *out, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgVolume) volume = vimg_vol_find(model, vol, &pool, error);

    if (!volume)
        return FALSE;
    vimg_source_info_take(out, pool, volume);
    return TRUE;
}

/* NULL and *@known FALSE: its storage may have it. */
static VimgVolume *
find_image(VimgPool *pool, const char *uuid, gboolean *known)
{
    VimgVolume *volume = NULL;

    VIMG_LOCK_GUARD(&pool->lock);
    *known = pool->active && pool->session && pool->status == VIMG_POOL_CONNECTED;
    if (*known)
        volume = g_hash_table_lookup(pool->by_image, uuid);
    return volume ? vimg_volume_ref(volume) : NULL;
}

gboolean
vimg_model_image_find(VimgModel *model, const char *pool_uuid, const char *uuid,
                      VimgSourceInfo *out, GError **error)
{
    VimgPoolId id = {.name = (char *)""};
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgVolume) volume = NULL;
    gboolean known = FALSE;

    if (!vimg_uuid_parse(pool_uuid, id.uuid))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is not a uuid"), pool_uuid);
    pool = vimg_registry_get(model, &id, error);
    if (!pool)
        return FALSE;
    volume = find_image(pool, uuid, &known);
    if (volume) {
        vimg_source_info_take(out, pool, volume);
        return TRUE;
    }
    return known ? vimg_throw(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid)
                 : vimg_throw(error, VIMG_ERROR_DISCONNECTED, _("pool '%s' is not connected"),
                              vimg_pool_name(pool));
}

gboolean
vimg_primary_is_present(const VimgModel *model)
{
    return model->primary && model->primary->present(model->primary_data);
}

void
vimg_primary_gone(const VimgModel *model, const char *uuid)
{
    if (model->primary && model->primary->gone)
        model->primary->gone(uuid, model->primary_data);
}

void
vimg_primary_undefined(const VimgModel *model, const char *uuid)
{
    const VimgPrimary *primary = __atomic_load_n(&model->primary, __ATOMIC_SEQ_CST);

    if (primary && primary->undefined)
        primary->undefined(uuid, model->primary_data);
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

/* ---- moments ------------------------------------------------------------------------------ */

static gboolean
check_present(const VimgModel *model, GError **error)
{
    return (vimg_primary_is_present(model) && model->primary->hold && model->primary->fill) ||
           vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED, "%s",
                      _("the daemon serves no volumes of the host: set host_uri"));
}

gboolean
vimg_model_vol_hold(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                    const VimgVolId *source, GError **error)
{
    return check_present(model, error) &&
           model->primary->hold(caller, image, source, model->primary_data, error);
}

static char *
describe(const VimgFilled *filled)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_int_member(object, "read", (gint64)filled->read);
    json_object_set_string_member(object, "base", filled->base);
    json_node_set_object(root, object);
    return json_to_string(root, FALSE);
}

char *
vimg_model_vol_fill(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                    const VimgVolId *source, GError **error)
{
    VimgFilled filled = {0};
    char *report = NULL;

    if (check_present(model, error) &&
        model->primary->fill(caller, image, source, &filled, model->primary_data, error))
        report = describe(&filled);
    g_free(filled.base);
    return report;
}
