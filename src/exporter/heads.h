/*
 * heads.h: connections whose request has not come yet, which have so long for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_HEADS_H
#define VIMG_EXPORTER_HEADS_H

#include <glib.h>

typedef struct _VimgHeads VimgHeads;
typedef struct _VimgHead VimgHead;

/* @seconds for the head of a request, however it comes.  It lives as long as the process. */
VimgHeads *vimg_heads_new(guint seconds, GError **error);

/* Each from any thread.  A connection of @fd, which brings a request.  Returns: until removed */
VimgHead *vimg_heads_add(VimgHeads *heads, int fd);
void vimg_heads_came(VimgHeads *heads, VimgHead *head); /* it came; also if it had */
void vimg_heads_await(VimgHeads *heads,
                      VimgHead *head); /* another may come, which has all the time */
/* Before @fd is closed. */
void vimg_heads_remove(VimgHeads *heads, VimgHead *head);

#endif
