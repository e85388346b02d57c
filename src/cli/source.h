/*
 * source.h: a file that is uploaded, as runs of data and of zeros
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_SOURCE_H
#define VIMG_CLI_SOURCE_H

#include <sys/stat.h>
#include <glib.h>

typedef struct {
    char *path;
    int fd;
    guint64 size;
    struct stat first;   /* as it was opened */
    guint64 from, until; /* the data that was found last lies in here */
} VimgSource;

/* A regular file or a block device. */
VimgSource *vimg_source_open(const char *path, GError **error);
void vimg_source_free(VimgSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSource, vimg_source_free)

/*
 * What begins at @offset, which is below the size: a hole, or what is as good as one, or data up to
 * the next multiple of @most at most.  Returns: its length; 0 with an error.
 */
guint64 vimg_source_next(VimgSource *source, guint64 offset, gsize most, gboolean *hole,
                         GError **error);

/* Fails if it is not the file that was opened any more. */
gboolean vimg_source_check(const VimgSource *source, GError **error);

/*
 * Numbers that are others if it is another file, or has other content.  Returns: FALSE for a
 * device, of which nothing tells.
 */
#define VIMG_SOURCE_IDENTITY 7
gboolean vimg_source_identify(const VimgSource *source, guint64 identity[VIMG_SOURCE_IDENTITY]);

#endif
