/*
 * abandon.pml: two writers take up an old upload while a collector takes it for abandoned
 *
 * Whoever was told that the image is active finds it: the collector takes it away as one who writes
 * it himself, and the name goes before the rest.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define BIT(n) (1 << (n))
#ifdef NO_FENCE
#define HELD(p) true
#else
#define HELD(p) ((pending & BIT(p)) != 0)
#endif
#define COLLECTOR 2

bool claim = true; /* names/<name>/<uuid> */
byte writing;      /* images/<uuid>/writing.<lease> */
bool index;        /* images/<uuid>/image.caibx */
bool dir = true;   /* images/<uuid>/ */
byte pending;      /* leases that have a directory */
bool told;         /* somebody knows that the image is active */

/* Whoever thinks that a lease is dead; it may be wrong. */
active [3] proctype fence()
{
end:
    do
    :: d_step { (pending & BIT(_pid)) -> pending = pending & ~BIT(_pid) }
    od
}

/* vimg_writing_begin, vimg_publish_image, vimg_writing_end */
active [2] proctype vimg_slice_writer()
{
    byte p = _pid - 3;

    pending = pending | BIT(p);
    if
    :: d_step { dir -> writing = writing | BIT(p) }
    :: atomic { !dir -> goto failed }
    fi;
    if
    :: atomic { (writing & pending & ~BIT(p)) -> goto ended }
    :: atomic { !(writing & pending & ~BIT(p)) -> skip }
    fi;
    if
    :: claim
    :: atomic { !claim -> goto ended }
    fi;
    if
    :: d_step { HELD(p) && dir && !index -> index = true }
    :: atomic { !(HELD(p) && dir && !index) -> goto ended }
    fi;
    if
    :: claim -> told = true /* vimg_claim_holds */
    :: !claim
    fi;
ended:
    writing = writing & ~BIT(p);
failed:
    pending = pending & ~BIT(p)
}

active proctype drop_abandoned()
{
    pending = pending | BIT(COLLECTOR);
#ifndef NO_SIGN
    writing = writing | BIT(COLLECTOR); /* vimg_writing_begin */
    if
    :: atomic { (writing & pending & ~BIT(COLLECTOR)) -> goto ended }
    :: atomic { !(writing & pending & ~BIT(COLLECTOR)) -> skip }
    fi;
#endif
    if
    :: atomic { index -> goto ended } /* vimg_image_look */
    :: atomic { !index -> skip }
    fi;
    if
    :: d_step { HELD(COLLECTOR) -> claim = false } /* vimg_claim_withdraw */
    :: atomic { !HELD(COLLECTOR) -> goto ended }
    fi;
    d_step { dir = false; index = false; assert(!told) }; /* vimg_image_remove_files */
ended:
    writing = writing & ~BIT(COLLECTOR);
    pending = pending & ~BIT(COLLECTOR)
}
