/*
 * machine-nbd.h: the content of a disk, over NBD
 *
 * A thread of its own reads ahead, so that the server, the way here and whoever takes the pieces
 * all work at once.  Everything else is for one thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_NBD_H
#define VIMG_CLI_MACHINE_NBD_H

#include <glib.h>

#define VIMG_NBD_PIECE (1024 * 1024) /* bytes of data that one piece has at most */

typedef enum {
    VIMG_NBD_NOTHING, /* none came yet; ask again */
    VIMG_NBD_DATA,
    VIMG_NBD_HOLE, /* reads as zeros */
    VIMG_NBD_SAME, /* not changed since the checkpoint */
    VIMG_NBD_END,
} VimgNbdKind;

typedef struct {
    VimgNbdKind kind;
    guint64 offset, length;
    const guint8 *data; /* until the next piece is asked for */
} VimgNbdPiece;

typedef struct _VimgNbd VimgNbd;

/*
 * The export @name of the server at @socket; @bitmap: the export's bitmap of what was changed, or
 * NULL.  A server that cannot say what it asks for fails.
 */
VimgNbd *vimg_nbd_connect(const char *socket, const char *name, const char *bitmap, GError **error);
/*
 * The disk that the file or device @path holds in @format, by a server that ends with us.  Whoever
 * has it open for writing keeps us out, as we do others.
 */
VimgNbd *vimg_nbd_open(const char *path, const char *format, gboolean writable, GError **error);
/* Ends the thread.  Accepts NULL. */
void vimg_nbd_free(VimgNbd *nbd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgNbd, vimg_nbd_free)

guint64 vimg_nbd_size(const VimgNbd *nbd);

/* Begins reading at the first byte; nothing but vimg_nbd_next() may follow. */
gboolean vimg_nbd_start(VimgNbd *nbd, GError **error);
/* The next piece, in order and without gaps; waits a fraction of a second for it. */
gboolean vimg_nbd_next(VimgNbd *nbd, VimgNbdPiece *piece, GError **error);

/* Of one that is writable. */
gboolean vimg_nbd_write(VimgNbd *nbd, const void *data, gsize size, guint64 offset, GError **error);
gboolean vimg_nbd_zero(VimgNbd *nbd, guint64 length, guint64 offset, GError **error);
/* All of it is durable. */
gboolean vimg_nbd_flush(VimgNbd *nbd, GError **error);

#endif
