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
#ifdef NO_LATE
#define TWO_RUNS
#endif
#include "store.pml"

#ifdef TWO_RUNS
/* Both collectors condemn, and leave what they condemned to one that ends both runs at once. */
inline condemn_and_leave(me)
{
    vimg_gc_lock_take(me);
    vimg_roots_read();
    vimg_condemn(me);
    note_leases(me, LOCK);
    vimg_gc_lock_end(me)
}

active proctype collect_first() provided (!over)
{
    COLLECT_VARS;

    condemn_and_leave(0)
}

active proctype collect_second() provided (!over)
{
    COLLECT_VARS;

    condemn_and_leave(1)
}

inline collect_wait(id)
{
    if
    :: ENDED(id) -> ended = ended | BIT(id)
    :: !ENDED(id)
    fi
}

inline begin_sweep(id)
{
    if
    :: ended & BIT(id) ->
        atomic { named = all; vimg_put_back(id, OLD) };
        note_readers(id, OLD)
    :: else
    fi
}

inline wait_for_readers(id)
{
    if
    :: (ended & BIT(id)) && READ_BY_NOBODY(id)
    :: (ended & BIT(id)) && !READ_BY_NOBODY(id) -> ended = ended & ~BIT(id)
#ifdef NO_LATE
    :: !(ended & BIT(id)) -> collect_wait(id)
#else
    :: !(ended & BIT(id)) /* late: another time */
#endif
    fi
}

inline sweep(id)
{
    if
    :: ended & BIT(id) ->
        atomic { named = all; vimg_sweep(id, OLD) };
        end_run(id, OLD)
    :: else
    fi
}

/* settle() of both; each step of both before the next one. */
active proctype vimg_collect_rest() provided (!over)
{
    byte seen;
    byte named;
    byte all; /* that the last reading named */
    byte ended;
    byte i;

    at[0] == OLD && at[1] == OLD;
    note_leases(0, OLD);
    note_leases(1, OLD);
    collect_wait(0);
    collect_wait(1);
    vimg_roots_read();
    atomic { all = named; named = 0 };
    begin_sweep(0);
    begin_sweep(1);
    wait_for_readers(0);
    wait_for_readers(1);
    vimg_roots_read();
    atomic { all = named; named = 0 };
    sweep(0);
    sweep(1);
    ended = 0;
    all = 0
}
#endif

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
