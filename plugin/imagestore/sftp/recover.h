/*
 * recover.h: what became of operations whose connection was lost
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_RECOVER_H
#define VIMG_IMAGESTORE_SFTP_RECOVER_H

#include "../transport.h"

/* Where an operation is. */
typedef struct {
    gboolean ended;   /* its result is known */
    gboolean again;   /* its connection was lost at least once */
    gboolean doubted; /* since then, what it answered was looked up: the next answer counts */
    gboolean mine;    /* CREATE: it made the file */
    gboolean replace; /* CREATE: the next attempt removes what is there */
} VimgSftpTrack;

/*
 * Looks up those of the @n operations that have not ended and cannot just be done once more.  They
 * end then, or are to be done again.
 */
void vimg_sftp_recover(VimgTransport *transport, VimgOp *ops, VimgSftpTrack *tracks, gsize n);
/*
 * Whether the result of one that may have been done before is what it would be if the server did
 * that only now: then it is looked up, too.
 */
gboolean vimg_sftp_is_doubtful(const VimgOp *op);
/* What @result means for one that may have been done before. */
int vimg_sftp_settle(const VimgOp *op, int result);

#endif
