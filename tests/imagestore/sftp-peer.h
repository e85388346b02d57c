/*
 * sftp-peer.h: the far end of an SFTP conversation, byte by byte
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_SFTP_PEER_H
#define TESTS_IMAGESTORE_SFTP_PEER_H

#include "sftp/packet.h"

typedef struct _SftpScript SftpScript; /* of the test */

typedef struct {
    const SftpScript *script;
    int fd;        /* a socket */
    gsize allowed; /* bytes it says before it hangs up */
    gsize piece;   /* bytes of a write; 0: all */
} SftpPeer;

void sftp_peer_say(SftpPeer *peer, gconstpointer data, gsize size);
/* A packet in hexadecimal, "*" for the bytes of @id; the length is put in front. */
void sftp_peer_say_packet(SftpPeer *peer, const char *hex, guint32 id);

/* Both: FALSE once the client is gone. */
gboolean sftp_peer_hear(SftpPeer *peer, gpointer data, gsize size);
gboolean sftp_peer_hear_request(SftpPeer *peer, VimgSftpType *type, guint32 *id);

#endif
