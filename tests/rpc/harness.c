/*
 * harness.c: a server with a small program of its own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <libvirt/virterror.h>
#include <unistd.h>

#include "harness.h"
#include "rpc/server-private.h"
#include "wire/remote.h"

World world = {.lock = VIMG_MUTEX_INIT};

void
world_reset(void)
{
    static gboolean made;

    if (!made)
        vimg_cond_init(&world.changed);
    made = TRUE;
    VIMG_LOCK_GUARD(&world.lock);
    world.slow_begun = world.slow_tickets = world.disconnects = world.echoes = 0;
    world.transfers_open = FALSE;
    memset(world.outcomes, 0, sizeof(world.outcomes));
    g_assert_cmpuint(world.transfers, ==, 0);
    g_assert_cmpuint(world.clients, ==, 0);
}

void
world_wait(const guint *counter, guint value)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;

    VIMG_LOCK_GUARD(&world.lock);
    while (*counter != value)
        g_assert_true(vimg_cond_wait_until(&world.changed, &world.lock, deadline));
}

void
world_wait_least(const guint *counter, guint value)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;

    VIMG_LOCK_GUARD(&world.lock);
    while (*counter < value)
        g_assert_true(vimg_cond_wait_until(&world.changed, &world.lock, deadline));
}

void
world_wait_true(const gboolean *flag)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;

    VIMG_LOCK_GUARD(&world.lock);
    while (!*flag)
        g_assert_true(vimg_cond_wait_until(&world.changed, &world.lock, deadline));
}

guint
world_get(const guint *counter)
{
    VIMG_LOCK_GUARD(&world.lock);
    return *counter;
}

Outcome
world_outcome(guint id)
{
    VIMG_LOCK_GUARD(&world.lock);
    return world.outcomes[id];
}

void
world_slow_tickets(guint n)
{
    VIMG_LOCK_GUARD(&world.lock);
    world.slow_tickets += n;
    vimg_cond_broadcast(&world.changed);
}

void
world_open_transfers(void)
{
    VIMG_LOCK_GUARD(&world.lock);
    world.transfers_open = TRUE;
    vimg_cond_broadcast(&world.changed);
}

guint32
check_add(guint32 check, const guint8 *data, gsize size)
{
    for (gsize i = 0; i < size; i++)
        check = check * 31 + data[i];
    return check;
}

guint8
content_at(guint64 offset)
{
    return (guint8)(offset * 7 + offset / 251 + 1);
}

/* ---- the model -------------------------------------------------------------------------- */

gboolean
vimg_model_pool_by_uuid(VimgModel *model, const guint8 *uuid, VimgPoolId *out, GError **error)
{
    return FALSE;
}

guint
vimg_model_size(VimgModel *model)
{
    return 0;
}

gboolean
vimg_model_pool_is_active(VimgModel *model, const VimgPoolId *pool, gboolean *out, GError **error)
{
    *out = TRUE;
    return TRUE;
}

/* ---- the program ------------------------------------------------------------------------ */

static gboolean
handle_open(VimgCall *call, GError **error)
{
    if (!vimg_client_set_uri(call->client, "test:///system"))
        return vimg_throw(error, VIMG_ERROR_RPC_STATE, "connection already open");
    return TRUE;
}

static gboolean
handle_nothing(VimgCall *call, GError **error)
{
    return TRUE;
}

static gboolean
handle_auth(VimgCall *call, GError **error)
{
    vimg_client_set_authenticated(call->client);
    return TRUE;
}

static gboolean
handle_feature(VimgCall *call, GError **error)
{
    vimg_client_enable_keepalive(call->client);
    return TRUE;
}

static gboolean
handle_echo(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;
    vimg_remote_string *ret = call->ret;

    ret->value = g_strdup(args->value);
    VIMG_LOCK_GUARD(&world.lock);
    world.echoes++;
    vimg_cond_broadcast(&world.changed);
    return TRUE;
}

static void
take_ticket(void)
{
    VIMG_LOCK_GUARD(&world.lock);
    world.slow_begun++;
    vimg_cond_broadcast(&world.changed);
    while (!world.slow_tickets)
        vimg_cond_wait(&world.changed, &world.lock);
    world.slow_tickets--;
}

static gboolean
handle_slow(VimgCall *call, GError **error)
{
    take_ticket();
    return handle_echo(call, error);
}

static gboolean
handle_slow_close(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;

    take_ticket();
    return !g_str_equal(args->value, "fail") || vimg_throw(error, VIMG_ERROR_INTERNAL, "not now");
}

static gboolean
handle_slow_upload(VimgCall *call, GError **error)
{
    take_ticket();
    return handle_upload(call, error);
}

static gboolean
handle_slow_download(VimgCall *call, GError **error)
{
    take_ticket();
    return handle_download(call, error);
}

static gboolean
handle_big(VimgCall *call, GError **error)
{
    vimg_remote_string *ret = call->ret;

    ret->value = g_strnfill(1024 * 1024, 'b');
    VIMG_LOCK_GUARD(&world.lock);
    world.slow_begun++;
    vimg_cond_broadcast(&world.changed);
    return TRUE;
}

static gboolean
handle_fail(VimgCall *call, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_NO_POOL, "no storage pool with matching name 'x'");
}

static gboolean
handle_lie(VimgCall *call, GError **error)
{
    return FALSE;
}

static gboolean
handle_event(VimgCall *call, GError **error)
{
    vimg_client_send_event(call->client, VIMG_PROGRAM_REMOTE, 99, (xdrproc_t)xdr_vimg_remote_string,
                           call->args);
    return TRUE;
}

#define NONE (xdrproc_t)(void (*)(void)) xdr_void, 0
#define TEXT (xdrproc_t) xdr_vimg_remote_string, sizeof(vimg_remote_string)

static const VimgProc procs[N_PROCS] = {
    [P_OPEN] = {"virOpen", NONE, NONE, handle_open, VIMG_PROC_PRE_OPEN | VIMG_PROC_MEMORY,
                VIR_FROM_STORAGE},
    [P_CLOSE] = {"virClose", NONE, NONE, handle_nothing, VIMG_PROC_CLOSES | VIMG_PROC_MEMORY,
                 VIR_FROM_STORAGE},
    [P_AUTH] = {"virAuth", NONE, NONE, handle_auth, VIMG_PROC_PRE_AUTH | VIMG_PROC_MEMORY,
                VIR_FROM_STORAGE},
    [P_FEATURE] = {"virFeature", NONE, NONE, handle_feature, VIMG_PROC_PRE_OPEN | VIMG_PROC_MEMORY,
                   VIR_FROM_STORAGE},
    [P_ECHO] = {"virEcho", TEXT, TEXT, handle_echo, VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
    [P_SLOW] = {"virSlow", TEXT, TEXT, handle_slow, VIMG_PROC_POOL_ARG, VIR_FROM_STORAGE},
    [P_WRITE] = {"virWrite", TEXT, TEXT, handle_echo, VIMG_PROC_WRITES, VIR_FROM_STORAGE},
    [P_BIG] = {"virBig", NONE, TEXT, handle_big, VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
    [P_FAIL] = {"virFail", NONE, NONE, handle_fail, VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
    [P_LIE] = {"virLie", NONE, NONE, handle_lie, VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
    [P_EVENT] = {"virEvent", TEXT, NONE, handle_event, VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
    [P_UPLOAD] = {"virUpload", TEXT, NONE, handle_upload, VIMG_PROC_STREAM, VIR_FROM_STORAGE},
    [P_DOWNLOAD] = {"virDownload", TEXT, NONE, handle_download, VIMG_PROC_STREAM, VIR_FROM_STORAGE},
    [P_SLOW_UPLOAD] = {"virSlowUpload", TEXT, NONE, handle_slow_upload, VIMG_PROC_STREAM,
                       VIR_FROM_STORAGE},
    [P_SLOW_DOWNLOAD] = {"virSlowDownload", TEXT, NONE, handle_slow_download, VIMG_PROC_STREAM,
                         VIR_FROM_STORAGE},
    [P_SLOW_CLOSE] = {"virSlowClose", TEXT, NONE, handle_slow_close,
                      VIMG_PROC_CLOSES | VIMG_PROC_MEMORY, VIR_FROM_STORAGE},
};

static const VimgProgram program = {VIMG_PROGRAM_REMOTE, 1, procs, N_PROCS};
static const VimgProgram *const programs[] = {&program, NULL};

static gpointer
on_connected(VimgClient *client)
{
    VIMG_LOCK_GUARD(&world.lock);
    world.clients++;
    vimg_cond_broadcast(&world.changed);
    return g_strdup("data");
}

static void
on_disconnected(VimgClient *client, gpointer data)
{
    g_assert_cmpstr(data, ==, "data");
    VIMG_LOCK_GUARD(&world.lock);
    world.disconnects++;
    vimg_cond_broadcast(&world.changed);
}

static void
on_free(gpointer data)
{
    g_free(data);
    VIMG_LOCK_GUARD(&world.lock);
    world.clients--;
    vimg_cond_broadcast(&world.changed);
}

static const VimgServerHooks hooks = {on_connected, on_disconnected, on_free};

/* ---- the server ------------------------------------------------------------------------- */

static guint
not_busy(gpointer data)
{
    return 0;
}

static void
on_idle(gpointer data)
{
    Harness *h = data;

    VIMG_LOCK_GUARD(&world.lock);
    h->idled = TRUE;
    vimg_cond_broadcast(&world.changed);
}

static void
server_main(gpointer data)
{
    Harness *h = data;
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(VimgServer) server =
        vimg_server_new(context, &h->config, NULL, programs, &hooks, &h->error);

    if (server && vimg_server_listen(server, h->path, 0600, getegid(), FALSE, &h->error))
        vimg_server_listen(server, h->ro_path, 0666, getegid(), TRUE, &h->error);
    if (server && h->idle_seconds)
        vimg_server_set_idle_timeout(server, h->idle_seconds, not_busy, on_idle, h);
    vimg_mutex_lock(&h->lock);
    h->server = server;
    h->ready = TRUE;
    vimg_cond_broadcast(&h->changed);
    vimg_mutex_unlock(&h->lock);
    while (server && !h->quit)
        g_main_context_iteration(context, TRUE);
}

void
harness_set_up(Harness *h, gconstpointer data)
{
    world_reset();
    h->config = (VimgDaemonConfig){
        .max_clients = 100,
        .max_streams = 50,
        .max_workers = 6,
        .max_pool_calls = 3,
        .max_client_requests = 64,
        .max_client_bytes = 33554432,
        .max_stream_queue = 8388608,
        .keepalive_interval = 5,
        .keepalive_count = 5,
        .stream_stall_timeout = 120,
    };
    h->dir = g_dir_make_tmp(NULL, NULL);
    h->path = g_build_filename(h->dir, "sock", NULL);
    h->ro_path = g_build_filename(h->dir, "sock-ro", NULL);
    vimg_mutex_init(&h->lock);
    vimg_cond_init(&h->changed);
}

void
harness_start(Harness *h)
{
    g_autoptr(GError) error = NULL;

    vimg_thread_start(&h->thread, "server", server_main, h, &error);
    g_assert_no_error(error);
    vimg_mutex_lock(&h->lock);
    while (!h->ready)
        vimg_cond_wait(&h->changed, &h->lock);
    vimg_mutex_unlock(&h->lock);
    g_assert_no_error(h->error);
}

int
harness_open(Harness *h)
{
    harness_start(h);
    return client_open(h);
}

int
harness_begin(Harness *h, gint32 procedure, const char *spec)
{
    int fd = harness_open(h);

    client_call(fd, procedure, 5, spec);
    expect_reply(fd, procedure, 5, NULL);
    return fd;
}

static void
post_quit(gpointer data)
{
    ((Harness *)data)->quit = TRUE;
}

void
harness_stop(Harness *h)
{
    if (!h->server)
        return;
    vimg_inbox_post(h->server->inbox, post_quit, h);
    vimg_thread_join(h->thread);
    h->server = NULL;
    VIMG_LOCK_GUARD(&world.lock);
    g_assert_cmpuint(world.transfers, ==, 0);
    g_assert_cmpuint(world.clients, ==, 0);
}

void
harness_tear_down(Harness *h, gconstpointer data)
{
    harness_stop(h);
    g_assert_false(g_file_test(h->path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_rmdir(h->dir), ==, 0);
    g_free(h->dir);
    g_free(h->path);
    g_free(h->ro_path);
    g_clear_error(&h->error);
    vimg_cond_clear(&h->changed);
    vimg_mutex_clear(&h->lock);
}
