/*
 * example.c: a small backend: images are plain files in a directory
 *
 *   DIR/NAME        content of an active image
 *   DIR/.UUID.part  content of one that is saving; the rename to NAME commits it
 *   DIR/.NAME.info  all else that is known of it; whoever made this file has the name
 *   DIR/.store      id of the storage, made by the first start
 *
 * An upload that was interrupted begins again.  What is missing here the daemon does or refuses.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define _GNU_SOURCE 1 /* renameat2(), SEEK_DATA */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vimg-plugin.h"

#define PIECE (256 * 1024) /* bytes read at a time */
#define DURABLE (G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE)

/* Both are FALSE, so that a callback can return them. */
#define FAIL(error, code, ...)                                                                     \
    ({                                                                                             \
        g_set_error(error, VIMG_ERROR, code, __VA_ARGS__);                                         \
        FALSE;                                                                                     \
    })
#define FAIL_ERRNO(error, what)                                                                    \
    FAIL(error, errno == ENOSPC ? VIMG_ERROR_NO_SPACE : VIMG_ERROR_SYSTEM, "%s: %s", what,         \
         g_strerror(errno))

/* ---- files ------------------------------------------------------------------------------ */

static char *
hidden(const char *dir, const char *name, const char *suffix)
{
    return g_strconcat(dir, "/.", name, suffix, NULL);
}

static gboolean
put_file(const char *path, const char *text, GError **error)
{
    g_autoptr(GError) local = NULL;

    return g_file_set_contents_full(path, text, -1, DURABLE, 0600, &local) ||
           FAIL(error, VIMG_ERROR_SYSTEM, "%s", local->message);
}

/* What was renamed or removed in @dir so far is so for good. */
static gboolean
sync_dir(const char *dir, GError **error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean ok = (fd >= 0 && fsync(fd) == 0) || FAIL_ERRNO(error, "cannot flush the directory");

    if (fd >= 0)
        close(fd);
    return ok;
}

/* With RENAME_NOREPLACE one of many gets @to, which stands for the image @name. */
static gboolean
rename_file(const char *dir, const char *from, const char *to, guint flags, const char *name,
            GError **error)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) == 0)
        return sync_dir(dir, error);
    return errno == EEXIST ? FAIL(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name)
                           : FAIL_ERRNO(error, "cannot rename a file");
}

/* ---- images ----------------------------------------------------------------------------- */

/* The texts that an info keeps, and where an image has them. */
static const char *const keys[] = {"uuid",     "name", "format", "parent",     "checksum-type",
                                   "checksum", "os",   "arch",   "description"};
/* clang-format off */
#define TEXTS(i)                                                                                   \
    {&(i)->uuid, &(i)->name, &(i)->format, &(i)->parent, &(i)->checksum_type, &(i)->checksum,      \
     &(i)->os, &(i)->arch, &(i)->description}
/* clang-format on */

static gboolean
save(const char *dir, const VimgPluginImage *image, guint flags, GError **error)
{
    char *const *const texts[] = TEXTS(image);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *fresh = hidden(dir, image->uuid, ".new");
    g_autofree char *info = hidden(dir, image->name, ".info");
    g_autofree char *data = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (*texts[i])
            g_key_file_set_string(file, "image", keys[i], *texts[i]);
    }
    g_key_file_set_uint64(file, "image", "capacity", image->capacity);
    g_key_file_set_int64(file, "image", "created", image->created);
    data = g_key_file_to_data(file, NULL, NULL);
    if (put_file(fresh, data, error) && rename_file(dir, fresh, info, flags, image->name, error))
        return TRUE;
    unlink(fresh);
    return FALSE;
}

/* Every image that the daemon sees was filled here.  Its state is what files there are. */
static gboolean
load(const char *dir, const char *entry, VimgPluginImage *out)
{
    char **const texts[] = TEXTS(out);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *info = g_build_filename(dir, entry, NULL);
    g_autofree char *part = NULL;
    g_autofree char *whole = NULL;
    struct stat st = {0};
    gsize i;

    if (entry[0] != '.' || !g_str_has_suffix(entry, ".info") ||
        !g_key_file_load_from_file(file, info, G_KEY_FILE_NONE, NULL))
        return FALSE;
    vimg_plugin_image_clear(out);
    for (i = 0; i < G_N_ELEMENTS(keys); i++)
        *texts[i] = g_key_file_get_string(file, "image", keys[i], NULL);
    if (!out->uuid || !out->name)
        return FALSE;
    out->capacity = g_key_file_get_uint64(file, "image", "capacity", NULL);
    out->created = g_key_file_get_int64(file, "image", "created", NULL);
    part = hidden(dir, out->uuid, ".part");
    whole = g_build_filename(dir, out->name, NULL);
    if (stat(part, &st) == 0)
        out->state = VIMG_IMAGE_SAVING;
    else if (stat(whole, &st) == 0 && S_ISREG(st.st_mode))
        out->state = VIMG_IMAGE_ACTIVE;
    else
        out->state = VIMG_IMAGE_ERROR;
    out->reason = g_strdup(out->state == VIMG_IMAGE_ERROR ? "its content is missing" : NULL);
    out->physical = (guint64)st.st_size;
    out->allocation = (guint64)st.st_blocks * 512;
    return TRUE;
}

static gboolean
example_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(handle, 0, NULL);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    const char *entry;

    if (!dir)
        return FAIL(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    while ((entry = g_dir_read_name(dir))) {
        if (load(handle, entry, &image) && !sink(&image, data))
            break;
    }
    return TRUE;
}

/* Looks through them all; with thousands of images the handle would be a table. */
static gboolean
example_stat(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(handle, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        if (load(handle, entry, out) && strcmp(out->uuid, uuid) == 0)
            return TRUE;
    }
    vimg_plugin_image_clear(out);
    return dir ? FAIL(error, VIMG_ERROR_NO_VOL, "the image is gone")
               : FAIL(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
}

static gboolean
example_create(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    g_autofree char *part = hidden(handle, image->uuid, ".part");
    g_autofree char *whole = g_build_filename(handle, image->name, NULL);
    struct stat st;

    if (image->name[0] == '.')
        return FAIL(error, VIMG_ERROR_INVALID_ARG, "a name must not begin with a dot here");
    if (lstat(whole, &st) == 0)
        return FAIL(error, VIMG_ERROR_VOL_EXISTS, "'%s'", image->name);
    if (!put_file(part, "", error))
        return FALSE;
    if (save(handle, image, RENAME_NOREPLACE, error)) /* from here on it exists */
        return example_stat(handle, image->uuid, out, error);
    unlink(part);
    return FALSE;
}

static char *
content_path(const char *dir, const VimgPluginImage *image)
{
    return image->state == VIMG_IMAGE_SAVING ? hidden(dir, image->uuid, ".part")
                                             : g_build_filename(dir, image->name, NULL);
}

static gboolean
example_remove_image(gpointer handle, const char *uuid, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *info = NULL;
    g_autofree char *path = NULL;

    if (!example_stat(handle, uuid, &image, error))
        return FALSE;
    info = hidden(handle, image.name, ".info");
    path = content_path(handle, &image);
    if ((unlink(path) < 0 && errno != ENOENT) || unlink(info) < 0)
        return FAIL_ERRNO(error, "cannot remove the image");
    return sync_dir(handle, error);
}

/* ---- content ---------------------------------------------------------------------------- */

typedef struct {
    char *dir; /* borrowed */
    VimgPluginImage image;
    char *path;
    int fd;
    off_t at, end; /* what a reader still has to hand out; a writer is where its file is */
} Content;

static void
content_close(gpointer data)
{
    Content *content = data;

    if (content->fd >= 0)
        close(content->fd);
    g_free(content->path);
    vimg_plugin_image_clear(&content->image);
    g_free(content);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Content, content_close)

static Content *
content_open(char *dir, const char *uuid, int flags, GError **error)
{
    g_autoptr(Content) content = g_new0(Content, 1);

    content->dir = dir;
    content->image.size = sizeof(content->image);
    content->fd = -1;
    if (!example_stat(dir, uuid, &content->image, error))
        return NULL;
    content->path = content_path(dir, &content->image);
    content->fd = open(content->path, flags | O_CLOEXEC);
    if (content->fd >= 0)
        return g_steal_pointer(&content);
    FAIL_ERRNO(error, "cannot open the content");
    return NULL;
}

static gpointer
example_writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request,
                    VimgPluginJob *job, GError **error)
{
    g_autoptr(Content) content = content_open(handle, uuid, O_WRONLY, error);

    if (!content)
        return NULL;
    if (request->offset > 0)
        FAIL(error, VIMG_ERROR_INVALID_ARG, "an upload must begin at byte 0");
    else if (content->image.state != VIMG_IMAGE_SAVING)
        FAIL(error, VIMG_ERROR_OPERATION_INVALID, "the image is complete already");
    else if (flock(content->fd, LOCK_EX | LOCK_NB) < 0 || access(content->path, F_OK) < 0)
        FAIL(error, VIMG_ERROR_BUSY, "another host writes or completed it");
    else if (ftruncate(content->fd, 0) < 0)
        FAIL_ERRNO(error, "cannot begin again");
    else
        return g_steal_pointer(&content);
    return NULL;
}

static gboolean
example_writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    gssize n;

    for (; size > 0; offset += (gsize)n, size -= (gsize)n) {
        n = write(((Content *)writer)->fd, buffer->data + offset, size);
        if (n < 0)
            return FAIL_ERRNO(error, "cannot write the content");
    }
    return TRUE;
}

static gboolean
example_writer_hole(gpointer writer, guint64 length, GError **error)
{
    return lseek(((Content *)writer)->fd, (off_t)length, SEEK_CUR) >= 0 ||
           FAIL_ERRNO(error, "cannot write the content");
}

static gboolean
example_writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image,
                      VimgPluginImage *out, GError **error)
{
    g_autoptr(Content) content = writer;
    VimgPluginImage *known = &content->image;
    g_autofree char *whole = g_build_filename(content->dir, known->name, NULL);

    if (!seal)
        return FAIL(error, VIMG_ERROR_NO_SUPPORT, "images can only be uploaded as a whole");
    if (ftruncate(content->fd, lseek(content->fd, 0, SEEK_CUR)) < 0 || fsync(content->fd) < 0)
        return FAIL_ERRNO(error, "cannot flush the content");
    known->capacity = image->capacity;
    g_free(known->format);
    known->format = g_strdup(image->format);
    return save(content->dir, known, 0, error) &&
           rename_file(content->dir, content->path, whole, RENAME_NOREPLACE, known->name, error) &&
           example_stat(content->dir, known->uuid, out, error);
}

static gpointer
example_reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                    VimgPluginJob *job, GError **error)
{
    Content *content = content_open(handle, uuid, O_RDONLY, error);

    if (content) {
        guint64 size = content->image.physical;
        guint64 left = size - MIN(offset, size);

        content->end = (off_t)(size - left + (length > 0 ? MIN(length, left) : left));
        content->at = (off_t)(size - left);
    }
    return content;
}

static gboolean
example_reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    Content *content = reader;
    gsize left = (gsize)(content->end - content->at);
    off_t next = lseek(content->fd, content->at, SEEK_DATA);
    gssize n;

    if (next < 0 && errno != ENXIO)
        return FAIL_ERRNO(error, "cannot read the content");
    if (next != content->at) { /* in a hole, or at the end */
        out->length = next < 0 ? left : MIN((gsize)(next - content->at), left);
    } else if (left > 0) {
        out->data = vimg_buffer_new(MIN(PIECE, left));
        n = pread(content->fd, out->data->data, out->data->size, content->at);
        if (n <= 0) {
            g_clear_pointer(&out->data, vimg_buffer_unref);
            return n < 0 ? FAIL_ERRNO(error, "cannot read the content")
                         : FAIL(error, VIMG_ERROR_DAMAGED, "the image is shorter than it was");
        }
        out->length = (guint64)n;
    }
    content->at += (off_t)out->length;
    return TRUE;
}

/* ---- the storage ------------------------------------------------------------------------ */

static gboolean
example_check(const VimgPluginPool *pool, GError **error)
{
    return pool->space_quota == 0 ||
           FAIL(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "plain files know no quota");
}

static char *
example_identity(const VimgPluginPool *pool)
{
    return g_strconcat("dir:", pool->dir, NULL);
}

/* Returns: (transfer full) what the other callbacks get as their handle: the directory. */
static gpointer
example_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    g_autofree char *path = hidden(pool->dir, "store", "");
    g_autofree char *fresh = g_uuid_string_random();
    g_autofree char *id = NULL;

    if ((flags & VIMG_OPEN_CREATE) && !pool->store_id && access(path, F_OK) < 0 &&
        errno == ENOENT && !put_file(path, fresh, error))
        return NULL;
    if (!g_file_get_contents(path, &id, NULL, NULL))
        FAIL(error, VIMG_ERROR_DISCONNECTED, "there is no storage in the directory");
    else if (pool->store_id && strcmp(pool->store_id, id) != 0)
        FAIL(error, VIMG_ERROR_DISCONNECTED, "another storage has taken the place of this one");
    else
        return g_strdup(pool->dir);
    return NULL;
}

static gboolean
example_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    g_autofree char *path = hidden(handle, "store", "");
    struct statvfs fs;

    if (statvfs(handle, &fs) < 0 || !g_file_get_contents(path, &out->store_id, NULL, NULL))
        return FAIL(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    out->capacity = (guint64)fs.f_blocks * fs.f_frsize;
    out->available = (guint64)fs.f_bavail * fs.f_frsize;
    out->allocation = (guint64)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
    out->read_only = (fs.f_flag & ST_RDONLY) != 0;
    return TRUE;
}

static const VimgBackend backend = {
    VIMG_BACKEND_HEADER,
    .type = "example",
    .description = "plain files in a directory",
    .source_required = VIMG_SOURCE_DIR,
    .formats = "raw|iso|qcow2|vmdk|vpc|vdi|vhdx",
    .check = example_check,
    .identity = example_identity,
    .open = example_open,
    .close = g_free,
    .probe = example_probe,
    .list = example_list,
    .create = example_create,
    .stat = example_stat,
    .remove_image = example_remove_image,
    .writer_open = example_writer_open,
    .writer_write = example_writer_write,
    .writer_hole = example_writer_hole,
    .writer_finish = example_writer_finish,
    .writer_abort = content_close,
    .reader_open = example_reader_open,
    .reader_next = example_reader_next,
    .reader_close = content_close,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &backend;
}
