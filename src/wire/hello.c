/*
 * hello.c: what a client says to a libvirt daemon before its first call
 *
 * How to authenticate is asked, even by root, for whom the answer alone makes polkit needless; then
 * CONNECT_OPEN.  A daemon whose sockets want nothing takes CONNECT_OPEN at once; any other refuses
 * it, and nothing is lost but a turn, so after the first time that turn is saved.  Keepalive is not
 * asked for, so that daemon sends none.  At last, who the client is: libvirt 9.0 as observed.
 *
 * The socket tells user and groups, since who connected was them; but by the same socket the
 * process is this daemon's.  Whoever asks polkit needs the client's own, with the time it began:
 * which session it is of, and so what it may, depends on that.  So the identity is set (procedure
 * 419) as libvirt's own proxy does: the names of the parameters are libvirt-host.h's.  Of a process
 * whose start is not known none is set: it may be another one by now, and an identity without one
 * would take the socket's away.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "util/i18n.h"
#include "util/log.h"
#include "wire/hello.h"

void
vimg_hello_init(VimgHello *hello, const char *name, gboolean read_only, const VimgPeer *peer,
                VimgHelloAuth auth)
{
    *hello = (VimgHello){.name = name, .read_only = read_only, .peer = peer, .auth = auth};
    hello->step = auth == VIMG_HELLO_NEEDLESS ? VIMG_HELLO_OPEN : VIMG_HELLO_LIST;
}

/* ---- what is said ------------------------------------------------------------------------- */

static void
add_number(vimg_remote_param *param, const char *name, guint64 value)
{
    param->field = (char *)name;
    param->value.type = VIMG_REMOTE_PARAM_ULLONG;
    param->value.vimg_remote_param_value_u.ul = value;
}

/*
 * All at once, as it takes the place of what is known there.  No names: to look them up may wait
 * for a server, and those who judge go by the numbers.
 */
guint
vimg_hello_describe(const VimgPeer *peer, vimg_remote_param *out)
{
    guint n = 0;

    add_number(&out[n++], VIR_CONNECT_IDENTITY_UNIX_USER_ID, peer->uid);
    add_number(&out[n++], VIR_CONNECT_IDENTITY_UNIX_GROUP_ID, peer->gid);
    out[n].field = (char *)VIR_CONNECT_IDENTITY_PROCESS_ID;
    out[n].value.type = VIMG_REMOTE_PARAM_LLONG;
    out[n++].value.vimg_remote_param_value_u.l = peer->pid;
    add_number(&out[n++], VIR_CONNECT_IDENTITY_PROCESS_TIME, peer->began);
    if (!peer->label)
        return n;
    out[n].field = (char *)VIR_CONNECT_IDENTITY_SELINUX_CONTEXT;
    out[n].value.type = VIMG_REMOTE_PARAM_STRING;
    out[n++].value.vimg_remote_param_value_u.s = peer->label;
    return n;
}

static VimgBuffer *
say_nothing(const VimgHello *hello, const VimgFrameHeader *header, GError **error)
{
    return vimg_frame_new(header, NULL, 0);
}

static VimgBuffer *
say_open(const VimgHello *hello, const VimgFrameHeader *header, GError **error)
{
    char *name = (char *)hello->name;
    vimg_remote_open_args args = {.name = &name, .flags = hello->read_only ? VIR_CONNECT_RO : 0};

    return vimg_frame_new_xdr(header, (xdrproc_t)xdr_vimg_remote_open_args, &args, error);
}

static VimgBuffer *
say_identity(const VimgHello *hello, const VimgFrameHeader *header, GError **error)
{
    vimg_remote_param params[VIMG_REMOTE_IDENTITY_MAX] = {0};
    vimg_remote_identity_args args = {.params = {.params_val = params}};

    args.params.params_len = vimg_hello_describe(hello->peer, params);
    return vimg_frame_new_xdr(header, (xdrproc_t)xdr_vimg_remote_identity_args, &args, error);
}

/* ---- what is answered --------------------------------------------------------------------- */

static gboolean
take_list(VimgHello *hello, const VimgBuffer *payload, GError **error)
{
    vimg_remote_auth_list_ret list = {0};
    gboolean ok =
        vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_auth_list_ret, &list,
                        payload ? payload->data : NULL, payload ? payload->size : 0, error);
    /* the first one is what a client is to use */
    vimg_remote_auth_type first =
        ok && list.types.types_len ? list.types.types_val[0] : VIMG_AUTH_NONE;

    xdr_free((xdrproc_t)xdr_vimg_remote_auth_list_ret, (char *)&list);
    hello->listed = TRUE;
    if (!ok)
        return FALSE;
    if (first != VIMG_AUTH_NONE && first != VIMG_AUTH_POLKIT)
        return vimg_throw(
            error, VIMG_ERROR_AUTH,
            _("the host's libvirt daemon wants a user name and a password (SASL) on its local socket, which cannot be given for a client; set auth_unix_rw there to \"none\" or \"polkit\", or host_uri to \"none\""));
    if (first == VIMG_AUTH_NONE && hello->auth == VIMG_HELLO_UNKNOWN)
        hello->auth = VIMG_HELLO_NEEDLESS;
    hello->step = first == VIMG_AUTH_NONE ? VIMG_HELLO_OPEN : VIMG_HELLO_POLKIT;
    return TRUE;
}

static gboolean
take_polkit(VimgHello *hello, const VimgBuffer *payload, GError **error)
{
    hello->step = VIMG_HELLO_OPEN;
    return TRUE;
}

static gboolean
take_open(VimgHello *hello, const VimgBuffer *payload, GError **error)
{
    hello->step = hello->peer->began ? VIMG_HELLO_IDENTITY : VIMG_HELLO_DONE;
    return TRUE;
}

static gboolean
take_identity(VimgHello *hello, const VimgBuffer *payload, GError **error)
{
    hello->step = VIMG_HELLO_DONE;
    return TRUE;
}

static const struct {
    gint32 procedure;
    VimgBuffer *(*say)(const VimgHello *hello, const VimgFrameHeader *header, GError **error);
    gboolean (*take)(VimgHello *hello, const VimgBuffer *payload, GError **error);
} steps[] = {
    [VIMG_HELLO_LIST] = {VIMG_REMOTE_AUTH_LIST, say_nothing, take_list},
    [VIMG_HELLO_POLKIT] = {VIMG_REMOTE_AUTH_POLKIT, say_nothing, take_polkit},
    [VIMG_HELLO_OPEN] = {VIMG_REMOTE_CONNECT_OPEN, say_open, take_open},
    [VIMG_HELLO_IDENTITY] = {VIMG_REMOTE_CONNECT_SET_IDENTITY, say_identity, take_identity},
};
G_STATIC_ASSERT(G_N_ELEMENTS(steps) == VIMG_HELLO_DONE);

VimgBuffer *
vimg_hello_next(VimgHello *hello, GError **error)
{
    const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                                    .version = 1,
                                    .procedure = steps[hello->step].procedure,
                                    .type = VIMG_FRAME_CALL,
                                    .serial = ++hello->serial};

    return steps[hello->step].say(hello, &header, error);
}

gboolean
vimg_hello_is_answer(const VimgHello *hello, const VimgFrameHeader *header)
{
    return header->type == VIMG_FRAME_REPLY && header->serial == hello->serial;
}

/* Returns: whether there is something else to be tried, or to be done without. */
static gboolean
is_refusal_harmless(VimgHello *hello, const GError *said)
{
    if (said->domain != VIMG_VIR_ERROR)
        return FALSE;
    if (hello->step == VIMG_HELLO_OPEN && !hello->listed) {
        hello->auth = VIMG_HELLO_NEEDED;
        hello->step = VIMG_HELLO_LIST;
        return TRUE;
    }
    if (hello->step != VIMG_HELLO_IDENTITY)
        return FALSE;
    /* it connected as the peer already, so that daemon knows what the kernel says */
    vimg_debug("the host's daemon takes no identity: %s", said->message);
    hello->step = VIMG_HELLO_DONE;
    return TRUE;
}

gboolean
vimg_hello_take(VimgHello *hello, const VimgFrameHeader *header, const VimgBuffer *payload,
                GError **error)
{
    GError *said = NULL;

    if (header->status == VIMG_FRAME_OK)
        return steps[hello->step].take(hello, payload, error);
    vimg_frame_throw(payload, &said);
    if (is_refusal_harmless(hello, said)) {
        g_error_free(said);
        return TRUE;
    }
    g_propagate_error(error, said);
    return FALSE;
}
