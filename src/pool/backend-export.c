/*
 * backend-export.c: what exports ask of a storage beside reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

static gboolean
settle(VimgStore *store, const char *uuid, gboolean ok, GError *local, GError **error)
{
    g_autofree char *name = ok ? NULL : vimg_store_image_name(store, uuid);

    return vimg_type_settle(store->type, ok, local, name, error);
}

gboolean
vimg_store_zeros(VimgStore *store, const char *uuid, VimgZerosSink sink, gpointer data,
                 VimgPluginJob *job, gboolean *known, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    *known = store->type->table.zeros != NULL;
    if (!*known)
        return TRUE;
    ok = store->type->table.zeros(store->handle, uuid, sink, data, job, &local);
    return settle(store, uuid, ok, local, error);
}

gboolean
vimg_store_keep(VimgStore *store, const char *uuid, const char *id, gint64 until, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.keep)
        return TRUE;
    ok = store->type->table.keep(store->handle, uuid, id, until, &local);
    return settle(store, uuid, ok, local, error);
}

char *
vimg_store_direct_url(VimgStore *store, const char *uuid, gint64 until, VimgPluginJob *job,
                      GError **error)
{
    GError *local = NULL;
    char *url;

    if (!store->type->table.direct_url) {
        vimg_throw(
            error, VIMG_ERROR_NO_SUPPORT, "%s",
            _("the storage gives out no URLs of its own: export the image without --direct"));
        return NULL;
    }
    url = store->type->table.direct_url(store->handle, uuid, until, job, &local);
    if (settle(store, uuid, url != NULL, local, error))
        return url;
    g_free(url);
    return NULL;
}
