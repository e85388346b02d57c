/*
 * introduce.c: what the host's daemon is told of the client that it is asked for
 *
 * The socket tells it user and groups, since the thread that connected was them; but by the same
 * socket the process is this daemon's.  Whoever asks polkit needs the client's own, with the time
 * it began: which session it is of, and so what it may, depends on that.  So the identity is set
 * (procedure 419) as libvirt's own proxy does: the names of the parameters are libvirt-host.h's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "host/introduce.h"
#include "util/log.h"
#include "wire/remote.h"

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

static void
add_text(Params *params, const char *name, const char *value)
{
    if (value)
        (void)virTypedParamsAddString(&params->list, &params->n, &params->max, name, value);
}

static void
add_number(Params *params, const char *name, guint64 value)
{
    (void)virTypedParamsAddULLong(&params->list, &params->n, &params->max, name, value);
}

/*
 * All at once, as it takes the place of what is known there.  No names: to look them up may wait
 * for a server, and those who judge go by the numbers.
 */
static void
describe(const VimgPeer *peer, Params *params)
{
    add_number(params, VIR_CONNECT_IDENTITY_UNIX_USER_ID, peer->uid);
    add_number(params, VIR_CONNECT_IDENTITY_UNIX_GROUP_ID, peer->gid);
    (void)virTypedParamsAddLLong(&params->list, &params->n, &params->max,
                                 VIR_CONNECT_IDENTITY_PROCESS_ID, peer->pid);
    add_number(params, VIR_CONNECT_IDENTITY_PROCESS_TIME, peer->began);
    add_text(params, VIR_CONNECT_IDENTITY_SELINUX_CONTEXT, peer->label);
}

/* The kinds that describe() makes; their numbers on the wire are libvirt's own. */
static void
to_wire(const virTypedParameter *from, vimg_remote_param *to)
{
    to->field = (char *)from->field;
    to->value.type = from->type;
    if (from->type == VIR_TYPED_PARAM_STRING)
        to->value.vimg_remote_param_value_u.s = from->value.s;
    else if (from->type == VIR_TYPED_PARAM_LLONG)
        to->value.vimg_remote_param_value_u.l = from->value.l;
    else
        to->value.vimg_remote_param_value_u.ul = from->value.ul;
}

gboolean
vimg_introduce(VimgTalk *talk, const VimgPeer *peer, GError **error)
{
    g_auto(Params) params = {0};
    vimg_remote_param wire[VIMG_REMOTE_IDENTITY_MAX] = {0};
    vimg_remote_identity_args args = {.params = {.params_val = wire}};
    g_autoptr(GError) local = NULL;

    if (!peer->began)
        return TRUE;
    describe(peer, &params);
    for (int i = 0; i < params.n; i++)
        to_wire(&params.list[i], &wire[i]);
    args.params.params_len = (guint)params.n;
    if (vimg_talk_call(talk, VIMG_REMOTE_CONNECT_SET_IDENTITY,
                       (xdrproc_t)xdr_vimg_remote_identity_args, &args, NULL, NULL, &local))
        return TRUE;
    if (local->domain != VIMG_VIR_ERROR) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_debug("the host's daemon takes no identity: %s", local->message);
    return TRUE;
}

void
vimg_introduce_by(virConnectPtr connect, const VimgPeer *peer)
{
    g_auto(Params) params = {0};

    if (!peer->began)
        return;
    describe(peer, &params);
    if (virConnectSetIdentity(connect, params.list, params.n, 0) < 0)
        vimg_debug("the host's daemon takes no identity: %s", virGetLastErrorMessage());
}
