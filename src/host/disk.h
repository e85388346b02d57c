/*
 * disk.h: an image of ours as a machine would see it, whatever it is stored as
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_DISK_H
#define VIMG_HOST_DISK_H

#include "host/primary-source.h"

typedef struct _VimgHostDisk VimgHostDisk;

/*
 * Serves the image of @source privately and opens it; one that is not raw by a program that may do
 * nothing else, with its format said.  Returns: (transfer full); NULL with @error
 */
VimgHostDisk *vimg_host_disk_open(const VimgHostSource *source, GError **error);
void vimg_host_disk_close(VimgHostDisk *disk); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostDisk, vimg_host_disk_close)

guint64 vimg_host_disk_size(const VimgHostDisk *disk);

/* [start, end) of it that may hold something; the rest is zeros. */
typedef struct {
    guint64 start, end;
} VimgHostRun;

/* In order.  Returns: (transfer full) of VimgHostRun; NULL with @error */
GArray *vimg_host_disk_runs(VimgHostDisk *disk, GError **error);

/* One piece of what is to become of it. */
typedef struct {
    enum {
        VIMG_HOST_PIECE_ZEROS,
        VIMG_HOST_PIECE_DATA, /* of the disk, at @offset */
        VIMG_HOST_PIECE_MADE, /* by the callback below */
    } kind;
    guint64 offset;
    guint64 length; /* 0: the end */
} VimgHostPiece;

typedef struct {
    /* What comes at @at; not more of data or made than one may wish to hold in memory. */
    void (*look)(gpointer data, guint64 at, VimgHostPiece *out);
    void (*make)(gpointer data, guint64 at, guint8 *out, gsize size); /* may be NULL */
    gpointer data;
    guint64 total; /* bytes of all pieces */
} VimgHostPlan;

/* All pieces of @plan into @sink, read ahead of it. */
gboolean vimg_host_disk_pour(VimgHostDisk *disk, const VimgHostPlan *plan, VimgHostSink *sink,
                             GError **error);

#endif
