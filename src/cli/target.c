/*
 * target.c: a file that a download makes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/record.h"
#include "cli/target.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/uuid.h"

#define AGAIN ((guint64)1024 * 1024) /* bytes of a part that come again */
#define CHECKPOINT ((guint64)256 * 1024 * 1024)
#define BLOCK (64 * 1024)
#define TRIES 5

VimgTarget *
vimg_target_new(const char *path, GError **error)
{
    g_autoptr(VimgTarget) target = g_new0(VimgTarget, 1);
    g_autofree char *real = NULL;

    target->fd = -1;
    if (g_str_equal(path, "-"))
        return g_steal_pointer(&target);
    if (!*path || g_str_has_suffix(path, "/") || g_file_test(path, G_FILE_TEST_IS_DIR)) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is a directory"), path);
        return NULL;
    }
    /* what a symbolic link names is replaced, not the link */
    real = realpath(path, NULL);
    target->path = g_strdup(real ? real : path);
    return g_steal_pointer(&target);
}

void
vimg_target_free(VimgTarget *target)
{
    if (!target)
        return;
    if (target->fd >= 0 && target->path)
        close(target->fd);
    g_free(target->path);
    g_free(target->part);
    g_free(target->uuid);
    g_free(target->record);
    g_free(target);
}

/* ---- opening ---------------------------------------------------------------------------- */

static gboolean
throw_in_use(const VimgTarget *target, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_BUSY, _("'%s' is in use by another download"),
                      target->part);
}

/* Whether the part has still its name, which another download may have given to the file. */
static gboolean
is_named(const VimgTarget *target)
{
    struct stat is, named;

    return fstat(target->fd, &is) == 0 && lstat(target->part, &named) == 0 &&
           is.st_dev == named.st_dev && is.st_ino == named.st_ino;
}

/* What is remembered of a part: which file it is, of which content of its image, and how much of it
 * no crash takes away. */
typedef struct {
    guint64 dev, ino, durable, content;
} Memory;
#define MEMORY_NUMBERS (sizeof(Memory) / sizeof(guint64))

/* Goes on with a part that we wrote; its end is to come again, and to be compared. */
static gboolean
resume(VimgTarget *target, const struct stat *info)
{
    Memory memory;

    if (info->st_uid != geteuid() || info->st_nlink != 1 || (info->st_mode & 077) != 0 ||
        !vimg_record_read(target->record, (guint64 *)&memory, MEMORY_NUMBERS) ||
        memory.dev != info->st_dev || memory.ino != info->st_ino ||
        memory.content != target->content || memory.durable > (guint64)info->st_size ||
        ftruncate(target->fd, (off_t)memory.durable) < 0)
        return FALSE;
    target->known = target->durable = memory.durable;
    target->at = memory.durable - MIN(memory.durable, AGAIN);
    return TRUE;
}

static void
set_record(VimgTarget *target, const struct stat *info)
{
    g_free(target->record);
    target->record = vimg_record_path("downloads", target->uuid, info);
}

/* Opens and locks what has the name of the part.  FALSE with no error: no file has. */
static gboolean
open_old(VimgTarget *target, struct stat *info, GError **error)
{
    for (int i = 0; i < TRIES; i++) {
        if (lstat(target->part, info) < 0 || !S_ISREG(info->st_mode))
            return FALSE;
        target->fd = open(target->part, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (target->fd < 0)
            return FALSE;
        if (flock(target->fd, LOCK_EX | LOCK_NB) < 0)
            break;
        if (is_named(target) && fstat(target->fd, info) == 0)
            return TRUE;
        close(vimg_steal_fd(&target->fd));
    }
    return throw_in_use(target, error);
}

/* Nobody else may read it before it is whole, and nothing that lies there is written to. */
static gboolean
open_new(VimgTarget *target, GError **error)
{
    struct stat info;

    if (unlink(target->part) < 0 && errno != ENOENT)
        return vimg_throw_errno(error, _("cannot remove '%s'"), target->part);
    target->fd =
        open(target->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (target->fd < 0 && errno == EEXIST)
        return throw_in_use(target, error);
    if (target->fd < 0 || fstat(target->fd, &info) < 0)
        return vimg_throw_errno(error, _("cannot open '%s'"), target->part);
    if (flock(target->fd, LOCK_EX | LOCK_NB) < 0 || !is_named(target))
        return throw_in_use(target, error);
    set_record(target, &info);
    return vimg_record_remove(target->record, error);
}

static gboolean
open_part(VimgTarget *target, gboolean afresh, GError **error)
{
    g_autoptr(GError) local = NULL;
    vimg_autofd int old = -1;
    struct stat info;

    if (open_old(target, &info, &local)) {
        set_record(target, &info);
        if (!afresh && resume(target, &info))
            return TRUE;
    }
    old = vimg_steal_fd(&target->fd); /* locked until there is a new one */
    if (!local && open_new(target, &local))
        return TRUE;
    if (target->fd >= 0)
        close(vimg_steal_fd(&target->fd));
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
open_in_place(VimgTarget *target, GError **error)
{
    target->fd = open(target->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return target->fd >= 0 || vimg_throw_errno(error, _("cannot open '%s'"), target->path);
}

static guint64
number_of(const char *generation)
{
    guint8 digest[32] = {0};
    gsize size = sizeof(digest);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    guint64 number = 0;

    g_checksum_update(sum, (const guchar *)generation, -1);
    g_checksum_get_digest(sum, digest, &size);
    g_checksum_free(sum);
    for (gsize i = 0; i < sizeof(number); i++)
        number = number << 8 | digest[i];
    return number;
}

gboolean
vimg_target_open(VimgTarget *target, const char *uuid, const char *generation, gboolean afresh,
                 GError **error)
{
    guint8 bytes[VIMG_UUID_SIZE];
    char text[VIMG_UUID_TEXT_SIZE];
    struct stat info;

    if (target->fd >= 0)
        return TRUE;
    if (!target->path) {
        target->fd = STDOUT_FILENO;
        return TRUE;
    }
    if (stat(target->path, &info) == 0 && !S_ISREG(info.st_mode))
        return open_in_place(target, error);
    /* it becomes part of a path */
    if (!vimg_uuid_parse(uuid, bytes))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is no uuid"), uuid);
    vimg_uuid_format(bytes, text);
    if (!target->part) {
        target->part = g_strdup_printf("%s.%s.part", target->path, text);
        target->uuid = g_strdup(text);
        target->content = generation ? number_of(generation) : 0;
    }
    return open_part(target, afresh, error);
}

gboolean
vimg_target_is_sparse(const VimgTarget *target)
{
    return target->part != NULL;
}

/* ---- content ---------------------------------------------------------------------------- */

static gboolean
throw_write(const VimgTarget *target, GError **error)
{
    return vimg_throw_errno(error, _("cannot write '%s'"),
                            target->part   ? target->part
                            : target->path ? target->path
                                           : "-");
}

/* What came again must be what the part holds; @data is NULL for zeros. */
static gboolean
compare(VimgTarget *target, const guint8 *data, guint64 size, GError **error)
{
    static const guint8 zeros[BLOCK];
    guint8 held[BLOCK];

    while (size > 0) {
        gsize want = (gsize)MIN(size, BLOCK);

        if (pread(target->fd, held, want, (off_t)target->at) != (gssize)want ||
            memcmp(held, data ? data : zeros, want) != 0) {
            target->is_stale = TRUE;
            return vimg_throw(error, VIMG_ERROR_DAMAGED, _("'%s' is not a part of the image"),
                              target->part);
        }
        data = data ? data + want : NULL;
        target->at += want;
        size -= want;
    }
    return TRUE;
}

/* How much of @size bytes the part is known to have. */
static guint64
count_known(const VimgTarget *target, guint64 size)
{
    return target->at < target->known ? MIN(size, target->known - target->at) : 0;
}

static void
maybe_checkpoint(VimgTarget *target)
{
    if (target->at >= target->durable + CHECKPOINT)
        vimg_target_checkpoint(target);
}

gboolean
vimg_target_write(VimgTarget *target, const void *data, gsize size, GError **error)
{
    gsize known = (gsize)count_known(target, size);
    int result;

    if (!compare(target, data, known, error))
        return FALSE;
    data = (const guint8 *)data + known;
    size -= known;
    result = target->part ? vimg_pwrite_all(target->fd, data, size, target->at)
                          : vimg_write_all(target->fd, data, size);
    if (result < 0)
        return throw_write(target, error);
    target->at += size;
    maybe_checkpoint(target);
    return TRUE;
}

gboolean
vimg_target_hole(VimgTarget *target, guint64 length, GError **error)
{
    guint64 known = count_known(target, length);

    if (!compare(target, NULL, known, error))
        return FALSE;
    length -= known;
    if (length > 0 && ftruncate(target->fd, (off_t)(target->at + length)) < 0)
        return throw_write(target, error);
    target->at += length;
    maybe_checkpoint(target);
    return TRUE;
}

void
vimg_target_checkpoint(VimgTarget *target)
{
    struct stat info;

    if (!target->part || target->fd < 0 || target->at <= target->durable)
        return;
    target->durable = target->at; /* what failed is not tried again at once */
    if (fsync(target->fd) == 0 && fstat(target->fd, &info) == 0) {
        const Memory memory = {info.st_dev, info.st_ino, target->at, target->content};

        vimg_record_write(target->record, (const guint64 *)&memory, MEMORY_NUMBERS, NULL);
    }
}

gboolean
vimg_target_restart(VimgTarget *target, GError **error)
{
    target->is_stale = FALSE;
    target->at = target->known = target->durable = 0;
    if (!vimg_record_remove(target->record, error))
        return FALSE;
    return ftruncate(target->fd, 0) == 0 || throw_write(target, error);
}

/* Who may read the file that is there may read the new one, otherwise whoever umask lets. */
static gboolean
set_mode(const VimgTarget *target)
{
    struct stat info;
    mode_t mask = umask(0);

    umask(mask);
    return fchmod(target->fd,
                  stat(target->path, &info) == 0 ? info.st_mode & 0777 : 0666 & ~mask) == 0;
}

/* Pipes and terminals have nothing to keep. */
static gboolean
sync_in_place(const VimgTarget *target, GError **error)
{
    return fsync(target->fd) == 0 || errno == EINVAL || errno == EROFS ||
           throw_write(target, error);
}

gboolean
vimg_target_commit(VimgTarget *target, GError **error)
{
    g_autofree char *dir = NULL;

    if (!target->part)
        return sync_in_place(target, error);
    if (!set_mode(target) || fsync(target->fd) < 0)
        return throw_write(target, error);
    if (!is_named(target))
        return throw_in_use(target, error);
    if (rename(target->part, target->path) < 0)
        return vimg_throw_errno(error, _("cannot rename '%1$s' to '%2$s'"), target->part,
                                target->path);
    vimg_record_remove(target->record, NULL);
    dir = g_path_get_dirname(target->path);
    return vimg_dir_sync(dir, error);
}

void
vimg_target_discard(VimgTarget *target)
{
    if (!target->part)
        return;
    unlink(target->part);
    vimg_record_remove(target->record, NULL);
}
