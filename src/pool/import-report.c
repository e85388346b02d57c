/*
 * import-report.c: what a client is told of an import that succeeded
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/import-report.h"

static void
add_text(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    if (value)
        json_builder_add_string_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

static void
add_number(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

char *
vimg_import_report(const VimgPluginImage *image, const char *packed, guint64 resumed_at,
                   guint64 received)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    add_text(builder, "name", image->name);
    add_text(builder, "uuid", image->uuid);
    add_text(builder, "format", image->format);
    add_text(builder, "packed", packed);
    add_number(builder, "capacity", image->capacity);
    add_number(builder, "allocation", image->allocation);
    add_number(builder, "physical", image->physical);
    add_number(builder, "resumed_at", resumed_at);
    add_number(builder, "received", received);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}
