/*
 * schedule.c: when something happens by itself, as "03:30", "12h" or "7d"
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/schedule.h"

#define HOUR 3600
#define DAY (24 * HOUR)
#define INTERVAL_MAX (365 * DAY)

static gboolean
two_digits(const char *text, guint most, guint *out)
{
    if (!g_ascii_isdigit(text[0]) || !g_ascii_isdigit(text[1]))
        return FALSE;
    *out = (guint)(text[0] - '0') * 10 + (guint)(text[1] - '0');
    return *out <= most;
}

static gboolean
parse_interval(const char *text, gsize length, VimgSchedule *out)
{
    g_autofree char *number = g_strndup(text, length - 1);
    gint64 unit = text[length - 1] == 'd' ? DAY : HOUR;
    guint64 n = 0;

    if (!strchr("hd", text[length - 1]) || *number == '0' ||
        !g_ascii_string_to_unsigned(number, 10, 1, (guint64)(INTERVAL_MAX / unit), &n, NULL))
        return FALSE;
    out->interval = (gint64)n * unit;
    return TRUE;
}

gboolean
vimg_schedule_parse(const char *text, VimgSchedule *out)
{
    gsize length = strlen(text);
    guint hour = 0;
    guint minute = 0;

    *out = (VimgSchedule){0};
    if (length != 5 || text[2] != ':')
        return length >= 2 && parse_interval(text, length, out);
    if (!two_digits(text, 23, &hour) || !two_digits(text + 3, 59, &minute))
        return FALSE;
    out->minute = hour * 60 + minute;
    return TRUE;
}

gint64
vimg_schedule_next(const VimgSchedule *schedule, gint64 after, GTimeZone *zone)
{
    g_autoptr(GDateTime) utc = NULL;
    g_autoptr(GDateTime) local = NULL;
    GDate date;
    gint64 due = after;

    if (schedule->interval)
        return after + schedule->interval;
    utc = g_date_time_new_from_unix_utc(after);
    local = g_date_time_to_timezone(utc, zone);
    g_date_clear(&date, 1);
    g_date_set_dmy(&date, (GDateDay)g_date_time_get_day_of_month(local),
                   (GDateMonth)g_date_time_get_month(local),
                   (GDateYear)g_date_time_get_year(local));
    for (; due <= after; g_date_add_days(&date, 1)) {
        g_autoptr(GDateTime) at = g_date_time_new(
            zone, g_date_get_year(&date), (int)g_date_get_month(&date), g_date_get_day(&date),
            (int)(schedule->minute / 60), (int)(schedule->minute % 60), 0);

        due = g_date_time_to_unix(at);
    }
    return due;
}
