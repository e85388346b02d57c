/*
 * primary-source.c: the content of an image on its way out, as it is stored or converted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/primary-private.h"
#include "util/i18n.h"

static gboolean
pour_as_is(const VimgHostSource *source, VimgHostSink *sink, guint64 *size, GError **error)
{
    const VimgSourceInfo *info = source->info;

    if (!vimg_transfer_progress(source->transfer, "copy", 0, info->physical, error))
        return FALSE;
    *size = 0;
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;
        gboolean ok;

        if (!vimg_transfer_next(source->transfer, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        ok = data ? vimg_host_sink_write(sink, data->data + extent.offset, (gsize)extent.length,
                                         error)
                  : vimg_host_sink_hole(sink, extent.length, error);
        if (!ok)
            return FALSE;
        *size += extent.length;
    }
}

gboolean
vimg_host_source_pour(const VimgHostSource *source, VimgHostSink *sink, guint64 *size,
                      GError **error)
{
    if (source->way == VIMG_HOST_AS_IS)
        return pour_as_is(source, sink, size, error);
    return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED, "not yet");
}
