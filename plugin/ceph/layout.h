/*
 * layout.h: where RBD keeps what it knows of images
 *
 * Of its second format, which has not changed since 2012: reading it takes one message an image,
 * opening one takes ten.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_LAYOUT_H
#define VIMG_CEPH_LAYOUT_H

#include "cluster.h"

#define VIMG_LAYOUT_HEADER "rbd_header." /* and the id: size, times, metadata */

/* Little-endian, of @n bytes; 0 if there are fewer. */
guint64 vimg_layout_number(const char *data, gsize size, gsize n);
/* Returns: 0, or a negative errno; -ENOENT: there is no such image.  @out: (transfer full) */
int vimg_layout_id_of(VimgCluster *cluster, const char *name, char **out);
/* The same for the name; an image in the trash has none. */
int vimg_layout_name_of(VimgCluster *cluster, const char *id, char **out);

/*
 * RBD makes and renames images in several steps.  What was cut short between them leaves a name
 * that leads to an image of another name, or to none: such a name of @id is removed.  Returns: 0,
 * also if there was none, or a negative errno; -EEXIST: it is in use.
 */
int vimg_layout_drop_name(VimgCluster *cluster, const char *name, const char *id);
/*
 * rbd_rename() of @id, which completes one that was cut short; also one whose answer was lost.
 * Returns: 0, or a negative errno; -EEXIST: another image has the name.
 */
int vimg_layout_rename(VimgCluster *cluster, const char *id, const char *from, const char *to);
/* An entry of the trash that is still to be moved there is there.  Returns: 0, or an errno. */
int vimg_layout_end_move(VimgCluster *cluster, const char *id);

#endif
