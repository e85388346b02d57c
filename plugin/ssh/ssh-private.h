/*
 * ssh-private.h: a connection from inside, and how its failures are said
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_SSH_PRIVATE_H
#define VIMG_SSH_SSH_PRIVATE_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include "ssh.h"
#include "throw.h"

/*
 * Bytes that libssh2 may hold for one connection, whatever the server sends.  What it has use for
 * is a window that nobody reads (8 MiB, and what one read adds to it) in packets of some KiB, the
 * largest of 32, and little besides: less than 10 MiB.  Packets of a few bytes, which take
 * several times what they hold, are answers to requests of ours, of which 1024 are under way.
 */
#define VIMG_SSH_MEMORY_MAX ((gsize)16 * 1024 * 1024)

/* Memory of libssh2, in front of what it sees of it. */
typedef struct {
    _Alignas(max_align_t) GList link;
    gsize size;
} VimgSshBlock;

struct _VimgSsh {
    int fd;
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel; /* NULL before vimg_ssh_subsystem() */
    char *host;               /* as the definition names it, in lower case */
    guint16 port;
    char *what;                 /* "10.0.0.5 port 22" */
    gint64 deadline;            /* of the monotonic clock; 0: none */
    guint64 received;           /* bytes */
    gboolean closed;            /* by the server */
    VimgSshGivenUp given_up;    /* asked until there is a channel */
    gboolean aborted;           /* it said so */
    GQueue blocks;              /* of VimgSshBlock */
    gsize memory;               /* bytes that libssh2 holds */
    gboolean memory_out;        /* it wanted more than it may have */
    gboolean secret;            /* what it gives back may hold secrets */
    const VimgBuffer *password; /* for the next question of the server; NULL: nothing is said */
};

/* FALSE: no memory. */
gboolean vimg_ssh_session_open(VimgSsh *ssh);
/* What libssh2 holds comes from here; wiped when it is given back as long as @ssh is secret. */
gpointer vimg_ssh_alloc(VimgSsh *ssh, gsize size);
/* Returns: 0: @fd has some of @events; ETIMEDOUT; ECANCELED: @given_up, which may be NULL. */
int vimg_ssh_poll(int fd, short events, gint64 deadline, const VimgSshGivenUp *given_up);
/* FALSE: it is of no use to repeat a call of libssh2 that would have blocked. */
gboolean vimg_ssh_wait(VimgSsh *ssh);
/* @rc: what @call of libssh2 gives in the end. */
#define VIMG_SSH_CALL(ssh, rc, call)                                                               \
    do                                                                                             \
        (rc) = (call);                                                                             \
    while ((rc) == LIBSSH2_ERROR_EAGAIN && vimg_ssh_wait(ssh))
/* The same of one that gives a pointer. */
#define VIMG_SSH_CALL_FOR(ssh, out, call)                                                          \
    do                                                                                             \
        (out) = (call);                                                                            \
    while (!(out) && libssh2_session_last_errno((ssh)->session) == LIBSSH2_ERROR_EAGAIN &&         \
           vimg_ssh_wait(ssh))
/* Sets @error: what was tried, with whom, and why it failed.  Returns: FALSE. */
gboolean vimg_ssh_throw(GError **error, VimgErrorCode code, VimgSshStep step, const char *what,
                        const char *format, ...) G_GNUC_PRINTF(5, 6);
/* The same of what vimg_ssh_poll() returned. */
gboolean vimg_ssh_throw_waited(GError **error, VimgSshStep step, const char *what, int result);
/* The same from what libssh2 said last: the connection is of no use any more. */
gboolean vimg_ssh_throw_lost(GError **error, VimgSshStep step, VimgSsh *ssh);

#endif
