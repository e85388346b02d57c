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

#define VIMG_DAEMON_TICK 250 /* milliseconds between two questions whether to go on */

/* A call that was sent. */
typedef struct {
    guint32 program;
    gint32 procedure;
    guint32 serial;
    gboolean answered;
    GError *error; /* if it failed */
    VimgBuffer *reply;
} VimgDaemonCall;

/* A packet of the stream; @payload: (transfer full).  FALSE: read no more for now. */
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
    gboolean (*tick)(gpointer data); /* of the stream, while a packet waits for room; or NULL */
    gpointer tick_data;
    VimgDaemonWaiting waiting; /* while a call is not answered; or NULL */
    gpointer waiting_data;
    gint64 give_up; /* when, if there is no room yet; 0: never */
};

/* On @fd, which it takes, before anything was said; @child: who carries it, or 0. */
VimgDaemon *vimg_daemon_new(int fd, GPid child);
/* The opening: what may come before any call. */
gboolean vimg_daemon_greet(VimgDaemon *daemon, const char *name, gboolean read_only,
                           GError **error);

/* @size bytes of a file. */
typedef struct {
    int fd;
    guint64 offset;
    gsize size;
} VimgDaemonFile;

/*
 * One packet, of @n pieces, which are used up, and of @file, which may be NULL.  What comes
 * meanwhile is handled.
 */
gboolean vimg_daemon_send(VimgDaemon *daemon, struct iovec *iov, guint n, VimgDaemonFile *file,
                          GError **error);
/* The payload of an error as GError. */
GError *vimg_daemon_error_decode(const VimgBuffer *payload);

#endif
