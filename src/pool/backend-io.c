/*
 * backend-io.c: content of images, in and out
 *
 * A writer or reader holds a reference on its storage, so a pool may be stopped under it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

struct _VimgWriter {
    VimgStore *store;
    char *uuid;
    char *name; /* for messages */
    gpointer handle;
};

struct _VimgReader {
    VimgStore *store;
    char *name; /* for messages */
    gpointer handle;
    gboolean (*next)(gpointer handle, VimgExtent *out, GError **error);
    void (*close)(gpointer handle);
    const char *generation; /* of the image, if it is one and that is known */
    guint64 left;           /* bytes that may still come */
    gboolean all;           /* they must */
    gboolean done;          /* the end was reported, or an error */
};

/* What the callbacks of @store that open content are given. */
static gpointer
content_handle(VimgStore *store)
{
    return store->type->table.content ? store : store->handle;
}

/* ---- writers ---------------------------------------------------------------------------- */

/* Not the backend's part: that is finished or aborted before. */
static void
writer_free(VimgWriter *writer)
{
    vimg_store_unref(writer->store);
    g_free(writer->uuid);
    g_free(writer->name);
    g_free(writer);
}

VimgWriter *
vimg_writer_open(VimgStore *store, const char *uuid, const VimgWriteRequest *request,
                 VimgPluginJob *job, GError **error)
{
    g_autofree char *name = vimg_store_image_name(store, uuid);
    VimgWriteRequest sized = *request;
    GError *local = NULL;
    VimgWriter *writer;
    gpointer handle;

    if (!vimg_store_can_write(store)) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                   _("storage pool doesn't support volume upload"));
        return NULL;
    }
    sized.size = sizeof(sized);
    handle = store->type->table.writer_open(content_handle(store), uuid, &sized, job, &local);
    if (!vimg_type_settle(store->type, handle != NULL, local, name, error))
        return NULL;
    writer = g_new0(VimgWriter, 1);
    writer->store = vimg_store_ref(store);
    writer->uuid = g_strdup(uuid);
    writer->name = g_steal_pointer(&name);
    writer->handle = handle;
    return writer;
}

gboolean
vimg_writer_format(VimgWriter *writer, const char *format, GError **error)
{
    const VimgType *type = writer->store->type;
    GError *local = NULL;
    gboolean ok;

    if (!type->table.writer_format)
        return TRUE;
    ok = type->table.writer_format(writer->handle, format, &local);
    return vimg_type_settle(type, ok, local, writer->name, error);
}

static const char *
extent_lie(const VimgExtent *extent, guint64 most)
{
    const VimgBuffer *data = extent->data;

    if (extent->length == 0)
        return data ? "an end with data" : NULL;
    if (extent->length > most)
        return "more content than was asked for";
    if (data && (extent->offset > data->size || extent->length > data->size - extent->offset))
        return "content outside of its buffer";
    return NULL;
}

gboolean
vimg_writer_read(VimgWriter *writer, guint64 offset, guint64 size, VimgExtent *out, GError **error)
{
    const VimgType *type = writer->store->type;
    VimgExtent extent = {0};
    GError *local = NULL;
    const char *lie;
    gboolean ok;

    *out = extent;
    /* on failure nothing of @extent is ours */
    ok = type->table.writer_read(writer->handle, offset, size, &extent, &local);
    if (!vimg_type_settle(type, ok, local, writer->name, error))
        return FALSE;
    lie = extent.length > 0 ? extent_lie(&extent, size) : "less content than it has";
    if (lie) {
        vimg_buffer_unref(extent.data);
        return vimg_type_nonsense(type, writer->name, error, "%s", lie);
    }
    *out = extent;
    return TRUE;
}

gboolean
vimg_writer_write(VimgWriter *writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    const VimgType *type = writer->store->type;
    GError *local = NULL;
    gboolean ok;

    g_assert(offset <= buffer->size && size <= buffer->size - offset);
    if (size == 0)
        return TRUE;
    ok = type->table.writer_write(writer->handle, buffer, offset, size, &local);
    return vimg_type_settle(type, ok, local, writer->name, error);
}

gboolean
vimg_writer_hole(VimgWriter *writer, guint64 length, GError **error)
{
    const VimgType *type = writer->store->type;
    GError *local = NULL;
    gboolean ok;

    if (length == 0)
        return TRUE;
    ok = type->table.writer_hole(writer->handle, length, &local);
    return vimg_type_settle(type, ok, local, writer->name, error);
}

/* A sealed image that is not active, or the reverse, would be shown in the wrong state for ever. */
static gboolean
check_finished(VimgWriter *writer, gboolean seal, VimgPluginImage *out, GError **error)
{
    if (!vimg_store_accept(writer->store, out, writer->uuid, NULL, error))
        return FALSE;
    if (out->state == (seal ? VIMG_IMAGE_ACTIVE : VIMG_IMAGE_SAVING))
        return TRUE;
    vimg_plugin_image_clear(out);
    return vimg_type_nonsense(writer->store->type, writer->name, error,
                              "a finished upload in the wrong state");
}

gboolean
vimg_writer_finish(VimgWriter *writer, gboolean seal, const VimgPluginImage *image,
                   VimgPluginImage *out, GError **error)
{
    const VimgType *type = writer->store->type;
    GError *local = NULL;
    gboolean ok = type->table.writer_finish(writer->handle, seal, image, out, &local);

    ok = vimg_type_settle(type, ok, local, writer->name, error) &&
         check_finished(writer, seal, out, error);
    writer_free(writer);
    return ok;
}

void
vimg_writer_abort(VimgWriter *writer)
{
    if (!writer)
        return;
    writer->store->type->table.writer_abort(writer->handle);
    writer_free(writer);
}

gboolean
vimg_writer_stat(VimgWriter *writer, guint64 *allocation, guint64 *position)
{
    const VimgBackend *table = &writer->store->type->table;
    guint64 taken = 0;
    guint64 reached = 0;

    if (!table->writer_stat)
        return FALSE;
    table->writer_stat(writer->handle, &taken, &reached);
    if (taken > G_MAXINT64 || reached > G_MAXINT64) {
        vimg_type_complain(writer->store->type, "impossible sizes of a running upload");
        return FALSE;
    }
    *allocation = taken;
    *position = reached;
    return TRUE;
}

guint64
vimg_writer_reserved(VimgWriter *writer)
{
    const VimgBackend *table = &writer->store->type->table;

    return table->writer_reserved ? MIN(table->writer_reserved(writer->handle), G_MAXINT64) : 0;
}

/* ---- readers ---------------------------------------------------------------------------- */

static VimgReader *
reader_new(VimgStore *store, const char *name, gpointer handle, guint64 length)
{
    VimgReader *reader = g_new0(VimgReader, 1);

    reader->store = vimg_store_ref(store);
    reader->name = g_strdup(name);
    reader->handle = handle;
    reader->next = store->type->table.reader_next;
    reader->close = store->type->table.reader_close;
    reader->left = length;
    return reader;
}

VimgReader *
vimg_reader_open(VimgStore *store, const char *uuid, guint64 offset, guint64 length,
                 VimgPluginJob *job, GError **error)
{
    g_autofree char *name = vimg_store_image_name(store, uuid);
    GError *local = NULL;
    gpointer handle =
        store->type->table.reader_open(content_handle(store), uuid, offset, length, job, &local);
    VimgReader *reader;

    if (!vimg_type_settle(store->type, handle != NULL, local, name, error))
        return NULL;
    reader = reader_new(store, name, handle, length > 0 ? length : G_MAXINT64);
    reader->all = length > 0;
    if (store->type->table.reader_generation)
        reader->generation = store->type->table.reader_generation(handle);
    return reader;
}

gboolean
vimg_reader_is_of(const VimgReader *reader, const char *generation)
{
    return !generation || !reader->generation || strcmp(reader->generation, generation) == 0;
}

VimgReader *
vimg_reader_open_pulled(VimgStore *store, gpointer content, const char *name, guint64 offset,
                        guint64 length, VimgPluginJob *job, GError **error)
{
    const VimgType *type = store->type;
    GError *local = NULL;
    VimgReader *reader;
    gpointer handle;

    if (!type->table.pulled_open) {
        vimg_type_nonsense(type, name, error, "a copy that cannot be read");
        return NULL;
    }
    handle = type->table.pulled_open(content, offset, length, job, &local);
    if (!vimg_type_settle(type, handle != NULL, local, name, error))
        return NULL;
    reader = reader_new(store, name, handle, length);
    reader->all = TRUE;
    return reader;
}

VimgReader *
vimg_reader_open_file(VimgStore *store, const char *origin, const char *name, guint64 offset,
                      VimgPluginJob *job, GError **error)
{
    const VimgBackend *table = &store->type->table;
    GError *local = NULL;
    gpointer handle = table->file_open(store->handle, origin, offset, job, &local);
    VimgReader *reader;

    if (!vimg_type_settle(store->type, handle != NULL, local, name, error))
        return NULL;
    reader = reader_new(store, name, handle, G_MAXINT64);
    reader->next = table->file_next;
    reader->close = table->file_close;
    return reader;
}

gboolean
vimg_reader_next(VimgReader *reader, VimgExtent *out, GError **error)
{
    const VimgType *type = reader->store->type;
    VimgExtent extent = {0};
    GError *local = NULL;
    const char *lie;
    gboolean ok;

    *out = extent;
    if (reader->done)
        return TRUE;
    /* on failure nothing of @extent is ours */
    ok = reader->next(reader->handle, &extent, &local);
    if (ok && !local && extent.length == 0 && !extent.data && reader->all && reader->left > 0)
        ok = vimg_throw(&local, VIMG_ERROR_DAMAGED, "%s", _("its content is shorter than it was"));
    if (!vimg_type_settle(type, ok, local, reader->name, error))
        return FALSE;
    lie = extent_lie(&extent, reader->left);
    if (lie) {
        vimg_buffer_unref(extent.data);
        return vimg_type_nonsense(type, reader->name, error, "%s", lie);
    }
    reader->left -= extent.length;
    reader->done = extent.length == 0;
    *out = extent;
    return TRUE;
}

void
vimg_reader_close(VimgReader *reader)
{
    if (!reader)
        return;
    reader->close(reader->handle);
    vimg_store_unref(reader->store);
    g_free(reader->name);
    g_free(reader);
}
