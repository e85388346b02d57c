/*
 * introduce.c: what the host's daemon is told of the client that it is asked for
 *
 * The same as wire/hello.c says, over a connection of libvirt's own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "host/introduce.h"
#include "util/log.h"
#include "wire/hello.h"

typedef struct {
    virTypedParameterPtr list;
    int n, max;
} Params;

static void
params_clear(Params *params)
{
    virTypedParamsFree(params->list, params->n);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Params, params_clear)

/* The kinds that vimg_hello_describe() makes; their numbers on the wire are libvirt's own. */
static void
from_wire(const vimg_remote_param *from, Params *to)
{
    const vimg_remote_param_value *value = &from->value;

    if (value->type == VIMG_REMOTE_PARAM_STRING)
        (void)virTypedParamsAddString(&to->list, &to->n, &to->max, from->field,
                                      value->vimg_remote_param_value_u.s);
    else if (value->type == VIMG_REMOTE_PARAM_LLONG)
        (void)virTypedParamsAddLLong(&to->list, &to->n, &to->max, from->field,
                                     value->vimg_remote_param_value_u.l);
    else
        (void)virTypedParamsAddULLong(&to->list, &to->n, &to->max, from->field,
                                      value->vimg_remote_param_value_u.ul);
}

void
vimg_introduce_by(virConnectPtr connect, const VimgPeer *peer)
{
    vimg_remote_param wire[VIMG_REMOTE_IDENTITY_MAX] = {0};
    g_auto(Params) params = {0};
    guint n;

    if (!peer->began)
        return;
    n = vimg_hello_describe(peer, wire);
    for (guint i = 0; i < n; i++)
        from_wire(&wire[i], &params);
    if (virConnectSetIdentity(connect, params.list, params.n, 0) < 0)
        vimg_debug("the host's daemon takes no identity: %s", virGetLastErrorMessage());
}
