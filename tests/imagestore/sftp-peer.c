/*
 * sftp-peer.c: the far end of an SFTP conversation, byte by byte
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>

#include "sftp-peer.h"

void
sftp_peer_say(SftpPeer *peer, gconstpointer data, gsize size)
{
    const guint8 *at = data;

    while (size > 0) {
        gsize piece = MIN(peer->piece > 0 ? MIN(peer->piece, size) : size, peer->allowed);
        gssize n = piece > 0 ? send(peer->fd, at, piece, MSG_NOSIGNAL) : -1;

        if (n <= 0) {
            shutdown(peer->fd, SHUT_RDWR);
            return;
        }
        at += n;
        size -= (gsize)n;
        peer->allowed -= (gsize)n;
    }
}

void
sftp_peer_say_packet(SftpPeer *peer, const char *hex, guint32 id)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    guint32 number = GUINT32_TO_BE(id);

    g_byte_array_append(out, (const guint8 *)"0000", 4);
    for (; *hex; hex++) {
        guint8 byte;

        if (*hex == ' ')
            continue;
        if (*hex == '*') {
            g_byte_array_append(out, (const guint8 *)&number, 4);
            continue;
        }
        byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        g_byte_array_append(out, &byte, 1);
        hex++;
    }
    number = GUINT32_TO_BE(out->len - 4);
    memcpy(out->data, &number, 4);
    sftp_peer_say(peer, out->data, out->len);
}

gboolean
sftp_peer_hear(SftpPeer *peer, gpointer data, gsize size)
{
    return recv(peer->fd, data, size, MSG_WAITALL) == (gssize)size;
}

gboolean
sftp_peer_hear_request(SftpPeer *peer, VimgSftpType *type, guint32 *id)
{
    g_autofree guint8 *packet = NULL;
    guint32 length;

    if (!sftp_peer_hear(peer, &length, sizeof(length)))
        return FALSE;
    length = GUINT32_FROM_BE(length);
    g_assert_cmpuint(length, >=, 5);
    packet = g_malloc(length);
    if (!sftp_peer_hear(peer, packet, length))
        return FALSE;
    *type = packet[0];
    memcpy(id, packet + 1, 4);
    *id = GUINT32_FROM_BE(*id);
    return TRUE;
}
