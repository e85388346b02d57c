/*
 * copy.c: content from one image to another through the daemon, sparse kept
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/copy.h"
#include "util/error.h"
#include "util/i18n.h"

#define NAP (G_USEC_PER_SEC / 4)

static gboolean
check_cancelled(VimgJob *from, VimgJob *to, GError **error)
{
    if (vimg_job_cancelled(from) || vimg_job_cancelled(to))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the copy was cancelled"));
    return TRUE;
}

/* Sleeps off what passed faster than @rate allows since @began. */
static gboolean
keep_rate(guint64 rate, guint64 passed, gint64 began, VimgJob *from, VimgJob *to, GError **error)
{
    gint64 due = began + (gint64)((gdouble)passed / (gdouble)rate * G_USEC_PER_SEC);
    gint64 now;

    while ((now = g_get_monotonic_time()) < due) {
        if (!check_cancelled(from, to, error))
            return FALSE;
        g_usleep((gulong)MIN(due - now, NAP));
    }
    return TRUE;
}

gboolean
vimg_copy_extents(VimgReader *reader, VimgIntake *intake, VimgJob *from, VimgJob *to, guint64 rate,
                  GError **error)
{
    gint64 began = g_get_monotonic_time();
    guint64 passed = 0;

    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!check_cancelled(from, to, error) || !vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return vimg_intake_end(intake, error);
        passed += data ? extent.length : 0;
        if (!vimg_intake_put(intake, data, extent.offset, extent.length, error) ||
            (rate > 0 && !keep_rate(rate, passed, began, from, to, error)))
            return FALSE;
        vimg_job_add(from, extent.length);
        if (to != from)
            vimg_job_add(to, extent.length);
    }
}
