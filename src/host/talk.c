/*
 * talk.c: a few calls to a libvirt daemon, one after the other, by a thread that may wait
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "host/talk.h"
#include "util/i18n.h"
#include "util/wipe.h"
#include "wire/hello.h"

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    const VimgTalk *talk = data;

    return header->type == VIMG_FRAME_REPLY && header->serial == talk->serial ? VIMG_READER_COLLECT
                                                                              : VIMG_READER_DISCARD;
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgTalk *talk = data;

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
wait_for(const VimgTalk *talk, short events, GError **error)
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
send_all(const VimgTalk *talk, const VimgBuffer *frame, GError **error)
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
await_reply(VimgTalk *talk, GError **error)
{
    talk->answered = FALSE;
    g_clear_pointer(&talk->payload, vimg_buffer_wipe);
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

void
vimg_talk_init(VimgTalk *talk, int fd, int cancel, gint64 deadline)
{
    *talk = (VimgTalk){.fd = fd, .cancel = cancel, .deadline = deadline};
    vimg_reader_init(&talk->reader, &reader_funcs, talk);
}

void
vimg_talk_clear(VimgTalk *talk)
{
    g_clear_pointer(&talk->payload, vimg_buffer_wipe);
    vimg_reader_clear(&talk->reader);
    explicit_bzero(&talk->reader, sizeof(talk->reader)); /* it reads ahead */
}

gboolean
vimg_talk_open(VimgTalk *talk, const char *name, gboolean read_only, const VimgPeer *peer,
               GError **error)
{
    VimgHello hello;

    vimg_hello_init(&hello, name, read_only, peer, VIMG_HELLO_UNKNOWN);
    while (hello.step != VIMG_HELLO_DONE) {
        g_autoptr(VimgBuffer) frame = vimg_hello_next(&hello, error);

        talk->serial = hello.serial;
        if (!frame || !send_all(talk, frame, error) || !await_reply(talk, error) ||
            !vimg_hello_take(&hello, &talk->header, talk->payload, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_talk_call(VimgTalk *talk, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
               xdrproc_t ret_proc, gpointer ret, GError **error)
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
    if (talk->header.status != VIMG_FRAME_OK)
        return vimg_frame_throw(talk->payload, error);
    return !ret || vimg_xdr_decode(ret_proc, ret, talk->payload ? talk->payload->data : NULL,
                                   talk->payload ? talk->payload->size : 0, error);
}
