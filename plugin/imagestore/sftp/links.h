/*
 * links.h: the connections of one transport
 *
 * A thread opens them, looks after them and frees those that were lost; whoever has
 * something to ask takes a place on the least busy one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_LINKS_H
#define VIMG_IMAGESTORE_SFTP_LINKS_H

#include "../../thread.h"
#include "session.h"
#include "transport-sftp.h"

#define VIMG_SFTP_JOB_PATIENCE (300 * G_USEC_PER_SEC)

typedef struct _VimgSftpLinks VimgSftpLinks;
typedef struct _VimgSftpLink VimgSftpLink;

/* Places that one thread took; all of it is guarded by the lock of the links. */
typedef struct {
    pthread_cond_t changed;
    guint under_way;
    gint64 began;
    GList node;
    gboolean cancelled; /* atomic; so was the job that it is for */
} VimgSftpBatch;

VimgSftpLinks *vimg_sftp_links_new(const VimgSftpTransportConfig *config);
/* Nothing may be under way.  Accepts NULL. */
void vimg_sftp_links_free(VimgSftpLinks *links);

void vimg_sftp_batch_begin(VimgSftpLinks *links, VimgSftpBatch *batch);
/* Waits until nothing is under way. */
void vimg_sftp_batch_end(VimgSftpLinks *links, VimgSftpBatch *batch);
/*
 * Waits for a place for what moves some @bytes, as far as is known, on the connection that moves
 * the least.  Returns: NULL with @result ENOTCONN or ECANCELED.
 */
VimgSftpLink *vimg_sftp_links_take(VimgSftpLinks *links, VimgSftpBatch *batch, guint64 bytes,
                                   int *result);
/* Any thread.  @bytes: as when it was taken; @lost: so was the connection. */
void vimg_sftp_links_put(VimgSftpLinks *links, VimgSftpBatch *batch, VimgSftpLink *link,
                         guint64 bytes, gboolean lost);
/* Much is about to be moved: what may be opened is, if there is a connection. */
void vimg_sftp_links_expect(VimgSftpLinks *links);
VimgSftpSession *vimg_sftp_link_session(VimgSftpLink *link);

gboolean vimg_sftp_links_connect(VimgSftpLinks *links, GError **error);
/* See vimg_transport_sftp_renew(). */
gboolean vimg_sftp_links_renew(VimgSftpLinks *links, guint connections, GError **error);
/* See vimg_transport_sftp_restore(). */
void vimg_sftp_links_restore(VimgSftpLinks *links);
/* Returns: (transfer full) why there is no connection, or NULL. */
char *vimg_sftp_links_reason(VimgSftpLinks *links);

#endif
