/*
 * aliyunebs.c: images as objects of a bucket, known to a control endpoint
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
#include "direct.h"
#include "find.h"
#include "image.h"
#include "open.h"
#include "promise.h"
#include "reader.h"
#include "store.h"
#include "usage.h"
#include "verify.h"
#include "writer.h"

static gpointer
open_store(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host, GError **error)
{
    return vimg_ebs_open(pool, open_flags, host, error);
}

static void
close_store(gpointer handle)
{
    vimg_ebs_close(handle);
}

static gboolean
update_store(gpointer handle, const VimgPluginPool *pool, GError **error)
{
    return vimg_ebs_update(handle, pool, error);
}

static gboolean
probe_store(gpointer handle, VimgPluginStore *out, GError **error)
{
    return vimg_ebs_probe(handle, out, error);
}

static gboolean
list_images(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ebs_image_list(handle, FALSE, FALSE, sink, data, error);
}

static gboolean
list_whole(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ebs_image_list(handle, FALSE, TRUE, sink, data, error);
}

static gboolean
list_trash(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    return vimg_ebs_image_list(handle, TRUE, FALSE, sink, data, error);
}

static gboolean
create_image(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    return vimg_ebs_image_create(handle, image, out, error);
}

static gboolean
stat_image(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    return vimg_ebs_image_stat(handle, uuid, out, error);
}

static gboolean
remove_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ebs_image_remove(handle, uuid, error);
}

static gboolean
discard_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ebs_image_discard(handle, uuid, error);
}

static gboolean
restore_image(gpointer handle, const char *uuid, const char *name, VimgPluginImage *out,
              GError **error)
{
    return vimg_ebs_image_restore(handle, uuid, name, out, error);
}

static gboolean
keep_image(gpointer handle, const char *uuid, const char *id, gint64 until, GError **error)
{
    return vimg_ebs_keep(handle, uuid, id, until, error);
}

static char *
direct_url(gpointer handle, const char *uuid, gint64 until, VimgPluginJob *job, GError **error)
{
    return vimg_ebs_direct_url(handle, uuid, until, job, error);
}

static gboolean
purge_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ebs_image_purge(handle, uuid, error);
}

static gboolean
resize_image(gpointer handle, const char *uuid, guint64 capacity, GError **error)
{
    return vimg_ebs_image_resize(handle, uuid, capacity, error);
}

static gboolean
wipe_image(gpointer handle, const char *uuid, GError **error)
{
    return vimg_ebs_image_wipe(handle, uuid, error);
}

static gboolean
set_error(gpointer handle, const char *uuid, const char *reason, GError **error)
{
    return vimg_ebs_image_set_error(handle, uuid, reason, error);
}

static gboolean
set_metadata(gpointer handle, const VimgPluginImage *image, GError **error)
{
    return vimg_ebs_image_set_metadata(handle, image, error);
}

static char *
cleanup(gpointer handle, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    return vimg_ebs_cleanup(handle, dry_run, job, error);
}

static gpointer
writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request, VimgPluginJob *job,
            GError **error)
{
    return vimg_ebs_writer_open(handle, uuid, request, job, error);
}

static gboolean
writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return vimg_ebs_writer_write(writer, buffer->data + offset, size, error);
}

static gboolean
writer_hole(gpointer writer, guint64 length, GError **error)
{
    return vimg_ebs_writer_write(writer, NULL, length, error);
}

static gboolean
writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image, VimgPluginImage *out,
              GError **error)
{
    return vimg_ebs_writer_finish(writer, seal, image, out, error);
}

static void
writer_abort(gpointer writer)
{
    vimg_ebs_writer_abort(writer);
}

static void
writer_stat(gpointer writer, guint64 *allocation, guint64 *position)
{
    vimg_ebs_writer_stat(writer, allocation, position);
}

static gpointer
reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length, VimgPluginJob *job,
            GError **error)
{
    return vimg_ebs_reader_open(handle, uuid, offset, length, job, error);
}

static gboolean
reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    return vimg_ebs_reader_next(reader, out, error);
}

static const char *
reader_generation(gpointer reader)
{
    return vimg_ebs_reader_generation(reader);
}

static void
reader_close(gpointer reader)
{
    vimg_ebs_reader_close(reader);
}

static gboolean
clone_image(gpointer handle, const char *source, const VimgPluginImage *image, VimgPluginJob *job,
            VimgPluginImage *out, GError **error)
{
    return vimg_ebs_clone(handle, source, image, job, out, error);
}

static char *
verify(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error)
{
    return vimg_ebs_verify(handle, uuid, job, error);
}

static char *
usage(gpointer handle, VimgPluginJob *job, GError **error)
{
    return vimg_ebs_usage(handle, job, error);
}

static const VimgBackend aliyunebs_backend = {
    VIMG_BACKEND_HEADER,
    .type = "aliyunebs",
    .description = "images as objects of OSS, registered with an EBS control endpoint",
    .source_required = VIMG_SOURCE_HOST | VIMG_SOURCE_NAME | VIMG_SOURCE_AUTH,
    .source_allowed = VIMG_SOURCE_DEVICE,
    .auth_type = VIMG_EBS_AUTH,
    .formats = "raw|qcow2|iso|vmdk|vpc|vdi|vhdx",
    .options = vimg_ebs_options,
    .root_only = TRUE,
    .check = vimg_ebs_check,
    .identity = vimg_ebs_identity,
    .build = vimg_ebs_build,
    .remove = vimg_ebs_remove,
    .find_sources = vimg_ebs_find_sources,
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
    .verify = verify,
    .usage = usage,
    .discard = discard_image,
    .diagnose = vimg_ebs_diagnose,
    .list_whole = list_whole,
    .keep = keep_image,
    .direct_url = direct_url,
};

/*
 * The first parser registers its class by locks of GLib that ThreadSanitizer cannot see: done here,
 * where one thread loads the backend, it is not done by two that open stores at once.
 */
const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    g_autoptr(JsonParser) first = json_parser_new_immutable();

    vimg_ebs_services = services;
    if (!json_parser_load_from_data(first, "{}", 2, error))
        return NULL;
    return &aliyunebs_backend;
}
