/*
 * backend-pull.c: content from one storage into another of the same backend
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

gboolean
vimg_store_can_pull(VimgStore *store, VimgStore *source)
{
    return store->type == source->type && store->type->table.pull &&
           strcmp(store->id, source->id) != 0;
}

gboolean
vimg_store_pull(VimgStore *store, const char *uuid, VimgStore *source, const char *from,
                const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent,
                VimgPluginImage *out, GError **error)
{
    g_autofree char *name = vimg_store_image_name(store, uuid);
    GError *local = NULL;
    gboolean ok;

    *sent = 0;
    ok = store->type->table.pull(store->handle, uuid, source->handle, from, request, job, sent, out,
                                 &local);
    if (!vimg_type_settle(store->type, ok, local, name, error) ||
        !vimg_store_accept(store, out, uuid, NULL, error))
        return FALSE;
    if (out->state == VIMG_IMAGE_ACTIVE)
        return TRUE;
    vimg_plugin_image_clear(out);
    return vimg_type_nonsense(store->type, name, error, "a copy that is not active");
}

gboolean
vimg_store_same(VimgStore *store, const char *uuid, VimgStore *source, const char *from,
                gboolean *same, GError **error)
{
    g_autofree char *name = vimg_store_image_name(store, uuid);
    GError *local = NULL;
    gboolean ok;

    if (store->type != source->type || !store->type->table.same)
        return vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                          _("the two storages cannot be compared"));
    ok = store->type->table.same(store->handle, uuid, source->handle, from, same, &local);
    return vimg_type_settle(store->type, ok, local, name, error);
}
