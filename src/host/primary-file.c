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
#include "host/primary-mark.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

/* Bytes between two times that the kernel is asked to write out what it has; as many again may be
 * on their way to the disk, so that it never stands still. */
#define WINDOW ((guint64)32 * 1024 * 1024)
/* Threads that hang, or may, each with a descriptor and a piece; in one pool, and in all. */
static const VimgHostBound hanging_max = {8, 32};

/* The thread's. */
typedef struct {
    int fd; /* -1: it is not open */
    char *path;
    char *volume;
    char *pool;
    char *id;
    guint64 place;
    guint64 at;
    guint64 dirty;  /* bytes of data since the kernel was asked to write out what it has */
    guint64 asked;  /* what it was asked for ends here */
    guint64 waited; /* what it has done of that ends here */
} Target;

struct _VimgHostFile {
    VimgHostQueue *queue;
};

/* ---- in the thread ------------------------------------------------------------------------ */

/* Whoever hears of VIMG_ERROR_NO_SPACE says what is full. */
static gboolean
throw_write(const Target *target, GError **error)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return vimg_throw(error, VIMG_ERROR_NO_SPACE, "%s", g_strerror(errno));
    return vimg_throw_errno(error, _("cannot write volume '%1$s' of the host's pool '%2$s'"),
                            target->volume, target->pool);
}

static gboolean
open_target(gpointer data, VimgBuffer *buffer G_GNUC_UNUSED, gsize offset G_GNUC_UNUSED, guint64 at,
            GError **error)
{
    Target *target = data;

    target->at = target->asked = target->waited = at;
    target->fd = vimg_host_mark_open(target->path, target->id, target->place, error);
    return target->fd >= 0 && (ftruncate(target->fd, (off_t)at) == 0 || throw_write(target, error));
}

/*
 * A disk that begins early has little left to do at the end; and what it has not done is memory
 * that the host lacks: when too much of that waits, everybody who writes does.  Of an error that
 * this tells nobody is told again.
 */
static gboolean
write_out(Target *target, GError **error)
{
    const guint all =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    const guint64 before = target->asked - target->waited;

    if (sync_file_range(target->fd, (off_t)target->asked, (off_t)(target->at - target->asked),
                        SYNC_FILE_RANGE_WRITE) < 0 ||
        (before > 0 && sync_file_range(target->fd, (off_t)target->waited, (off_t)before, all) < 0))
        return throw_write(target, error);
    target->waited = target->asked;
    target->asked = target->at;
    target->dirty = 0;
    return TRUE;
}

static gboolean
write_piece(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    Target *target = data;

    if (buffer && vimg_pwrite_all(target->fd, buffer->data + offset, (gsize)size, target->at) < 0)
        return throw_write(target, error);
    target->at += size;
    if (buffer)
        target->dirty += size;
    return target->dirty < WINDOW || write_out(target, error);
}

gboolean
vimg_host_file_throw_replaced(const char *name, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_NO_VOL,
        _("volume '%s' of the host was deleted or replaced while it was being filled"), name);
}

static gboolean
is_there(const Target *target, GError **error)
{
    struct stat mine, now;
    gboolean found = lstat(target->path, &now) == 0;

    if ((!found && errno != ENOENT && errno != ENOTDIR) || fstat(target->fd, &mine) < 0)
        return throw_write(target, error);
    return (found && mine.st_dev == now.st_dev && mine.st_ino == now.st_ino) ||
           vimg_host_file_throw_replaced(target->volume, error);
}

static gboolean
look(gpointer data, VimgBuffer *buffer G_GNUC_UNUSED, gsize offset G_GNUC_UNUSED,
     guint64 size G_GNUC_UNUSED, GError **error)
{
    return is_there(data, error);
}

static gboolean
settle(gpointer data, VimgBuffer *buffer G_GNUC_UNUSED, gsize offset G_GNUC_UNUSED,
       guint64 size G_GNUC_UNUSED, GError **error)
{
    const Target *target = data;

    if (ftruncate(target->fd, (off_t)target->at) < 0 || fdatasync(target->fd) < 0)
        return throw_write(target, error);
    return is_there(target, error);
}

/* Some file systems have no such thing for directories, and need none. */
static gboolean
sync_name(const Target *target, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(target->path);
    vimg_autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return (fd >= 0 && (fsync(fd) == 0 || errno == EINVAL)) || throw_write(target, error);
}

static gboolean
write_part(const Target *target, const VimgBuffer *head, guint64 from, guint64 to)
{
    return vimg_pwrite_all(target->fd, head->data + from, (gsize)(to - from), from) == 0;
}

static guint64
behind_mark(const Target *target, guint64 size)
{
    return MIN(target->place + VIMG_HOST_MARK_SIZE, size);
}

/* Whoever dies before the last write leaves the mark, by which it is known to be unfinished. */
static gboolean
write_head(gpointer data, VimgBuffer *head, gsize offset G_GNUC_UNUSED, guint64 size,
           GError **error)
{
    const Target *target = data;

    return (write_part(target, head, 0, MIN(target->place, size)) &&
            write_part(target, head, behind_mark(target, size), size) && fsync(target->fd) == 0) ||
           throw_write(target, error);
}

static gboolean
write_last(gpointer data, VimgBuffer *head, gsize offset G_GNUC_UNUSED, guint64 size,
           GError **error)
{
    const Target *target = data;

    if (!sync_name(target, error) || !is_there(target, error))
        return FALSE;
    return (write_part(target, head, MIN(target->place, size), behind_mark(target, size)) &&
            fsync(target->fd) == 0) ||
           throw_write(target, error);
}

static void
end_target(gpointer data)
{
    Target *target = data;

    if (target->fd >= 0)
        close(target->fd);
    g_free(target->path);
    g_free(target->volume);
    g_free(target->pool);
    g_free(target->id);
    g_free(target);
}

static const VimgHostWork work = {.send = write_piece, .end = end_target};

/* ---- whose file it is ------------------------------------------------------------------- */

static Target *
target_new(const VimgHostFileSpec *spec)
{
    Target *target = g_new0(Target, 1);

    target->fd = -1;
    target->path = g_strdup(spec->path);
    target->volume = g_strdup(spec->volume);
    target->pool = g_strdup(spec->pool);
    target->id = g_strdup(spec->id);
    target->place = spec->place;
    return target;
}

gboolean
vimg_host_file_begin(const char *where, const char *pool, GError **error)
{
    VimgHostCount at, all;

    if (vimg_host_queue_begin(where, &hanging_max, &at, &all))
        return TRUE;
    if (at.left + at.running >= hanging_max.at && at.left > 0)
        return vimg_throw(
            error, VIMG_ERROR_BUSY,
            _("the storage of the host's pool '%1$s' does not answer to clones that were given up (%2$d), and others run there (%3$d): mend it first"),
            pool, at.left, at.running);
    return vimg_throw(
        error, VIMG_ERROR_BUSY,
        _("storages of the host do not answer to clones that were given up (%1$d), and others run (%2$d): mend them first"),
        all.left, all.running);
}

void
vimg_host_file_end(const char *where)
{
    vimg_host_queue_end(where);
}

/* Whoever was not cancelled meanwhile has another way. */
static gboolean
try_open(VimgHostFile *file, const VimgHostFileSpec *spec, guint64 at, const VimgHostWaiter *waiter,
         GError **error)
{
    g_autoptr(GError) why = NULL;

    if (vimg_host_queue_do(file->queue, open_target, NULL, at, &why))
        return TRUE;
    if (waiter->check(waiter->job, error))
        vimg_debug("'%s' is filled by a stream: %s", spec->path, why->message);
    return FALSE;
}

VimgHostFile *
vimg_host_file_open(const VimgHostFileSpec *spec, guint64 at, const VimgHostWaiter *waiter,
                    GError **error)
{
    VimgHostFile *file = g_new0(VimgHostFile, 1);

    file->queue = vimg_host_queue_new(&work, target_new(spec), waiter, error);
    if (file->queue && try_open(file, spec, at, waiter, error))
        return file;
    vimg_host_file_free(file);
    return NULL;
}

gboolean
vimg_host_file_push(VimgHostFile *file, VimgBuffer *buffer, gsize offset, guint64 size,
                    GError **error)
{
    return vimg_host_queue_push(file->queue, buffer, offset, size) ||
           vimg_host_queue_drop(file->queue, error);
}

gboolean
vimg_host_file_is_there(VimgHostFile *file, GError **error)
{
    return vimg_host_queue_do(file->queue, look, NULL, 0, error);
}

gboolean
vimg_host_file_settle(VimgHostFile *file, GError **error)
{
    return vimg_host_queue_wait(file->queue, error) &&
           vimg_host_queue_do(file->queue, settle, NULL, 0, error);
}

gboolean
vimg_host_file_head(VimgHostFile *file, VimgBuffer *head, gsize size, GError **error)
{
    return vimg_host_queue_do(file->queue, look, NULL, 0, error) &&
           vimg_host_queue_do(file->queue, write_head, head, size, error);
}

gboolean
vimg_host_file_finish(VimgHostFile *file, VimgBuffer *head, gsize size, GError **error)
{
    /* what is left writes nothing that looks whole, so what is to look whole is not left */
    return vimg_host_queue_keep(file->queue, error) &&
           vimg_host_queue_do(file->queue, write_last, head, size, error);
}

void
vimg_host_file_stop(VimgHostFile *file)
{
    vimg_host_queue_drop(file->queue, NULL);
}

gboolean
vimg_host_file_hand_over(VimgHostFile *file, GDestroyNotify func, gpointer data)
{
    return vimg_host_queue_hand_over(file->queue, func, data);
}

void
vimg_host_file_free(VimgHostFile *file)
{
    if (!file)
        return;
    vimg_host_queue_free(file->queue);
    g_free(file);
}
