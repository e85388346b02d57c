/*
 * fuzz-sftp.c: what an SFTP server says; what is taken is within what was said
 *
 * The first byte is how much comes at once, the second what was asked for first; each packet is
 * taken for the answer to another request.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "fuzz.h"
#include "sftp/wire.h"

static const VimgSftpType types[] = {
    VIMG_SFTP_OPEN,  VIMG_SFTP_READ,     VIMG_SFTP_READDIR, VIMG_SFTP_STAT,
    VIMG_SFTP_WRITE, VIMG_SFTP_REALPATH, VIMG_SFTP_STATVFS, VIMG_SFTP_LIMITS,
};

typedef struct {
    VimgSftpStream stream;
    const guint8 *at, *end;
    gsize piece;
} Source;

static gssize
source_read(VimgSftpStream *stream, gpointer data, gsize size)
{
    Source *source = (Source *)stream;
    gsize n = MIN(MIN(source->piece, size), (gsize)(source->end - source->at));

    g_assert_cmpuint(size, >, 0);
    if (n == 0)
        return 0;
    memcpy(data, source->at, n);
    source->at += n;
    return (gssize)n;
}

static void
source_free(VimgSftpStream *stream)
{
    (void)stream;
}

static const VimgSftpStreamOps source_ops = {
    .read = source_read,
    .free = source_free,
};

static void
check_name(const VimgSftpName *name, gboolean is_path)
{
    g_assert_cmpstr(name->name, !=, "");
    if (is_path)
        return;
    g_assert_null(strchr(name->name, '/'));
    g_assert_cmpstr(name->name, !=, ".");
    g_assert_cmpstr(name->name, !=, "..");
}

static void
check_reply(VimgSftpType type, const VimgSftpReply *reply, const guint8 *packet, gsize size)
{
    gsize n = reply->names ? reply->names->len : 0;
    gsize i;

    g_assert_true(reply->type == VIMG_SFTP_STATUS || reply->type == vimg_sftp_answer(type));
    if (reply->type != VIMG_SFTP_STATUS)
        g_assert_cmpuint(reply->status, ==, VIMG_SFTP_OK);
    if (reply->data)
        g_assert_true(reply->data >= packet && reply->data + reply->size <= packet + size);
    if (reply->type == VIMG_SFTP_HANDLE)
        g_assert_true(reply->size > 0 && reply->size <= VIMG_SFTP_HANDLE_MAX);
    g_assert_cmpuint(n * 13, <=, size);
    if (type == VIMG_SFTP_REALPATH && reply->names)
        g_assert_cmpuint(n, ==, 1);
    for (i = 0; i < n; i++)
        check_name(g_ptr_array_index(reply->names, i), type == VIMG_SFTP_REALPATH);
}

static void
check_packet(VimgSftpType type, const guint8 *data, gsize size)
{
    /* exactly as large as it is, so that a sanitizer sees the first byte read behind it */
    g_autofree guint8 *packet = g_memdup2(data, size);
    g_auto(VimgSftpReply) reply = {0};
    VimgSftpServer server;
    VimgSftpSpace space;
    guint32 version;
    guint32 id = 0;

    if (vimg_sftp_version_parse(packet, size, &version, &server))
        g_assert_cmpuint(server.write_max, ==, 32 * 1024);
    g_assert_true(vimg_sftp_reply_id(packet, size, &id));
    if (!vimg_sftp_reply_parse(type, packet, size, &reply))
        return;
    g_assert_cmpuint(reply.id, ==, id);
    check_reply(type, &reply, packet, size);
    if (reply.type != VIMG_SFTP_EXTENDED_REPLY)
        return;
    vimg_sftp_space_parse(&reply, &space);
    if (vimg_sftp_limits_parse(&reply, &server))
        g_assert_true(server.read_max >= 32 * 1024 && server.read_max < VIMG_SFTP_PACKET_MAX &&
                      server.write_max >= 32 * 1024 && server.write_max < VIMG_SFTP_PACKET_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Source source = {.stream = {.ops = &source_ops}, .at = data + 2, .end = data + size};
    VimgSftpWire wire;
    gboolean good = TRUE;
    gboolean some;
    gsize i;

    if (size < 2)
        return 0;
    source.piece = data[0] > 0 ? (gsize)data[0] * data[0] * data[0] : 1;
    i = data[1];
    vimg_sftp_wire_init(&wire, &source.stream);
    while (good && vimg_sftp_wire_receive(&wire, &some, NULL)) {
        const guint8 *packet;
        gsize length = 0;

        while ((good = vimg_sftp_wire_take(&wire, &packet, &length, NULL)) && packet)
            check_packet(types[i++ % G_N_ELEMENTS(types)], packet, length);
    }
    vimg_sftp_wire_clear(&wire);
    return 0;
}
