/*
 * machine-hold.c: a disk that no emulator writes to as long as we look at it
 *
 * QEMU says by locks upon single bytes of an image file what it does with it, and what it bears
 * others to do (block/file-posix.c: RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE; the bits are those of
 * include/block/block-common.h: BLK_PERM_*).  A byte that is locked at PERM + bit is a right that
 * is used, one at SHARED + bit a right that nobody else may have.  Each says first and looks then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/machine-hold.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define PERM 100
#define SHARED 200
#define N_RIGHTS 4 /* that concern us: consistent read, write, unchanged write, resize */

enum {
    READ,
    WRITE,
    WRITE_UNCHANGED,
    RESIZE
};

static int
lock(int fd, int what, short kind, int byte)
{
    struct flock range = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, what, &range) < 0)
        return -1;
    return what == F_OFD_GETLK && range.l_type != F_UNLCK ? 1 : 0;
}

/* Says what we do and bear.  Returns: 0 or errno.  Shared locks all, as every emulator's are. */
static int
take(int fd)
{
    static const int bytes[] = {PERM + READ, SHARED + WRITE, SHARED + RESIZE};

    for (gsize i = 0; i < G_N_ELEMENTS(bytes); i++)
        if (lock(fd, F_OFD_SETLK, F_RDLCK, bytes[i]) < 0)
            return errno;
    return 0;
}

static gboolean
is_written(int fd)
{
    return lock(fd, F_OFD_GETLK, F_WRLCK, PERM + WRITE) > 0 ||
           lock(fd, F_OFD_GETLK, F_WRLCK, PERM + RESIZE) > 0 ||
           lock(fd, F_OFD_GETLK, F_WRLCK, SHARED + READ) > 0;
}

int
vimg_hold_open(const char *path, GError **error)
{
    vimg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int failed;

    if (fd < 0) {
        vimg_throw_errno(error, "'%s'", path);
        return -1;
    }
    failed = take(fd);
    if (failed == EAGAIN || failed == EACCES || (failed == 0 && is_written(fd))) {
        vimg_throw(error, VIMG_ERROR_BUSY,
                   _("the disk at '%s' is written to by a machine or program: end that first"),
                   path);
        return -1;
    }
    return vimg_steal_fd(&fd);
}

gboolean
vimg_hold_is_used(int fd)
{
    for (int i = 0; i < N_RIGHTS; i++)
        if (lock(fd, F_OFD_GETLK, F_WRLCK, PERM + i) > 0)
            return TRUE;
    return FALSE;
}
