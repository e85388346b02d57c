/*
 * pipe.c: a packet that passes from one socket to another without leaving the kernel
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "wire/pipe.h"

/*
 * The kernel counts pages and parts of pages, whatever is in them.  A packet as libvirt writes it
 * takes 70 of them at most, one byte a message as many as it has.
 */
#define ROOM 128
#define SPARE_MAX 4 /* kept: to make one takes as long as to fill it */

/* Linux 6.5 is the first to send what is in a pipe as one message; before it was one a page. */
#define KERNEL_MAJOR 6
#define KERNEL_MINOR 5

struct _VimgPipe {
    VimgPipes *pipes;
    VimgPipe *next; /* spare */
    int in, out;
    gsize bytes;
};

struct _VimgPipes {
    VimgPipe *spare;
    guint n_spare;
    guint n; /* in use */
    guint max;
};

gboolean
vimg_pipe_is_of_use(void)
{
    g_auto(GStrv) parts = NULL;
    struct utsname name;
    guint64 major, minor;

    if (uname(&name) < 0)
        return FALSE;
    parts = g_strsplit_set(name.release, ".-+", 3);
    return g_strv_length(parts) >= 2 &&
           g_ascii_string_to_unsigned(parts[0], 10, 0, G_MAXUINT, &major, NULL) &&
           g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT, &minor, NULL) &&
           (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
}

VimgPipes *
vimg_pipes_new(guint max)
{
    VimgPipes *pipes = g_new0(VimgPipes, 1);

    pipes->max = max;
    return pipes;
}

static void
destroy(VimgPipe *pipe)
{
    close(pipe->in);
    close(pipe->out);
    g_free(pipe);
}

void
vimg_pipes_free(VimgPipes *pipes)
{
    VimgPipe *pipe;

    if (!pipes)
        return;
    while ((pipe = pipes->spare)) {
        pipes->spare = pipe->next;
        destroy(pipe);
    }
    g_free(pipes);
}

static VimgPipe *
create(VimgPipes *pipes)
{
    VimgPipe *pipe;
    int ends[2], size;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return NULL;
    pipe = g_new0(VimgPipe, 1);
    pipe->pipes = pipes;
    pipe->out = ends[0];
    pipe->in = ends[1];
    size = ROOM * (int)sysconf(_SC_PAGESIZE);
    if (fcntl(pipe->in, F_SETPIPE_SZ, size) < size) {
        destroy(pipe);
        pipes->max = 0; /* who may not have one may not have the next */
        return NULL;
    }
    return pipe;
}

VimgPipe *
vimg_pipe_new(VimgPipes *pipes)
{
    VimgPipe *pipe = pipes->spare;

    if (pipes->n >= pipes->max)
        return NULL;
    if (pipe) {
        pipes->spare = pipe->next;
        pipes->n_spare--;
    } else {
        pipe = create(pipes);
    }
    pipes->n += pipe != NULL;
    return pipe;
}

void
vimg_pipe_free(VimgPipe *pipe)
{
    VimgPipes *pipes;

    if (!pipe)
        return;
    pipes = pipe->pipes;
    pipes->n--;
    if (pipe->bytes || pipes->n_spare >= SPARE_MAX) {
        destroy(pipe);
        return;
    }
    pipe->next = pipes->spare;
    pipes->spare = pipe;
    pipes->n_spare++;
}

gsize
vimg_pipe_bytes(const VimgPipe *pipe)
{
    return pipe->bytes;
}

gboolean
vimg_pipe_put(VimgPipe *pipe, const struct iovec *parts, int n)
{
    gssize done = writev(pipe->in, parts, n);
    gsize size = 0;

    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    if (done > 0)
        pipe->bytes += (gsize)done;
    return done >= 0 && (gsize)done == size;
}

gboolean
vimg_pipe_take(VimgPipe *pipe, gpointer to, gsize size)
{
    while (size) {
        gssize got = read(pipe->out, to, size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return FALSE;
        pipe->bytes -= (gsize)got;
        size -= (gsize)got;
        to = (guint8 *)to + got;
    }
    return TRUE;
}

/* The pipe is asked, not the socket: one that has ended is readable too. */
static gboolean
has_room(const VimgPipe *pipe)
{
    struct pollfd pfd = {.fd = pipe->in, .events = POLLOUT};

    return poll(&pfd, 1, 0) > 0;
}

gssize
vimg_pipe_fill(VimgPipe *pipe, int fd, gsize size)
{
    gssize got;

    do {
        got = splice(fd, NULL, pipe->in, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (got < 0 && errno == EINTR);
    if (got > 0)
        pipe->bytes += (gsize)got;
    else if (got < 0 && errno == EAGAIN)
        errno = has_room(pipe) ? EAGAIN : ENOBUFS;
    return got;
}

gssize
vimg_pipe_drain(VimgPipe *pipe, int fd)
{
    gssize done;

    do {
        done = splice(pipe->out, NULL, fd, NULL, pipe->bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (done < 0 && errno == EINTR);
    if (done > 0) {
        pipe->bytes -= (gsize)done;
        return done;
    }
    if (done == 0)
        errno = EIO;
    return -1;
}
