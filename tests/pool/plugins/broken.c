/*
 * broken.c: tables that must be refused; BROKEN says which, and is the type
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plain.h"

static gboolean
broken_hole(gpointer writer, guint64 length, GError **error)
{
    return TRUE;
}

static int
broken_content(gpointer handle, const char *uuid, gboolean saving, GError **error)
{
    return -1;
}

static void
broken_close(gpointer file)
{
}

static const VimgPluginOption without_values[] = {
    {.path = "a", .attribute = "b", .type = VIMG_OPTION_ENUM},
    {0},
};

static VimgBackend broken = {
    VIMG_BACKEND_HEADER,
    .type = BROKEN,
    .formats = "raw",
    PLAIN_REQUIRED,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    if (strcmp(BROKEN, "silent") == 0)
        return NULL;
    if (strcmp(BROKEN, "misnamed") == 0)
        broken.type = "other";
    if (strcmp(BROKEN, "noprobe") == 0)
        broken.probe = NULL;
    if (strcmp(BROKEN, "halfwriter") == 0)
        broken.writer_hole = broken_hole;
    if (strcmp(BROKEN, "bothways") == 0)
        broken.content = broken_content;
    if (strcmp(BROKEN, "halffiles") == 0)
        broken.file_close = broken_close;
    if (strcmp(BROKEN, "badformats") == 0)
        broken.formats = "raw||iso";
    if (strcmp(BROKEN, "badoptions") == 0)
        broken.options = without_values;
    if (strcmp(BROKEN, "nosize") == 0)
        broken.size = 0;
    if (strcmp(BROKEN, "noabi") == 0)
        broken.abi = 0;
    return &broken;
}
