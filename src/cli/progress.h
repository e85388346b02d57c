/*
 * progress.h: how far something is, on a terminal or for programs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_PROGRESS_H
#define VIMG_CLI_PROGRESS_H

#include "cli/command.h"

/*
 * On standard error, as ctl->progress asks for: a line that is drawn anew twice a second on a
 * terminal, one JSON object a line for programs, or nothing.
 */
typedef struct _VimgProgress VimgProgress;

/* @what goes on, from anywhere; @bytes: the numbers of all its phases are bytes. */
VimgProgress *vimg_progress_begin(const VimgCtl *ctl, const char *what, gboolean bytes);
/* A change of @phase (NULL: it has none) starts the clock again; a @total of 0 is not known. */
void vimg_progress_update(VimgProgress *progress, const char *phase, guint64 done, guint64 total);
/* The line is gone, and what is printed next has its place.  Accepts NULL. */
void vimg_progress_end(VimgProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgProgress, vimg_progress_end)

/* What a line shows.  A rate of 0 is not known. */
typedef struct {
    const char *what, *phase;
    gboolean bytes;
    guint64 done, total;
    double rate; /* a second */
} VimgProgressView;

/* Whether @phase (or NULL) counts bytes where the job as a whole does not. */
gboolean vimg_progress_counts_bytes(const char *phase);
/* Returns: (transfer full) a line of at most @columns columns. */
char *vimg_progress_line(const VimgProgressView *view, guint columns);
/* Returns: (transfer full) a JSON object in one line. */
char *vimg_progress_json(const VimgProgressView *view);

#endif
