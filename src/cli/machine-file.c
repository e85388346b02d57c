/*
 * machine-file.c: new files beside those of a machine, which are undone without touching another's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/machine-file.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

char *
vimg_file_mark(const char *path)
{
    struct stat info;

    if (lstat(path, &info) < 0)
        return NULL;
    return g_strdup_printf("%llx:%llx", (unsigned long long)info.st_dev,
                           (unsigned long long)info.st_ino);
}

gboolean
vimg_file_discard(VimgUndo *undo, const char *path, GError **error)
{
    g_autofree char *mark = vimg_file_mark(path);

    if (!mark)
        return vimg_throw_errno(error, "'%s'", path);
    return vimg_undo_add(undo, VIMG_UNDO_FILE, error, path, mark, NULL);
}

void
vimg_file_keep(VimgUndo *undo, const char *path)
{
    g_autofree char *mark = vimg_file_mark(path);

    if (mark)
        vimg_undo_drop(undo, VIMG_UNDO_FILE, path, mark, NULL);
}

/* Moves what nobody else knows of to @path, unless something is there. */
static gboolean
settle(const char *hidden, const char *path, GError **error)
{
    int failed = renameat2(AT_FDCWD, hidden, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? errno : 0;

    /* of a file system that cannot say so */
    if (failed == EINVAL && link(hidden, path) == 0) {
        unlink(hidden);
        return TRUE;
    }
    if (failed == 0)
        return TRUE;
    failed = failed == EINVAL ? errno : failed;
    unlink(hidden);
    if (failed == EEXIST)
        return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", path);
    errno = failed;
    return vimg_throw_errno(error, "'%s'", path);
}

/* The name of the hidden one is nobody's, and its mark is known before it is at @path. */
gboolean
vimg_file_create(VimgUndo *undo, const char *path, GError **error)
{
    g_autofree char *unique = g_uuid_string_random();
    g_autofree char *hidden = g_strdup_printf("%s.%s", path, unique);
    g_autofree char *mark = NULL;
    vimg_autofd int fd = -1;

    if (!vimg_undo_add(undo, VIMG_UNDO_FILE, error, hidden, NULL))
        return FALSE;
    fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    mark = fd >= 0 ? vimg_file_mark(hidden) : NULL;
    if (!mark)
        return vimg_throw_errno(error, "'%s'", path);
    return vimg_undo_add(undo, VIMG_UNDO_FILE, error, path, mark, NULL) &&
           settle(hidden, path, error);
}
