/*
 * upstream-spin.c: how the main loop waits for the host's daemon while a call is on its way
 *
 * A small call takes less time than the processor takes to fall asleep and be woken, and a call
 * that passes through us would pay that twice more.  So for a moment after one was forwarded, and
 * after its answer was, the loop asks again and again instead of sleeping; all its sockets are
 * looked at, so nobody waits for that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sched.h>

#include "rpc/upstream-private.h"

/* Of the one loop of a process; main loop only. */
static gint64 until;

static gint
spin_poll(GPollFD *fds, guint n, gint timeout)
{
    if (timeout != 0) {
        while (g_get_monotonic_time() < until) {
            gint ready = g_poll(fds, n, 0);

            if (ready != 0)
                return ready;
            sched_yield();
        }
    }
    return g_poll(fds, n, timeout);
}

void
vimg_upstream_spin_in(GMainContext *context)
{
    g_main_context_set_poll_func(context, spin_poll);
}

void
vimg_upstream_spin(guint microseconds)
{
    until = g_get_monotonic_time() + microseconds;
}
