/*
 * copy.c: content from one image to another through the daemon, sparse kept
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/copy.h"
#include "util/error.h"
#include "util/i18n.h"

static gboolean
check_cancelled(VimgJob *from, VimgJob *to, GError **error)
{
    if (vimg_job_cancelled(from) || vimg_job_cancelled(to))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the copy was cancelled"));
    return TRUE;
}

gboolean
vimg_copy_extents(VimgReader *reader, VimgWriter *writer, VimgJob *from, VimgJob *to,
                  guint64 *copied, GError **error)
{
    *copied = 0;
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;
        gboolean ok;

        if (!check_cancelled(from, to, error) || !vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        ok = data ? vimg_writer_write(writer, data, extent.offset, extent.length, error)
                  : vimg_writer_hole(writer, extent.length, error);
        if (!ok)
            return FALSE;
        *copied += extent.length;
        vimg_job_add(from, extent.length);
        vimg_job_add(to, extent.length);
    }
}
