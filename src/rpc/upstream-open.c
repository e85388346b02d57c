/*
 * upstream-open.c: how a client's connection to the host's daemon comes to be
 *
 * The main loop connects, and opens what it connected to.  Who must be somebody else for that, or
 * wait, gets a thread that does no more than connect: it takes the client's identity, and would
 * have to give it back otherwise.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define REST (G_USEC_PER_SEC / 4) /* of one client between attempts that fail */

typedef struct {
    VimgServer *server;
    VimgUpstream *upstream; /* a reference */
    VimgPeer peer;
    gboolean read_only;
    gboolean threaded;
    gboolean repeated; /* it was not made: the error is of the one before */
    VimgThread thread; /* of one that may wait */
    VimgHostReach result;
    int fd;
    GError *error;
} Attempt;

static void
attempt_free(Attempt *attempt)
{
    vimg_upstream_unref(attempt->upstream);
    vimg_peer_clear(&attempt->peer);
    g_clear_error(&attempt->error);
    g_free(attempt);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attempt, attempt_free)

/* Whoever is refused may ask a thousand times a second: the log has it once. */
static void
note_failed(VimgClient *client, const GError *error)
{
    if (!client->host_error || !g_str_equal(client->host_error->message, error->message))
        vimg_warning("%s", error->message);
    g_clear_error(&client->host_error);
    client->host_error = g_error_copy(error);
    /* one that was not there may be there now, and to find out is cheap */
    if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_FAILED))
        client->host_rest = g_get_monotonic_time() + REST;
}

void
vimg_upstream_fail(VimgUpstream *upstream, const GError *error)
{
    g_autoptr(GError) kept = g_error_copy(error);

    note_failed(upstream->client, kept);
    vimg_upstream_lost(upstream, kept);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Returns: FALSE with hello_error set. */
static gboolean
say_next(VimgUpstream *upstream)
{
    VimgBuffer *frame = vimg_hello_next(&upstream->hello, &upstream->hello_error);

    if (frame)
        vimg_upstream_push(upstream, vimg_packet_new(frame));
    vimg_upstream_spin(vimg_client_number(upstream->client));
    return frame != NULL;
}

/* @fd: (transfer full) */
static void
greet(VimgUpstream *upstream, int fd)
{
    VimgClient *client = upstream->client;
    const VimgServer *server = client->server;
    gboolean read_only = vimg_client_is_read_only(client);

    vimg_upstream_connected(upstream, fd);
    upstream->hello_until = g_get_monotonic_time() + server->host->patience();
    vimg_hello_init(&upstream->hello, server->host->name, read_only, &client->caller,
                    server->hello_auth[read_only]);
    /* whoever asked is not to be told anything while asking: what fails is seen when it is read */
    if (!say_next(upstream) || vimg_outbox_flush(&upstream->outbox, fd) != VIMG_OUTBOX_EMPTY)
        upstream->watch.woken = TRUE;
}

gboolean
vimg_upstream_take_hello(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgHello *hello = &upstream->hello;
    VimgHelloAuth *known = &upstream->client->server->hello_auth[hello->read_only];
    g_autoptr(VimgBuffer) owned = payload;
    gboolean ok;

    if (!vimg_hello_is_answer(hello, header))
        return TRUE;
    ok = vimg_hello_take(hello, header, owned, &upstream->hello_error);
    *known = MAX(*known, hello->auth); /* another one may know more by now */
    return ok && hello->step != VIMG_HELLO_DONE && say_next(upstream);
}

static void
begin(VimgUpstream *upstream)
{
    VimgClient *client = upstream->client;
    const VimgHostFuncs *host = client->server->host;
    GList *link;

    if (host->opened)
        host->opened(host->data);
    g_clear_error(&client->host_error);
    upstream->open = TRUE;
    while ((link = g_queue_pop_head_link(&upstream->waiting)))
        vimg_upstream_send(upstream, link->data);
    vimg_upstream_none_waits(upstream);
    vimg_upstream_calls_send(upstream);
    if (client->server->hooks.host_opened)
        client->server->hooks.host_opened(client);
    vimg_connection_update(client);
}

void
vimg_upstream_end_hello(VimgUpstream *upstream)
{
    if (upstream->hello_error)
        vimg_upstream_fail(upstream, upstream->hello_error);
    else if (upstream->hello.step == VIMG_HELLO_DONE)
        begin(upstream);
}

/* ---- connecting --------------------------------------------------------------------------- */

/* Main loop. */
static void
end(gpointer data)
{
    g_autoptr(Attempt) attempt = data;
    VimgUpstream *upstream = attempt->upstream;

    attempt->server->n_attempts--;
    if (!upstream->client) {
        if (attempt->result == VIMG_HOST_REACHED)
            close(attempt->fd);
    } else if (attempt->result == VIMG_HOST_REACHED) {
        greet(upstream, attempt->fd);
    } else if (attempt->result == VIMG_HOST_FAILED && !attempt->repeated) {
        vimg_upstream_fail(upstream, attempt->error);
    } else {
        vimg_upstream_lost(upstream, attempt->error);
    }
    /* last, because it takes its time to end */
    if (attempt->threaded)
        vimg_thread_join(attempt->thread);
}

static void
attempt_main(gpointer data)
{
    Attempt *attempt = data;
    const VimgHostFuncs *host = attempt->server->host;

    attempt->result = host->reach(host->data, &attempt->peer, attempt->read_only, TRUE,
                                  &attempt->fd, &attempt->error);
    vimg_inbox_post(attempt->server->inbox, end, attempt);
}

/* @error: (transfer full) */
static void
post_result(Attempt *attempt, VimgHostReach result, GError *error)
{
    attempt->result = result;
    attempt->error = error;
    vimg_inbox_post(attempt->server->inbox, end, attempt);
}

static void
start_thread(Attempt *attempt, const VimgClient *client)
{
    GError *error = NULL;

    vimg_peer_copy(&client->caller, &attempt->peer);
    attempt->threaded =
        vimg_thread_start(&attempt->thread, "vimg-upstream", attempt_main, attempt, &error);
    if (!attempt->threaded)
        post_result(attempt, VIMG_HOST_FAILED, error);
}

static Attempt *
attempt_new(VimgUpstream *upstream)
{
    Attempt *attempt = g_new0(Attempt, 1);

    attempt->server = upstream->client->server;
    attempt->upstream = vimg_upstream_ref(upstream);
    attempt->read_only = vimg_client_is_read_only(upstream->client);
    attempt->fd = -1;
    attempt->server->n_attempts++;
    return attempt;
}

/* What is only said again does not lengthen the rest. */
static void
repeat_failure(VimgUpstream *upstream)
{
    Attempt *attempt = attempt_new(upstream);

    attempt->repeated = TRUE;
    post_result(attempt, VIMG_HOST_FAILED, g_error_copy(upstream->client->host_error));
}

/* Answers come by way of the inbox: who asked is not to be answered while it is asking. */
void
vimg_upstream_open(VimgUpstream *upstream)
{
    VimgClient *client = upstream->client;
    const VimgHostFuncs *host = client->server->host;
    GError *error = NULL;
    VimgHostReach result;
    int fd = -1;

    if (client->host_error && g_get_monotonic_time() < client->host_rest) {
        repeat_failure(upstream);
        return;
    }
    result = host->reach(host->data, &client->caller, vimg_client_is_read_only(client), FALSE, &fd,
                         &error);
    if (result == VIMG_HOST_REACHED)
        greet(upstream, fd);
    else if (result == VIMG_HOST_LATER)
        start_thread(attempt_new(upstream), client);
    else
        post_result(attempt_new(upstream), result, error);
}

void
vimg_upstream_end_attempts(VimgServer *server)
{
    while (server->n_attempts)
        vimg_inbox_run(server->inbox, TRUE);
}
