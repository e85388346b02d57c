/*
 * upstream-lost.c: what it means to a client that the host's daemon has gone, or is not there
 *
 * Its own connection goes on: our storages are not the host's.  Calls and streams that were under
 * way end with an error.  Events that it asked for at the host would never come again, and nothing
 * in the protocol says so but the end of a connection: one that asked to be told of that is told,
 * any other loses its connection too, as it would have at the host's daemon itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/log.h"
#include "wire/remote.h"

static void
tell(VimgClient *client, const VimgFrameHeader *header, const GError *error)
{
    vimg_connection_send(client,
                         vimg_packet_new(vimg_frame_new_error(header, error, VIR_FROM_RPC)));
}

static void
end_pending(VimgUpstream *upstream, VimgClient *client, const GError *error)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, upstream->pending);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgUpstreamPending *pending = value;

        for (guint i = 0; i < pending->n; i++)
            tell(client, &pending->header, error);
    }
    g_hash_table_remove_all(upstream->pending);
    upstream->n_pending = 0;
    g_hash_table_iter_init(&iter, upstream->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        tell(client, value, error);
    g_hash_table_remove_all(upstream->streams);
}

static void
end_waiting(VimgUpstream *upstream, VimgClient *client, const GError *error)
{
    GList *link;

    while ((link = g_queue_pop_head_link(&upstream->waiting)))
        vimg_connection_resume(client, link->data, error);
    vimg_upstream_none_waits(upstream);
}

static void
end_calls(VimgUpstream *upstream, const GError *error)
{
    GHashTableIter iter;
    gpointer value;

    while ((value = g_queue_pop_head(&upstream->waiting_calls))) {
        vimg_upstream_call_failed(value, error);
        vimg_upstream_call_unref(value);
    }
    g_hash_table_iter_init(&iter, upstream->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        vimg_upstream_call_failed(value, error);
    g_hash_table_remove_all(upstream->calls);
}

/* Reason: an end of file, as libvirt's proxy says when its own daemon ends. */
static void
tell_closed(VimgClient *client)
{
    static const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                                           .version = 1,
                                           .procedure = VIMG_REMOTE_EVENT_CONNECTION_CLOSED,
                                           .type = VIMG_FRAME_MESSAGE};
    vimg_remote_int reason = {.value = VIR_CONNECT_CLOSE_REASON_EOF};
    VimgBuffer *frame = vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_remote_int, &reason, NULL);

    if (frame)
        vimg_connection_send(client, vimg_packet_new(frame));
}

void
vimg_upstream_lost(VimgUpstream *upstream, const GError *error)
{
    g_autoptr(VimgUpstream) kept = vimg_upstream_ref(upstream);
    g_autoptr(VimgClient) client = upstream->client ? vimg_client_ref(upstream->client) : NULL;
    gboolean was_open = upstream->open;
    guint registered = upstream->registered;

    if (!client)
        return;
    vimg_upstream_detach(kept);
    end_calls(kept, error);
    end_waiting(kept, client, error);
    if (vimg_connection_is_closed(client))
        return;
    if (was_open) {
        end_pending(kept, client, error);
        vimg_info("connection %" G_GUINT64_FORMAT ": %s", vimg_client_number(client),
                  error->message);
        if (vimg_client_hears_close(client))
            tell_closed(client);
        else if (registered)
            vimg_connection_finish(client);
        __atomic_add_fetch(&client->host_losses, 1, __ATOMIC_RELAXED);
        if (client->server->hooks.host_lost)
            client->server->hooks.host_lost(client);
    }
    vimg_connection_update(client);
}
