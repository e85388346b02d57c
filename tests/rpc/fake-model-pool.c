/*
 * fake-model-pool.c: its answers about pools
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model-private.h"

/* ---- pools ------------------------------------------------------------------------------ */

guint
vimg_model_size(VimgModel *model)
{
    return 2;
}

GPtrArray *
vimg_model_pool_list(VimgModel *model, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_id_free);

    fake_called(NULL, "pool_list(0x%x)", flags);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgPoolId *id = g_new0(VimgPoolId, 1);

        fake_give_pool(TRUE, id);
        id->name[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

gboolean
vimg_model_pool_by_name(VimgModel *model, const char *name, VimgPoolId *out, GError **error)
{
    return fake_give_pool(fake_called(error, "pool_by_name(%s)", name), out);
}

gboolean
vimg_model_pool_by_uuid(VimgModel *model, const guint8 *uuid, VimgPoolId *out, GError **error)
{
    return fake_give_pool(fake_called(error, "pool_by_uuid(%s)", fake_uuid_text(uuid)), out);
}

gboolean
vimg_model_pool_by_volume(VimgModel *model, const VimgVolId *vol, VimgPoolId *out, GError **error)
{
    return fake_give_pool(fake_called(error, "pool_by_volume(%s)", fake_vol_text(vol)), out);
}

gboolean
vimg_model_pool_by_target_path(VimgModel *model, const char *path, VimgPoolId *out, GError **error)
{
    return fake_give_pool(fake_called(error, "pool_by_target_path(%s)", path), out);
}

gboolean
vimg_model_pool_define(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                       GError **error)
{
    return fake_give_pool(fake_called(error, "pool_define(%s, 0x%x)", xml, flags), out);
}

gboolean
vimg_model_pool_create_xml(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                           GError **error)
{
    return fake_give_pool(fake_called(error, "pool_create_xml(%s, 0x%x)", xml, flags), out);
}

gboolean
vimg_model_pool_create(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return fake_called(error, "pool_create(%s, 0x%x)", fake_pool_text(pool), flags);
}

gboolean
vimg_model_pool_build(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return fake_called(error, "pool_build(%s, 0x%x)", fake_pool_text(pool), flags);
}

gboolean
vimg_model_pool_destroy(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return fake_called(error, "pool_destroy(%s)", fake_pool_text(pool));
}

gboolean
vimg_model_pool_delete(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return fake_called(error, "pool_delete(%s, 0x%x)", fake_pool_text(pool), flags);
}

gboolean
vimg_model_pool_undefine(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return fake_called(error, "pool_undefine(%s)", fake_pool_text(pool));
}

gboolean
vimg_model_pool_refresh(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return fake_called(error, "pool_refresh(%s, 0x%x)", fake_pool_text(pool), flags);
}

gboolean
vimg_model_pool_info(VimgModel *model, const VimgPoolId *pool, VimgPoolInfo *out, GError **error)
{
    *out = (VimgPoolInfo){.state = 2, .capacity = 1ULL << 40, .allocation = 7, .available = 9};
    return fake_called(error, "pool_info(%s)", fake_pool_text(pool));
}

char *
vimg_model_pool_xml(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return fake_called(error, "pool_xml(%s, 0x%x)", fake_pool_text(pool), flags)
               ? g_strdup("<pool/>")
               : NULL;
}

gboolean
vimg_model_pool_get_autostart(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                              GError **error)
{
    *out = TRUE;
    return fake_called(error, "pool_get_autostart(%s)", fake_pool_text(pool));
}

gboolean
vimg_model_pool_set_autostart(VimgModel *model, const VimgPoolId *pool, gboolean autostart,
                              GError **error)
{
    return fake_called(error, "pool_set_autostart(%s, %d)", fake_pool_text(pool), autostart);
}

gboolean
vimg_model_pool_is_active(VimgModel *model, const VimgPoolId *pool, gboolean *out, GError **error)
{
    *out = TRUE;
    return fake_called(error, "pool_is_active(%s)", fake_pool_text(pool));
}

gboolean
vimg_model_pool_is_persistent(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                              GError **error)
{
    *out = TRUE;
    return fake_called(error, "pool_is_persistent(%s)", fake_pool_text(pool));
}

GPtrArray *
vimg_model_pool_volumes(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    GPtrArray *list;

    if (!fake_called(error, "pool_volumes(%s)", fake_pool_text(pool)))
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_vol_id_free);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgVolId *id = g_new0(VimgVolId, 1);

        fake_give_vol(TRUE, id);
        id->name[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

char *
vimg_model_pool_capabilities(VimgModel *model, GError **error)
{
    return fake_called(error, "pool_capabilities()") ? g_strdup("<caps/>") : NULL;
}

char *
vimg_model_find_sources(VimgModel *model, const char *type, const char *spec, guint flags,
                        GError **error)
{
    return fake_called(error, "find_sources(%s, %s, 0x%x)", type, spec ? spec : "NULL", flags)
               ? g_strdup("<sources/>")
               : NULL;
}

/* ---- edited while it runs ----------------------------------------------------------------- */

gboolean
vimg_model_pool_enable(VimgModel *model, const VimgPoolId *pool, gboolean enabled, GError **error)
{
    return fake_called(error, "pool_enable(%s, %d)", fake_pool_text(pool), enabled);
}

gboolean
vimg_model_pool_describe(VimgModel *model, const VimgPoolId *pool, const char *description,
                         GError **error)
{
    return fake_called(error, "pool_describe(%s, %s)", fake_pool_text(pool),
                       description ? description : "NULL");
}

gboolean
vimg_model_pool_rename(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return fake_called(error, "pool_rename(%s, %s)", fake_pool_text(pool), name);
}

gboolean
vimg_model_host_key_accept(VimgModel *model, const VimgPoolId *pool, const char *fingerprint,
                           GError **error)
{
    return fake_called(error, "host_key_accept(%s, %s)", fake_pool_text(pool), fingerprint);
}

char *
vimg_model_match(VimgModel *model, const VimgCaller *caller, const char *name, GError **error)
{
    fake_called(error, "match(%s)", name ? name : "-");
    return g_strdup("{}");
}

gboolean
vimg_model_vol_hold(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                    const VimgVolId *source, GError **error)
{
    return fake_called(error, "vol_hold(%s, %s, %s, %s)", image->pool, image->name, source->pool,
                       source->name);
}

char *
vimg_model_vol_fill(VimgModel *model, const VimgCaller *caller, const VimgVolId *image,
                    const VimgVolId *source, GError **error)
{
    return fake_called(error, "vol_fill(%s, %s, %s, %s)", image->pool, image->name, source->pool,
                       source->name)
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_zone_list(VimgModel *model)
{
    fake_called(NULL, "zone_list()");
    return g_strdup("{}");
}

gboolean
vimg_model_zone_attach(VimgModel *model, const VimgPoolId *pool, const char *zone, GError **error)
{
    return fake_called(error, "zone_attach(%s, %s)", fake_pool_text(pool), zone);
}

gboolean
vimg_model_zone_detach(VimgModel *model, const VimgPoolId *pool, const char *zone, GError **error)
{
    return fake_called(error, "zone_detach(%s, %s)", fake_pool_text(pool), zone);
}

gboolean
vimg_model_zone_delete(VimgModel *model, const char *zone, const char *const *uuids, gsize n,
                       GError **error)
{
    return fake_called(error, "zone_delete(%s, %u: %s)", zone, (guint)n, n > 0 ? uuids[n - 1] : "");
}

/* ---- synchronisation -------------------------------------------------------------------- */

static char *
count_text(const char *const *texts, gsize n)
{
    return n > 0 ? g_strdup_printf("%u %s", (guint)n, texts[n - 1]) : g_strdup("0");
}

char *
vimg_model_pool_sync(VimgModel *model, const VimgPoolId *pool, const VimgPoolId *source,
                     const VimgSyncRequest *request, GError **error)
{
    g_autofree char *images = count_text(request->images, request->n_images);
    g_autofree char *deletes = count_text(request->deletes, request->n_deletes);
    g_autofree char *from = g_strdup(fake_pool_text(source));

    return fake_called(error, "pool_sync(%s, %s, %s, %s, %" G_GUINT64_FORMAT ")",
                       fake_pool_text(pool), from, images, deletes, request->bandwidth)
               ? g_strdup("{}")
               : NULL;
}
