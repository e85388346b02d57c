/*
 * clock.c: what time the storage has
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clock.h"
#include "lease.h"
#include "../throw.h"

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

gboolean
vimg_clock_now(VimgSliceStore *store, gint64 *out, GError **error)
{
    g_autoptr(VimgLease) lease = NULL;
    VimgFileInfo info;
    int result;

    *out = g_get_real_time() / G_USEC_PER_SEC;
    if (store->read_only)
        return TRUE;
    lease = vimg_lease_new(store, error);
    if (!lease)
        return FALSE;
    result = vimg_transport_stat(store->transport, lease->heartbeat, &info);
    if (result != 0)
        return throw_result(error, result, _("cannot ask the storage for its time"));
    *out = vimg_clock_seconds(info.mtime);
    return TRUE;
}
