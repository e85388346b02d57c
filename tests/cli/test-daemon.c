/*
 * test-daemon.c: calls, and daemons that answer what they may not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "peer.h"
#include "util/thread.h"
#include "wire/remote.h"

static const VimgFrameHeader reply = {.program = VIMG_PROGRAM_REMOTE,
                                      .version = 1,
                                      .procedure = VIMG_REMOTE_CONNECT_GET_URI,
                                      .type = VIMG_FRAME_REPLY,
                                      .serial = 0,
                                      .status = VIMG_FRAME_OK};

/* A string of four bytes. */
static const guint8 text[] = {0, 0, 0, 4, 'a', 'b', 'c', 'd'};

static gboolean
ask(Peer *peer, char **answer, GError **error)
{
    vimg_remote_string ret = {0};
    gboolean good = vimg_daemon_call(peer->daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_CONNECT_GET_URI,
                                     NULL, NULL, (xdrproc_t)xdr_vimg_remote_string, &ret, error);

    if (answer)
        *answer = g_strdup(ret.value);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, (char *)&ret);
    return good;
}

static void
test_call(void)
{
    g_autofree char *answer = NULL;
    g_autoptr(GError) error = NULL;
    VimgFrameHeader heard;
    Peer peer;

    peer_init(&peer);
    peer_say(&peer, &reply, text, sizeof(text));
    g_assert_true(ask(&peer, &answer, &error));
    g_assert_cmpstr(answer, ==, "abcd");
    heard = peer_hear(&peer);
    g_assert_cmpint(heard.procedure, ==, VIMG_REMOTE_CONNECT_GET_URI);
    g_assert_cmpuint(heard.type, ==, VIMG_FRAME_CALL);
    g_assert_cmpuint(heard.serial, ==, 0);
    g_assert_true(peer_is_quiet(&peer));
    peer_clear(&peer);
}

static void
test_error(void)
{
    g_autoptr(GError) error = NULL;
    Peer peer;

    peer_init(&peer);
    peer_say_error(&peer, &reply, VIMG_ERROR_NO_POOL, "none of \x1b[31m that\nname");
    g_assert_false(ask(&peer, NULL, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIR_ERR_NO_STORAGE_POOL);
    g_assert_cmpstr(error->message, ==, "Storage pool not found: none of  [31m that name");
    peer_clear(&peer);
}

/* What cannot be decoded is of no use, but the next answer may be. */
static void
test_malformed_payload(void)
{
    static const guint8 longer[] = {0x7f, 0xff, 0xff, 0xff, 'a', 'b', 'c', 'd'};
    VimgFrameHeader next = reply;
    g_autoptr(GError) error = NULL;
    Peer peer;

    peer_init(&peer);
    for (; next.serial < 4; next.serial++) {
        next.status = next.serial % 2 ? VIMG_FRAME_ERROR : VIMG_FRAME_OK;
        peer_say(&peer, &next, longer, next.serial < 2 ? sizeof(longer) : 0);
        g_assert_false(ask(&peer, NULL, &error));
        g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN);
        g_clear_error(&error);
    }
    next.status = VIMG_FRAME_OK;
    peer_say(&peer, &next, text, sizeof(text));
    g_assert_true(ask(&peer, NULL, NULL));
    peer_clear(&peer);
}

/* ---- what ends the connection ----------------------------------------------------------- */

typedef struct {
    const char *path;
    VimgFrameHeader header;
} WrongCase;

#define WRONG(field, value)                                                                        \
    {                                                                                              \
        .program = VIMG_PROGRAM_REMOTE, .version = 1, .procedure = VIMG_REMOTE_CONNECT_GET_URI,    \
        .type = VIMG_FRAME_REPLY, .field = value                                                   \
    }

static const WrongCase wrong[] = {
    {"/daemon/wrong/serial", WRONG(serial, 1)},
    {"/daemon/wrong/status", WRONG(status, VIMG_FRAME_CONTINUE)},
    {"/daemon/wrong/call", {.program = VIMG_PROGRAM_REMOTE, .procedure = 1}},
    {"/daemon/wrong/stream",
     {.program = VIMG_PROGRAM_REMOTE, .procedure = 110, .type = VIMG_FRAME_STREAM}},
    {"/daemon/wrong/hole",
     {.program = VIMG_PROGRAM_REMOTE, .procedure = 110, .type = VIMG_FRAME_HOLE}},
    {"/daemon/wrong/descriptors",
     {.program = VIMG_PROGRAM_REMOTE, .procedure = 110, .type = VIMG_FRAME_REPLY_WITH_FDS}},
    {"/daemon/wrong/program",
     {.program = VIMG_PROGRAM_CONTROL, .procedure = 110, .type = VIMG_FRAME_REPLY}},
    {"/daemon/wrong/procedure",
     {.program = VIMG_PROGRAM_REMOTE, .procedure = 109, .type = VIMG_FRAME_REPLY}},
    {"/daemon/wrong/type", {.program = VIMG_PROGRAM_REMOTE, .procedure = 110, .type = 99}},
};

static void
expect_end(Peer *peer, VimgDaemonError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(ask(peer, NULL, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, code);
    g_clear_error(&error);
    /* and nothing that is said later is heard */
    g_assert_false(ask(peer, NULL, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, code);
    peer_clear(peer);
}

static void
test_wrong(gconstpointer data)
{
    const WrongCase *c = data;
    Peer peer;

    peer_init(&peer);
    peer_say(&peer, &c->header, text, sizeof(text));
    expect_end(&peer, VIMG_DAEMON_BROKEN);
}

static void
test_twice(void)
{
    Peer peer;

    peer_init(&peer);
    peer_say(&peer, &reply, text, sizeof(text));
    peer_say(&peer, &reply, text, sizeof(text));
    expect_end(&peer, VIMG_DAEMON_BROKEN);
    peer_init(&peer);
    peer_say(&peer, &reply, text, sizeof(text));
    g_assert_true(ask(&peer, NULL, NULL));
    peer_say(&peer, &reply, text, sizeof(text));
    expect_end(&peer, VIMG_DAEMON_BROKEN);
}

static void
test_length(void)
{
    static const guint32 lengths[] = {0, 4, 27, VIMG_FRAME_MAX + 1, G_MAXUINT32};

    for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
        guint8 head[VIMG_FRAME_MIN];
        guint32 word = GUINT32_TO_BE(lengths[i]);
        Peer peer;

        peer_init(&peer);
        vimg_frame_head_encode(&reply, 0, head);
        memcpy(head, &word, sizeof(word));
        peer_say_bytes(&peer, head, sizeof(head));
        expect_end(&peer, VIMG_DAEMON_BROKEN);
    }
}

/* At any byte of the answer. */
static void
test_hang_up(void)
{
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&reply, text, sizeof(text));

    for (gsize size = 0; size < frame->size; size++) {
        Peer peer;

        peer_init(&peer);
        peer_say_bytes(&peer, frame->data, size);
        g_assert_cmpint(shutdown(peer.fd, SHUT_WR), ==, 0);
        expect_end(&peer, VIMG_DAEMON_LOST);
    }
}

static void
test_gone(void)
{
    Peer peer;

    peer_init(&peer);
    peer_hang_up(&peer);
    expect_end(&peer, VIMG_DAEMON_LOST);
}

/* ---- what comes meanwhile --------------------------------------------------------------- */

static void
test_ping(void)
{
    static const VimgFrameHeader ping = {.program = VIMG_PROGRAM_KEEPALIVE,
                                         .version = 1,
                                         .procedure = VIMG_KEEPALIVE_PING,
                                         .type = VIMG_FRAME_MESSAGE};
    VimgFrameHeader heard;
    Peer peer;

    peer_init(&peer);
    peer_say(&peer, &ping, NULL, 0);
    g_assert_true(vimg_daemon_wait(peer.daemon, 1000, NULL));
    heard = peer_hear(&peer);
    g_assert_cmpuint(heard.program, ==, VIMG_PROGRAM_KEEPALIVE);
    g_assert_cmpint(heard.procedure, ==, VIMG_KEEPALIVE_PONG);
    g_assert_true(peer_is_quiet(&peer));
    peer_clear(&peer);
}

static void
on_event(const vimg_control_job_event *event, gpointer data)
{
    guint64 *sum = data;

    *sum += event->job.id;
}

static void
say_event(Peer *peer, guint64 id, gboolean good)
{
    static const VimgFrameHeader header = {.program = VIMG_PROGRAM_CONTROL,
                                           .version = 1,
                                           .procedure = VIMG_CONTROL_JOB_EVENT,
                                           .type = VIMG_FRAME_MESSAGE};
    vimg_control_job_event event = {
        .job = {.id = id, .pool = (char *)"p", .kind = (char *)"k", .phase = (char *)"f"}};
    g_autoptr(VimgBuffer) frame =
        vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_control_job_event, &event, NULL);

    if (!good)
        memset(frame->data + VIMG_FRAME_MIN + 8, 0xff, 4);
    peer_say_bytes(peer, frame->data, frame->size);
}

/* Those that cannot be decoded, and events of others, are passed over. */
static void
test_events(void)
{
    static const VimgFrameHeader other = {
        .program = VIMG_PROGRAM_REMOTE, .procedure = 370, .type = VIMG_FRAME_MESSAGE};
    guint64 sum = 0;
    Peer peer;

    peer_init(&peer);
    vimg_daemon_set_event(peer.daemon, on_event, &sum);
    say_event(&peer, 1, TRUE);
    say_event(&peer, 2, FALSE);
    peer_say(&peer, &other, text, sizeof(text));
    say_event(&peer, 4, TRUE);
    peer_say(&peer, &reply, text, sizeof(text));
    say_event(&peer, 8, TRUE);
    g_assert_true(ask(&peer, NULL, NULL));
    while (sum < 13)
        g_assert_true(vimg_daemon_wait(peer.daemon, 1000, NULL));
    g_assert_cmpuint(sum, ==, 13);
    peer_clear(&peer);
}

/* Two calls under way, answered in the other order. */
static void
test_halves(void)
{
    VimgFrameHeader next = reply;
    gint32 first;
    gint32 second;
    Peer peer;

    peer_init(&peer);
    first = vimg_daemon_start(peer.daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_CONNECT_GET_URI, NULL,
                              NULL, NULL);
    second = vimg_daemon_start(peer.daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_CONNECT_GET_URI, NULL,
                               NULL, NULL);
    g_assert_cmpint(first, !=, second);
    next.serial = (guint32)second;
    peer_say(&peer, &next, NULL, 0);
    g_assert_true(vimg_daemon_wait(peer.daemon, 1000, NULL));
    g_assert_true(vimg_daemon_answered(peer.daemon, second));
    g_assert_false(vimg_daemon_answered(peer.daemon, first));
    next.serial = (guint32)first;
    peer_say_error(&peer, &next, VIMG_ERROR_BUSY, "x");
    g_assert_false(vimg_daemon_finish(peer.daemon, first, NULL, NULL, NULL));
    g_assert_true(vimg_daemon_finish(peer.daemon, second, NULL, NULL, NULL));
    peer_clear(&peer);
}

/* ---- the opening ------------------------------------------------------------------------ */

typedef struct {
    const char *path;
    guint8 types[12];
    gsize size;
    gint code; /* 0: welcome */
} GreetCase;

static const GreetCase greetings[] = {
    {"/daemon/greet/none", {0, 0, 0, 1, 0, 0, 0, 0}, 8, 0},
    {"/daemon/greet/choice", {0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0}, 12, 0},
    {"/daemon/greet/polkit", {0, 0, 0, 1, 0, 0, 0, 2}, 8, VIR_ERR_AUTH_FAILED},
    {"/daemon/greet/nothing", {0, 0, 0, 0}, 4, VIR_ERR_AUTH_FAILED},
    {"/daemon/greet/many", {0, 1, 0, 0}, 4, VIMG_DAEMON_BROKEN},
};

typedef struct {
    const GreetCase *c;
    Peer peer;
} Greeting;

/* The other end, which answers one call after the other. */
static void
answer_greeting(gpointer data)
{
    Greeting *greeting = data;
    VimgFrameHeader header = peer_hear(&greeting->peer);

    g_assert_cmpint(header.procedure, ==, VIMG_REMOTE_AUTH_LIST);
    header.type = VIMG_FRAME_REPLY;
    peer_say(&greeting->peer, &header, greeting->c->types, greeting->c->size);
    if (greeting->c->code != 0)
        return;
    header = peer_hear(&greeting->peer);
    g_assert_cmpint(header.procedure, ==, VIMG_REMOTE_CONNECT_OPEN);
    header.type = VIMG_FRAME_REPLY;
    peer_say(&greeting->peer, &header, NULL, 0);
}

static void
test_greet(gconstpointer data)
{
    Greeting greeting = {.c = data};
    g_autoptr(GError) error = NULL;
    VimgThread thread;

    peer_init(&greeting.peer);
    g_assert_true(vimg_thread_start(&thread, "peer", answer_greeting, &greeting, NULL));
    g_assert_cmpint(vimg_daemon_greet(greeting.peer.daemon, "image:///system", FALSE, &error), ==,
                    greeting.c->code == 0);
    if (greeting.c->code != 0)
        g_assert_error(error, VIMG_DAEMON_ERROR, greeting.c->code);
    vimg_thread_join(thread);
    g_assert_true(peer_is_quiet(&greeting.peer));
    peer_clear(&greeting.peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/call", test_call);
    g_test_add_func("/daemon/error", test_error);
    g_test_add_func("/daemon/malformed-payload", test_malformed_payload);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_test_add_data_func(wrong[i].path, &wrong[i], test_wrong);
    g_test_add_func("/daemon/twice", test_twice);
    g_test_add_func("/daemon/length", test_length);
    g_test_add_func("/daemon/hang-up", test_hang_up);
    g_test_add_func("/daemon/gone", test_gone);
    g_test_add_func("/daemon/ping", test_ping);
    g_test_add_func("/daemon/events", test_events);
    g_test_add_func("/daemon/halves", test_halves);
    for (gsize i = 0; i < G_N_ELEMENTS(greetings); i++)
        g_test_add_data_func(greetings[i].path, &greetings[i], test_greet);
    return g_test_run();
}
