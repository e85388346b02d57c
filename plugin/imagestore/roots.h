/*
 * roots.h: which slices the indexes of a store name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_ROOTS_H
#define VIMG_IMAGESTORE_ROOTS_H

#include "marks.h"
#include "store.h"

/* FALSE with @error: stop. */
typedef gboolean (*VimgGoOn)(gpointer data, GError **error);
typedef gboolean (*VimgIndexSink)(const VimgIndex *index, gpointer data, GError **error);

typedef struct {
    VimgSliceStore *store;
    VimgMarks *marks;
    GHashTable *seen;  /* indexes that were read: path, size and time, or path and digest */
    GHashTable *skip;  /* uuids of images that do not count; may be NULL */
    GHashTable *ready; /* what was read ahead of images, by their uuids */
    gint64 now;        /* by the storage's clock, in seconds, or earlier; 0: nothing is replaced */
    guint64 indexes;
    guint64 slices; /* named by them, each as often as it is */
    VimgGoOn go_on; /* asked before each batch of images */
    gpointer data;
    VimgIndexSink take; /* gets the indexes instead of the marks; NULL: they do */
} VimgRoots;

/* The zero slices are marked already: they are nobody's and everybody's. */
void vimg_roots_init(VimgRoots *roots, VimgSliceStore *store, VimgGoOn go_on, gpointer data);
void vimg_roots_clear(VimgRoots *roots);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgRoots, vimg_roots_clear)

/*
 * Marks what the indexes of all images name, active, saving and in the trash.  Called again it
 * reads those that appeared since.  One that cannot be read is VIMG_ERROR_DAMAGED naming it; one
 * that has a name, and that a storage far away does not list, fails it too.
 */
gboolean vimg_roots_read(VimgRoots *roots, GError **error);
/*
 * Reads at once what vimg_roots_read_image() will ask for, of some of @uuids from @from on.
 * Returns: of how many.
 */
guint vimg_roots_read_ahead(VimgRoots *roots, const GPtrArray *uuids, guint from);
/* The same of one image, without asking go_on; one that is gone names nothing. */
gboolean vimg_roots_read_image(VimgRoots *roots, const char *uuid, GError **error);

#endif
