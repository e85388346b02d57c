/*
 * memory.c: a backend that keeps images in memory and can be made to misbehave
 *
 * Built by the tests against the installed header alone, once for each macro:
 *   MEMORY_STALL      writes wait while the file "stall" lies in the pool's directory
 *   MEMORY_DEAF       reads beyond the first wait for the same, and nothing cancels them
 *   MEMORY_SHORT      the struct ends before the optional callbacks that follow the readers
 *   MEMORY_LIES       results and failures that the contract forbids
 *   MEMORY_ABSURD     sizes and an id of the storage that cannot be
 *   MEMORY_BADINIT    vimg_plugin_init() fails with a reason
 *   MEMORY_SILENT     vimg_plugin_init() fails without one
 *   MEMORY_NEWER      an ABI of the future
 *   MEMORY_INCOMPLETE lacks a required callback
 * MEMORY_TYPE is its type.  What it stores is gone when the pool stops.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <pthread.h>
#include <unistd.h>

#include "vimg-plugin.h"

typedef struct {
    VimgPluginImage meta;
    GByteArray *data;
} Image;

typedef struct {
    char *dir;
    pthread_mutex_t lock; /* guards images */
    GHashTable *images;   /* uuid: Image */
} Memory;

typedef struct {
    Memory *memory;
    Image *image;
    VimgPluginJob *job;
    guint64 at, end;
} Cursor;

static const VimgServices *services;

static gboolean
fail(GError **error, VimgErrorCode code, const char *text)
{
    g_set_error_literal(error, VIMG_ERROR, (gint)code, text);
    return FALSE;
}

static void
copy_meta(VimgPluginImage *out, const VimgPluginImage *in)
{
    out->uuid = g_strdup(in->uuid);
    out->name = g_strdup(in->name);
    out->format = g_strdup(in->format);
    out->state = in->state;
    out->reason = g_strdup(in->reason);
    out->capacity = in->capacity;
    out->allocation = in->allocation;
    out->physical = in->physical;
    out->created = in->created;
}

static void
image_free(gpointer data)
{
    Image *image = data;

    vimg_plugin_image_clear(&image->meta);
    g_byte_array_unref(image->data);
    g_free(image);
}

static Image *
find(Memory *memory, const char *uuid, GError **error)
{
    Image *image;

    pthread_mutex_lock(&memory->lock);
    image = g_hash_table_lookup(memory->images, uuid);
    pthread_mutex_unlock(&memory->lock);
    if (!image)
        fail(error, VIMG_ERROR_NO_VOL, "it is gone");
    return image;
}

static char *
memory_identity(const VimgPluginPool *pool)
{
    return g_strdup_printf("%s:%s", MEMORY_TYPE, pool->dir);
}

static gpointer
memory_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    Memory *memory = g_new0(Memory, 1);

    memory->dir = g_strdup(pool->dir);
    pthread_mutex_init(&memory->lock, NULL);
    memory->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
    return memory;
}

static void
memory_close(gpointer handle)
{
    Memory *memory = handle;

    g_hash_table_unref(memory->images);
    pthread_mutex_destroy(&memory->lock);
    g_free(memory->dir);
    g_free(memory);
}

static gboolean
memory_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    out->store_id = g_strdup("memory-" MEMORY_TYPE);
    out->capacity = G_GUINT64_CONSTANT(1) << 40;
    out->available = out->capacity;
#ifdef MEMORY_ABSURD
    out->allocation = G_MAXUINT64;
    out->available = G_MAXUINT64;
    g_clear_pointer(&out->store_id, g_free);
    out->store_id = g_strdup("a / \xff");
#endif
    return TRUE;
}

static gboolean
memory_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    Memory *memory = handle;
    GHashTableIter iter;
    Image *image;

#ifdef MEMORY_LIES
    static const char *const names[] = {"../escape", "a\nb", "\xff", "", "twice", "twice", "fine"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        VimgPluginImage lie = VIMG_PLUGIN_IMAGE_INIT;
        char uuid[37];

        g_snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012u", (guint)i);
        lie.uuid = i == 3 ? NULL : uuid;
        lie.name = (char *)names[i];
        lie.format = (char *)"raw";
        lie.state = VIMG_IMAGE_ACTIVE;
        lie.capacity = lie.physical = 1000;
        sink(&lie, data);
    }
#endif
    pthread_mutex_lock(&memory->lock);
    g_hash_table_iter_init(&iter, memory->images);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&image))
        if (!sink(&image->meta, data))
            break;
    pthread_mutex_unlock(&memory->lock);
    return TRUE;
}

static gboolean
memory_stat(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    Image *image;

#ifdef MEMORY_LIES
    if (!g_str_has_suffix(uuid, "6"))
        return FALSE; /* and no word why */
    out->uuid = g_strdup(uuid);
    out->name = g_strdup("fine");
    out->format = g_strdup("raw");
    out->state = VIMG_IMAGE_ACTIVE;
    out->capacity = out->physical = 1000;
    return TRUE;
#endif
    image = find(handle, uuid, error);
    if (!image)
        return FALSE;
    copy_meta(out, &image->meta);
    return TRUE;
}

static gboolean
memory_create(gpointer handle, const VimgPluginImage *meta, VimgPluginImage *out, GError **error)
{
    Memory *memory = handle;
    Image *image;

#ifdef MEMORY_LIES
    return TRUE; /* and nothing in @out */
#endif
    image = g_new0(Image, 1);
    image->meta.size = sizeof(image->meta);
    copy_meta(&image->meta, meta);
    image->meta.state = VIMG_IMAGE_SAVING;
    image->data = g_byte_array_new();
    copy_meta(out, &image->meta);
    pthread_mutex_lock(&memory->lock);
    g_hash_table_insert(memory->images, image->meta.uuid, image);
    pthread_mutex_unlock(&memory->lock);
    return TRUE;
}

static gboolean
memory_remove(gpointer handle, const char *uuid, GError **error)
{
    Memory *memory = handle;

#ifdef MEMORY_LIES
    return FALSE;
#endif
    pthread_mutex_lock(&memory->lock);
    g_hash_table_remove(memory->images, uuid);
    pthread_mutex_unlock(&memory->lock);
    return TRUE;
}

static gpointer
cursor_new(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error)
{
    Image *image = find(handle, uuid, error);
    Cursor *cursor;

    if (!image)
        return NULL;
    cursor = g_new0(Cursor, 1);
    cursor->memory = handle;
    cursor->image = image;
    cursor->job = job;
    return cursor;
}

static gpointer
memory_writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request,
                   VimgPluginJob *job, GError **error)
{
    Cursor *cursor;

    if (request->offset > 0) {
        fail(error, VIMG_ERROR_INVALID_ARG, "the durable end is 0");
        return NULL;
    }
    cursor = cursor_new(handle, uuid, job, error);
    if (cursor)
        g_byte_array_set_size(cursor->image->data, 0);
    return cursor;
}

#if defined(MEMORY_STALL) || defined(MEMORY_DEAF)
/* Who waits leaves a file that says so. */
static gboolean
stall(Cursor *cursor, gboolean deaf, GError **error)
{
    g_autofree char *path = g_build_filename(cursor->memory->dir, "stall", NULL);
    g_autofree char *mark = g_strdup_printf("%s/stalled-%p", cursor->memory->dir, (void *)cursor);

    if (access(path, F_OK) == 0)
        g_file_set_contents(mark, "", 0, NULL);
    while (access(path, F_OK) == 0) {
        if (!deaf && services->job_cancelled(cursor->job))
            return fail(error, VIMG_ERROR_ABORTED, "cancelled while the storage stalled");
        g_usleep(20000);
    }
    return TRUE;
}
#endif

static gboolean
memory_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Cursor *cursor = writer;

#ifdef MEMORY_STALL
    if (!stall(cursor, FALSE, error))
        return FALSE;
#endif
    g_byte_array_append(cursor->image->data, buffer->data + offset, (guint)size);
    return TRUE;
}

static gboolean
memory_hole(gpointer writer, guint64 length, GError **error)
{
    Cursor *cursor = writer;
    guint from = cursor->image->data->len;

    if (length > (64 << 20))
        return fail(error, VIMG_ERROR_NO_SPACE, "write: No space left on device");
    g_byte_array_set_size(cursor->image->data, from + (guint)length);
    memset(cursor->image->data->data + from, 0, length);
    return TRUE;
}

static gboolean
memory_finish(gpointer writer, gboolean seal, const VimgPluginImage *meta, VimgPluginImage *out,
              GError **error)
{
    g_autofree Cursor *cursor = writer;
    Image *image = cursor->image;

    image->meta.physical = image->meta.allocation = image->data->len;
    if (seal) {
        image->meta.state = VIMG_IMAGE_ACTIVE;
        image->meta.capacity = meta->capacity;
        g_free(image->meta.format);
        image->meta.format = g_strdup(meta->format);
    }
    copy_meta(out, &image->meta);
    return TRUE;
}

static void
memory_abort(gpointer writer)
{
    g_free(writer);
}

static gpointer
memory_reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                   VimgPluginJob *job, GError **error)
{
    Cursor *cursor;

#ifdef MEMORY_LIES
    return g_new0(Cursor, 1);
#endif
    cursor = cursor_new(handle, uuid, job, error);
    if (!cursor)
        return NULL;
    cursor->at = MIN(offset, cursor->image->data->len);
    cursor->end = cursor->image->data->len;
    if (length > 0 && length < cursor->end - cursor->at)
        cursor->end = cursor->at + length;
    return cursor;
}

static gboolean
memory_reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    Cursor *cursor = reader;

#ifdef MEMORY_LIES
    return FALSE;
#endif
#ifdef MEMORY_DEAF
    if (cursor->at > 0)
        stall(cursor, TRUE, error);
#endif
    out->length = MIN(cursor->end - cursor->at, 100000);
    if (out->length > 0) {
        out->data = vimg_buffer_new(out->length);
        out->offset = 0;
        memcpy(out->data->data, cursor->image->data->data + cursor->at, out->length);
        cursor->at += out->length;
    }
    return TRUE;
}

static void
memory_reader_close(gpointer reader)
{
    g_free(reader);
}

static VimgBackend backend = {
#if defined(MEMORY_NEWER)
    .abi = VIMG_PLUGIN_ABI + 1,
#else
    .abi = VIMG_PLUGIN_ABI,
#endif
#if defined(MEMORY_SHORT)
    .size = G_STRUCT_OFFSET(VimgBackend, clone),
#else
    .size = sizeof(VimgBackend),
#endif
    .type = MEMORY_TYPE,
    .description = "images in memory, for tests",
    .source_required = VIMG_SOURCE_DIR,
    .formats = "raw",
#if !defined(MEMORY_INCOMPLETE)
    .identity = memory_identity,
#endif
    .open = memory_open,
    .close = memory_close,
    .probe = memory_probe,
    .list = memory_list,
    .create = memory_create,
    .stat = memory_stat,
    .remove_image = memory_remove,
    .writer_open = memory_writer_open,
    .writer_write = memory_write,
    .writer_hole = memory_hole,
    .writer_finish = memory_finish,
    .writer_abort = memory_abort,
    .reader_open = memory_reader_open,
    .reader_next = memory_reader_next,
    .reader_close = memory_reader_close,
#if defined(MEMORY_SHORT)
    /* beyond .size: a daemon that looks here calls nonsense */
    .clone = (gpointer)1,
    .cleanup = (gpointer)1,
    .verify = (gpointer)1,
#endif
};

const VimgBackend *
vimg_plugin_init(const VimgServices *given, GError **error)
{
    services = given;
#if defined(MEMORY_BADINIT)
    fail(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "no memory module in this host");
    return NULL;
#elif defined(MEMORY_SILENT)
    return NULL;
#else
    return &backend;
#endif
}
