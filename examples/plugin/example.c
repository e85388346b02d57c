/*
 * example.c: a small backend: images are plain files in a directory
 *
 *   DIR/NAME    content of an image; whoever makes this file has the name
 *   DIR/.UUID   "STATE FORMAT CAPACITY CREATED NAME", written by rename: the image exists from the
 *               first time on and is complete from the second; FORMAT is - if it is not known
 *   DIR/.store  id of the storage, made by the first start
 *
 * An upload that was interrupted begins again.  What is missing here the daemon does or refuses.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vimg-plugin.h"

#define DURABLE (G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE)

/* Always FALSE, so that a callback can return it.  Without a @cause it is errno's. */
static gboolean
fail(GError **error, VimgErrorCode code, const char *cause)
{
    if (code == VIMG_ERROR_SYSTEM && errno == ENOSPC)
        code = VIMG_ERROR_NO_SPACE;
    g_set_error_literal(error, VIMG_ERROR, code, cause ? cause : g_strerror(errno));
    return FALSE;
}

static gboolean
save(const char *dir, const VimgPluginImage *image, GError **error)
{
    g_autofree char *path = g_strconcat(dir, "/.", image->uuid, NULL);
    g_autofree char *text = g_strdup_printf("%d %s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %s",
                                            image->state, image->format ? image->format : "-",
                                            image->capacity, image->created, image->name);

    return g_file_set_contents_full(path, text, -1, DURABLE, 0600, NULL) ||
           fail(error, VIMG_ERROR_SYSTEM, "cannot write what describes the image");
}

static gboolean
example_stat(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    g_autofree char *path = g_strconcat(handle, "/.", uuid, NULL);
    g_autofree char *content = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;
    struct stat st = {0};

    words = g_strsplit(g_file_get_contents(path, &text, NULL, NULL) ? text : "", " ", 5);
    if (g_strv_length(words) < 5 || strchr(words[4], '/'))
        return fail(error, VIMG_ERROR_NO_VOL, "the image is gone");
    content = g_strconcat(handle, "/", words[4], NULL);
    out->uuid = g_strdup(uuid);
    out->name = g_strdup(words[4]);
    out->format = strcmp(words[1], "-") == 0 ? NULL : g_strdup(words[1]);
    out->capacity = g_ascii_strtoull(words[2], NULL, 10);
    out->created = g_ascii_strtoll(words[3], NULL, 10);
    out->state = stat(content, &st) == 0 ? (VimgImageState)(words[0][0] - '0') : VIMG_IMAGE_ERROR;
    out->physical = (guint64)st.st_size;
    out->allocation = (guint64)st.st_blocks * 512;
    return TRUE;
}

static gboolean
example_set_error(gpointer handle, const char *uuid, const char *reason, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    if (!example_stat(handle, uuid, &image, error))
        return FALSE;
    image.state = VIMG_IMAGE_ERROR;
    return save(handle, &image, error);
}

static gboolean
example_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(handle, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

        if (entry[0] == '.' && g_uuid_string_is_valid(entry + 1) &&
            example_stat(handle, entry + 1, &image, NULL) && !sink(&image, data))
            break;
    }
    return dir || fail(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
}

static gboolean
example_create(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    g_autofree char *path = g_strconcat(handle, "/", image->name, NULL);
    int fd;

    if (image->name[0] == '.')
        return fail(error, VIMG_ERROR_INVALID_ARG, "a name must not begin with a dot here");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, errno == EEXIST ? VIMG_ERROR_VOL_EXISTS : VIMG_ERROR_SYSTEM, NULL);
    close(fd);
    if (save(handle, image, error))
        return example_stat(handle, image->uuid, out, error);
    unlink(path);
    return FALSE;
}

static gboolean
example_remove_image(gpointer handle, const char *uuid, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *path = g_strconcat(handle, "/.", uuid, NULL);
    g_autofree char *content = NULL;
    gboolean ok;
    int fd;

    if (!example_stat(handle, uuid, &image, error))
        return FALSE;
    content = g_strconcat(handle, "/", image.name, NULL);
    fd = open(handle, O_RDONLY | O_CLOEXEC);
    ok = unlink(path) == 0 && (unlink(content) == 0 || errno == ENOENT) && fsync(fd) == 0;
    close(fd);
    return ok || fail(error, VIMG_ERROR_SYSTEM, NULL);
}

/* The daemon writes and reads it. */
static int
example_content(gpointer handle, const char *uuid, gboolean saving, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *path = NULL;
    int flags = saving ? O_RDWR : O_RDONLY;
    int fd = -1;

    if (!example_stat(handle, uuid, &image, error))
        return -1;
    path = g_strconcat(handle, "/", image.name, NULL);
    if (image.state != (saving ? VIMG_IMAGE_SAVING : VIMG_IMAGE_ACTIVE))
        fail(error, VIMG_ERROR_OPERATION_INVALID, "the image is in another state");
    else if ((fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
        fail(error, VIMG_ERROR_SYSTEM, NULL);
    return fd;
}

static gboolean
example_seal(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    VimgPluginImage sealed = *image; /* borrows its texts */

    sealed.state = VIMG_IMAGE_ACTIVE;
    return save(handle, &sealed, error) && example_stat(handle, image->uuid, out, error);
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
    g_autofree char *path = g_strconcat(pool->dir, "/.store", NULL);
    g_autofree char *fresh = g_uuid_string_random();
    g_autofree char *id = NULL;

    if ((flags & VIMG_OPEN_CREATE) && !pool->store_id && access(path, F_OK) < 0)
        g_file_set_contents_full(path, fresh, -1, DURABLE, 0600, NULL); /* or it cannot be read */
    if (g_file_get_contents(path, &id, NULL, NULL) &&
        (!pool->store_id || strcmp(pool->store_id, id) == 0))
        return g_strdup(pool->dir);
    fail(error, VIMG_ERROR_DISCONNECTED, "the storage is not there, or another one is");
    return NULL;
}

static gboolean
example_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    g_autofree char *path = g_strconcat(handle, "/.store", NULL);
    struct statvfs fs;

    if (statvfs(handle, &fs) < 0 || !g_file_get_contents(path, &out->store_id, NULL, NULL))
        return fail(error, VIMG_ERROR_DISCONNECTED, "the storage is gone");
    out->capacity = (guint64)fs.f_blocks * fs.f_frsize;
    out->available = (guint64)fs.f_bavail * fs.f_frsize;
    out->allocation = out->capacity - (guint64)fs.f_bfree * fs.f_frsize;
    return TRUE;
}

static const VimgBackend backend = {
    VIMG_BACKEND_HEADER,
    .type = "example",
    .description = "plain files in a directory",
    .source_required = VIMG_SOURCE_DIR,
    .formats = "raw|iso|qcow2|vmdk|vpc|vdi|vhdx",
    .identity = example_identity,
    .open = example_open,
    .close = g_free,
    .probe = example_probe,
    .list = example_list,
    .create = example_create,
    .stat = example_stat,
    .set_error = example_set_error,
    .remove_image = example_remove_image,
    .content = example_content,
    .seal = example_seal,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &backend;
}
