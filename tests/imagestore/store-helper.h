/*
 * store-helper.h: stores and images for the tests of the slice store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_STORE_HELPER_H
#define TESTS_IMAGESTORE_STORE_HELPER_H

#include "image.h"
#include "open.h"
#include "reader.h"
#include "store.h"
#include "writer.h"

#define KIB ((guint64)1024)
#define MIB (1024 * KIB)

/* A private directory; Returns: (transfer full). */
char *helper_dir(void);
/* Removes it with all it holds. */
void helper_remove_dir(const char *dir);
/* Puts what is in @from into @to. */
void helper_copy_dir(const char *from, const char *to);

/* What a test in a private directory gets. */
typedef struct {
    char *dir; /* empty at first */
} HelperHome;

void helper_add(const char *path, void (*test)(HelperHome *, gconstpointer), gconstpointer data);

/*
 * To the files in @dir: of this host, or through a server as VIMG_TEST_TRANSPORT says, "sftp" or
 * "sftp-plain", which is one without extensions.
 */
VimgTransport *helper_transport(const char *dir);
/* A new store with slices of 64 KiB on @transport, which it takes over. */
VimgSliceStore *helper_store(VimgTransport *transport);
VimgSliceStore *helper_local_store(const HelperHome *home);
/* The store that lies there already. */
VimgSliceStore *helper_reopen(VimgTransport *transport);
/* A lease or a lock whose owner was lost with the power is given up after a while. */
void helper_let_time_pass(VimgSliceStore *store);

/*
 * Builds with sanitizers, which look at code rather than at every step, try each VIMG_TEST_STRIDEth
 * step only.
 */
guint helper_stride(void);

/*
 * Calls @run with a job that is cancelled when it is asked about for the first time, the second and
 * so on, which must end it with VIMG_ERROR_ABORTED, until it ends by itself, TRUE.
 */
void helper_cancel(gboolean (*run)(VimgPluginJob *job, gpointer data, GError **error),
                   gpointer data);
/*
 * From now on the daemon answers, saying nothing and without timers.  HELPER_JOB is cancelled at
 * the helper_cancel_after-th question whether it is, or from helper_cancel_at on; 0: never.
 */
void helper_serve(void);
extern guint helper_cancel_after;
extern gint64 helper_cancel_at;
extern guint helper_whole; /* how often a job said that it was through all */
#define HELPER_JOB ((VimgPluginJob *)&helper_cancel_after)

/* Fences every lease, as others do with those of a host that is gone. */
void helper_fence_all(VimgSliceStore *store);

/* Bytes that depend on @seed; from @zero_every on, every such block of 64 KiB is zero (0: none). */
VimgBuffer *helper_content(guint32 seed, gsize size, guint zero_every);

/* Returns: (transfer full) the uuid of a new saving image. */
char *helper_create(VimgSliceStore *store, const char *name, guint64 capacity);
/* @format: NULL: not declared */
char *helper_create_format(VimgSliceStore *store, const char *name, const char *format);
gboolean helper_try_create(VimgSliceStore *store, const char *name, char **uuid, GError **error);

/* Writes @content from @offset on in pieces of @piece bytes; @sparse: zero blocks as holes. */
gboolean helper_feed(VimgSliceWriter *writer, const VimgBuffer *content, gsize offset, gsize piece,
                     gboolean sparse, GError **error);
/* A whole upload that seals the image. */
gboolean helper_upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *content,
                       GError **error);
gboolean helper_finish(VimgSliceWriter *writer, gboolean seal, guint64 capacity, GError **error);

/* Returns: (transfer full) what a download gives; NULL with @error. */
VimgBuffer *helper_download(VimgSliceStore *store, const char *uuid, guint64 offset, guint64 length,
                            GError **error);
void helper_assert_content(VimgSliceStore *store, const char *uuid, const VimgBuffer *content);
/* Returns: (transfer full) the index of an active image. */
VimgBuffer *helper_index(VimgSliceStore *store, const char *uuid);
gboolean helper_exists(VimgSliceStore *store, const char *path);
/* Entries of gc/ but the spare. */
guint helper_count_gc(VimgSliceStore *store);
/* Files of slices in their places, the zero slices among them. */
guint helper_count_slices(VimgSliceStore *store);
guint helper_count_images(VimgSliceStore *store);
VimgImageState helper_state(VimgSliceStore *store, const char *uuid);

#endif
