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
vimg_copy_extents(VimgReader *reader, VimgIntake *intake, VimgJob *from, VimgJob *to,
                  GError **error)
{
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!check_cancelled(from, to, error) || !vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return vimg_intake_end(intake, error);
        if (!vimg_intake_put(intake, data, extent.offset, extent.length, error))
            return FALSE;
        vimg_job_add(from, extent.length);
        if (to != from)
            vimg_job_add(to, extent.length);
    }
}
