/*
 * capabilities.c: which types there are, and what they take
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/xml.h"
#include "pool/model-private.h"
#include "util/i18n.h"

#define NAMESPACE "urn:virtimage:capabilities:1"
#define ROOT "storagepoolCapabilities"
#define END "</" ROOT ">\n"

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
    GString *out = g_string_new("<" ROOT " xmlns:image='" NAMESPACE "'>\n");
    guint i;

    for (i = 0; i < types->len; i++)
        add_type(out, g_ptr_array_index(types, i));
    g_string_append(out, END);
    return g_string_free(out, FALSE);
}

/* ---- with those of the host ----------------------------------------------------------------- */

static gboolean
add_node(GString *out, xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    gboolean ok = xmlNodeDump(buffer, node->doc, node, 1, 0) >= 0;

    if (ok) {
        vimg_xml_indent(out, 1);
        g_string_append_len(out, (const char *)xmlBufferContent(buffer), xmlBufferLength(buffer));
        g_string_append_c(out, '\n');
    }
    xmlBufferFree(buffer);
    return ok;
}

char *
vimg_capabilities_merge(const char *ours, const char *host, GError **error)
{
    g_autoptr(xmlDoc) doc = vimg_xml_parse(host, "(storage_pool_capabilities)", ROOT, NULL, error);
    g_autoptr(GString) out = g_string_new(ours);

    if (!doc)
        return NULL;
    if (g_str_has_suffix(out->str, END))
        g_string_truncate(out, out->len - strlen(END));
    for (xmlNode *node = vimg_xml_first(xmlDocGetRootElement(doc)); node;
         node = vimg_xml_next(node)) {
        if (vimg_xml_is(node, NULL, "pool") && !add_node(out, node)) {
            vimg_throw(error, VIMG_ERROR_INTERNAL, "out of memory");
            return NULL;
        }
    }
    g_string_append(out, END);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
