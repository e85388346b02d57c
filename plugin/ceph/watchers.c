/*
 * watchers.c: who has an RBD image open for writing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "../throw.h"
#include "watchers.h"

#define MAX_WATCHERS 32

/* A client that was killed while it opened the image is named for ever by OSDs that lack the mend
 * of https://tracker.ceph.com/issues/58120, whatever its blocklist says: until they begin anew. */
static gboolean
throw_watchers(GError **error, const rbd_image_watcher_t *watchers, gsize n)
{
    g_autoptr(GString) names = g_string_new(NULL);
    gsize i;

    for (i = 0; i < n; i++)
        g_string_append_printf(names, "%sclient.%" G_GINT64_FORMAT " (%s)", i > 0 ? ", " : "",
                               watchers[i].id, watchers[i].addr);
    return throw_error(
        error, VIMG_ERROR_BUSY,
        _("the RBD image is open at %s; close it there, or wait half a minute if that host crashed; if it is named longer, see virtimage-ceph(7)"),
        names->str);
}

gboolean
vimg_ceph_watchers_check(VimgCluster *cluster, const char *id, GError **error)
{
    rbd_image_watcher_t watchers[MAX_WATCHERS];
    size_t n = MAX_WATCHERS;
    rbd_image_t image;
    gboolean ok = TRUE;
    /* who only reads is no watcher: nor are we */
    int result = rbd_open_by_id_read_only(cluster->io, id, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_watchers_list(image, watchers, &n);
    vimg_ceph_closing_read(cluster, image, NULL);
    if (result == -ERANGE)
        return throw_error(error, VIMG_ERROR_BUSY, _("the RBD image is open at %zu places"), n);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot see who has the RBD image open"));
    if (n > 0)
        ok = throw_watchers(error, watchers, n);
    rbd_watchers_list_cleanup(watchers, n);
    return ok;
}

gboolean
vimg_ceph_watchers_alone(rbd_image_t image, GError **error)
{
    rbd_image_watcher_t watchers[2];
    size_t n = G_N_ELEMENTS(watchers);
    int result = rbd_watchers_list(image, watchers, &n);

    if (result == 0)
        rbd_watchers_list_cleanup(watchers, n);
    if (result < 0 && result != -ERANGE)
        return vimg_cluster_throw(error, result, _("cannot see who has the RBD image open"));
    return (result == 0 && n <= 1) ||
           throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
}
