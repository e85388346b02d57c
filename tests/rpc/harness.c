/*
 * harness.c: a server with a small program of its own, and clients that speak bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
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
    world.slow_begun = world.slow_tickets = world.disconnects = 0;
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
    h->dir = g_dir_make_tmp("vimg-rpc-XXXXXX", NULL);
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

/* ---- clients ---------------------------------------------------------------------------- */

void
packet_clear(Packet *packet)
{
    g_free(packet->payload);
}

int
client_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

int
client_open(Harness *h)
{
    int fd = client_connect(h->path);

    client_call(fd, P_AUTH, 0, NULL);
    expect_reply(fd, P_AUTH, 0, NULL);
    client_call(fd, P_OPEN, 1, NULL);
    expect_reply(fd, P_OPEN, 1, NULL);
    return fd;
}

int
client_open_keepalive(Harness *h)
{
    int fd = client_open(h);

    client_call(fd, P_FEATURE, 2, NULL);
    expect_reply(fd, P_FEATURE, 2, NULL);
    return fd;
}

static void
wait_fd(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    g_assert_cmpint(poll(&pfd, 1, DEADLINE / 1000), ==, 1);
}

void
client_write(int fd, const void *data, gsize size)
{
    gsize at = 0;

    while (at < size) {
        gssize done = send(fd, (const guint8 *)data + at, size - at, MSG_NOSIGNAL);

        if (done < 0 && errno == EAGAIN) {
            wait_fd(fd, POLLOUT);
            continue;
        }
        if (done < 0) /* the server may have closed; what it sent is looked at */
            return;
        at += (gsize)done;
    }
}

void
client_send(int fd, guint32 type, gint32 procedure, guint32 serial, guint32 status,
            const void *payload, gsize size)
{
    VimgFrameHeader header = {VIMG_PROGRAM_REMOTE, 1, procedure, type, serial, status};
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&header, payload, size);

    client_write(fd, frame->data, frame->size);
}

GByteArray *
encode_call(gint32 procedure, guint32 serial, const char *text)
{
    VimgFrameHeader header = {VIMG_PROGRAM_REMOTE, 1, procedure, VIMG_FRAME_CALL, serial, 0};
    vimg_remote_string args = {(char *)text};
    g_autoptr(VimgBuffer) frame =
        text ? vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_remote_string, &args, NULL)
             : vimg_frame_new(&header, NULL, 0);
    GByteArray *out = g_byte_array_new();

    return g_byte_array_append(out, frame->data, (guint)frame->size);
}

void
client_call(int fd, gint32 procedure, guint32 serial, const char *text)
{
    g_autoptr(GByteArray) packet = encode_call(procedure, serial, text);

    client_write(fd, packet->data, packet->len);
}

void
client_data(int fd, gint32 procedure, guint32 serial, const void *data, gsize size)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_CONTINUE, data, size);
}

void
client_hole(int fd, gint32 procedure, guint32 serial, guint64 length)
{
    guint32 payload[3] = {GUINT32_TO_BE((guint32)(length >> 32)), GUINT32_TO_BE((guint32)length),
                          0};

    client_send(fd, VIMG_FRAME_HOLE, procedure, serial, VIMG_FRAME_CONTINUE, payload,
                sizeof(payload));
}

void
client_finish(int fd, gint32 procedure, guint32 serial)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_OK, NULL, 0);
}

void
client_abort(int fd, gint32 procedure, guint32 serial)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_ERROR, NULL, 0);
}

void
client_ping(int fd)
{
    VimgFrameHeader header = {VIMG_PROGRAM_KEEPALIVE, 1, VIMG_KEEPALIVE_PING,
                              VIMG_FRAME_MESSAGE,     0, 0};
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&header, NULL, 0);

    client_write(fd, frame->data, frame->size);
}

/* ---- what comes back -------------------------------------------------------------------- */

/* FALSE: the connection ended before the first byte. */
static gboolean
read_all(int fd, guint8 *data, gsize size)
{
    gsize at = 0;

    while (at < size) {
        gssize got = recv(fd, data + at, size - at, 0);

        if (got < 0 && errno == EAGAIN) {
            wait_fd(fd, POLLIN);
            continue;
        }
        if (got <= 0) {
            g_assert_cmpuint(at, ==, 0);
            return FALSE;
        }
        at += (gsize)got;
    }
    return TRUE;
}

gboolean
client_receive(int fd, Packet *packet)
{
    guint8 head[VIMG_FRAME_MIN];
    guint32 length;

    *packet = (Packet){0};
    if (!read_all(fd, head, sizeof(head)))
        return FALSE;
    g_assert_true(vimg_frame_length(head, &length));
    vimg_frame_header_decode(head + 4, &packet->header);
    packet->size = length - VIMG_FRAME_MIN;
    packet->payload = g_malloc(packet->size + 1);
    if (packet->size)
        g_assert_true(read_all(fd, packet->payload, packet->size));
    return TRUE;
}

gboolean
client_has_input(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

void
expect_eof(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_false(client_receive(fd, &packet));
}

static void
expect_packet(int fd, Packet *packet, guint32 type, gint32 procedure, guint32 serial)
{
    g_assert_true(client_receive(fd, packet));
    g_assert_cmpuint(packet->header.program, ==, VIMG_PROGRAM_REMOTE);
    g_assert_cmpuint(packet->header.version, ==, 1);
    g_assert_cmpuint(packet->header.type, ==, type);
    g_assert_cmpint(packet->header.procedure, ==, procedure);
    g_assert_cmpuint(packet->header.serial, ==, serial);
}

void
expect_reply(int fd, gint32 procedure, guint32 serial, const char *text)
{
    g_auto(Packet) packet = {0};
    vimg_remote_string out = {0};

    expect_packet(fd, &packet, VIMG_FRAME_REPLY, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
    if (!text)
        return;
    g_assert_true(vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_string, &out, packet.payload,
                                  packet.size, NULL));
    g_assert_cmpstr(out.value, ==, text);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, &out);
}

void
expect_stream(int fd, gint32 procedure, guint32 serial, guint32 status)
{
    g_auto(Packet) packet = {0};

    expect_packet(fd, &packet, VIMG_FRAME_STREAM, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, status);
    g_assert_cmpuint(packet.size, ==, 0);
}

static guint32
word_at(const Packet *packet, gsize offset)
{
    guint32 word;

    g_assert_cmpuint(offset + 4, <=, packet->size);
    memcpy(&word, packet->payload + offset, 4);
    return GUINT32_FROM_BE(word);
}

void
expect_error(int fd, guint32 type, gint32 procedure, guint32 serial, int code, int domain,
             const char *text)
{
    g_auto(Packet) packet = {0};
    g_autofree char *message = NULL;

    expect_packet(fd, &packet, type, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_ERROR);
    g_assert_cmpuint(word_at(&packet, 8), ==, 1);
    g_assert_cmpuint(word_at(&packet, 12), <=, packet.size - 16);
    message = g_strndup((const char *)packet.payload + 16, word_at(&packet, 12));
    g_assert_cmpstr(message, ==, text);
    g_assert_cmpint((int)word_at(&packet, 0), ==, code);
    g_assert_cmpint((int)word_at(&packet, 4), ==, domain);
}

void
expect_pong(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_true(client_receive(fd, &packet));
    g_assert_cmpuint(packet.header.program, ==, VIMG_PROGRAM_KEEPALIVE);
    g_assert_cmpuint(packet.header.version, ==, 1);
    g_assert_cmpint(packet.header.procedure, ==, VIMG_KEEPALIVE_PONG);
    g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_MESSAGE);
    g_assert_cmpuint(packet.header.serial, ==, 0);
    g_assert_cmpuint(packet.size, ==, 0);
}

void
expect_alive(int fd, guint32 serial)
{
    client_call(fd, P_ECHO, serial, "alive");
    expect_reply(fd, P_ECHO, serial, "alive");
}
