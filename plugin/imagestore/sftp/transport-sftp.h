/*
 * transport-sftp.h: file operations on a server, over SFTP
 *
 * Operations of one batch, and of all threads, are in flight at once on up to eight connections,
 * each opened when the others are busy.  What was lost with a connection is done again on the next
 * one, or, where once more would be once too often, looked up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_TRANSPORT_SFTP_H
#define VIMG_IMAGESTORE_SFTP_TRANSPORT_SFTP_H

#include "../transport.h"
#include "stream.h"

#define VIMG_SFTP_CONNECTIONS_MAX 8
#define VIMG_SFTP_PATIENCE 25 /* seconds */

typedef struct {
    const char *root; /* absolute, on the server; copied */
    /*
     * Opens one connection, in a thread of the transport, never two at once; ends by itself in half
     * a minute.  Any error but VIMG_ERROR_DISCONNECTED is one that only a job waits out.  Returns:
     * (transfer full)
     */
    VimgSftpStream *(*connect)(gpointer data, GError **error);
    /*
     * optional; the same while there are other connections, to the machine that these lead to; some
     * at once, but none beside connect()
     */
    VimgSftpStream *(*connect_more)(gpointer data, GError **error);
    /* optional; from another thread: connect() is to fail soon, as the transport ends */
    void (*give_up)(gpointer data);
    /*
     * optional; in the same thread, for what connect() made, before anything else is asked there:
     * whether it is the right storage.  @fresh is it, by this connection alone.
     */
    gboolean (*check)(VimgTransport *fresh, gpointer data, GError **error);
    /* optional; in the same thread: the last connection was lost, or one is there again */
    void (*status)(gboolean connected, const char *reason, gpointer data);
    gpointer data;
    GDestroyNotify free_data; /* of @data, when the transport is freed; may be NULL */
    guint connections;        /* at most; 1 to 8 */
    guint patience;           /* seconds a lost server is waited for without a job; 0: 25 */
} VimgSftpTransportConfig;

/* Connects to nothing yet. */
VimgTransport *vimg_transport_sftp_new(const VimgSftpTransportConfig *config);
/*
 * One attempt, now, unless there is a connection.  Returns: FALSE with the error of connect(), or
 * with VIMG_ERROR_ABORTED as soon as the thread's job was cancelled.
 */
gboolean vimg_transport_sftp_connect(VimgTransport *transport, GError **error);
/*
 * connect() goes another way now: one connection is opened by it, whatever others there are; those
 * get nothing more to do and end.  @connections: at most, from now on.  Returns: FALSE with the
 * error of connect(), and all is as before, or with VIMG_ERROR_ABORTED, as above: it goes on.
 */
gboolean vimg_transport_sftp_renew(VimgTransport *transport, guint connections, GError **error);
/* connect() goes the former way again after that: what was opened meanwhile ends; no waiting. */
void vimg_transport_sftp_restore(VimgTransport *transport);

#endif
