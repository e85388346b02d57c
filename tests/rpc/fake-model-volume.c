/*
 * fake-model-volume.c: its answers about volumes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model-private.h"

/* ---- volumes ---------------------------------------------------------------------------- */

gboolean
vimg_model_vol_by_name(VimgModel *model, const VimgPoolId *pool, const char *name, VimgVolId *out,
                       GError **error)
{
    return fake_give_vol(fake_called(error, "vol_by_name(%s, %s)", fake_pool_text(pool), name),
                         out);
}

gboolean
vimg_model_vol_by_key(VimgModel *model, const char *key, VimgVolId *out, GError **error)
{
    return fake_give_vol(fake_called(error, "vol_by_key(%s)", key), out);
}

gboolean
vimg_model_vol_by_path(VimgModel *model, const char *path, VimgVolId *out, GError **error)
{
    return fake_give_vol(fake_called(error, "vol_by_path(%s)", path), out);
}

char *
vimg_model_vol_path(VimgModel *model, const VimgVolId *vol, GError **error)
{
    return fake_called(error, "vol_path(%s)", fake_vol_text(vol)) ? g_strdup("x://p0/v0") : NULL;
}

char *
vimg_model_vol_xml(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    return fake_called(error, "vol_xml(%s, 0x%x)", fake_vol_text(vol), flags)
               ? g_strdup("<volume/>")
               : NULL;
}

gboolean
vimg_model_vol_info(VimgModel *model, const VimgVolId *vol, VimgVolInfo *out, GError **error)
{
    *out = (VimgVolInfo){.type = 3, .capacity = 1ULL << 33, .allocation = 5, .physical = 6};
    return fake_called(error, "vol_info(%s)", fake_vol_text(vol));
}

gboolean
vimg_model_vol_create(VimgModel *model, const VimgPoolId *pool, const char *xml, guint flags,
                      VimgVolId *out, GError **error)
{
    return fake_give_vol(
        fake_called(error, "vol_create(%s, %s, 0x%x)", fake_pool_text(pool), xml, flags), out);
}

gboolean
vimg_model_vol_clone(VimgModel *model, const VimgCaller *caller, const VimgPoolId *pool,
                     const char *xml, const VimgVolId *source, guint flags, VimgVolId *out,
                     GError **error)
{
    return fake_give_vol(fake_called(error, "vol_create_from(%s, %s, %s, 0x%x)",
                                     fake_pool_text(pool), xml, fake_vol_text(source), flags),
                         out);
}

gboolean
vimg_model_vol_delete(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    return fake_called(error, "vol_delete(%s, 0x%x)", fake_vol_text(vol), flags);
}

gboolean
vimg_model_vol_wipe(VimgModel *model, const VimgVolId *vol, guint algorithm, guint flags,
                    GError **error)
{
    return fake_called(error, "vol_wipe(%s, %u, 0x%x)", fake_vol_text(vol), algorithm, flags);
}

gboolean
vimg_model_vol_resize(VimgModel *model, const VimgVolId *vol, guint64 capacity, guint flags,
                      GError **error)
{
    return fake_called(error, "vol_resize(%s, %" G_GUINT64_FORMAT ", 0x%x)", fake_vol_text(vol),
                       capacity, flags);
}

/* ---- streams ---------------------------------------------------------------------------- */

VimgTransfer *
vimg_model_upload(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                  gboolean sparse, GError **error)
{
    return fake_called(error, "upload(%s, %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "%s)",
                       fake_vol_text(vol), offset, length, sparse ? ", sparse" : "")
               ? (VimgTransfer *)&fake_model
               : NULL;
}

VimgTransfer *
vimg_model_download(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                    GError **error)
{
    return fake_called(error, "download(%s, %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ")",
                       fake_vol_text(vol), offset, length)
               ? (VimgTransfer *)&fake_model
               : NULL;
}

/* ---- imports ---------------------------------------------------------------------------- */

char *
vimg_model_vol_import(VimgModel *model, const VimgPoolId *pool, const VimgImportRequest *request,
                      GError **error)
{
    return fake_called(error, "vol_import(%s, %s, %s, %s, %s)", fake_pool_text(pool), request->name,
                       request->url, request->digest ? request->digest : "NULL",
                       request->format ? request->format : "NULL")
               ? g_strdup("{}")
               : NULL;
}
