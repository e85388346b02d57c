/*
 * model-secrets.c: the secrets of the daemon as the model shows them, with their events
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "pool/services.h"

static void
emit(VimgModel *model, VimgEventKind kind, int what, const VimgSecretId *id)
{
    VimgEvent event = {.kind = kind, .event = what, .secret = *id};

    vimg_model_emit(model, &event);
}

void
vimg_model_set_host_secrets(VimgModel *model, VimgHostSecretFunc func, gpointer data)
{
    vimg_services_set_host_secrets(func, data);
}

guint
vimg_model_size(VimgModel *model)
{
    guint n = vimg_secrets_count(model->secrets);
    VIMG_LOCK_GUARD(&model->lock);

    return n + g_hash_table_size(model->by_uuid);
}

GPtrArray *
vimg_model_secret_list(VimgModel *model, guint flags)
{
    return vimg_secrets_list(model->secrets, flags);
}

gboolean
vimg_model_secret_by_uuid(VimgModel *model, const guint8 *uuid, VimgSecretId *out, GError **error)
{
    return vimg_secrets_by_uuid(model->secrets, uuid, out, error);
}

gboolean
vimg_model_secret_by_usage(VimgModel *model, int usage_type, const char *usage_id,
                           VimgSecretId *out, GError **error)
{
    return vimg_secrets_by_usage(model->secrets, usage_type, usage_id, out, error);
}

gboolean
vimg_model_secret_define(VimgModel *model, const char *xml, guint flags, VimgSecretId *out,
                         GError **error)
{
    if (!vimg_secrets_define(model->secrets, xml, flags, out, error))
        return FALSE;
    emit(model, VIMG_EVENT_SECRET_LIFECYCLE, VIR_SECRET_EVENT_DEFINED, out);
    return TRUE;
}

char *
vimg_model_secret_xml(VimgModel *model, const guint8 *uuid, GError **error)
{
    return vimg_secrets_xml(model->secrets, uuid, error);
}

gboolean
vimg_model_secret_set_value(VimgModel *model, const guint8 *uuid, const void *value, gsize size,
                            GError **error)
{
    g_auto(VimgSecretId) id = {0};

    if (!vimg_secrets_set_value(model->secrets, uuid, value, size, &id, error))
        return FALSE;
    emit(model, VIMG_EVENT_SECRET_VALUE, 0, &id);
    return TRUE;
}

VimgBuffer *
vimg_model_secret_get_value(VimgModel *model, const guint8 *uuid, GError **error)
{
    return vimg_secrets_get_value(model->secrets, uuid, FALSE, error);
}

gboolean
vimg_model_secret_undefine(VimgModel *model, const guint8 *uuid, GError **error)
{
    g_auto(VimgSecretId) id = {0};

    if (!vimg_secrets_undefine(model->secrets, uuid, &id, error))
        return FALSE;
    emit(model, VIMG_EVENT_SECRET_LIFECYCLE, VIR_SECRET_EVENT_UNDEFINED, &id);
    return TRUE;
}
