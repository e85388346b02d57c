/*
 * upstream-open.c: how a client's connection to the host's daemon comes to be
 *
 * A thread for each: it takes the client's identity, and would have to give it back otherwise.
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
    VimgThread thread;
    VimgHostOpened result;
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

static void
begin(VimgUpstream *upstream, int fd)
{
    VimgClient *client = upstream->client;
    VimgUpstreamCall *call;
    GList *link;

    g_clear_error(&client->host_error);
    vimg_upstream_opened(upstream, fd);
    while ((link = g_queue_pop_head_link(&upstream->waiting)))
        vimg_upstream_send(upstream, link->data);
    vimg_upstream_none_waits(upstream);
    while ((call = g_queue_pop_head(&upstream->waiting_calls))) {
        vimg_upstream_call_send(upstream, call);
        vimg_upstream_call_unref(call);
    }
    if (client->server->hooks.host_opened)
        client->server->hooks.host_opened(client);
    vimg_upstream_flush(client);
    vimg_connection_update(client);
}

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

/* Main loop. */
static void
end(gpointer data)
{
    g_autoptr(Attempt) attempt = data;
    VimgUpstream *upstream = attempt->upstream;

    vimg_thread_join(attempt->thread);
    attempt->server->n_attempts--;
    if (!upstream->client) {
        if (attempt->result == VIMG_HOST_OPENED)
            close(attempt->fd);
    } else if (attempt->result == VIMG_HOST_OPENED) {
        begin(upstream, attempt->fd);
    } else {
        if (attempt->error)
            note_failed(upstream->client, attempt->error);
        vimg_upstream_lost(upstream, attempt->result == VIMG_HOST_FAILED ? attempt->error : NULL);
    }
}

static void
attempt_main(gpointer data)
{
    Attempt *attempt = data;
    const VimgHostFuncs *host = attempt->server->host;

    attempt->result = host->open(host->data, &attempt->peer, attempt->read_only,
                                 attempt->server->ending, &attempt->fd, &attempt->error);
    vimg_inbox_post(attempt->server->inbox, end, attempt);
}

/* Main loop, by way of the inbox: who asked is not to be answered while it is asking. */
static void
fail(gpointer data)
{
    g_autoptr(Attempt) attempt = data;

    attempt->server->n_attempts--;
    vimg_upstream_lost(attempt->upstream, attempt->error);
}

void
vimg_upstream_open(VimgUpstream *upstream)
{
    VimgClient *client = upstream->client;
    Attempt *attempt = g_new0(Attempt, 1);

    attempt->server = client->server;
    attempt->upstream = vimg_upstream_ref(upstream);
    attempt->read_only = vimg_client_is_read_only(client);
    attempt->fd = -1;
    client->server->n_attempts++;
    if (client->host_error && g_get_monotonic_time() < client->host_rest) {
        attempt->error = g_error_copy(client->host_error);
        vimg_inbox_post(client->server->inbox, fail, attempt);
        return;
    }
    vimg_peer_copy(&client->caller, &attempt->peer);
    if (!vimg_thread_start(&attempt->thread, "vimg-upstream", attempt_main, attempt,
                           &attempt->error))
        vimg_inbox_post(client->server->inbox, fail, attempt);
}

void
vimg_upstream_end_attempts(VimgServer *server)
{
    static const guint64 one = 1;

    if (server->ending >= 0)
        (void)!write(server->ending, &one, sizeof(one));
    while (server->n_attempts)
        vimg_inbox_run(server->inbox, TRUE);
}
