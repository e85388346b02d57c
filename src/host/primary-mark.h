/*
 * primary-mark.h: what tells an unfinished volume from every other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_MARK_H
#define VIMG_HOST_PRIMARY_MARK_H

#include "host/primary-private.h"

#define VIMG_HOST_MARK_SIZE 64        /* bytes */
#define VIMG_HOST_NO_MARK G_MAXUINT64 /* a place: content of that size has no room for one */
#define VIMG_HOST_HEAD                                                                             \
    ((gsize)64 * 1024) /* bytes that come last, at once, the mark's among them                     \
                        */

/* Where it stands in a volume of @size bytes of content: the offset, or VIMG_HOST_NO_MARK. */
guint64 vimg_host_mark_place(guint64 size);
/* What it is, VIMG_HOST_MARK_SIZE bytes. */
void vimg_host_mark_fill(gpointer mark, const char *id);
gboolean vimg_host_mark_put(virConnectPtr connect, virStorageVolPtr vol, const char *id,
                            guint64 place, GError **error);
/*
 * The file at @path, if the mark is in it.  Returns: (transfer full) its descriptor; -1 with
 * @error: it is none, or not for us
 */
int vimg_host_mark_open(const char *path, const char *id, guint64 place, GError **error);
/* FALSE with @error: nobody can tell. */
gboolean vimg_host_mark_look(virConnectPtr connect, virStorageVolPtr vol, const char *id,
                             guint64 place, gboolean *there, GError **error);

#endif
