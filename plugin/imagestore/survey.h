/*
 * survey.h: which leases are alive, and the end of those that are not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SURVEY_H
#define VIMG_IMAGESTORE_SURVEY_H

#include "store.h"

/* A heartbeat that was seen not to change for so long belongs to nobody any more. */
#define VIMG_FENCE_AFTER (15 * 60 * G_USEC_PER_SEC)

/* A directory with "owner" and "heartbeat". */
typedef struct {
    const char *dir;
    gboolean dead; /* the answer */
} VimgSurveyed;

/*
 * Whether the owners of @n directories live, as far as can be known: one whose process is gone from
 * this boot is dead, as is one whose heartbeat was looked at for long enough.  @now:
 * g_get_monotonic_time().
 */
void vimg_survey_owners(VimgSliceStore *store, VimgSurveyed *items, gsize n, gint64 now);

/*
 * Fences the leases that are dead, and removes what earlier fencings left.  Returns: (transfer
 * full) of char: the names of those alive; NULL with @error.
 */
GPtrArray *vimg_survey_leases(VimgSliceStore *store, gint64 now, GError **error);

/* Whether the lease @name is there. */
gboolean vimg_survey_is_alive(VimgSliceStore *store, const char *name);
/* Returns: (transfer full) who holds the lease @name, for people. */
char *vimg_survey_holder(VimgSliceStore *store, const char *name);
/*
 * Whether anybody has a lease.  @dir: (transfer full) of one, NULL: surely nobody; @holder:
 * (transfer full) who that is, for people.  Returns: FALSE if it cannot be told.
 */
gboolean vimg_survey_any(VimgSliceStore *store, char **dir, char **holder, GError **error);

#endif
