/*
 * nbd-file.h: the file into which what is read for an NBD client goes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_NBD_FILE_H
#define VIMG_DAEMON_NBD_FILE_H

#include <glib.h>

typedef struct {
    int ours;     /* what the daemon writes through; -1: none, as @theirs */
    int theirs;   /* what the server reads through: of its flags and position ours knows nothing */
    guint64 room; /* bytes of it, at most */
} VimgNbdFile;

/*
 * A new file without a name on the disk of @dir, of at most @most bytes.  The caller closes both
 * descriptors; on failure there are none.
 */
gboolean vimg_nbd_file_open(const char *dir, guint64 most, VimgNbdFile *out, GError **error);

/* How many bytes more may go to the disk of @fd, which keeps something for everything else. */
guint64 vimg_nbd_file_spare(int fd);

#endif
