/*
 * kept.h: whether this host has promised an image to somebody
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_KEPT_H
#define VIMG_PLUGIN_KEPT_H

#include "vimg-plugin.h"

/* FALSE where the daemon is older than the question.  Accepts NULL for @services and @host. */
static inline gboolean
host_keeps(const VimgServices *services, VimgPluginHost *host, const char *uuid)
{
    const gsize needed = G_STRUCT_OFFSET(VimgServices, image_kept) + sizeof(gpointer);

    return host && services && services->size >= needed && services->image_kept(host, uuid);
}

#endif
