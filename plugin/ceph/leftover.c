/*
 * leftover.c: what uploads and clones left when they died
 *
 * An upload that lives is a watcher of its image.  One that died may be taken up again, so its
 * image goes only when nobody did that for long enough; one that never got a byte stays.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "erase.h"
#include "leftover.h"
#include "throw.h"
#include "watchers.h"

#define OUR_SNAPSHOT "virtimage."
#define MAX_SNAPSHOTS 4096

/* ---- uploads ---------------------------------------------------------------------------- */

/* Once there is one extent, the next one is not asked for. */
static int
note_extent(uint64_t offset, size_t length, int exists, void *data)
{
    gboolean *found = data;

    *found = *found || exists;
    return exists ? -EEXIST : 0;
}

/* Returns: 0, or a negative errno. */
static int
look_inside(rbd_image_t image, gint64 *changed, gboolean *content)
{
    struct timespec made = {0};
    struct timespec written = {0};
    guint64 size = 0;
    int result = rbd_get_create_timestamp(image, &made);

    *content = FALSE;
    if (result == 0)
        result = rbd_get_modify_timestamp(image, &written);
    if (result == 0)
        result = rbd_get_size(image, &size);
    if (result == 0)
        result = rbd_diff_iterate2(image, NULL, 0, size, 0, 1, note_extent, content);
    *changed = MAX(made.tv_sec, written.tv_sec);
    return *content ? 0 : result;
}

gboolean
vimg_ceph_leftover_judge(VimgCluster *cluster, const VimgCephRecord *record, guint64 age,
                         char **why, GError **error)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    gint64 changed = 0;
    gboolean content = FALSE;
    rbd_image_t image;
    int result = rbd_open_by_id_read_only(cluster->io, record->id, &image, NULL);

    if (result == 0) {
        result = look_inside(image, &changed, &content);
        rbd_close(image);
    }
    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look into the RBD image"));
    if (changed > now || (guint64)(now - changed) < age)
        return TRUE;
    if (record->ours && !record->info.reason && !content)
        return TRUE;
    if (!vimg_ceph_watchers_check(cluster, record->id, error))
        return FALSE;
    *why = g_strdup(record->info.reason ? _("unusable, and nobody wiped it")
                                        : _("an upload that nobody took up again"));
    return TRUE;
}

gboolean
vimg_ceph_leftover_remove(VimgCluster *cluster, const VimgCephRecord *record, VimgPluginJob *job,
                          GError **error)
{
    int result = rbd_trash_move(cluster->io, record->rbd, 0);

    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, _("there is no RBD image '%s'"), record->rbd);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot move the RBD image to the trash"));
    /* with a second one, that may have the name now; else it is left over, too, and goes later */
    if (record->ours && !record->info.uploaded_format)
        vimg_ceph_claim_drop(cluster, record->info.name, record->info.uuid);
    return vimg_ceph_erase(cluster, record, job, error);
}

/* ---- clones ----------------------------------------------------------------------------- */

static int
count_children(rbd_image_t image, const char *snapshot, size_t *n)
{
    rbd_linked_image_spec_t child[1];
    int result = rbd_snap_set(image, snapshot);

    *n = 1;
    if (result == 0)
        result = rbd_list_children3(image, child, n);
    if (result == 0)
        rbd_linked_image_spec_list_cleanup(child, *n);
    rbd_snap_set(image, NULL);
    return result == -ERANGE ? 0 : result;
}

/* Whether @snapshot is of ours, old, and no clone's any more. */
static int
judge_snapshot(rbd_image_t image, const rbd_snap_info_t *snapshot, guint64 age, gboolean *out)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    struct timespec made = {0};
    size_t children = 0;
    int result;

    *out = FALSE;
    if (!g_str_has_prefix(snapshot->name, OUR_SNAPSHOT))
        return 0;
    result = rbd_snap_get_timestamp(image, snapshot->id, &made);
    if (result == 0)
        result = count_children(image, snapshot->name, &children);
    *out =
        result == 0 && children == 0 && made.tv_sec <= now && (guint64)(now - made.tv_sec) >= age;
    return result;
}

static int
remove_snapshot(rbd_image_t image, const char *name)
{
    int protected = 0;
    int result = rbd_snap_is_protected(image, name, &protected);

    if (result == 0 && protected)
        result = rbd_snap_unprotect(image, name);
    return result == 0 ? rbd_snap_remove(image, name) : result;
}

static int
clean_snapshots(rbd_image_t image, const char *rbd, guint64 age, gboolean dry_run, GPtrArray *names)
{
    g_autofree rbd_snap_info_t *snapshots = g_new0(rbd_snap_info_t, MAX_SNAPSHOTS);
    int max = MAX_SNAPSHOTS;
    int count = rbd_snap_list(image, snapshots, &max);
    int result = MIN(count, 0);
    gboolean left_over;
    int i;

    for (i = 0; i < count && result == 0; i++) {
        result = judge_snapshot(image, &snapshots[i], age, &left_over);
        if (result == 0 && left_over && !dry_run)
            result = remove_snapshot(image, snapshots[i].name);
        if (result == 0 && left_over)
            g_ptr_array_add(names, g_strdup_printf("%s@%s", rbd, snapshots[i].name));
    }
    if (count > 0)
        rbd_snap_list_end(snapshots);
    return result;
}

gboolean
vimg_ceph_leftover_snapshots(VimgCluster *cluster, const VimgCephRecord *record, guint64 age,
                             gboolean dry_run, GPtrArray *names, GError **error)
{
    rbd_image_t image;
    int result = dry_run ? rbd_open_read_only(cluster->io, record->rbd, &image, NULL)
                         : rbd_open(cluster->io, record->rbd, &image, NULL);

    if (result == 0) {
        result = clean_snapshots(image, record->rbd, age, dry_run, names);
        rbd_close(image);
    }
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot look through the snapshots of the image"));
}
