/*
 * nbd-file.c: the file into which what is read for an NBD client goes
 *
 * Whoever serves may have been taken over.  It may make its file as large as it is allowed to, with
 * holes, and set the flags of its own description; neither takes from the disk what others need.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/nbd-file.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define SHARE 4 /* of what may be taken of a disk, at most one part in so many */
#define KEPT 20 /* of a disk, one part in so many is for what cannot be read again... */
#define KEPT_MAX ((guint64)1024 * 1024 * 1024) /* ...which is small: bytes */

guint64
vimg_nbd_file_spare(int fd)
{
    struct statvfs space;
    guint64 kept, available;

    if (fstatvfs(fd, &space) < 0)
        return 0;
    kept = MIN((guint64)space.f_blocks / KEPT * space.f_frsize, KEPT_MAX);
    available = (guint64)space.f_bavail * space.f_frsize;
    return available - MIN(available, kept);
}

gboolean
vimg_nbd_file_open(const char *dir, guint64 most, VimgNbdFile *out, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "nbd-XXXXXX", NULL);
    vimg_autofd int ours = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    vimg_autofd int theirs = ours < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int saved = errno;

    *out = (VimgNbdFile){.ours = -1, .theirs = -1};
    if (ours >= 0 && unlink(path) < 0)
        return vimg_throw_errno(error, _("cannot create '%s'"), path);
    errno = saved;
    if (theirs < 0)
        return vimg_throw_errno(error, _("cannot create '%s'"), path);
    out->room = MIN(most, vimg_nbd_file_spare(ours) / SHARE);
    out->ours = vimg_steal_fd(&ours);
    out->theirs = vimg_steal_fd(&theirs);
    return TRUE;
}
