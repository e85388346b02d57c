/*
 * backend-report.c: what a backend reports of a cleanup or a verification
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/backend-private.h"
#include "pool/json-scan.h"
#include "util/i18n.h"
#include "util/json-guard.h"

/* What every report may have, in the order people want it. */
static const struct {
    const char *name;
    gboolean counted; /* an array, else a number */
} members[] = {
    {"checked", FALSE}, {"damaged", TRUE}, {"freed", FALSE}, {"removed", TRUE}, {"kept", TRUE},
};

/* Returns: (transfer full) the document @report is, or NULL. */
static JsonNode *
parse(const char *report)
{
    g_autoptr(JsonNode) node = NULL;

    if (strnlen(report, VIMG_REPORT_MAX + 1) > VIMG_REPORT_MAX ||
        !g_utf8_validate(report, -1, NULL) || vimg_json_is_tricky(report))
        return NULL;
    node = json_from_string(report, NULL);
    return node && JSON_NODE_HOLDS_OBJECT(node) ? g_steal_pointer(&node) : NULL;
}

static gboolean
member_ok(JsonObject *object, gsize i)
{
    JsonNode *node = json_object_get_member(object, members[i].name);

    if (!node)
        return TRUE;
    return members[i].counted ? JSON_NODE_HOLDS_ARRAY(node)
                              : json_node_get_value_type(node) == G_TYPE_INT64;
}

static gboolean
check(const char *report)
{
    g_autoptr(JsonNode) node = parse(report);
    gboolean ok = node != NULL;
    gsize i;

    for (i = 0; ok && i < G_N_ELEMENTS(members); i++)
        ok = member_ok(json_node_get_object(node), i);
    return ok;
}

/* What a callback answered, @report and @local (transfer full), as vimg_type_settle() does. */
static char *
settle(VimgStore *store, const char *uuid, char *report, GError *local, GError **error)
{
    g_autofree char *owned = report;
    g_autofree char *name = uuid ? vimg_store_image_name(store, uuid) : NULL;

    if (!vimg_type_settle(store->type, report != NULL, local, name, error))
        return NULL;
    if (check(report))
        return g_steal_pointer(&owned);
    vimg_type_nonsense(store->type, name, error, "a report that is none");
    return NULL;
}

gboolean
vimg_type_can_clean_up(const VimgType *type)
{
    return type->table.cleanup != NULL;
}

char *
vimg_store_cleanup(VimgStore *store, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    GError *local = NULL;
    char *report;

    if (!store->type->table.cleanup) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s", _("storage pool does not support cleanup"));
        return NULL;
    }
    report = store->type->table.cleanup(store->handle, dry_run, job, &local);
    return settle(store, NULL, report, local, error);
}

char *
vimg_store_verify(VimgStore *store, const char *uuid, VimgPluginJob *job, GError **error)
{
    GError *local = NULL;
    char *report;

    if (!store->type->table.verify) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                   _("storage pool does not support verification"));
        return NULL;
    }
    report = store->type->table.verify(store->handle, uuid, job, &local);
    return settle(store, uuid, report, local, error);
}

/* ---- usage ------------------------------------------------------------------------------ */

/* NULL, which nothing can be read from, for @node of anything else. */
static JsonObject *
as_object(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* FALSE if it is no number from 0 on. */
static gboolean
get_number(JsonObject *object, const char *name, gint64 *out)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || json_node_get_value_type(node) != G_TYPE_INT64)
        return FALSE;
    *out = json_node_get_int(node);
    return *out >= 0;
}

static gboolean
read_image(JsonNode *node, const char **uuid, gint64 *unique, gint64 *shared)
{
    JsonObject *object = as_object(node);
    JsonNode *name = object ? json_object_get_member(object, "uuid") : NULL;

    if (!name || json_node_get_value_type(name) != G_TYPE_STRING)
        return FALSE;
    *uuid = json_node_get_string(name);
    return get_number(object, "unique", unique) && get_number(object, "shared", shared);
}

/* FALSE: it is not what a usage has to be. */
static gboolean
each_usage(const char *report, VimgUsageFunc func, gpointer data)
{
    g_autoptr(JsonNode) node = parse(report);
    JsonObject *root = as_object(node);
    JsonNode *images = root ? json_object_get_member(root, "images") : NULL;
    gint64 as_of;
    guint i;

    if (!images || !JSON_NODE_HOLDS_ARRAY(images) || !get_number(root, "as_of", &as_of))
        return FALSE;
    for (i = 0; i < json_array_get_length(json_node_get_array(images)); i++) {
        JsonNode *image = json_array_get_element(json_node_get_array(images), i);
        const char *uuid;
        gint64 unique;
        gint64 shared;

        if (!read_image(image, &uuid, &unique, &shared))
            return FALSE;
        if (func)
            func(uuid, (guint64)unique, (guint64)shared, as_of, data);
    }
    return TRUE;
}

void
vimg_report_each_usage(const char *report, VimgUsageFunc func, gpointer data)
{
    each_usage(report, func, data);
}

char *
vimg_store_usage(VimgStore *store, VimgPluginJob *job, GError **error)
{
    g_autofree char *report = NULL;
    GError *local = NULL;

    if (!store->type->table.usage) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                   _("storage pool cannot tell what its images take"));
        return NULL;
    }
    report = store->type->table.usage(store->handle, job, &local);
    report = settle(store, NULL, report, local, error);
    if (!report || each_usage(report, NULL, NULL))
        return g_steal_pointer(&report);
    vimg_type_nonsense(store->type, NULL, error, "a usage that is none");
    return NULL;
}

char *
vimg_store_diff(VimgStore *store, const char *from, const char *to, VimgPluginJob *job,
                GError **error)
{
    g_autofree char *name = vimg_store_image_name(store, to);
    g_autofree char *report = NULL;
    GError *local = NULL;

    if (!store->type->table.diff) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                   _("storage pool cannot tell in what its images differ"));
        return NULL;
    }
    report = store->type->table.diff(store->handle, from, to, job, &local);
    if (!vimg_type_settle(store->type, report != NULL, local, name, error))
        return NULL;
    if (strnlen(report, VIMG_REPORT_MAX + 1) <= VIMG_REPORT_MAX &&
        g_utf8_validate(report, -1, NULL) && vimg_json_is_object(report))
        return g_steal_pointer(&report);
    vimg_type_nonsense(store->type, name, error, "a report that is none");
    return NULL;
}

/* ---- in short --------------------------------------------------------------------------- */

/* What a backend counts by kind: members {"count": …, "bytes": …}, of which it says what they are.
 */
static void
append_kind(JsonObject *report, const char *name, JsonNode *node, gpointer data)
{
    GString *text = data;
    JsonObject *kind;

    if (!JSON_NODE_HOLDS_OBJECT(node))
        return;
    kind = json_node_get_object(node);
    if (json_object_get_int_member_with_default(kind, "count", 0) == 0)
        return;
    g_string_append_printf(text, "%s%s %" G_GINT64_FORMAT, text->len > 0 ? ", " : "", name,
                           json_object_get_int_member(kind, "count"));
    if (json_object_has_member(kind, "bytes"))
        g_string_append_printf(text, " (%" G_GINT64_FORMAT " bytes)",
                               json_object_get_int_member_with_default(kind, "bytes", 0));
}

char *
vimg_report_summary(const char *report)
{
    g_autoptr(JsonNode) node = parse(report);
    g_autoptr(GString) text = g_string_new(NULL);
    JsonObject *object = json_node_get_object(node);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *name = members[i].name;

        if (!json_object_has_member(object, name))
            continue;
        g_string_append_printf(
            text, "%s%s %" G_GINT64_FORMAT "%s", text->len > 0 ? ", " : "", name,
            members[i].counted ? json_array_get_length(json_object_get_array_member(object, name))
                               : json_object_get_int_member(object, name),
            members[i].counted ? "" : " bytes");
    }
    json_object_foreach_member(object, append_kind, text);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean
vimg_report_totals(const char *report, guint64 *stored, guint64 *plain, guint64 *bad)
{
    g_autoptr(JsonNode) node = parse(report);
    JsonObject *object = node ? json_node_get_object(node) : NULL;
    JsonNode *total = object ? json_object_get_member(object, "total") : NULL;

    if (total && JSON_NODE_HOLDS_OBJECT(total))
        object = json_node_get_object(total);
    if (!object || json_object_get_int_member_with_default(object, "stored", -1) < 0)
        return FALSE;
    *stored = (guint64)json_object_get_int_member(object, "stored");
    *plain = (guint64)MAX(json_object_get_int_member_with_default(object, "plain", 0), 0);
    if (json_object_has_member(object, "bad"))
        *bad = (guint64)MAX(json_object_get_int_member_with_default(object, "bad", 0), 0);
    return TRUE;
}
