/*
 * json.c: the small JSON documents of a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "json.h"
#include "../throw.h"

/* The parser recurses; ours are two deep. */
#define MAX_DEPTH 16

/*
 * Nested too deep, or with what JSON does not have: the parser takes comments and single quotes, in
 * which brackets and quotes count for nothing.
 */
static gboolean
is_tricky(const guint8 *data, gsize size)
{
    gboolean quoted = FALSE;
    gsize depth = 0;
    gsize i;

    for (i = 0; i < size; i++) {
        if (quoted && data[i] == '\\')
            i++;
        else if (data[i] == '"')
            quoted = !quoted;
        else if (!quoted && (data[i] == '/' || data[i] == '#' || data[i] == '\''))
            return TRUE;
        else if (!quoted && (data[i] == '{' || data[i] == '[') && ++depth > MAX_DEPTH)
            return TRUE;
        else if (!quoted && (data[i] == '}' || data[i] == ']') && depth > 0)
            depth--;
    }
    return FALSE;
}

JsonObject *
vimg_json_parse(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) local = NULL;
    JsonNode *root;

    if (size > VIMG_JSON_MAX_SIZE || is_tricky(data, size) || memchr(data, 0, size) ||
        !g_utf8_validate((const char *)data, (gssize)size, NULL)) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("not a JSON document"));
        return NULL;
    }
    if (!json_parser_load_from_data(parser, (const char *)data, (gssize)size, &local)) {
        throw_error(error, VIMG_ERROR_DAMAGED, "%s", local->message);
        return NULL;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("not a JSON document"));
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}

char *
vimg_json_format(JsonObject *object)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_node_set_object(root, object);
    text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}

const char *
vimg_json_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

JsonObject *
vimg_json_object(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

gboolean
vimg_json_number(JsonObject *object, const char *name, guint64 *out)
{
    JsonNode *node = json_object_get_member(object, name);

    *out = 0;
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 ||
        json_node_get_int(node) < 0)
        return FALSE;
    *out = (guint64)json_node_get_int(node);
    return TRUE;
}

void
vimg_json_set_string(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
}
