/*
 * publish.pml: two uploads that share a slice with an image in the trash, and two collectors
 *
 * No published image misses a slice whatever stalls or dies, a fenced upload never publishes, none
 * fails while its lease lives, and what nobody names is freed in the end.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define ONE_WAIT /* nobody reads here, so the second one is left out: it takes nothing away sooner */
#define ONE_RUN  /* while one waits nothing else is condemned; clone.pml has that, with one upload */
#define IMAGES 3 /* 1, 2: uploads */
#define TRASHED 0
#define DIRS 7
#define INDEXES { 1, 0, 0 }
#define DELETED true
#define LEASES 2
#define SEARCHES 4
#include "store.pml"

bool one; /* the first upload has begun: which of the two is all the same */

inline upload(image, p)
{
    d_step { p == 0 || one -> one = true; vimg_lease_new(p) };
    put_slice(p);
    vimg_publish_check();
    commit_index(image, p);
    goto failed;
missing:
    assert(MAY_MISS(p));
failed:
    vimg_lease_free(p)
}

active proctype upload_one() provided (!over)
{
    LOOK_VARS;

    upload(1, 0)
}

active proctype upload_two() provided (!over)
{
    LOOK_VARS;

    upload(2, 1)
}
