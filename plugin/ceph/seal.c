/*
 * seal.c: the end of an upload, of which an active image is made
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "convert.h"
#include "leftover.h"
#include "publish.h"
#include "../throw.h"
#include "watchers.h"
#include "writer-private.h"

/* ---- sums ------------------------------------------------------------------------------- */

/* Returns: (transfer full) that of the first @length bytes; NULL with @error. */
static char *
digest_again(VimgCephWriter *writer, rbd_image_t image, guint64 length, gboolean plain,
             GError **error)
{
    g_autoptr(VimgCephDigest) digest =
        plain ? vimg_ceph_digest_new_plain() : vimg_ceph_digest_new();

    return vimg_ceph_stream_digest(image, length, digest, writer->job, error)
               ? vimg_ceph_digest_finish(digest)
               : NULL;
}

/* What did not pass whole, from the first byte on, is read once more. */
static char *
digest_content(VimgCephWriter *writer, gboolean plain, GError **error)
{
    if (writer->digest && vimg_ceph_digest_is_plain(writer->digest) == plain &&
        vimg_ceph_digest_at(writer->digest) == writer->at)
        return vimg_ceph_digest_finish(writer->digest);
    return digest_again(writer, writer->image, writer->at, plain, error);
}

/* It is what it was said to be a copy of, or of nothing. */
static void
set_source(VimgCephRecord *final, const VimgPluginImage *image)
{
    g_free(final->info.copy_of);
    final->info.copy_of = VIMG_PLUGIN_IMAGE_HAS(image, copy_of) ? g_strdup(image->copy_of) : NULL;
}

static gboolean
publish(VimgCephWriter *writer, VimgCephRecord *final, rbd_image_t image, GError **error)
{
    VimgCephPublication publication = {.store = writer->store,
                                       .cluster = writer->cluster,
                                       .job = writer->job,
                                       .record = final,
                                       .image = image};

    return vimg_ceph_watchers_alone(writer->image, error) && vimg_ceph_publish(&publication, error);
}

/* Returns: (transfer full) the record of what is active now; what is saved is as it was if not. */
static VimgCephRecord *
seal_plain(VimgCephWriter *writer, const char *format, const VimgPluginImage *image, GError **error)
{
    g_autoptr(VimgCephRecord) final = vimg_ceph_record_new(&writer->record->info);

    final->rbd = g_strdup(writer->record->rbd);
    g_free(final->info.format);
    final->info.format = g_strdup(format);
    final->info.capacity = image->capacity;
    final->info.physical = writer->at;
    final->info.allocation = 0; /* is measured */
    set_source(final, image);
    final->digest = digest_content(writer, FALSE, error);
    return final->digest && publish(writer, final, writer->image, error) ? g_steal_pointer(&final)
                                                                         : NULL;
}

/* What was uploaded is needed no more; what cannot be removed in time is for a cleanup. */
static void
drop_first(VimgCephWriter *writer)
{
    g_autoptr(GError) error = NULL;

    vimg_ceph_closing(writer->cluster, g_steal_pointer(&writer->image),
                      g_steal_pointer(&writer->flow), NULL);
    if (!vimg_ceph_leftover_remove(writer->cluster, writer->record, NULL, &error))
        vimg_ceph_warn("RBD image '%s' is left for a cleanup: %s", writer->record->rbd,
                       error->message);
}

/* What came will be gone: @sum of it stays. */
static void
set_checksum(VimgCephRecord *final, const char *sum)
{
    if (final->info.checksum)
        return;
    g_free(final->info.checksum_type);
    final->info.checksum_type = g_strdup("sha256");
    final->info.checksum = g_strdup(sum);
}

static VimgCephRecord *
seal_converted(VimgCephWriter *writer, const char *format, const VimgPluginImage *image,
               gboolean *no_image, GError **error)
{
    g_autoptr(VimgCephRecord) final = NULL;
    g_autofree char *sum =
        writer->record->info.checksum ? g_strdup("") : digest_content(writer, TRUE, error);
    rbd_image_t second = NULL;
    GError *local = NULL;
    gboolean ok;

    if (!sum)
        return NULL;
    /* from now on the second one may be the image */
    g_free(writer->record->info.uploaded_format);
    writer->record->info.uploaded_format = g_strdup(format);
    if (!vimg_ceph_record_save(writer->image, writer->record, error))
        return NULL;
    final = vimg_ceph_convert(writer->cluster, writer->record, format, writer->at, writer->job,
                              &second, no_image, error);
    if (!final)
        return NULL;
    set_source(final, image);
    set_checksum(final, sum);
    final->digest = digest_again(writer, second, final->info.physical, FALSE, &local);
    ok = final->digest && publish(writer, final, second, &local);
    vimg_ceph_closing(writer->cluster, second, NULL, NULL);
    if (!ok) {
        if (!vimg_ceph_is_lost(local))
            vimg_ceph_convert_undo(writer->cluster, writer->record, NULL, NULL);
        g_propagate_error(error, local);
        return NULL;
    }
    drop_first(writer);
    return g_steal_pointer(&final);
}

/* It stays as it was before the attempt; what is no image cannot become one. */
static void
take_back(VimgCephWriter *writer, gboolean no_image, const GError *why)
{
    g_clear_pointer(&writer->record->info.uploaded_format, g_free);
    if (no_image)
        writer->record->info.reason = g_strdup(why->message);
    /* nor does it concern us any more if another host goes on with it */
    if (!vimg_ceph_is_lost(why) && !g_error_matches(why, VIMG_ERROR, VIMG_ERROR_BUSY))
        vimg_ceph_record_save(writer->image, writer->record, NULL);
}

gboolean
vimg_ceph_writer_seal(VimgCephWriter *writer, const VimgPluginImage *image, VimgPluginImage *out,
                      GError **error)
{
    const char *format = image->format ? image->format : writer->record->info.format;
    g_autoptr(VimgCephRecord) final = NULL;
    gboolean no_image = FALSE;
    GError *local = NULL;

    if (writer->at < writer->durable)
        return throw_error(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("the data ends at offset %1$llu, but %2$llu bytes were uploaded before; wipe the image to start afresh"),
            ULL(writer->at), ULL(writer->durable));
    if (!vimg_ceph_writer_resize(writer, writer->at, error))
        return FALSE;
    final = vimg_ceph_convert_wanted(format)
                ? seal_converted(writer, format, image, &no_image, &local)
                : seal_plain(writer, format, image, &local);
    if (!final) {
        take_back(writer, no_image, local);
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_ceph_record_give(final, out);
    return TRUE;
}
