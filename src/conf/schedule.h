/*
 * schedule.h: when something happens by itself, as "03:30", "12h" or "7d"
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_SCHEDULE_H
#define VIMG_CONF_SCHEDULE_H

#include <glib.h>

typedef struct {
    gint64 interval; /* seconds; 0: every day */
    guint minute;    /* every day: of the day in local time */
} VimgSchedule;

/*
 * Takes HH:MM, the local time of every day, or Nh or Nd, an interval of 1 hour to 365 days.
 * Returns: FALSE if @text is anything else.
 */
gboolean vimg_schedule_parse(const char *text, VimgSchedule *out);

/*
 * The first time later than @after at which it is due, in seconds since 1970.  A local time that a
 * change of the clock leaves out is when the clock goes on, one that comes twice is only once.
 */
gint64 vimg_schedule_next(const VimgSchedule *schedule, gint64 after, GTimeZone *zone);

#endif
