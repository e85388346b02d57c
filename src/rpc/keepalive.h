/*
 * keepalive.h: when a silent client is asked, and when it is given up
 *
 * Pure arithmetic on a clock that is handed in; times are g_get_monotonic_time().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_KEEPALIVE_H
#define VIMG_RPC_KEEPALIVE_H

#include <glib.h>

typedef struct {
    gint64 seen;      /* the last packet of the client */
    gint64 pinged;    /* our last PING */
    guint unanswered; /* PINGs since it was seen */
    gboolean paused;  /* its socket is not being read */
    gint64 moved;     /* while paused: when what we wait for last made progress */
} VimgKeepalive;

typedef struct {
    gint64 interval; /* microseconds; 0: never ping */
    guint count;     /* PINGs without an answer before a client is given up */
    gint64 stall;    /* microseconds a paused client is kept without any progress */
} VimgKeepaliveLimits;

typedef enum {
    VIMG_KEEPALIVE_FINE,
    VIMG_KEEPALIVE_ASK,
    VIMG_KEEPALIVE_DEAD,
} VimgKeepaliveVerdict;

void vimg_keepalive_init(VimgKeepalive *self, gint64 now);
/* A packet came, of whatever kind. */
void vimg_keepalive_seen(VimgKeepalive *self, gint64 now);
/* While paused the client is not heard, so its silence is not counted. */
void vimg_keepalive_pause(VimgKeepalive *self, gboolean paused, gint64 now);
void vimg_keepalive_moved(VimgKeepalive *self, gint64 now);

/*
 * To be asked every second or so.  @enabled: the client understands PINGs.  @stalls: it is paused
 * for a reason that must end (its streams, or answers it does not read), not for calls that take
 * long.
 */
VimgKeepaliveVerdict vimg_keepalive_check(VimgKeepalive *self, const VimgKeepaliveLimits *limits,
                                          gboolean enabled, gboolean stalls, gint64 now);

#endif
