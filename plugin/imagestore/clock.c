/*
 * clock.c: what time the storage has
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clock.h"
#include "lease.h"

#define NANOSECONDS G_GINT64_CONSTANT(1000000000)

gint64
vimg_clock_seconds(gint64 mtime)
{
    return mtime / NANOSECONDS;
}

int
vimg_clock_ask(VimgTransport *transport, const char *path, gint64 *out)
{
    VimgFileInfo info;
    int result = vimg_transport_overwrite(transport, path, "1\n", 2);

    if (result == 0)
        result = vimg_transport_stat(transport, path, &info);
    if (result == 0)
        *out = vimg_clock_seconds(info.mtime);
    return result;
}

gint64
vimg_clock_now(VimgSliceStore *store)
{
    g_autoptr(VimgLease) lease = vimg_lease_new(store, NULL);
    VimgFileInfo info;

    if (lease && vimg_transport_stat(store->transport, lease->heartbeat, &info) == 0)
        return vimg_clock_seconds(info.mtime);
    return g_get_real_time() / G_USEC_PER_SEC;
}
