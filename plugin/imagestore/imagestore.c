/*
 * imagestore.c: images as slices in a directory, named by their content
 *
 * Only the table of callbacks; what each does is in the files beside this one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "account.h"
#include "adopt.h"
#include "clone.h"
#include "collect.h"
#include "diagnose.h"
#include "diff.h"
#include "find.h"
#include "image.h"
#include "json.h"
#include "open.h"
#include "promise.h"
#include "pull.h"
#include "reader.h"
#include "remote.h"
#include "store.h"
#include "trash.h"
#include "verify.h"
#include "way.h"
#include "writer.h"

/* An answer of @handle, a store: what is out of reach says why. */
static gboolean
told(gpointer handle, gboolean done, GError **error)
{
    return vimg_slice_store_explain(handle, done, error);
}

static gpointer
open_store(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host, GError **error)
{
    return vimg_imagestore_open(pool, open_flags, host, error);
}

static void
close_store(gpointer handle)
{
    vimg_slice_store_free(handle);
}

static gboolean
update_store(gpointer handle, const VimgPluginPool *pool, GError **error)
{
    return vimg_imagestore_update(handle, pool, error);
}

static gboolean
probe_store(gpointer handle, VimgPluginStore *out, GError **error)
{
    return vimg_slice_store_probe(handle, out, error);
}

static gboolean
list_images(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return told(handle, vimg_image_list(handle, sink, data, error), error);
}

static gboolean
list_trash(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return told(handle, vimg_trash_list(handle, sink, data, error), error);
}

static gboolean
create_image(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    return told(handle, vimg_image_create(handle, image, out, error), error);
}

static gboolean
stat_image(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    return told(handle, vimg_image_stat(handle, uuid, out, error), error);
}

static gboolean
remove_image(gpointer handle, const char *uuid, GError **error)
{
    return told(handle, vimg_image_remove(handle, uuid, error), error);
}

static gboolean
discard_image(gpointer handle, const char *uuid, GError **error)
{
    return told(handle, vimg_image_discard(handle, uuid, error), error);
}

static gboolean
restore_image(gpointer handle, const char *uuid, const char *name, VimgPluginImage *out,
              GError **error)
{
    return told(handle, vimg_trash_restore(handle, uuid, name, out, error), error);
}

static gboolean
purge_image(gpointer handle, const char *uuid, GError **error)
{
    return told(handle, vimg_trash_purge(handle, uuid, error), error);
}

static gboolean
resize_image(gpointer handle, const char *uuid, guint64 capacity, GError **error)
{
    return told(handle, vimg_image_resize(handle, uuid, capacity, error), error);
}

static gboolean
wipe_image(gpointer handle, const char *uuid, GError **error)
{
    return told(handle, vimg_image_wipe(handle, uuid, error), error);
}

static gboolean
set_error(gpointer handle, const char *uuid, const char *reason, GError **error)
{
    return told(handle, vimg_image_set_error(handle, uuid, reason, error), error);
}

static gboolean
set_metadata(gpointer handle, const VimgPluginImage *image, GError **error)
{
    return told(handle, vimg_image_set_metadata(handle, image, error), error);
}

static gpointer
writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request, VimgPluginJob *job,
            GError **error)
{
    gpointer writer = vimg_slice_writer_open(handle, uuid, request, job, error);

    told(handle, writer != NULL, error);
    return writer;
}

static gboolean
writer_format(gpointer writer, const char *format, GError **error)
{
    return vimg_slice_writer_format(writer, format, error);
}

static gboolean
writer_read(gpointer writer, guint64 offset, gsize size, VimgExtent *out, GError **error)
{
    return told(vimg_slice_writer_store(writer),
                vimg_slice_writer_read(writer, offset, size, out, error), error);
}

static gboolean
writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return told(vimg_slice_writer_store(writer),
                vimg_slice_writer_write(writer, buffer, offset, size, error), error);
}

static gboolean
writer_hole(gpointer writer, guint64 length, GError **error)
{
    return told(vimg_slice_writer_store(writer), vimg_slice_writer_hole(writer, length, error),
                error);
}

static gboolean
writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image, VimgPluginImage *out,
              GError **error)
{
    VimgSliceStore *store = vimg_slice_writer_store(writer);

    return told(store, vimg_slice_writer_finish(writer, seal, image, out, error), error);
}

static void
writer_abort(gpointer writer)
{
    vimg_slice_writer_abort(writer);
}

static void
writer_stat(gpointer writer, guint64 *allocation, guint64 *position)
{
    vimg_slice_writer_stat(writer, allocation, position);
}

static guint64
writer_reserved(gpointer writer)
{
    return vimg_slice_writer_reserved(writer);
}

static gpointer
reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length, VimgPluginJob *job,
            GError **error)
{
    gpointer reader = vimg_slice_reader_open(handle, uuid, offset, length, job, error);

    told(handle, reader != NULL, error);
    return reader;
}

static gboolean
zeros(gpointer handle, const char *uuid, VimgZerosSink sink, gpointer data, VimgPluginJob *job,
      GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);

    return told(handle, vimg_slice_reader_zeros(handle, uuid, sink, data, error), error);
}

static gboolean
keep(gpointer handle, const char *uuid, const char *id, gint64 until, GError **error)
{
    return told(handle, vimg_promise_keep(handle, uuid, id, until, error), error);
}

static gboolean
reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    return told(vimg_slice_reader_store(reader), vimg_slice_reader_next(reader, out, error), error);
}

static const char *
reader_generation(gpointer reader)
{
    return vimg_slice_reader_generation(reader);
}

static void
reader_close(gpointer reader)
{
    vimg_slice_reader_close(reader);
}

static gboolean
clone_image(gpointer handle, const char *source, const VimgPluginImage *image, VimgPluginJob *job,
            VimgPluginImage *out, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);

    return told(handle, vimg_clone(handle, source, image, job, out, error), error);
}

static gboolean
pull_image(gpointer handle, const char *uuid, gpointer source, const char *from,
           const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent, VimgPluginImage *out,
           GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);

    return told(
        source,
        told(handle, vimg_pull(handle, uuid, source, from, request, job, sent, out, error), error),
        error);
}

static gpointer
pulled_open(gpointer content, guint64 offset, guint64 length, VimgPluginJob *job, GError **error)
{
    return vimg_pulled_open(content, offset, length, job, error);
}

static gboolean
same_image(gpointer handle, const char *uuid, gpointer source, const char *from, gboolean *same,
           GError **error)
{
    return told(source,
                told(handle, vimg_pull_same(handle, uuid, source, from, same, error), error),
                error);
}

static gboolean
list_whole(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return told(handle, vimg_image_list_whole(handle, sink, data, error), error);
}

static char *
cleanup(gpointer handle, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);
    char *report = vimg_collect(handle, dry_run, VIMG_COLLECT_PATIENCE, job, error);

    told(handle, report != NULL, error);
    return report;
}

static char *
verify_images(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);
    char *report = vimg_verify(handle, uuid, job, error);

    told(handle, report != NULL, error);
    return report;
}

static char *
account(gpointer handle, VimgPluginJob *job, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);
    char *report = vimg_account(handle, job, error);

    told(handle, report != NULL, error);
    return report;
}

static char *
diff_images(gpointer handle, const char *from, const char *to, VimgPluginJob *job, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);
    char *report = vimg_diff(handle, from, to, job, error);

    told(handle, report != NULL, error);
    return report;
}

static gboolean
file_list(gpointer handle, VimgFileSink sink, gpointer data, VimgPluginJob *job, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(job);

    return told(handle, vimg_adopt_list(handle, sink, data, job, error), error);
}

static gpointer
file_open(gpointer handle, const char *origin, guint64 offset, VimgPluginJob *job, GError **error)
{
    gpointer file = vimg_file_reader_open(handle, origin, offset, job, error);

    told(handle, file != NULL, error);
    return file;
}

static gboolean
file_next(gpointer file, VimgExtent *out, GError **error)
{
    return told(vimg_file_reader_store(file), vimg_file_reader_next(file, out, error), error);
}

static void
file_close(gpointer file)
{
    vimg_file_reader_close(file);
}

static const VimgPluginOption options[] = {
    {"slice", "size", VIMG_OPTION_UINT, VIMG_SLICE_SIZE_MIN, VIMG_SLICE_SIZE_MAX, NULL, "1048576"},
    {"slice", "compression", VIMG_OPTION_UINT, 1, 9, NULL, "1"},
    {"ssh", "hostKey", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"ssh", "policy", VIMG_OPTION_ENUM, 0, 0, "known|accept-new", "known"},
    {"ssh", "identity", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"ssh", "connections", VIMG_OPTION_UINT, 1, 8, NULL, "4"},
    {"verify", "rate", VIMG_OPTION_UINT, 0, G_MAXINT64, NULL, "104857600"},
    {NULL},
};

static const VimgBackend imagestore_backend = {
    VIMG_BACKEND_HEADER,
    .type = "imagestore",
    .description = "content-addressed slices in a directory",
    .source_required = VIMG_SOURCE_DIR,
    .source_allowed = VIMG_SOURCE_HOSTS | VIMG_SOURCE_AUTH,
    .auth_type = VIMG_REMOTE_AUTH,
    .formats = "raw|qcow2|iso|vmdk|vpc|vdi|vhdx",
    .options = options,
    .check = vimg_imagestore_check,
    .identity = vimg_imagestore_identity,
    .build = vimg_imagestore_build,
    .remove = vimg_imagestore_remove,
    .find_sources = vimg_imagestore_find,
    .open = open_store,
    .close = close_store,
    .update = update_store,
    .probe = probe_store,
    .list = list_images,
    .list_trash = list_trash,
    .create = create_image,
    .stat = stat_image,
    .remove_image = remove_image,
    .restore = restore_image,
    .purge = purge_image,
    .resize = resize_image,
    .wipe = wipe_image,
    .set_error = set_error,
    .set_metadata = set_metadata,
    .writer_open = writer_open,
    .writer_write = writer_write,
    .writer_hole = writer_hole,
    .writer_finish = writer_finish,
    .writer_abort = writer_abort,
    .writer_stat = writer_stat,
    .reader_open = reader_open,
    .reader_next = reader_next,
    .reader_close = reader_close,
    .reader_generation = reader_generation,
    .clone = clone_image,
    .cleanup = cleanup,
    .verify = verify_images,
    .writer_format = writer_format,
    .writer_read = writer_read,
    .file_list = file_list,
    .file_open = file_open,
    .file_next = file_next,
    .file_close = file_close,
    .discard = discard_image,
    .writer_reserved = writer_reserved,
    .host_key_accept = vimg_way_accept,
    .usage = account,
    .diff = diff_images,
    .diagnose = vimg_diagnose,
    .pull = pull_image,
    .same = same_image,
    .list_whole = list_whole,
    .pulled_open = pulled_open,
    .zeros = zeros,
    .keep = keep,
};

/*
 * The first parser registers its class by locks of GLib that ThreadSanitizer cannot see: done here,
 * where one thread loads the backend, it is not done by two that open stores at once.
 */
const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    g_autoptr(JsonObject) first = NULL;

    vimg_services = services;
    first = vimg_json_parse((const guint8 *)"{}", 2, error);
    if (!first)
        return NULL;
    return &imagestore_backend;
}
