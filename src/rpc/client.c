/*
 * client.c: one connection, as handlers see it
 *
 * What handlers may ask or set is under the client's lock; the rest belongs to the main loop.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "util/log.h"

static guint64 last_number; /* by __atomic builtins */

VimgClient *
vimg_client_new(VimgServer *server, int fd, uid_t uid, gboolean read_only)
{
    VimgClient *client = g_new0(VimgClient, 1);

    client->refs = 1;
    client->server = server;
    client->uid = uid;
    client->number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
    client->read_only = read_only;
    client->free_data = server->hooks.free_data;
    client->last = -1;
    client->watch.fd = fd;
    /* there is none in tests; who cannot be known has no groups */
    if (fd < 0 || !vimg_peer_read(fd, &client->caller, NULL))
        client->caller = (VimgCaller){.uid = uid, .gid = (gid_t)-1};
    client->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                            (GDestroyNotify)vimg_stream_unref);
    client->stubs = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_queue_init(&client->stub_order);
    g_queue_init(&client->submitted);
    vimg_mutex_init(&client->lock);
    vimg_outbox_init(&client->outbox);
    return client;
}

VimgClient *
vimg_client_ref(VimgClient *client)
{
    __atomic_add_fetch(&client->refs, 1, __ATOMIC_RELAXED);
    return client;
}

void
vimg_client_unref(VimgClient *client)
{
    if (!client || __atomic_sub_fetch(&client->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (client->data && client->free_data)
        client->free_data(client->data);
    g_hash_table_unref(client->streams);
    g_hash_table_unref(client->stubs);
    g_queue_clear(&client->stub_order);
    vimg_mutex_clear(&client->lock);
    vimg_peer_clear(&client->caller);
    g_clear_error(&client->host_error);
    if (client->last >= 0)
        close(client->last);
    g_free(client->uri);
    g_free(client);
}

VimgServer *
vimg_client_server(VimgClient *client)
{
    return client->server;
}

gboolean
vimg_client_is_read_only(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    return client->read_only;
}

void
vimg_client_set_read_only(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    client->read_only = TRUE;
}

gboolean
vimg_client_is_authenticated(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    return client->authenticated;
}

void
vimg_client_set_authenticated(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    client->authenticated = TRUE;
}

const char *
vimg_client_get_uri(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    return client->uri;
}

gboolean
vimg_client_set_uri(VimgClient *client, const char *uri)
{
    VIMG_LOCK_GUARD(&client->lock);
    if (client->uri)
        return FALSE;
    client->uri = g_strdup(uri);
    return TRUE;
}

void
vimg_client_enable_keepalive(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    client->keepalive = TRUE;
}

gboolean
vimg_client_has_keepalive(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    return client->keepalive;
}

void
vimg_client_set_hears_close(VimgClient *client, gboolean hears)
{
    VIMG_LOCK_GUARD(&client->lock);
    client->hears_close = hears;
}

gboolean
vimg_client_hears_close(VimgClient *client)
{
    VIMG_LOCK_GUARD(&client->lock);
    return client->hears_close;
}

uid_t
vimg_client_uid(VimgClient *client)
{
    return client->uid;
}

const VimgCaller *
vimg_client_caller(VimgClient *client)
{
    return &client->caller;
}

guint64
vimg_client_number(VimgClient *client)
{
    return client->number;
}

gpointer
vimg_client_get_data(VimgClient *client)
{
    return client->data;
}

/* Bytes that wait for a client which is behind. */
#define BEHIND 65536

typedef struct {
    VimgClient *client;
    VimgBuffer *frame;
    gboolean progress;
} Event;

static void
event_free(Event *event)
{
    vimg_buffer_unref(event->frame);
    vimg_client_unref(event->client);
    g_free(event);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Event, event_free)

/* A client that registers for events and never reads them must not fill our memory. */
static void
deliver_event(gpointer data)
{
    g_autoptr(Event) event = data;
    VimgClient *client = event->client;
    gsize waiting = vimg_outbox_bytes(&client->outbox);

    if (event->progress && waiting > BEHIND)
        return;
    if (waiting > client->server->config->max_client_bytes) {
        vimg_warning("closing a client of uid %u that does not read its events",
                     (guint)client->uid);
        vimg_connection_close(client);
        return;
    }
    vimg_connection_send(client, vimg_packet_new(g_steal_pointer(&event->frame)));
}

static void
send_message(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
             const void *data, gboolean progress)
{
    VimgFrameHeader header = {
        .program = program, .version = 1, .procedure = procedure, .type = VIMG_FRAME_MESSAGE};
    g_autoptr(GError) error = NULL;
    VimgBuffer *frame = vimg_frame_new_xdr(&header, proc, data, &error);
    Event *event;

    if (!frame) {
        vimg_warning("event %d: %s", procedure, error->message);
        return;
    }
    event = g_new(Event, 1);
    event->client = vimg_client_ref(client);
    event->frame = frame;
    event->progress = progress;
    vimg_inbox_post(client->server->inbox, deliver_event, event);
}

void
vimg_client_send_event(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
                       const void *data)
{
    send_message(client, program, procedure, proc, data, FALSE);
}

void
vimg_client_send_progress(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
                          const void *data)
{
    send_message(client, program, procedure, proc, data, TRUE);
}
