/*
 * pass-transport.c: what is the same of all transports that change little of another one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "pass-transport.h"

static VimgTransport *
inner_of(VimgTransport *transport)
{
    return ((PassTransport *)transport)->inner;
}

int
pass_sync_all(VimgTransport *transport)
{
    return vimg_transport_sync_all(inner_of(transport));
}

int
pass_sync_nothing(VimgTransport *transport)
{
    return ENOSYS;
}

int
pass_space(VimgTransport *transport, VimgSpace *out)
{
    return vimg_transport_space(inner_of(transport), out);
}

void
pass_free(VimgTransport *transport)
{
    vimg_transport_free(inner_of(transport));
    g_free(transport);
}
