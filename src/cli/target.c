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
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/target.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/uuid.h"

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
    g_free(target);
}

/* ---- opening ---------------------------------------------------------------------------- */

static gint64
booted_at(void)
{
    struct timespec up = {0};

    clock_gettime(CLOCK_BOOTTIME, &up);
    return g_get_real_time() / G_USEC_PER_SEC - up.tv_sec;
}

/* Whether what it holds was written by us, and not before a crash. */
static gboolean
is_trusted(const struct stat *info)
{
    return S_ISREG(info->st_mode) && info->st_uid == geteuid() && info->st_nlink == 1 &&
           info->st_mtim.tv_sec > booted_at();
}

/* Who may read the file that is there may read the new one, and nobody else. */
static void
copy_mode(const VimgTarget *target)
{
    struct stat info;

    if (stat(target->path, &info) == 0)
        fchmod(target->fd, info.st_mode & 0777);
}

static gboolean
open_part(VimgTarget *target, gboolean afresh, GError **error)
{
    struct stat info;

    target->fd = open(target->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
    if (target->fd < 0 || fstat(target->fd, &info) < 0)
        return vimg_throw_errno(error, _("cannot open '%s'"), target->part);
    if (!S_ISREG(info.st_mode) || flock(target->fd, LOCK_EX | LOCK_NB) < 0)
        return vimg_throw(error, VIMG_ERROR_BUSY, _("'%s' is in use by another download"),
                          target->part);
    if ((afresh || !is_trusted(&info)) && ftruncate(target->fd, 0) < 0)
        return vimg_throw_errno(error, _("cannot write '%s'"), target->part);
    copy_mode(target);
    target->at = (guint64)lseek(target->fd, 0, SEEK_END);
    return TRUE;
}

static gboolean
open_in_place(VimgTarget *target, GError **error)
{
    target->fd = open(target->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return target->fd >= 0 || vimg_throw_errno(error, _("cannot open '%s'"), target->path);
}

gboolean
vimg_target_open(VimgTarget *target, const char *uuid, gboolean afresh, GError **error)
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
    target->part = g_strdup_printf("%s.%s.part", target->path, text);
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

gboolean
vimg_target_write(VimgTarget *target, const void *data, gsize size, GError **error)
{
    int result = target->part ? vimg_pwrite_all(target->fd, data, size, target->at)
                              : vimg_write_all(target->fd, data, size);

    if (result < 0)
        return throw_write(target, error);
    target->at += size;
    return TRUE;
}

gboolean
vimg_target_hole(VimgTarget *target, guint64 length, GError **error)
{
    if (ftruncate(target->fd, (off_t)(target->at + length)) < 0)
        return throw_write(target, error);
    target->at += length;
    return TRUE;
}

gboolean
vimg_target_commit(VimgTarget *target, GError **error)
{
    g_autofree char *dir = NULL;

    if (!target->part)
        return TRUE;
    if (fsync(target->fd) < 0)
        return throw_write(target, error);
    if (rename(target->part, target->path) < 0)
        return vimg_throw_errno(error, _("cannot rename '%1$s' to '%2$s'"), target->part,
                                target->path);
    dir = g_path_get_dirname(target->path);
    return vimg_dir_sync(dir, error);
}

void
vimg_target_discard(VimgTarget *target)
{
    if (target->part)
        unlink(target->part);
}
