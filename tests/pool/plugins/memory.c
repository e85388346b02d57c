/*
 * memory.c: a complete backend whose storages are in memory, and which fails or hangs when told
 *
 * Storages live as long as the process, so a model made anew finds what the last one left.  Two
 * handles may have one storage open.  Built twice: as "memory", and as "memclone", which cannot
 * clone by itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#ifndef MEMORY_TYPE
#define MEMORY_TYPE "memory"
#endif

typedef struct {
    guint64 length;
    guint8 *data; /* NULL: a hole */
} Piece;

typedef struct {
    VimgPluginImage info;
    GArray *pieces; /* of Piece */
} Image;

typedef struct {
    char *id;           /* NULL: not built */
    GHashTable *images; /* uuid -> Image */
    char *network;      /* what the last open() or update() showed */
    VimgPluginHost *host;
    guint opens;
} Storage;

typedef struct {
    int fails; /* calls that fail yet; -1: all */
    VimgErrorCode code;
    char *message;
    gboolean blocks;
    guint waiting;
    guint calls;
} Order;

typedef struct {
    char *dir;
    VimgPluginHost *host;
} Handle;

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

static const VimgServices *services;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static GHashTable *storages; /* dir -> Storage; under lock */
static GHashTable *orders;   /* "dir callback" -> Order; under lock */

static gboolean throw(GError * *error, VimgErrorCode code, const char *message)
{
    g_set_error_literal(error, VIMG_ERROR, (int)code, message);
    return FALSE;
}

/* ---- tables, under the lock ------------------------------------------------------------- */

static void
piece_clear(gpointer data)
{
    g_free(((Piece *)data)->data);
}

static void
image_free(gpointer data)
{
    Image *image = data;

    vimg_plugin_image_clear(&image->info);
    g_array_unref(image->pieces);
    g_free(image);
}

static void
storage_free(gpointer data)
{
    Storage *storage = data;

    g_hash_table_unref(storage->images);
    g_free(storage->id);
    g_free(storage->network);
    g_free(storage);
}

static void
order_free(gpointer data)
{
    g_free(((Order *)data)->message);
    g_free(data);
}

static Storage *
get_storage(const char *dir)
{
    Storage *storage = g_hash_table_lookup(storages, dir);

    if (!storage) {
        storage = g_new0(Storage, 1);
        storage->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
        g_hash_table_insert(storages, g_strdup(dir), storage);
    }
    return storage;
}

static Order *
get_order(const char *dir, const char *callback)
{
    g_autofree char *key = g_strdup_printf("%s %s", dir, callback);
    Order *order = g_hash_table_lookup(orders, key);

    if (!order) {
        order = g_new0(Order, 1);
        g_hash_table_insert(orders, g_steal_pointer(&key), order);
    }
    return order;
}

/* Takes the lock.  What the test ordered for this call. */
static gboolean
gate(const char *dir, const char *callback, VimgPluginJob *job, GError **error)
{
    Order *order;

    pthread_mutex_lock(&lock);
    order = get_order(dir, callback);
    order->calls++;
    order->waiting++;
    pthread_cond_broadcast(&changed);
    while (order->blocks && !(job && services->job_cancelled(job))) {
        struct timespec soon;

        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 10 * 1000 * 1000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&changed, &lock, &soon);
    }
    order->waiting--;
    if (job && services->job_cancelled(job)) {
        pthread_mutex_unlock(&lock);
        return throw(error, VIMG_ERROR_ABORTED, "cancelled");
    }
    if (order->fails == 0) {
        pthread_mutex_unlock(&lock);
        return TRUE;
    }
    if (order->fails > 0)
        order->fails--;
    g_set_error_literal(error, VIMG_ERROR, (int)order->code, order->message);
    pthread_mutex_unlock(&lock);
    return FALSE;
}

static char *
copy_or(const char *given, const char *old)
{
    return g_strdup(given ? given : old);
}

static void
copy_info(VimgPluginImage *out, const VimgPluginImage *in)
{
    gsize size = out->size;

    *out = *in;
    out->size = size;
    out->uuid = g_strdup(in->uuid);
    out->name = g_strdup(in->name);
    out->format = g_strdup(in->format);
    out->reason = g_strdup(in->reason);
    out->parent = g_strdup(in->parent);
    out->checksum_type = g_strdup(in->checksum_type);
    out->checksum = g_strdup(in->checksum);
    out->os = g_strdup(in->os);
    out->arch = g_strdup(in->arch);
    out->description = copy_or(in->description, NULL);
}

static Image *
find_image(const char *dir, const char *uuid, GError **error)
{
    Image *image = g_hash_table_lookup(get_storage(dir)->images, uuid);

    if (!image)
        throw(error, VIMG_ERROR_NO_VOL, "it is gone");
    return image;
}

static Image *
find_name(Storage *storage, const char *name)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, storage->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Image *image = value;

        if (strcmp(image->info.name, name) == 0)
            return image;
    }
    return NULL;
}

static Image *
add_image(Storage *storage, const VimgPluginImage *info)
{
    Image *image = g_new0(Image, 1);

    image->info.size = sizeof(image->info);
    copy_info(&image->info, info);
    image->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    g_array_set_clear_func(image->pieces, piece_clear);
    g_hash_table_insert(storage->images, image->info.uuid, image);
    return image;
}

static guint64
content_size(const Image *image)
{
    guint64 size = 0;
    guint i;

    for (i = 0; i < image->pieces->len; i++)
        size += g_array_index(image->pieces, Piece, i).length;
    return size;
}

static guint64
data_size(const Image *image)
{
    guint64 size = 0;
    guint i;

    for (i = 0; i < image->pieces->len; i++) {
        const Piece *piece = &g_array_index(image->pieces, Piece, i);

        size += piece->data ? piece->length : 0;
    }
    return size;
}

/* The piece at @at and what is left of it; 0: the end. */
static guint64
piece_at(const Image *image, guint64 at, const guint8 **data)
{
    guint i;

    for (i = 0; i < image->pieces->len; i++) {
        const Piece *piece = &g_array_index(image->pieces, Piece, i);

        if (at < piece->length) {
            *data = piece->data ? piece->data + at : NULL;
            return piece->length - at;
        }
        at -= piece->length;
    }
    return 0;
}

static void
append(Image *image, const guint8 *data, guint64 length)
{
    Piece piece = {.length = length, .data = data ? g_memdup2(data, length) : NULL};
    Piece *last = image->pieces->len > 0
                      ? &g_array_index(image->pieces, Piece, image->pieces->len - 1)
                      : NULL;

    if (last && !last->data && !data)
        last->length += length;
    else
        g_array_append_val(image->pieces, piece);
    image->info.position = content_size(image);
    image->info.allocation = data_size(image);
}

/* Compares what is there, appends what is not. */
static gboolean
write_at(Image *image, guint64 at, const guint8 *data, guint64 length, GError **error)
{
    while (length > 0) {
        const guint8 *have = NULL;
        guint64 n = piece_at(image, at, &have);
        guint64 i;

        if (n == 0) {
            append(image, data, length);
            return TRUE;
        }
        n = MIN(n, length);
        for (i = 0; i < n && (have || data); i++) {
            if ((have ? have[i] : 0) != (data ? data[i] : 0)) {
                g_set_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID,
                            "different at offset %" G_GUINT64_FORMAT, at + i);
                return FALSE;
            }
        }
        at += n;
        length -= n;
        if (data)
            data += n;
    }
    return TRUE;
}

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

    if (!gate(pool->dir, "build", job, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    storage = get_storage(pool->dir);
    if (storage->id) {
        pthread_mutex_unlock(&lock);
        return throw(error, VIMG_ERROR_POOL_BUILT, pool->dir);
    }
    if (pool->store_id && !(flags & VIMG_BUILD_OVERWRITE)) {
        pthread_mutex_unlock(&lock);
        return throw(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    }
    storage->id = g_uuid_string_random();
    pthread_mutex_unlock(&lock);
    return TRUE;
}

static gboolean
memory_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    if (!gate(pool->dir, "remove", job, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    g_hash_table_remove(storages, pool->dir);
    pthread_mutex_unlock(&lock);
    return TRUE;
}

static char *
memory_find_sources(const VimgPluginPool *pool, GError **error)
{
    char *found;

    if (!pool->dir) {
        throw(error, VIMG_ERROR_INVALID_ARG, "a directory is needed");
        return NULL;
    }
    if (!gate(pool->dir, "find_sources", NULL, error))
        return NULL;
    found = g_markup_printf_escaped("  <source><dir path='%s'/></source>\n", pool->dir);
    return found;
}

static gboolean
check_network(const VimgPluginPool *pool, GError **error)
{
    if (pool->data_network && strcmp(pool->data_network, "192.0.2.0/24") == 0)
        return throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "that network is for documents");
    return TRUE;
}

/* One the pool had and that is gone is not made again; one it never had only on demand. */
static gboolean
ready(Storage *storage, const VimgPluginPool *pool, guint32 flags, GError **error)
{
    if (storage->id)
        return TRUE;
    if (pool->store_id)
        return throw(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    if (!(flags & VIMG_OPEN_CREATE))
        return throw(error, VIMG_ERROR_DISCONNECTED, "there is no storage");
    storage->id = g_uuid_string_random();
    return TRUE;
}

static gpointer
memory_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    Handle *handle = NULL;
    Storage *storage;

    if (!gate(pool->dir, "open", NULL, error))
        return NULL;
    pthread_mutex_lock(&lock);
    storage = get_storage(pool->dir);
    if (ready(storage, pool, flags, error)) {
        handle = g_new0(Handle, 1);
        handle->dir = g_strdup(pool->dir);
        handle->host = host;
        storage->host = host;
        storage->opens++;
        g_free(storage->network);
        storage->network = g_strdup(pool->data_network);
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

static void
memory_close(gpointer data)
{
    Handle *handle = data;
    Storage *storage;

    gate(handle->dir, "close", NULL, NULL);
    pthread_mutex_lock(&lock);
    storage = get_storage(handle->dir);
    if (storage->opens > 0)
        storage->opens--;
    if (storage->host == handle->host)
        storage->host = NULL;
    pthread_mutex_unlock(&lock);
    g_free(handle->dir);
    g_free(handle);
}

static gboolean
memory_update(gpointer data, const VimgPluginPool *pool, GError **error)
{
    Handle *handle = data;
    Storage *storage;

    if (!gate(handle->dir, "update", NULL, error) || !check_network(pool, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    storage = get_storage(handle->dir);
    g_free(storage->network);
    storage->network = g_strdup(pool->data_network);
    pthread_mutex_unlock(&lock);
    return TRUE;
}

static gboolean
memory_probe(gpointer data, VimgPluginStore *out, GError **error)
{
    Handle *handle = data;
    Storage *storage;
    GHashTableIter iter;
    gpointer value;

    if (!gate(handle->dir, "probe", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    storage = get_storage(handle->dir);
    if (!storage->id) {
        pthread_mutex_unlock(&lock);
        return throw(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    }
    out->store_id = g_strdup(storage->id);
    out->capacity = G_GUINT64_CONSTANT(1) << 30;
    g_hash_table_iter_init(&iter, storage->images);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        out->allocation += ((Image *)value)->info.allocation;
    out->available = out->capacity - out->allocation;
    pthread_mutex_unlock(&lock);
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

    pthread_mutex_lock(&lock);
    g_hash_table_iter_init(&iter, get_storage(handle->dir)->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPluginImage copy = VIMG_PLUGIN_IMAGE_INIT;

        copy_info(&copy, &((Image *)value)->info);
        g_array_append_val(list, copy);
    }
    pthread_mutex_unlock(&lock);
    /* hangs with what it saw already read: a listing that is old when it arrives */
    if (!gate(handle->dir, "list", NULL, error))
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

    if (!gate(handle->dir, "create", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    storage = get_storage(handle->dir);
    if (find_name(storage, image->name)) {
        pthread_mutex_unlock(&lock);
        return throw(error, VIMG_ERROR_VOL_EXISTS, image->name);
    }
    copy_info(out, &add_image(storage, image)->info);
    pthread_mutex_unlock(&lock);
    return TRUE;
}

static gboolean
memory_stat(gpointer data, const char *uuid, VimgPluginImage *out, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!gate(handle->dir, "stat", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image)
        copy_info(out, &image->info);
    pthread_mutex_unlock(&lock);
    return image != NULL;
}

static gboolean
memory_remove_image(gpointer data, const char *uuid, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!gate(handle->dir, "remove_image", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image)
        g_hash_table_remove(get_storage(handle->dir)->images, image->info.uuid);
    pthread_mutex_unlock(&lock);
    return image != NULL;
}

static gboolean
memory_resize(gpointer data, const char *uuid, guint64 capacity, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!gate(handle->dir, "resize", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image)
        image->info.capacity = capacity;
    pthread_mutex_unlock(&lock);
    return image != NULL;
}

static gboolean
memory_wipe(gpointer data, const char *uuid, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!gate(handle->dir, "wipe", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image) {
        g_array_set_size(image->pieces, 0);
        image->info.position = 0;
        image->info.allocation = 0;
        image->info.physical = 0;
        image->info.state = VIMG_IMAGE_SAVING;
        g_clear_pointer(&image->info.reason, g_free);
    }
    pthread_mutex_unlock(&lock);
    return image != NULL;
}

static gboolean
memory_set_error(gpointer data, const char *uuid, const char *reason, GError **error)
{
    Handle *handle = data;
    Image *image;

    if (!gate(handle->dir, "set_error", NULL, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image) {
        image->info.state = VIMG_IMAGE_ERROR;
        g_free(image->info.reason);
        image->info.reason = g_strdup(reason);
    }
    pthread_mutex_unlock(&lock);
    return image != NULL;
}

/* ---- content ---------------------------------------------------------------------------- */

static gpointer
memory_writer_open(gpointer data, const char *uuid, const VimgWriteRequest *request,
                   VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    Writer *writer = NULL;
    Image *image;

    if (!gate(handle->dir, "writer_open", job, error))
        return NULL;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image && request->offset > image->info.position) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG,
                    "only %" G_GUINT64_FORMAT " bytes are stored", image->info.position);
    } else if (image) {
        writer = g_new0(Writer, 1);
        writer->handle = handle;
        writer->uuid = g_strdup(uuid);
        writer->job = job;
        writer->at = request->offset;
    }
    pthread_mutex_unlock(&lock);
    return writer;
}

static gboolean
put(Writer *writer, const guint8 *data, guint64 length, GError **error)
{
    Image *image;
    gboolean ok;

    pthread_mutex_lock(&lock);
    image = find_image(writer->handle->dir, writer->uuid, error);
    ok = image && write_at(image, writer->at, data, length, error);
    writer->at += length;
    pthread_mutex_unlock(&lock);
    return ok;
}

static gboolean
memory_writer_write(gpointer data, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Writer *writer = data;

    return gate(writer->handle->dir, "writer_write", writer->job, error) &&
           put(writer, buffer->data + offset, size, error);
}

static gboolean
memory_writer_hole(gpointer data, guint64 length, GError **error)
{
    Writer *writer = data;

    return gate(writer->handle->dir, "writer_hole", writer->job, error) &&
           put(writer, NULL, length, error);
}

static void
writer_free(Writer *writer)
{
    g_free(writer->uuid);
    g_free(writer);
}

static gboolean
memory_writer_finish(gpointer data, gboolean seal, const VimgPluginImage *info,
                     VimgPluginImage *out, GError **error)
{
    Writer *writer = data;
    Image *image = NULL;

    if (gate(writer->handle->dir, "writer_finish", writer->job, error)) {
        pthread_mutex_lock(&lock);
        image = find_image(writer->handle->dir, writer->uuid, error);
        if (image && seal) {
            image->info.state = VIMG_IMAGE_ACTIVE;
            image->info.capacity = info->capacity;
            image->info.physical = content_size(image);
            image->info.position = 0;
        }
        if (image)
            copy_info(out, &image->info);
        pthread_mutex_unlock(&lock);
    }
    writer_free(writer);
    return image != NULL;
}

static void
memory_writer_abort(gpointer data)
{
    Writer *writer = data;

    gate(writer->handle->dir, "writer_abort", NULL, NULL);
    writer_free(writer);
}

static void
memory_writer_stat(gpointer data, guint64 *allocation, guint64 *position)
{
    Writer *writer = data;
    Image *image;

    pthread_mutex_lock(&lock);
    image = find_image(writer->handle->dir, writer->uuid, NULL);
    *allocation = image ? image->info.allocation : 0;
    *position = image ? image->info.position : 0;
    pthread_mutex_unlock(&lock);
}

static gpointer
memory_reader_open(gpointer data, const char *uuid, guint64 offset, guint64 length,
                   VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    Reader *reader = NULL;
    Image *image;

    if (!gate(handle->dir, "reader_open", job, error))
        return NULL;
    pthread_mutex_lock(&lock);
    image = find_image(handle->dir, uuid, error);
    if (image) {
        guint64 size = content_size(image);

        reader = g_new0(Reader, 1);
        reader->handle = handle;
        reader->uuid = g_strdup(uuid);
        reader->job = job;
        reader->at = MIN(offset, size);
        reader->end = length > 0 ? MIN(size, reader->at + length) : size;
    }
    pthread_mutex_unlock(&lock);
    return reader;
}

static gboolean
memory_reader_next(gpointer data, VimgExtent *out, GError **error)
{
    Reader *reader = data;
    const guint8 *content = NULL;
    Image *image;
    guint64 n = 0;

    if (!gate(reader->handle->dir, "reader_next", reader->job, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    image = find_image(reader->handle->dir, reader->uuid, error);
    if (image && reader->at < reader->end)
        n = MIN(piece_at(image, reader->at, &content), reader->end - reader->at);
    out->length = n;
    if (n > 0 && content) {
        out->data = vimg_buffer_new(n);
        memcpy(out->data->data, content, n);
    }
    reader->at += n;
    pthread_mutex_unlock(&lock);
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

    if (!gate(handle->dir, "clone", job, error))
        return FALSE;
    pthread_mutex_lock(&lock);
    from = find_image(handle->dir, source, error);
    if (from) {
        to = add_image(get_storage(handle->dir), info);
        for (i = 0; i < from->pieces->len; i++) {
            const Piece *piece = &g_array_index(from->pieces, Piece, i);

            append(to, piece->data, piece->length);
        }
        to->info.state = VIMG_IMAGE_ACTIVE;
        to->info.physical = from->info.physical;
        to->info.position = 0;
        copy_info(out, &to->info);
    }
    pthread_mutex_unlock(&lock);
    return from != NULL;
}

/* ---- control ---------------------------------------------------------------------------- */

static void
control_reset(void)
{
    pthread_mutex_lock(&lock);
    g_hash_table_remove_all(storages);
    g_hash_table_remove_all(orders);
    pthread_mutex_unlock(&lock);
}

static void
control_fail(const char *dir, const char *callback, VimgErrorCode code, const char *message,
             int times)
{
    Order *order;

    pthread_mutex_lock(&lock);
    order = get_order(dir, callback);
    order->fails = times;
    order->code = code;
    g_free(order->message);
    order->message = g_strdup(message);
    pthread_mutex_unlock(&lock);
}

static void
set_blocks(const char *dir, const char *callback, gboolean blocks)
{
    pthread_mutex_lock(&lock);
    get_order(dir, callback)->blocks = blocks;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void
control_block(const char *dir, const char *callback)
{
    set_blocks(dir, callback, TRUE);
}

static void
control_release(const char *dir, const char *callback)
{
    set_blocks(dir, callback, FALSE);
}

static void
control_wait_blocked(const char *dir, const char *callback)
{
    pthread_mutex_lock(&lock);
    while (get_order(dir, callback)->waiting == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static guint
control_calls(const char *dir, const char *callback)
{
    guint calls;

    pthread_mutex_lock(&lock);
    calls = get_order(dir, callback)->calls;
    pthread_mutex_unlock(&lock);
    return calls;
}

static void
control_report(const char *dir, const GError *error)
{
    VimgPluginHost *host;

    pthread_mutex_lock(&lock);
    host = get_storage(dir)->host;
    pthread_mutex_unlock(&lock);
    if (host)
        services->status(host, error);
}

static void
control_replace(const char *dir)
{
    Storage *storage;

    pthread_mutex_lock(&lock);
    storage = get_storage(dir);
    g_free(storage->id);
    storage->id = g_uuid_string_random();
    pthread_mutex_unlock(&lock);
}

static void
control_join(const char *dir, const char *other)
{
    pthread_mutex_lock(&lock);
    g_free(get_storage(other)->id);
    get_storage(other)->id = g_strdup(get_storage(dir)->id);
    pthread_mutex_unlock(&lock);
}

static void
control_lose(const char *dir)
{
    pthread_mutex_lock(&lock);
    g_hash_table_remove(storages, dir);
    pthread_mutex_unlock(&lock);
}

static void
control_put_image(const char *dir, const char *name, gsize size)
{
    g_autofree guint8 *content = g_malloc(size + 1);
    VimgPluginImage info = VIMG_PLUGIN_IMAGE_INIT;
    Image *image;

    memset(content, 'x', size);
    info.uuid = g_uuid_string_random();
    info.name = g_strdup(name);
    info.format = g_strdup("raw");
    info.state = VIMG_IMAGE_ACTIVE;
    info.capacity = size;
    info.physical = size;
    pthread_mutex_lock(&lock);
    image = add_image(get_storage(dir), &info);
    append(image, content, size);
    image->info.position = 0;
    pthread_mutex_unlock(&lock);
    vimg_plugin_image_clear(&info);
}

static void
control_take_image(const char *dir, const char *name)
{
    Storage *storage;
    Image *image;

    pthread_mutex_lock(&lock);
    storage = get_storage(dir);
    image = find_name(storage, name);
    if (image)
        g_hash_table_remove(storage->images, image->info.uuid);
    pthread_mutex_unlock(&lock);
}

static char *
control_network(const char *dir)
{
    char *network;

    pthread_mutex_lock(&lock);
    network = g_strdup(get_storage(dir)->network);
    pthread_mutex_unlock(&lock);
    return network;
}

static gboolean
control_is_open(const char *dir)
{
    gboolean open;

    pthread_mutex_lock(&lock);
    open = get_storage(dir)->opens > 0;
    pthread_mutex_unlock(&lock);
    return open;
}

static char *
control_extents(const char *dir, const char *name)
{
    GString *text = g_string_new(NULL);
    Image *image;
    guint i;

    pthread_mutex_lock(&lock);
    image = find_name(get_storage(dir), name);
    for (i = 0; image && i < image->pieces->len; i++) {
        const Piece *piece = &g_array_index(image->pieces, Piece, i);

        g_string_append_printf(text, "%s%c%" G_GUINT64_FORMAT, i > 0 ? " " : "",
                               piece->data ? 'd' : 'h', piece->length);
    }
    pthread_mutex_unlock(&lock);
    return g_string_free(text, FALSE);
}

extern const MemoryControl memory_control;

__attribute__((visibility("default"))) const MemoryControl memory_control = {
    .reset = control_reset,
    .fail = control_fail,
    .block = control_block,
    .release = control_release,
    .wait_blocked = control_wait_blocked,
    .calls = control_calls,
    .report = control_report,
    .replace = control_replace,
    .join = control_join,
    .lose = control_lose,
    .put_image = control_put_image,
    .take_image = control_take_image,
    .network = control_network,
    .is_open = control_is_open,
    .extents = control_extents,
};

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
#ifndef MEMORY_NO_CLONE
    .clone = memory_clone,
#endif
};

/* Tests give orders before anyone needs the type. */
__attribute__((constructor)) static void
make_tables(void)
{
    storages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, storage_free);
    orders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, order_free);
}

const VimgBackend *
vimg_plugin_init(const VimgServices *given, GError **error)
{
    services = given;
    return &memory_backend;
}
