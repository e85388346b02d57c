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

/* Tells the daemon that exports are served from now on. */
void vimg_exporter_link_begin(VimgExporterLink *link);
/* Each from any thread, which waits for the answer. */
VimgExporterStatus vimg_exporter_link_look(VimgExporterLink *link, const guint8 *hash,
                                           VimgExporterInfo *out);
/* @n extents, at least one, of the first bytes behind @offset; @out has room for all that may be.
 */
VimgExporterStatus vimg_exporter_link_map(VimgExporterLink *link, const guint8 *hash,
                                          guint64 offset, VimgExporterExtent *out, guint *n);
/* What is to be read: some of @length bytes at @offset. */
typedef struct {
    guint64 offset;
    guint64 length;
    guint64 until; /* to where more will be asked for; 0: not known */
    guint64 place; /* of the data, if that should go into the file; VIMG_EXPORTER_NOWHERE */
    gpointer out;  /* of what is sent nonetheless */
    gsize most;    /* bytes of data, in either */
} VimgExporterRead;

/* *@got bytes of them, by *@way, which is not PLACED unless that was asked for. */
VimgExporterStatus vimg_exporter_link_read(VimgExporterLink *link, const guint8 *hash,
                                           const VimgExporterRead *read, guint64 *got,
                                           VimgExporterWay *way);

#endif
