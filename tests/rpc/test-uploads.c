/*
 * test-uploads.c: uploads over a socket: every rule, one by one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>
#include <unistd.h>

#include "harness.h"

static void
test_upload(Harness *h, gconstpointer data)
{
    gsize size = GPOINTER_TO_SIZE(data);
    g_autofree guint8 *content = g_malloc(size);
    int fd = harness_begin(h, P_UPLOAD, "id=1");
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
    int fd = harness_begin(h, P_UPLOAD, "id=1");

    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_true(world_outcome(1).finished);
    close(fd);
}

/* Data, holes and the finish are right after the call, before its reply. */
static void
test_upload_early(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

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
    int fd = harness_open(h);

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

/* A client that stops in the middle: what the storage took shows, though nothing more comes. */
static void
test_upload_pauses(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_UPLOAD, "id=1");

    client_data(fd, P_UPLOAD, 5, "some", 4);
    world_wait_least(&world.outcomes[1].idle, 2);
    client_data(fd, P_UPLOAD, 5, "more", 4);
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).bytes, ==, 8);
    close(fd);
}

static void
test_upload_refused(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 fail-at=250000");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 fail-finish");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 fail-at=1 silent");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    expect_error(fd, VIMG_FRAME_STREAM, P_UPLOAD, 5, VIR_ERR_INTERNAL_ERROR, VIR_FROM_STORAGE,
                 "internal error: a transfer failed without an error");
    close(fd);
}

/* @data: the spec: a storage that takes everything, or one that hangs in the first write. */
static void
test_upload_abort(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_UPLOAD, data);

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 block");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 sparse");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 sparse");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1 sparse");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1");

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
    int fd = harness_begin(h, P_UPLOAD, "id=1");

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
    fd = harness_open(h);
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/streams/upload/byte", GSIZE_TO_POINTER(1), test_upload);
    ADD("/streams/upload/libvirt", GSIZE_TO_POINTER(262120), test_upload);
    ADD("/streams/upload/python", GSIZE_TO_POINTER(3000000), test_upload);
    ADD("/streams/upload/empty", NULL, test_upload_empty);
    ADD("/streams/upload/early", NULL, test_upload_early);
    ADD("/streams/upload/early-abort", NULL, test_upload_early_abort);
    ADD("/streams/upload/pauses", NULL, test_upload_pauses);
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
    return g_test_run();
}
