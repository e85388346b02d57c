/*
 * export-link.h: the daemon's side of what it and an export server say to each other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_EXPORT_LINK_H
#define VIMG_DAEMON_EXPORT_LINK_H

#include "pool/model.h"
#include "util/thread.h"

typedef struct _VimgExportLink VimgExportLink;

typedef struct {
    const guint8 *only; /* copied: of the export that every question is; NULL: it says which */
    int file_fd;        /* taken: into which what is read may go; -1: none */
    guint64 room;       /* bytes of the file, at most */
    /* It says that it serves, or @why not; in a thread of the link.  NULL: it says no such thing */
    void (*begin)(const char *why, gpointer data);
    gpointer data;
} VimgExportLinkOptions;

/*
 * Questions that come on @fd, which it takes, are answered by @workers.  Both it and the model
 * outlive what they still do for it after it was closed.  The descriptors are taken also of a link
 * that cannot be made.
 */
VimgExportLink *vimg_export_link_new(int fd, VimgModel *model, VimgWorkers *workers,
                                     const VimgExportLinkOptions *options, GError **error);
/* Nothing more is answered: it ended, or asked what it must not, and whoever it is ought to end. */
gboolean vimg_export_link_is_broken(VimgExportLink *link);
/* Soon: nobody is waited for.  Accepts NULL. */
void vimg_export_link_close(VimgExportLink *link);

#endif
