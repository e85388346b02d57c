/*
 * store.pml: the files of a store, and the steps of those who publish and collect
 *
 * Each step is one operation on the file system as every process sees it: a rename, a stat, the
 * list of one directory.  A crash is a process that is never scheduled again: until "over" nobody
 * waits for another, and what a stalled process does late is the same.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#define BIT(n) (1 << (n))
#define RUNS 3 /* the last one is the complete run at the end */
#define LAST 2
#define NOBODY RUNS

/* where the directory of a run is */
#define NOWHERE 0
#define LOCK 1 /* gc/lock/<run> */
#define OLD 2  /* gc/old-<fresh>/<run> */

byte place = 1;       /* slices below slices.castr/ */
byte condemned[RUNS]; /* slices below the run's condemned/ */
byte at[RUNS];
byte leases[RUNS];  /* that the run noted */
byte readers[RUNS]; /* that it noted when those had ended */
byte noted;        /* runs that did so */
byte asked;  /* runs that noted readers */

byte dirs = DIRS;       /* images that have a directory */
byte index[IMAGES] = INDEXES; /* the slices that image.caibx names; 0: there is none */
bool deleted = DELETED; /* images/<TRASHED>/deleted */
bool expired;           /* that mark lies below a run's expired/ */

byte pending; /* leases that have a directory */
byte begun;   /* runs that had the lock */
bool over;    /* everybody is dead, and a last run begins */

/* A rename out of a lease works as long as its directory is there. */
#ifdef NO_FENCE
#define HELD(p) true
#else
#define HELD(p) ((pending & BIT(p)) != 0)
#endif

/* What is known may have been asked long ago: the last look asks again. */
#ifdef NO_RESTAT
#define IN_PLACE(s) true
#else
#define IN_PLACE(s) ((place & BIT(s)) != 0)
#endif

#ifdef NO_WAIT
#define ENDED(run_id) true
#define MAY_MISS(p) true
#else
#define ENDED(run_id) ((leases[run_id] & pending) == 0)
#define MAY_MISS(p) ((pending & BIT(p)) == 0)
#endif

#if defined(NO_WAIT) || defined(NO_READERS)
#define READ_BY_NOBODY(run_id) true
#else
#define READ_BY_NOBODY(run_id) ((readers[run_id] & pending) == 0)
#endif

#define NAMED (index[0] | index[IMAGES / 2] | index[IMAGES - 1])
#define NOTHING_MISSING ((NAMED & ~(place | condemned[0] | condemned[1] | condemned[2])) == 0)

/* ---- leases ----------------------------------------------------------------------------- */

inline vimg_lease_new(p)
{
    pending = pending | BIT(p)
}

inline vimg_lease_free(p)
{
    pending = pending & ~BIT(p)
}

/* Whoever thinks that a lease is dead; it may be wrong. */
active [LEASES] proctype fence() provided (!over)
{
end:
    do
    :: d_step { (pending & BIT(_pid)) -> pending = pending & ~BIT(_pid) }
    od
}

/* ---- looking for a slice that is gone from its place ------------------------------------- */

#define LOOK_VARS \
    byte s; \
    byte holder = NOBODY; \
    byte olds; \
    byte searches; \
    bool found

#define READ false
#define MOVE true

/* read_condemned or move_back; EEXIST is as good. */
inline try_path(id, where, move)
{
    if
    :: at[id] == where && (condemned[id] & BIT(s)) ->
        found = true;
        if
        :: move && !(place & BIT(s)) ->
            place = place | BIT(s);
            condemned[id] = condemned[id] & ~BIT(s)
        :: else
        fi
    :: else
    fi
}

/* The list of gc/, the list of gc/lock/, the slice in each run. */
inline vimg_gc_each(move)
{
    olds = (at[0] == OLD) | ((at[1] == OLD) << 1) | ((at[2] == OLD) << 2);
    d_step {
        if
        :: at[0] == LOCK -> holder = 0
        :: at[1] == LOCK -> holder = 1
        :: at[2] == LOCK -> holder = 2
        :: else
        fi
    };
    d_step {
        if
        :: holder != NOBODY -> try_path(holder, LOCK, move); holder = NOBODY
        :: else
        fi
    };
    do
    :: d_step { olds & BIT(0) -> try_path(0, OLD, move); olds = olds & ~BIT(0) }
    :: d_step { olds & BIT(1) -> try_path(1, OLD, move); olds = olds & ~BIT(1) }
    :: d_step { olds & BIT(2) -> try_path(2, OLD, move); olds = olds & ~BIT(2) }
    :: olds == 0 -> break
    od
}

/* ---- publishers -------------------------------------------------------------------------- */

/* What the pipeline does with a slice: look_up, else vimg_publish_slices. */
inline put_slice(p)
{
    if
    :: (place & BIT(s))
    :: d_step { !(place & BIT(s)) && HELD(p) -> place = place | BIT(s) }
    :: atomic { !(place & BIT(s)) && !HELD(p) -> goto failed }
    fi
}

/* vimg_slice_rescue is the loop. */
inline vimg_publish_check()
{
    do
    :: atomic { IN_PLACE(s) -> searches = 0; break }
    :: atomic { !IN_PLACE(s) && searches < SEARCHES -> searches++ };
        vimg_gc_each(MOVE);
        found = false
    :: atomic { !IN_PLACE(s) && searches == SEARCHES -> goto missing }
    od
}

inline commit_index(image, p)
{
    if
    :: d_step {
            HELD(p) && (dirs & BIT(image)) ->
            index[image] = BIT(s);
            assert(NOTHING_MISSING)
        }
    :: atomic { !(HELD(p) && (dirs & BIT(image))) -> goto failed }
    fi
}

/* ---- the collector ----------------------------------------------------------------------- */

#define COLLECT_VARS \
    byte r;    /* the run that is settled */ \
    byte seen; /* images that the list had */ \
    byte named; \
    bool waits; \
    byte i

/*
 * The prepared directory is renamed to gc/lock; whoever holds it is moved away first, dead or not.
 * Runs are numbered as they first take it.
 */
inline vimg_gc_lock_take(me)
{
    do
    :: atomic {
            me <= begun && at[0] != LOCK && at[1] != LOCK && at[2] != LOCK ->
            at[me] = LOCK;
            begun = (begun > me -> begun : me + 1);
            break
        }
    :: d_step { me <= begun && at[0] == LOCK -> at[0] = OLD }
    :: d_step { me <= begun && at[1] == LOCK -> at[1] = OLD }
    od
}

/* With slices that wait for somebody. */
inline vimg_gc_lock_end(me)
{
    d_step {
        if
        :: at[me] == LOCK -> at[me] = OLD
        :: else
        fi
    }
}

/* vimg_gc_lock_end of an empty run, vimg_gc_remove_old: a directory with slices in it stays. */
inline end_run(id, where)
{
    d_step {
        if
        :: at[id] == where && condemned[id] == 0 ->
            at[id] = NOWHERE;
            leases[id] = 0;
            readers[id] = 0;
            noted = noted & ~BIT(id);
            asked = asked & ~BIT(id)
        :: else
        fi
    }
}

inline vimg_gc_old_runs()
{
    d_step {
        if
        :: at[0] == OLD -> r = 0
        :: at[0] != OLD && at[1] == OLD -> r = 1
        :: else -> r = NOBODY
        fi
    }
}

/* Who moved the mark won; the index goes next, and what a dead run left is finished. */
inline vimg_tidy_images(me)
{
    d_step {
        if
        :: at[me] == LOCK && deleted -> expired = true; deleted = false
        :: else
        fi
    };
    d_step {
        if
        :: expired -> index[TRASHED] = 0
        :: else
        fi
    }
}

inline read_index()
{
    if
    :: seen & BIT(i) -> named = named | index[i]
    :: else
    fi
}

/* Every index there is; images that come after the list are not seen. */
inline vimg_roots_read()
{
    d_step { seen = dirs; named = 0 };
    do
    :: d_step { i < IMAGES - 1 -> read_index(); i++ }
    :: atomic { i == IMAGES - 1 -> read_index(); i = 0; seen = 0; break }
    od
}

inline vimg_condemn(me)
{
    d_step {
        if
        :: at[me] == LOCK ->
            condemned[me] = condemned[me] | (place & ~named);
            place = place & named
        :: else
        fi;
        named = 0
    }
}

inline note_leases(id, where)
{
    d_step {
        if
        :: at[id] == where && !(noted & BIT(id)) ->
            leases[id] = pending;
            noted = noted | BIT(id)
        :: else
        fi
    }
}

inline note_readers(id, where)
{
    d_step {
        if
        :: at[id] == where && !(asked & BIT(id)) ->
            readers[id] = pending;
            asked = asked | BIT(id)
        :: else
        fi
    }
}

/* Back to its place, and unlinked if there is one. */
inline vimg_put_back(id, where)
{
    d_step {
        if
        :: named && at[id] == where -> place = place | condemned[id]; condemned[id] = 0
        :: else
        fi;
        named = 0;
        assert(NOTHING_MISSING)
    }
}

/* vimg_put_back again, then what is left is unlinked: of one slice one or the other. */
inline vimg_sweep(id, where)
{
    d_step {
        if
        :: at[id] == where ->
            place = place | (named & condemned[id]);
            condemned[id] = 0
        :: else
        fi;
        named = 0;
        assert(NOTHING_MISSING)
    }
}

/* One run of settle(); @waits: it goes on another time. */
inline settle(id, where)
{
    note_leases(id, where);
    if
    :: ENDED(id)
    :: !ENDED(id) -> waits = true
    fi;
#ifndef ONE_WAIT
    if
    :: !waits ->
        vimg_roots_read();
        vimg_put_back(id, where);
        note_readers(id, where);
        if
        :: READ_BY_NOBODY(id)
        :: !READ_BY_NOBODY(id) -> waits = true
        fi
    :: waits
#ifdef NO_LATE /* what was late in the first wait is ended with those that were not */
        -> if
        :: ENDED(id) -> waits = false
        :: !ENDED(id)
        fi
#endif
    fi;
#endif
    if
    :: !waits ->
        vimg_roots_read();
        vimg_sweep(id, where);
        end_run(id, where)
    :: waits
    fi
}

/* collect() */
inline vimg_collect(me)
{
    vimg_gc_lock_take(me);
    vimg_tidy_images(me);
    do
    :: vimg_gc_old_runs();
        if
        :: r == NOBODY -> break
        :: else
        fi;
        settle(r, OLD);
        if
#ifdef ONE_RUN
        :: waits -> vimg_gc_lock_end(me); goto done
#else
        :: waits -> break /* the others are not tried here */
#endif
        :: else
        fi
    od;
    waits = false;
    vimg_roots_read();
    vimg_condemn(me);
    settle(me, LOCK);
    if
    :: waits -> vimg_gc_lock_end(me)
    :: !waits
    fi;
#ifdef ONE_RUN
done:
#endif
    waits = false;
    r = 0
}

#ifndef TWO_RUNS
active proctype collect_first() provided (!over)
{
    COLLECT_VARS;

    vimg_collect(0)
}

active proctype collect_second() provided (!over)
{
    COLLECT_VARS;

    vimg_collect(1)
}
#endif

/* Everybody is dead, their leases fenced: what nobody names is freed by one run. */
active proctype collect_last()
{
    COLLECT_VARS;

    atomic {
        over = true;
        pending = 0;
        begun = LAST;
        vimg_collect(LAST);
        assert(place == NAMED && NOTHING_MISSING);
        assert(at[0] == NOWHERE && at[1] == NOWHERE && at[2] == NOWHERE)
    }
}
