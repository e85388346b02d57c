/*
 * publish.c: making a staged image an active one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "layout.h"
#include "listing.h"
#include "publish.h"
#include "stream.h"
#include "../throw.h"
#include "watchers.h"

gboolean
vimg_ceph_publish_undo(rbd_image_t image, GError **error)
{
    int protected = 0;
    int result = rbd_snap_is_protected(image, VIMG_CEPH_SNAPSHOT, &protected);

    if (result == 0 && protected)
        result = rbd_snap_unprotect(image, VIMG_CEPH_SNAPSHOT);
    if (result == 0)
        result = rbd_snap_remove(image, VIMG_CEPH_SNAPSHOT);
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove the snapshot of the RBD image"));
}

/* What it alone takes; of a clone that was known before. */
static gboolean
measure(const VimgCephPublication *publication, GError **error)
{
    guint64 *allocation = &publication->record->info.allocation;

    return *allocation > 0 || vimg_ceph_stream_used(publication->image, allocation, error);
}

static gboolean
take_snapshot(rbd_image_t image, GError **error)
{
    int result = rbd_snap_create(image, VIMG_CEPH_SNAPSHOT);

    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot take a snapshot of the RBD image"));
}

static gboolean
commit(const VimgCephPublication *publication, GError **error)
{
    VimgCephRecord *record = publication->record;
    char id[256];
    int result = rbd_get_id(publication->image, id, sizeof(id));

    if (result == 0)
        result = vimg_layout_rename(publication->cluster, id, record->rbd, record->info.name);
    if (result == -EEXIST)
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", record->info.name);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot rename the RBD image"));
    vimg_ceph_remember(publication->store, record->info.uuid, id);
    g_clear_pointer(&record->info.generation, g_free);
    vimg_plugin_image_set_generation(&record->info, id);
    return TRUE;
}

gboolean
vimg_ceph_publish(const VimgCephPublication *publication, GError **error)
{
    VimgCephRecord *record = publication->record;
    GError *local = NULL;

    vimg_ceph_progress(publication->job, "publishing", 0, 0);
    if (!vimg_ceph_publish_undo(publication->image, error) || !measure(publication, error) ||
        !vimg_ceph_check_job(publication->job, error) || !take_snapshot(publication->image, error))
        return FALSE;
    if (vimg_ceph_record_save(publication->image, record, &local) &&
        vimg_ceph_watchers_alone(publication->image, &local) && commit(publication, &local)) {
        record->info.state = VIMG_IMAGE_ACTIVE;
        return TRUE;
    }
    if (!vimg_ceph_is_lost(local))
        vimg_ceph_publish_undo(publication->image, NULL);
    g_propagate_error(error, local);
    return FALSE;
}
