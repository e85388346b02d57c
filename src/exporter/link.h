/*
 * link.h: the export server's side of what it and the daemon say to each other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_LINK_H
#define VIMG_EXPORTER_LINK_H

#include "exporter/protocol.h"

typedef struct _VimgExporterLink VimgExporterLink;

/* On @fd.  The process ends when the daemon does, or says what cannot be. */
VimgExporterLink *vimg_exporter_link_new(int fd, GError **error);

/* Each from any thread, which waits for the answer. */
VimgExporterStatus vimg_exporter_link_look(VimgExporterLink *link, const guint8 *hash,
                                           VimgExporterInfo *out);
/* @n extents, at least one, of the first bytes behind @offset; @out has room for all that may be.
 */
VimgExporterStatus vimg_exporter_link_map(VimgExporterLink *link, const guint8 *hash,
                                          guint64 offset, VimgExporterExtent *out, guint *n);
/*
 * Some of @length bytes at @offset: *@got of them, which are in @out, @most at most, unless they
 * are *@zeros.
 */
VimgExporterStatus vimg_exporter_link_read(VimgExporterLink *link, const guint8 *hash,
                                           guint64 offset, guint64 length, gpointer out, gsize most,
                                           guint64 *got, gboolean *zeros);

#endif
