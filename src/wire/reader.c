/*
 * reader.c: packets out of a socket, as they come, without waiting and without copying
 *
 * What follows a payload is read with it, so a stream of packets costs one read each, and so does a
 * small packet by itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/reader.h"
#include "util/wipe.h"

#define READS_MAX 16         /* before others have their turn */
#define COLLECT_FIRST 262144 /* bytes a collected payload gets before they have come */
#define PIPED_MIN 65536      /* bytes still to come for which a pipe costs less than to copy them */

void
vimg_reader_init(VimgReader *reader, const VimgReaderFuncs *funcs, gpointer data)
{
    *reader = (VimgReader){.funcs = funcs, .data = data};
}

void
vimg_reader_set_pipes(VimgReader *reader, VimgPipes *pipes)
{
    reader->pipes = pipes;
}

static void
close_fds(VimgReader *reader)
{
    while (reader->n_fds)
        close(reader->fds[--reader->n_fds]);
}

/* Nobody has looked yet whether it is of a secret. */
void
vimg_reader_clear(VimgReader *reader)
{
    g_clear_pointer(&reader->body, vimg_buffer_wipe);
    g_clear_pointer(&reader->pipe, vimg_pipe_free);
    explicit_bzero(reader->ahead, sizeof(reader->ahead));
    close_fds(reader);
}

guint
vimg_reader_take_fds(VimgReader *reader, int *fds)
{
    guint n = MIN(reader->n_fds, reader->wanted);

    if (n == 0)
        return 0;
    memcpy(fds, reader->fds, n * sizeof(*fds));
    reader->n_fds = 0; /* there were no others: has_wanted() */
    return n;
}

VimgPipe *
vimg_reader_take_pipe(VimgReader *reader)
{
    return g_steal_pointer(&reader->pipe);
}

/* ---- from the socket ---------------------------------------------------------------------- */

/* More than can belong to one packet are somebody's joke. */
static void
keep_fds(VimgReader *reader, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        gsize n;

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (gsize i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
            if (reader->n_fds < VIMG_FRAME_FDS_MAX)
                reader->fds[reader->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

/*
 * Into @body, whose @room is of the payload, and if it may be @beyond that, ahead.  *@drained: that
 * was all there is.  Returns: as recvmsg().
 */
static gssize
receive(VimgReader *reader, int fd, guint8 *body, gsize room, gboolean beyond, gboolean *drained)
{
    union {
        char bytes[CMSG_SPACE(VIMG_FRAME_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    gsize kept = reader->ahead_end - reader->ahead_at;
    gsize more = beyond ? sizeof(reader->ahead) - kept : 0;
    struct iovec iov[] = {{body, room}, {reader->ahead + kept, more}};
    struct msghdr message = {.msg_iov = room ? iov : iov + 1,
                             .msg_iovlen = (room != 0) + (more != 0),
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    gssize got;

    memmove(reader->ahead, reader->ahead + reader->ahead_at, kept);
    reader->ahead_at = 0;
    reader->ahead_end = kept;
    do {
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got;
    if (message.msg_controllen)
        keep_fds(reader, &message);
    if ((gsize)got > room)
        reader->ahead_end += (gsize)got - room;
    *drained = (gsize)got < room + more && !message.msg_controllen;
    return got;
}

/* ---- what was read ahead ------------------------------------------------------------------ */

/* What was used may have been a secret. */
static void
use_ahead(VimgReader *reader, gpointer to, gsize size)
{
    guint8 *from = reader->ahead + reader->ahead_at;

    if (to)
        memcpy(to, from, size);
    explicit_bzero(from, size);
    reader->ahead_at += size;
}

static gsize
ahead_left(const VimgReader *reader)
{
    return reader->ahead_end - reader->ahead_at;
}

/* ---- packets that pass -------------------------------------------------------------------- */

/* Returns: FALSE if its payload is to be collected. */
static gboolean
begin_pipe(VimgReader *reader, guint8 head[VIMG_FRAME_MIN])
{
    gsize here = MIN(ahead_left(reader), reader->left);
    struct iovec parts[] = {{head, VIMG_FRAME_MIN}, {reader->ahead + reader->ahead_at, here}};
    g_autoptr(VimgPipe) pipe = NULL;

    if (!reader->pipes || reader->left - here < PIPED_MIN ||
        reader->left + VIMG_FRAME_MIN > VIMG_PIPE_PACKET_MAX)
        return FALSE;
    pipe = vimg_pipe_new(reader->pipes);
    if (!pipe || !vimg_pipe_put(pipe, parts, G_N_ELEMENTS(parts)))
        return FALSE;
    use_ahead(reader, NULL, here);
    reader->left -= here;
    reader->pipe = g_steal_pointer(&pipe);
    return TRUE;
}

/* What has come of it goes to memory, and so will the rest. */
static gboolean
leave_pipe(VimgReader *reader)
{
    g_autoptr(VimgPipe) pipe = g_steal_pointer(&reader->pipe);
    gsize here = vimg_pipe_bytes(pipe) - VIMG_FRAME_MIN;
    guint8 head[VIMG_FRAME_MIN];

    reader->mode = VIMG_READER_COLLECT;
    reader->body = vimg_buffer_new(here + reader->left);
    if (!vimg_pipe_take(pipe, head, sizeof(head)) ||
        !vimg_pipe_take(pipe, reader->body->data, here))
        return FALSE;
    reader->body_got = here;
    return TRUE;
}

/*
 * Returns: FALSE if it cannot be this way, or seems over: the rest is to be collected, which shows
 * what is true of the socket; else *@got: as recvmsg().
 */
static gboolean
read_to_pipe(VimgReader *reader, int fd, gssize *got, gboolean *drained)
{
    *got = vimg_pipe_fill(reader->pipe, fd, reader->left);
    if (*got > 0) {
        *drained = (gsize)*got < reader->left;
        reader->left -= (gsize)*got;
        return TRUE;
    }
    if (*got < 0 && errno == EAGAIN)
        return TRUE;
    if (*got < 0 && errno != ENOBUFS)
        reader->pipes = NULL; /* it may not be allowed, and would not be the next time */
    if (leave_pipe(reader))
        return FALSE;
    errno = EIO;
    *got = -1;
    return TRUE;
}

/* ---- packets ------------------------------------------------------------------------------ */

static gboolean
carries_fds(const VimgReader *reader)
{
    return reader->mode == VIMG_READER_COLLECT &&
           (reader->header.type == VIMG_FRAME_CALL_WITH_FDS ||
            reader->header.type == VIMG_FRAME_REPLY_WITH_FDS);
}

/* A whole head is there. */
static gboolean
begin_packet(VimgReader *reader)
{
    guint8 head[VIMG_FRAME_MIN];
    guint32 length;

    use_ahead(reader, head, sizeof(head));
    if (!vimg_frame_length(head, &length))
        return FALSE;
    vimg_frame_header_decode(head + VIMG_FRAME_LENGTH_SIZE, &reader->header);
    reader->in_packet = TRUE;
    reader->left = length - VIMG_FRAME_MIN;
    reader->mode = reader->funcs->mode(reader->data, &reader->header);
    if (reader->mode == VIMG_READER_PASS && !begin_pipe(reader, head))
        reader->mode = VIMG_READER_COLLECT;
    return TRUE;
}

/* Their number is what the payload begins with: libvirt 9.0 as observed. */
static gboolean
await_fds(VimgReader *reader)
{
    guint32 n = G_MAXUINT32;

    if (reader->body && reader->body_got >= sizeof(n)) {
        memcpy(&n, reader->body->data, sizeof(n));
        n = GUINT32_FROM_BE(n);
    }
    reader->has_fds = TRUE;
    reader->wanted = n;
    reader->skip = n;
    return n <= VIMG_FRAME_FDS_MAX;
}

/*
 * One that is passed on would shift all that comes behind it.  With none wanted, those that are
 * here may be of a packet that was read ahead: the kernel gives the descriptors of one message at
 * most with each read, and with whatever stood before it.
 */
static gboolean
has_wanted(const VimgReader *reader)
{
    return !reader->has_fds || reader->wanted == 0 || reader->n_fds == reader->wanted;
}

static gboolean
end_packet(VimgReader *reader)
{
    VimgFrameHeader header = reader->header;
    gboolean had_fds = reader->has_fds && reader->wanted > 0;
    gboolean on;

    reader->in_packet = FALSE;
    reader->has_fds = FALSE;
    reader->body_got = 0;
    on = reader->funcs->packet(reader->data, &header, g_steal_pointer(&reader->body));
    g_clear_pointer(&reader->pipe, vimg_pipe_free);
    /* nobody's: not of this packet, and nothing else came with them */
    if (had_fds || !ahead_left(reader))
        close_fds(reader);
    return on;
}

/* Room for what comes next: twice what came, or the next piece. */
static void
make_room(VimgReader *reader)
{
    gsize whole = reader->body_got + reader->left;
    VimgBuffer *old;
    gsize room;

    if (reader->body && reader->body_got < reader->body->size)
        return;
    if (reader->mode == VIMG_READER_PIECES)
        room = MIN(whole, VIMG_READER_PIECE);
    else
        room = MIN(whole, MAX(reader->body_got * 2, COLLECT_FIRST));
    old = g_steal_pointer(&reader->body);
    reader->body = vimg_buffer_new(room);
    if (old)
        memcpy(reader->body->data, old->data, reader->body_got);
    vimg_buffer_wipe(old);
}

/* Part of the payload, from ahead or from the socket. */
static gssize
read_payload(VimgReader *reader, int fd, gboolean *drained)
{
    guint8 scratch[16384];
    guint8 *to = scratch;
    gsize room = MIN(sizeof(scratch), reader->left);
    gssize got;

    if (reader->pipe && read_to_pipe(reader, fd, &got, drained))
        return got;
    if (reader->mode != VIMG_READER_DISCARD) {
        make_room(reader);
        room = MIN(reader->body->size - reader->body_got, reader->left);
        to = reader->body->data + reader->body_got;
    }
    if (ahead_left(reader)) {
        got = (gssize)MIN(room, ahead_left(reader));
        use_ahead(reader, to, (gsize)got);
    } else {
        got = receive(reader, fd, to, room, room == reader->left, drained);
    }
    if (got <= 0)
        return got;
    reader->left -= MIN((gsize)got, room);
    if (reader->mode != VIMG_READER_DISCARD)
        reader->body_got += MIN((gsize)got, room);
    return got;
}

static gssize
read_ahead(VimgReader *reader, int fd, gboolean *drained)
{
    return receive(reader, fd, NULL, 0, TRUE, drained);
}

/* Hands over a piece that is full or the last one. */
static gboolean
deliver(VimgReader *reader)
{
    if (reader->mode != VIMG_READER_PIECES || !reader->body ||
        reader->body_got < reader->body->size)
        return TRUE;
    reader->body_got = 0;
    return reader->funcs->piece(reader->data, &reader->header, g_steal_pointer(&reader->body));
}

typedef enum {
    STEP_ON,
    STEP_READ, /* needs more from the socket */
    STEP_STOPPED,
    STEP_BROKEN,
} Step;

/* What can be done with what has come, but for payloads. */
static Step
step(VimgReader *reader)
{
    gsize skipped;

    if (!reader->in_packet) {
        if (ahead_left(reader) < VIMG_FRAME_MIN)
            return STEP_READ;
        return begin_packet(reader) ? STEP_ON : STEP_BROKEN;
    }
    if (reader->left)
        return STEP_READ;
    if (carries_fds(reader) && !reader->has_fds)
        return await_fds(reader) ? STEP_ON : STEP_BROKEN;
    if (reader->has_fds && reader->skip) {
        skipped = MIN(reader->skip, ahead_left(reader));
        if (!skipped)
            return STEP_READ;
        use_ahead(reader, NULL, skipped);
        reader->skip -= skipped;
        return STEP_ON;
    }
    if (!has_wanted(reader))
        return STEP_BROKEN;
    return end_packet(reader) ? STEP_ON : STEP_STOPPED;
}

VimgReaderResult
vimg_reader_read(VimgReader *reader, int fd)
{
    gboolean drained = FALSE;
    guint reads = 0;

    for (;;) {
        Step next = step(reader);
        gboolean payload = reader->in_packet && reader->left;
        gssize got;

        if (next == STEP_ON)
            continue;
        if (next != STEP_READ)
            return next == STEP_STOPPED ? VIMG_READER_STOPPED : VIMG_READER_BROKEN;
        if (!payload || !ahead_left(reader)) {
            if (drained)
                return VIMG_READER_AGAIN;
            if (reads++ == READS_MAX)
                return VIMG_READER_YIELD;
        }
        got = payload ? read_payload(reader, fd, &drained) : read_ahead(reader, fd, &drained);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return VIMG_READER_AGAIN;
        if (got <= 0)
            return VIMG_READER_EOF;
        if (payload && !deliver(reader))
            return VIMG_READER_STOPPED;
    }
}
