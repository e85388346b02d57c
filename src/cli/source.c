/*
 * source.c: a file that is uploaded, as runs of data and of zeros
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/source.h"
#include "util/error.h"
#include "util/i18n.h"

#define BLOCK (256 * 1024) /* zeros are looked for in units of it */

/* Standard input is none either: an image is created with its size, and a pipe has none. */
static gboolean
throw_no_file(const char *path, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is neither a file nor a block device"),
                      path);
}

VimgSource *
vimg_source_open(const char *path, GError **error)
{
    g_autoptr(VimgSource) source = g_new0(VimgSource, 1);
    off_t end;

    source->path = g_strdup(path);
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &source->first) < 0) {
        if (errno == ENOENT && g_str_equal(path, "-"))
            throw_no_file(path, error);
        else
            vimg_throw_errno(error, _("cannot open '%s'"), path);
        return NULL;
    }
    if (!S_ISREG(source->first.st_mode) && !S_ISBLK(source->first.st_mode)) {
        throw_no_file(path, error);
        return NULL;
    }
    end = lseek(source->fd, 0, SEEK_END);
    if (end < 0) {
        vimg_throw_errno(error, _("cannot read '%s'"), path);
        return NULL;
    }
    source->size = (guint64)end;
    posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return g_steal_pointer(&source);
}

void
vimg_source_free(VimgSource *source)
{
    if (!source)
        return;
    if (source->fd >= 0)
        close(source->fd);
    g_free(source->path);
    g_free(source);
}

/* ---- runs ------------------------------------------------------------------------------- */

/* The data at @offset or behind it; where nobody knows of holes, everything is data. */
static void
find_data(VimgSource *source, guint64 offset)
{
    off_t from = lseek(source->fd, (off_t)offset, SEEK_DATA);
    off_t until;

    source->from = offset;
    source->until = source->size;
    if (from < 0) {
        if (errno == ENXIO)
            source->from = source->size;
        return;
    }
    source->from = MIN((guint64)from, source->size);
    until = lseek(source->fd, from, SEEK_HOLE);
    if (until > from)
        source->until = MIN((guint64)until, source->size);
}

/* A few bytes tell most of what is no zeros.  Returns: -1 if it cannot be read. */
static int
is_zero(const VimgSource *source, guint64 offset, gsize size)
{
    g_autofree guint8 *block = NULL;
    guint64 probe = 0;
    gssize got = pread(source->fd, &probe, MIN(size, sizeof(probe)), (off_t)offset);

    if (got <= 0 || probe != 0)
        return got > 0 ? FALSE : -1;
    block = g_malloc(size);
    got = pread(source->fd, block, size, (off_t)offset);
    if (got <= 0)
        return -1;
    /* less than all of it is looked at by whoever sends it */
    return (gsize)got == size && block[0] == 0 && memcmp(block, block + 1, size - 1) == 0;
}

/* The data from @offset to @end, up to where it turns into zeros or out of them. */
static guint64
split_data(const VimgSource *source, guint64 offset, guint64 end, gboolean *hole, GError **error)
{
    guint64 at = offset;

    while (at < end) {
        gsize size = (gsize)MIN(BLOCK - at % BLOCK, end - at);
        int zero = is_zero(source, at, size);

        if (zero < 0) {
            vimg_throw_errno(error, _("cannot read '%s'"), source->path);
            return 0;
        }
        if (at == offset)
            *hole = zero;
        else if (zero != *hole)
            break;
        at += size;
    }
    return at - offset;
}

guint64
vimg_source_next(VimgSource *source, guint64 offset, gsize most, gboolean *hole, GError **error)
{
    guint64 next = offset - offset % most + most;

    if (offset < source->from || offset >= source->until)
        find_data(source, offset);
    *hole = offset < source->from;
    if (*hole)
        return source->from - offset;
    return split_data(source, offset, MIN(next, source->until), hole, error);
}

/* ---- change ----------------------------------------------------------------------------- */

static gboolean
same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

gboolean
vimg_source_check(const VimgSource *source, GError **error)
{
    struct stat now;

    if (fstat(source->fd, &now) < 0)
        return vimg_throw_errno(error, _("cannot read '%s'"), source->path);
    if (now.st_size == source->first.st_size && same_time(&now.st_mtim, &source->first.st_mtim))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("'%s' was changed while it was uploaded"), source->path);
}

gboolean
vimg_source_identify(const VimgSource *source, guint64 identity[VIMG_SOURCE_IDENTITY])
{
    const struct stat *is = &source->first;
    const guint64 numbers[VIMG_SOURCE_IDENTITY] = {
        is->st_dev,
        is->st_ino,
        (guint64)is->st_size,
        (guint64)is->st_mtim.tv_sec,
        (guint64)is->st_mtim.tv_nsec,
        (guint64)is->st_ctim.tv_sec, /* the time of a change can be set, this one cannot */
        (guint64)is->st_ctim.tv_nsec,
    };

    memcpy(identity, numbers, sizeof(numbers));
    return S_ISREG(is->st_mode);
}
