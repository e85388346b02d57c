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
#include "closing.h"
#include "erase.h"
#include "leftover.h"
#include "../throw.h"
#include "watchers.h"

/* Once there is one extent, the next one is not asked for. */
static int
note_extent(uint64_t offset, size_t length, int exists, void *data)
{
    gboolean *found = data;

    *found = *found || exists;
    return exists ? -EEXIST : 0;
}

/* A clone has content, if none of its own; and what it was cloned from cannot go before it. */
static int
has_parent(rbd_image_t image, gboolean *out)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snapshot;
    int result = rbd_get_parent(image, &parent, &snapshot);

    *out = result == 0;
    if (result == 0) {
        rbd_linked_image_spec_cleanup(&parent);
        rbd_snap_spec_cleanup(&snapshot);
    }
    return result == -ENOENT ? 0 : result;
}

int
vimg_ceph_leftover_content(rbd_image_t image, gboolean *content)
{
    guint64 size = 0;
    int result = rbd_get_size(image, &size);

    *content = FALSE;
    if (result == 0)
        result = has_parent(image, content);
    if (result == 0 && !*content)
        result = rbd_diff_iterate2(image, NULL, 0, size, 0, 1, note_extent, content);
    return *content ? 0 : result;
}

/* Returns: 0, or a negative errno. */
static int
look_inside(rbd_image_t image, gint64 *changed, gboolean *content)
{
    struct timespec made = {0};
    struct timespec written = {0};
    int result = rbd_get_create_timestamp(image, &made);

    if (result == 0)
        result = rbd_get_modify_timestamp(image, &written);
    if (result == 0)
        result = vimg_ceph_leftover_content(image, content);
    *changed = MAX(made.tv_sec, written.tv_sec);
    return result;
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
        vimg_ceph_closing_read(cluster, image, NULL);
    }
    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look into the RBD image"));
    if (changed > now || (guint64)(now - changed) < age)
        return TRUE;
    if (record->ours && !record->info.reason && !content && !record->digest)
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
    if (!vimg_ceph_to_trash(cluster, record, 0, error))
        return FALSE;
    /* with a second one, that may have the name now; else it is left over, too, and goes later */
    if (record->ours && !record->info.uploaded_format)
        vimg_ceph_claim_drop(cluster, record->info.name, record->info.uuid);
    return vimg_ceph_erase(cluster, record, job, error);
}
