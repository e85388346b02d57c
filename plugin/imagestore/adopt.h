/*
 * adopt.h: plain files beside the store that may become images
 *
 * The origin of such a file is "size=N mtime=SECONDS path=NAME", relative to the root, since
 * another host may have mounted it elsewhere.  It is what every host sees alike, be it over SFTP,
 * and what a copy of the whole store to another disk keeps: no inode, no device, no parts of a
 * second.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_ADOPT_H
#define VIMG_IMAGESTORE_ADOPT_H

#include "store.h"

/* @out: whether an image of @origin was removed, on whatever host. */
gboolean vimg_adopted_before(VimgSliceStore *store, const char *origin, gboolean *out,
                             GError **error);
/* Makes it so, durably. */
gboolean vimg_adopted_note(VimgSliceStore *store, const char *origin, GError **error);

/* Returns: (transfer full) */
char *vimg_adopt_origin(const char *name, const VimgFileInfo *info);
/* The files that have been as they are for a minute and were not adopted before, by name. */
gboolean vimg_adopt_list(VimgSliceStore *store, VimgFileSink sink, gpointer data,
                         VimgPluginJob *job, GError **error);

/* file-reader.c; as file_open(), file_next() and file_close() of the contract */
typedef struct _VimgFileReader VimgFileReader;
VimgFileReader *vimg_file_reader_open(VimgSliceStore *store, const char *origin, guint64 offset,
                                      VimgPluginJob *job, GError **error);
gboolean vimg_file_reader_next(VimgFileReader *reader, VimgExtent *out, GError **error);
VimgSliceStore *vimg_file_reader_store(const VimgFileReader *reader);
void vimg_file_reader_close(VimgFileReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgFileReader, vimg_file_reader_close)

#endif
