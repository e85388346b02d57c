/*
 * http-head.h: what the head of an answer says of the bytes that follow
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_HTTP_HEAD_H
#define VIMG_FETCH_HTTP_HEAD_H

#include "util/error.h"

#define VIMG_HTTP_UNKNOWN G_MAXUINT64

typedef struct {
    guint status;
    gboolean whole; /* the line behind the last came */
    gboolean chunked;
    guint64 length;             /* of this answer; or VIMG_HTTP_UNKNOWN, as the next three */
    guint64 first, last, total; /* of Content-Range */
    char *etag;                 /* these may be NULL */
    char *modified;
    char *date;
    char *location;
} VimgHttpHead;

void vimg_http_head_init(VimgHttpHead *head);
void vimg_http_head_clear(VimgHttpHead *head);

/*
 * The next line, with its end.  A status line begins a new head, as those behind "100 Continue" do.
 * What comes behind a whole one is not looked at.  VIMG_ERROR_FAILED: it contradicts itself.
 */
gboolean vimg_http_head_add(VimgHttpHead *head, const char *line, gsize size, GError **error);

/* Returns: (transfer none) what a server can tell by whether it has the same yet; NULL: nothing. */
const char *vimg_http_head_validator(const VimgHttpHead *head);
/* Whether that is a tag that is another one once a byte is. */
gboolean vimg_http_head_has_strong_tag(const VimgHttpHead *head);
/* Whether nothing in them says that what follows @b is not the same as what follows @a. */
gboolean vimg_http_head_same(const VimgHttpHead *a, const VimgHttpHead *b);

#endif
