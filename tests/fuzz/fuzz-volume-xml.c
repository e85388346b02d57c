/*
 * fuzz-volume-xml.c: volume documents; what is taken must show in a document that says the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/volume-def.h"
#include "fuzz.h"

/* As the image a backend would make of it. */
static char *
show(const VimgVolumeDef *def)
{
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    VimgVolumeView view = {.image = &image, .key = "k", .path = "p"};

    image.name = def->name;
    image.format = def->format;
    image.capacity = def->capacity;
    image.allocation = def->allocation;
    image.parent = def->parent;
    image.checksum_type = def->checksum_type;
    image.checksum = def->checksum;
    image.os = def->os;
    image.arch = def->arch;
    image.description = def->description;
    return vimg_volume_format(&view);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *xml = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(xml, FALSE, &error);
    g_autoptr(VimgVolumeDef) back = NULL;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;

    g_assert((def == NULL) == (error != NULL));
    if (!def)
        return 0;
    once = show(def);
    back = vimg_volume_def_parse(once, TRUE, &error);
    g_assert_no_error(error);
    twice = show(back);
    g_assert_cmpstr(once, ==, twice);
    return 0;
}
