/*
 * clone.c: a second image of the same content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "image.h"
#include "publish.h"
#include "reader.h"
#include "writing.h"

/* Nobody else uploads into it, though it is seen from the beginning. */
static gboolean
publish(VimgLease *lease, VimgManifest *manifest, const VimgIndex *index, VimgPluginJob *job,
        GError **error)
{
    const VimgPluginImage *image = &manifest->image;
    gboolean good;

    if (!vimg_writing_begin(lease, image->uuid, image->name, NULL, error))
        return FALSE;
    good = vimg_publish_image(lease, manifest, index, job, error);
    vimg_writing_end(lease, image->uuid);
    return good;
}

gboolean
vimg_clone(VimgSliceStore *store, const char *source, const VimgPluginImage *image,
           VimgPluginJob *job, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgLease) lease = vimg_lease_new(store, error);
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(VimgManifest) from = NULL;
    g_autoptr(VimgManifest) manifest = NULL;

    if (!lease)
        return FALSE;
    index = vimg_slice_reader_index(store, source, &from, error);
    if (!index || !vimg_slice_store_check_job(job, error))
        return FALSE;
    manifest = vimg_manifest_new(image);
    if (manifest->image.created == 0)
        manifest->image.created = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_image_make(manifest, lease, error))
        return FALSE;
    manifest->sealed_format = g_strdup(from->sealed_format);
    manifest->sealed_capacity = from->sealed_capacity;
    if (!publish(lease, manifest, index, job, error)) {
        vimg_image_discard(store, image->uuid, NULL);
        return FALSE;
    }
    return vimg_image_stat(store, image->uuid, out, error);
}
