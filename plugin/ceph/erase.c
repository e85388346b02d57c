/*
 * erase.c: removing an image for good
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "erase.h"
#include "layout.h"
#include "../throw.h"
#include "watchers.h"

#define SHOWN 5 /* children that an error names */
/* RBD knows no bounds */
#define MAX_CHILDREN (1024 * 1024)
#define MAX_SNAPSHOTS (1024 * 1024)

/* ---- children --------------------------------------------------------------------------- */

/* Other tools choose names of any bytes.  Returns: (transfer full) */
static char *
make_readable(const char *name)
{
    char *text = g_utf8_make_valid(name, -1);
    char *c;

    for (c = text; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    return text;
}

/* Returns: (transfer full) NULL: none of them counts. */
static char *
describe_children(const rbd_linked_image_spec_t *children, gsize n, gint64 pool, GHashTable *but)
{
    g_autoptr(GString) names = g_string_new(NULL);
    gsize counted = 0;
    gsize i;

    for (i = 0; i < n; i++) {
        const rbd_linked_image_spec_t *child = &children[i];
        g_autofree char *name = make_readable(child->image_name);

        if (but && child->pool_id == pool && g_hash_table_contains(but, child->image_id))
            continue;
        if (counted++ >= SHOWN)
            continue;
        g_string_append_printf(names, "%s%s/%s", counted > 1 ? ", " : "", child->pool_name, name);
        if (child->trash)
            g_string_append(names, _(" (in the trash)"));
    }
    if (counted > SHOWN)
        g_string_append_printf(names, _(" and %zu more"), counted - SHOWN);
    return counted > 0 ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
}

/* Of all snapshots, as none of them is set.  Returns: 0, or a negative errno. */
static int
name_children(rbd_image_t image, gint64 pool, GHashTable *but, char **out)
{
    g_autofree rbd_linked_image_spec_t *children = NULL;
    size_t n = 16;
    int result = -ERANGE;

    while (result == -ERANGE && n <= MAX_CHILDREN) {
        children = g_renew(rbd_linked_image_spec_t, children, n);
        result = rbd_list_children3(image, children, &n);
    }
    if (result < 0)
        return result;
    *out = describe_children(children, n, pool, but);
    rbd_linked_image_spec_list_cleanup(children, n);
    return 0;
}

gboolean
vimg_ceph_name_children(VimgCluster *cluster, const char *id, GHashTable *but, char **out,
                        GError **error)
{
    rbd_image_t image;
    int result = rbd_open_by_id_read_only(cluster->io, id, &image, NULL);

    if (result == 0) {
        result = name_children(image, cluster->pool_id, but, out);
        vimg_ceph_closing_read(cluster, image, NULL);
    }
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot see what was cloned from the image"));
}

/* ---- snapshots -------------------------------------------------------------------------- */

static int
remove_snapshot(rbd_image_t image, const rbd_snap_info_t *snapshot)
{
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
    int protected = 0;
    int result = rbd_snap_get_namespace_type(image, snapshot->id, &type);

    if (result < 0)
        return result;
    if (type == RBD_SNAP_NAMESPACE_TYPE_USER) {
        result = rbd_snap_is_protected(image, snapshot->name, &protected);
        if (result == 0 && protected)
            result = rbd_snap_unprotect(image, snapshot->name);
    }
    return result < 0 ? result : rbd_snap_remove_by_id(image, snapshot->id);
}

static int
remove_snapshots(rbd_image_t image)
{
    g_autofree rbd_snap_info_t *snapshots = NULL;
    int n = 16;
    int count = -ERANGE;
    int result = 0;
    int i;

    while (count == -ERANGE && n <= MAX_SNAPSHOTS) {
        snapshots = g_renew(rbd_snap_info_t, snapshots, (gsize)n);
        count = rbd_snap_list(image, snapshots, &n);
    }
    if (count < 0)
        return count;
    for (i = 0; i < count && result == 0; i++)
        result = remove_snapshot(image, &snapshots[i]);
    if (count > 0)
        rbd_snap_list_end(snapshots);
    return result == -ENOENT ? 0 : result;
}

/* ---- the content ------------------------------------------------------------------------ */

static gboolean
remove_content(VimgCluster *cluster, const VimgCephRecord *record, VimgPluginJob *job,
               GError **error)
{
    VimgCephPatience patience = vimg_ceph_patience(job);
    int result =
        rbd_trash_remove_with_progress(cluster->io, record->id, true, vimg_ceph_go_on, &patience);

    /* who moved it there did not come to say so */
    if (result == -EUCLEAN && vimg_layout_end_move(cluster, record->id) == 0)
        result = rbd_trash_remove_with_progress(cluster->io, record->id, true, vimg_ceph_go_on,
                                                &patience);
    if (result == -EBUSY && !vimg_ceph_watchers_check(cluster, record->id, error))
        return FALSE;
    if (result == -ECANCELED)
        return throw_error(error, VIMG_ERROR_ABORTED, _("the removal was cancelled"));
    if (result == 0 || result == -ENOENT || result == -ETIME)
        return TRUE;
    return vimg_cluster_throw(error, result, _("cannot remove the RBD image"));
}

/* ---- to the trash ----------------------------------------------------------------------- */

/* Only the name says that it is ours: in the trash that is no proof. */
static gboolean
sign(VimgCluster *cluster, const VimgCephRecord *record, GError **error)
{
    rbd_image_t image;
    gboolean ok;
    int result = rbd_open(cluster->io, record->rbd, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = vimg_ceph_record_save(image, record, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

gboolean
vimg_ceph_to_trash(VimgCluster *cluster, const VimgCephRecord *record, guint64 delay,
                   GError **error)
{
    int result;

    if (vimg_ceph_record_is_staged(record)) {
        if (!record->ours && !sign(cluster, record, error))
            return FALSE;
        /* that of a commit that was cut short */
        vimg_layout_drop_name(cluster, record->info.name, record->id);
    }
    result = rbd_trash_move(cluster->io, record->rbd, delay);
    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, _("there is no RBD image '%s'"), record->rbd);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot move the RBD image to the trash"));
}

/* ---- all of it -------------------------------------------------------------------------- */

/* A removal, or a restoration, that was cut short or is under way. */
static gboolean
check_gone(VimgCluster *cluster, const VimgCephRecord *record, GError **error)
{
    g_autofree char *name = NULL;
    int result = vimg_layout_name_of(cluster, record->id, &name);

    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look up the name '%s'"), record->rbd);
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("what is in the trash is an image as well, '%s': delete it again"), name);
}

/* Who restores it looks for the mark when it is an image again, so one of both sees the other. */
static gboolean
mark(VimgCluster *cluster, rbd_image_t image, const VimgCephRecord *record, GError **error)
{
    VimgCephRecord marked = *record;

    if (record->purged)
        return TRUE;
    marked.purged = TRUE;
    if (!vimg_ceph_record_save(image, &marked, error))
        return FALSE;
    if (check_gone(cluster, record, error))
        return TRUE;
    vimg_ceph_record_save(image, record, NULL);
    return FALSE;
}

/* Nobody restores what lacks a part: so says its metadata, before the first part goes. */
static gboolean
strip(VimgCluster *cluster, rbd_image_t image, const VimgCephRecord *record, GError **error)
{
    g_autofree char *children = NULL;
    int result = name_children(image, 0, NULL, &children);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot see what was cloned from the image"));
    if (children)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the image is needed by its clones %s"), children);
    if (!mark(cluster, image, record, error))
        return FALSE;
    result = remove_snapshots(image);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot remove the snapshots of the image"));
}

gboolean
vimg_ceph_erase(VimgCluster *cluster, const VimgCephRecord *record, VimgPluginJob *job,
                GError **error)
{
    rbd_image_t image;
    gboolean ok;
    int result;

    if (!check_gone(cluster, record, error) ||
        !vimg_ceph_watchers_check(cluster, record->id, error))
        return FALSE;
    result = rbd_open_by_id(cluster->io, record->id, &image, NULL);
    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), record->info.uuid);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = strip(cluster, image, record, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok && remove_content(cluster, record, job, error);
}

gboolean
vimg_ceph_erase_rest(VimgCluster *cluster, const VimgCephRecord *record, gboolean trash,
                     VimgPluginJob *job, GError **error)
{
    int result;

    if (trash)
        return check_gone(cluster, record, error) && remove_content(cluster, record, job, error);
    result = rbd_remove(cluster->io, record->rbd);
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove the RBD image"));
}
