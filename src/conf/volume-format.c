/*
 * volume-format.c: an image as a <volume> document
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/volume-def.h"
#include "conf/xml.h"

static const char *const states[] = {
    [VIMG_IMAGE_SAVING] = "saving",
    [VIMG_IMAGE_ACTIVE] = "active",
    [VIMG_IMAGE_ERROR] = "error",
};

/* One line of <image:info>, with an attribute if @value is not NULL. */
static void
add_info(GString *out, const char *name, const char *attribute, const char *value, const char *text)
{
    if (!text)
        return;
    g_string_append_printf(out, "    <image:%s", name);
    vimg_xml_add_attribute(out, attribute, value);
    g_string_append_c(out, '>');
    vimg_xml_add_text(out, text);
    g_string_append_printf(out, "</image:%s>\n", name);
}

/* Returns: (transfer full), NULL if there is no such time. */
static char *
format_time(gint64 seconds)
{
    g_autoptr(GDateTime) time = seconds > 0 ? g_date_time_new_from_unix_utc(seconds) : NULL;

    return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
}

static void
add_created(GString *out, gint64 seconds)
{
    g_autofree char *text = format_time(seconds);

    add_info(out, "created", NULL, NULL, text);
}

static void
add_measured(GString *out, const char *name, guint64 bytes, const char *as_of)
{
    g_string_append_printf(
        out, "    <image:%s unit='bytes' asOf='%s'>%" G_GUINT64_FORMAT "</image:%s>\n", name, as_of,
        bytes, name);
}

static void
add_usage(GString *out, const VimgVolumeView *view)
{
    g_autofree char *as_of = format_time(view->as_of);

    if (!as_of)
        return;
    add_measured(out, "unique", view->unique, as_of);
    add_measured(out, "shared", view->shared, as_of);
}

/* What came, of which the storage made something else; the checksum is of that. */
static void
add_uploaded(GString *out, const VimgPluginImage *image)
{
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, image->uploaded_size);

    if (image->uploaded_format && image->state != VIMG_IMAGE_SAVING)
        add_info(out, "uploaded", "format", image->uploaded_format, bytes);
}

/* "UUID/DISK/SNAPSHOT/NAME"; of a storage, so it may be anything. */
static void
add_machine(GString *out, const char *machine)
{
    static const char *const names[] = {"uuid", "disk", "snapshot", "name"};
    g_auto(GStrv) parts = g_strsplit(machine ? machine : "", "/", G_N_ELEMENTS(names));

    if (g_strv_length(parts) != G_N_ELEMENTS(names))
        return;
    g_string_append(out, "    <image:machine");
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        vimg_xml_add_attribute(out, names[i], *parts[i] ? parts[i] : NULL);
    g_string_append(out, "/>\n");
}

static void
format_info(const VimgVolumeView *view, GString *out)
{
    const VimgPluginImage *image = view->image;
    guint state = (guint)image->state;

    g_string_append(out, "  <image:info>\n");
    add_info(out, "state", "reason", image->state == VIMG_IMAGE_ERROR ? image->reason : NULL,
             states[state < G_N_ELEMENTS(states) ? state : VIMG_IMAGE_ERROR]);
    if (image->state == VIMG_IMAGE_SAVING)
        vimg_xml_add_bytes(out, 2, "image:position", image->position);
    add_info(out, "uuid", NULL, NULL, image->uuid);
    add_info(out, "generation", NULL, NULL, image->generation);
    add_created(out, image->created);
    add_info(out, "parent", NULL, NULL, image->parent);
    add_usage(out, view);
    add_uploaded(out, image);
    if (image->checksum_type)
        add_info(out, "checksum", "type", image->checksum_type, image->checksum);
    add_info(out, "os", NULL, NULL, image->os);
    add_info(out, "arch", NULL, NULL, image->arch);
    add_info(out, "description", NULL, NULL, image->description);
    add_machine(out, image->machine);
    g_string_append(out, "  </image:info>\n");
}

char *
vimg_volume_format(const VimgVolumeView *view)
{
    const VimgPluginImage *image = view->image;
    GString *out =
        g_string_new("<volume type='network' xmlns:image='" VIMG_VOLUME_NAMESPACE "'>\n");

    vimg_xml_add_element(out, 1, "name", image->name);
    vimg_xml_add_element(out, 1, "key", view->key);
    vimg_xml_add_bytes(out, 1, "capacity", image->capacity);
    vimg_xml_add_bytes(out, 1, "allocation", image->allocation);
    vimg_xml_add_bytes(out, 1, "physical", image->physical);
    g_string_append(out, "  <target>\n");
    vimg_xml_add_element(out, 2, "path", view->path);
    if (image->format) {
        g_string_append(out, "    <format");
        vimg_xml_add_attribute(out, "type", image->format);
        g_string_append(out, "/>\n");
    }
    g_string_append(out, "  </target>\n");
    format_info(view, out);
    g_string_append(out, "</volume>\n");
    return g_string_free(out, FALSE);
}
