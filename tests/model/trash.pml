/*
 * trash.pml: one image in the trash expires while it is restored by two hosts and deleted again
 *
 * Nobody loses an image that he restored, or deleted less than keepDeleted ago, and in the end it
 * is active, in the trash or gone, and has its name only if it is active.  Slices are left out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define BIT(n) (1 << (n))
#define HELD(p) ((pending & BIT(p)) != 0)

bool claim;          /* names/<name>/<uuid> */
bool deleted = true; /* images/<uuid>/deleted */
bool image = true;   /* images/<uuid>/image.caibx, and its directory */
byte turns;          /* images/<uuid>/turn.<lease> */
byte pending;        /* leases that have a directory */
bool over;

bool aged;        /* the mark is older than keepDeleted */
bool passed;      /* a mark became so since the last restore took one: that takes days */
bool kept = true; /* somebody counts on the image */

#define FENCE(p) d_step { HELD(p) -> pending = pending & ~BIT(p) }

/* Whoever thinks that a lease is dead; it may be wrong. */
active proctype vimg_lease_fence() provided (!over)
{
end:
    do
    :: FENCE(0)
    :: FENCE(1)
    :: FENCE(2)
    :: FENCE(3)
    :: FENCE(4)
    od
}

active proctype time_passes() provided (!over)
{
end:
    do
    :: d_step { deleted && !aged -> aged = true; kept = false; passed = true }
    od
}

/* ---- turns and claims -------------------------------------------------------------------- */

/* Whose lease is gone has no turn any more, though it may not know. */
inline vimg_turn_new(p)
{
    pending = pending | BIT(p);
    turns = turns | BIT(p);
    if
    :: atomic { (turns & pending & ~BIT(p)) -> goto failed }
    :: atomic { !(turns & pending & ~BIT(p)) -> skip }
    fi
}

inline vimg_turn_free(p)
{
    turns = turns & ~BIT(p);
    pending = pending & ~BIT(p)
}

inline vimg_claim_withdraw(p)
{
    d_step {
        if
        :: HELD(p) -> claim = false
        :: else
        fi
    }
}

#define LOOK_VARS \
    bool marked; \
    bool present; \
    bool claimed

/* The directory, then the claim. */
inline vimg_image_look()
{
    d_step { marked = deleted; present = image };
    claimed = claim
}

/* ---- the three who change it ------------------------------------------------------------- */

inline to_trash()
{
    d_step {
        if
        :: image && !deleted -> deleted = true; aged = false
        :: else
        fi
    }
}

active proctype vimg_image_remove() provided (!over)
{
    LOOK_VARS;

    vimg_turn_new(0);
    vimg_image_look();
    if
    :: present && claimed && !marked
    :: else -> goto failed
    fi;
    to_trash();
    vimg_claim_withdraw(0);
failed:
    vimg_turn_free(0)
}

inline vimg_trash_restore(p)
{
    vimg_turn_new(p);
    if
    :: atomic { image && deleted -> skip }
    :: atomic { !(image && deleted) -> goto failed }
    fi;
    claim = true; /* vimg_claim_take */
    if
    :: d_step { deleted && HELD(p) -> deleted = false; passed = false } /* take_mark */
    :: atomic { !(deleted && HELD(p)) -> goto withdraw }
    fi;
    claim = true; /* settle */
    d_step { kept = kept || (image && !deleted && !passed) }; /* vimg_image_stat: he is told */
    goto failed;
withdraw:
    vimg_claim_withdraw(p);
failed:
    vimg_turn_free(p)
}

active proctype restore_here() provided (!over)
{
    vimg_trash_restore(1)
}

active proctype restore_there() provided (!over)
{
    vimg_trash_restore(2)
}

#ifdef UNLINK
#define MAY_REMOVE(p) true
#else
#define MAY_REMOVE(p) HELD(p)
#endif

/* The index first, by rename into the lease: whoever was fenced removes nothing. */
inline vimg_image_remove_files(p)
{
    d_step {
        if
        :: MAY_REMOVE(p) ->
            image = false;
            deleted = false;
            assert(!kept)
        :: else
        fi
    }
}

/* Looks with the turn of the image, and moves the mark into the lease of the turn. */
inline vimg_tidy_image(p)
{
#ifndef NO_TURN
    vimg_turn_new(p);
#else
    pending = pending | BIT(p);
#endif
    vimg_image_look();
    if
    :: claimed && (marked || !present) -> vimg_claim_withdraw(p)
    :: else
    fi;
    if
    :: marked && !claimed ->
        if
        :: aged
        :: else -> goto failed
        fi;
        if
        :: d_step { deleted && HELD(p) -> deleted = false }
        :: atomic { !(deleted && HELD(p)) -> goto failed }
        fi;
        vimg_image_remove_files(p)
    :: present && !marked && !claimed -> /* a suspect */
        if
        :: atomic { (pending & ~BIT(p)) -> goto failed }
        :: atomic { !(pending & ~BIT(p)) -> skip }
        fi;
        vimg_image_look();
        if
        :: present && !marked && !claimed -> vimg_image_remove_files(p)
        :: else
        fi
    :: else
    fi;
failed:
    vimg_turn_free(p);
    d_step { marked = false; present = false; claimed = false }
}

#ifndef COLLECTORS
#define COLLECTORS 1 /* two are ten times as many states, and differ from two restores in little */
#endif

active [COLLECTORS] proctype vimg_collect() provided (!over)
{
    LOOK_VARS;

    vimg_tidy_image((_pid - 2))
}

/* Everybody is dead, their leases fenced. */
active proctype vimg_collect_last()
{
    LOOK_VARS;
    byte times;

    atomic {
        over = true;
        pending = 0;
again:
        vimg_tidy_image(3);
        times++;
        if
        :: times < 3 -> goto again
        :: else
        fi;
        assert(claim + deleted + !image == 1)
    }
}
