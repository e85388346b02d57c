/*
 * transfer.c: one upload or download, between a stream and a backend
 *
 * What seals an image is decided here: a stream of no announced length that is finished, or a raw
 * image whose last byte came.  Whatever else ends an upload leaves the image saving, with all that
 * is durable, so that the same upload can be repeated.  A transfer lets go of everything it holds
 * before its last call returns, so a client that was told the end finds nothing busy.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "pool/transfer-digest.h"
#include "util/i18n.h"
#include "util/log.h"

struct _VimgTransfer {
    VimgUse use;
    VimgWriter *writer;    /* an upload */
    VimgReader *reader;    /* a download */
    VimgDigest *digest;    /* an upload of a whole image that must have a checksum */
    VimgPluginImage image; /* as it was at the beginning */
    gboolean upload;
    gboolean raw;
    guint64 offset;
    guint64 length; /* 0: not announced */
    guint64 done;   /* bytes that came or went */
    gboolean ended; /* holds nothing any more */

    VimgMutex lock;
    gboolean cancelled; /* under lock */
    gboolean live;      /* under lock: use.job may be touched */
};

static VimgTransfer *
transfer_new(guint64 offset, guint64 length)
{
    VimgTransfer *transfer = g_new0(VimgTransfer, 1);

    vimg_mutex_init(&transfer->lock);
    transfer->image.size = sizeof(transfer->image);
    transfer->offset = offset;
    transfer->length = length;
    return transfer;
}

/* After vimg_use_volume() */
static void
set_live(VimgTransfer *transfer, gboolean live)
{
    VIMG_LOCK_GUARD(&transfer->lock);
    transfer->live = live;
}

static gboolean
check_going(VimgTransfer *transfer, GError **error)
{
    gboolean cancelled;

    vimg_mutex_lock(&transfer->lock);
    cancelled = transfer->cancelled;
    vimg_mutex_unlock(&transfer->lock);
    if (cancelled || (!transfer->ended && vimg_job_cancelled(transfer->use.job)))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
    return TRUE;
}

/* Sizes follow, then everyone may have the volume again, then the world hears of it. */
static void
end(VimgTransfer *transfer)
{
    g_autoptr(VimgPool) pool = NULL;
    VimgModel *model;

    if (transfer->ended)
        return;
    transfer->ended = TRUE;
    set_live(transfer, FALSE);
    if (transfer->upload)
        vimg_session_sizes(transfer->use.session);
    pool = vimg_pool_ref(transfer->use.pool);
    model = pool->model;
    vimg_model_keep(model);
    vimg_use_clear(&transfer->use);
    if (transfer->upload)
        vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    vimg_model_release(model);
}

/* ---- upload ----------------------------------------------------------------------------- */

/* What can be refused before the first byte. */
static gboolean
check_range(const VimgTransfer *transfer, GError **error)
{
    guint64 capacity = transfer->image.capacity;
    guint64 most = transfer->raw ? capacity : G_MAXINT64;

    if (transfer->offset <= most && transfer->length <= most - transfer->offset)
        return TRUE;
    if (!transfer->raw)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("offset and length go beyond what an image can hold"));
    return vimg_throw(
        error, VIMG_ERROR_INVALID_ARG,
        _("%1$llu bytes at offset %2$llu go beyond the capacity of %3$llu bytes of volume '%4$s'"),
        VIMG_ULL(transfer->length), VIMG_ULL(transfer->offset), VIMG_ULL(capacity),
        transfer->image.name);
}

static gboolean
open_writer(VimgTransfer *transfer, GError **error)
{
    VimgUse *use = &transfer->use;
    g_autoptr(GError) local = NULL;
    VimgWriteRequest request = {
        .size = sizeof(request), .offset = transfer->offset, .length = transfer->length};

    vimg_mutex_lock(&use->pool->lock);
    request.reserve = transfer->length ? transfer->length : use->volume->reserve;
    vimg_mutex_unlock(&use->pool->lock);
    transfer->writer = vimg_writer_open(vimg_session_store(use->session), transfer->image.uuid,
                                        &request, use->job, &local);
    if (transfer->writer)
        return TRUE;
    vimg_use_failed(use, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Of content that begins elsewhere there is no checksum until all of it can be read. */
static gboolean
open_digest(VimgTransfer *transfer, GError **error)
{
    if (!transfer->image.checksum || transfer->offset > 0)
        return TRUE;
    transfer->digest = vimg_digest_new(transfer->image.checksum_type, error);
    return transfer->digest != NULL;
}

VimgTransfer *
vimg_model_upload(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                  GError **error)
{
    g_autoptr(VimgTransfer) transfer = transfer_new(offset, length);

    if (!vimg_use_volume(model, vol, VIMG_ACTION_UPLOAD, "upload", &transfer->use, error))
        return NULL;
    set_live(transfer, TRUE);
    vimg_use_image(&transfer->use, &transfer->image);
    transfer->raw = strcmp(transfer->image.format, "raw") == 0;
    if (!check_range(transfer, error) || !open_digest(transfer, error) ||
        !open_writer(transfer, error))
        return NULL;
    transfer->upload = TRUE;
    vimg_job_progress(transfer->use.job, "upload", 0,
                      length > 0      ? length
                      : transfer->raw ? transfer->image.capacity - offset
                                      : 0);
    return g_steal_pointer(&transfer);
}

/* The volume shows how far it is. */
static void
show_growth(VimgTransfer *transfer, guint64 bytes)
{
    guint64 allocation = transfer->offset + transfer->done;
    guint64 position = 0;
    VimgVolume *volume = transfer->use.volume;
    gboolean known = vimg_writer_stat(transfer->writer, &allocation, &position);

    vimg_job_add(transfer->use.job, bytes);
    VIMG_LOCK_GUARD(&transfer->use.pool->lock);
    if (known)
        volume->image.position = position;
    volume->image.allocation = known ? allocation : MAX(allocation, transfer->image.allocation);
}

/* Of @size bytes more, how many are within the announced length; all of those must fit. */
static gboolean
check_room(const VimgTransfer *transfer, guint64 size, guint64 *fits, GError **error)
{
    guint64 at = transfer->offset + transfer->done;

    *fits = transfer->length > 0 ? MIN(size, transfer->length - transfer->done) : size;
    if (*fits > G_MAXINT64 - at)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("the stream is longer than an image can be"));
    if (transfer->raw && *fits > transfer->image.capacity - at)
        return vimg_throw(
            error, VIMG_ERROR_INVALID_ARG,
            _("the stream reaches byte %1$llu, beyond the capacity of %2$llu bytes of volume '%3$s'"),
            VIMG_ULL(at + *fits), VIMG_ULL(transfer->image.capacity), transfer->image.name);
    return TRUE;
}

static gboolean
put(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    if (transfer->digest &&
        !vimg_digest_add(transfer->digest, buffer ? buffer->data + offset : NULL, size,
                         transfer->use.job, error))
        return FALSE;
    return buffer ? vimg_writer_write(transfer->writer, buffer, offset, size, error)
                  : vimg_writer_hole(transfer->writer, size, error);
}

/* @buffer NULL: a hole. */
static gboolean
take(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    g_autoptr(GError) local = NULL;
    guint64 fits = 0;

    if (!check_going(transfer, error) || !check_room(transfer, size, &fits, error))
        return FALSE;
    if (!put(transfer, buffer, offset, fits, &local)) {
        vimg_use_failed(&transfer->use, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    transfer->done += fits;
    show_growth(transfer, fits);
    if (fits < size)
        return vimg_throw(error, VIMG_ERROR_NO_SPACE, "%s",
                          _("cannot write to stream: No space left on device"));
    return TRUE;
}

gboolean
vimg_transfer_write(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, gsize size,
                    GError **error)
{
    return take(transfer, buffer, offset, size, error);
}

gboolean
vimg_transfer_hole(VimgTransfer *transfer, guint64 length, GError **error)
{
    return take(transfer, NULL, 0, length, error);
}

/* An upload that stops short of what is stored says that the image is shorter than that. */
static gboolean
check_end(const VimgTransfer *transfer, GError **error)
{
    guint64 at = transfer->offset + transfer->done;

    if (transfer->raw || at >= transfer->image.position)
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("the stream ended at byte %1$llu, but volume '%2$s' holds at least %3$llu bytes of an earlier upload; wipe it to start afresh"),
        VIMG_ULL(at), transfer->image.name, VIMG_ULL(transfer->image.position));
}

/* Whether the image is complete, and what it is then; a raw one ends in zeros. */
static gboolean
complete(VimgTransfer *transfer, gboolean *seal, VimgPluginImage *image, GError **error)
{
    guint64 at = transfer->offset + transfer->done;

    *seal = transfer->length == 0 || (transfer->raw && at == transfer->image.capacity);
    if (!*seal)
        return TRUE;
    if (!check_end(transfer, error))
        return FALSE;
    if (transfer->raw && at < transfer->image.capacity) {
        if (!put(transfer, NULL, 0, transfer->image.capacity - at, error))
            return FALSE;
        at = transfer->image.capacity;
    }
    image->physical = at;
    if (image->capacity == 0 || strcmp(image->format, "iso") == 0)
        image->capacity = at;
    return TRUE;
}

/* It says so itself from now on; a backend that cannot keep that leaves it saving. */
static void
set_error(VimgTransfer *transfer, const GError *why)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_store_set_error(vimg_session_store(transfer->use.session), transfer->image.uuid,
                              why->message, &error))
        vimg_warning("volume '%s' of storage pool '%s' cannot be marked: %s", transfer->image.name,
                     transfer->use.pool->name, error->message);
}

/* The whole content came through here: it becomes active only with the right checksum. */
static gboolean
check_before(VimgTransfer *transfer, const VimgPluginImage *image, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    if (!transfer->digest || vimg_digest_check(transfer->digest, image->checksum, &local))
        return TRUE;
    if (vimg_writer_finish(g_steal_pointer(&transfer->writer), FALSE, image, &out, NULL))
        set_error(transfer, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Some of it came before: all of it is read once more. */
static gboolean
check_after(VimgTransfer *transfer, const VimgPluginImage *image, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!image->checksum || transfer->digest ||
        vimg_digest_verify(vimg_session_store(transfer->use.session), image, transfer->use.job,
                           &local))
        return TRUE;
    set_error(transfer, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
finish_upload(VimgTransfer *transfer, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    gboolean seal = FALSE;

    vimg_image_copy(&image, &transfer->image);
    if (!complete(transfer, &seal, &image, error) ||
        (seal && !check_before(transfer, &image, error))) {
        vimg_writer_abort(g_steal_pointer(&transfer->writer));
        return FALSE;
    }
    if (!vimg_writer_finish(g_steal_pointer(&transfer->writer), seal, &image, &out, error) ||
        (seal && !check_after(transfer, &image, error)))
        return FALSE;
    vimg_use_changed(&transfer->use, &out);
    return TRUE;
}

/* ---- download --------------------------------------------------------------------------- */

VimgTransfer *
vimg_model_download(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                    GError **error)
{
    g_autoptr(VimgTransfer) transfer = transfer_new(offset, length);
    VimgUse *use = &transfer->use;
    g_autoptr(GError) local = NULL;
    guint64 left;

    if (!vimg_use_volume(model, vol, VIMG_ACTION_DOWNLOAD, "download", use, error))
        return NULL;
    set_live(transfer, TRUE);
    vimg_use_image(use, &transfer->image);
    left = transfer->image.physical - MIN(offset, transfer->image.physical);
    if (length == 0 || length > left)
        length = left; /* no backend has to think of sums that overflow */
    vimg_job_progress(use->job, "download", 0, length);
    if (left == 0) {
        end(transfer);
        return g_steal_pointer(&transfer);
    }
    transfer->reader = vimg_reader_open(vimg_session_store(use->session), transfer->image.uuid,
                                        offset, length, use->job, &local);
    if (transfer->reader)
        return g_steal_pointer(&transfer);
    vimg_use_failed(use, local);
    g_propagate_error(error, g_steal_pointer(&local));
    return NULL;
}

static void
end_download(VimgTransfer *transfer)
{
    g_clear_pointer(&transfer->reader, vimg_reader_close);
    end(transfer);
}

gboolean
vimg_transfer_next(VimgTransfer *transfer, VimgExtent *out, GError **error)
{
    g_autoptr(GError) local = NULL;

    *out = (VimgExtent){0};
    if (transfer->ended)
        return TRUE;
    if (!check_going(transfer, error))
        return FALSE;
    if (!vimg_reader_next(transfer->reader, out, &local)) {
        vimg_use_failed(&transfer->use, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_job_add(transfer->use.job, out->length);
    transfer->done += out->length;
    if (out->length == 0)
        end_download(transfer);
    return TRUE;
}

/* ---- both ------------------------------------------------------------------------------- */

gboolean
vimg_transfer_finish(VimgTransfer *transfer, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!transfer->upload) {
        end_download(transfer);
        return TRUE;
    }
    if (!check_going(transfer, error))
        return FALSE;
    if (!finish_upload(transfer, &local)) {
        vimg_use_failed(&transfer->use, local);
        vimg_use_restat(&transfer->use);
        g_propagate_error(error, local);
        local = NULL;
        end(transfer);
        return FALSE;
    }
    end(transfer);
    return TRUE;
}

void
vimg_transfer_cancel(VimgTransfer *transfer)
{
    VIMG_LOCK_GUARD(&transfer->lock);
    transfer->cancelled = TRUE;
    if (transfer->live)
        vimg_job_cancel(transfer->use.job);
}

void
vimg_transfer_free(VimgTransfer *transfer)
{
    if (!transfer)
        return;
    if (transfer->writer) {
        vimg_writer_abort(g_steal_pointer(&transfer->writer));
        vimg_use_restat(&transfer->use);
    }
    g_clear_pointer(&transfer->reader, vimg_reader_close);
    vimg_digest_free(transfer->digest);
    if (transfer->use.session)
        end(transfer);
    vimg_use_clear(&transfer->use);
    vimg_plugin_image_clear(&transfer->image);
    vimg_mutex_clear(&transfer->lock);
    g_free(transfer);
}
