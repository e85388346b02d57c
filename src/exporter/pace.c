/*
 * pace.c: bytes a second that many threads share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "exporter/pace.h"

void
vimg_pace_init(VimgPace *pace, guint64 rate)
{
    vimg_mutex_init(&pace->lock);
    pace->rate = rate;
    pace->free_at = 0;
}

void
vimg_pace_clear(VimgPace *pace)
{
    vimg_mutex_clear(&pace->lock);
}

void
vimg_pace_take(VimgPace *pace, gsize bytes)
{
    gint64 now = g_get_monotonic_time();
    gint64 due;

    if (pace->rate == 0)
        return;
    vimg_mutex_lock(&pace->lock);
    due = MAX(pace->free_at, now);
    pace->free_at = due + (gint64)((gdouble)bytes / (gdouble)pace->rate * G_USEC_PER_SEC);
    vimg_mutex_unlock(&pace->lock);
    if (due > now)
        g_usleep((gulong)(due - now));
}
