/*
 * keepalive.c: when a silent client is asked, and when it is given up
 *
 * As stock: a PING after each interval of silence, the end when so many went unanswered and another
 * interval passed.  A paused client gets its PINGs all the same: any packet is life to it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/keepalive.h"

void
vimg_keepalive_init(VimgKeepalive *self, gint64 now)
{
    *self = (VimgKeepalive){.seen = now, .pinged = now};
}

void
vimg_keepalive_seen(VimgKeepalive *self, gint64 now)
{
    self->seen = now;
    self->unanswered = 0;
}

void
vimg_keepalive_pause(VimgKeepalive *self, gboolean paused, gint64 now)
{
    if (self->paused == paused)
        return;
    self->paused = paused;
    self->moved = now;
    vimg_keepalive_seen(self, now);
}

void
vimg_keepalive_moved(VimgKeepalive *self, gint64 now)
{
    self->moved = now;
}

VimgKeepaliveVerdict
vimg_keepalive_check(VimgKeepalive *self, const VimgKeepaliveLimits *limits, gboolean enabled,
                     gboolean stalls, gint64 now)
{
    /* one interval more, so that a stall of exactly the limit is survived */
    if (self->paused && stalls && now - self->moved > limits->stall + limits->interval)
        return VIMG_KEEPALIVE_DEAD;
    if (!enabled || limits->interval == 0)
        return VIMG_KEEPALIVE_FINE;
    if (now - MAX(self->seen, self->pinged) < limits->interval)
        return VIMG_KEEPALIVE_FINE;
    if (!self->paused && self->unanswered >= limits->count)
        return VIMG_KEEPALIVE_DEAD;
    self->pinged = now;
    if (!self->paused)
        self->unanswered++;
    return VIMG_KEEPALIVE_ASK;
}
