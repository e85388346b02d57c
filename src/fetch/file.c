/*
 * file.c: a file of this host, below one of the directories that the administrator named
 *
 * Every step of the way is opened by itself and no link is followed, so that nobody who may write
 * there leads out of it.  Holes are not read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/fetch-private.h"
#include "util/file.h"
#include "util/i18n.h"

#define PIECE (1024 * 1024)

typedef struct {
    const VimgFetch *fetch;
    int fd;
    struct stat before;
    guint64 at;
    guint64 data_end; /* up to here there is no hole from @at on */
} FileSource;

static void
file_close(gpointer source)
{
    FileSource *file = source;

    vimg_autofd_close(&file->fd);
    g_free(file);
}

static gboolean
throw_file(const VimgUrl *url, GError **error)
{
    if (errno == ELOOP || errno == EMLINK)
        return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
                          _("'%s' leads through a symbolic link, which is not followed"),
                          url->shown);
    return vimg_throw_errno(error, "%s", url->shown);
}

/* One step from @dir on, which is closed. */
static int
step(int dir, const char *name, gboolean last)
{
    int flags = last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY;
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
    int saved = errno;
    struct stat info;

    /* a link to a directory is "not a directory" too */
    if (fd < 0 && saved == ENOTDIR && fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(info.st_mode))
        saved = ELOOP;
    close(dir);
    errno = saved;
    return fd;
}

static int
walk(const char *directory, const char *below, const VimgUrl *url, GError **error)
{
    g_auto(GStrv) names = g_strsplit(below, "/", -1);
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (guint i = 0; names[i] && fd >= 0; i++) {
        if (!*names[i] || strcmp(names[i], ".") == 0)
            continue;
        if (strcmp(names[i], "..") == 0) {
            close(fd);
            vimg_throw(error, VIMG_ERROR_ACCESS_DENIED, _("'%s' leads upwards"), url->shown);
            return -1;
        }
        fd = step(fd, names[i], !names[i + 1]);
    }
    if (fd < 0)
        throw_file(url, error);
    return fd;
}

/* Returns: what of @path lies below @directory; NULL: it does not. */
static const char *
below(const char *path, const char *directory)
{
    gsize size = strlen(directory);

    while (size > 0 && directory[size - 1] == '/')
        size--;
    return strncmp(path, directory, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

static int
open_allowed(const VimgFetch *fetch, const VimgUrl *url, GError **error)
{
    const char *const *directories = fetch->rules->directories;

    for (guint i = 0; directories[i]; i++) {
        const char *rest = below(url->path, directories[i]);

        if (rest)
            return walk(directories[i], rest, url, error);
    }
    vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
               _("'%s' does not lie below import_directories of virtimaged.conf"), url->shown);
    return -1;
}

static gpointer
file_open(VimgFetch *fetch, const VimgUrl *url, GError **error)
{
    FileSource *file = g_new0(FileSource, 1);

    file->fetch = fetch;
    file->fd = open_allowed(fetch, url, error);
    if (file->fd < 0) {
        file_close(file);
        return NULL;
    }
    if (fstat(file->fd, &file->before) < 0 || !S_ISREG(file->before.st_mode)) {
        vimg_throw(error, VIMG_ERROR_ACCESS_DENIED, _("'%s' is no regular file"), url->shown);
        file_close(file);
        return NULL;
    }
    posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return file;
}

static gboolean
file_length(gpointer source, guint64 *length, guint64 *allocation)
{
    const FileSource *file = source;

    *length = (guint64)file->before.st_size;
    *allocation = MIN(*length, (guint64)file->before.st_blocks * 512);
    return TRUE;
}

static char *
describe(const struct stat *info)
{
    return g_strdup_printf("%llu %llu %llu %lld.%09ld", VIMG_ULL(info->st_dev),
                           VIMG_ULL(info->st_ino), VIMG_ULL(info->st_size),
                           (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec);
}

static char *
file_identity(gpointer source)
{
    const FileSource *file = source;

    return describe(&file->before);
}

static gboolean
file_seek(gpointer source, guint64 offset, guint64 *at, GError **error)
{
    FileSource *file = source;

    file->at = MIN(offset, (guint64)file->before.st_size);
    file->data_end = file->at;
    *at = file->at;
    return TRUE;
}

static gboolean
changed(const FileSource *file, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_FAILED, _("'%s' was changed while it was read"),
                      file->fetch->url.shown);
}

/* Returns: how long the hole is that begins here. */
static guint64
find_data(FileSource *file)
{
    off_t size = file->before.st_size;
    off_t data = lseek(file->fd, (off_t)file->at, SEEK_DATA);
    off_t end;

    if (data < 0)
        data = errno == ENXIO ? size : (off_t)file->at;
    data = MIN(data, size);
    end = data < size ? lseek(file->fd, data, SEEK_HOLE) : size;
    file->data_end = (guint64)(end < 0 ? size : MIN(end, size));
    return (guint64)data - file->at;
}

static gboolean
read_piece(FileSource *file, gsize size, VimgExtent *out, GError **error)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(size);
    ssize_t n;

    do
        n = pread(file->fd, buffer->data, size, (off_t)file->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return throw_file(&file->fetch->url, error);
    if (n == 0)
        return changed(file, error);
    out->length = (guint64)n;
    out->data = g_steal_pointer(&buffer);
    return TRUE;
}

static gboolean
check_end(FileSource *file, GError **error)
{
    g_autofree char *before = describe(&file->before);
    g_autofree char *now = NULL;
    struct stat info;

    if (fstat(file->fd, &info) < 0)
        return throw_file(&file->fetch->url, error);
    now = describe(&info);
    return strcmp(before, now) == 0 || changed(file, error);
}

static gboolean
file_next(gpointer source, VimgExtent *out, GError **error)
{
    FileSource *file = source;
    guint64 size = (guint64)file->before.st_size;
    gsize most = file->at < VIMG_FETCH_HEAD ? VIMG_FETCH_HEAD - (gsize)file->at
                                            : PIECE - (gsize)(file->at % PIECE);
    guint64 hole = 0;
    guint64 end;

    if (file->at >= size)
        return check_end(file, error);
    if (file->at >= file->data_end && file->at > 0)
        hole = find_data(file);
    end = file->at < file->data_end ? file->data_end : size;
    if (hole > 0)
        out->length = hole;
    else if (!read_piece(file, (gsize)MIN(most, end - file->at), out, error))
        return FALSE;
    file->at += out->length;
    return TRUE;
}

const VimgFetchKind vimg_fetch_file = {
    .open = file_open,
    .length = file_length,
    .identity = file_identity,
    .seek = file_seek,
    .next = file_next,
    .close = file_close,
};
