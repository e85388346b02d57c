/*
 * primary-file.c: content of a volume of the host, written where it lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
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
    char *path;
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

VimgHostFile *
vimg_host_file_new(int fd, guint64 at, const char *path, const char *name, GError **error)
{
    VimgHostFile *file = g_new0(VimgHostFile, 1);

    file->fd = fd;
    file->at = file->asked = at;
    file->path = g_strdup(path);
    file->name = g_strdup(name);
    if (ftruncate(fd, (off_t)at) < 0)
        throw_write(file, error);
    else if ((file->queue = vimg_host_queue_new(write_piece, file, error)))
        return file;
    vimg_host_file_free(file);
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

gboolean
vimg_host_file_throw_replaced(const char *name, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_NO_VOL,
        _("volume '%s' of the host was deleted or replaced while it was being filled"), name);
}

gboolean
vimg_host_file_is_there(const VimgHostFile *file, GError **error)
{
    struct stat mine, now;
    gboolean found = lstat(file->path, &now) == 0;

    if ((!found && errno != ENOENT && errno != ENOTDIR) || fstat(file->fd, &mine) < 0)
        return throw_write(file, error);
    return (found && mine.st_dev == now.st_dev && mine.st_ino == now.st_ino) ||
           vimg_host_file_throw_replaced(file->name, error);
}

gboolean
vimg_host_file_settle(VimgHostFile *file, GError **error)
{
    if (!settle(file, TRUE, error))
        return FALSE;
    if (ftruncate(file->fd, (off_t)file->at) < 0 || fdatasync(file->fd) < 0)
        return throw_write(file, error);
    return vimg_host_file_is_there(file, error);
}

/* Some file systems have no such thing for directories, and need none. */
static gboolean
sync_name(const VimgHostFile *file, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(file->path);
    vimg_autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return (fd >= 0 && (fsync(fd) == 0 || errno == EINVAL)) || throw_write(file, error);
}

gboolean
vimg_host_file_head(VimgHostFile *file, const VimgBuffer *head, gsize size, GError **error)
{
    if (!vimg_host_file_is_there(file, error))
        return FALSE;
    if (vimg_pwrite_all(file->fd, head->data, size, 0) < 0 || fsync(file->fd) < 0)
        return throw_write(file, error);
    return sync_name(file, error) && vimg_host_file_is_there(file, error);
}

void
vimg_host_file_stop(VimgHostFile *file)
{
    settle(file, FALSE, NULL);
}

void
vimg_host_file_free(VimgHostFile *file)
{
    if (!file)
        return;
    vimg_host_file_stop(file);
    close(file->fd);
    g_free(file->path);
    g_free(file->name);
    g_free(file);
}
