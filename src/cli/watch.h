/*
 * watch.h: calls that may take hours: their progress, and their end by Ctrl-C
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_WATCH_H
#define VIMG_CLI_WATCH_H

#include "cli/ctl.h"

/* The job that a call will be. */
typedef struct {
    const char *kind;
    const char *volume; /* NULL: the pool's */
    gboolean bytes;     /* its numbers are */
    const char *left;   /* what an interruption leaves, translated */
} VimgWatched;

/*
 * As vimg_ctl_call(), and vimg_ctl_report().  Ctrl-C cancels the job and waits for the answer; a
 * second one leaves at once.  A job that ended so is G_IO_ERROR_CANCELLED.
 */
gboolean vimg_watch_call(VimgCtl *ctl, const VimgWatched *watched, gint32 procedure,
                         xdrproc_t args_proc, gpointer args, xdrproc_t ret_proc, gpointer ret,
                         GError **error);
JsonObject *vimg_watch_report(VimgCtl *ctl, const VimgWatched *watched, gint32 procedure,
                              xdrproc_t args_proc, gpointer args, GError **error);

#endif
