/*
 * inbox.h: how other threads get something done in the main loop
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_INBOX_H
#define VIMG_RPC_INBOX_H

#include <glib.h>

typedef struct _VimgInbox VimgInbox;

VimgInbox *vimg_inbox_new(GMainContext *context, GError **error);
/* Main loop; nobody posts any more and nothing is left.  Accepts NULL. */
void vimg_inbox_free(VimgInbox *inbox);

/* Any thread: calls @func(@data) in the main loop, in the order of the posts. */
void vimg_inbox_post(VimgInbox *inbox, void (*func)(gpointer data), gpointer data);

/* Main loop: runs what is there; waits for a post first if there is none and @wait is set. */
void vimg_inbox_run(VimgInbox *inbox, gboolean wait);

#endif
