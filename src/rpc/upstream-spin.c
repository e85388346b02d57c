/*
 * upstream-spin.c: how the main loop waits for the host's daemon while a call is on its way
 *
 * A small call takes less time than the processor takes to fall asleep and be woken, and a call
 * that passes through us would pay that twice more.  So for a moment after one was forwarded, and
 * after its answer was, the loop asks again and again instead of sleeping; all its sockets are
 * looked at, so nobody waits for that.  It is done for one client at a time, whose loop of calls
 * takes a core anyway, and as long as it is of use: what was spun in vain is bounded by the second.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sched.h>

#include "rpc/upstream-private.h"

#define SPIN 150        /* microseconds in which a small call is answered, and the next one comes */
#define WASTE_MAX 20000 /* microseconds of a second that may be spun in vain */
#define APART 2000      /* microseconds after which a client's last call is no matter any more */

/* Of the one loop of a process; main loop only. */
static gint64 until;
static guint64 last_client;
static gint64 last_time;
static gint64 second; /* when the present one began, */
static gint64 wasted; /* and what of it was spun in vain */

static gint
spin_poll(GPollFD *fds, guint n, gint timeout)
{
    gint64 start = timeout != 0 && until ? g_get_monotonic_time() : until;

    if (start < until) {
        do {
            gint ready = g_poll(fds, n, 0);

            if (ready != 0)
                return ready;
            sched_yield();
        } while (g_get_monotonic_time() < until);
        wasted += g_get_monotonic_time() - start;
    }
    return g_poll(fds, n, timeout);
}

void
vimg_upstream_spin_in(GMainContext *context)
{
    g_main_context_set_poll_func(context, spin_poll);
}

void
vimg_upstream_spin(guint64 client)
{
    gint64 now = g_get_monotonic_time();
    gboolean others = client != last_client && now - last_time < APART;

    if (now - second >= G_USEC_PER_SEC) {
        second = now;
        wasted = 0;
    }
    last_client = client;
    last_time = now;
    until = others || wasted >= WASTE_MAX ? 0 : now + SPIN;
}
