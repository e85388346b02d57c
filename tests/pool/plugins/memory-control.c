/*
 * memory-control.c: what the tests order and ask of the storages in memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "memory-private.h"

static void
control_reset(void)
{
    pthread_mutex_lock(&mem_lock);
    g_hash_table_remove_all(mem_storages);
    g_hash_table_remove_all(mem_orders);
    pthread_mutex_unlock(&mem_lock);
}

static void
control_fail(const char *dir, const char *callback, VimgErrorCode code, const char *message,
             int times)
{
    Order *order;

    pthread_mutex_lock(&mem_lock);
    order = mem_get_order(dir, callback);
    order->fails = times;
    order->code = code;
    g_free(order->message);
    order->message = g_strdup(message);
    pthread_mutex_unlock(&mem_lock);
}

static void
set_blocks(const char *dir, const char *callback, gboolean blocks)
{
    pthread_mutex_lock(&mem_lock);
    mem_get_order(dir, callback)->blocks = blocks;
    pthread_cond_broadcast(&mem_changed);
    pthread_mutex_unlock(&mem_lock);
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
    pthread_mutex_lock(&mem_lock);
    while (mem_get_order(dir, callback)->waiting == 0)
        pthread_cond_wait(&mem_changed, &mem_lock);
    pthread_mutex_unlock(&mem_lock);
}

static guint
control_calls(const char *dir, const char *callback)
{
    guint calls;

    pthread_mutex_lock(&mem_lock);
    calls = mem_get_order(dir, callback)->calls;
    pthread_mutex_unlock(&mem_lock);
    return calls;
}

static void
control_report(const char *dir, const GError *error)
{
    VimgPluginHost *host;

    pthread_mutex_lock(&mem_lock);
    host = mem_get_storage(dir)->host;
    pthread_mutex_unlock(&mem_lock);
    if (host)
        mem_services->status(host, error);
}

static void
control_replace(const char *dir)
{
    Storage *storage;

    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(dir);
    g_free(storage->id);
    storage->id = g_uuid_string_random();
    pthread_mutex_unlock(&mem_lock);
}

static void
control_join(const char *dir, const char *other)
{
    pthread_mutex_lock(&mem_lock);
    g_free(mem_get_storage(other)->id);
    mem_get_storage(other)->id = g_strdup(mem_get_storage(dir)->id);
    pthread_mutex_unlock(&mem_lock);
}

static void
control_lose(const char *dir)
{
    pthread_mutex_lock(&mem_lock);
    g_hash_table_remove(mem_storages, dir);
    pthread_mutex_unlock(&mem_lock);
}

static void
control_make_read_only(const char *dir)
{
    pthread_mutex_lock(&mem_lock);
    mem_get_storage(dir)->read_only = TRUE;
    pthread_mutex_unlock(&mem_lock);
}

static void
control_put_image(const char *dir, const char *name, const char *content, gsize size)
{
    VimgPluginImage info = VIMG_PLUGIN_IMAGE_INIT;
    Image *image;

    info.uuid = g_uuid_string_random();
    info.name = g_strdup(name);
    info.format = g_strdup("raw");
    info.state = VIMG_IMAGE_ACTIVE;
    info.capacity = size;
    info.physical = size;
    pthread_mutex_lock(&mem_lock);
    image = mem_add_image(mem_get_storage(dir), &info);
    mem_append(image, (const guint8 *)content, size);
    image->info.position = 0;
    pthread_mutex_unlock(&mem_lock);
    vimg_plugin_image_clear(&info);
}

static void
control_take_image(const char *dir, const char *name)
{
    Storage *storage;
    Image *image;

    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(dir);
    image = mem_find_name(storage, name);
    if (image)
        g_hash_table_remove(storage->images, image->info.uuid);
    pthread_mutex_unlock(&mem_lock);
}

static void
control_rename_image(const char *dir, const char *name, const char *to)
{
    Image *image;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_name(mem_get_storage(dir), name);
    if (image) {
        g_free(image->info.name);
        image->info.name = g_strdup(to);
    }
    pthread_mutex_unlock(&mem_lock);
}

static char *
control_network(const char *dir)
{
    char *network;

    pthread_mutex_lock(&mem_lock);
    network = g_strdup(mem_get_storage(dir)->network);
    pthread_mutex_unlock(&mem_lock);
    return network;
}

static void
control_keeps(const char *dir, guint64 *deleted, guint64 *temporary)
{
    pthread_mutex_lock(&mem_lock);
    *deleted = mem_get_storage(dir)->keep_deleted;
    *temporary = mem_get_storage(dir)->keep_temporary;
    pthread_mutex_unlock(&mem_lock);
}

static gboolean
control_is_open(const char *dir)
{
    gboolean open;

    pthread_mutex_lock(&mem_lock);
    open = mem_get_storage(dir)->opens > 0;
    pthread_mutex_unlock(&mem_lock);
    return open;
}

static char *
control_extents(const char *dir, const char *name)
{
    GString *text = g_string_new(NULL);
    Image *image;
    guint i;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_name(mem_get_storage(dir), name);
    for (i = 0; image && i < image->pieces->len; i++) {
        const Piece *piece = &g_array_index(image->pieces, Piece, i);

        g_string_append_printf(text, "%s%c%" G_GUINT64_FORMAT, i > 0 ? " " : "",
                               piece->data ? 'd' : 'h', piece->length);
    }
    pthread_mutex_unlock(&mem_lock);
    return g_string_free(text, FALSE);
}

static char *
control_guess(const char *dir, const char *name)
{
    Image *image;
    char *guess;

    pthread_mutex_lock(&mem_lock);
    image = mem_find_name(mem_get_storage(dir), name);
    guess = g_strdup(image ? image->guess : NULL);
    pthread_mutex_unlock(&mem_lock);
    return guess;
}

static void
control_set_room(const char *dir, guint64 bytes)
{
    pthread_mutex_lock(&mem_lock);
    mem_get_storage(dir)->room = bytes;
    pthread_mutex_unlock(&mem_lock);
}

static void
control_grow(const char *dir, const char *name, guint64 bytes)
{
    pthread_mutex_lock(&mem_lock);
    mem_find_name(mem_get_storage(dir), name)->info.allocation += bytes;
    pthread_mutex_unlock(&mem_lock);
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
    .make_read_only = control_make_read_only,
    .put_image = control_put_image,
    .take_image = control_take_image,
    .rename_image = control_rename_image,
    .network = control_network,
    .keeps = control_keeps,
    .is_open = control_is_open,
    .extents = control_extents,
    .guess = control_guess,
    .put_file = mem_put_file,
    .adopt_file = mem_adopt_file,
    .set_room = control_set_room,
    .grow = control_grow,
};
