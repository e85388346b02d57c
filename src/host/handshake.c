/*
 * handshake.c: what a client says to a libvirt daemon before its first call
 *
 * AUTH_LIST must be asked even by root; then CONNECT_OPEN.  Keepalive is not asked for, so that
 * daemon sends none; at last, who the client is: libvirt 9.0 as observed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "host/handshake.h"
#include "host/introduce.h"
#include "host/talk.h"
#include "util/i18n.h"
#include "wire/remote.h"

/* ---- authentication ----------------------------------------------------------------------- */

static gboolean
polkit(VimgTalk *talk, GError **error)
{
    return vimg_talk_call(talk, VIMG_REMOTE_AUTH_POLKIT, NULL, NULL, NULL, NULL, error);
}

static gboolean
choose(VimgTalk *talk, const vimg_remote_auth_list_ret *list, GError **error)
{
    vimg_remote_auth_type first = list->types.types_len ? list->types.types_val[0] : VIMG_AUTH_NONE;

    /* the first one is what a client is to use */
    if (first == VIMG_AUTH_NONE)
        return TRUE;
    if (first == VIMG_AUTH_POLKIT)
        return polkit(talk, error);
    return vimg_throw(
        error, VIMG_ERROR_AUTH,
        _("the host's libvirt daemon wants a user name and a password (SASL) on its local socket, which cannot be given for a client; set auth_unix_rw there to \"none\" or \"polkit\", or host_uri to \"none\""));
}

static gboolean
authenticate(VimgTalk *talk, GError **error)
{
    vimg_remote_auth_list_ret list = {0};
    gboolean ok;

    ok = vimg_talk_call(talk, VIMG_REMOTE_AUTH_LIST, NULL, NULL,
                        (xdrproc_t)xdr_vimg_remote_auth_list_ret, &list, error) &&
         choose(talk, &list, error);
    xdr_free((xdrproc_t)xdr_vimg_remote_auth_list_ret, (char *)&list);
    return ok;
}

gboolean
vimg_handshake(int fd, const char *name, gboolean read_only, int cancel, gint64 deadline,
               const VimgPeer *peer, GError **error)
{
    char *text = (char *)name;
    vimg_remote_open_args args = {.name = &text, .flags = read_only ? VIR_CONNECT_RO : 0};
    g_auto(VimgTalk) talk;

    vimg_talk_init(&talk, fd, cancel, deadline);
    return authenticate(&talk, error) &&
           vimg_talk_call(&talk, VIMG_REMOTE_CONNECT_OPEN, (xdrproc_t)xdr_vimg_remote_open_args,
                          &args, NULL, NULL, error) &&
           vimg_introduce(&talk, peer, error);
}
