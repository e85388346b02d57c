/*
 * links-private.h: the connections of one transport, for links.c, which hands out places on them,
 * and keeper.c, which opens and frees them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_LINKS_PRIVATE_H
#define VIMG_IMAGESTORE_SFTP_LINKS_PRIVATE_H

#include "links.h"

#define VIMG_SFTP_DELAY_MAX (5 * G_USEC_PER_SEC) /* between attempts to connect, to begin with */

struct _VimgSftpLink {
    VimgSftpSession *session;
    gint64 opened;
    guint places;
    guint tasks;
    guint64 due; /* bytes that these are expected to move, as take() was told */
    gboolean lost;
    gboolean retired; /* its way is no longer the right one: it gets no new tasks */
};

struct _VimgSftpLinks {
    /* set once */
    VimgSftpTransportConfig config;

    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t wanted; /* the keeper has something to do */
    pthread_t keeper;
    gboolean started;
    gboolean stopping;
    GPtrArray *all; /* of VimgSftpLink, those that are lost or retired too */
    guint most;     /* connections that are not retired */
    guint live;     /* neither lost nor retired */
    GQueue batches;
    gboolean want;       /* more connections */
    gboolean opening;    /* an attempt is under way, by what was so when it began */
    GPtrArray *extras;   /* of VimgSftpExtra; they go where those that there are lead to */
    gboolean careful;    /* the last of these failed: the next one goes alone */
    gboolean lost;       /* the last one */
    gboolean told;       /* what status() said of that */
    gint64 since;        /* no connection, monotonic; 0: there is one, or none was wanted yet */
    GHashTable *waiting; /* since then, numbers of jobs: when each began */
    gint64 retry_at;     /* not before */
    gint64 delay;
    gboolean flaps; /* the connection before was lost as soon as it was there */
    guint attempts; /* that ended */
    gint64 failed_at;
    GError *failure; /* of the last attempt, or why the last connection was lost */
    guint64 asked;   /* renewals; each in the place of those before */
    guint64 renewed; /* the last of them that ended */
    GError *refusal; /* what that one ended with; NULL: it succeeded */

    gboolean noted; /* that the server has no fsync; the keeper's */
};

/* All that wait look again.  The lock is held. */
void vimg_sftp_links_wake_all(VimgSftpLinks *links);

/* ---- the keeper's; the lock is held ------------------------------------------------------ */

/* Returns: FALSE with links->failure: it could not be started. */
gboolean vimg_sftp_keeper_start(VimgSftpLinks *links);
/* Asks it for more connections, if need be for the first.  Returns: as above. */
gboolean vimg_sftp_keeper_want(VimgSftpLinks *links);
/* Returns: how many connections count against the most there may be, with those on their way. */
guint vimg_sftp_keeper_count(const VimgSftpLinks *links);
void vimg_sftp_keeper_mark_lost(VimgSftpLinks *links, VimgSftpLink *link);

#endif
