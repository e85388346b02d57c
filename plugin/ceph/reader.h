/*
 * reader.h: one download
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_READER_H
#define VIMG_CEPH_READER_H

#include "record.h"

typedef struct _VimgCephReader VimgCephReader;

/* For the table of callbacks. */
VimgCephReader *vimg_ceph_reader_open(VimgCephStore *store, const char *uuid, guint64 offset,
                                      guint64 length, VimgPluginJob *job, GError **error);
gboolean vimg_ceph_reader_next(VimgCephReader *reader, VimgExtent *out, GError **error);
gboolean vimg_ceph_reader_zeros(VimgCephStore *store, const char *uuid, VimgZerosSink sink,
                                gpointer data, VimgPluginJob *job, GError **error);
/* Accepts NULL. */
/* Of what it reads, borrowed until it is closed; NULL: not known. */
const char *vimg_ceph_reader_generation(const VimgCephReader *reader);
void vimg_ceph_reader_close(VimgCephReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephReader, vimg_ceph_reader_close)

#endif
