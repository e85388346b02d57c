/*
 * zone-edit.c: which pools are attached to which zones, seen and changed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/model-private.h"
#include "util/i18n.h"

/* ---- list ----------------------------------------------------------------------------------- */

typedef struct {
    VimgPool *pool; /* borrowed */
    gboolean only;
} Attached;

/* Returns: of Attached, by zone. */
static GPtrArray *
get_zone(GHashTable *zones, const char *name)
{
    GPtrArray *zone = g_hash_table_lookup(zones, name);

    if (!zone) {
        zone = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(zones, g_strdup(name), zone);
    }
    return zone;
}

static void
add_pool(GHashTable *zones, VimgPool *pool)
{
    g_autoptr(GPtrArray) names = vimg_zones_of(pool);

    for (guint i = 0; i < names->len; i++) {
        const Attached attached = {pool, names->len == 1};

        g_ptr_array_add(get_zone(zones, names->pdata[i]), g_memdup2(&attached, sizeof(attached)));
    }
}

static void
build_zone(JsonBuilder *json, VimgModel *model, const char *name, const GPtrArray *pools)
{
    const char *const *here = (const char *const *)model->zones;

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "name");
    json_builder_add_string_value(json, name);
    json_builder_set_member_name(json, "here");
    json_builder_add_boolean_value(json, here && g_strv_contains(here, name));
    json_builder_set_member_name(json, "current");
    json_builder_add_boolean_value(json, here && g_strcmp0(here[0], name) == 0);
    json_builder_set_member_name(json, "pools");
    json_builder_begin_array(json);
    for (guint i = 0; i < pools->len; i++) {
        const Attached *attached = pools->pdata[i];

        json_builder_begin_object(json);
        json_builder_set_member_name(json, "name");
        json_builder_add_string_value(json, vimg_pool_name(attached->pool));
        json_builder_set_member_name(json, "uuid");
        json_builder_add_string_value(json, attached->pool->uuid_text);
        json_builder_set_member_name(json, "only");
        json_builder_add_boolean_value(json, attached->only);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    json_builder_end_object(json);
}

char *
vimg_model_zone_list(VimgModel *model)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    g_autoptr(GHashTable) zones =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autoptr(GList) names = NULL;

    for (guint i = 0; model->zones && model->zones[i]; i++)
        get_zone(zones, model->zones[i]);
    for (guint i = 0; i < pools->len; i++)
        add_pool(zones, pools->pdata[i]);
    names = g_list_sort(g_hash_table_get_keys(zones), (GCompareFunc)strcmp);
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "zones");
    json_builder_begin_array(json);
    for (GList *link = names; link; link = link->next)
        build_zone(json, model, link->data, g_hash_table_lookup(zones, link->data));
    json_builder_end_array(json);
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

/* ---- attach --------------------------------------------------------------------------------- */

static gboolean
add_zone(VimgPoolDef *def, gconstpointer zone, GError **error)
{
    if (!g_ptr_array_find_with_equal_func(def->zones, zone, g_str_equal, NULL))
        g_ptr_array_add(def->zones, g_strdup(zone));
    return TRUE;
}

gboolean
vimg_model_zone_attach(VimgModel *model, const VimgPoolId *pool, const char *zone, GError **error)
{
    return vimg_name_check_argument("zone", zone, error) &&
           vimg_pool_edit_by_id(model, pool, add_zone, zone, error);
}

/* ---- detach --------------------------------------------------------------------------------- */

/* What could not be started any more is not made so, and what runs could be started again. */
static gboolean
check_left(VimgPool *pool, const VimgPoolDef *def, const char *zone, GError **error)
{
    char **here = pool->model->zones;

    if (vimg_zone_check(def, here, NULL))
        return TRUE;
    if (def->zones->len == 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("storage pool '%1$s' is attached to no other zone than '%2$s': attach it to another one first, or undefine it"),
            def->name, zone);
    return vimg_pool_check_active(pool, FALSE, "%s", NULL) ||
           vimg_throw(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("storage pool '%1$s' is active, and attached to no other zone of this host than '%2$s': stop it first"),
               def->name, zone);
}

typedef struct {
    VimgPool *pool;
    const char *zone;
} Detach;

/* One of its two definitions may be attached while the other is not. */
static gboolean
remove_zone(VimgPoolDef *def, gconstpointer data, GError **error)
{
    const Detach *detach = data;
    guint at;

    if (!g_ptr_array_find_with_equal_func(def->zones, detach->zone, g_str_equal, &at))
        return TRUE;
    g_ptr_array_remove_index(def->zones, at);
    return check_left(detach->pool, def, detach->zone, error);
}

gboolean
vimg_zone_check_detach(VimgPool *pool, const char *zone, GError **error)
{
    const Detach detach = {pool, zone};
    g_autoptr(VimgPoolDef) draft = vimg_pool_copy_def(pool);
    g_autoptr(VimgPoolDef) next = vimg_pool_copy_next(pool);

    return remove_zone(draft, &detach, error) && (!next || remove_zone(next, &detach, error));
}

gboolean
vimg_zone_detach(VimgPool *pool, const char *zone, GError **error)
{
    const Detach detach = {pool, zone};

    return vimg_pool_edit(pool, remove_zone, &detach, error);
}

static gboolean
detach(VimgPool *pool, const char *zone, GError **error)
{
    g_autoptr(GPtrArray) zones = vimg_zones_of(pool);

    if (!g_ptr_array_find_with_equal_func(zones, zone, g_str_equal, NULL))
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("storage pool '%1$s' is not attached to zone '%2$s'"),
                          vimg_pool_name(pool), zone);
    return vimg_zone_detach(pool, zone, error);
}

gboolean
vimg_model_zone_detach(VimgModel *model, const VimgPoolId *id, const char *zone, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgPoolTurn) turn = NULL;

    if (!vimg_name_check_argument("zone", zone, error))
        return FALSE;
    pool = vimg_registry_get(model, id, error);
    if (!pool || !vimg_pool_begin(pool, VIMG_POOL_DEFINING, error))
        return FALSE;
    turn = pool;
    if (!detach(pool, zone, error))
        return FALSE;
    vimg_pool_emit_edited(pool);
    return TRUE;
}
