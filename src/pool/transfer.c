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

#include "pool/import-note.h"
#include "pool/intake.h"
#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"
#include "util/log.h"

struct _VimgTransfer {
    VimgUse use;
    VimgWriter *writer;    /* an upload */
    VimgIntake *intake;    /* an upload */
    VimgReader *reader;    /* a download */
    VimgPluginImage image; /* as it was at the beginning */
    gboolean upload;
    gboolean raw; /* declared so */
    guint64 offset;
    guint64 length; /* 0: not announced */
    guint64 done;   /* bytes that came or went */
    gboolean held;  /* it is the source of a clone, whose job does not end with its content */
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

/* Takes @why over.  Of a cancelled transfer it does not matter who noticed first. */
static void
hand_on(VimgTransfer *transfer, GError *why, GError **error)
{
    if (g_error_matches(why, VIMG_ERROR, VIMG_ERROR_ABORTED) && !check_going(transfer, error))
        g_error_free(why);
    else
        g_propagate_error(error, why);
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

static void
show_reserved(VimgTransfer *transfer)
{
    guint64 reserved = vimg_writer_reserved(transfer->writer);

    VIMG_LOCK_GUARD(&transfer->use.pool->lock);
    transfer->use.volume->reserved = reserved;
}

static gboolean
open_writer(VimgTransfer *transfer, gboolean sparse, GError **error)
{
    VimgUse *use = &transfer->use;
    g_autoptr(GError) local = NULL;
    VimgWriteRequest request = {
        .size = sizeof(request), .offset = transfer->offset, .length = transfer->length};

    vimg_mutex_lock(&use->pool->lock);
    request.reserve = transfer->length && !sparse ? transfer->length : use->volume->reserve;
    vimg_mutex_unlock(&use->pool->lock);
    transfer->writer = vimg_writer_open(vimg_session_store(use->session), transfer->image.uuid,
                                        &request, use->job, &local);
    if (transfer->writer) {
        show_reserved(transfer);
        /* what it adds is of no source that an import knows */
        vimg_import_forget(use->pool->model->state_dir, transfer->image.uuid);
        return TRUE;
    }
    vimg_use_failed(use, local);
    hand_on(transfer, g_steal_pointer(&local), error);
    return FALSE;
}

/* Whether a raw image is complete at @end; any other is when its client says so. */
static gboolean
is_full(const VimgTransfer *transfer, const char *format, guint64 end)
{
    return g_strcmp0(format, "raw") == 0 && end == transfer->image.capacity;
}

/* Whether it may complete the image; an undeclared one may turn out to be raw and full. */
static gboolean
may_seal(const VimgTransfer *transfer)
{
    if (transfer->length == 0)
        return TRUE;
    return (transfer->raw || !transfer->image.format) &&
           transfer->offset + transfer->length >= transfer->image.capacity;
}

static gboolean
open_intake(VimgTransfer *transfer, GError **error)
{
    transfer->intake = vimg_intake_new(&transfer->image, transfer->writer, transfer->use.job,
                                       transfer->offset, may_seal(transfer), error);
    return transfer->intake != NULL;
}

/* Content that nobody can look at must not be sealed, and what cannot be sealed would be lost. */
static gboolean
check_resume(const VimgTransfer *transfer, GError **error)
{
    if (vimg_store_can_resume(vimg_session_store(transfer->use.session)))
        return TRUE;
    if (transfer->offset == 0)
        return may_seal(transfer) ||
               vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
                          _("volume '%s' can only be uploaded as a whole: announce no length"),
                          transfer->image.name);
    return vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
                      _("volume '%s' takes no upload at an offset: upload from the first byte"),
                      transfer->image.name);
}

VimgTransfer *
vimg_model_upload(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                  gboolean sparse, GError **error)
{
    g_autoptr(VimgTransfer) transfer = transfer_new(offset, length);

    if (!vimg_use_volume(model, vol, VIMG_ACTION_UPLOAD, "upload", &transfer->use, error))
        return NULL;
    set_live(transfer, TRUE);
    vimg_use_image(&transfer->use, &transfer->image);
    transfer->raw = g_strcmp0(transfer->image.format, "raw") == 0;
    if (!check_range(transfer, error) || !check_resume(transfer, error) ||
        !open_writer(transfer, sparse, error) || !open_intake(transfer, error)) {
        vimg_use_fail(&transfer->use, error);
        return NULL;
    }
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
    guint64 reserved = vimg_writer_reserved(transfer->writer);

    vimg_job_add(transfer->use.job, bytes);
    VIMG_LOCK_GUARD(&transfer->use.pool->lock);
    volume->reserved = reserved;
    if (known)
        volume->image.position = position;
    volume->image.allocation = known ? allocation : MAX(allocation, transfer->image.allocation);
}

/* It says so itself from now on; a backend that cannot keep that leaves it saving. */
static void
set_error(VimgTransfer *transfer, const GError *why)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_store_set_error(vimg_session_store(transfer->use.session), transfer->image.uuid,
                              why->message, &error) && /* another host may have completed it */
        !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
        vimg_warning("volume '%s' of storage pool '%s' cannot be marked: %s", transfer->image.name,
                     vimg_pool_name(transfer->use.pool), error->message);
}

/* It stays as it is, but for the reason why it can never be used. */
static gboolean
refuse(VimgTransfer *transfer, GError *why, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    vimg_writer_finish(g_steal_pointer(&transfer->writer), FALSE, &transfer->image, &out, NULL);
    set_error(transfer, why);
    g_propagate_error(error, why);
    return FALSE;
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
    return TRUE;
}

/* @buffer NULL: a hole. */
static gboolean
take(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    g_autoptr(GError) local = NULL;
    guint64 fits = 0;

    if (!check_going(transfer, error) || !check_room(transfer, size, &fits, error))
        return FALSE;
    if (!vimg_intake_put(transfer->intake, buffer, offset, fits, &local)) {
        if (vimg_intake_has_refused(transfer->intake)) {
            refuse(transfer, g_steal_pointer(&local), error);
            vimg_use_restat(&transfer->use);
            return FALSE;
        }
        vimg_use_failed(&transfer->use, local);
        hand_on(transfer, g_steal_pointer(&local), error);
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
    return take(transfer, buffer, offset, size, error) || vimg_use_fail(&transfer->use, error);
}

gboolean
vimg_transfer_hole(VimgTransfer *transfer, guint64 length, GError **error)
{
    return take(transfer, NULL, 0, length, error) || vimg_use_fail(&transfer->use, error);
}

void
vimg_transfer_idle(VimgTransfer *transfer)
{
    show_growth(transfer, 0);
}

/* Whether it completes the image; *@seal is what its client meant, or reached. */
static gboolean
check_end(VimgTransfer *transfer, gboolean *seal, GError **error)
{
    guint64 at = transfer->offset + transfer->done;

    if (!vimg_intake_end(transfer->intake, error))
        return FALSE;
    *seal = transfer->length == 0 ||
            (may_seal(transfer) && is_full(transfer, vimg_intake_format(transfer->intake), at));
    if (!*seal || at >= transfer->image.position)
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("the stream ended at byte %1$llu, but volume '%2$s' holds at least %3$llu bytes of an earlier upload; wipe it to start afresh"),
        VIMG_ULL(at), transfer->image.name, VIMG_ULL(transfer->image.position));
}

static gboolean
finish_upload(VimgTransfer *transfer, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    const VimgType *type = vimg_store_type(vimg_session_store(transfer->use.session));
    GError *wrong = NULL;
    gboolean seal = FALSE;

    vimg_image_copy(&image, &transfer->image);
    g_clear_pointer(&image.copy_of, g_free); /* this came from elsewhere */
    if (!check_end(transfer, &seal, error))
        return FALSE;
    if (seal && !vimg_intake_judge(transfer->intake, type, &image, &wrong))
        return refuse(transfer, wrong, error);
    if (seal && !vimg_intake_pad(transfer->intake, &image, error))
        return FALSE;
    if (!vimg_writer_finish(g_steal_pointer(&transfer->writer), seal, &image, &out, error))
        return FALSE;
    vimg_use_changed(&transfer->use, &out);
    return TRUE;
}

/* ---- download --------------------------------------------------------------------------- */

/* Whoever goes on has the beginning of what the image was listed with. */
static gboolean
check_content(VimgTransfer *transfer, GError **error)
{
    return transfer->offset == 0 ||
           vimg_reader_is_of(transfer->reader, transfer->image.generation) ||
           vimg_use_throw_other(&transfer->use, transfer->image.name, error);
}

static gboolean
open_reader(VimgTransfer *transfer, guint64 length, GError **error)
{
    VimgUse *use = &transfer->use;
    g_autoptr(GError) local = NULL;

    transfer->reader = vimg_reader_open(vimg_session_store(use->session), transfer->image.uuid,
                                        transfer->offset, length, use->job, &local);
    if (transfer->reader)
        return check_content(transfer, error);
    vimg_use_failed(use, local);
    hand_on(transfer, g_steal_pointer(&local), error);
    return FALSE;
}

VimgTransfer *
vimg_model_download(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                    GError **error)
{
    g_autoptr(VimgTransfer) transfer = transfer_new(offset, length);
    VimgUse *use = &transfer->use;
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
    return open_reader(transfer, length, error) ? g_steal_pointer(&transfer) : NULL;
}

/* ---- source of a clone -------------------------------------------------------------------- */

VimgTransfer *
vimg_model_source(VimgModel *model, const VimgVolId *vol, VimgSourceInfo *out, GError **error)
{
    g_autoptr(VimgTransfer) transfer = transfer_new(0, 0);
    VimgUse *use = &transfer->use;

    if (!vimg_use_volume(model, vol, VIMG_ACTION_SOURCE, "clone", use, error))
        return NULL;
    transfer->held = TRUE;
    set_live(transfer, TRUE);
    vimg_use_image(use, &transfer->image);
    vimg_source_info_take(out, use->pool, use->volume);
    return g_steal_pointer(&transfer);
}

gboolean
vimg_transfer_confirm(VimgTransfer *source, const VimgSourceInfo *info, GError **error)
{
    return vimg_use_confirm(&source->use, info->uuid, info->name, info->generation, error);
}

gboolean
vimg_transfer_progress(VimgTransfer *transfer, const char *phase, guint64 done, guint64 total,
                       GError **error)
{
    if (!check_going(transfer, error))
        return FALSE;
    vimg_job_progress(transfer->use.job, phase, done, total);
    return TRUE;
}

gboolean
vimg_transfer_check(VimgTransfer *transfer, GError **error)
{
    return check_going(transfer, error);
}

VimgForeignWriter *
vimg_foreign_writer_new(VimgForeign *foreign, const char *volume, guint64 offset,
                        VimgTransfer *source, GError **error)
{
    return vimg_foreign_writer_open(foreign, volume, offset, source->use.job, error);
}

VimgForeignReader *
vimg_foreign_reader_new(VimgForeign *foreign, const char *volume, VimgTransfer *upload,
                        GError **error)
{
    return vimg_foreign_reader_open(foreign, volume, upload->use.job, error);
}

VimgForeignReader *
vimg_foreign_reader_new_at(VimgForeign *foreign, const char *volume, const char *moment,
                           const char *since, VimgTransfer *upload, GError **error)
{
    return vimg_foreign_reader_open_at(foreign, volume, moment, since, upload->use.job, error);
}

gboolean
vimg_foreign_share(VimgForeign *foreign, const char *volume, guint64 capacity, VimgTransfer *source,
                   gboolean *done, GError **error)
{
    VimgUse *use = &source->use;

    return vimg_foreign_clone_image(foreign, volume, capacity, vimg_session_store(use->session),
                                    source->image.uuid, use->job, done, error);
}

gboolean
vimg_transfer_fail(VimgTransfer *transfer, const GError *error)
{
    return vimg_use_failed(&transfer->use, error);
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
        return vimg_use_fail(&transfer->use, error);
    if (!transfer->reader && !open_reader(transfer, transfer->image.physical, error))
        return FALSE;
    if (!vimg_reader_next(transfer->reader, out, &local)) {
        vimg_use_failed(&transfer->use, local);
        hand_on(transfer, g_steal_pointer(&local), error);
        return FALSE;
    }
    vimg_job_add(transfer->use.job, out->length);
    transfer->done += out->length;
    if (out->length == 0 && !transfer->held)
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
        return vimg_use_fail(&transfer->use, error);
    if (!finish_upload(transfer, &local)) {
        vimg_writer_abort(g_steal_pointer(&transfer->writer));
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

/* Whoever waited for its end has gone, unless it failed. */
static void
give_up(VimgTransfer *transfer)
{
    g_autoptr(GError) error = NULL;

    vimg_throw(&error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
    if (vimg_job_fail(transfer->use.job, error))
        vimg_job_cancel(transfer->use.job);
}

void
vimg_transfer_free(VimgTransfer *transfer)
{
    if (!transfer)
        return;
    if (transfer->use.job && !transfer->held)
        give_up(transfer);
    if (transfer->writer) {
        vimg_writer_abort(g_steal_pointer(&transfer->writer));
        vimg_use_restat(&transfer->use);
    }
    g_clear_pointer(&transfer->reader, vimg_reader_close);
    vimg_intake_free(transfer->intake);
    if (transfer->use.session)
        end(transfer);
    vimg_use_clear(&transfer->use);
    vimg_plugin_image_clear(&transfer->image);
    vimg_mutex_clear(&transfer->lock);
    g_free(transfer);
}
