/*
 * test-stream.c: uploads and downloads, and daemons that break their rules
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>
#include <sys/mman.h>

#include "cli/stream.h"
#include "peer.h"
#include "wire/remote.h"

#define UPLOAD VIMG_REMOTE_VOL_UPLOAD
#define DOWNLOAD VIMG_REMOTE_VOL_DOWNLOAD

/* A stream that the daemon agreed to. */
static VimgStream *
begin(Peer *peer, gint32 procedure, gboolean sparse)
{
    vimg_remote_vol vol = {(char *)"p", (char *)"v", (char *)"k"};
    VimgFrameHeader reply = {.program = VIMG_PROGRAM_REMOTE,
                             .version = 1,
                             .procedure = procedure,
                             .type = VIMG_FRAME_REPLY};
    g_autoptr(GError) error = NULL;
    VimgStream *stream;

    peer_init(peer);
    peer_say(peer, &reply, NULL, 0);
    stream = vimg_stream_new(peer->daemon, procedure, &vol, 0, sparse, &error);
    g_assert_no_error(error);
    g_assert_cmpint(peer_hear(peer).procedure, ==, procedure);
    return stream;
}

static VimgFrameHeader
packet(gint32 procedure, VimgFrameType type, VimgFrameStatus status)
{
    return (VimgFrameHeader){.program = VIMG_PROGRAM_REMOTE,
                             .version = 1,
                             .procedure = procedure,
                             .type = type,
                             .status = status};
}

static void
say(Peer *peer, gint32 procedure, VimgFrameStatus status, const char *payload)
{
    VimgFrameHeader header = packet(procedure, VIMG_FRAME_STREAM, status);

    peer_say(peer, &header, payload, payload ? strlen(payload) : 0);
}

static void
say_hole(Peer *peer, guint64 length)
{
    VimgFrameHeader header = packet(DOWNLOAD, VIMG_FRAME_HOLE, VIMG_FRAME_CONTINUE);
    g_autoptr(VimgBuffer) frame = vimg_frame_new_hole(&header, length);

    peer_say_bytes(peer, frame->data, frame->size);
}

static int
content(const char *text)
{
    int fd = memfd_create("content", MFD_CLOEXEC);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    return fd;
}

/* ---- upload ----------------------------------------------------------------------------- */

static void
test_upload(void)
{
    int fd = content("0123456789");
    g_autoptr(GError) error = NULL;
    VimgFrameHeader heard;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, UPLOAD, TRUE);
    g_assert_true(vimg_stream_send_file(stream, fd, 2, 5, &error));
    g_assert_true(vimg_stream_send_hole(stream, G_GUINT64_CONSTANT(1) << 40, &error));
    say(&peer, UPLOAD, VIMG_FRAME_OK, NULL);
    g_assert_true(vimg_stream_finish(stream, &error));
    heard = peer_hear(&peer);
    g_assert_cmpuint(heard.type, ==, VIMG_FRAME_STREAM);
    g_assert_cmpuint(heard.status, ==, VIMG_FRAME_CONTINUE);
    g_assert_cmpuint(peer_hear(&peer).type, ==, VIMG_FRAME_HOLE);
    heard = peer_hear(&peer);
    g_assert_cmpuint(heard.status, ==, VIMG_FRAME_OK);
    vimg_stream_free(stream);
    peer_clear(&peer);
    close(fd);
}

/* What was promised and is not there is nothing that could be made good. */
static void
test_upload_of_a_file_that_shrank(void)
{
    int fd = content("0123456789");
    g_autoptr(GError) error = NULL;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, UPLOAD, TRUE);
    g_assert_false(vimg_stream_send_file(stream, fd, 5, 6, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    g_assert_false(vimg_stream_abort(stream, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_LOST);
    vimg_stream_free(stream);
    peer_clear(&peer);
    close(fd);
}

static void
test_upload_refused(void)
{
    VimgFrameHeader header = packet(UPLOAD, VIMG_FRAME_STREAM, VIMG_FRAME_ERROR);
    int fd = content("0123456789");
    g_autoptr(GError) error = NULL;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, UPLOAD, TRUE);
    peer_say_error(&peer, &header, VIMG_ERROR_NO_SPACE, "full");
    g_assert_false(vimg_stream_send_file(stream, fd, 0, 5, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIR_ERR_SYSTEM_ERROR);
    g_clear_error(&error);
    g_assert_false(vimg_stream_finish(stream, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIR_ERR_SYSTEM_ERROR);
    g_assert_true(vimg_stream_abort(stream, NULL));
    g_assert_true(peer_is_quiet(&peer));
    vimg_stream_free(stream);
    peer_clear(&peer);
    close(fd);
}

static gboolean
never(gpointer data)
{
    return FALSE;
}

/* A daemon that reads no more does not hold up who wants to leave. */
static void
test_upload_to_nobody(void)
{
    int fd = memfd_create("content", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    VimgStream *stream;
    gboolean good = TRUE;
    Peer peer;

    g_assert_cmpint(ftruncate(fd, VIMG_STREAM_PACKET), ==, 0);
    stream = begin(&peer, UPLOAD, TRUE);
    /* the first question is asked before anything was sent */
    peer.daemon->tick = NULL;
    good = vimg_stream_send_hole(stream, 1, &error);
    g_assert_true(good);
    vimg_stream_set_tick(stream, never, NULL);
    g_assert_false(vimg_stream_send_file(stream, fd, 0, VIMG_STREAM_PACKET, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    vimg_stream_free(stream);
    peer_clear(&peer);
    close(fd);
}

/* ---- download --------------------------------------------------------------------------- */

static void
expect(VimgStream *stream, const char *data, guint64 hole)
{
    g_autoptr(GError) error = NULL;
    VimgStreamPiece piece;

    g_assert_true(vimg_stream_receive(stream, &piece, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(piece.length, ==, data ? strlen(data) : hole);
    if (data)
        g_assert_cmpmem(piece.data->data, piece.data->size, data, strlen(data));
    else
        g_assert_null(piece.data);
    vimg_buffer_unref(piece.data);
}

static void
test_download(void)
{
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, DOWNLOAD, TRUE);
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, "one");
    say_hole(&peer, 4096);
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, "two");
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, NULL);
    expect(stream, "one", 0);
    expect(stream, NULL, 4096);
    expect(stream, "two", 0);
    expect(stream, NULL, 0);
    say(&peer, DOWNLOAD, VIMG_FRAME_OK, NULL);
    g_assert_true(vimg_stream_finish(stream, NULL));
    g_assert_cmpuint(peer_hear(&peer).status, ==, VIMG_FRAME_OK);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

static void
test_abort(void)
{
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, DOWNLOAD, TRUE);
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, "one");
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, "two");
    expect(stream, "one", 0);
    say(&peer, DOWNLOAD, VIMG_FRAME_OK, NULL);
    g_assert_true(vimg_stream_abort(stream, NULL));
    g_assert_cmpuint(peer_hear(&peer).status, ==, VIMG_FRAME_ERROR);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

static void
test_tick(void)
{
    g_autoptr(GError) error = NULL;
    VimgStreamPiece piece;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, DOWNLOAD, TRUE);
    vimg_stream_set_tick(stream, never, NULL);
    g_assert_false(vimg_stream_receive(stream, &piece, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

/* ---- what may not come ------------------------------------------------------------------ */

typedef struct {
    const char *path;
    gint32 procedure;
    gboolean sparse;
    VimgFrameType type;
    VimgFrameStatus status;
    guint8 payload[12];
    gsize size;
} WrongCase;

static const WrongCase wrong[] = {
    {"/stream/wrong/unasked-hole",
     DOWNLOAD,
     FALSE,
     VIMG_FRAME_HOLE,
     VIMG_FRAME_CONTINUE,
     {0, 0, 0, 0, 0, 0, 0, 9},
     12},
    {"/stream/wrong/empty-hole", DOWNLOAD, TRUE, VIMG_FRAME_HOLE, VIMG_FRAME_CONTINUE, {0}, 12},
    {"/stream/wrong/endless-hole",
     DOWNLOAD,
     TRUE,
     VIMG_FRAME_HOLE,
     VIMG_FRAME_CONTINUE,
     {0xff, 0xff},
     12},
    {"/stream/wrong/short-hole", DOWNLOAD, TRUE, VIMG_FRAME_HOLE, VIMG_FRAME_CONTINUE, {0}, 4},
    {"/stream/wrong/no-hole", DOWNLOAD, TRUE, VIMG_FRAME_HOLE, VIMG_FRAME_CONTINUE, {0}, 0},
    {"/stream/wrong/end-of-hole", DOWNLOAD, TRUE, VIMG_FRAME_HOLE, VIMG_FRAME_OK, {0}, 12},
    {"/stream/wrong/early-ok", DOWNLOAD, TRUE, VIMG_FRAME_STREAM, VIMG_FRAME_OK, {0}, 0},
    {"/stream/wrong/status", DOWNLOAD, TRUE, VIMG_FRAME_STREAM, 7, {0}, 4},
    {"/stream/wrong/error-of-nothing", DOWNLOAD, TRUE, VIMG_FRAME_STREAM, VIMG_FRAME_ERROR, {0}, 2},
    {"/stream/wrong/data-to-upload", UPLOAD, TRUE, VIMG_FRAME_STREAM, VIMG_FRAME_CONTINUE, {1}, 4},
    {"/stream/wrong/ok-to-upload", UPLOAD, TRUE, VIMG_FRAME_STREAM, VIMG_FRAME_OK, {1}, 0},
};

static void
test_wrong(gconstpointer data)
{
    const WrongCase *c = data;
    VimgFrameHeader header = packet(c->procedure, c->type, c->status);
    g_autoptr(GError) error = NULL;
    VimgStreamPiece piece;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, c->procedure, c->sparse);
    peer_say(&peer, &header, c->payload, c->size);
    g_assert_false(c->procedure == UPLOAD ? vimg_stream_send_hole(stream, 1, &error)
                                          : vimg_stream_receive(stream, &piece, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

/* A hole is no last word. */
static void
test_end_of_hole(void)
{
    VimgFrameHeader header = packet(UPLOAD, VIMG_FRAME_HOLE, VIMG_FRAME_OK);
    g_autoptr(GError) error = NULL;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, UPLOAD, TRUE);
    peer_say(&peer, &header, NULL, 0);
    g_assert_false(vimg_stream_finish(stream, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

static void
test_data_behind_the_end(void)
{
    g_autoptr(GError) error = NULL;
    VimgStream *stream;
    Peer peer;

    stream = begin(&peer, DOWNLOAD, TRUE);
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, NULL);
    say(&peer, DOWNLOAD, VIMG_FRAME_CONTINUE, "more");
    expect(stream, NULL, 0);
    g_assert_false(vimg_stream_finish(stream, &error));
    g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN);
    vimg_stream_free(stream);
    peer_clear(&peer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/upload", test_upload);
    g_test_add_func("/stream/upload/shrank", test_upload_of_a_file_that_shrank);
    g_test_add_func("/stream/upload/refused", test_upload_refused);
    g_test_add_func("/stream/upload/nobody", test_upload_to_nobody);
    g_test_add_func("/stream/download", test_download);
    g_test_add_func("/stream/abort", test_abort);
    g_test_add_func("/stream/tick", test_tick);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_test_add_data_func(wrong[i].path, &wrong[i], test_wrong);
    g_test_add_func("/stream/wrong/ok-of-hole", test_end_of_hole);
    g_test_add_func("/stream/wrong/behind-the-end", test_data_behind_the_end);
    return g_test_run();
}
