/*
 * cut-stream.h: connections to an SFTP server that are cut where a test says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_CUT_STREAM_H
#define TESTS_IMAGESTORE_CUT_STREAM_H

#include "sftp/stream.h"
#include "transport.h"

#define CUT_GREETING 2 /* requests that are made anyway: INIT and LIMITS */

typedef enum {
    CUT_NEVER,
    CUT_REQUEST, /* before the server gets request number @at */
    CUT_REPLY,   /* it got that, and all that was sent after it, but answers it no more */
    CUT_LATE,    /* not at all: late() is called before the server gets request number @at */
} CutKind;

/* The first connection; the others are left alone. */
typedef struct {
    CutKind kind;
    guint at;       /* from 1, the greeting; that of the reply to it is the same */
    guint32 most;   /* bytes that a READ asks the server for, whatever it says; 0: what it says */
    gboolean cut;   /* it happened; atomic */
    gboolean freed; /* the stream was; atomic */
    void (*late)(const char *dir);
    const char *dir; /* for late() */
} Cut;

/*
 * To a server at socket @fd, which it owns.  What it received is executed by the time that the
 * connection counts as lost.  Returns: (transfer full).
 */
VimgSftpStream *cut_stream_new(int fd, Cut *cut);

/* A server for a directory of this host. */
typedef struct {
    const char *dir;
    const char *const *args;            /* of sftp-server, up to NULL; NULL: none */
    Cut *cut;                           /* of the first connection; NULL: none */
    void (*meanwhile)(const char *dir); /* after that was lost */
    VimgErrorCode code;                 /* of failures to connect */
    guint failures;                     /* that many times */
    guint connections;                  /* tried; atomic */
    guint lost, back;                   /* told; atomic */
} CutServer;

/* For args: as if it had none of what we use. */
extern const char *const cut_no_extensions[];
/* @patience: in seconds */
VimgTransport *cut_transport_new(CutServer *server, guint connections, guint patience);

#endif
