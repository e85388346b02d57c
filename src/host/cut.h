/*
 * cut.h: ending a connection of libvirt's from outside, when its daemon does not answer
 *
 * A call of libvirt waits until its daemon answers or was silent for too long, and nothing in its
 * interface ends that wait.  What does is the end of the socket below.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_CUT_H
#define VIMG_HOST_CUT_H

#include "pool/primary.h"

/* Returns: (transfer full) the sockets of this process that may be libvirt's */
GHashTable *vimg_cut_sockets(void);
/*
 * Returns: (transfer full) a descriptor of the one that has come since @before; -1: there is none,
 * or other threads have opened some too, and nobody can tell which is whose
 */
int vimg_cut_find(GHashTable *before);

typedef struct _VimgCutter VimgCutter;

/*
 * From now on the socket @line is shut down if the job of @transfer, which lives longer, was
 * cancelled and is not over some seconds later.  @line -1: never.  Returns: (transfer full); NULL
 * with @error
 */
VimgCutter *vimg_cutter_new(int line, VimgTransfer *transfer, GError **error);
void vimg_cutter_free(VimgCutter *cutter); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCutter, vimg_cutter_free)

#endif
