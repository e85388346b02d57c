/*
 * pool-format.c: a definition as a <pool> document, in libvirt's order of elements
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-private.h"

/* Starts "<NAME", for attributes to follow. */
static void
begin(GString *out, guint depth, const char *name)
{
    vimg_xml_indent(out, depth);
    g_string_append_printf(out, "<%s", name);
}

static void
add_uint_attribute(GString *out, const char *name, guint64 value)
{
    g_string_append_printf(out, " %s='%" G_GUINT64_FORMAT "'", name, value);
}

/* An element of one attribute; nothing if @value is NULL. */
static void
add_single(GString *out, guint depth, const char *name, const char *attribute, const char *value)
{
    if (!value)
        return;
    begin(out, depth, name);
    vimg_xml_add_attribute(out, attribute, value);
    g_string_append(out, "/>\n");
}

static void
format_auth(const VimgPoolDef *def, GString *out)
{
    if (!def->auth_type)
        return;
    begin(out, 2, "auth");
    vimg_xml_add_attribute(out, "type", def->auth_type);
    vimg_xml_add_attribute(out, "username", def->auth_user);
    if (!def->secret_usage && !def->secret_uuid) {
        g_string_append(out, "/>\n");
        return;
    }
    g_string_append(out, ">\n");
    add_single(out, 3, "secret", "uuid", def->secret_uuid);
    add_single(out, 3, "secret", "usage", def->secret_usage);
    g_string_append(out, "    </auth>\n");
}

static void
format_source(const VimgPoolDef *def, GString *out)
{
    guint i;

    g_string_append(out, "  <source>\n");
    for (i = 0; i < def->hosts->len; i++) {
        const VimgHostDef *host = g_ptr_array_index(def->hosts, i);

        begin(out, 2, "host");
        vimg_xml_add_attribute(out, "name", host->name);
        if (host->port)
            add_uint_attribute(out, "port", host->port);
        g_string_append(out, "/>\n");
    }
    add_single(out, 2, "device", "path", def->device);
    add_single(out, 2, "dir", "path", def->source_dir);
    vimg_xml_add_element(out, 2, "name", def->source_name);
    format_auth(def, out);
    g_string_append(out, "  </source>\n");
}

/* The depth of "a/b/c" is 2. */
static guint
depth_of(const char *path)
{
    guint depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static const char *
last_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void
begin_element(const VimgElementDef *element, guint depth, GString *out)
{
    guint i;

    vimg_xml_indent(out, 2 + depth);
    g_string_append_printf(out, "<image:%s", last_name(element->path));
    for (i = 0; element->attributes[i]; i += 2)
        vimg_xml_add_attribute(out, element->attributes[i], element->attributes[i + 1]);
}

static void
end_element(const VimgElementDef *element, GString *out)
{
    g_string_append_printf(out, "</image:%s>\n", last_name(element->path));
}

/* Elements come parents first, so the depths alone say who holds whom. */
static void
format_elements(const VimgPoolDef *def, GString *out)
{
    g_autoptr(GPtrArray) open = g_ptr_array_new();
    guint i;

    for (i = 0; i < def->elements->len; i++) {
        const VimgElementDef *element = g_ptr_array_index(def->elements, i);
        const VimgElementDef *next =
            i + 1 < def->elements->len ? g_ptr_array_index(def->elements, i + 1) : NULL;
        guint depth = depth_of(element->path);
        gboolean parent = next && depth_of(next->path) > depth;

        begin_element(element, depth, out);
        if (!*element->text && !parent) {
            g_string_append(out, "/>\n");
        } else {
            g_string_append_c(out, '>');
            vimg_xml_add_text(out, element->text);
            if (parent) {
                g_string_append_c(out, '\n');
                g_ptr_array_add(open, (gpointer)element);
            } else {
                end_element(element, out);
            }
        }
        while (open->len > (next ? depth_of(next->path) : 0)) {
            const VimgElementDef *last = g_ptr_array_steal_index(open, open->len - 1);

            vimg_xml_indent(out, 2 + open->len);
            end_element(last, out);
        }
    }
}

static const char *
yes_no(gboolean value)
{
    return value ? "yes" : "no";
}

static void
format_options(const VimgPoolDef *def, GString *out)
{
    guint i;

    g_string_append(out, "  <image:options>\n");
    vimg_xml_add_element(out, 2, "image:description", def->description);
    vimg_xml_add_element(out, 2, "image:state", def->disabled ? "disabled" : "enabled");
    for (i = 0; i < def->zones->len; i++)
        add_single(out, 2, "image:zone", "name", g_ptr_array_index(def->zones, i));
    add_single(out, 2, "image:dataNetwork", "cidr", def->data_network);
    add_single(out, 2, "image:syncNetwork", "cidr", def->sync_network);
    g_string_append_printf(out, "    <image:reconnect enabled='%s' interval='%u'/>\n",
                           yes_no(def->reconnect), def->reconnect_interval);
    add_single(out, 2, "image:retrieve", "existing", yes_no(def->retrieve_existing));
    begin(out, 2, "image:cleanup");
    add_uint_attribute(out, "keepDeleted", def->keep_deleted);
    add_uint_attribute(out, "keepTemporary", def->keep_temporary);
    vimg_xml_add_attribute(out, "schedule", def->cleanup_schedule);
    g_string_append(out, "/>\n");
    if (def->space_reserve != VIMG_SPACE_DEFAULT || def->space_quota) {
        begin(out, 2, "image:space");
        if (def->space_reserve != VIMG_SPACE_DEFAULT)
            add_uint_attribute(out, "reserve", def->space_reserve);
        if (def->space_quota)
            add_uint_attribute(out, "quota", def->space_quota);
        g_string_append(out, "/>\n");
    }
    format_elements(def, out);
    g_string_append(out, "  </image:options>\n");
}

char *
vimg_pool_def_format(const VimgPoolDef *def, const VimgPoolSizes *sizes)
{
    static const VimgPoolSizes none = {0, 0, 0};
    GString *out = g_string_new("<pool");
    char uuid[VIMG_UUID_TEXT_SIZE];

    if (!sizes)
        sizes = &none;
    vimg_uuid_format(def->uuid, uuid);
    vimg_xml_add_attribute(out, "type", def->type);
    g_string_append(out, " xmlns:image='" VIMG_POOL_NAMESPACE "'>\n");
    vimg_xml_add_element(out, 1, "name", def->name);
    vimg_xml_add_element(out, 1, "uuid", uuid);
    vimg_xml_add_bytes(out, 1, "capacity", sizes->capacity);
    vimg_xml_add_bytes(out, 1, "allocation", sizes->allocation);
    vimg_xml_add_bytes(out, 1, "available", sizes->available);
    format_source(def, out);
    if (def->target_path) {
        g_string_append(out, "  <target>\n");
        vimg_xml_add_element(out, 2, "path", def->target_path);
        g_string_append(out, "  </target>\n");
    }
    format_options(def, out);
    g_string_append(out, "</pool>\n");
    return g_string_free(out, FALSE);
}
