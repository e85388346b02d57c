/*
 * capabilities.c: which types there are, what they take, and where storages can be found
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/xml.h"
#include "pool/model-private.h"
#include "util/i18n.h"

#define NAMESPACE "urn:virtimage:capabilities:1"

/* ---- capabilities ----------------------------------------------------------------------- */

static const struct {
    VimgSourceFields field;
    const char *name;
} source_names[] = {
    {VIMG_SOURCE_DIR, "dir"},   {VIMG_SOURCE_HOST, "host"},     {VIMG_SOURCE_HOSTS, "hosts"},
    {VIMG_SOURCE_NAME, "name"}, {VIMG_SOURCE_DEVICE, "device"}, {VIMG_SOURCE_AUTH, "auth"},
};

static const char *const option_types[] = {
    [VIMG_OPTION_STRING] = "string",
    [VIMG_OPTION_BOOL] = "bool",
    [VIMG_OPTION_UINT] = "uint",
    [VIMG_OPTION_ENUM] = "enum",
};

static void
add_uint_attribute(GString *out, const char *name, guint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    vimg_xml_add_attribute(out, name, text);
}

static void
add_sources(GString *out, const VimgBackend *table)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(source_names); i++) {
        gboolean required = (table->source_required & source_names[i].field) != 0;

        if (!required && !(table->source_allowed & source_names[i].field))
            continue;
        vimg_xml_indent(out, 3);
        g_string_append(out, "<image:source");
        vimg_xml_add_attribute(out, "name", source_names[i].name);
        vimg_xml_add_attribute(out, "required", required ? "yes" : "no");
        if (source_names[i].field == VIMG_SOURCE_AUTH)
            vimg_xml_add_attribute(out, "type", table->auth_type);
        g_string_append(out, "/>\n");
    }
}

static void
add_options(GString *out, const VimgBackend *table)
{
    const VimgPluginOption *option;

    for (option = table->options; option && option->path; option++) {
        vimg_xml_indent(out, 3);
        g_string_append(out, "<image:option");
        vimg_xml_add_attribute(out, "element", option->path);
        vimg_xml_add_attribute(out, "attribute", option->attribute);
        vimg_xml_add_attribute(out, "type", option_types[option->type]);
        if (option->type == VIMG_OPTION_UINT) {
            add_uint_attribute(out, "min", option->min);
            add_uint_attribute(out, "max", option->max);
        }
        if (option->type == VIMG_OPTION_ENUM)
            vimg_xml_add_attribute(out, "values", option->values);
        vimg_xml_add_attribute(out, "default", option->fallback);
        g_string_append(out, "/>\n");
    }
}

static void
add_formats(GString *out, const VimgBackend *table)
{
    g_auto(GStrv) formats = g_strsplit(table->formats, "|", -1);
    char **format;

    vimg_xml_indent(out, 2);
    g_string_append(out, "<volOptions>\n");
    vimg_xml_indent(out, 3);
    g_string_append(out, "<defaultFormat");
    vimg_xml_add_attribute(out, "type", formats[0]);
    g_string_append(out, "/>\n");
    vimg_xml_indent(out, 3);
    g_string_append(out, "<enum name='targetFormatType'>\n");
    for (format = formats; *format; format++)
        vimg_xml_add_element(out, 4, "value", *format);
    vimg_xml_indent(out, 3);
    g_string_append(out, "</enum>\n");
    vimg_xml_indent(out, 2);
    g_string_append(out, "</volOptions>\n");
}

static void
add_type(GString *out, const VimgTypeStatus *status)
{
    const VimgBackend *table = status->loaded ? vimg_type_table(status->loaded) : NULL;

    vimg_xml_indent(out, 1);
    g_string_append(out, "<pool");
    vimg_xml_add_attribute(out, "type", status->type);
    vimg_xml_add_attribute(out, "supported", table ? "yes" : "no");
    g_string_append(out, ">\n");
    if (table)
        add_formats(out, table);
    vimg_xml_indent(out, 2);
    g_string_append(out, "<image:backend");
    vimg_xml_add_attribute(out, "description", table ? table->description : NULL);
    vimg_xml_add_attribute(out, "reason", table ? NULL : status->reason);
    g_string_append(out, ">\n");
    if (table) {
        add_sources(out, table);
        add_options(out, table);
    }
    vimg_xml_indent(out, 2);
    g_string_append(out, "</image:backend>\n");
    vimg_xml_indent(out, 1);
    g_string_append(out, "</pool>\n");
}

char *
vimg_model_pool_capabilities(VimgModel *model, GError **error)
{
    g_autoptr(GPtrArray) types = vimg_backends_list(model->backends);
    GString *out = g_string_new("<storagepoolCapabilities xmlns:image='" NAMESPACE "'>\n");
    guint i;

    for (i = 0; i < types->len; i++)
        add_type(out, g_ptr_array_index(types, i));
    g_string_append(out, "</storagepoolCapabilities>\n");
    return g_string_free(out, FALSE);
}

/* ---- finding ---------------------------------------------------------------------------- */

/* A client gives a <source> alone; as a pool it can be parsed like any other. */
static VimgPoolDef *
parse_spec(const char *type, const char *spec, GError **error)
{
    g_autoptr(GString) xml = g_string_new("<pool");
    g_autoptr(xmlDoc) doc = NULL;
    xmlBuffer *buffer;

    vimg_xml_add_attribute(xml, "type", type);
    g_string_append(xml, "><name>find</name>");
    if (spec && *spec) {
        doc = vimg_xml_parse(spec, "(storage_source_specification)", "source", NULL, error);
        if (!doc)
            return NULL;
        buffer = xmlBufferCreate();
        if (xmlNodeDump(buffer, doc, xmlDocGetRootElement(doc), 0, 0) > 0)
            g_string_append(xml, (const char *)xmlBufferContent(buffer));
        xmlBufferFree(buffer);
    }
    g_string_append(xml, "</pool>");
    return vimg_pool_def_parse(xml->str, FALSE, error);
}

static char *
find_at(VimgModel *model, const VimgType *type, const VimgPoolDef *def, GError **error)
{
    g_autoptr(VimgPoolView) view = vimg_pool_view(model, def, NULL);

    if (!vimg_pool_check_path(def, error))
        return NULL;
    return vimg_type_find_sources(type, view, error);
}

/* What is no storage, or cannot be read, is simply not found. */
static void
search_dir(VimgModel *model, const VimgType *type, VimgPoolDef *def, const char *path, GString *out)
{
    g_autofree char *found = NULL;

    g_free(def->source_dir);
    def->source_dir = g_strdup(path);
    found = find_at(model, type, def, NULL);
    if (found)
        g_string_append(out, found);
}

/* Whether @def leaves the place open, for a type whose place is a directory of this host. */
static gboolean
is_anywhere(const VimgType *type, const VimgPoolDef *def)
{
    const VimgBackend *table = vimg_type_table(type);

    return ((table->source_required | table->source_allowed) & VIMG_SOURCE_DIR) &&
           def->hosts->len == 0 && !vimg_pool_def_dir(def);
}

char *
vimg_model_find_sources(VimgModel *model, const char *type_name, const char *spec, guint flags,
                        GError **error)
{
    const VimgType *type = NULL;
    g_autoptr(VimgPoolDef) def = NULL;
    g_autoptr(GString) out = g_string_new("<sources>\n");
    g_autofree char *found = NULL;
    gsize i;

    if (!vimg_flags_check(flags, 0, "virConnectFindStoragePoolSources", error))
        return NULL;
    type = vimg_backends_get(model->backends, type_name, error);
    def = type ? parse_spec(type_name, spec, error) : NULL;
    if (!def)
        return NULL;
    if (!vimg_type_table(type)->find_sources) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT,
                   _("pool type '%s' does not support source discovery"), type_name);
        return NULL;
    }
    if (is_anywhere(type, def)) {
        for (i = 0; model->search_paths && model->search_paths[i]; i++)
            search_dir(model, type, def, model->search_paths[i], out);
    } else {
        found = find_at(model, type, def, error);
        if (!found)
            return NULL;
        g_string_append(out, found);
    }
    g_string_append(out, "</sources>\n");
    return g_string_free(g_steal_pointer(&out), FALSE);
}
