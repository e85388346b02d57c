/*
 * log.c: one line a message on standard error, with syslog priorities for the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "util/file.h"
#include "util/log.h"

static const struct {
    const char *name;
    const char *priority; /* sd-daemon(3) */
} levels[] = {
    [VIMG_LOG_DEBUG] = {"debug", "<7>"},
    [VIMG_LOG_INFO] = {"info", "<6>"},
    [VIMG_LOG_WARNING] = {"warning", "<4>"},
    [VIMG_LOG_ERROR] = {"error", "<3>"},
};

static VimgLogLevel least = VIMG_LOG_INFO; /* set before threads start */

void
vimg_log_set_level(VimgLogLevel level)
{
    least = level;
}

void
vimg_log(VimgLogLevel level, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list args;
    char *c;

    if (level < least)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    for (c = text; *c; c++) {
        if ((guchar)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    if (getenv("JOURNAL_STREAM")) {
        line = g_strdup_printf("%s%s\n", levels[level].priority, text);
    } else {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *stamp = g_date_time_format(now, "%Y-%m-%d %H:%M:%S.%f");

        line = g_strdup_printf("%s %s: %s\n", stamp, levels[level].name, text);
    }
    /* one write a line, so that threads do not mix theirs */
    (void)!write(STDERR_FILENO, line, strlen(line));
}
