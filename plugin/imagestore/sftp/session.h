/*
 * session.h: one SFTP version 3 conversation, with many requests in flight
 *
 * A thread of its own reads and writes the stream.  Requests may be submitted from any thread and
 * are answered in that thread, in any order; servers execute them in the order of submission, but
 * only OpenSSH's promises that.
 *
 * Source: draft-ietf-secsh-filexfer-02; OpenSSH PROTOCOL, section 4, for the extensions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_SESSION_H
#define VIMG_IMAGESTORE_SFTP_SESSION_H

#include "packet.h"
#include "stream.h"

typedef struct _VimgSftpSession VimgSftpSession;

/* One request: the caller's memory, its to reuse once done() was called. */
struct _VimgSftpRequest {
    /* the caller's; strings and data are borrowed until done() */
    VimgSftpType type; /* of packet.h; extended ones have types of their own there */
    const char *path;
    const char *to;       /* RENAME, POSIX_RENAME, HARDLINK: the new name */
    const guint8 *handle; /* CLOSE, READ, WRITE, FSTAT, READDIR, FSYNC */
    guint32 handle_size;
    guint64 offset;
    gconstpointer data; /* WRITE */
    guint32 size;       /* of @data, or READ: bytes wanted; at most what the server takes */
    guint32 open_flags; /* VimgSftpFlags */
    guint32 mode;       /* OPEN, MKDIR: permissions; 0: the server's */
    /*
     * In the session's thread; may submit further requests, must not block.  @reply is borrowed;
     * NULL: the connection was lost, and nobody knows whether the request was executed.  A request
     * that fits no packet is answered with VIMG_SFTP_BAD_MESSAGE without being sent.
     */
    void (*done)(VimgSftpRequest *request, const VimgSftpReply *reply);
    gpointer owner; /* for done() */

    /* the session's */
    guint32 id;
    GList link;
};

/*
 * Greets the server and asks for its limits.  Takes @stream over, also on failure.  Returns:
 * (transfer full); NULL with VIMG_ERROR_DISCONNECTED if that takes longer than half a minute or the
 * server speaks nonsense, with VIMG_ERROR_ABORTED if @stream was given up.
 */
VimgSftpSession *vimg_sftp_session_new(VimgSftpStream *stream, GError **error);
const VimgSftpServer *vimg_sftp_session_server(const VimgSftpSession *session);
/* From done(): whether the server opened a directory; said once if not. */
void vimg_sftp_session_note_directories(VimgSftpSession *session, gboolean opened);
/* Any thread.  On a lost session done() is called at once, in the caller's thread. */
void vimg_sftp_session_submit(VimgSftpSession *session, VimgSftpRequest *request);
/* Whether it was lost; @reason: (transfer full) why, in words.  Once lost it stays so. */
gboolean vimg_sftp_session_is_lost(VimgSftpSession *session, char **reason);
/* Loses it if its stream was given up. */
void vimg_sftp_session_heed(VimgSftpSession *session);
/* What a request weighs besides its data, in bytes: as much as takes a server about as long. */
#define VIMG_SFTP_REQUEST_WEIGHT ((guint64)4 * 1024)
/* Bytes and requests under way, to choose the least busy of several. */
guint64 vimg_sftp_session_load(VimgSftpSession *session);
/* Ends the thread; what was under way is done with NULL.  Accepts NULL; not from done(). */
void vimg_sftp_session_free(VimgSftpSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSftpSession, vimg_sftp_session_free)

#endif
