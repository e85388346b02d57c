/*
 * read.pml: a reader of an image that is published after the mark, and deleted, expires or is purged
 *
 * As long as its lease lives a read never fails, however the slice moves meanwhile: each of two runs
 * may condemn it, be moved with it, and lose it to an upload.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define IMAGES 1
#define TRASHED 0
#define DIRS 1
#define INDEXES { 0 }
#define DELETED false
#define LEASES 2
#ifndef SEARCHES
#define SEARCHES 4
#endif
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

active proctype vimg_image_remove() provided (!over)
{
    d_step {
        index[0] ->
        if
        :: index[0] = 0 /* vimg_trash_purge */
        :: deleted = true
        fi
    }
}

active proctype vimg_slice_read() provided (!over)
{
    LOOK_VARS;

    vimg_lease_new(1);
    d_step { index[0] && !deleted -> skip }; /* vimg_slice_reader_index */
    do
    :: atomic { searches < SEARCHES && (place & BIT(s)) -> break }
    :: atomic { searches < SEARCHES && !(place & BIT(s)) -> searches++ };
        vimg_gc_each(READ);
        if
        :: atomic { found -> found = false; break }
        :: else
        fi
    :: atomic { searches == SEARCHES -> assert(MAY_MISS(1)); break }
    od;
    searches = 0;
    vimg_lease_free(1)
}
