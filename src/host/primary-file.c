/*
 * primary-file.c: content of a volume of the host, written where it lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/primary-file.h"
#include "host/primary-queue.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define AHEAD ((guint64)32 * 1024 * 1024) /* bytes that may wait to be written to a disk */

struct _VimgHostFile {
    int fd;
    char *name;
    VimgHostQueue *queue;
    guint64 at;    /* the thread's until the queue has ended */
    guint64 asked; /* what the kernel was asked to write out ends here; the same */
};

static gboolean
throw_write(const VimgHostFile *file, GError **error)
{
    return vimg_throw_errno(error, _("cannot write volume '%s' of the host"), file->name);
}

/* In the thread of the queue.  A disk that begins early has little left to do at the end. */
static gboolean
write_piece(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    VimgHostFile *file = data;

    if (buffer && vimg_pwrite_all(file->fd, buffer->data + offset, (gsize)size, file->at) < 0)
        return throw_write(file, error);
    file->at += size;
    if (file->at - file->asked >= AHEAD) {
        sync_file_range(file->fd, (off_t)file->asked, (off_t)(file->at - file->asked),
                        SYNC_FILE_RANGE_WRITE);
        file->asked = file->at;
    }
    return TRUE;
}

static void
file_free(VimgHostFile *file)
{
    close(file->fd);
    g_free(file->name);
    g_free(file);
}

VimgHostFile *
vimg_host_file_new(int fd, guint64 at, const char *name, GError **error)
{
    VimgHostFile *file = g_new0(VimgHostFile, 1);

    file->fd = fd;
    file->at = file->asked = at;
    file->name = g_strdup(name);
    if (ftruncate(fd, (off_t)at) < 0)
        throw_write(file, error);
    else if ((file->queue = vimg_host_queue_new(write_piece, file, error)))
        return file;
    file_free(file);
    return NULL;
}

/* What came of it; nothing more is written. */
static gboolean
settle(VimgHostFile *file, gboolean all, GError **error)
{
    return !file->queue || vimg_host_queue_end(g_steal_pointer(&file->queue), all, error);
}

gboolean
vimg_host_file_push(VimgHostFile *file, VimgBuffer *buffer, gsize offset, guint64 size,
                    GError **error)
{
    return vimg_host_queue_push(file->queue, buffer, offset, size) || settle(file, FALSE, error);
}

static gboolean
make_durable(VimgHostFile *file, GError **error)
{
    struct stat info;

    if (ftruncate(file->fd, (off_t)file->at) < 0 || fdatasync(file->fd) < 0 ||
        fstat(file->fd, &info) < 0)
        return throw_write(file, error);
    return info.st_nlink > 0 ||
           vimg_throw(error, VIMG_ERROR_NO_VOL,
                      _("volume '%s' of the host was deleted while it was being filled"),
                      file->name);
}

gboolean
vimg_host_file_close(VimgHostFile *file, GError **error)
{
    gboolean ok = settle(file, TRUE, error) && make_durable(file, error);

    file_free(file);
    return ok;
}

void
vimg_host_file_abort(VimgHostFile *file)
{
    if (!file)
        return;
    settle(file, FALSE, NULL);
    file_free(file);
}
