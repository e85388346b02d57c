/*
 * memory.c: a complete backend whose storages are in memory, and which fails or hangs when told
 *
 * Storages live as long as the process, so a model made anew finds what the last one left.  Two
 * handles may have one storage open.  Built twice: as "memory", and as "memcopy", which cannot
 * clone by itself, nor read what an earlier upload left, and has neither trash nor upkeep.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "memory-private.h"

#ifndef MEMORY_TYPE
#define MEMORY_TYPE "memory"
#endif
#ifdef MEMORY_PLAIN
#define KEEPS_DELETED FALSE
#else
#define KEEPS_DELETED TRUE
#endif

typedef struct {
    Handle *handle;
    char *uuid;
    VimgPluginJob *job;
    guint64 at; /* offset of the next byte */
} Writer;

typedef struct {
    Handle *handle;
    char *uuid;
    VimgPluginJob *job;
    guint64 at, end;
} Reader;

/* ---- pools ------------------------------------------------------------------------------ */

static char *
memory_identity(const VimgPluginPool *pool)
{
    return g_strdup_printf("dir:%s", pool->dir);
}

static gboolean
memory_build(const VimgPluginPool *pool, guint32 flags, VimgPluginJob *job, GError **error)
{
    Storage *storage;

    if (!mem_gate(pool->dir, "build", job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(pool->dir);
    if (storage->id) {
        pthread_mutex_unlock(&mem_lock);
        return mem_refuse(error, VIMG_ERROR_POOL_BUILT, pool->dir);
    }
    if (pool->store_id && !(flags & VIMG_BUILD_OVERWRITE)) {
        pthread_mutex_unlock(&mem_lock);
        return mem_refuse(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    }
    storage->id = g_uuid_string_random();
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

static gboolean
memory_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    if (!mem_gate(pool->dir, "remove", job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    g_hash_table_remove(mem_storages, pool->dir);
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

static char *
memory_find_sources(const VimgPluginPool *pool, GError **error)
{
    char *found;

    if (!pool->dir) {
        mem_refuse(error, VIMG_ERROR_INVALID_ARG, "a directory is needed");
        return NULL;
    }
    if (pool->n_hosts > 0 && !pool->auth_type) {
        mem_refuse(error, VIMG_ERROR_AUTH, "nobody is let in");
        return NULL;
    }
    if (!mem_gate(pool->dir, "find_sources", NULL, error))
        return NULL;
    found = g_markup_printf_escaped("  <source><dir path='%s'/></source>\n", pool->dir);
    return found;
}

static gboolean
check_network(const VimgPluginPool *pool, GError **error)
{
    if (pool->data_network && strcmp(pool->data_network, "192.0.2.0/24") == 0)
        return mem_refuse(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "that network is for documents");
    return TRUE;
}

/* One the pool had and that is gone is not made again; one it never had only on demand. */
static gboolean
ready(Storage *storage, const VimgPluginPool *pool, guint32 flags, GError **error)
{
    if (storage->id)
        return TRUE;
    if (pool->store_id)
        return mem_refuse(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    if (!(flags & VIMG_OPEN_CREATE))
        return mem_refuse(error, VIMG_ERROR_DISCONNECTED, "there is no storage");
    storage->id = g_uuid_string_random();
    return TRUE;
}

static gpointer
memory_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    Handle *handle = NULL;
    Storage *storage;

    if (!mem_gate(pool->dir, "open", NULL, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(pool->dir);
    if (ready(storage, pool, flags, error)) {
        handle = g_new0(Handle, 1);
        handle->dir = g_strdup(pool->dir);
        handle->host = host;
        storage->host = host;
        storage->opens++;
        mem_show(storage, pool);
    }
    pthread_mutex_unlock(&mem_lock);
    return handle;
}

static void
memory_close(gpointer data)
{
    Handle *handle = data;
    Storage *storage;

    mem_gate(handle->dir, "close", NULL, NULL);
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    if (storage->opens > 0)
        storage->opens--;
    if (storage->host == handle->host)
        storage->host = NULL;
    pthread_mutex_unlock(&mem_lock);
    g_free(handle->dir);
    g_free(handle);
}

static gboolean
memory_update(gpointer data, const VimgPluginPool *pool, GError **error)
{
    Handle *handle = data;
    Storage *storage;

    if (!mem_gate(handle->dir, "update", NULL, error) || !check_network(pool, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    mem_show(storage, pool);
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

static gboolean
memory_probe(gpointer data, VimgPluginStore *out, GError **error)
{
    Handle *handle = data;
    Storage *storage;
    GHashTableIter iter;
    gpointer value;

    if (!mem_gate(handle->dir, "probe", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    if (!storage->id) {
        pthread_mutex_unlock(&mem_lock);
        return mem_refuse(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    }
    out->store_id = g_strdup(storage->id);
    out->capacity = G_GUINT64_CONSTANT(1) << 30;
    out->read_only = storage->read_only;
    g_hash_table_iter_init(&iter, storage->images);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        out->allocation += ((Image *)value)->info.allocation;
    out->available = storage->room > 0 ? storage->room : out->capacity - out->allocation;
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

static gboolean
memory_list(gpointer data, VimgImageSink sink, gpointer sink_data, GError **error)
{
    Handle *handle = data;
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(VimgPluginImage));
    GHashTableIter iter;
    gpointer value;
    gboolean going = TRUE;
    guint i;

    pthread_mutex_lock(&mem_lock);
    g_hash_table_iter_init(&iter, mem_get_storage(handle->dir)->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPluginImage copy = VIMG_PLUGIN_IMAGE_INIT;

        mem_copy_info(&copy, &((Image *)value)->info);
        g_array_append_val(list, copy);
    }
    pthread_mutex_unlock(&mem_lock);
    /* hangs with what it saw already read: a listing that is old when it arrives */
    if (!mem_gate(handle->dir, "list", NULL, error))
        going = FALSE;
    for (i = 0; i < list->len; i++) {
        VimgPluginImage *image = &g_array_index(list, VimgPluginImage, i);

        going = going && sink(image, sink_data);
        vimg_plugin_image_clear(image);
    }
    return !error || !*error;
}

/* ---- images ----------------------------------------------------------------------------- */

static gboolean
memory_create(gpointer data, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    Handle *handle = data;
    Storage *storage;

    if (!mem_gate(handle->dir, "create", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    if (mem_find_name(storage, image->name) ||
        (image->origin && g_hash_table_contains(storage->adopted, image->origin))) {
        pthread_mutex_unlock(&mem_lock);
        return mem_refuse(error, VIMG_ERROR_VOL_EXISTS, image->name);
    }
    mem_copy_info(out, &mem_add_image(storage, image)->info);
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

static gboolean
memory_stat(gpointer data, const char *uuid, VimgPluginImage *out, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!mem_gate(handle->dir, "stat", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(handle->dir, uuid, error);
    if (image)
        mem_copy_info(out, &image->info);
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static gboolean
memory_remove_image(gpointer data, const char *uuid, GError **error)
{
    Handle *handle = data;
    Storage *storage;
    Image *image;

    if (!mem_gate(handle->dir, "remove_image", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    image = mem_find_image(handle->dir, uuid, error);
    if (image && image->info.state == VIMG_IMAGE_ACTIVE && image->info.origin)
        g_hash_table_add(storage->adopted, g_strdup(image->info.origin));
    if (image && image->info.state == VIMG_IMAGE_ACTIVE && KEEPS_DELETED) {
        image->info.deleted = g_get_real_time() / G_USEC_PER_SEC;
        mem_move(storage->images, storage->trash, image);
    } else if (image) {
        g_hash_table_remove(storage->images, image->info.uuid);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static gboolean
memory_resize(gpointer data, const char *uuid, guint64 capacity, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!mem_gate(handle->dir, "resize", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(handle->dir, uuid, error);
    if (image)
        image->info.capacity = capacity;
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static gboolean
memory_wipe(gpointer data, const char *uuid, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!mem_gate(handle->dir, "wipe", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(handle->dir, uuid, error);
    if (image) {
        g_array_set_size(image->pieces, 0);
        image->info.position = 0;
        image->info.allocation = 0;
        image->info.physical = 0;
        image->info.state = VIMG_IMAGE_SAVING;
        g_clear_pointer(&image->info.reason, g_free);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static gboolean
memory_set_error(gpointer data, const char *uuid, const char *reason, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!mem_gate(handle->dir, "set_error", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(handle->dir, uuid, error);
    if (image) {
        image->info.state = VIMG_IMAGE_ERROR;
        g_free(image->info.reason);
        image->info.reason = g_strdup(reason);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

/* ---- content ---------------------------------------------------------------------------- */

static gpointer
memory_writer_open(gpointer data, const char *uuid, const VimgWriteRequest *request,
                   VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    Writer *writer = NULL;
    Storage *storage;
    Image *image;

    if (!mem_gate(handle->dir, "writer_open", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    image = mem_find_image(handle->dir, uuid, error);
    if (image && request->offset > image->info.position) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG,
                    "only %" G_GUINT64_FORMAT " bytes are stored", image->info.position);
    } else if (image && storage->room > 0 && request->reserve > storage->room) {
        mem_refuse(error, VIMG_ERROR_NO_SPACE, "there is no room");
    } else if (image) {
        writer = g_new0(Writer, 1);
        writer->handle = handle;
        writer->uuid = g_strdup(uuid);
        writer->job = job;
        writer->at = request->offset;
        image->writers++;
    }
    pthread_mutex_unlock(&mem_lock);
    return writer;
}

static gboolean
put(Writer *writer, const guint8 *data, guint64 length, GError **error)
{
    Image *image;
    gboolean ok;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(writer->handle->dir, writer->uuid, error);
    ok = image && mem_write_at(image, writer->at, data, length, error);
    writer->at += length;
    pthread_mutex_unlock(&mem_lock);
    return ok;
}

static gboolean
memory_writer_format(gpointer data, const char *format, GError **error)
{
    Writer *writer = data;
    Image *image;

    if (!mem_gate(writer->handle->dir, "writer_format", writer->job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(writer->handle->dir, writer->uuid, error);
    if (image) {
        g_free(image->guess);
        image->guess = g_strdup(format);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

G_GNUC_UNUSED static gboolean
memory_writer_read(gpointer data, guint64 offset, gsize size, VimgExtent *out, GError **error)
{
    Writer *writer = data;
    const guint8 *content = NULL;
    Image *image;

    if (!mem_gate(writer->handle->dir, "writer_read", writer->job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(writer->handle->dir, writer->uuid, error);
    if (image)
        out->length = MIN(mem_piece_at(image, offset, &content), size);
    if (image && content) {
        out->data = vimg_buffer_new(out->length);
        memcpy(out->data->data, content, out->length);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static gboolean
memory_writer_write(gpointer data, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Writer *writer = data;

    return mem_gate(writer->handle->dir, "writer_write", writer->job, error) &&
           put(writer, buffer->data + offset, size, error);
}

static gboolean
memory_writer_hole(gpointer data, guint64 length, GError **error)
{
    Writer *writer = data;

    return mem_gate(writer->handle->dir, "writer_hole", writer->job, error) &&
           put(writer, NULL, length, error);
}

static void
writer_free(Writer *writer)
{
    Image *image;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(writer->handle->dir, writer->uuid, NULL);
    if (image)
        image->writers--;
    pthread_mutex_unlock(&mem_lock);
    g_free(writer->uuid);
    g_free(writer);
}

static gboolean
memory_writer_finish(gpointer data, gboolean seal, const VimgPluginImage *info,
                     VimgPluginImage *out, GError **error)
{
    Writer *writer = data;
    Image *image = NULL;

    if (mem_gate(writer->handle->dir, "writer_finish", writer->job, error)) {
        pthread_mutex_lock(&mem_lock);
        image = mem_find_image(writer->handle->dir, writer->uuid, error);
        if (image && seal) {
            image->info.state = VIMG_IMAGE_ACTIVE;
            image->info.capacity = info->capacity;
            g_free(image->info.format);
            image->info.format = g_strdup(info->format);
            image->info.physical = mem_content_size(image);
            image->info.position = 0;
        }
        if (image)
            mem_copy_info(out, &image->info);
        pthread_mutex_unlock(&mem_lock);
    }
    writer_free(writer);
    return image != NULL;
}

static void
memory_writer_abort(gpointer data)
{
    Writer *writer = data;

    mem_gate(writer->handle->dir, "writer_abort", NULL, NULL);
    writer_free(writer);
}

static void
memory_writer_stat(gpointer data, guint64 *allocation, guint64 *position)
{
    Writer *writer = data;
    Image *image;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_image(writer->handle->dir, writer->uuid, NULL);
    *allocation = image ? image->info.allocation : 0;
    *position = image ? image->info.position : 0;
    pthread_mutex_unlock(&mem_lock);
}

static gpointer
memory_reader_open(gpointer data, const char *uuid, guint64 offset, guint64 length,
                   VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    Reader *reader = NULL;
    Image *image;

    if (!mem_gate(handle->dir, "reader_open", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_read(handle->dir, uuid, error);
    if (image) {
        guint64 size = mem_content_size(image);

        reader = g_new0(Reader, 1);
        reader->handle = handle;
        reader->uuid = g_strdup(uuid);
        reader->job = job;
        reader->at = MIN(offset, size);
        reader->end = length > 0 ? MIN(size, reader->at + length) : size;
    }
    pthread_mutex_unlock(&mem_lock);
    return reader;
}

static gboolean
memory_reader_next(gpointer data, VimgExtent *out, GError **error)
{
    Reader *reader = data;
    const guint8 *content = NULL;
    Image *image;
    guint64 n = 0;

    if (!mem_gate(reader->handle->dir, "reader_next", reader->job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    image = mem_find_read(reader->handle->dir, reader->uuid, error);
    if (image && reader->at < reader->end)
        n = MIN(mem_piece_at(image, reader->at, &content), reader->end - reader->at);
    out->length = n;
    if (n > 0 && content) {
        out->data = vimg_buffer_new(n);
        memcpy(out->data->data, content, n);
    }
    reader->at += n;
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

static void
memory_reader_close(gpointer data)
{
    Reader *reader = data;

    g_free(reader->uuid);
    g_free(reader);
}

G_GNUC_UNUSED static gboolean
memory_clone(gpointer data, const char *source, const VimgPluginImage *info, VimgPluginJob *job,
             VimgPluginImage *out, GError **error)
{
    Handle *handle = data;
    Image *from;
    Image *to;
    guint i;

    if (!mem_gate(handle->dir, "clone", job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    from = mem_find_read(handle->dir, source, error);
    if (from) {
        to = mem_add_image(mem_get_storage(handle->dir), info);
        for (i = 0; i < from->pieces->len; i++) {
            const Piece *piece = &g_array_index(from->pieces, Piece, i);

            mem_append(to, piece->data, piece->length);
        }
        to->info.state = VIMG_IMAGE_ACTIVE;
        to->info.physical = from->info.physical;
        to->info.position = 0;
        mem_copy_info(out, &to->info);
    }
    pthread_mutex_unlock(&mem_lock);
    return from != NULL;
}

/* ---- the table -------------------------------------------------------------------------- */

static const VimgPluginOption memory_options[] = {
    {.path = "slice",
     .attribute = "size",
     .type = VIMG_OPTION_UINT,
     .min = 1,
     .max = 65536,
     .fallback = "4096"},
    {.path = "slice", .attribute = "mode", .type = VIMG_OPTION_ENUM, .values = "fast|small"},
    {.path = NULL},
};

static const VimgBackend memory_backend = {
    VIMG_BACKEND_HEADER,
    .type = MEMORY_TYPE,
    .description = "storages in memory, for tests",
    .source_required = VIMG_SOURCE_DIR,
    .source_allowed = VIMG_SOURCE_HOST | VIMG_SOURCE_AUTH,
    .auth_type = "ssh",
    .formats = "raw|qcow2|iso",
    .options = memory_options,
    .check = check_network,
    .identity = memory_identity,
    .build = memory_build,
    .remove = memory_remove,
    .find_sources = memory_find_sources,
    .open = memory_open,
    .close = memory_close,
    .update = memory_update,
    .probe = memory_probe,
    .list = memory_list,
    .create = memory_create,
    .stat = memory_stat,
    .remove_image = memory_remove_image,
    .resize = memory_resize,
    .wipe = memory_wipe,
    .set_error = memory_set_error,
    .writer_open = memory_writer_open,
    .writer_write = memory_writer_write,
    .writer_hole = memory_writer_hole,
    .writer_finish = memory_writer_finish,
    .writer_abort = memory_writer_abort,
    .writer_stat = memory_writer_stat,
    .reader_open = memory_reader_open,
    .reader_next = memory_reader_next,
    .reader_close = memory_reader_close,
    .writer_format = memory_writer_format,
#ifndef MEMORY_PLAIN
    .clone = memory_clone,
    .list_trash = mem_list_trash,
    .restore = mem_restore,
    .purge = mem_purge,
    .cleanup = mem_cleanup,
    .verify = mem_verify,
    .writer_read = memory_writer_read,
    .file_list = mem_file_list,
    .file_open = mem_file_open,
    .file_next = mem_file_next,
    .file_close = mem_file_close,
    .usage = mem_usage,
    .diff = mem_diff,
    .diagnose = mem_diagnose,
    .host_key_accept = mem_host_key_accept,
#endif
};

const VimgBackend *
vimg_plugin_init(const VimgServices *given, GError **error)
{
    mem_services = given;
    return &memory_backend;
}
