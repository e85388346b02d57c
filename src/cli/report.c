/*
 * report.c: JSON that comes from the daemon, and JSON that goes to programs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "cli/text.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/json-guard.h"

JsonObject *
vimg_report_parse(const char *text, GError **error)
{
    g_autoptr(JsonNode) node = NULL;

    if (g_utf8_validate(text, -1, NULL) && !vimg_json_is_tricky(text))
        node = json_from_string(text, NULL);
    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_dup_object(node);
    vimg_throw(error, VIMG_ERROR_RPC, "%s", _("the daemon sent a report that is none"));
    return NULL;
}

/* Adds the number at @text, 1.067 not as 1.0669999999999999.  Returns: how long it is there. */
static gsize
add_number(GString *out, const char *text)
{
    gsize size = strspn(text, "+-.0123456789eE");
    g_autofree char *number = g_strndup(text, size);
    g_autoptr(JsonNode) node = json_from_string(number, NULL);
    char rounded[G_ASCII_DTOSTR_BUF_SIZE];

    if (!node || !strchr(number, '.')) {
        g_string_append_len(out, text, (gssize)size);
        return size;
    }
    g_ascii_formatd(rounded, sizeof(rounded), "%.15g", json_node_get_double(node));
    g_string_append_printf(out, "%s%s", rounded, strpbrk(rounded, ".e") ? "" : ".0");
    return size;
}

char *
vimg_report_format(JsonObject *report)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), report);
    g_autofree char *raw = json_to_string(node, TRUE);
    /* a daemon may have sent anything as a name */
    g_autofree char *text = g_utf8_make_valid(raw, -1);
    g_autoptr(GString) out = g_string_new(NULL);
    gboolean quoted = FALSE, escaped = FALSE;
    const char *next;

    /* such characters stand in strings only, where an escape is the same */
    for (const char *c = text; *c; c = next) {
        gunichar value = g_utf8_get_char(c);

        next = g_utf8_next_char(c);
        quoted ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        if (!quoted && (*c == '-' || g_ascii_isdigit(*c)))
            next = c + add_number(out, c);
        else if (value == '\n' || vimg_text_is_visible(value))
            g_string_append_len(out, c, next - c);
        else if (value < 0x10000)
            g_string_append_printf(out, "\\u%04x", value);
        else
            g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((value - 0x10000) >> 10),
                                   0xdc00 + ((value - 0x10000) & 0x3ff));
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

void
vimg_report_print(JsonObject *report)
{
    g_autofree char *text = vimg_report_format(report);

    puts(text);
}

/* ---- members -------------------------------------------------------------------------------- */

/* The value of @name if it is a plain one. */
static JsonNode *
value_member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

gint64
vimg_report_number(JsonObject *object, const char *name, gint64 fallback)
{
    JsonNode *node = value_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node)
                                                                  : fallback;
}

double
vimg_report_ratio(JsonObject *object, const char *name)
{
    JsonNode *node = value_member(object, name);
    GType type = node ? json_node_get_value_type(node) : G_TYPE_NONE;

    return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE ? json_node_get_double(node) : -1;
}

gboolean
vimg_report_truth(JsonObject *object, const char *name)
{
    JsonNode *node = value_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

const char *
vimg_report_string(JsonObject *object, const char *name)
{
    JsonNode *node = value_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

JsonObject *
vimg_report_object(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static JsonArray *
array_member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

guint
vimg_report_count(JsonObject *object, const char *name)
{
    JsonArray *array = array_member(object, name);

    return array ? json_array_get_length(array) : 0;
}

JsonObject *
vimg_report_element(JsonObject *object, const char *name, guint i)
{
    JsonNode *node = json_array_get_element(array_member(object, name), i);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}
