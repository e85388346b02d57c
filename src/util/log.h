/*
 * log.h: one line a message on standard error, with syslog priorities for the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_LOG_H
#define VIMG_UTIL_LOG_H

#include "vimg-plugin.h"

/* Messages below @level are dropped; the default is VIMG_LOG_INFO.  Before threads start. */
void vimg_log_set_level(VimgLogLevel level);

/* From any thread.  Control characters in the text are shown as '?', so a line stays a line. */
void vimg_log(VimgLogLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);

#define vimg_debug(...) vimg_log(VIMG_LOG_DEBUG, __VA_ARGS__)
#define vimg_info(...) vimg_log(VIMG_LOG_INFO, __VA_ARGS__)
#define vimg_warning(...) vimg_log(VIMG_LOG_WARNING, __VA_ARGS__)

#endif
