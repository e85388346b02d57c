/*
 * text.h: what may be shown on a terminal, and how wide it is there
 *
 * Names and messages come from a daemon, and to it from anybody: none of them may move the cursor,
 * change colours or turn the direction of what follows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TEXT_H
#define VIMG_CLI_TEXT_H

#include <glib.h>

/* Whether @c shows as itself and changes nothing else. */
gboolean vimg_text_is_visible(gunichar c);

/*
 * Returns: (transfer full) @text with everything that is no visible character as \xNN or \uNNNN; of
 * NULL, "-".
 */
char *vimg_text_safe(const char *text);

/* Columns that safe @text takes; Chinese characters take two. */
guint vimg_text_width(const char *text);
/* Bytes of the longest beginning of safe @text that is at most @columns wide; at least a character.
 */
gsize vimg_text_fit(const char *text, guint columns);

/*
 * Prints safe @text and a line feed, broken into lines of @columns (0: never) that begin with
 * @indent blanks but the first, which is begun already.
 */
void vimg_text_print(const char *text, guint indent, guint columns);

/* Returns: (transfer full) "1.50 GiB"; @exact: "1610612736". */
char *vimg_text_size(guint64 bytes, gboolean exact);
/* Of "64M": bytes, or with k, M or G so many KiB, MiB or GiB; never 0.  Returns: FALSE if it is
 * none. */
gboolean vimg_text_parse_size(const char *text, guint64 *bytes);
/* Returns: (transfer full) "2026-03-01 12:00" where we are; of 0, "-". */
char *vimg_text_time(gint64 seconds);

#endif
