/*
 * fake-model-secret.c: its answers about secrets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model-private.h"

GPtrArray *
vimg_model_secret_list(VimgModel *model, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_secret_id_free);

    fake_called(NULL, "secret_list(0x%x)", flags);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgSecretId *id = g_new0(VimgSecretId, 1);

        fake_give_secret(TRUE, id);
        id->usage_id[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

gboolean
vimg_model_secret_by_uuid(VimgModel *model, const guint8 *uuid, VimgSecretId *out, GError **error)
{
    return fake_give_secret(fake_called(error, "secret_by_uuid(%s)", fake_uuid_text(uuid)), out);
}

gboolean
vimg_model_secret_by_usage(VimgModel *model, int usage_type, const char *usage_id,
                           VimgSecretId *out, GError **error)
{
    return fake_give_secret(fake_called(error, "secret_by_usage(%d, %s)", usage_type, usage_id),
                            out);
}

gboolean
vimg_model_secret_define(VimgModel *model, const char *xml, guint flags, VimgSecretId *out,
                         GError **error)
{
    return fake_give_secret(fake_called(error, "secret_define(%s, 0x%x)", xml, flags), out);
}

char *
vimg_model_secret_xml(VimgModel *model, const guint8 *uuid, GError **error)
{
    return fake_called(error, "secret_xml(%s)", fake_uuid_text(uuid)) ? g_strdup("<secret/>")
                                                                      : NULL;
}

gboolean
vimg_model_secret_set_value(VimgModel *model, const guint8 *uuid, const void *value, gsize size,
                            GError **error)
{
    return fake_called(error, "secret_set_value(%s, %.*s)", fake_uuid_text(uuid), (int)size,
                       (const char *)value);
}

VimgBuffer *
vimg_model_secret_get_value(VimgModel *model, const guint8 *uuid, GError **error)
{
    VimgBuffer *value;

    if (!fake_called(error, "secret_get_value(%s)", fake_uuid_text(uuid)))
        return NULL;
    value = vimg_buffer_new(5);
    memcpy(value->data, "a\0b c", 5);
    return value;
}

void
vimg_secret_value_free(VimgBuffer *value)
{
    vimg_buffer_unref(value);
}

gboolean
vimg_model_secret_undefine(VimgModel *model, const guint8 *uuid, GError **error)
{
    return fake_called(error, "secret_undefine(%s)", fake_uuid_text(uuid));
}
