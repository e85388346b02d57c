/*
 * test-sftp-hostile.c: SFTP sessions with a server that follows a script
 *
 * Whatever the server does, each request is done exactly once, and a session whose server speaks
 * nonsense is lost with a reason.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "sftp-helper.h"
#include "sftp-peer.h"
#include "thread.h"

#define N_CALLS 8
#define QUICK 200 /* milliseconds of patience where the server does nothing */
#define SOON 1000 /* the same where it has to greet before, on however busy a host */
#define PATIENT 60000
#define NONSENSE "cannot be understood"

/* ---- the server's side --------------------------------------------------------------------- */

typedef SftpScript Script;

struct _SftpScript {
    const char *path;
    void (*greet)(SftpPeer *peer); /* NULL: it says @greeting */
    /* after all N_CALLS have come; @ids of LSTAT, READ, LSTAT, READ… */
    void (*answer)(SftpPeer *peer, const guint32 *ids);
    const char *reason; /* why the session is lost; NULL: it is not */
    guint patience;
    VimgSftpType first; /* instead of the first LSTAT, one of what a server may be slow at */
    guint slow;         /* patience with that; 0: the same */
    const char *greeting;
    const char *reply; /* in the place of answer(): one packet alone */
    guint of;          /* to which of the requests */
    guint32 off;       /* how far its id is from that of the request */
};

static gboolean
hear_packet(SftpPeer *peer, guint32 *id)
{
    VimgSftpType type;

    return sftp_peer_hear_request(peer, &type, id);
}

static void
greet_by(SftpPeer *peer)
{
    if (peer->script->greet)
        peer->script->greet(peer);
    else
        sftp_peer_say_packet(peer, peer->script->greeting, 0);
}

static void *
peer_main(void *data)
{
    SftpPeer *peer = data;
    const Script *script = peer->script;
    guint32 ids[N_CALLS];
    guint32 version;
    guint8 rest;
    gsize n = 0;

    if (hear_packet(peer, &version))
        greet_by(peer);
    while (n < N_CALLS && hear_packet(peer, &ids[n]))
        n++;
    if (n == N_CALLS && script->answer)
        script->answer(peer, ids);
    else if (n == N_CALLS && script->reply)
        sftp_peer_say_packet(peer, script->reply, ids[script->of] + script->off);
    while (sftp_peer_hear(peer, &rest, 1))
        ;
    close(peer->fd);
    return NULL;
}

/* ---- what it does -------------------------------------------------------------------------- */

static void
greet(SftpPeer *peer)
{
    sftp_peer_say_packet(peer, "02 00000003", 0);
}

static void
answer_one(SftpPeer *peer, const guint32 *ids, gsize i)
{
    if (i % 2 == 0)
        sftp_peer_say_packet(peer, "69 * 00000005 0000000000000007 000081a4", ids[i]);
    else
        sftp_peer_say_packet(peer, "67 * 00000003 616263", ids[i]);
}

static void
answer_all(SftpPeer *peer, const guint32 *ids)
{
    gsize i;

    for (i = 0; i < N_CALLS; i++)
        answer_one(peer, ids, i);
}

static void
answer_backwards(SftpPeer *peer, const guint32 *ids)
{
    gsize i;

    for (i = N_CALLS; i-- > 0;)
        answer_one(peer, ids, i);
}

static void
answer_twice(SftpPeer *peer, const guint32 *ids)
{
    answer_one(peer, ids, 0);
    answer_one(peer, ids, 0);
}

static void
answer_huge(SftpPeer *peer, const guint32 *ids)
{
    static const guint8 length[] = {0, 4, 0, 1};

    (void)ids;
    sftp_peer_say(peer, length, sizeof(length));
}

static void
answer_half(SftpPeer *peer, const guint32 *ids)
{
    static const guint8 half[] = {0, 0, 0, 50, 105};

    answer_one(peer, ids, 0);
    sftp_peer_say(peer, half, sizeof(half));
}

/* Longer than a server may take for anything else. */
static void
answer_late(SftpPeer *peer, const guint32 *ids)
{
    gsize i;

    g_usleep(SOON / 2 * 3 * 1000);
    sftp_peer_say_packet(peer, "65 * 00000000 00000000 00000000", ids[0]);
    for (i = 1; i < N_CALLS; i++)
        answer_one(peer, ids, i);
}

/* A byte now and then, of a packet that never ends. */
static void
answer_drops(SftpPeer *peer, const guint32 *ids)
{
    static const guint8 length[] = {0, 1, 0, 0};

    (void)ids;
    sftp_peer_say(peer, length, sizeof(length));
    while (send(peer->fd, "", 1, MSG_NOSIGNAL) == 1)
        g_usleep(QUICK / 10 * 1000);
}

static void
hang_up(SftpPeer *peer, const guint32 *ids)
{
    answer_one(peer, ids, 0);
    shutdown(peer->fd, SHUT_RDWR);
}

static void
greet_not(SftpPeer *peer)
{
    (void)peer;
}

static void
greet_and_hang_up(SftpPeer *peer)
{
    shutdown(peer->fd, SHUT_RDWR);
}

/* What a login script prints. */
static void
greet_text(SftpPeer *peer)
{
    sftp_peer_say(peer, "Welcome to Debian\n", 18);
}

/* Offers limits@openssh.com and then never tells them. */
static void
greet_limits(SftpPeer *peer)
{
    sftp_peer_say_packet(
        peer, "02 00000003 00000012 6c696d697473406f70656e7373682e636f6d 00000001 31", 0);
}

/* Each half of it comes within its patience, the whole does not. */
static void
greet_slowly(SftpPeer *peer)
{
    guint32 id;

    g_usleep(QUICK / 4 * 3 * 1000);
    greet_limits(peer);
    if (!hear_packet(peer, &id))
        return;
    g_usleep(QUICK / 4 * 3 * 1000);
    sftp_peer_say_packet(peer, "65 * 00000004", id);
}

/* The largest packet, a little at a time. */
static void
greet_drops(SftpPeer *peer)
{
    const guint32 size = VIMG_SFTP_PACKET_MAX;
    const guint32 length = GUINT32_TO_BE(size);
    const guint32 name = GUINT32_TO_BE(size - 5 - 8);
    g_autofree guint8 *packet = g_malloc0(4 + (gsize)size);
    gsize at;

    memcpy(packet, &length, 4);
    packet[4] = 2;
    packet[8] = 3;
    memcpy(packet + 9, &name, 4);
    for (at = 0; at < 4 + size && peer->allowed > 0; at += 8192) {
        sftp_peer_say(peer, packet + at, MIN(8192, 4 + size - at));
        g_usleep(QUICK / 10 * 1000);
    }
}

/* ---- the tests ----------------------------------------------------------------------------- */

static const Script good = {"all", greet, answer_all, NULL, PATIENT};

static const Script scripts[] = {
    {"backwards", greet, answer_backwards, NULL, PATIENT},
    {"twice", greet, answer_twice, "not made", PATIENT},
    {"other", greet, NULL, "not made", PATIENT, .reply = "65 * 00000004 00000000 00000000",
     .of = N_CALLS - 1, .off = 1},
    /* an answer to a READ in the place of one to an LSTAT */
    {"wrong-type", greet, NULL, NONSENSE, PATIENT, .reply = "67 * 00000003 616263"},
    {"fine", greet, NULL, NONSENSE, PATIENT, .reply = "65 * 00000000 00000000 00000000"},
    {"truncated", greet, NULL, NONSENSE, PATIENT, .reply = "69 * 00000005 0000000000000007 0000"},
    {"too-much", greet, NULL, NONSENSE, PATIENT, .reply = "67 * 00000005 6162636465", .of = 1},
    {"huge", greet, answer_huge, "262145 bytes", PATIENT},
    {"short", greet, NULL, "4 bytes", PATIENT, .reply = "65 000000"},
    {"half", greet, answer_half, "did not answer", SOON},
    {"drops", greet, answer_drops, "did not answer", SOON},
    {"silent", greet, NULL, "did not answer", SOON},
    {"slow-close", greet, answer_late, NULL, SOON, VIMG_SFTP_CLOSE, PATIENT},
    {"slow-rename", greet, answer_late, NULL, SOON, VIMG_SFTP_RENAME, PATIENT},
    {"slow-posix-rename", greet, answer_late, NULL, SOON, VIMG_SFTP_POSIX_RENAME, PATIENT},
    {"slow-fsync", greet, answer_late, NULL, SOON, VIMG_SFTP_FSYNC, PATIENT},
    {"slow-mkdir", greet, NULL, "within 1 seconds", SOON, VIMG_SFTP_MKDIR, PATIENT},
    {"never-fsync", greet, NULL, "within 2 seconds", SOON, VIMG_SFTP_FSYNC, 2 * SOON},
    {"hang-up", greet, hang_up, "ended", PATIENT},
};

static const Script greetings[] = {
    {"silent", greet_not, NULL, "did not answer", QUICK},
    {"hang-up", greet_and_hang_up, NULL, "ended", PATIENT},
    {"old", NULL, NULL, "version 2", PATIENT, .greeting = "02 00000002"},
    {"truncated", NULL, NULL, "does not speak", PATIENT, .greeting = "02 00000003 00000004 616263"},
    {"status", NULL, NULL, "does not speak", PATIENT, .greeting = "65 00000000 00000004"},
    {"text", greet_text, NULL, "1466264675 bytes", PATIENT},
    {"limits", greet_limits, NULL, "did not answer", QUICK},
    {"slowly", greet_slowly, NULL, "did not answer", QUICK},
    {"drops", greet_drops, NULL, "did not answer", QUICK},
};

/* Begins a session with a peer that does as @script says; NULL if it came to nothing. */
static VimgSftpSession *
meet(SftpPeer *peer, pthread_t *thread, GError **error)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    peer->fd = fds[1];
    g_assert_cmpint(thread_start(thread, peer_main, peer), ==, 0);
    return vimg_sftp_session_new_patient(
        vimg_sftp_stream_new_fd(fds[0]), peer->script->patience,
        peer->script->slow > 0 ? peer->script->slow : peer->script->patience, error);
}

static void
submit_all(VimgSftpSession *session, const Script *script, HelperCall *calls)
{
    gsize i;

    for (i = 0; i < N_CALLS; i++) {
        calls[i].request.type = i % 2 ? VIMG_SFTP_READ : VIMG_SFTP_LSTAT;
        if (i == 0 && script->first)
            calls[i].request.type = script->first;
        calls[i].request.path = "/";
        calls[i].request.to = "/";
        calls[i].request.handle = (const guint8 *)"h";
        calls[i].request.handle_size = 1;
        calls[i].request.size = 3;
        helper_submit(session, &calls[i]);
    }
}

/* Returns: how many were answered. */
static guint
check_all(HelperCall *calls)
{
    guint answered = 0;
    gsize i;

    for (i = 0; i < N_CALLS; i++) {
        guint32 status = helper_wait(&calls[i]);

        if (status == VIMG_SFTP_OK && calls[i].request.type == VIMG_SFTP_LSTAT)
            g_assert_cmpuint(calls[i].attrs.size, ==, 7);
        if (status == VIMG_SFTP_OK && i % 2 == 1)
            g_assert_cmpmem(g_bytes_get_data(calls[i].data, NULL), g_bytes_get_size(calls[i].data),
                            "abc", 3);
        answered += status == VIMG_SFTP_OK;
    }
    return answered;
}

/* After the end of the session: nothing was done a second time. */
static void
check_once(HelperCall *calls)
{
    gsize i;

    for (i = 0; i < N_CALLS; i++) {
        g_assert_cmpuint(calls[i].times, ==, 1);
        helper_call_clear(&calls[i]);
    }
}

static void
test_script(gconstpointer data)
{
    const Script *script = data;
    SftpPeer peer = {.script = script, .allowed = G_MAXSIZE};
    HelperCall calls[N_CALLS] = {0};
    HelperCall late = {.request = {.type = VIMG_SFTP_LSTAT, .path = "/"}};
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    VimgSftpSession *session;
    pthread_t thread;
    guint answered;

    session = meet(&peer, &thread, &error);
    g_assert_no_error(error);
    submit_all(session, peer.script, calls);
    answered = check_all(calls);
    g_assert_cmpint(answered == N_CALLS, ==, script->reason == NULL);
    g_assert_cmpint(vimg_sftp_session_is_lost(session, &reason), ==, script->reason != NULL);
    if (script->reason) {
        g_assert_nonnull(strstr(reason, script->reason));
        g_assert_cmpuint(helper_run(session, &late), ==, HELPER_LOST);
        g_assert_cmpuint(late.times, ==, 1);
    }
    g_assert_cmpuint(vimg_sftp_session_load(session), ==, 0);
    vimg_sftp_session_free(session);
    pthread_join(thread, NULL);
    check_once(calls);
}

static void
test_greeting(gconstpointer data)
{
    const Script *script = data;
    SftpPeer peer = {.script = script, .allowed = G_MAXSIZE};
    g_autoptr(GError) error = NULL;
    pthread_t thread;

    g_assert_null(meet(&peer, &thread, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_nonnull(strstr(error->message, script->reason));
    pthread_join(thread, NULL);
}

/* Nobody is there, and the signal that a pipe sends then is not for the daemon. */
static void
test_nobody(void)
{
    g_autoptr(GError) error = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    close(fds[1]);
    g_assert_null(vimg_sftp_session_new(vimg_sftp_stream_new_fd(fds[0]), &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

/* The server is gone after @allowed bytes of a good conversation.  Returns: answers. */
static guint
die_after(gsize allowed)
{
    SftpPeer peer = {.script = &good, .allowed = allowed};
    HelperCall calls[N_CALLS] = {0};
    g_autoptr(GError) error = NULL;
    VimgSftpSession *session;
    pthread_t thread;
    guint answered = 0;

    session = meet(&peer, &thread, &error);
    if (session) {
        submit_all(session, peer.script, calls);
        answered = check_all(calls);
        vimg_sftp_session_free(session);
        check_once(calls);
    } else {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    }
    pthread_join(thread, NULL);
    return answered;
}

static void
test_death(void)
{
    const gsize version = 9;
    const gsize attrs = 4 + 21;
    const gsize data = 4 + 12;
    guint answered = 0;
    gsize allowed;

    for (allowed = 0; answered < N_CALLS; allowed++) {
        gsize said = allowed < version ? 0 : allowed - version;
        gsize whole = said / (attrs + data) * 2 + (said % (attrs + data) >= attrs);

        answered = die_after(allowed);
        g_assert_cmpuint(answered, ==, whole);
    }
    g_assert_cmpuint(allowed, ==, version + N_CALLS / 2 * (attrs + data) + 1);
}

static void
test_bytes(void)
{
    SftpPeer peer = {.script = &good, .allowed = G_MAXSIZE, .piece = 1};
    HelperCall calls[N_CALLS] = {0};
    g_autoptr(GError) error = NULL;
    VimgSftpSession *session;
    pthread_t thread;

    session = meet(&peer, &thread, &error);
    g_assert_no_error(error);
    submit_all(session, peer.script, calls);
    g_assert_cmpuint(check_all(calls), ==, N_CALLS);
    vimg_sftp_session_free(session);
    pthread_join(thread, NULL);
    check_once(calls);
}

/* What is under way when a session is freed is done, too. */
static void
test_free(void)
{
    static const Script silent = {"", greet, NULL, NULL, PATIENT};
    SftpPeer peer = {.script = &silent, .allowed = G_MAXSIZE};
    HelperCall calls[N_CALLS] = {0};
    g_autoptr(GError) error = NULL;
    VimgSftpSession *session;
    pthread_t thread;

    session = meet(&peer, &thread, &error);
    g_assert_no_error(error);
    submit_all(session, peer.script, calls);
    g_assert_cmpuint(vimg_sftp_session_load(session), >, 0);
    vimg_sftp_session_free(session);
    pthread_join(thread, NULL);
    g_assert_cmpuint(check_all(calls), ==, 0);
    check_once(calls);
}

/* ---- those that submit from done() --------------------------------------------------------- */

typedef struct {
    VimgSftpSession *session;
    VimgSftpRequest request;
    guint left;
    guint lost;
} Chain;

static void
chain_done(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    Chain *chain = request->owner;

    chain->lost += reply == NULL;
    if (chain->left-- > 1)
        vimg_sftp_session_submit(chain->session, request);
}

/* A request that is made anew whenever it is done ends though the session is lost in between. */
static void
test_chain(void)
{
    SftpPeer peer = {.script = &good, .allowed = G_MAXSIZE};
    Chain chain = {.left = N_CALLS + 5};
    g_autoptr(GError) error = NULL;
    pthread_t thread;

    chain.session = meet(&peer, &thread, &error);
    g_assert_no_error(error);
    chain.request = (VimgSftpRequest){
        .type = VIMG_SFTP_LSTAT, .path = "/", .done = chain_done, .owner = &chain};
    vimg_sftp_session_submit(chain.session, &chain.request);
    vimg_sftp_session_free(chain.session);
    pthread_join(thread, NULL);
    g_assert_cmpuint(chain.left, ==, 0);
    g_assert_cmpuint(chain.lost, ==, N_CALLS + 5);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autofree char *path = g_strdup_printf("/sftp-hostile/reply/%s", scripts[i].path);

        g_test_add_data_func(path, &scripts[i], test_script);
    }
    for (i = 0; i < G_N_ELEMENTS(greetings); i++) {
        g_autofree char *path = g_strdup_printf("/sftp-hostile/greeting/%s", greetings[i].path);

        g_test_add_data_func(path, &greetings[i], test_greeting);
    }
    g_test_add_func("/sftp-hostile/nobody", test_nobody);
    g_test_add_func("/sftp-hostile/death", test_death);
    g_test_add_func("/sftp-hostile/bytes", test_bytes);
    g_test_add_func("/sftp-hostile/free", test_free);
    g_test_add_func("/sftp-hostile/chain", test_chain);
    return g_test_run();
}
