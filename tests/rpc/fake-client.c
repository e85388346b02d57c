/*
 * fake-client.c: a connection without a socket, and a server that has only that one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-client.h"
#include "rpc/remote.h"

#define ENCODED_MAX (4 * 1024 * 1024)

VimgClient *
fake_client_new(void)
{
    VimgClient *client = g_new0(VimgClient, 1);

    client->server.privileged = TRUE;
    client->events = g_ptr_array_new_with_free_func(g_free);
    client->data = vimg_remote_hooks.connected(client);
    return client;
}

VimgClient *
vimg_client_ref(VimgClient *client)
{
    g_assert_not_reached(); /* nobody keeps one here */
}

/* There is no daemon of the host to wait for. */
VimgScheduler *
vimg_server_host_scheduler(VimgServer *server)
{
    return NULL;
}

void
vimg_client_unref(VimgClient *client)
{
    vimg_remote_hooks.disconnected(client, client->data);
    vimg_remote_hooks.free_data(client->data);
    g_ptr_array_unref(client->events);
    g_free(client->uri);
    g_free(client);
}

char *
fake_encode(xdrproc_t proc, const void *data)
{
    g_autofree char *bytes = g_malloc(ENCODED_MAX);
    GString *hex = g_string_new(NULL);
    guint size;
    XDR xdr;

    xdrmem_create(&xdr, bytes, ENCODED_MAX, XDR_ENCODE);
    g_assert_true(proc(&xdr, (gpointer)data));
    size = xdr_getpos(&xdr);
    xdr_destroy(&xdr);
    for (guint i = 0; i < size; i++)
        g_string_append_printf(hex, "%02x", (guint8)bytes[i]);
    return g_string_free(hex, FALSE);
}

VimgServer *
vimg_client_server(VimgClient *client)
{
    return &client->server;
}

void
vimg_client_set_read_only(VimgClient *client)
{
    client->read_only = TRUE;
}

void
vimg_client_set_authenticated(VimgClient *client)
{
    client->authenticated = TRUE;
}

const char *
vimg_client_get_uri(VimgClient *client)
{
    return client->uri;
}

gboolean
vimg_client_set_uri(VimgClient *client, const char *uri)
{
    if (client->uri)
        return FALSE;
    client->uri = g_strdup(uri);
    return TRUE;
}

void
vimg_client_enable_keepalive(VimgClient *client)
{
    client->keepalive = TRUE;
}

void
vimg_client_set_hears_close(VimgClient *client, gboolean hears)
{
    client->hears_close = hears;
}

/* There is no host's daemon: what asks it is tested with a real one. */
gboolean
vimg_upstream_is_configured(VimgClient *client)
{
    return FALSE;
}

gboolean
vimg_upstream_may_come(VimgClient *client)
{
    return FALSE;
}

void
vimg_upstream_note_late(VimgClient *client)
{
}

void
vimg_upstream_note_answer(VimgClient *client)
{
}

gboolean
vimg_upstream_may_wait(VimgClient *client)
{
    return FALSE;
}

guint
vimg_upstream_losses(VimgClient *client)
{
    return 0;
}

VimgUpstreamResult
vimg_upstream_call(VimgClient *client, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
                   xdrproc_t ret_proc, gpointer ret, gint64 timeout, GError **error)
{
    vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "no host");
    return VIMG_UPSTREAM_ABSENT;
}

VimgUpstreamCall *
vimg_upstream_ask(VimgClient *client, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
                  gint64 timeout, void (*done)(gpointer data), gpointer data)
{
    g_assert_not_reached(); /* nobody does so who may not wait */
}

VimgUpstreamResult
vimg_upstream_take(VimgUpstreamCall *call, xdrproc_t ret_proc, gpointer ret, gint64 *took,
                   GError **error)
{
    g_assert_not_reached();
}

guint64
vimg_client_number(VimgClient *client)
{
    return 7;
}

uid_t
vimg_client_uid(VimgClient *client)
{
    return client->uid;
}

const VimgCaller *
vimg_client_caller(VimgClient *client)
{
    return NULL;
}

void
vimg_client_send_event(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
                       const void *data)
{
    g_autofree char *payload = fake_encode(proc, data);

    g_assert_cmphex(program, ==, procedure < 100 ? 0x56494d47 : 0x20008086);
    g_ptr_array_add(client->events, g_strdup_printf("%d %s", procedure, payload));
}

void
vimg_client_send_progress(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
                          const void *data)
{
    g_autofree char *payload = fake_encode(proc, data);

    g_assert_cmphex(program, ==, 0x56494d47);
    g_ptr_array_add(client->events, g_strdup_printf("%d? %s", procedure, payload));
}

gpointer
vimg_client_get_data(VimgClient *client)
{
    return client->data;
}

/* The "server" that vimg_remote_event() is given here is the client. */
void
vimg_server_foreach_client(VimgServer *server, void (*func)(VimgClient *client, gpointer data),
                           gpointer data)
{
    func((VimgClient *)server, data);
}

const VimgDaemonConfig *
vimg_server_config(VimgServer *server)
{
    return &server->config;
}

gboolean
vimg_server_is_privileged(VimgServer *server)
{
    return server->privileged;
}
