/*
 * fake-model.c: a model that answers the same to everybody and writes down what it was asked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fake-model-private.h"

const guint8 fake_uuid[VIMG_UUID_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

FakeModel fake_model;

void
fake_model_reset(void)
{
    if (!fake_model.log)
        fake_model.log = g_string_new(NULL);
    g_string_truncate(fake_model.log, 0);
    fake_model.count = 2;
    fake_model.fail = FALSE;
}

gboolean
fake_called(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_vprintf(fake_model.log, format, args);
    va_end(args);
    return !fake_model.fail || vimg_throw(error, VIMG_ERROR_DAMAGED, "broken");
}

const char *
fake_pool_text(const VimgPoolId *pool)
{
    static char text[128];

    g_snprintf(text, sizeof(text), "%s%s", pool->name,
               memcmp(pool->uuid, fake_uuid, VIMG_UUID_SIZE) == 0 ? "" : "!");
    return text;
}

const char *
fake_vol_text(const VimgVolId *vol)
{
    static char text[128];

    g_snprintf(text, sizeof(text), "%s/%s/%s", vol->pool, vol->name, vol->key);
    return text;
}

const char *
fake_uuid_text(const guint8 *uuid)
{
    return memcmp(uuid, fake_uuid, VIMG_UUID_SIZE) == 0 ? "U" : "!";
}

gboolean
fake_give_pool(gboolean ok, VimgPoolId *out)
{
    if (ok) {
        out->name = g_strdup("p0");
        memcpy(out->uuid, fake_uuid, sizeof(out->uuid));
    }
    return ok;
}

gboolean
fake_give_vol(gboolean ok, VimgVolId *out)
{
    if (ok) {
        out->pool = g_strdup("p0");
        out->name = g_strdup("v0");
        out->key = g_strdup("k0");
    }
    return ok;
}

gboolean
fake_give_secret(gboolean ok, VimgSecretId *out)
{
    if (ok) {
        memcpy(out->uuid, fake_uuid, sizeof(out->uuid));
        out->usage_type = 2;
        out->usage_id = g_strdup("u0");
    }
    return ok;
}

void
vimg_pool_id_clear(VimgPoolId *id)
{
    g_clear_pointer(&id->name, g_free);
}

void
vimg_vol_id_clear(VimgVolId *id)
{
    g_clear_pointer(&id->pool, g_free);
    g_clear_pointer(&id->name, g_free);
    g_clear_pointer(&id->key, g_free);
}

void
vimg_secret_id_clear(VimgSecretId *id)
{
    g_clear_pointer(&id->usage_id, g_free);
}

void
vimg_pool_id_free(VimgPoolId *id)
{
    vimg_pool_id_clear(id);
    g_free(id);
}

void
vimg_vol_id_free(VimgVolId *id)
{
    vimg_vol_id_clear(id);
    g_free(id);
}

void
vimg_secret_id_free(VimgSecretId *id)
{
    vimg_secret_id_clear(id);
    g_free(id);
}
