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

#include "pool/copy.h"
#include "pool/model-private.h"
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

/*
 * What a copy is compared with.  A checksum that the source has itself was compared when that was
 * sealed, and is not one of the zeros behind what was uploaded of a raw image.
 */
static VimgPluginImage
expected(const VimgPluginImage *base, const VimgPluginImage *image)
{
    VimgPluginImage declared = *image;

    if (g_strcmp0(base->checksum, image->checksum) == 0)
        declared.checksum = NULL;
    return declared;
}

/* The source was judged when it was sealed, but perhaps not by us: what passes is judged again. */
static gboolean
copy_into(VimgUse *from, VimgUse *to, const VimgPluginImage *base, VimgPluginImage *image,
          VimgWriter *writer, GError **error)
{
    VimgPluginImage declared = expected(base, image);
    g_autoptr(VimgReader) reader = vimg_reader_open(vimg_session_store(from->session), base->uuid,
                                                    0, base->physical, from->job, error);
    g_autoptr(VimgIntake) intake =
        reader ? vimg_intake_new(&declared, writer, to->job, 0, TRUE, error) : NULL;

    if (!intake)
        return FALSE;
    vimg_job_progress(from->job, "copy", 0, base->physical);
    vimg_job_progress(to->job, "copy", 0, base->physical);
    return vimg_copy_extents(reader, intake, from->job, to->job, error) &&
           vimg_intake_judge(intake, vimg_store_type(vimg_session_store(to->session)), image,
                             error) &&
           (!writer || vimg_intake_pad(intake, image, error));
}

static gboolean
copy_content(VimgUse *from, VimgUse *to, const VimgPluginImage *base, VimgPluginImage *image,
             VimgPluginImage *out, GError **error)
{
    VimgWriteRequest request = {.size = sizeof(request), .reserve = base->allocation};
    VimgWriter *writer =
        vimg_writer_open(vimg_session_store(to->session), image->uuid, &request, to->job, error);

    if (!writer)
        return FALSE;
    if (copy_into(from, to, base, image, writer, error))
        return vimg_writer_finish(writer, TRUE, image, out, error);
    vimg_writer_abort(writer);
    return FALSE;
}

static gboolean
copy_image(VimgUse *from, VimgUse *to, const VimgPluginImage *base, VimgPluginImage *image,
           GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    if (!create_image(to, image, "copy", 0, error))
        return FALSE;
    if (!copy_content(from, to, base, image, &out, &local)) {
        vimg_use_discard(to, image->uuid);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_use_changed(to, &out);
    return TRUE;
}

/*
 * No data passes by in a clone, which is as good as its source: only for a checksum that is new the
 * source is read beforehand.
 */
static gboolean
check_source(VimgUse *from, VimgUse *to, const VimgPluginImage *base, VimgPluginImage *image,
             GError **error)
{
    VimgPluginImage declared = expected(base, image);

    return !declared.checksum || copy_into(from, to, base, image, NULL, error);
}

/* *@done is FALSE if the storage cannot do it by itself, which is no failure. */
static gboolean
clone_image(VimgUse *from, VimgUse *to, const VimgPluginImage *base, VimgPluginImage *image,
            gboolean *done, GError **error)
{
    VimgStore *store = vimg_session_store(to->session);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    *done = FALSE;
    if (image->capacity != base->capacity ||
        !vimg_store_can_clone(vimg_session_store(from->session), store))
        return TRUE;
    if (!check_source(from, to, base, image, error))
        return FALSE;
    if (vimg_store_clone(store, base->uuid, image, to->job, &out, &local)) {
        vimg_use_created(to, &out, "clone");
        *done = TRUE;
        if (!expected(base, image).checksum) /* else it was counted as it was read */
            vimg_job_add(to->job, out.physical);
        return TRUE;
    }
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT))
        return TRUE;
    vimg_use_failed(to, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
create_from(VimgModel *model, const VimgVolumeDef *def, guint flags, VimgUse *from, VimgUse *to,
            GError **error)
{
    const VimgType *type = vimg_store_type(vimg_session_store(to->session));
    g_auto(VimgPluginImage) base = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    gboolean done = FALSE;

    vimg_use_image(from, &base);
    if (!describe(model, def, type, &base, &image, error) ||
        !check_preallocation(flags, image.format, error) || !check_copy(&base, &image, error))
        return FALSE;
    if (!image.parent &&
        vimg_store_can_clone(vimg_session_store(from->session), vimg_session_store(to->session)))
        image.parent = g_strdup(base.uuid);
    if (!clone_image(from, to, &base, &image, &done, error))
        return FALSE;
    return done || copy_image(from, to, &base, &image, error);
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
