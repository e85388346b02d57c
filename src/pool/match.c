/*
 * match.c: which pools of images serve which primary storage of the host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"

typedef struct {
    const char *primary;
    const char *types; /* of the host's pools, separated by spaces; NULL: there are none */
    const char *storage;
    gboolean preferred;
    gboolean guide;
    const char *way;
} Row;

#define ROW(...) {__VA_ARGS__},
static const Row rows[] = {
#include "pool/match.def"
};
#undef ROW

static gboolean
has_type(const Row *row, const char *type)
{
    g_auto(GStrv) types = g_strsplit(row->types ? row->types : "", " ", -1);

    return g_strv_contains((const char *const *)types, type);
}

/* ---- what is asked for ---------------------------------------------------------------------- */

/* NULL: everything; the name of a pool of the host, or of a kind of primary storage. */
typedef struct {
    const char *name;
    const char *type; /* of that pool; NULL: it is a kind */
} Wanted;

static gboolean
is_wanted(const Row *row, const Wanted *wanted)
{
    if (!wanted->name)
        return TRUE;
    return wanted->type ? has_type(row, wanted->type)
                        : g_ascii_strcasecmp(row->primary, wanted->name) == 0;
}

static gboolean
find_wanted(const char *name, const GPtrArray *pools, Wanted *out, GError **error)
{
    out->name = name;
    for (guint i = 0; name && i < pools->len; i++) {
        const VimgPrimaryPool *pool = pools->pdata[i];

        if (strcmp(pool->name, name) == 0)
            out->type = pool->type;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (is_wanted(&rows[i], out))
            return TRUE;
    }
    if (out->type)
        return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                          _("no image storage is known for the host's pool '%1$s' of type '%2$s'"),
                          name, out->type);
    return vimg_throw(error, VIMG_ERROR_NO_POOL, _("no storage pool with matching name '%s'"),
                      name);
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void
add_text(JsonBuilder *json, const char *member, const char *text)
{
    json_builder_set_member_name(json, member);
    json_builder_add_string_value(json, text);
}

static void
add_truth(JsonBuilder *json, const char *member, gboolean truth)
{
    json_builder_set_member_name(json, member);
    json_builder_add_boolean_value(json, truth);
}

static void
add_name(JsonBuilder *json, const char *name)
{
    json_builder_begin_object(json);
    add_text(json, "name", name);
    json_builder_end_object(json);
}

/* Ours that run. */
static void
add_image_pools(JsonBuilder *json, const GPtrArray *pools, const char *type)
{
    json_builder_set_member_name(json, "pools");
    json_builder_begin_array(json);
    for (guint i = 0; i < pools->len; i++) {
        VimgPool *pool = pools->pdata[i];
        VIMG_LOCK_GUARD(&pool->lock);

        if (pool->active && strcmp(pool->def->type, type) == 0)
            add_name(json, vimg_pool_name(pool));
    }
    json_builder_end_array(json);
}

static void
add_host_pools(JsonBuilder *json, const GPtrArray *pools, const Row *row, const Wanted *wanted)
{
    json_builder_set_member_name(json, "host_pools");
    json_builder_begin_array(json);
    for (guint i = 0; i < pools->len; i++) {
        const VimgPrimaryPool *pool = pools->pdata[i];

        if (has_type(row, pool->type) && (!wanted->type || strcmp(pool->name, wanted->name) == 0))
            add_name(json, pool->name);
    }
    json_builder_end_array(json);
}

static void
add_row(JsonBuilder *json, const Row *row)
{
    g_auto(GStrv) types = g_strsplit(row->types ? row->types : "", " ", -1);

    add_text(json, "primary", row->primary);
    json_builder_set_member_name(json, "types");
    json_builder_begin_array(json);
    for (guint i = 0; types[i]; i++)
        json_builder_add_string_value(json, types[i]);
    json_builder_end_array(json);
    add_text(json, "storage", row->storage);
    add_truth(json, "default", row->preferred);
    add_truth(json, "guide", row->guide);
    add_text(json, "way", row->way);
}

static char *
report(VimgModel *model, const Wanted *wanted, const GPtrArray *host_pools)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    g_autoptr(JsonBuilder) json = json_builder_new_immutable();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "matches");
    json_builder_begin_array(json);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!is_wanted(&rows[i], wanted))
            continue;
        json_builder_begin_object(json);
        add_row(json, &rows[i]);
        add_image_pools(json, pools, rows[i].storage);
        add_host_pools(json, host_pools, &rows[i], wanted);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

char *
vimg_model_match(VimgModel *model, const VimgCaller *caller, const char *name, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    Wanted wanted = {0};

    pools = vimg_primary_is_present(model)
                ? model->primary->pools(caller, model->primary_data, error)
                : g_ptr_array_new();
    if (!pools || !find_wanted(name, pools, &wanted, error))
        return NULL;
    return report(model, &wanted, pools);
}
