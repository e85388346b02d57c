/*
 * primary-in.c: a volume of the host becomes an image of ours
 *
 * It comes by the way of an upload, so it is looked at, cut into slices and refused as one; nothing
 * that is there already is stored again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/cut.h"
#include "host/primary-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define PIECE ((gsize)1024 * 1024) /* bytes taken at once */

virStorageVolPtr
vimg_host_volume_find(virConnectPtr connect, const VimgVolId *source, VimgHostPool *pool,
                      GError **error)
{
    const VimgPoolId id = {.name = source->pool};
    virStorageVolPtr vol;

    if (!vimg_host_pool_find(connect, &id, pool, error))
        return NULL;
    vol = virStorageVolLookupByName(pool->pool, source->name);

    if (!vol) {
        vimg_host_throw(error);
        return NULL;
    }
    if (*source->key && g_strcmp0(virStorageVolGetKey(vol), source->key) != 0) {
        virStorageVolFree(vol);
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching key %s"), source->key);
        return NULL;
    }
    return vol;
}

/* ---- the image -------------------------------------------------------------------------- */

/* What its client says of it, or else the volume.  Returns: (transfer full) */
static char *
document_for(const char *xml, const VimgVolumeDef *def, const char *format, guint64 capacity,
             GError **error)
{
    VimgHostVolume volume = {.capacity =
                                 def->has_capacity ? MAX(def->capacity, capacity) : capacity,
                             .format = def->format ? def->format : format};

    if (def->format && strcmp(def->format, format) != 0 &&
        !(strcmp(def->format, "iso") == 0 && strcmp(format, "raw") == 0)) {
        vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                   _("a copy of volume '%1$s' must have its format '%2$s', not '%3$s'"), def->name,
                   format, def->format);
        return NULL;
    }
    return vimg_host_image_xml(xml, &volume, error);
}

/* ---- its content ------------------------------------------------------------------------ */

static gboolean
take_hole(virStreamPtr stream, VimgTransfer *upload, GError **error)
{
    long long length = 0;

    if (virStreamRecvHole(stream, &length, 0) < 0)
        return vimg_host_throw(error);
    return length <= 0 || vimg_transfer_hole(upload, (guint64)length, error);
}

/* One piece; *@more is FALSE at the end. */
static gboolean
take(virStreamPtr stream, VimgTransfer *upload, gboolean *more, GError **error)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(PIECE);
    gsize have = 0;

    while (have < PIECE) {
        int got = virStreamRecvFlags(stream, (char *)buffer->data + have, PIECE - have,
                                     VIR_STREAM_RECV_STOP_AT_HOLE);

        if (got > 0) {
            have += (gsize)got;
            continue;
        }
        if (have > 0 && !vimg_transfer_write(upload, buffer, 0, have, error))
            return FALSE;
        *more = got == -3;
        return got == 0 || (got == -3 ? take_hole(stream, upload, error) : vimg_host_throw(error));
    }
    *more = TRUE;
    return vimg_transfer_write(upload, buffer, 0, have, error);
}

static gboolean
receive(virConnectPtr connect, virStorageVolPtr vol, VimgTransfer *upload, GError **error)
{
    g_autoptr(virStream) stream = virStreamNew(connect, 0);
    gboolean more = TRUE;

    if (!stream ||
        virStorageVolDownload(vol, stream, 0, 0, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) < 0)
        return vimg_host_throw(error);
    while (more) {
        if (!take(stream, upload, &more, error)) {
            virStreamAbort(stream);
            return FALSE;
        }
    }
    return virStreamFinish(stream) == 0 || vimg_host_throw(error);
}

/* The same where libvirt cannot read it. */
static gboolean
read_foreign(VimgForeignReader *reader, VimgTransfer *upload, GError **error)
{
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_foreign_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        if (data ? !vimg_transfer_write(upload, data, extent.offset, (gsize)extent.length, error)
                 : !vimg_transfer_hole(upload, extent.length, error))
            return FALSE;
    }
}

static gboolean
take_content(virConnectPtr connect, const VimgHostPool *pool, virStorageVolPtr vol,
             VimgTransfer *upload, GError **error)
{
    VimgForeignReader *reader;
    gboolean ok;

    if (!pool->foreign)
        return receive(connect, vol, upload, error);
    reader = vimg_foreign_reader_new(pool->foreign, virStorageVolGetName(vol), upload, error);
    ok = reader && read_foreign(reader, upload, error);
    vimg_foreign_reader_close(reader);
    return ok;
}

/* Whoever cancels it waits for no daemon that does not answer, and hears of no other end. */
static gboolean
take_until_cut(virConnectPtr connect, int line, const VimgHostPool *pool, virStorageVolPtr vol,
               VimgTransfer *upload, GError **error)
{
    g_autoptr(VimgCutter) cutter = vimg_cutter_new(line, upload, error);
    GError *local = NULL;

    if (!cutter)
        return FALSE;
    if (take_content(connect, pool, vol, upload, &local))
        return TRUE;
    if (vimg_transfer_check(upload, error))
        g_propagate_error(error, local);
    else
        g_error_free(local);
    return FALSE;
}

static gboolean
fill_image(VimgHostPrimary *primary, virConnectPtr connect, int line, const VimgHostPool *pool,
           virStorageVolPtr vol, const VimgVolId *image, GError **error)
{
    g_autoptr(VimgTransfer) upload = vimg_model_upload(primary->model, image, 0, 0, TRUE, error);

    return upload && take_until_cut(connect, line, pool, vol, upload, error) &&
           vimg_transfer_finish(upload, error);
}

/* Nothing of what failed stays; while the daemon dies it stays in state saving. */
static void
take_back(VimgHostPrimary *primary, const VimgVolId *image)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_model_vol_delete(primary->model, image, 0, &error))
        vimg_warning("the unfinished image '%s' of pool '%s' stays behind: %s", image->name,
                     image->pool, error->message);
}

/* As its client says, by a flag: nothing is moved, or it fails. */
static gboolean
share(VimgHostPrimary *primary, const VimgHostPool *from, virStorageVolPtr vol, guint64 capacity,
      const VimgPoolId *pool, const char *document, VimgVolId *out, GError **error)
{
    const char *name = virStorageVolGetName(vol);
    gboolean done = FALSE;

    if (from->foreign && !vimg_model_vol_of_foreign(primary->model, pool, document, from->foreign,
                                                    name, capacity, out, &done, error))
        return FALSE;
    return done ||
           vimg_throw(
               error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
               _("volume '%1$s' of pool '%2$s' and an image of pool '%3$s' cannot share their content: clone it without --reflink"),
               name, virStoragePoolGetName(from->pool), pool->name);
}

gboolean
vimg_host_clone_in(VimgHostPrimary *primary, virConnectPtr connect, int line,
                   const VimgPoolId *pool, const char *xml, const VimgVolId *source, guint flags,
                   VimgVolId *out, GError **error)
{
    g_autoptr(VimgVolumeDef) def =
        vimg_volume_def_parse(xml, (flags & VIR_STORAGE_VOL_CREATE_VALIDATE) != 0, error);
    g_auto(VimgHostPool) from = {0};
    g_autoptr(virStorageVol) vol =
        def ? vimg_host_volume_find(connect, source, &from, error) : NULL;
    g_autofree char *format = NULL;
    g_autofree char *document = NULL;
    guint64 capacity, allocation;

    if (!vol || !vimg_host_volume_look(vol, &format, &capacity, &allocation, error))
        return FALSE;
    if (from.kind != VIMG_HOST_FILES) {
        g_free(format);
        format = g_strdup("raw"); /* what else they are said to be is where they lie */
    }
    if (from.kind == VIMG_HOST_OTHERS &&
        !vimg_host_pool_open_foreign(primary, connect, &from, error))
        return FALSE;
    document = document_for(xml, def, format, capacity, error);
    if (document && (flags & VIR_STORAGE_VOL_CREATE_REFLINK))
        return share(primary, &from, vol, capacity, pool, document, out, error);
    if (!document || !vimg_model_vol_create(primary->model, pool, document, 0, out, error))
        return FALSE;
    if (fill_image(primary, connect, line, &from, vol, out, error))
        return TRUE;
    take_back(primary, out);
    vimg_vol_id_clear(out);
    return FALSE;
}
