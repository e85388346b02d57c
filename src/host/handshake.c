/*
 * handshake.c: what a client says to a libvirt daemon before its first call
 *
 * AUTH_LIST must be asked even by root; then CONNECT_OPEN.  Keepalive is not asked for, so that
 * daemon sends none: libvirt 9.0 as observed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <libvirt/libvirt.h>

#include "host/handshake.h"
#include "util/i18n.h"
#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/remote.h"

typedef struct {
    int fd;
    int cancel;
    gint64 deadline;
    guint32 serial;
    VimgReader reader;
    VimgFrameHeader header; /* of the reply */
    VimgBuffer *payload;
    gboolean answered;
} Talk;

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    const Talk *talk = data;

    return header->type == VIMG_FRAME_REPLY && header->serial == talk->serial ? VIMG_READER_COLLECT
                                                                              : VIMG_READER_DISCARD;
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    Talk *talk = data;

    if (header->type != VIMG_FRAME_REPLY || header->serial != talk->serial) {
        vimg_buffer_unref(payload);
        return TRUE;
    }
    talk->header = *header;
    talk->payload = payload;
    talk->answered = TRUE;
    return FALSE;
}

static const VimgReaderFuncs reader_funcs = {.mode = on_mode, .packet = on_packet};

static gboolean
wait_for(const Talk *talk, short events, GError **error)
{
    struct pollfd fds[] = {{.fd = talk->fd, .events = events},
                           {.fd = talk->cancel, .events = POLLIN}};
    gint64 left = talk->deadline - g_get_monotonic_time();
    int n = poll(fds, G_N_ELEMENTS(fds), (int)(CLAMP(left, 0, G_MAXINT) / 1000));

    if (n < 0 && errno != EINTR)
        return vimg_throw_errno(error, "poll");
    if (fds[1].revents)
        return vimg_throw(error, VIMG_ERROR_ABORTED, _("the daemon ends"));
    if (n == 0)
        return vimg_throw(error, VIMG_ERROR_TIMEOUT,
                          _("the host's libvirt daemon does not answer; if it hangs, restart it"));
    return TRUE;
}

static gboolean
send_all(const Talk *talk, const VimgBuffer *frame, GError **error)
{
    gsize at = 0;

    while (at < frame->size) {
        gssize done = send(talk->fd, frame->data + at, frame->size - at, MSG_NOSIGNAL);

        if (done > 0)
            at += (gsize)done;
        else if (errno != EAGAIN && errno != EINTR)
            return vimg_throw_errno(error, "%s", _("cannot write to the host's libvirt daemon"));
        else if (!wait_for(talk, POLLOUT, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
await_reply(Talk *talk, GError **error)
{
    talk->answered = FALSE;
    g_clear_pointer(&talk->payload, vimg_buffer_unref);
    while (!talk->answered) {
        VimgReaderResult result = vimg_reader_read(&talk->reader, talk->fd);

        if (result == VIMG_READER_EOF || result == VIMG_READER_BROKEN)
            return vimg_throw(
                error, VIMG_ERROR_FAILED,
                _("the host's libvirt daemon ended the connection before it was open; its log says why"));
        if (result == VIMG_READER_AGAIN && !talk->answered && !wait_for(talk, POLLIN, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
throw_reply(const Talk *talk, GError **error)
{
    const VimgBuffer *payload = talk->payload;
    vimg_remote_error got = {0};

    if (vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_error, &got, payload ? payload->data : NULL,
                        payload ? payload->size : 0, error))
        vimg_throw_vir(error, got.code, got.domain, got.message ? *got.message : "");
    xdr_free((xdrproc_t)xdr_vimg_remote_error, (char *)&got);
    return FALSE;
}

static gboolean
call(Talk *talk, gint32 procedure, xdrproc_t args_proc, gconstpointer args, GError **error)
{
    const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                                    .version = 1,
                                    .procedure = procedure,
                                    .type = VIMG_FRAME_CALL,
                                    .serial = ++talk->serial};
    g_autoptr(VimgBuffer) frame = args ? vimg_frame_new_xdr(&header, args_proc, args, error)
                                       : vimg_frame_new(&header, NULL, 0);

    if (!frame || !send_all(talk, frame, error) || !await_reply(talk, error))
        return FALSE;
    return talk->header.status == VIMG_FRAME_OK || throw_reply(talk, error);
}

/* ---- authentication ----------------------------------------------------------------------- */

static gboolean
polkit(Talk *talk, GError **error)
{
    return call(talk, VIMG_REMOTE_AUTH_POLKIT, NULL, NULL, error);
}

static gboolean
choose(Talk *talk, const vimg_remote_auth_list_ret *list, GError **error)
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
authenticate(Talk *talk, GError **error)
{
    vimg_remote_auth_list_ret list = {0};
    gboolean ok;

    if (!call(talk, VIMG_REMOTE_AUTH_LIST, NULL, NULL, error))
        return FALSE;
    ok = vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_auth_list_ret, &list,
                         talk->payload ? talk->payload->data : NULL,
                         talk->payload ? talk->payload->size : 0, error) &&
         choose(talk, &list, error);
    xdr_free((xdrproc_t)xdr_vimg_remote_auth_list_ret, (char *)&list);
    return ok;
}

gboolean
vimg_handshake(int fd, const char *name, gboolean read_only, int cancel, gint64 deadline,
               GError **error)
{
    char *text = (char *)name;
    vimg_remote_open_args args = {.name = &text, .flags = read_only ? VIR_CONNECT_RO : 0};
    Talk talk = {.fd = fd, .cancel = cancel, .deadline = deadline};
    gboolean ok;

    vimg_reader_init(&talk.reader, &reader_funcs, &talk);
    ok = authenticate(&talk, error) &&
         call(&talk, VIMG_REMOTE_CONNECT_OPEN, (xdrproc_t)xdr_vimg_remote_open_args, &args, error);
    vimg_buffer_unref(talk.payload);
    vimg_reader_clear(&talk.reader);
    return ok;
}
