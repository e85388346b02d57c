/*
 * patience.h: how long a call goes on, and resting before it tries again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_PATIENCE_H
#define VIMG_ALIYUNEBS_PATIENCE_H

#include "vimg-plugin.h"

#define VIMG_ATTEMPTS 6 /* of one request, the first one among them */

/* Borrowed by every call it is given to; NULL: it goes on while there is hope. */
typedef struct {
    gboolean (*cancelled)(gpointer data); /* asked several times a second; NULL: never */
    gpointer data;
    gint64 deadline; /* of the monotonic clock: no attempt begins or goes on later; 0: none */
} VimgPatience;

/* FALSE with VIMG_ERROR_ABORTED or VIMG_ERROR_TIMEOUT: it is to end. */
gboolean vimg_patience_check(const VimgPatience *patience, GError **error);
/*
 * Rests before the next of some attempts, @made of which failed: a random part of a time that
 * doubles, so that many who were refused together do not come again together; never less than
 * @hint microseconds, which the other side asked for.
 */
gboolean vimg_patience_rest(const VimgPatience *patience, guint made, gint64 hint, GError **error);
gboolean vimg_patience_sleep(const VimgPatience *patience, gint64 microseconds, GError **error);

#endif
