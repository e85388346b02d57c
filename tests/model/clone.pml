/*
 * clone.pml: an upload, a clone of it, a purge of the first, and two collectors
 *
 * An index may vanish at any time, so that a clone names slices that no other image has any more.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define ONE_WAIT /* nobody reads here, so the second one is left out: it takes nothing away sooner */
#define IMAGES 2 /* 0: the upload; 1: the clone, made here */
#define TRASHED 0
#define DIRS 1
#define INDEXES { 0, 0 }
#define DELETED false
#define LEASES 2
#define SEARCHES 4
#include "store.pml"

active proctype upload() provided (!over)
{
    LOOK_VARS;

    vimg_lease_new(0);
    put_slice(0);
    vimg_publish_check();
    commit_index(0, 0);
    goto failed;
missing:
    assert(MAY_MISS(0));
failed:
    vimg_lease_free(0)
}

/* One that finds a slice missing fails: its source is gone. */
active proctype vimg_clone() provided (!over)
{
    LOOK_VARS;

    vimg_lease_new(1);
    index[0] == 1; /* vimg_slice_reader_index */
    dirs = dirs | BIT(1); /* vimg_image_make */
    vimg_publish_check();
    commit_index(1, 1);
missing:
failed:
    vimg_lease_free(1)
}

active proctype vimg_trash_purge() provided (!over)
{
    d_step { index[0] -> index[0] = 0 }
}
