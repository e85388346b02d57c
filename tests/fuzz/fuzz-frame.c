/*
 * fuzz-frame.c: packets, and what every procedure carries
 *
 * The first byte chooses: 0 to 127 the arguments, 128 to 191 the answer of a procedure, which the
 * next two bytes select, and the rest is its XDR; from 192 on the rest is a stream of packets. What
 * is decoded must come back the same when it is encoded and decoded again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "rpc/dispatch.h"
#include "wire/reader.h"
#include "wire/frame.h"

#define FRAMES_MAX 65536 /* fits a socket without blocking */

/* ---- XDR of one procedure --------------------------------------------------------------- */

static const VimgProc *rows[1024];
static guint n_rows;

static void
add_rows(const VimgProgram *program)
{
    for (gsize i = 0; i < program->n_procs && n_rows < G_N_ELEMENTS(rows); i++)
        if (program->procs[i].handler)
            rows[n_rows++] = &program->procs[i];
}

static const VimgProc *
choose(guint n)
{
    if (n_rows == 0) {
        add_rows(&vimg_remote_program);
        g_assert_cmpuint(n_rows, >, 70);
        add_rows(&vimg_control_program);
    }
    return rows[n % n_rows];
}

static VimgBuffer *
encode(xdrproc_t proc, const void *data)
{
    static const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE, .version = 1};
    g_autoptr(GError) error = NULL;
    VimgBuffer *frame = vimg_frame_new_xdr(&header, proc, data, &error);

    g_assert_no_error(error);
    return frame;
}

static void
check_xdr(xdrproc_t proc, gsize size, const uint8_t *data, gsize n)
{
    g_autofree void *first = g_malloc0(size + 1);
    g_autofree void *second = g_malloc0(size + 1);
    g_autoptr(GError) error = NULL;

    if (vimg_xdr_decode(proc, first, data, n, &error)) {
        g_autoptr(VimgBuffer) once = encode(proc, first);
        g_autoptr(VimgBuffer) twice = NULL;

        g_assert_true(vimg_xdr_decode(proc, second, once->data + VIMG_FRAME_MIN,
                                      once->size - VIMG_FRAME_MIN, NULL));
        twice = encode(proc, second);
        g_assert_cmpmem(once->data, once->size, twice->data, twice->size);
        xdr_free(proc, second);
    } else {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
    }
    xdr_free(proc, first);
}

/* ---- packets ---------------------------------------------------------------------------- */

typedef struct {
    VimgReader reader;
    gsize pieces; /* bytes of the packet that came in pieces */
    guint packets;
} Frames;

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    guint8 wire[VIMG_FRAME_HEADER_SIZE];
    VimgFrameHeader back;

    vimg_frame_header_encode(header, wire);
    vimg_frame_header_decode(wire, &back);
    g_assert_cmpmem(header, sizeof(*header), &back, sizeof(back));
    ((Frames *)data)->pieces = 0;
    return header->type % 3;
}

static gboolean
on_piece(gpointer data, const VimgFrameHeader *header, VimgBuffer *piece)
{
    g_assert_cmpuint(piece->size, >, 0);
    g_assert_cmpuint(piece->size, <=, VIMG_READER_PIECE);
    ((Frames *)data)->pieces += piece->size;
    vimg_buffer_unref(piece);
    return header->status % 2 == 0;
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    Frames *frames = data;
    guint64 length = 0;
    guint32 flags = 0;

    frames->packets++;
    g_assert_true(!payload || header->type % 3 == VIMG_READER_COLLECT);
    if (vimg_frame_hole_decode(payload ? payload->data : NULL, payload ? payload->size : 0, &length,
                               &flags, NULL)) {
        g_assert_cmpuint(length, >, 0);
        g_assert_cmpuint(length, <=, G_MAXINT64);
    }
    vimg_buffer_unref(payload);
    return header->status % 2 == 0;
}

static const VimgReaderFuncs funcs = {on_mode, on_piece, on_packet};

static void
check_frames(const uint8_t *data, gsize n)
{
    static int fds[2] = {-1, -1};
    Frames frames = {.packets = 0};
    VimgReaderResult result;
    char rest[4096];

    if (n > FRAMES_MAX)
        return;
    if (fds[0] < 0)
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
    if (n)
        g_assert_cmpint(write(fds[1], data, n), ==, (gssize)n);
    vimg_reader_init(&frames.reader, &funcs, &frames);
    do {
        result = vimg_reader_read(&frames.reader, fds[0]);
    } while (result == VIMG_READER_YIELD || result == VIMG_READER_STOPPED);
    g_assert_true(result == VIMG_READER_AGAIN || result == VIMG_READER_BROKEN);
    g_assert_cmpuint(frames.packets, <=, n / VIMG_FRAME_MIN);
    vimg_reader_clear(&frames.reader);
    while (read(fds[0], rest, sizeof(rest)) > 0)
        ;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const VimgProc *proc;

    if (size < 3)
        return 0;
    if (data[0] >= 192) {
        check_frames(data + 1, size - 1);
        return 0;
    }
    proc = choose((guint)data[1] << 8 | data[2]);
    if (data[0] < 128)
        check_xdr(proc->args, proc->args_size, data + 3, size - 3);
    else
        check_xdr(proc->ret, proc->ret_size, data + 3, size - 3);
    return 0;
}
