/*
 * ceph.c: images in a Ceph cluster
 *
 * Only the table of callbacks; what each does is in the files beside this one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "cleanup.h"
#include "clone.h"
#include "definition.h"
#include "diagnose.h"
#include "diff.h"
#include "flatten.h"
#include "foreign.h"
#include "image.h"
#include "open.h"
#include "promise.h"
#include "reader.h"
#include "remote.h"
#include "store.h"
#include "trash.h"
#include "usage.h"
#include "verify.h"
#include "writer.h"

static gpointer
open_store(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host, GError **error)
{
    return vimg_ceph_open(pool, host, error);
}

static void
close_store(gpointer handle)
{
    vimg_ceph_close(handle);
}

static gboolean
update_store(gpointer handle, const VimgPluginPool *pool, GError **error)
{
    return vimg_ceph_update(handle, pool, error);
}

static gboolean
probe_store(gpointer handle, VimgPluginStore *out, GError **error)
{
    return vimg_ceph_probe(handle, out, error);
}

static gboolean
list_images(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ceph_image_list(handle, sink, data, error);
}

static gboolean
list_whole(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ceph_image_list_whole(handle, sink, data, error);
}

static gboolean
list_trash(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ceph_trash_list(handle, sink, data, error);
}

static gboolean
create_image(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    return vimg_ceph_image_create(handle, image, out, error);
}

static gboolean
stat_image(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    return vimg_ceph_image_stat(handle, uuid, out, error);
}

static gboolean
remove_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ceph_image_remove(handle, uuid, error);
}

static gboolean
discard_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ceph_image_discard(handle, uuid, error);
}

static gboolean
restore_image(gpointer handle, const char *uuid, const char *name, VimgPluginImage *out,
              GError **error)
{
    return vimg_ceph_trash_restore(handle, uuid, name, out, error);
}

static gboolean
purge_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ceph_trash_purge(handle, uuid, error);
}

static gboolean
resize_image(gpointer handle, const char *uuid, guint64 capacity, GError **error)
{
    return vimg_ceph_image_resize(handle, uuid, capacity, error);
}

static gboolean
wipe_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ceph_image_wipe(handle, uuid, error);
}

static gboolean
set_error(gpointer handle, const char *uuid, const char *reason, GError **error)
{
    return vimg_ceph_image_set_error(handle, uuid, reason, error);
}

static gboolean
set_metadata(gpointer handle, const VimgPluginImage *image, GError **error)
{
    return vimg_ceph_image_set_metadata(handle, image, error);
}

static char *
cleanup(gpointer handle, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    return vimg_ceph_cleanup(handle, dry_run, job, error);
}

static gpointer
writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request, VimgPluginJob *job,
            GError **error)
{
    return vimg_ceph_writer_open(handle, uuid, request, job, error);
}

static gboolean
writer_format(gpointer writer, const char *format, GError **error)
{
    vimg_ceph_writer_format(writer, format);
    return TRUE;
}

static gboolean
writer_read(gpointer writer, guint64 offset, gsize size, VimgExtent *out, GError **error)
{
    return vimg_ceph_writer_read(writer, offset, size, out, error);
}

static gboolean
writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return vimg_ceph_writer_write(writer, buffer, offset, size, error);
}

static gboolean
writer_hole(gpointer writer, guint64 length, GError **error)
{
    return vimg_ceph_writer_write(writer, NULL, 0, length, error);
}

static gboolean
writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image, VimgPluginImage *out,
              GError **error)
{
    return vimg_ceph_writer_finish(writer, seal, image, out, error);
}

static void
writer_abort(gpointer writer)
{
    vimg_ceph_writer_abort(writer);
}

static void
writer_stat(gpointer writer, guint64 *allocation, guint64 *position)
{
    vimg_ceph_writer_stat(writer, allocation, position);
}

static gpointer
reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length, VimgPluginJob *job,
            GError **error)
{
    return vimg_ceph_reader_open(handle, uuid, offset, length, job, error);
}

static gboolean
reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    return vimg_ceph_reader_next(reader, out, error);
}

static const char *
reader_generation(gpointer reader)
{
    return vimg_ceph_reader_generation(reader);
}

static void
reader_close(gpointer reader)
{
    vimg_ceph_reader_close(reader);
}

static gboolean
zeros(gpointer handle, const char *uuid, VimgZerosSink sink, gpointer data, VimgPluginJob *job,
      GError **error)
{
    return vimg_ceph_reader_zeros(handle, uuid, sink, data, job, error);
}

static gboolean
keep(gpointer handle, const char *uuid, const char *id, gint64 until, GError **error)
{
    return vimg_ceph_keep(handle, uuid, id, until, error);
}

static gboolean
clone_image(gpointer handle, const char *source, const VimgPluginImage *image, VimgPluginJob *job,
            VimgPluginImage *out, GError **error)
{
    return vimg_ceph_clone(handle, source, image, job, out, error);
}

static gboolean
clone_from(gpointer handle, gpointer from, const char *source, const VimgPluginImage *image,
           VimgPluginJob *job, VimgPluginImage *out, GError **error)
{
    return vimg_ceph_clone_from(handle, from, source, image, job, out, error);
}

static char *
usage(gpointer handle, VimgPluginJob *job, GError **error)
{
    return vimg_ceph_usage(handle, job, error);
}

static char *
diff(gpointer handle, const char *from, const char *to, VimgPluginJob *job, GError **error)
{
    return vimg_ceph_diff(handle, from, to, job, error);
}

static gboolean
flatten_image(gpointer handle, const char *uuid, VimgPluginJob *job, VimgPluginImage *out,
              GError **error)
{
    return vimg_ceph_flatten(handle, uuid, job, out, error);
}

static char *
verify(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error)
{
    return vimg_ceph_verify(handle, uuid, job, error);
}

static const VimgBackend ceph_backend = {
    VIMG_BACKEND_HEADER,
    .type = "ceph",
    .description = "images of RBD in a Ceph cluster",
    .source_allowed = VIMG_SOURCE_HOSTS | VIMG_SOURCE_NAME | VIMG_SOURCE_AUTH,
    .auth_type = VIMG_CEPH_AUTH,
    .formats = "raw|qcow2|iso|vmdk|vpc|vdi|vhdx",
    .options = vimg_ceph_options,
    .check = vimg_ceph_check,
    .identity = vimg_ceph_identity,
    .build = vimg_ceph_build,
    .remove = vimg_ceph_remove,
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
    .writer_format = writer_format,
    .writer_read = writer_read,
    .reader_open = reader_open,
    .reader_next = reader_next,
    .reader_close = reader_close,
    .reader_generation = reader_generation,
    .clone = clone_image,
    .cleanup = cleanup,
    .verify = verify,
    .discard = discard_image,
    .usage = usage,
    .diff = diff,
    .diagnose = vimg_ceph_diagnose,
    .host_key_accept = vimg_ceph_host_key_accept,
    .list_whole = list_whole,
    .flatten = flatten_image,
    .location = vimg_ceph_pool_name,
    .clone_from = clone_from,
    .zeros = zeros,
    .keep = keep,
    .foreign_type = VIMG_CEPH_FOREIGN,
    .foreign_open = vimg_ceph_foreign_open,
    .foreign_close = vimg_ceph_foreign_close,
    .foreign_writer = vimg_ceph_foreign_writer,
    .foreign_write = vimg_ceph_foreign_write,
    .foreign_finish = vimg_ceph_foreign_finish,
    .foreign_abort = vimg_ceph_foreign_abort,
    .foreign_reader = vimg_ceph_foreign_reader,
    .foreign_next = vimg_ceph_foreign_next,
    .foreign_reader_close = vimg_ceph_foreign_reader_close,
    .foreign_clone = vimg_ceph_foreign_clone,
    .foreign_identity = vimg_ceph_foreign_identity,
    .foreign_image = vimg_ceph_foreign_image,
    .foreign_hold = vimg_ceph_foreign_hold,
    .foreign_drop = vimg_ceph_foreign_drop,
    .foreign_reader_at = vimg_ceph_foreign_reader_at,
    .foreign_next_at = vimg_ceph_foreign_next_at,
    .foreign_close_at = vimg_ceph_foreign_close_at,
    .foreign_fresh = vimg_ceph_foreign_fresh,
    .foreign_take_place = vimg_ceph_foreign_take_place,
    .foreign_settle = vimg_ceph_foreign_settle,
};

/*
 * The first parser registers its class by locks of GLib that ThreadSanitizer cannot see: done here,
 * where one thread loads the backend, it is not done by two that open stores at once.
 */
const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    g_autoptr(JsonParser) first = json_parser_new_immutable();

    vimg_ceph_services = services;
    if (!json_parser_load_from_data(first, "{}", 2, error))
        return NULL;
    return &ceph_backend;
}
