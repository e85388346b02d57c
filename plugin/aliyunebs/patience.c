/*
 * patience.c: how long a call goes on, and resting before it tries again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "patience.h"
#include "throw.h"

#define FIRST_REST (G_USEC_PER_SEC / 5)
#define LONGEST_REST (20 * G_USEC_PER_SEC)
#define LONGEST_HINT (60 * G_USEC_PER_SEC)
#define LOOK_EVERY (G_USEC_PER_SEC / 5)

gboolean
vimg_patience_check(const VimgPatience *patience, GError **error)
{
    if (!patience)
        return TRUE;
    if (patience->cancelled && patience->cancelled(patience->data))
        return throw_error(error, VIMG_ERROR_ABORTED, _("cancelled"));
    if (patience->deadline > 0 && g_get_monotonic_time() >= patience->deadline)
        return throw_error(error, VIMG_ERROR_TIMEOUT, _("no answer came in time"));
    return TRUE;
}

gboolean
vimg_patience_sleep(const VimgPatience *patience, gint64 microseconds, GError **error)
{
    gint64 until = g_get_monotonic_time() + microseconds;
    gint64 left;

    while ((left = until - g_get_monotonic_time()) > 0) {
        if (!vimg_patience_check(patience, error))
            return FALSE;
        g_usleep((gulong)MIN(left, LOOK_EVERY));
    }
    return vimg_patience_check(patience, error);
}

gboolean
vimg_patience_rest(const VimgPatience *patience, guint made, gint64 hint, GError **error)
{
    gint64 most = MIN((gint64)FIRST_REST << MIN(made, 16), LONGEST_REST);
    gint64 rest = g_random_int_range(0, (gint32)most);

    return vimg_patience_sleep(patience, MAX(rest, CLAMP(hint, 0, LONGEST_HINT)), error);
}
