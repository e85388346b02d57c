/*
 * foreign-fresh.c: whether a volume is as libvirt has just made it
 *
 * Whoever made a volume for us and died before he said so left no identity to know it by: what it
 * is like, and when it was made, is all there is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "closing.h"
#include "foreign.h"
#include "leftover.h"
#include "../throw.h"

/* Returns: 0, or a negative errno. */
static int
has_snapshots(rbd_image_t image, gboolean *out)
{
    rbd_snap_info_t snapshot; /* room for what ends the list, so a first one finds none */
    int n = 1;
    int result = rbd_snap_list(image, &snapshot, &n);

    *out = result == -ERANGE || result > 0;
    if (result >= 0)
        rbd_snap_list_end(&snapshot);
    return *out ? 0 : result;
}

int
vimg_ceph_foreign_is_blank(rbd_image_t image, gboolean *blank)
{
    gboolean more = FALSE;
    int result = has_snapshots(image, &more);

    if (result == 0 && !more)
        result = vimg_ceph_leftover_content(image, &more);
    *blank = result == 0 && !more;
    return result;
}

/* The time is that of the OSD that made it, in whole seconds. */
static int
look(rbd_image_t image, guint64 capacity, gint64 since, gint64 until, gboolean *fresh)
{
    struct timespec made = {0};
    guint64 size = 0;
    int result = rbd_get_create_timestamp(image, &made);

    *fresh = FALSE;
    if (result == 0)
        result = rbd_get_size(image, &size);
    if (result < 0 || size != capacity || made.tv_sec < since || made.tv_sec > until)
        return result;
    return vimg_ceph_foreign_is_blank(image, fresh);
}

gboolean
vimg_ceph_foreign_fresh(gpointer foreign, const char *volume, guint64 capacity, gint64 since,
                        gint64 until, gboolean *fresh, GError **error)
{
    VimgCluster *cluster = foreign;
    rbd_image_t image;
    int result = rbd_open_read_only(cluster->io, volume, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = look(image, capacity, since, until, fresh);
    vimg_ceph_closing_read(cluster, image, NULL);
    return result == 0 || vimg_cluster_throw(error, result, _("cannot look into the RBD image"));
}
