/*
 * memory-files.c: plain files beside the storages in memory
 *
 * The origin of one is its name and which it is of all that were put anywhere.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "memory-private.h"

#define PIECE 4096

typedef struct {
    char *origin;
    guint8 *content;
    gsize size;
} File;

typedef struct {
    char *dir;
    char *origin;
    VimgPluginJob *job;
    guint64 at;
} FileReader;

void
mem_file_free(gpointer data)
{
    File *file = data;

    g_free(file->origin);
    g_free(file->content);
    g_free(file);
}

void
mem_put_file(const char *dir, const char *name, const char *content, gsize size)
{
    static guint n; /* under mem_lock */
    File *file = g_new0(File, 1);

    file->content = g_memdup2(content, size);
    file->size = size;
    pthread_mutex_lock(&mem_lock);
    file->origin = g_strdup_printf("%s %u", name, ++n);
    g_hash_table_replace(mem_get_storage(dir)->files, g_strdup(name), file);
    pthread_mutex_unlock(&mem_lock);
}

void
mem_adopt_file(const char *dir, const char *name)
{
    VimgPluginImage info = VIMG_PLUGIN_IMAGE_INIT;
    const File *file;
    Image *image;

    pthread_mutex_lock(&mem_lock);
    file = g_hash_table_lookup(mem_get_storage(dir)->files, name);
    info.uuid = g_uuid_string_random();
    info.name = g_strdup(name);
    info.format = g_strdup("raw");
    info.state = VIMG_IMAGE_ACTIVE;
    info.capacity = info.physical = file->size;
    info.origin = g_strdup(file->origin);
    image = mem_add_image(mem_get_storage(dir), &info);
    mem_append(image, file->content, file->size);
    image->info.position = 0;
    pthread_mutex_unlock(&mem_lock);
    vimg_plugin_image_clear(&info);
}

/* The file of that origin, under the lock. */
static const File *
find_file(const char *dir, const char *origin, GError **error)
{
    g_autofree char *name = g_strndup(origin, (gsize)(strrchr(origin, ' ') - origin));
    const File *file = g_hash_table_lookup(mem_get_storage(dir)->files, name);

    if (file && strcmp(file->origin, origin) == 0)
        return file;
    mem_refuse(error, VIMG_ERROR_OPERATION_INVALID, "the file has changed");
    return NULL;
}

/* By name. */
gboolean
mem_file_list(gpointer data, VimgFileSink sink, gpointer sink_data, VimgPluginJob *job,
              GError **error)
{
    Handle *handle = data;
    g_autoptr(GList) names = NULL;
    GList *link;
    gboolean more = TRUE;

    if (!mem_gate(handle->dir, "file_list", job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    names = g_hash_table_get_keys(mem_get_storage(handle->dir)->files);
    names = g_list_sort(names, (GCompareFunc)strcmp);
    for (link = names; link && more; link = link->next) {
        Storage *storage = mem_get_storage(handle->dir);
        const File *file = g_hash_table_lookup(storage->files, link->data);
        const VimgPluginFile out = {sizeof(out), link->data, file->origin, file->size, file->size};

        /* tests neither put nor lose files meanwhile, and the sink asks us nothing */
        if (!g_hash_table_contains(storage->adopted, file->origin))
            more = sink(&out, sink_data);
    }
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

gpointer
mem_file_open(gpointer data, const char *origin, guint64 offset, VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    FileReader *reader = NULL;

    if (!mem_gate(handle->dir, "file_open", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    if (find_file(handle->dir, origin, error)) {
        reader = g_new0(FileReader, 1);
        reader->dir = g_strdup(handle->dir);
        reader->origin = g_strdup(origin);
        reader->job = job;
        reader->at = offset;
    }
    pthread_mutex_unlock(&mem_lock);
    return reader;
}

gboolean
mem_file_next(gpointer data, VimgExtent *out, GError **error)
{
    FileReader *reader = data;
    const File *file;

    if (!mem_gate(reader->dir, "file_next", reader->job, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    file = find_file(reader->dir, reader->origin, error);
    if (file && reader->at < file->size) {
        out->length = MIN(PIECE, file->size - reader->at);
        out->data = vimg_buffer_new(out->length);
        memcpy(out->data->data, file->content + reader->at, out->length);
        reader->at += out->length;
    }
    pthread_mutex_unlock(&mem_lock);
    return file != NULL;
}

void
mem_file_close(gpointer data)
{
    FileReader *reader = data;

    g_free(reader->dir);
    g_free(reader->origin);
    g_free(reader);
}
