/*
 * daemon.c: the virtimaged at the other end of one connection
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "cli/address.h"
#include "cli/daemon-private.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/wipe.h"
#include "wire/remote.h"

#define OPEN_READ_ONLY 1 /* flag of CONNECT_OPEN */
#define PATIENCE (3 * G_USEC_PER_SEC)
#define LOOK_AGAIN 250 /* ms, while a call waits */

G_DEFINE_QUARK(vimg - daemon - error, vimg_daemon_error)

static void
call_free(gpointer data)
{
    VimgDaemonCall *call = data;

    g_clear_error(&call->error);
    vimg_buffer_wipe(call->reply);
    g_free(call);
}

static VimgDaemonCall *
find_call(VimgDaemon *daemon, guint32 serial)
{
    for (guint i = 0; i < daemon->calls->len; i++) {
        VimgDaemonCall *call = daemon->calls->pdata[i];

        if (call->serial == serial)
            return call;
    }
    return NULL;
}

/* Whether anything can be done with it. */
static gboolean
is_good(const VimgDaemon *daemon, GError **error)
{
    if (daemon->lost)
        g_propagate_error(error, g_error_copy(daemon->lost));
    return !daemon->lost;
}

/* From now on nothing can. */
static gboolean
lose(VimgDaemon *daemon, VimgDaemonError code, const char *text, GError **error)
{
    if (!daemon->lost)
        daemon->lost = g_error_new_literal(VIMG_DAEMON_ERROR, code, text);
    return is_good(daemon, error);
}

/* ---- what comes ------------------------------------------------------------------------- */

GError *
vimg_daemon_error_decode(const VimgBuffer *payload)
{
    vimg_remote_error got = {0};
    GError *error;

    if (!payload || !vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_error, &got, payload->data,
                                     payload->size, NULL)) {
        error = g_error_new_literal(VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN,
                                    _("the daemon's answer cannot be understood"));
    } else {
        g_autofree char *text = g_utf8_make_valid(got.message ? *got.message : "", -1);

        /* a terminal obeys some of them */
        for (char *at = text; *at; at++) {
            if (g_ascii_iscntrl(*at))
                *at = ' ';
        }
        error =
            g_error_new_literal(VIMG_DAEMON_ERROR, got.code > 0 ? got.code : VIR_ERR_INTERNAL_ERROR,
                                *text ? text : _("the daemon gives no reason"));
    }
    xdr_free((xdrproc_t)xdr_vimg_remote_error, (char *)&got);
    return error;
}

static gboolean
of_stream(const VimgDaemon *daemon, const VimgFrameHeader *header)
{
    return daemon->stream &&
           (header->type == VIMG_FRAME_STREAM || header->type == VIMG_FRAME_HOLE) &&
           header->program == VIMG_PROGRAM_REMOTE && header->serial == daemon->stream_serial &&
           header->procedure == daemon->stream_procedure;
}

static gboolean
is_event(const VimgFrameHeader *header)
{
    return header->type == VIMG_FRAME_MESSAGE && header->program == VIMG_PROGRAM_CONTROL &&
           header->procedure == VIMG_CONTROL_JOB_EVENT;
}

/* The call that a reply is to; NULL: none of ours. */
static VimgDaemonCall *
answered_call(VimgDaemon *daemon, const VimgFrameHeader *header)
{
    VimgDaemonCall *call = find_call(daemon, header->serial);

    if (!call || call->answered || header->type != VIMG_FRAME_REPLY ||
        call->program != header->program || call->procedure != header->procedure ||
        header->status > VIMG_FRAME_ERROR)
        return NULL;
    return call;
}

static VimgReaderMode
packet_mode(gpointer data, const VimgFrameHeader *header)
{
    VimgDaemon *daemon = data;

    if (header->type == VIMG_FRAME_MESSAGE && !is_event(header))
        return VIMG_READER_DISCARD;
    if (is_event(header) || of_stream(daemon, header) || answered_call(daemon, header))
        return VIMG_READER_COLLECT;
    daemon->broken = TRUE;
    return VIMG_READER_DISCARD;
}

static void
take_event(VimgDaemon *daemon, const VimgBuffer *payload)
{
    vimg_control_job_event event = {0};

    if (daemon->event && payload &&
        vimg_xdr_decode((xdrproc_t)xdr_vimg_control_job_event, &event, payload->data, payload->size,
                        NULL))
        daemon->event(&event, daemon->event_data);
    xdr_free((xdrproc_t)xdr_vimg_control_job_event, (char *)&event);
}

static gboolean
take_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgDaemon *daemon = data;
    g_autoptr(VimgBuffer) owned = payload;
    VimgDaemonCall *call;

    if (daemon->broken)
        return FALSE;
    if (of_stream(daemon, header))
        return daemon->stream(header, g_steal_pointer(&owned), daemon->stream_data);
    if (header->type == VIMG_FRAME_MESSAGE) {
        if (is_event(header))
            take_event(daemon, payload);
        else if (header->program == VIMG_PROGRAM_KEEPALIVE)
            daemon->pinged |= header->procedure == VIMG_KEEPALIVE_PING;
        return TRUE;
    }
    call = answered_call(daemon, header);
    call->answered = TRUE;
    if (header->status == VIMG_FRAME_ERROR)
        call->error = vimg_daemon_error_decode(payload);
    else
        call->reply = g_steal_pointer(&owned);
    return TRUE;
}

static const VimgReaderFuncs reader_funcs = {.mode = packet_mode, .packet = take_packet};

/* Handles what has come, without waiting. */
static gboolean
receive(VimgDaemon *daemon, GError **error)
{
    VimgReaderResult result;

    if (!is_good(daemon, error))
        return FALSE;
    result = vimg_reader_read(&daemon->reader, daemon->fd);
    if (daemon->broken || result == VIMG_READER_BROKEN)
        return lose(daemon, VIMG_DAEMON_BROKEN, _("the daemon's answer cannot be understood"),
                    error);
    if (result == VIMG_READER_EOF)
        return lose(daemon, VIMG_DAEMON_LOST, _("the connection to the daemon was lost"), error);
    daemon->more = result == VIMG_READER_STOPPED;
    return TRUE;
}

/* ---- what goes -------------------------------------------------------------------------- */

/* Returns: what is left of @iov when @done bytes are out. */
static guint
advance(struct iovec **iov, guint n, gsize done)
{
    while (n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        n--;
    }
    if (n > 0) {
        (*iov)->iov_base = (guint8 *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
    return n;
}

/* Whoever wants no more must not wait for ever for a packet to be whole. */
static gboolean
is_in_time(VimgDaemon *daemon, GError **error)
{
    gint64 now = g_get_monotonic_time();

    if (!daemon->tick || daemon->tick(daemon->tick_data))
        return TRUE;
    if (daemon->give_up == 0)
        daemon->give_up = now + PATIENCE;
    return now < daemon->give_up ||
           lose(daemon, VIMG_DAEMON_LOST, _("the connection to the daemon was given up"), error);
}

/* Room to send may depend on our reading. */
static gboolean
wait_for_room(VimgDaemon *daemon, GError **error)
{
    struct pollfd poller = {.fd = daemon->fd, .events = POLLIN | POLLOUT};

    if (poll(&poller, 1, daemon->tick ? VIMG_DAEMON_TICK : -1) > 0 && (poller.revents & POLLIN) &&
        !receive(daemon, error))
        return FALSE;
    return is_in_time(daemon, error);
}

/* After a call that sent nothing: errno says whether it can be tried again. */
static gboolean
can_send(VimgDaemon *daemon, GError **error)
{
    if (errno == EINTR)
        return TRUE;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return wait_for_room(daemon, error);
    /* why it hung up may have come before */
    return receive(daemon, error) &&
           lose(daemon, VIMG_DAEMON_LOST, _("the connection to the daemon was lost"), error);
}

static gboolean
send_pieces(VimgDaemon *daemon, struct iovec *iov, guint n, GError **error)
{
    while (n > 0) {
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        gssize done = sendmsg(daemon->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done >= 0)
            n = advance(&iov, n, (gsize)done);
        else if (!can_send(daemon, error))
            return FALSE;
    }
    return TRUE;
}

/* What was promised cannot be sent, and nothing else can be in its place. */
static gboolean
break_off(VimgDaemon *daemon, const char *text, GError **error)
{
    lose(daemon, VIMG_DAEMON_LOST, text, NULL);
    return vimg_throw(error, VIMG_ERROR_SYSTEM, "%s", text);
}

/* From the page cache into the socket, without a copy on the way. */
static gboolean
send_file(VimgDaemon *daemon, VimgDaemonFile *file, GError **error)
{
    while (file->size > 0) {
        off_t at = (off_t)file->offset;
        gssize done = sendfile(daemon->fd, file->fd, &at, file->size);

        if (done == 0)
            return break_off(daemon, _("the file became shorter while it was read"), error);
        if (done < 0 && errno == EIO)
            return break_off(daemon, _("the file cannot be read: Input/output error"), error);
        if (done < 0 && !can_send(daemon, error))
            return FALSE;
        file->offset += (guint64)MAX(done, 0);
        file->size -= (gsize)MAX(done, 0);
    }
    return TRUE;
}

gboolean
vimg_daemon_send(VimgDaemon *daemon, struct iovec *iov, guint n, VimgDaemonFile *file,
                 GError **error)
{
    static const VimgFrameHeader pong = {.program = VIMG_PROGRAM_KEEPALIVE,
                                         .version = 1,
                                         .procedure = VIMG_KEEPALIVE_PONG,
                                         .type = VIMG_FRAME_MESSAGE};
    gboolean good;

    if (!is_good(daemon, error))
        return FALSE;
    good = send_pieces(daemon, iov, n, error) && (!file || send_file(daemon, file, error));
    while (good && daemon->pinged) {
        guint8 head[VIMG_FRAME_MIN];
        struct iovec piece = {head, sizeof(head)};

        daemon->pinged = FALSE;
        vimg_frame_head_encode(&pong, 0, head);
        good = send_pieces(daemon, &piece, 1, error);
    }
    return good;
}

/* ---- calls ------------------------------------------------------------------------------ */

gboolean
vimg_daemon_wait(VimgDaemon *daemon, gint timeout_ms, GError **error)
{
    struct pollfd poller = {.fd = daemon->fd, .events = POLLIN};

    if (!is_good(daemon, error))
        return FALSE;
    if ((daemon->more || poll(&poller, 1, timeout_ms) > 0) && !receive(daemon, error))
        return FALSE;
    return !daemon->pinged || vimg_daemon_send(daemon, NULL, 0, NULL, error);
}

int
vimg_daemon_fd(const VimgDaemon *daemon)
{
    return daemon->fd;
}

void
vimg_daemon_set_event(VimgDaemon *daemon, VimgDaemonEventFunc func, gpointer data)
{
    daemon->event = func;
    daemon->event_data = data;
}

gint32
vimg_daemon_start(VimgDaemon *daemon, guint32 program, gint32 procedure, xdrproc_t args_proc,
                  gpointer args, GError **error)
{
    VimgFrameHeader header = {.program = program,
                              .version = 1,
                              .procedure = procedure,
                              .type = VIMG_FRAME_CALL,
                              .serial = daemon->next_serial};
    g_autoptr(VimgBuffer) frame = args_proc ? vimg_frame_new_xdr(&header, args_proc, args, error)
                                            : vimg_frame_new(&header, NULL, 0);
    VimgDaemonCall *call;
    struct iovec piece;

    if (!frame)
        return -1;
    call = g_new0(VimgDaemonCall, 1);
    *call = (VimgDaemonCall){program, procedure, header.serial};
    g_ptr_array_add(daemon->calls, call);
    daemon->next_serial = (daemon->next_serial + 1) & G_MAXINT32;
    piece = (struct iovec){frame->data, frame->size};
    if (vimg_daemon_send(daemon, &piece, 1, NULL, error))
        return (gint32)header.serial;
    g_ptr_array_remove(daemon->calls, call);
    return -1;
}

void
vimg_daemon_set_waiting(VimgDaemon *daemon, VimgDaemonWaiting func, gpointer data)
{
    daemon->waiting = func;
    daemon->waiting_data = data;
}

gboolean
vimg_daemon_answered(VimgDaemon *daemon, gint32 serial)
{
    VimgDaemonCall *call = find_call(daemon, (guint32)serial);

    return !call || call->answered || daemon->lost;
}

static gboolean
take_answer(VimgDaemonCall *call, xdrproc_t ret_proc, gpointer ret, GError **error)
{
    if (call->error) {
        g_propagate_error(error, g_steal_pointer(&call->error));
        return FALSE;
    }
    if (!ret_proc || vimg_xdr_decode(ret_proc, ret, call->reply ? call->reply->data : NULL,
                                     call->reply ? call->reply->size : 0, NULL))
        return TRUE;
    g_set_error_literal(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN,
                        _("the daemon's answer cannot be understood"));
    return FALSE;
}

gboolean
vimg_daemon_finish(VimgDaemon *daemon, gint32 serial, xdrproc_t ret_proc, gpointer ret,
                   GError **error)
{
    VimgDaemonCall *call = find_call(daemon, (guint32)serial);
    gboolean good = TRUE;

    g_return_val_if_fail(call, FALSE);
    while (good && !call->answered) {
        good = vimg_daemon_wait(daemon, daemon->waiting ? LOOK_AGAIN : -1, error);
        if (daemon->waiting)
            daemon->waiting(daemon->waiting_data);
    }
    good = good && take_answer(call, ret_proc, ret, error);
    g_ptr_array_remove(daemon->calls, call);
    return good;
}

gboolean
vimg_daemon_call(VimgDaemon *daemon, guint32 program, gint32 procedure, xdrproc_t args_proc,
                 gpointer args, xdrproc_t ret_proc, gpointer ret, GError **error)
{
    gint32 serial = vimg_daemon_start(daemon, program, procedure, args_proc, args, error);

    return serial >= 0 && vimg_daemon_finish(daemon, serial, ret_proc, ret, error);
}

/* ---- life ------------------------------------------------------------------------------- */

VimgDaemon *
vimg_daemon_new(int fd, GPid child)
{
    VimgDaemon *daemon = g_new0(VimgDaemon, 1);

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    daemon->fd = fd;
    daemon->child = child;
    daemon->calls = g_ptr_array_new_with_free_func(call_free);
    vimg_reader_init(&daemon->reader, &reader_funcs, daemon);
    return daemon;
}

void
vimg_daemon_close(VimgDaemon *daemon)
{
    if (!daemon)
        return;
    /* the same to it as a farewell */
    close(daemon->fd);
    if (daemon->child) {
        kill(daemon->child, SIGTERM);
        while (waitpid(daemon->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    vimg_reader_clear(&daemon->reader);
    g_ptr_array_unref(daemon->calls);
    g_clear_error(&daemon->lost);
    g_free(daemon);
}

/* We may come in as we are: nobody is to be asked for a password. */
static gboolean
is_welcome(const vimg_remote_auth_list_ret *offered, GError **error)
{
    for (u_int i = 0; i < offered->types.types_len; i++) {
        if (offered->types.types_val[i] == VIMG_AUTH_NONE)
            return TRUE;
    }
    g_set_error_literal(
        error, VIMG_DAEMON_ERROR, VIR_ERR_AUTH_FAILED,
        _("the daemon asks for a kind of authentication that this program has not"));
    return FALSE;
}

gboolean
vimg_daemon_greet(VimgDaemon *daemon, const char *name, gboolean read_only, GError **error)
{
    vimg_remote_auth_list_ret offered = {{0}};
    char *text = (char *)name;
    vimg_remote_open_args args = {&text, read_only ? OPEN_READ_ONLY : 0};
    gboolean good;

    good = vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_AUTH_LIST, NULL, NULL,
                            (xdrproc_t)xdr_vimg_remote_auth_list_ret, &offered, error) &&
           is_welcome(&offered, error) &&
           vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_CONNECT_OPEN,
                            (xdrproc_t)xdr_vimg_remote_open_args, &args, NULL, NULL, error);
    xdr_free((xdrproc_t)xdr_vimg_remote_auth_list_ret, (char *)&offered);
    return good;
}

VimgDaemon *
vimg_daemon_open(const char *uri, gboolean read_only, GError **error)
{
    g_autoptr(VimgAddress) address = vimg_address_new(uri, error);
    g_autoptr(VimgDaemon) daemon = NULL;
    GPid child = 0;
    int fd;

    if (!address)
        return NULL;
    fd = vimg_address_connect(address, read_only, &child, error);
    if (fd < 0)
        return NULL;
    daemon = vimg_daemon_new(fd, child);
    if (!vimg_daemon_greet(daemon, address->name, read_only, error))
        return NULL;
    return g_steal_pointer(&daemon);
}
