/*
 * daemon-private.h: what streams and tests know of a connection
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_DAEMON_PRIVATE_H
#define VIMG_CLI_DAEMON_PRIVATE_H

#include <sys/uio.h>

#include "cli/daemon.h"
#include "wire/reader.h"

/* A call that was sent. */
typedef struct {
    guint32 program;
    gint32 procedure;
    guint32 serial;
    gboolean answered;
    GError *error; /* if it failed */
    VimgBuffer *reply;
} VimgDaemonCall;

/* What is told of a stream; each returns FALSE to be asked again before the next packet is read. */
typedef gboolean (*VimgDaemonStreamFunc)(const VimgFrameHeader *header, VimgBuffer *payload,
                                         gpointer data);

struct _VimgDaemon {
    int fd;     /* never blocks */
    GPid child; /* that carries it; 0: none */
    guint32 next_serial;
    VimgReader reader;
    GPtrArray *calls; /* of VimgDaemonCall: sent and not finished */
    gboolean broken;  /* what came last was no answer */
    GError *lost;     /* why it is of no use any more */
    gboolean more;    /* of what came may lie in the reader */
    gboolean pinged;  /* and not answered yet */
    VimgDaemonEventFunc event;
    gpointer event_data;
    VimgDaemonStreamFunc stream; /* of the one stream there may be; NULL: none */
    gpointer stream_data;
    gint32 stream_procedure;
    guint32 stream_serial;
};

/* On @fd, which it takes, before anything was said; @child: who carries it, or 0. */
VimgDaemon *vimg_daemon_new(int fd, GPid child);
/* The opening: what may come before any call. */
gboolean vimg_daemon_greet(VimgDaemon *daemon, const char *name, gboolean read_only,
                           GError **error);

/* One packet, of @n pieces, which are used up.  What comes meanwhile is handled. */
gboolean vimg_daemon_send(VimgDaemon *daemon, struct iovec *iov, guint n, GError **error);
/* The payload of an error as GError. */
GError *vimg_daemon_error_decode(const VimgBuffer *payload);

#endif
