/*
 * harness.h: a server with a small program of its own, and clients that speak bytes
 *
 * The server runs in a thread; transfers are invented here, in place of the model's.  Everything
 * waits for events with a deadline, nothing sleeps.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_RPC_HARNESS_H
#define VIMG_TESTS_RPC_HARNESS_H

#include "rpc/server.h"
#include "util/thread.h"
#include "wire/frame.h"

#define DEADLINE (30 * G_USEC_PER_SEC)
#define MAX_IDS 16
#define NO_SPACE "cannot write to stream: No space left on device" /* of "fail" transfers */

enum {
    P_OPEN = 1, /* opens */
    P_CLOSE,
    P_AUTH,
    P_FEATURE,     /* asks for keepalive; before open */
    P_ECHO,        /* text -> text; from memory */
    P_SLOW,        /* pool -> pool; waits for a ticket */
    P_WRITE,       /* refused when read-only */
    P_BIG,         /* -> 1 MiB of text */
    P_FAIL,        /* NO_POOL */
    P_LIE,         /* fails without an error */
    P_EVENT,       /* sends event 99 with the text before it answers */
    P_UPLOAD,      /* spec, see transfer.c */
    P_DOWNLOAD,    /* spec */
    P_SLOW_UPLOAD, /* spec; waits for a ticket before it answers */
    P_SLOW_DOWNLOAD,
    P_SLOW_CLOSE, /* text; waits for a ticket, then closes, or fails with "fail" */
    N_PROCS,
};

/* What became of an upload or download with "id=N" in its spec. */
typedef struct {
    guint64 bytes; /* written, or handed out */
    guint64 holes;
    guint32 check; /* of the data, in order */
    guint calls;
    guint idle;
    gboolean finished;
    gboolean freed;
} Outcome;

typedef struct {
    VimgMutex lock; /* all below */
    VimgCond changed;
    guint slow_begun;
    guint slow_tickets;
    guint echoes;
    gboolean transfers_open; /* those with "block" go on */
    guint transfers;         /* alive */
    guint clients;           /* client data alive */
    guint disconnects;
    Outcome outcomes[MAX_IDS];
} World;

extern World world;

void world_reset(void);
/* Until *@counter, in the world, is @value. */
void world_wait(const guint *counter, guint value);
void world_wait_least(const guint *counter, guint value);
void world_wait_true(const gboolean *flag);
guint world_get(const guint *counter);
Outcome world_outcome(guint id);
void world_slow_tickets(guint n);
void world_open_transfers(void);

guint32 check_add(guint32 check, const guint8 *data, gsize size);
/* Byte @offset of the content every download has. */
guint8 content_at(guint64 offset);

/* transfer.c */
gboolean handle_upload(VimgCall *call, GError **error);
gboolean handle_download(VimgCall *call, GError **error);

typedef struct {
    VimgDaemonConfig config; /* change it before harness_start() */
    char *dir, *path, *ro_path;
    VimgThread thread;
    VimgServer *server;
    guint idle_seconds;
    gboolean idled; /* in the world's lock */
    VimgMutex lock;
    VimgCond changed;
    gboolean ready;
    gboolean quit; /* server's thread */
    GError *error;
} Harness;

void harness_set_up(Harness *h, gconstpointer data);
void harness_tear_down(Harness *h, gconstpointer data);
#define ADD(path, data, func)                                                                      \
    g_test_add(path, Harness, data, harness_set_up, func, harness_tear_down)
void harness_start(Harness *h);
/* The same; returns: a client that opened. */
int harness_open(Harness *h);
/* The same, for which a stream of serial 5 has begun. */
int harness_begin(Harness *h, gint32 procedure, const char *spec);
/* Ends the server; every transfer and client must be gone then. */
void harness_stop(Harness *h);

/* ---- clients ---------------------------------------------------------------------------- */

typedef struct {
    VimgFrameHeader header;
    guint8 *payload;
    gsize size;
} Packet;

void packet_clear(Packet *packet);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Packet, packet_clear)

int client_connect(const char *path);
/* AUTH and OPEN too; serials 0 and 1. */
int client_open(Harness *h);
/* Feature 10 as well. */
int client_open_keepalive(Harness *h);
void client_write(int fd, const void *data, gsize size);
void client_send(int fd, guint32 type, gint32 procedure, guint32 serial, guint32 status,
                 const void *payload, gsize size);
void client_call(int fd, gint32 procedure, guint32 serial, const char *text);
void client_data(int fd, gint32 procedure, guint32 serial, const void *data, gsize size);
void client_hole(int fd, gint32 procedure, guint32 serial, guint64 length);
void client_finish(int fd, gint32 procedure, guint32 serial);
void client_abort(int fd, gint32 procedure, guint32 serial);
void client_ping(int fd);
GByteArray *encode_call(gint32 procedure, guint32 serial, const char *text);

/* FALSE at the end of the connection. */
gboolean client_receive(int fd, Packet *packet);
gboolean client_has_input(int fd);
void expect_eof(int fd);
/* @text NULL: not looked at. */
void expect_reply(int fd, gint32 procedure, guint32 serial, const char *text);
void expect_stream(int fd, gint32 procedure, guint32 serial, guint32 status);
void expect_error(int fd, guint32 type, gint32 procedure, guint32 serial, int code, int domain,
                  const char *text);
void expect_pong(int fd);
/* The connection still works. */
void expect_alive(int fd, guint32 serial);
/* Whatever comes for serial 5 now is dropped: the next answer is that of another call. */
void expect_dropped(int fd, gint32 procedure);
/* @content is what a download of @spec gives: its holes left out if sparse, else zeros. */
void check_content(const char *spec, const GByteArray *content);

#endif
