/*
 * volume-create.c: new images, empty or with the content of another
 *
 * The name is taken in memory before the backend is asked, so that two clients cannot both be told
 * that it is theirs; other hosts are the backend's affair.  What fails leaves nothing behind.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/fill.h"
#include "pool/model-private.h"
#include "pool/primary.h"
#include "pool/source-key.h"
#include "util/i18n.h"

#define RAW "raw"

/* ---- documents -------------------------------------------------------------------------- */

static gboolean
check_format(const VimgType *type, const char *format, GError **error)
{
    if (vimg_type_has_format(type, format))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown volume format type %s"),
                      format);
}

/* Images store what they are given, so there is nothing to preallocate; stock's words for others.
 */
static gboolean
check_preallocation(guint flags, const char *format, GError **error)
{
    if (!(flags & VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA) || g_strcmp0(format, "qcow2") == 0)
        return TRUE;
    if (!format || strcmp(format, RAW) == 0)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s",
                          _("metadata preallocation is not supported for raw volumes"));
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s",
                      _("metadata preallocation only available with qcow2"));
}

/* The uuid of the image a <backingStore> names; images are self-contained, it is only a hint. */
static gboolean
find_parent(VimgModel *model, const VimgVolumeDef *def, char **parent, GError **error)
{
    g_auto(VimgVolId) id = {0};

    if (def->parent || !def->backing_path) {
        *parent = g_strdup(def->parent);
        return TRUE;
    }
    if (!vimg_model_vol_by_path(model, def->backing_path, &id, error))
        return FALSE;
    *parent = g_strdup(strrchr(id.key, '/') + 1);
    return TRUE;
}

/*
 * The format that @def and @base, whose content it gets, declare.  Returns: (transfer full); NULL:
 * none, its upload will tell.
 */
static char *
declared_format(const VimgVolumeDef *def, const VimgType *type, const VimgPluginImage *base)
{
    const char *formats = vimg_type_table(type)->formats;

    if (def->format || base)
        return g_strdup(def->format ? def->format : base->format);
    return vimg_type_takes_undeclared(type) ? NULL : g_strndup(formats, strcspn(formats, "|"));
}

/* @base: the image whose content it gets, which stands in for what the document does not say. */
static gboolean
describe(VimgModel *model, const VimgVolumeDef *def, const VimgType *type,
         const VimgPluginImage *base, VimgPluginImage *out, GError **error)
{
    out->format = declared_format(def, type, base);
    if ((out->format && !check_format(type, out->format, error)) ||
        !find_parent(model, def, &out->parent, error))
        return FALSE;
    if (!base && !def->has_capacity && (!out->format || strcmp(out->format, RAW) == 0))
        return vimg_throw(error, VIMG_ERROR_XML, "%s", _("missing capacity element"));
    out->uuid = g_uuid_string_random();
    out->name = g_strdup(def->name);
    out->state = VIMG_IMAGE_SAVING;
    out->capacity = def->has_capacity ? def->capacity : base ? base->capacity : 0;
    out->created = g_get_real_time() / G_USEC_PER_SEC;
    out->checksum_type = g_strdup(def->checksum_type);
    out->checksum = g_strdup(def->checksum);
    out->flatten = def->flatten;
    out->passing = def->passing;
    out->machine = g_strdup(base ? NULL : def->machine); /* a copy is no machine's */
    out->os = g_strdup(def->os ? def->os : base ? base->os : NULL);
    out->arch = g_strdup(def->arch ? def->arch : base ? base->arch : NULL);
    out->description = g_strdup(def->description ? def->description
                                : base           ? base->description
                                                 : NULL);
    return TRUE;
}

static VimgVolumeDef *
take_document(const char *xml, guint flags, const char *function, GError **error)
{
    const guint known = VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA | VIR_STORAGE_VOL_CREATE_REFLINK |
                        VIR_STORAGE_VOL_CREATE_VALIDATE;
    g_autoptr(VimgVolumeDef) def = NULL;

    if (!vimg_flags_check(flags, known, function, error))
        return NULL;
    def = vimg_volume_def_parse(xml, flags & VIR_STORAGE_VOL_CREATE_VALIDATE, error);
    if (!def || !vimg_name_check("volume", def->name, error))
        return NULL;
    return g_steal_pointer(&def);
}

/* ---- empty ------------------------------------------------------------------------------ */

static gboolean
create_image(VimgUse *use, const VimgPluginImage *image, const char *changing, guint64 reserve,
             GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    /* who comes after a client that has gone must not miss what is made for it */
    if (vimg_job_cancelled(use->job))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the client has gone"));
    if (!vimg_store_create(vimg_session_store(use->session), image, &out, &local)) {
        vimg_use_failed(use, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_use_created(use, &out, changing);
    VIMG_LOCK_GUARD(&use->pool->lock);
    use->volume->reserve = reserve;
    return TRUE;
}

gboolean
vimg_model_vol_create(VimgModel *model, const VimgPoolId *id, const char *xml, guint flags,
                      VimgVolId *out, GError **error)
{
    g_autoptr(VimgVolumeDef) def = take_document(xml, flags, "virStorageVolCreateXML", error);
    g_autoptr(VimgPool) pool = def ? vimg_registry_get(model, id, error) : NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};

    if (!pool || !vimg_use_create(pool, def->name, "create", &use, error))
        return FALSE;
    if (!describe(model, def, vimg_store_type(vimg_session_store(use.session)), NULL, &image,
                  error) ||
        !check_preallocation(flags, image.format, error) ||
        !create_image(&use, &image, "create", def->allocation, error))
        return vimg_use_fail(&use, error);
    vimg_use_fill_id(&use, out);
    return TRUE;
}

/* ---- with the content of another -------------------------------------------------------- */

/* What a copy can be: the same bytes, and for raw ones zeros behind them. */
static gboolean
check_copy(const VimgPluginImage *base, VimgPluginImage *image, GError **error)
{
    if (strcmp(image->format, base->format) != 0)
        return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                          _("a copy of volume '%1$s' must have its format '%2$s', not '%3$s'"),
                          base->name, base->format, image->format);
    image->capacity = MAX(image->capacity, base->capacity); /* as in stock */
    if (image->capacity > base->capacity && strcmp(base->format, RAW) != 0)
        return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                          _("a copy of volume '%1$s' must have its capacity of %2$llu bytes"),
                          base->name, VIMG_ULL(base->capacity));
    return TRUE;
}

static gboolean
copy_image(VimgFill *fill, GError **error)
{
    VimgUse *to = fill->to;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    vimg_image_forget_upload(fill->image, fill->base);
    if (!create_image(to, fill->image, "copy", 0, error))
        return FALSE;
    if (!vimg_fill_image(fill, &out, &local)) {
        vimg_use_discard(to, fill->image->uuid);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_use_changed(to, &out);
    return TRUE;
}

/* *@done is FALSE if the storage cannot do it by itself, which is no failure. */
static gboolean
clone_image(VimgFill *fill, gboolean *done, GError **error)
{
    VimgUse *to = fill->to;
    VimgStore *store = vimg_session_store(to->session);
    VimgStore *source = vimg_session_store(fill->from->session);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    *done = FALSE;
    if (fill->image->capacity != fill->base->capacity || !vimg_store_may_clone(store, source))
        return TRUE;
    if (!vimg_fill_check(fill, error))
        return FALSE;
    if (vimg_store_clone(store, source, fill->base->uuid, fill->image, to->job, &out, &local)) {
        vimg_use_created(to, &out, "clone");
        *done = TRUE;
        if (!vimg_fill_sums(fill)) /* else it was counted as it was read */
            vimg_job_add(to->job, out.physical);
        return TRUE;
    }
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT))
        return TRUE;
    vimg_use_failed(to, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* One of another storage that has the very content is found again by that. */
static void
note_source(VimgFill *fill)
{
    g_autofree char *key = vimg_use_key(fill->from);

    if (fill->image->capacity == fill->base->capacity)
        fill->image->copy_of = vimg_source_key_new(key, fill->base->generation);
}

static gboolean
create_from(VimgModel *model, const VimgVolumeDef *def, guint flags, VimgUse *from, VimgUse *to,
            GError **error)
{
    const VimgType *type = vimg_store_type(vimg_session_store(to->session));
    g_autoptr(VimgPoolDef) source = vimg_pool_copy_def(from->pool);
    g_autoptr(VimgPoolDef) pool = vimg_pool_copy_def(to->pool);
    g_auto(VimgPluginImage) base = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    VimgFill fill = {from, to, from->job, to->job, &base, &image};
    gboolean done = FALSE;

    vimg_use_image(from, &base);
    vimg_fill_choose_network(&fill, source, pool);
    if (!describe(model, def, type, &base, &image, error) ||
        !check_preallocation(flags, image.format, error) || !check_copy(&base, &image, error))
        return FALSE;
    if (!vimg_store_can_clone(vimg_session_store(from->session), vimg_session_store(to->session)))
        note_source(&fill);
    else if (!image.parent)
        image.parent = g_strdup(base.uuid);
    if (!clone_image(&fill, &done, error))
        return FALSE;
    return done || copy_image(&fill, error);
}

gboolean
vimg_model_vol_create_from(VimgModel *model, const VimgPoolId *id, const char *xml,
                           const VimgVolId *source, guint flags, VimgVolId *out, GError **error)
{
    g_autoptr(VimgVolumeDef) def = take_document(xml, flags, "virStorageVolCreateXMLFrom", error);
    g_autoptr(VimgPool) pool = def ? vimg_registry_get(model, id, error) : NULL;
    g_auto(VimgUse) from = {0};
    g_auto(VimgUse) to = {0};

    if (!pool || !vimg_use_volume(model, source, VIMG_ACTION_SOURCE, "copy", &from, error))
        return FALSE;
    if (!vimg_use_create(pool, def->name, "clone", &to, error) ||
        !create_from(model, def, flags, &from, &to, error))
        return vimg_use_fail(&from, error) || vimg_use_fail(&to, error);
    vimg_session_sizes(to.session);
    vimg_use_fill_id(&to, out);
    return TRUE;
}

/* ---- of a volume of the host ------------------------------------------------------------ */

static gboolean
share_foreign(VimgForeign *foreign, const char *volume, const VimgPluginImage *image, VimgUse *use,
              gboolean *done, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    /* who asked for it may be gone since; of what is made from here on, who comes after it knows */
    if (vimg_job_cancelled(use->job))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the client has gone"));
    if (!vimg_foreign_make_image(foreign, volume, vimg_session_store(use->session), image, use->job,
                                 &out, done, &local)) {
        vimg_use_failed(use, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (*done)
        vimg_use_created(use, &out, "clone");
    return TRUE;
}

gboolean
vimg_model_vol_of_foreign(VimgModel *model, const VimgPoolId *id, const char *xml,
                          VimgForeign *foreign, const char *volume, guint64 capacity,
                          VimgVolId *out, gboolean *done, GError **error)
{
    g_autoptr(VimgVolumeDef) def = take_document(xml, 0, "virStorageVolCreateXMLFrom", error);
    g_autoptr(VimgPool) pool = def ? vimg_registry_get(model, id, error) : NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};

    *done = FALSE;
    if (!pool || !vimg_use_create(pool, def->name, "clone", &use, error))
        return FALSE;
    if (!describe(model, def, vimg_store_type(vimg_session_store(use.session)), NULL, &image,
                  error))
        return vimg_use_fail(&use, error);
    /* whoever wants more, or a sum that somebody else told, gets a copy */
    if (image.capacity != capacity || image.checksum)
        return TRUE;
    if (!share_foreign(foreign, volume, &image, &use, done, error))
        return vimg_use_fail(&use, error);
    if (!*done)
        return TRUE;
    vimg_session_sizes(use.session);
    vimg_use_fill_id(&use, out);
    return TRUE;
}
