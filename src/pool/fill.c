/*
 * fill.c: an image gets the content of another, of the same storage or another one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/inspect.h"
#include "pool/copy.h"
#include "pool/fill.h"
#include "util/i18n.h"
#include "util/log.h"

#define STRETCH ((guint64)1024 * 1024) /* read at once, of what tells something here and there */

static VimgStore *
source_of(const VimgFill *fill)
{
    return vimg_session_store(fill->from->session);
}

static VimgStore *
store_of(const VimgFill *fill)
{
    return vimg_session_store(fill->to->session);
}

void
vimg_fill_choose_network(VimgFill *fill, const VimgPoolDef *from, const VimgPoolDef *to)
{
    fill->request.size = sizeof(fill->request);
    fill->request.sync_network = to->sync_network ? to->sync_network : from->sync_network;
}

/* ---- by reading it ---------------------------------------------------------------------- */

/*
 * What a copy is compared with.  A checksum that the source has itself was compared when that was
 * sealed, and is not one of the zeros behind what was uploaded of a raw image.
 */
static VimgPluginImage
expected(const VimgFill *fill)
{
    VimgPluginImage declared = *fill->image;

    if (g_strcmp0(fill->base->checksum, fill->image->checksum) == 0)
        declared.checksum = NULL;
    return declared;
}

gboolean
vimg_fill_sums(const VimgFill *fill)
{
    return expected(fill).checksum != NULL;
}

/* The source was judged when it was sealed, but perhaps not by us: what passes is judged again. */
static gboolean
copy_into(VimgFill *fill, VimgWriter *writer, GError **error)
{
    const VimgPluginImage *base = fill->base;
    VimgPluginImage declared = expected(fill);
    g_autoptr(VimgReader) reader =
        vimg_reader_open(source_of(fill), base->uuid, 0, base->physical, fill->from_job, error);
    g_autoptr(VimgIntake) intake =
        reader ? vimg_intake_new(&declared, writer, fill->to_job, 0, TRUE, error) : NULL;

    if (!intake)
        return FALSE;
    vimg_job_progress(fill->from_job, "copy", 0, base->physical);
    vimg_job_progress(fill->to_job, "copy", 0, base->physical);
    if (!vimg_copy_extents(reader, intake, fill->from_job, fill->to_job, fill->request.bandwidth,
                           error)) {
        fill->refused = vimg_intake_has_refused(intake);
        return FALSE;
    }
    fill->refused = !vimg_intake_judge(intake, vimg_store_type(store_of(fill)), fill->image, error);
    return !fill->refused && (!writer || vimg_intake_pad(intake, fill->image, error));
}

gboolean
vimg_fill_check(VimgFill *fill, GError **error)
{
    return !vimg_fill_sums(fill) || copy_into(fill, NULL, error);
}

static gboolean
copy_content(VimgFill *fill, VimgPluginImage *out, GError **error)
{
    VimgWriteRequest request = {.size = sizeof(request), .reserve = fill->base->allocation};
    VimgWriter *writer =
        vimg_writer_open(store_of(fill), fill->image->uuid, &request, fill->to_job, error);

    if (!writer)
        return FALSE;
    fill->sent = fill->base->allocation;
    fill->refused = FALSE; /* whatever a pull said that came to nothing */
    if (copy_into(fill, writer, error))
        return vimg_writer_finish(writer, TRUE, fill->image, out, error);
    vimg_writer_abort(writer);
    return FALSE;
}

/* ---- judging what a storage moved by itself --------------------------------------------- */

/* The verdict on an image that a storage moved by itself. */
typedef struct {
    VimgFill *fill;
    gpointer content; /* as the backend handed it over; NULL: the image is active already */
    gboolean asked;
    gboolean good; /* each time that it asked */
} Verdict;

static VimgReader *
open_moved(const Verdict *verdict, guint64 offset, guint64 length, GError **error)
{
    const VimgFill *fill = verdict->fill;

    if (verdict->content)
        return vimg_reader_open_pulled(store_of(fill), verdict->content, fill->base->name, offset,
                                       length, fill->to_job, error);
    return vimg_reader_open(store_of(fill), fill->image->uuid, offset, length, fill->to_job, error);
}

/* @intake sees the next @length bytes of what is here now. */
static gboolean
show(const Verdict *verdict, VimgIntake *intake, guint64 length, GError **error)
{
    VimgJob *job = verdict->fill->to_job;
    guint64 end = vimg_intake_at(intake) + length;
    g_autoptr(VimgReader) reader = open_moved(verdict, vimg_intake_at(intake), length, error);

    while (reader && vimg_intake_at(intake) < end) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (vimg_job_cancelled(job))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the copy was cancelled"));
        if (!vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (!vimg_intake_put(intake, data, extent.offset, extent.length, error))
            return FALSE;
    }
    return reader != NULL;
}

/*
 * All of @size bytes that an upload would be judged by; what tells nothing does not come again.
 * With a checksum, all of them.
 */
static gboolean
show_all(const Verdict *verdict, VimgIntake *intake, gboolean sums, guint64 size, GError **error)
{
    guint64 tail = MIN(size, VIMG_INSPECT_END);
    guint64 at;

    while ((at = vimg_intake_at(intake)) < size) {
        guint64 idle = at < size - tail ? MIN(vimg_intake_idle(intake), size - tail - at) : 0;

        if (idle > 0 ? !vimg_intake_put(intake, NULL, 0, idle, error)
                     : !show(verdict, intake, sums ? size - at : MIN(size - at, STRETCH), error))
            return FALSE;
    }
    return vimg_intake_end(intake, error);
}

/*
 * Whether the image, @out now or soon, is what was asked for: its source may be another's, and say
 * of it what is not true.  The copy is read, as nobody knows whether the source says the same
 * twice.
 */
static gboolean
judge(const Verdict *verdict, const VimgPluginImage *out, GError **error)
{
    VimgFill *fill = verdict->fill;
    const VimgPluginImage declared = expected(fill);
    VimgPluginImage found = declared; /* borrows from it */
    g_autoptr(VimgIntake) intake = vimg_intake_new(&declared, NULL, fill->to_job, 0, TRUE, error);

    vimg_job_progress(fill->to_job, "checking", out->physical, out->physical);
    if (!intake)
        return FALSE;
    if (!show_all(verdict, intake, declared.checksum != NULL, out->physical, error)) {
        fill->refused = vimg_intake_has_refused(intake);
        return FALSE;
    }
    fill->refused = TRUE;
    if (!vimg_intake_judge(intake, vimg_store_type(store_of(fill)), &found, error))
        return FALSE;
    fill->refused = found.capacity != declared.capacity || found.capacity != out->capacity ||
                    found.physical != out->physical || g_strcmp0(out->format, declared.format) != 0;
    if (!fill->refused)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      _("volume '%s' is not what its storage pool says of it"), fill->base->name);
}

/* The judge() of VimgPullRequest. */
static gboolean
judge_pulled(gpointer content, const VimgPluginImage *image, gpointer data, GError **error)
{
    Verdict *verdict = data;
    gboolean good;

    verdict->content = content;
    good = judge(verdict, image, error);
    verdict->content = NULL;
    verdict->good = good && (verdict->good || !verdict->asked);
    verdict->asked = TRUE;
    return good;
}

/* Nobody here was told yet that it is complete. */
static void
take_back(VimgFill *fill)
{
    VimgStore *store = store_of(fill);
    const char *uuid = fill->image->uuid;
    g_autoptr(GError) error = NULL;

    if (!vimg_store_remove_image(store, uuid, &error) || !vimg_store_purge(store, uuid, &error))
        vimg_warning("a refused image in storage pool '%s' stays behind: %s",
                     vimg_pool_name(fill->to->pool), error->message);
}

/* What was complete before was judged when it became so; a backend that asked was answered. */
static gboolean
accept_pulled(Verdict *verdict, gboolean fresh, VimgPluginImage *out, GError **error)
{
    const VimgFill *fill = verdict->fill;

    if (!fresh || (verdict->asked ? verdict->good : judge(verdict, out, error)))
        return TRUE;
    take_back(verdict->fill);
    vimg_plugin_image_clear(out);
    return verdict->asked && vimg_type_nonsense(vimg_store_type(store_of(fill)), fill->base->name,
                                                error, "a copy that was refused");
}

/* ---- as it lies ------------------------------------------------------------------------- */

/* Whichever storage was lost, its pool shall know. */
static void
note_loss(VimgFill *fill, const GError *error)
{
    if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED))
        return;
    vimg_session_sizes(fill->from->session);
    vimg_session_sizes(fill->to->session);
}

/* *@done is FALSE if the backend cannot do it by itself, which is no failure. */
static gboolean
pull(VimgFill *fill, gboolean *done, VimgPluginImage *out, GError **error)
{
    gboolean fresh = fill->image->state == VIMG_IMAGE_SAVING;
    Verdict verdict = {.fill = fill};
    VimgPullRequest request = fill->request;
    GError *local = NULL;

    *done = FALSE;
    if (fill->image->capacity != fill->base->capacity ||
        !vimg_store_can_pull(store_of(fill), source_of(fill)))
        return TRUE;
    if (fill->from_job != fill->to_job)
        vimg_job_link(fill->to_job, fill->from_job);
    request.size = sizeof(request);
    request.judge = fresh ? judge_pulled : NULL;
    request.judge_data = &verdict;
    *done = vimg_store_pull(store_of(fill), fill->image->uuid, source_of(fill), fill->base->uuid,
                            &request, fill->to_job, &fill->sent, out, &local);
    if (*done) {
        vimg_job_add(fill->to_job, fill->sent);
        *done = accept_pulled(&verdict, fresh, out, &local);
    }
    vimg_job_link(fill->to_job, NULL);
    if (*done || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT)) {
        g_clear_error(&local);
        return TRUE;
    }
    note_loss(fill, local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DAMAGED))
        vimg_use_restat(fill->from);
    g_propagate_error(error, local);
    return FALSE;
}

static gboolean
is_remote(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->def->hosts->len > 0;
}

gboolean
vimg_fill_check_network(const VimgFill *fill, GError **error)
{
    VimgPool *from = fill->from->pool;
    VimgPool *to = fill->to->pool;

    if (!fill->request.sync_network || from == to || (!is_remote(from) && !is_remote(to)))
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("volume '%1$s' would have to be read outside of the synchronisation network '%2$s', as storage pools '%3$s' and '%4$s' cannot pass it on as it lies"),
        fill->base->name, fill->request.sync_network, vimg_pool_name(from), vimg_pool_name(to));
}

gboolean
vimg_fill_image(VimgFill *fill, VimgPluginImage *out, GError **error)
{
    gboolean done;

    fill->sent = 0;
    fill->refused = FALSE;
    return pull(fill, &done, out, error) &&
           (done || (vimg_fill_check_network(fill, error) && copy_content(fill, out, error)));
}

/* ---- comparing -------------------------------------------------------------------------- */

/* What of one image was read and is not compared yet. */
typedef struct {
    VimgReader *reader;
    VimgExtent piece;
} Side;

static void
side_clear(Side *side)
{
    vimg_buffer_unref(side->piece.data);
    vimg_reader_close(side->reader);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static gboolean
side_open(Side *side, VimgUse *use, const VimgPluginImage *image, VimgJob *job, GError **error)
{
    side->reader = vimg_reader_open(vimg_session_store(use->session), image->uuid, 0,
                                    image->physical, job, error);
    return side->reader != NULL;
}

static gboolean
side_fill(Side *side, GError **error)
{
    if (side->piece.length > 0)
        return TRUE;
    g_clear_pointer(&side->piece.data, vimg_buffer_unref);
    return vimg_reader_next(side->reader, &side->piece, error);
}

static void
side_skip(Side *side, guint64 size)
{
    side->piece.length -= size;
    side->piece.offset += side->piece.data ? size : 0;
}

static gboolean
is_equal(const Side *a, const Side *b, guint64 size)
{
    const Side *data = a->piece.data ? a : b;
    const guint8 *bytes = data->piece.data ? data->piece.data->data + data->piece.offset : NULL;

    if (a->piece.data && b->piece.data)
        return memcmp(bytes, b->piece.data->data + b->piece.offset, size) == 0;
    /* the other one is a hole */
    return !bytes || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

gboolean
vimg_fill_compare(VimgUse *from, const VimgPluginImage *base, VimgUse *to,
                  const VimgPluginImage *image, VimgJob *job, gboolean *same, GError **error)
{
    g_auto(Side) a = {0};
    g_auto(Side) b = {0};
    guint64 done = 0;

    *same = base->physical == image->physical && base->capacity == image->capacity &&
            g_strcmp0(base->format, image->format) == 0;
    if (*same && (!side_open(&a, from, base, job, error) || !side_open(&b, to, image, job, error)))
        return FALSE;
    while (*same && done < base->physical) {
        guint64 size;

        if (vimg_job_cancelled(job))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the copy was cancelled"));
        if (!side_fill(&a, error) || !side_fill(&b, error))
            return FALSE;
        size = MIN(a.piece.length, b.piece.length);
        if (size == 0)
            break; /* as long as both say they are, which readers see to */
        *same = is_equal(&a, &b, size);
        side_skip(&a, size);
        side_skip(&b, size);
        done += size;
    }
    return TRUE;
}
