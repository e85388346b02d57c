/*
 * machine-base.h: the image before, of which the next one has what was not changed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_BASE_H
#define VIMG_CLI_MACHINE_BASE_H

#include "cli/image.h"
#include "cli/stream.h"

typedef struct _VimgBase VimgBase;

/* Reads @image from its beginning, over a connection of its own. */
VimgBase *vimg_base_open(VimgCtl *ctl, const VimgImage *image, GError **error);
/* Accepts NULL. */
void vimg_base_free(VimgBase *base);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgBase, vimg_base_free)

/* As vimg_stream_set_tick(). */
void vimg_base_set_tick(VimgBase *base, VimgStreamTickFunc tick, gpointer data);

/* Sends its bytes from @offset, which never goes back, on over @to. */
gboolean vimg_base_send(VimgBase *base, VimgStream *to, guint64 offset, guint64 length,
                        GError **error);

#endif
