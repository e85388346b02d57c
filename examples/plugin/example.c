/*
 * example.c: a small backend: images are plain files in a directory
 *
 * DIR/.example/store      id of the storage; flocked while images come and go
 * DIR/.example/UUID.ini   one image; there is no other list of them
 * DIR/.example/UUID.part  its content while it is saving
 * DIR/NAME                its content once it is active; the rename is the commit
 *
 * What is not here (clone, trash, cleanup, …) the daemon does itself or refuses for us.  Nothing of
 * an interrupted upload is kept, so the position where one may go on is always 0.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vimg-plugin.h"

#define PIECE (256 * 1024) /* bytes read at a time */
#define DURABLE (G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE)

typedef struct {
    char *dir;
    char *id;
} Store;

/* ---- small things ----------------------------------------------------------------------- */

static gboolean
fail_errno(GError **error, const char *what)
{
    int saved = errno;

    g_set_error(error, VIMG_ERROR, saved == ENOSPC ? VIMG_ERROR_NO_SPACE : VIMG_ERROR_SYSTEM,
                "%s: %s", what, g_strerror(saved));
    return FALSE;
}

static gboolean
fail(GError **error, VimgErrorCode code, const char *message)
{
    g_set_error_literal(error, VIMG_ERROR, (gint)code, message);
    return FALSE;
}

static char *
own_path(const char *dir, const char *name, const char *suffix)
{
    return g_strconcat(dir, "/.example/", name, suffix, NULL);
}

static int
path_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);

    if (fd >= 0)
        close(fd);
    return result;
}

static void
unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Until the end of the block: nobody else, on this host, changes which images there are. */
#define LOCKED(store) __attribute__((cleanup(unlock), unused)) int locked = lock_store(store)

static int
lock_store(const Store *store)
{
    g_autofree char *path = own_path(store->dir, "store", "");
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        flock(fd, LOCK_EX);
    return fd;
}

/* ---- an image's file -------------------------------------------------------------------- */

static const struct {
    const char *key;
    gsize offset;
} texts[] = {
    {"name", offsetof(VimgPluginImage, name)},
    {"format", offsetof(VimgPluginImage, format)},
    {"parent", offsetof(VimgPluginImage, parent)},
    {"checksum-type", offsetof(VimgPluginImage, checksum_type)},
    {"checksum", offsetof(VimgPluginImage, checksum)},
    {"os", offsetof(VimgPluginImage, os)},
    {"arch", offsetof(VimgPluginImage, arch)},
    {"description", offsetof(VimgPluginImage, description)},
};

static char **
text_of(const VimgPluginImage *image, gsize i)
{
    return (char **)((char *)image + texts[i].offset);
}

static gboolean
image_save(const Store *store, const VimgPluginImage *image, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = own_path(store->dir, image->uuid, ".ini");
    g_autofree char *data = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (*text_of(image, i))
            g_key_file_set_string(file, "image", texts[i].key, *text_of(image, i));
    }
    g_key_file_set_uint64(file, "image", "capacity", image->capacity);
    g_key_file_set_int64(file, "image", "created", image->created);
    data = g_key_file_to_data(file, NULL, NULL);
    return g_file_set_contents_full(path, data, -1, DURABLE, 0600, error);
}

/* The state is what is there: .part, or NAME, or neither. */
static gboolean
image_load(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    const Store *store = handle;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = own_path(store->dir, uuid, ".ini");
    g_autofree char *part = own_path(store->dir, uuid, ".part");
    g_autofree char *whole = NULL;
    struct stat st = {0};
    gsize i;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return fail(error, VIMG_ERROR_NO_VOL, "the image is gone");
    vimg_plugin_image_clear(out);
    out->uuid = g_strdup(uuid);
    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        *text_of(out, i) = g_key_file_get_string(file, "image", texts[i].key, NULL);
    out->capacity = g_key_file_get_uint64(file, "image", "capacity", NULL);
    out->created = g_key_file_get_int64(file, "image", "created", NULL);
    whole = g_build_filename(store->dir, out->name ? out->name : "", NULL);
    if (stat(part, &st) == 0) {
        out->state = VIMG_IMAGE_SAVING;
    } else if (stat(whole, &st) == 0 && S_ISREG(st.st_mode)) {
        out->state = VIMG_IMAGE_ACTIVE;
    } else {
        out->state = VIMG_IMAGE_ERROR;
        out->reason = g_strdup("its content is missing");
    }
    out->physical = (guint64)st.st_size;
    out->allocation = (guint64)st.st_blocks * 512;
    return TRUE;
}

/* ---- storages --------------------------------------------------------------------------- */

static char *
example_identity(const VimgPluginPool *pool)
{
    return g_strconcat("dir:", pool->dir, NULL);
}

static gboolean
example_build(const VimgPluginPool *pool, guint32 flags, VimgPluginJob *job, GError **error)
{
    g_autofree char *own = own_path(pool->dir, "", "");
    g_autofree char *id_file = own_path(pool->dir, "store", "");
    g_autofree char *id = g_uuid_string_random();

    if (g_file_test(id_file, G_FILE_TEST_EXISTS)) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_POOL_BUILT, "'%s'", pool->dir);
        return FALSE;
    }
    if (g_mkdir_with_parents(own, 0700) < 0)
        return fail_errno(error, own);
    return g_file_set_contents_full(id_file, id, -1, DURABLE, 0600, error);
}

static void
example_close(gpointer handle)
{
    Store *store = handle;

    g_free(store->dir);
    g_free(store->id);
    g_free(store);
}

static gpointer
example_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    g_autofree char *id_file = own_path(pool->dir, "store", "");
    g_autofree char *id = NULL;
    Store *store;

    if (!g_file_get_contents(id_file, &id, NULL, NULL)) {
        if (!(flags & VIMG_OPEN_CREATE) || pool->store_id ||
            !g_file_test(pool->dir, G_FILE_TEST_IS_DIR)) {
            g_set_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED,
                        "there is no storage in '%s'; pool-build makes one", pool->dir);
            return NULL;
        }
        if (!example_build(pool, 0, NULL, error) || !g_file_get_contents(id_file, &id, NULL, error))
            return NULL;
    }
    if (pool->store_id && strcmp(pool->store_id, id) != 0) {
        fail(error, VIMG_ERROR_DISCONNECTED, "another storage has taken the place of this one");
        return NULL;
    }
    store = g_new0(Store, 1);
    store->dir = g_strdup(pool->dir);
    store->id = g_steal_pointer(&id);
    return store;
}

static gboolean
example_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    Store *store = handle;
    g_autofree char *id_file = own_path(store->dir, "store", "");
    g_autofree char *id = NULL;
    struct statvfs fs;

    if (!g_file_get_contents(id_file, &id, NULL, NULL) || statvfs(store->dir, &fs) < 0)
        return fail(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    out->store_id = g_steal_pointer(&id);
    out->capacity = (guint64)fs.f_blocks * fs.f_frsize;
    out->available = (guint64)fs.f_bavail * fs.f_frsize;
    out->allocation = (guint64)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
    out->read_only = (fs.f_flag & ST_RDONLY) != 0;
    return TRUE;
}

/* ---- images ----------------------------------------------------------------------------- */

static gboolean
example_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    Store *store = handle;
    g_autofree char *own = own_path(store->dir, "", "");
    g_autoptr(GDir) dir = g_dir_open(own, 0, NULL);
    const char *file;

    if (!dir)
        return fail(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    while ((file = g_dir_read_name(dir))) {
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
        g_autofree char *uuid = g_strndup(file, 36);

        /* an image that went while we looked is no error */
        if (g_str_has_suffix(file, ".ini") && image_load(store, uuid, &image, NULL) &&
            !sink(&image, data))
            break;
    }
    return TRUE;
}

/* A sink that stops at the image called *@data, and says so by making that NULL. */
static gboolean
find_name(const VimgPluginImage *image, gpointer data)
{
    const char **name = data;

    if (strcmp(image->name, *name) != 0)
        return TRUE;
    *name = NULL;
    return FALSE;
}

static gboolean
example_create(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    Store *store = handle;
    g_autofree char *part = own_path(store->dir, image->uuid, ".part");
    g_autofree char *whole = g_build_filename(store->dir, image->name, NULL);
    const char *name = image->name;
    struct stat st;
    int fd;
    LOCKED(store);

    if (!example_list(store, find_name, &name, error))
        return FALSE;
    if (!name || lstat(whole, &st) == 0) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS, "'%s'", image->name);
        return FALSE;
    }
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(error, "cannot create the image");
    close(fd);
    /* the .ini makes it exist */
    if (image_save(store, image, error) && image_load(store, image->uuid, out, error))
        return TRUE;
    unlink(part);
    return FALSE;
}

static gboolean
example_remove_image(gpointer handle, const char *uuid, GError **error)
{
    Store *store = handle;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *part = own_path(store->dir, uuid, ".part");
    g_autofree char *ini = own_path(store->dir, uuid, ".ini");
    g_autofree char *own = own_path(store->dir, "", "");
    g_autofree char *whole = NULL;
    LOCKED(store);

    if (!image_load(store, uuid, &image, error))
        return FALSE;
    whole = g_build_filename(store->dir, image.name, NULL);
    /* NAME is a stranger's while we have our own .part */
    if ((unlink(part) < 0 && (errno != ENOENT || (unlink(whole) < 0 && errno != ENOENT))) ||
        path_sync(store->dir) < 0 || unlink(ini) < 0 || path_sync(own) < 0)
        return fail_errno(error, "cannot remove the image");
    return TRUE;
}

/* ---- writing ---------------------------------------------------------------------------- */

typedef struct {
    Store *store;
    VimgPluginImage image;
    int fd;
    off_t at; /* where what comes next goes */
} Writer;

static void
example_writer_abort(gpointer data)
{
    Writer *writer = data;

    if (writer->fd >= 0)
        close(writer->fd);
    vimg_plugin_image_clear(&writer->image);
    g_free(writer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Writer, example_writer_abort)

static gpointer
example_writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request,
                    VimgPluginJob *job, GError **error)
{
    g_autoptr(Writer) writer = g_new0(Writer, 1);
    g_autofree char *part = own_path(((Store *)handle)->dir, uuid, ".part");

    writer->store = handle;
    writer->image.size = sizeof(writer->image);
    writer->fd = open(part, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (writer->fd < 0)
        fail_errno(error, "cannot open the image");
    else if (request->offset > 0)
        fail(error, VIMG_ERROR_INVALID_ARG, "an upload must begin at byte 0");
    else if (image_load(handle, uuid, &writer->image, error))
        return g_steal_pointer(&writer);
    return NULL;
}

static gboolean
example_writer_write(gpointer data, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Writer *writer = data;

    while (size > 0) {
        gssize n = pwrite(writer->fd, buffer->data + offset, size, writer->at);

        if (n < 0)
            return fail_errno(error, "cannot write the image");
        writer->at += n;
        offset += (gsize)n;
        size -= (gsize)n;
    }
    return TRUE;
}

static gboolean
example_writer_hole(gpointer data, guint64 length, GError **error)
{
    ((Writer *)data)->at += (off_t)length;
    return TRUE;
}

/* The name may have become a stranger's file meanwhile: that is not overwritten. */
static gboolean
commit(Writer *writer, GError **error)
{
    const char *dir = writer->store->dir;
    g_autofree char *part = own_path(dir, writer->image.uuid, ".part");
    g_autofree char *whole = g_build_filename(dir, writer->image.name, NULL);

    if (strcmp(writer->image.format, "raw") == 0) /* the rest of a disk is zeros */
        writer->at = MAX(writer->at, (off_t)writer->image.capacity);
    if (ftruncate(writer->fd, writer->at) < 0 || fsync(writer->fd) < 0)
        return fail_errno(error, "cannot flush the image");
    if (!image_save(writer->store, &writer->image, error))
        return FALSE;
    if (renameat2(AT_FDCWD, part, AT_FDCWD, whole, RENAME_NOREPLACE) < 0 || path_sync(dir) < 0)
        return fail_errno(error, "cannot publish the image");
    return TRUE;
}

static gboolean
example_writer_finish(gpointer data, gboolean seal, const VimgPluginImage *image,
                      VimgPluginImage *out, GError **error)
{
    g_autoptr(Writer) writer = data;

    if (!seal)
        return fail(error, VIMG_ERROR_NO_SUPPORT, "images can only be uploaded as a whole");
    writer->image.capacity = image->capacity;
    g_free(writer->image.format);
    writer->image.format = g_strdup(image->format);
    if (!commit(writer, error))
        return FALSE;
    return image_load(writer->store, writer->image.uuid, out, error);
}

/* ---- reading ---------------------------------------------------------------------------- */

typedef struct {
    int fd;
    off_t at;
    off_t end;
} Reader;

static void
example_reader_close(gpointer data)
{
    Reader *reader = data;

    if (reader->fd >= 0)
        close(reader->fd);
    g_free(reader);
}

static gpointer
example_reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                    VimgPluginJob *job, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *path = NULL;
    Reader *reader;

    if (!image_load(handle, uuid, &image, error))
        return NULL;
    path = g_build_filename(((Store *)handle)->dir, image.name, NULL);
    reader = g_new0(Reader, 1);
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) {
        fail_errno(error, "cannot open the image");
        example_reader_close(reader);
        return NULL;
    }
    reader->at = (off_t)MIN(offset, image.physical);
    reader->end = (off_t)image.physical;
    if (length > 0 && length < (guint64)(reader->end - reader->at))
        reader->end = reader->at + (off_t)length;
    return reader;
}

static gboolean
example_reader_next(gpointer data, VimgExtent *out, GError **error)
{
    Reader *reader = data;
    off_t next = lseek(reader->fd, reader->at, SEEK_DATA);
    gssize n;

    if (next < 0 && errno == ENXIO) /* nothing but a hole to the end */
        next = reader->end;
    if (next < 0)
        return fail_errno(error, "cannot read the image");
    if (next > reader->at || reader->at == reader->end) {
        out->length = (guint64)(MIN(next, reader->end) - reader->at);
        reader->at += (off_t)out->length;
        return TRUE;
    }
    out->data = vimg_buffer_new((gsize)MIN(PIECE, reader->end - reader->at));
    n = pread(reader->fd, out->data->data, out->data->size, reader->at);
    if (n <= 0) {
        vimg_buffer_unref(g_steal_pointer(&out->data));
        return n < 0 ? fail_errno(error, "cannot read the image")
                     : fail(error, VIMG_ERROR_DAMAGED, "the image is shorter than it was");
    }
    out->length = (guint64)n;
    reader->at += n;
    return TRUE;
}

/* ---- the table -------------------------------------------------------------------------- */

static const VimgBackend backend = {
    VIMG_BACKEND_HEADER,
    .type = "example",
    .description = "plain files in a directory",
    .source_required = VIMG_SOURCE_DIR,
    .formats = "raw|iso|qcow2|vmdk|vpc|vdi|vhdx",
    .identity = example_identity,
    .build = example_build,
    .open = example_open,
    .close = example_close,
    .probe = example_probe,
    .list = example_list,
    .create = example_create,
    .stat = image_load,
    .remove_image = example_remove_image,
    .writer_open = example_writer_open,
    .writer_write = example_writer_write,
    .writer_hole = example_writer_hole,
    .writer_finish = example_writer_finish,
    .writer_abort = example_writer_abort,
    .reader_open = example_reader_open,
    .reader_next = example_reader_next,
    .reader_close = example_reader_close,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &backend;
}
