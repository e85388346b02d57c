/*
 * test-streams.c: uploads and downloads over a socket: every rule, one by one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define NO_SPACE "cannot write to stream: No space left on device"

static int
begin_upload(Harness *h, const char *spec)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_UPLOAD, 5, spec);
    expect_reply(fd, P_UPLOAD, 5, NULL);
    return fd;
}

/* Whatever comes for serial 5 now is dropped: the next answer is that of another call. */
static void
expect_dropped(int fd, gint32 procedure)
{
    client_data(fd, procedure, 5, "late data", 9);
    client_hole(fd, procedure, 5, 1000);
    client_finish(fd, procedure, 5);
    client_abort(fd, procedure, 5);
    client_data(fd, procedure, 5, NULL, 0);
    expect_alive(fd, 900);
}

/* ---- uploads ---------------------------------------------------------------------------- */

static void
test_upload(Harness *h, gconstpointer data)
{
    gsize size = GPOINTER_TO_SIZE(data);
    g_autofree guint8 *content = g_malloc(size);
    int fd = begin_upload(h, "id=1");
    guint32 check = 0;

    for (gsize i = 0; i < size; i++)
        content[i] = content_at(i);
    for (guint i = 0; i < 3; i++) {
        client_data(fd, P_UPLOAD, 5, content, size);
        client_data(fd, P_UPLOAD, 5, NULL, 0); /* means nothing */
        check = check_add(check, content, size);
    }
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 3 * size);
    g_assert_cmpuint(world_outcome(1).check, ==, check);
    g_assert_true(world_outcome(1).finished);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

static void
test_upload_empty(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1");

    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_true(world_outcome(1).finished);
    close(fd);
}

/* Data, holes and the finish are right after the call, before its reply. */
static void
test_upload_early(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_SLOW_UPLOAD, 5, "id=1 sparse");
    client_data(fd, P_SLOW_UPLOAD, 5, "early", 5);
    client_hole(fd, P_SLOW_UPLOAD, 5, 77);
    client_finish(fd, P_SLOW_UPLOAD, 5);
    expect_alive(fd, 6);
    world_slow_tickets(1);
    expect_reply(fd, P_SLOW_UPLOAD, 5, NULL);
    expect_stream(fd, P_SLOW_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 5);
    g_assert_cmpuint(world_outcome(1).holes, ==, 77);
    close(fd);
}

static void
test_upload_early_abort(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_SLOW_UPLOAD, 5, "id=1");
    client_data(fd, P_SLOW_UPLOAD, 5, "early", 5);
    client_abort(fd, P_SLOW_UPLOAD, 5);
    expect_alive(fd, 6);
    world_slow_tickets(1);
    expect_reply(fd, P_SLOW_UPLOAD, 5, NULL);
    expect_stream(fd, P_SLOW_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_false(world_outcome(1).finished);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_SLOW_UPLOAD);
    close(fd);
}

static void
test_upload_refused(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_UPLOAD, 5, "refuse");
    client_data(fd, P_UPLOAD, 5, "early", 5);
    expect_error(fd, VIMG_FRAME_REPLY, P_UPLOAD, 5, VIR_ERR_OPERATION_INVALID, VIR_FROM_STORAGE,
                 "Requested operation is not valid: refused");
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

/* One error, after it nothing: not even an answer to the finish that is under way. */
static void
test_upload_fails(Harness *h, gconstpointer data)
{
    g_autofree guint8 *content = g_malloc0(100000);
    int fd = begin_upload(h, "id=1 fail-at=250000");

    for (guint i = 0; i < 5; i++)
        client_data(fd, P_UPLOAD, 5, content, 100000);
    client_finish(fd, P_UPLOAD, 5);
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS,
                 NO_SPACE);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 200000);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

static void
test_upload_finish_fails(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 fail-finish");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_finish(fd, P_UPLOAD, 5);
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS,
                 NO_SPACE);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

static void
test_upload_silent(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 fail-at=1 silent");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_INTERNAL_ERROR, VIR_FROM_STORAGE,
                 "internal error: a transfer failed without an error");
    close(fd);
}

/* @data: the spec: a storage that takes everything, or one that hangs in the first write. */
static void
test_upload_abort(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, data);

    client_data(fd, P_UPLOAD, 5, "data", 4);
    world_wait(&world.outcomes[1].calls, 1);
    client_data(fd, P_UPLOAD, 5, "more", 4);
    client_abort(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_false(world_outcome(1).finished);
    g_assert_true(world_outcome(1).freed); /* before the answer: the volume is free again */
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

/* A finish that hangs can be aborted; the abort's answer is the only one. */
static void
test_upload_abort_finish(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 block");

    client_finish(fd, P_UPLOAD, 5);
    world_wait(&world.outcomes[1].calls, 1);
    client_abort(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_false(world_outcome(1).finished);
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

static void
test_upload_sparse(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 sparse");

    client_hole(fd, P_UPLOAD, 5, 1024);
    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_hole(fd, P_UPLOAD, 5, G_GUINT64_CONSTANT(1) << 44);
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 4);
    g_assert_cmpuint(world_outcome(1).holes, ==, (G_GUINT64_CONSTANT(1) << 44) + 1024);
    close(fd);
}

static void
test_upload_bad_hole(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 sparse");

    client_hole(fd, P_UPLOAD, 5, 0);
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_RPC, VIR_FROM_RPC,
                 "invalid length of a stream hole");
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

static void
test_upload_hole_flags(Harness *h, gconstpointer data)
{
    static const guint8 payload[] = {0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1};
    int fd = begin_upload(h, "id=1 sparse");

    client_send(fd, VIMG_FRAME_HOLE, P_UPLOAD, 5, VIMG_FRAME_CONTINUE, payload, sizeof(payload));
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_INVALID_ARG, VIR_FROM_STORAGE,
                 "invalid argument: unsupported flags (0x1) of a stream hole");
    expect_dropped(fd, P_UPLOAD);
    close(fd);
}

/* Not asked for: the end of the connection, as in stock; also if it comes before the reply. */
static void
test_upload_unasked_hole(Harness *h, gconstpointer data)
{
    gint32 procedure = GPOINTER_TO_INT(data);
    int other;
    int fd;

    harness_start(h);
    other = client_open(h);
    fd = client_open(h);
    client_call(fd, procedure, 5, "id=1");
    if (procedure == P_UPLOAD)
        expect_reply(fd, P_UPLOAD, 5, NULL);
    client_hole(fd, procedure, 5, 4096);
    if (procedure == P_SLOW_UPLOAD) {
        expect_alive(fd, 6);
        world_slow_tickets(1);
    }
    expect_eof(fd);
    world_wait(&world.transfers, 0);
    expect_alive(other, 6);
    close(fd);
    close(other);
}

/* go-libvirt sends 4 MiB, python whatever it was given. */
static void
test_upload_large_packet(Harness *h, gconstpointer data)
{
    gsize size = VIMG_FRAME_MAX - VIMG_FRAME_MIN;
    g_autofree guint8 *content = g_malloc(size);
    int fd = begin_upload(h, "id=1");

    for (gsize i = 0; i < size; i++)
        content[i] = content_at(i);
    client_data(fd, P_UPLOAD, 5, content, size);
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, size);
    g_assert_cmpuint(world_outcome(1).check, ==, check_add(0, content, size));
    close(fd);
}

static void
test_upload_other_procedure(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1");

    /* right serial, wrong procedure: not for this stream */
    client_data(fd, P_DOWNLOAD, 5, "stray", 5);
    client_abort(fd, P_DOWNLOAD, 5);
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 0);
    close(fd);
}

static void
test_serial_in_use(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1");

    client_call(fd, P_UPLOAD, 5, "id=2");
    expect_error(fd, VIMG_FRAME_REPLY, P_UPLOAD, 5, VIR_ERR_RPC, VIR_FROM_RPC,
                 "serial 5 belongs to a stream that goes on");
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    client_call(fd, P_UPLOAD, 5, "id=2"); /* free again */
    expect_reply(fd, P_UPLOAD, 5, NULL);
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_true(world_outcome(2).finished);
    close(fd);
}

static void
test_too_many(Harness *h, gconstpointer data)
{
    int fd;
    int other;

    h->config.max_streams = 2;
    harness_start(h);
    fd = client_open(h);
    other = client_open(h);
    client_call(fd, P_UPLOAD, 5, "id=1");
    expect_reply(fd, P_UPLOAD, 5, NULL);
    client_call(fd, P_UPLOAD, 6, "id=2");
    expect_reply(fd, P_UPLOAD, 6, NULL);
    client_call(other, P_UPLOAD, 5, "id=3");
    expect_error(other, VIMG_FRAME_REPLY, P_UPLOAD, 5, VIR_ERR_RESOURCE_BUSY, VIR_FROM_STORAGE,
                 "resource busy: 2 uploads and downloads run already");
    client_abort(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    expect_alive(fd, 7);
    client_call(other, P_UPLOAD, 5, "id=3");
    expect_reply(other, P_UPLOAD, 5, NULL);
    close(fd);
    close(other);
}

/* ---- downloads -------------------------------------------------------------------------- */

static int
begin_download(Harness *h, const char *spec)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_DOWNLOAD, 5, spec);
    expect_reply(fd, P_DOWNLOAD, 5, NULL);
    return fd;
}

/*
 * Reads up to the empty packet.  Returns: (transfer full) what came: "D1000 H4096 …", neighbouring
 * data packets added up; @content gets the data, holes left out.
 */
static char *
read_download(int fd, guint32 serial, GByteArray *content)
{
    GString *seen = g_string_new(NULL);
    gsize run = 0;

    for (;;) {
        g_auto(Packet) packet = {0};
        guint64 length = 0;
        guint32 flags = 0;

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpint(packet.header.procedure, ==, P_DOWNLOAD);
        g_assert_cmpuint(packet.header.serial, ==, serial);
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
        if (packet.header.type == VIMG_FRAME_STREAM && packet.size) {
            g_assert_cmpuint(packet.size, <=, VIMG_STREAM_PAYLOAD);
            g_byte_array_append(content, packet.payload, (guint)packet.size);
            run += packet.size;
            continue;
        }
        if (run)
            g_string_append_printf(seen, "D%zu ", run);
        run = 0;
        if (packet.header.type == VIMG_FRAME_STREAM)
            return g_string_free(seen, FALSE);
        g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_HOLE);
        g_assert_true(vimg_frame_hole_decode(packet.payload, packet.size, &length, &flags, NULL));
        g_assert_cmpuint(flags, ==, 0);
        g_string_append_printf(seen, "H%" G_GUINT64_FORMAT " ", length);
    }
}

typedef struct {
    const char *path;
    const char *spec;
    const char *seen;
} DownloadCase;

static const DownloadCase download_cases[] = {
    {"/streams/download/nothing", "id=1", ""},
    {"/streams/download/byte", "id=1 data=1", "D1 "},
    {"/streams/download/packet", "id=1 data=262120", "D262120 "},
    {"/streams/download/packet-and-one", "id=1 data=262121", "D262121 "},
    {"/streams/download/extents", "id=1 data=1048576 data=3 data=2000000", "D3048579 "},
    {"/streams/download/dense-hole", "id=1 data=10 hole=600000 data=10", "D600020 "},
    {"/streams/download/sparse", "id=1 sparse hole=4096 data=600000 hole=17592186044416",
     "H4096 D600000 H17592186044416 "},
    {"/streams/download/all-hole", "id=1 sparse hole=1", "H1 "},
};

/* What the content of @spec is without its holes, or with them as zeros. */
static void
check_content(const char *spec, const GByteArray *content)
{
    g_auto(GStrv) words = g_strsplit(spec, " ", -1);
    gboolean sparse = strstr(spec, "sparse") != NULL;
    guint64 offset = 0;
    guint at = 0;

    for (char **word = words; *word; word++) {
        gboolean hole = g_str_has_prefix(*word, "hole=");
        guint64 length;

        if (!hole && !g_str_has_prefix(*word, "data="))
            continue;
        g_assert_true(g_ascii_string_to_unsigned(*word + 5, 10, 0, G_MAXUINT64, &length, NULL));
        for (guint64 i = 0; i < length && !(hole && sparse); i++) {
            g_assert_cmpuint(at, <, content->len);
            if (content->data[at++] != (hole ? 0 : content_at(offset + i)))
                g_error("%s: byte %u differs", spec, at - 1);
        }
        offset += length;
    }
    g_assert_cmpuint(at, ==, content->len);
}

static void
test_download(Harness *h, gconstpointer data)
{
    const DownloadCase *c = data;
    int fd = begin_download(h, c->spec);
    g_autoptr(GByteArray) content = g_byte_array_new();
    g_autofree char *seen = read_download(fd, 5, content);

    g_assert_cmpstr(seen, ==, c->seen);
    check_content(c->spec, content);
    g_assert_true(world_outcome(1).freed); /* the end of the data is the end of the transfer */
    client_finish(fd, P_DOWNLOAD, 5);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* Instead of a finish: an abort, when all was sent already. */
static void
test_download_abort_at_end(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 data=100");
    g_autoptr(GByteArray) content = g_byte_array_new();
    g_autofree char *seen = read_download(fd, 5, content);

    g_assert_cmpstr(seen, ==, "D100 ");
    client_abort(fd, P_DOWNLOAD, 5);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* Reads what is under way up to the STREAM OK, which is the last packet. */
static void
drain_to_ok(int fd)
{
    for (;;) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_STREAM);
        g_assert_cmpuint(packet.header.serial, ==, 5);
        if (packet.header.status == VIMG_FRAME_OK)
            break;
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
    }
}

/* @data: the status that ends it: OK, ERROR, or one that nobody knows. */
static void
test_download_stopped(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 endless");

    client_send(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    drain_to_ok(fd);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* The backend hangs before the first byte. */
static void
test_download_stopped_blocked(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 block data=100");

    world_wait(&world.outcomes[1].calls, 1);
    client_send(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

static void
test_download_early_finish(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    client_call(fd, P_SLOW_DOWNLOAD, 5, "id=1 endless");
    client_send(fd, VIMG_FRAME_STREAM, P_SLOW_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    expect_alive(fd, 6);
    world_slow_tickets(1);
    expect_reply(fd, P_SLOW_DOWNLOAD, 5, NULL);
    drain_to_ok(fd);
    expect_dropped(fd, P_SLOW_DOWNLOAD);
    close(fd);
}

static void
test_download_fails(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 data=300000 fail");
    gsize got = 0;

    while (got < 300000) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
        got += packet.size;
    }
    expect_error(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS,
                 NO_SPACE);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

static void
test_download_gets_data(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 block data=100");

    client_data(fd, P_DOWNLOAD, 5, NULL, 0); /* still means nothing */
    client_data(fd, P_DOWNLOAD, 5, "wrong way", 9);
    expect_error(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, VIR_ERR_OPERATION_INVALID, VIR_FROM_STORAGE,
                 "Requested operation is not valid: data came for a download");
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* go-libvirt never finishes a download; serials come again one day. */
static void
test_download_unfinished(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_open(h);
    for (guint32 i = 0; i < 40; i++) {
        g_autoptr(GByteArray) content = g_byte_array_new();
        g_autofree char *seen = NULL;

        client_call(fd, P_DOWNLOAD, 5 + i % 20, "id=1 data=1000");
        expect_reply(fd, P_DOWNLOAD, 5 + i % 20, NULL);
        seen = read_download(fd, 5 + i % 20, content);
        g_assert_cmpstr(seen, ==, "D1000 ");
    }
    client_finish(fd, P_DOWNLOAD, 7);
    expect_stream(fd, P_DOWNLOAD, 7, VIMG_FRAME_OK);
    client_finish(fd, P_DOWNLOAD, 7);
    expect_alive(fd, 900);
    close(fd);
}

/* ---- back-pressure, interleaving -------------------------------------------------------- */

/* A client that does not read its download does not make the daemon read all of it. */
static void
test_download_unread(Harness *h, gconstpointer data)
{
    int fd = begin_download(h, "id=1 endless");
    int other = client_open(h);

    world_wait_least(&world.outcomes[1].calls, 2);
    for (guint32 i = 0; i < 500; i++)
        expect_alive(other, i);
    /* four packets, what the socket holds, and the extent in the thread's hands */
    g_assert_cmpuint(world_outcome(1).bytes, <, 4 * 1024 * 1024);
    /* a call is answered although the stream's data fills the way out */
    client_call(fd, P_ECHO, 6, "between");
    for (;;) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        if (packet.header.type == VIMG_FRAME_REPLY)
            break;
    }
    g_assert_cmpuint(world_outcome(1).bytes, <, 8 * 1024 * 1024);
    close(fd);
    close(other);
}

#define N_STREAMS 4

static void
test_interleaved(Harness *h, gconstpointer data)
{
    g_autofree guint8 *content = g_malloc(100000);
    GByteArray *got[N_STREAMS];
    gboolean ended[N_STREAMS] = {FALSE};
    guint to_come = 0;
    guint answers = 0;
    int fd;

    for (gsize i = 0; i < 100000; i++)
        content[i] = content_at(i);
    harness_start(h);
    fd = client_open(h);
    for (guint32 i = 0; i < N_STREAMS; i++) {
        g_autofree char *up = g_strdup_printf("id=%u", 1 + i);
        g_autofree char *down = g_strdup_printf("id=%u data=1500000 data=7", 8 + i);

        got[i] = g_byte_array_new();
        client_call(fd, P_UPLOAD, 100 + i, up);
        client_call(fd, P_DOWNLOAD, 200 + i, down);
        to_come += 2;
    }
    for (guint round = 0; round < 20; round++) {
        for (guint32 i = 0; i < N_STREAMS; i++)
            client_data(fd, P_UPLOAD, 100 + i, content, 100000 - i);
        client_call(fd, P_ECHO, 300 + round, "call");
        to_come++;
    }
    for (guint32 i = 0; i < N_STREAMS; i++)
        client_finish(fd, P_UPLOAD, 100 + i);
    to_come += 2 * N_STREAMS; /* the answers to the finishes, and the ends of the downloads */
    while (answers < to_come) {
        g_auto(Packet) packet = {0};
        guint32 serial;

        g_assert_true(client_receive(fd, &packet));
        serial = packet.header.serial;
        g_assert_cmpuint(packet.header.status, !=, VIMG_FRAME_ERROR);
        if (packet.header.status == VIMG_FRAME_CONTINUE) {
            g_assert_cmpuint(serial, >=, 200);
            g_assert_cmpuint(serial, <, 200 + N_STREAMS);
            g_assert_false(ended[serial - 200]);
            g_byte_array_append(got[serial - 200], packet.payload, (guint)packet.size);
            ended[serial - 200] = packet.size == 0;
        }
        if (packet.header.status == VIMG_FRAME_OK || packet.size == 0)
            answers++;
    }
    for (guint32 i = 0; i < N_STREAMS; i++) {
        guint32 check = 0;

        for (guint round = 0; round < 20; round++)
            check = check_add(check, content, 100000 - i);
        g_assert_cmpuint(world_outcome(1 + i).check, ==, check);
        g_assert_true(world_outcome(1 + i).finished);
        g_assert_cmpuint(got[i]->len, ==, 1500007);
        check_content("data=1500000 data=7", got[i]);
        g_byte_array_unref(got[i]);
    }
    close(fd);
}

/* ---- clients that go -------------------------------------------------------------------- */

static void
test_gone(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    for (guint i = 0; i < 10; i++) {
        fd = client_open(h);
        client_call(fd, P_UPLOAD, 5, "id=1 block");
        expect_reply(fd, P_UPLOAD, 5, NULL);
        client_data(fd, P_UPLOAD, 5, "data", 4);
        client_call(fd, P_DOWNLOAD, 6, "id=2 endless");
        expect_reply(fd, P_DOWNLOAD, 6, NULL);
        client_call(fd, P_SLOW_UPLOAD, 7, "id=3");
        client_data(fd, P_SLOW_UPLOAD, 7, "data", 4);
        world_wait(&world.slow_begun, i + 1);
        if (i % 2) /* in the middle of a packet */
            client_write(fd, "\0\1\0\0\x20\0\x80\x86", 8);
        close(fd);
        world_slow_tickets(1);
        world_wait(&world.clients, 0);
        world_wait(&world.transfers, 0);
    }
    g_assert_false(world_outcome(1).finished);
}

static void
test_close_call(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 block");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_call(fd, P_CLOSE, 6, NULL);
    expect_reply(fd, P_CLOSE, 6, NULL);
    expect_eof(fd);
    world_wait(&world.transfers, 0);
    g_assert_false(world_outcome(1).finished);
    close(fd);
}

/* The daemon ends while streams run and calls hang. */
static void
test_shutdown(Harness *h, gconstpointer data)
{
    int fd = begin_upload(h, "id=1 block");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_call(fd, P_DOWNLOAD, 6, "id=2 endless");
    expect_reply(fd, P_DOWNLOAD, 6, NULL);
    client_call(fd, P_SLOW_UPLOAD, 7, "id=3");
    world_wait(&world.slow_begun, 1);
    world_slow_tickets(1);
    harness_stop(h);
    close(fd);
}

#define ADD(path, data, func)                                                                      \
    g_test_add(path, Harness, data, harness_set_up, func, harness_tear_down)

int
main(int argc, char **argv)
{
    gpointer ok = GUINT_TO_POINTER(VIMG_FRAME_OK);
    gpointer error = GUINT_TO_POINTER(VIMG_FRAME_ERROR);

    g_test_init(&argc, &argv, NULL);
    ADD("/streams/upload/byte", GSIZE_TO_POINTER(1), test_upload);
    ADD("/streams/upload/libvirt", GSIZE_TO_POINTER(262120), test_upload);
    ADD("/streams/upload/python", GSIZE_TO_POINTER(3000000), test_upload);
    ADD("/streams/upload/empty", NULL, test_upload_empty);
    ADD("/streams/upload/early", NULL, test_upload_early);
    ADD("/streams/upload/early-abort", NULL, test_upload_early_abort);
    ADD("/streams/upload/refused", NULL, test_upload_refused);
    ADD("/streams/upload/fails", NULL, test_upload_fails);
    ADD("/streams/upload/finish-fails", NULL, test_upload_finish_fails);
    ADD("/streams/upload/silent", NULL, test_upload_silent);
    ADD("/streams/upload/abort", "id=1", test_upload_abort);
    ADD("/streams/upload/abort-blocked", "id=1 block", test_upload_abort);
    ADD("/streams/upload/abort-finish", NULL, test_upload_abort_finish);
    ADD("/streams/upload/sparse", NULL, test_upload_sparse);
    ADD("/streams/upload/bad-hole", NULL, test_upload_bad_hole);
    ADD("/streams/upload/hole-flags", NULL, test_upload_hole_flags);
    ADD("/streams/upload/unasked-hole", GINT_TO_POINTER(P_UPLOAD), test_upload_unasked_hole);
    ADD("/streams/upload/unasked-early-hole", GINT_TO_POINTER(P_SLOW_UPLOAD),
        test_upload_unasked_hole);
    ADD("/streams/upload/largest-packet", NULL, test_upload_large_packet);
    ADD("/streams/upload/other-procedure", NULL, test_upload_other_procedure);
    ADD("/streams/serial-in-use", NULL, test_serial_in_use);
    ADD("/streams/too-many", NULL, test_too_many);
    for (gsize i = 0; i < G_N_ELEMENTS(download_cases); i++)
        ADD(download_cases[i].path, &download_cases[i], test_download);
    ADD("/streams/download/abort-at-end", NULL, test_download_abort_at_end);
    ADD("/streams/download/finish-running", ok, test_download_stopped);
    ADD("/streams/download/abort-running", error, test_download_stopped);
    ADD("/streams/download/odd-status", GUINT_TO_POINTER(9), test_download_stopped);
    ADD("/streams/download/finish-blocked", ok, test_download_stopped_blocked);
    ADD("/streams/download/abort-blocked", error, test_download_stopped_blocked);
    ADD("/streams/download/finish-early", ok, test_download_early_finish);
    ADD("/streams/download/abort-early", error, test_download_early_finish);
    ADD("/streams/download/fails", NULL, test_download_fails);
    ADD("/streams/download/gets-data", NULL, test_download_gets_data);
    ADD("/streams/download/unfinished", NULL, test_download_unfinished);
    ADD("/streams/download/unread", NULL, test_download_unread);
    ADD("/streams/interleaved", NULL, test_interleaved);
    ADD("/streams/gone", NULL, test_gone);
    ADD("/streams/close-call", NULL, test_close_call);
    ADD("/streams/shutdown", NULL, test_shutdown);
    return g_test_run();
}
