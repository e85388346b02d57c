/*
 * file-reader.c: the content of a plain file beside the store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "adopt.h"
#include "throw.h"

#define PIECE ((guint64)1024 * 1024)

struct _VimgFileReader {
    VimgSliceStore *store;
    VimgPluginJob *job;
    char *origin;
    int fd;
    guint64 size;
    guint64 at;
    guint64 data_end; /* bytes up to there are data, as far as known */
};

/* The part of an origin that names the file; NULL if it is none of ours. */
static const char *
name_of(const char *origin)
{
    const char *path = strstr(origin, " path=");
    const char *name = path ? path + strlen(" path=") : NULL;

    return name && !strchr(name, '/') ? name : NULL;
}

void
vimg_file_reader_close(VimgFileReader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        close(reader->fd);
    g_free(reader->origin);
    g_free(reader);
}

/* Whether both the file that is open and the one that has its name now are what the origin says. */
static gboolean
check_unchanged(const VimgFileReader *reader, const char *path, GError **error)
{
    const char *name = name_of(reader->origin);
    struct stat open;
    struct stat named;

    if (fstat(reader->fd, &open) == 0 && lstat(path, &named) == 0 && S_ISREG(open.st_mode) &&
        open.st_dev == named.st_dev) {
        g_autofree char *a = vimg_adopt_origin(name, &open);
        g_autofree char *b = vimg_adopt_origin(name, &named);

        if (strcmp(a, reader->origin) == 0 && strcmp(b, reader->origin) == 0)
            return TRUE;
    }
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("file '%s' has changed"), path);
}

VimgFileReader *
vimg_file_reader_open(VimgSliceStore *store, const char *origin, guint64 offset, VimgPluginJob *job,
                      GError **error)
{
    g_autoptr(VimgFileReader) reader = g_new0(VimgFileReader, 1);
    const char *name = name_of(origin);
    g_autofree char *path = name ? g_build_filename(store->dir, name, NULL) : NULL;
    struct stat st;

    reader->store = store;
    reader->job = job;
    reader->origin = g_strdup(origin);
    reader->fd = -1;
    if (!path) {
        throw_error(error, VIMG_ERROR_INVALID_ARG, _("'%s' names no file"), origin);
        return NULL;
    }
    reader->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &st) < 0) {
        throw_result(error, errno, _("cannot open path '%s'"), path);
        return NULL;
    }
    if (!check_unchanged(reader, path, error))
        return NULL;
    reader->size = (guint64)st.st_size;
    reader->at = MIN(offset, reader->size);
    posix_fadvise(reader->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return g_steal_pointer(&reader);
}

/* The length of the hole at @at; 0: there is data, or the file system knows no holes. */
static guint64
hole_at(VimgFileReader *reader)
{
    off_t at = (off_t)reader->at;
    off_t end;

    if (reader->at < reader->data_end)
        return 0;
    end = lseek(reader->fd, at, SEEK_DATA);
    if (end < 0 && errno == ENXIO)
        return reader->size - reader->at;
    if (end > at)
        return MIN((guint64)end, reader->size) - reader->at;
    end = lseek(reader->fd, at, SEEK_HOLE);
    reader->data_end = end > at ? MIN((guint64)end, reader->size) : reader->size;
    return 0;
}

static gboolean
read_piece(VimgFileReader *reader, const char *path, VimgExtent *out, GError **error)
{
    guint64 size = MIN(PIECE, reader->data_end - reader->at);
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(size);
    gssize n;

    do
        n = pread(reader->fd, buffer->data, size, (off_t)reader->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return throw_result(error, errno, _("cannot read '%s'"), path);
    if (n == 0)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("file '%s' has changed"), path);
    buffer->size = (gsize)n;
    out->length = (guint64)n;
    out->data = g_steal_pointer(&buffer);
    return TRUE;
}

gboolean
vimg_file_reader_next(VimgFileReader *reader, VimgExtent *out, GError **error)
{
    g_autofree char *path = g_build_filename(reader->store->dir, name_of(reader->origin), NULL);

    memset(out, 0, sizeof(*out));
    if (!vimg_slice_store_check_job(reader->job, error))
        return FALSE;
    if (reader->at == reader->size)
        return check_unchanged(reader, path, error);
    out->length = hole_at(reader);
    if (out->length == 0 && !read_piece(reader, path, out, error))
        return FALSE;
    reader->at += out->length;
    return TRUE;
}
