/*
 * disk-none.c: an image of ours as a machine would see it, where nothing here can take it apart
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/disk.h"
#include "util/i18n.h"

VimgHostDisk *
vimg_host_disk_open(const VimgHostSource *source, GError **error)
{
    vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("image '%1$s' of format '%2$s' is not converted here: virtimaged was built without libnbd"),
        source->info->name, source->info->format);
    return NULL;
}

void
vimg_host_disk_close(VimgHostDisk *disk)
{
}

guint64
vimg_host_disk_size(const VimgHostDisk *disk)
{
    return 0;
}

GArray *
vimg_host_disk_runs(VimgHostDisk *disk, GError **error)
{
    return NULL;
}

gboolean
vimg_host_disk_pour(VimgHostDisk *disk, const VimgHostPlan *plan, VimgHostSink *sink,
                    GError **error)
{
    return FALSE;
}
