/*
 * foreign.c: the content of volumes that only a backend can fill or read, for clones
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"

/* What of a key is found nowhere: ours first, then whoever knows the host's.  (transfer full) */
static VimgBuffer *
ask_host(const VimgPoolDef *def, VimgForeignSecret secret, gpointer data, GError **error)
{
    const VimgServices *services = vimg_services_get();
    GError *local = NULL;
    VimgBuffer *ours;

    if (!def->secret_usage && !def->secret_uuid)
        return NULL;
    ours = services->secret_get(def->auth_type, def->secret_usage, def->secret_uuid, &local);
    if (ours) {
        services->secret_free(ours);
        return NULL; /* the backend asks for it itself */
    }
    if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SECRET)) {
        g_propagate_error(error, local);
        return NULL;
    }
    g_error_free(local);
    return secret(def->secret_usage, def->secret_uuid, data, error);
}

gboolean
vimg_model_foreign_open(VimgModel *model, const char *pool_type, const char *xml,
                        VimgForeignSecret secret, gpointer data, VimgForeign **out, GError **error)
{
    const VimgType *type = vimg_backends_foreign(model->backends, pool_type);
    g_autoptr(VimgPoolDef) def = type ? vimg_pool_def_parse(xml, FALSE, error) : NULL;
    g_autoptr(VimgPoolView) view = NULL;
    GError *local = NULL;
    VimgBuffer *value;

    *out = NULL;
    if (!type)
        return TRUE;
    if (!def)
        return FALSE;
    value = ask_host(def, secret, data, &local);
    if (local) {
        g_propagate_error(error, local);
        return FALSE;
    }
    view = vimg_pool_view_new(def, NULL, NULL);
    vimg_pool_view_set_secret(view, value);
    *out = vimg_type_foreign_open(type, view, error);
    if (value)
        vimg_secret_value_free(value);
    return *out != NULL;
}
