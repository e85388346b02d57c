/*
 * foreign-replace.c: a volume of libvirt takes the place of the empty one that had its name
 *
 * RBD removes and renames by names, and whoever deletes a volume and makes another gives that the
 * same one.  So the empty one is called otherwise first, by a name that nobody else has, and looked
 * at then: only by that name it is removed, and what turns out to be another's gets its own back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "closing.h"
#include "foreign.h"
#include "layout.h"
#include "../throw.h"

/* Returns: 0, or a negative errno; -EEXIST: it is another, or holds something */
static int
look_at(VimgCluster *cluster, const char *name, const char *identity)
{
    g_autofree char *id = NULL;
    gboolean blank = FALSE;
    rbd_image_t image;
    int result = vimg_layout_id_of(cluster, name, &id);

    if (result == 0 && strcmp(id, identity) != 0)
        return -EEXIST;
    if (result == 0)
        result = rbd_open_by_id_read_only(cluster->io, id, &image, NULL);
    if (result < 0)
        return result;
    result = vimg_ceph_foreign_is_blank(image, &blank);
    vimg_ceph_closing_read(cluster, image, NULL);
    return result == 0 && !blank ? -EEXIST : result;
}

/* Returns: 0 also if nothing is called @away, else a negative errno; -EEXIST: it stays so */
static int
give_back(VimgCluster *cluster, const char *volume, const char *away)
{
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(cluster, away, &id);

    if (result == 0)
        result = vimg_layout_drop_name(cluster, away, id); /* it was to get it, and has its own */
    if (result == -EEXIST)
        result = vimg_layout_rename(cluster, id, away, volume);
    return result == -ENOENT ? 0 : result;
}

static void
warn_kept(VimgCluster *cluster, const char *volume, const char *away, int result)
{
    vimg_ceph_warn("RBD image '%s/%s', which somebody made or wrote to meanwhile, is called '%s' "
                   "now: rename it with rbd rename: %s",
                   cluster->pool, volume, away, g_strerror(-result));
}

int
vimg_ceph_foreign_put_away(VimgCluster *cluster, const char *volume, const char *identity,
                           const char *away)
{
    int result = vimg_layout_rename(cluster, identity, volume, away);
    int back;

    if (result == 0)
        result = look_at(cluster, away, identity); /* from here on nobody opens it by its name */
    if (result == 0)
        result = rbd_remove(cluster->io, away);
    if (result == 0)
        return 0;
    back = give_back(cluster, volume, away); /* also what was renamed while an error came of it */
    if (back < 0)
        warn_kept(cluster, volume, away, back);
    return result == -EEXIST && back < 0 && back != -EEXIST ? back : result;
}

/* Returns: 0, or a negative errno; -EEXIST: it is to stay, and its name is taken */
static int
end_away(VimgCluster *cluster, const char *volume, const char *identity, const char *away)
{
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(cluster, away, &id);

    if (result == 0)
        result = vimg_layout_drop_name(cluster, away, id); /* it was to get it, and has its own */
    if (result != -EEXIST)
        return result == -ENOENT ? 0 : result;
    result = look_at(cluster, away, identity);
    if (result == 0)
        result = rbd_remove(cluster->io, away);
    if (result == -EEXIST)
        result = give_back(cluster, volume, away);
    return result == -ENOENT ? 0 : result;
}

/* Returns: 0, or a negative errno */
static int
free_name(VimgCluster *cluster, const char *name, const char *id)
{
    int result = id ? vimg_layout_drop_name(cluster, name, id) : 0;

    return result == -EEXIST ? 0 : result;
}

/* What a clone left that was killed before it had a header: librbd removes it by its name, but
 * nobody can open it, so libvirt does not list it.  Returns: 0, or a negative errno. */
static int
drop_half(VimgCluster *cluster, const char *by)
{
    g_autofree char *id = NULL;
    rbd_image_t image;
    int result = vimg_layout_id_of(cluster, by, &id);

    if (result == 0) {
        result = rbd_open_by_id_read_only(cluster->io, id, &image, NULL);
        if (result == 0)
            vimg_ceph_closing_read(cluster, image, NULL);
        else if (result == -ENOENT)
            result = rbd_remove(cluster->io, by);
    }
    return result == -ENOENT ? 0 : result;
}

gboolean
vimg_ceph_foreign_settle(gpointer foreign, const char *volume, const char *identity,
                         const char *second, const char *by, const char *away, gboolean *kept,
                         GError **error)
{
    VimgCluster *cluster = foreign;
    int result = free_name(cluster, volume, identity);

    if (result == 0)
        result = free_name(cluster, volume, second);
    if (result == 0)
        result = end_away(cluster, volume, identity, away);
    *kept = result == -EEXIST;
    if (*kept)
        warn_kept(cluster, volume, away, result);
    if (*kept || result == 0)
        result = drop_half(cluster, by);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot replace the empty RBD image"));
}

static gboolean
throw_kept(int result, const char *volume, GError **error)
{
    if (result == -EEXIST)
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "%s", volume);
    if (result == -EBUSY)
        return throw_error(error, VIMG_ERROR_BUSY,
                           _("the empty RBD image is open somewhere: end that, and try again"));
    return vimg_cluster_throw(error, result, _("cannot replace the empty RBD image"));
}

gboolean
vimg_ceph_foreign_take_place(gpointer foreign, const char *volume, const char *identity,
                             const char *by, const char *away, GError **error)
{
    VimgCluster *cluster = foreign;
    g_autofree char *id = NULL;
    int result = by ? vimg_layout_id_of(cluster, by, &id) : 0;

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    result = look_at(cluster, volume, identity);
    if (result == 0)
        result = vimg_ceph_foreign_put_away(cluster, volume, identity, away);
    if (result < 0 && result != -ENOENT)
        return throw_kept(result, volume, error);
    if (!by)
        return TRUE;
    result = vimg_layout_rename(cluster, id, by, volume);
    if (result == -EEXIST)
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "%s", volume);
    return result == 0 || vimg_cluster_throw(error, result, _("cannot rename the RBD image"));
}
