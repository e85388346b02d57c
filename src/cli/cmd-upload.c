/*
 * cmd-upload.c: virtimagectl upload
 *
 * An upload that was cut off goes on where the daemon says that the durable part of it ends.  The
 * last slice before that is sent again and compared there.  That is right only of the very file
 * that all of it came from, so which one it was is remembered.  Of any other nobody knows what was
 * sent: it is sent from its first byte, and compared up to where it is new.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <libvirt/virterror.h>

#include "cli/checksum.h"
#include "cli/record.h"
#include "cli/source.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

typedef struct {
    const char *format; /* NULL: the daemon finds out */
    VimgChecksum checksum;
    gboolean afresh;  /* what an earlier upload left is not to be used */
    gboolean created; /* by this command */
    gboolean tried;
    gboolean finished; /* all was sent, and the daemon asked to complete it */
    VimgSource *source;
    VimgImage *image;
} Upload;

/* ---- the image -------------------------------------------------------------------------- */

static VimgImage *
create(VimgTransfer *transfer, Upload *upload, GError **error)
{
    g_autoptr(GString) xml = g_string_new("<volume xmlns:image='urn:virtimage:volume:1'>");
    g_autofree char *rest = NULL;
    g_autofree char *head = g_markup_printf_escaped(
        "<name>%s</name><capacity unit='bytes'>%" G_GUINT64_FORMAT "</capacity>", transfer->name,
        upload->source->size);
    VimgImage *image;

    g_string_append(xml, head);
    if (upload->format)
        rest = g_markup_printf_escaped("<target><format type='%s'/></target>", upload->format);
    g_string_append(xml, rest ? rest : "");
    if (upload->checksum.type)
        g_string_append_printf(
            xml, "<image:info><image:checksum type='%s'>%s</image:checksum></image:info>",
            upload->checksum.type, upload->checksum.hex);
    g_string_append(xml, "</volume>");
    image = vimg_image_create(transfer->ctl, &transfer->pool, xml->str, error);
    upload->created = image != NULL;
    return image;
}

static gboolean
is_complete(const Upload *upload)
{
    return strcmp(upload->image->state, "active") == 0;
}

/* An earlier upload of that name may be gone on with. */
static gboolean
check_same(const Upload *upload, const VimgImage *image, GError **error)
{
    const VimgChecksum *checksum = &upload->checksum;

    if (checksum->type && (g_strcmp0(checksum->type, image->checksum_type) != 0 ||
                           g_strcmp0(checksum->hex, image->checksum) != 0))
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("image '%s' was begun with another checksum or none; --no-resume begins it anew"),
            image->name);
    if (upload->format && g_strcmp0(upload->format, image->format) != 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("image '%s' was begun with another format or none; --no-resume begins it anew"),
            image->name);
    return TRUE;
}

/* ---- what is remembered ----------------------------------------------------------------- */

/* Of which file the image is, and up to where that was not compared when it was begun. */
typedef struct {
    guint64 identity[VIMG_SOURCE_IDENTITY];
    guint64 before;
} Memory;
#define MEMORY_NUMBERS (sizeof(Memory) / sizeof(guint64))

static char *
memory_path(const VimgImage *image)
{
    return vimg_record_path("uploads", image->uuid, NULL);
}

static gboolean
forget(const VimgImage *image, GError **error)
{
    g_autofree char *path = memory_path(image);

    return !path || vimg_record_remove(path, error);
}

/* Before the first byte, while nobody else can write to the image. */
static gboolean
remember(VimgTransfer *transfer, const Upload *upload, GError **error)
{
    g_autofree char *path = memory_path(upload->image);
    g_autoptr(VimgImage) now = NULL;
    Memory memory;

    if (!path || !vimg_source_identify(upload->source, memory.identity))
        return forget(upload->image, error);
    now = vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, error);
    if (!now)
        return FALSE;
    memory.before = now->position;
    return vimg_record_write(path, (const guint64 *)&memory, MEMORY_NUMBERS, error);
}

/* Where the daemon says, if all that it has is of the file as it is now. */
static guint64
choose_offset(const Upload *upload)
{
    const VimgImage *image = upload->image;
    g_autofree char *path = memory_path(image);
    guint64 identity[VIMG_SOURCE_IDENTITY];
    Memory memory;

    if (!path || !vimg_source_identify(upload->source, identity) ||
        !vimg_record_read(path, (guint64 *)&memory, MEMORY_NUMBERS) ||
        memcmp(identity, memory.identity, sizeof(identity)) != 0 ||
        image->position <= memory.before || image->position > upload->source->size)
        return 0;
    return image->position;
}

/* ---- finding or creating it ------------------------------------------------------------- */

/* What is in the way goes, but never an image that is complete. */
static gboolean
replace(VimgTransfer *transfer, Upload *upload, GError **error)
{
    if (!vimg_image_delete(transfer->ctl, upload->image, error))
        return FALSE;
    forget(upload->image, NULL);
    g_clear_pointer(&upload->image, vimg_image_free);
    upload->image = create(transfer, upload, error);
    return upload->image != NULL;
}

static gboolean
refresh(VimgTransfer *transfer, GError **error)
{
    vimg_remote_pool_flags_args args = {transfer->pool, 0};

    return vimg_daemon_call(transfer->ctl->daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_POOL_REFRESH,
                            (xdrproc_t)xdr_vimg_remote_pool_flags_args, &args, NULL, NULL, error);
}

/* Whether @found is missing for that reason, which is forgotten then. */
static gboolean
is_without(const VimgImage *found, int code, GError **why)
{
    gboolean is = !found && g_error_matches(*why, VIMG_DAEMON_ERROR, code);

    if (is)
        g_clear_error(why);
    return is;
}

/* One that another host has begun is known here after a refresh. */
static VimgImage *
find_or_create(VimgTransfer *transfer, Upload *upload, GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgImage *found = vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, &local);

    if (!upload->tried && is_without(found, VIR_ERR_NO_STORAGE_VOL, &local))
        found = create(transfer, upload, &local);
    if (is_without(found, VIR_ERR_STORAGE_VOL_EXIST, &local) && refresh(transfer, &local))
        found = vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, &local);
    if (!found)
        g_propagate_error(error, g_steal_pointer(&local));
    return found;
}

static gboolean
prepare(VimgTransfer *transfer, Upload *upload, GError **error)
{
    VimgImage *found = find_or_create(transfer, upload, error);

    if (!found || !vimg_transfer_take_image(&upload->image, found, error))
        return FALSE;
    if (is_complete(upload))
        return upload->finished || vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", transfer->name);
    if (upload->afresh && !upload->tried && !upload->created)
        return replace(transfer, upload, error);
    return check_same(upload, upload->image, error);
}

/* ---- the content ------------------------------------------------------------------------ */

static gboolean
send_content(VimgTransfer *transfer, Upload *upload, VimgStream *stream, GError **error)
{
    VimgSource *source = upload->source;

    while (transfer->done < source->size) {
        gboolean hole = FALSE;
        guint64 size = vimg_source_next(source, transfer->done, VIMG_STREAM_PACKET, &hole, error);

        if (size == 0 ||
            !(hole ? vimg_stream_send_hole(stream, size, error)
                   : vimg_stream_send_file(stream, source->fd, transfer->done, size, error)))
            return FALSE;
        transfer->done += size;
        transfer->sent += hole ? 0 : size;
        vimg_transfer_tick(transfer);
    }
    return vimg_source_check(source, error);
}

static gboolean
send_all(VimgTransfer *transfer, Upload *upload, VimgStream *stream, GError **error)
{
    g_autoptr(GError) local = NULL;

    vimg_stream_set_tick(stream, vimg_transfer_tick, transfer);
    if (send_content(transfer, upload, stream, &local)) {
        transfer->phase = _("storing");
        upload->finished = TRUE;
        if (vimg_stream_finish(stream, &local))
            return TRUE;
        upload->finished = local->domain == VIMG_DAEMON_ERROR && local->code == VIMG_DAEMON_LOST;
    }
    /* what was refused has ended already; anything else must, so that the rest is durable */
    if (local->domain != VIMG_DAEMON_ERROR)
        vimg_stream_abort(stream, NULL);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* A storage that compares what it has needs all of it, and takes it again without storing it. */
static VimgStream *
open_stream(VimgTransfer *transfer, const Upload *upload, GError **error)
{
    vimg_remote_vol vol = vimg_image_id(upload->image);
    g_autoptr(GError) local = NULL;
    VimgStream *stream;

    transfer->done = choose_offset(upload);
    stream = vimg_stream_new(transfer->ctl->daemon, VIMG_REMOTE_VOL_UPLOAD, &vol, transfer->done,
                             TRUE, &local);
    if (stream)
        return stream;
    if (transfer->done == 0 ||
        !g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_ARGUMENT_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    transfer->done = 0;
    return vimg_stream_new(transfer->ctl->daemon, VIMG_REMOTE_VOL_UPLOAD, &vol, 0, TRUE, error);
}

static gboolean
attempt(VimgTransfer *transfer, gpointer data, GError **error)
{
    Upload *upload = data;
    g_autoptr(VimgStream) stream = NULL;

    if (!prepare(transfer, upload, error))
        return FALSE;
    if (is_complete(upload))
        return TRUE; /* it was completed, but we had lost the daemon when it said so */
    upload->tried = TRUE;
    stream = open_stream(transfer, upload, error);
    transfer->streaming = stream != NULL;
    if (!stream)
        return FALSE;
    if (transfer->done == 0 && !remember(transfer, upload, error)) {
        vimg_stream_abort(stream, NULL);
        return FALSE;
    }
    return send_all(transfer, upload, stream, error);
}

/* ---- the command ------------------------------------------------------------------------ */

/* Returns: (transfer full) what an interrupted upload leaves. */
static char *
describe_rest(VimgTransfer *transfer, const Upload *upload)
{
    g_autoptr(VimgImage) image =
        vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, NULL);

    if (!image)
        return g_strdup(_("the same command goes on with it"));
    return vimg_transfer_sizes(transfer,
                               _("%1$s of %2$s are stored; the same command goes on from there"),
                               image->position, upload->source->size);
}

/* The daemon knows of volumes; a user of this command need not delete one and create it. */
static void
add_way_out(VimgTransfer *transfer, const Upload *upload, GError *error)
{
    g_autoptr(VimgImage) image = NULL;
    g_autofree char *said = NULL;

    if (!upload->tried || !transfer->ctl->daemon)
        return;
    image = vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, NULL);
    if (!image || g_strcmp0(image->uuid, upload->image->uuid) != 0 ||
        g_strcmp0(image->state, "error") != 0)
        return;
    said = error->message;
    error->message = g_strdup_printf(_("%s; upload --no-resume begins it anew"), said);
}

int
vimg_cmd_upload(VimgCtl *ctl, int argc, char **argv)
{
    g_autofree char *base = g_path_get_basename(argv[0]);
    g_auto(VimgTransfer) transfer = {0};
    g_autoptr(VimgSource) source = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Upload upload = {.format = vimg_ctl_option(ctl, "format"),
                     .afresh = vimg_ctl_option(ctl, "no-resume") != NULL};
    int code;

    if (!vimg_checksum_option(ctl, &upload.checksum) ||
        !vimg_transfer_init(&transfer, ctl, argc > 2 ? argv[2] : base))
        return VIMG_EXIT_USAGE;
    source = vimg_source_open(argv[0], &error);
    if (source) {
        upload.source = source;
        transfer.total = source->size;
        if (vimg_transfer_run(&transfer, argv[1], attempt, &upload, &error)) {
            forget(upload.image, NULL);
            text = vimg_transfer_sizes(&transfer, _("%1$s uploaded, %2$s of it sent"),
                                       transfer.total, transfer.sent);
        } else if (vimg_transfer_interrupted()) {
            text = describe_rest(&transfer, &upload);
        } else {
            add_way_out(&transfer, &upload, error);
        }
    }
    code = vimg_transfer_end(&transfer, upload.image, text, error);
    vimg_image_free(upload.image);
    vimg_checksum_clear(&upload.checksum);
    return code;
}
