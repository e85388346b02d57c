/*
 * convert.c: from what was uploaded to what is stored
 *
 * The second image has the name of the first and a suffix, by which nobody takes it for an image,
 * until it is renamed to be the active one.  The first one goes after that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "convert.h"
#include "image.h"
#include "layout.h"
#include "publish.h"
#include "qemu.h"
#include "../throw.h"
#include "watchers.h"

gboolean
vimg_ceph_convert_wanted(const char *format)
{
    static const char *const formats[] = {"qcow2", "vmdk", "vpc", "vhdx", "vdi", NULL};

    return format && g_strv_contains(formats, format);
}

static char *
name_of(const VimgCephRecord *staged)
{
    return g_strconcat(VIMG_CEPH_STAGED, staged->info.uuid, VIMG_CEPH_SECOND, NULL);
}

/* RBD removes no image with a snapshot; nor may a name lead to it that it was about to get. */
static gboolean
strip(VimgCluster *cluster, const VimgCephRecord *staged, const char *id, GError **error)
{
    rbd_image_t image;
    gboolean ok;
    int result = rbd_open_by_id(cluster->io, id, &image, NULL);

    vimg_layout_drop_name(cluster, staged->info.name, id);
    if (result < 0)
        return result == -ENOENT ||
               vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = vimg_ceph_publish_undo(image, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

static gboolean
check_idle(VimgCluster *cluster, const char *id, GError **error)
{
    g_autofree char *object = g_strconcat(VIMG_LAYOUT_HEADER, id, NULL);

    return rados_stat(cluster->io, object, NULL, NULL) == -ENOENT ||
           vimg_ceph_watchers_check(cluster, id, error);
}

gboolean
vimg_ceph_convert_undo(VimgCluster *cluster, const VimgCephRecord *staged, VimgPluginJob *job,
                       GError **error)
{
    VimgCephPatience patience = vimg_ceph_patience(job);
    g_autofree char *name = name_of(staged);
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(cluster, name, &id);

    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot remove RBD image '%s'"), name);
    if (!check_idle(cluster, id, error) || !strip(cluster, staged, id, error))
        return FALSE;
    result = rbd_remove_with_progress(cluster->io, name, vimg_ceph_go_on, &patience);
    if (result == -ECANCELED)
        return throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove RBD image '%s'"), name);
}

static gboolean
make_target(VimgCluster *cluster, const VimgCephRecord *staged, const char *name, guint64 size,
            VimgPluginJob *job, GError **error)
{
    int result;

    if (!vimg_ceph_convert_undo(cluster, staged, job, error) ||
        !vimg_cluster_has_room(cluster, 0, error))
        return FALSE;
    result = vimg_ceph_image_make(cluster, name, size);
    return result == 0 || vimg_cluster_throw(error, result, _("cannot make an RBD image"));
}

/* What is known of it, now that it is something else. */
static VimgCephRecord *
describe(const VimgCephRecord *staged, const char *name, const char *format, guint64 length,
         guint64 size)
{
    VimgCephRecord *record = vimg_ceph_record_new(&staged->info);

    record->rbd = g_strdup(name);
    g_free(record->info.uploaded_format);
    record->info.uploaded_format = g_strdup(format);
    record->info.uploaded_size = length;
    g_free(record->info.format);
    record->info.format = g_strdup("raw");
    record->info.capacity = record->info.physical = size;
    record->info.allocation = 0; /* is measured */
    return record;
}

VimgCephRecord *
vimg_ceph_convert(VimgCluster *cluster, const VimgCephRecord *staged, const char *format,
                  guint64 length, VimgPluginJob *job, rbd_image_t *out, gboolean *no_image,
                  GError **error)
{
    g_autofree char *name = name_of(staged);
    GError *local = NULL;
    guint64 size = 0;
    int result = 0;

    vimg_ceph_progress(job, "converting", 0, length);
    if (!vimg_qemu_size(cluster, format, staged->rbd, &size, job, &local)) {
        *no_image = g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_propagate_error(error, local);
        return NULL;
    }
    if (!make_target(cluster, staged, name, size, job, error))
        return NULL;
    if (vimg_qemu_convert(cluster, format, staged->rbd, name, size, job, &local)) {
        result = rbd_open(cluster->io, name, out, NULL);
        if (result == 0)
            return describe(staged, name, format, length, size);
        vimg_cluster_throw(&local, result, _("cannot open the RBD image"));
    } else {
        *no_image = g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    }
    if (!vimg_ceph_is_lost(local))
        vimg_ceph_convert_undo(cluster, staged, NULL, NULL);
    g_propagate_error(error, local);
    return NULL;
}
