/*
 * memory-tables.c: storages, images and orders of the tests, in tables under one lock
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "memory-private.h"

const VimgServices *mem_services;
pthread_mutex_t mem_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t mem_changed = PTHREAD_COND_INITIALIZER;
GHashTable *mem_storages;
GHashTable *mem_orders;

gboolean
mem_refuse(GError **error, VimgErrorCode code, const char *message)
{
    g_set_error_literal(error, VIMG_ERROR, (int)code, message);
    return FALSE;
}

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
    g_free(image->guess);
    g_free(image);
}

static void
storage_free(gpointer data)
{
    Storage *storage = data;

    g_hash_table_unref(storage->images);
    g_hash_table_unref(storage->trash);
    g_hash_table_unref(storage->files);
    g_hash_table_unref(storage->adopted);
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

Storage *
mem_get_storage(const char *dir)
{
    Storage *storage = g_hash_table_lookup(mem_storages, dir);

    if (!storage) {
        storage = g_new0(Storage, 1);
        storage->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
        storage->trash = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
        storage->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, mem_file_free);
        storage->adopted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(mem_storages, g_strdup(dir), storage);
    }
    return storage;
}

Order *
mem_get_order(const char *dir, const char *callback)
{
    g_autofree char *key = g_strdup_printf("%s %s", dir, callback);
    Order *order = g_hash_table_lookup(mem_orders, key);

    if (!order) {
        order = g_new0(Order, 1);
        g_hash_table_insert(mem_orders, g_steal_pointer(&key), order);
    }
    return order;
}

/* What a test in another process orders: the file hold-CALLBACK in the pool's directory. */
static gboolean
is_held(const char *dir, const char *callback)
{
    g_autofree char *path = g_strdup_printf("%s/hold-%s", dir, callback);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean
mem_gate(const char *dir, const char *callback, VimgPluginJob *job, GError **error)
{
    Order *order;

    pthread_mutex_lock(&mem_lock);
    order = mem_get_order(dir, callback);
    order->calls++;
    order->waiting++;
    pthread_cond_broadcast(&mem_changed);
    while ((order->blocks || is_held(dir, callback)) &&
           !(job && mem_services->job_cancelled(job))) {
        struct timespec soon;

        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 10 * 1000 * 1000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&mem_changed, &mem_lock, &soon);
    }
    order->waiting--;
    if (job && mem_services->job_cancelled(job)) {
        pthread_mutex_unlock(&mem_lock);
        return mem_refuse(error, VIMG_ERROR_ABORTED, "cancelled");
    }
    if (order->fails == 0) {
        pthread_mutex_unlock(&mem_lock);
        return TRUE;
    }
    if (order->fails > 0)
        order->fails--;
    g_set_error_literal(error, VIMG_ERROR, (int)order->code, order->message);
    pthread_mutex_unlock(&mem_lock);
    return FALSE;
}

void
mem_copy_info(VimgPluginImage *out, const VimgPluginImage *in)
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
    out->description = g_strdup(in->description);
    out->copy_of = g_strdup(in->copy_of);
    out->origin = g_strdup(in->origin);
}

Image *
mem_find_image(const char *dir, const char *uuid, GError **error)
{
    Image *image = g_hash_table_lookup(mem_get_storage(dir)->images, uuid);

    if (!image)
        mem_refuse(error, VIMG_ERROR_NO_VOL, "it is gone");
    return image;
}

Image *
mem_find_read(const char *dir, const char *uuid, GError **error)
{
    Image *image = g_hash_table_lookup(mem_get_storage(dir)->trash, uuid);

    return image ? image : mem_find_image(dir, uuid, error);
}

void
mem_move(GHashTable *from, GHashTable *to, Image *image)
{
    g_hash_table_steal(from, image->info.uuid);
    g_hash_table_insert(to, image->info.uuid, image);
}

void
mem_show(Storage *storage, const VimgPluginPool *pool)
{
    g_free(storage->network);
    storage->network = g_strdup(pool->data_network);
    storage->keep_deleted = pool->keep_deleted;
    storage->keep_temporary = pool->keep_temporary;
}

Image *
mem_find_name(Storage *storage, const char *name)
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

Image *
mem_add_image(Storage *storage, const VimgPluginImage *info)
{
    Image *image = g_new0(Image, 1);

    image->info.size = sizeof(image->info);
    mem_copy_info(&image->info, info);
    image->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    g_array_set_clear_func(image->pieces, piece_clear);
    g_hash_table_insert(storage->images, image->info.uuid, image);
    return image;
}

guint64
mem_content_size(const Image *image)
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
guint64
mem_piece_at(const Image *image, guint64 at, const guint8 **data)
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

void
mem_append(Image *image, const guint8 *data, guint64 length)
{
    Piece piece = {.length = length, .data = data ? g_memdup2(data, length) : NULL};
    Piece *last = image->pieces->len > 0
                      ? &g_array_index(image->pieces, Piece, image->pieces->len - 1)
                      : NULL;

    if (last && !last->data && !data)
        last->length += length;
    else
        g_array_append_val(image->pieces, piece);
    image->info.position = mem_content_size(image);
    image->info.allocation = data_size(image);
}

/* Compares what is there, appends what is not. */
gboolean
mem_write_at(Image *image, guint64 at, const guint8 *data, guint64 length, GError **error)
{
    while (length > 0) {
        const guint8 *have = NULL;
        guint64 n = mem_piece_at(image, at, &have);
        guint64 i;

        if (n == 0) {
            mem_append(image, data, length);
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

/* Tests give orders before anyone needs the type. */
__attribute__((constructor)) static void
make_tables(void)
{
    mem_storages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, storage_free);
    mem_orders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, order_free);
}
