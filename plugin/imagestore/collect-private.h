/*
 * collect-private.h: what the parts of a collection share
 *
 * collect.c leads; tidy.c takes away images, condemn.c moves slices.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_COLLECT_PRIVATE_H
#define VIMG_IMAGESTORE_COLLECT_PRIVATE_H

#include "collect.h"
#include "gc-lock.h"
#include "roots.h"

typedef struct {
    guint64 count;
    guint64 bytes;
} VimgTally;

/* What was done, by kind; on a dry run what would be. */
typedef struct {
    VimgTally slices;    /* freed */
    VimgTally expired;   /* images from the trash */
    VimgTally abandoned; /* uploads that nobody took up again */
    VimgTally rubbish;   /* what is left of images nobody can see */
    VimgTally names;     /* claims without an image */
    VimgTally bad;       /* damaged slices whose good copy is back */
    VimgTally temporary; /* leases of the dead, with what was staged in them */
    guint64 restored;    /* condemned slices that somebody needed */
    guint64 foreign;     /* files among the slices that are none */
    guint64 waiting;     /* condemned slices that wait for leases to end */
    GString *removed;    /* names of images, for the report */
    GPtrArray *leases;   /* of char: those waited for in vain, as their holders */
} VimgReport;

typedef struct {
    VimgSliceStore *store;
    VimgPluginJob *job; /* NULL: the store's own timer */
    gboolean dry_run;
    gint64 now;     /* seconds since 1970 by the storage's clock */
    gint64 resumed; /* since when we work without a rest, monotonic */
    VimgGcLock *lock;
    guint prefix;  /* the first that was not looked at yet */
    gboolean more; /* slices may be left to condemn */
    VimgRoots roots;
    GHashTable *going;   /* uuids of images that a dry run would take away */
    GHashTable *named;   /* names by uuids, as the manifests say */
    GPtrArray *suspects; /* of char: images that may be about to appear, or rubbish */
    VimgReport report;
} VimgCollection;

#define VIMG_COLLECT_POLL (G_USEC_PER_SEC / 5) /* between two looks whether others have ended */

/* VIMG_ERROR_ABORTED: the job was cancelled or the store is being closed. */
gboolean vimg_collect_check_end(VimgCollection *collection, GError **error);
/*
 * Between two pieces of work; leaves others their time.  FALSE with VIMG_ERROR_ABORTED: the job was
 * cancelled or the store is being closed.
 */
gboolean vimg_collect_go_on(gpointer collection, GError **error);
void vimg_collect_progress(VimgCollection *collection, const char *phase, guint64 done,
                           guint64 total);

/*
 * After @error, which is cleared if it is worth another try: that there was no space, and now the
 * spare is used.
 */
gboolean vimg_collect_find_room(VimgCollection *collection, GError **error);

/* The names in the file @name of the run in @dir; NULL: it is not there, or not whole. */
GPtrArray *vimg_collect_read_names(VimgCollection *collection, const char *dir, const char *name);
/* FALSE without @error: @dir is gone. */
gboolean vimg_collect_write_names(VimgCollection *collection, const char *dir, const char *name,
                                  const GPtrArray *names, GError **error);
/*
 * The leases that the run in @dir has to wait for, noted there in @name; those alive now if nobody
 * noted any.  @out: (transfer full), NULL if the run is gone.
 */
gboolean vimg_collect_get_leases(VimgCollection *collection, const char *dir, const char *name,
                                 GPtrArray **out, GError **error);
/* Drops from @leases those that ended.  @alive: of now. */
void vimg_collect_drop_ended(GPtrArray *leases, const GPtrArray *alive);
/* @out: all have ended. */
gboolean vimg_collect_wait(VimgCollection *collection, GPtrArray *leases, gint64 deadline,
                           gboolean *out, GError **error);

/* Images that expired or were abandoned, and names without an image; fills suspects. */
gboolean vimg_tidy_images(VimgCollection *collection, GError **error);
/* Suspects, once the leases that were alive when they were found have ended. */
gboolean vimg_tidy_suspects(VimgCollection *collection, const GPtrArray *uuids, GError **error);
/* Damaged slices whose good copy is back. */
gboolean vimg_tidy_bad(VimgCollection *collection, GError **error);

/*
 * Moves slices that are not marked to the run's directory, up to a number that one run can well
 * remember; @more: there may be others, from where it goes on.  On a dry run counts all.
 */
gboolean vimg_condemn(VimgCollection *collection, GError **error);
/* Of the condemned slices of the run in @dir: those that are marked now go back to their places. */
gboolean vimg_put_back(VimgCollection *collection, const char *dir, GError **error);
/* The others are freed. */
gboolean vimg_sweep(VimgCollection *collection, const char *dir, GError **error);
/* Returns: (transfer full) the report, JSON. */
char *vimg_report_format(const VimgCollection *collection);
/* How many slices the run in @dir condemned. */
guint64 vimg_count_condemned(VimgCollection *collection, const char *dir);

#endif
