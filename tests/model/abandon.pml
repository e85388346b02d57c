/*
 * abandon.pml: two writers take up an old upload while a collector takes it for abandoned
 *
 * Whoever was told that the image is active finds it: the collector takes the name first, and who
 * publishes after that is told that the image is gone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define BIT(n) (1 << (n))
#define HELD(p) ((pending & BIT(p)) != 0)

bool claim = true; /* names/<name>/<uuid> */
byte writing;      /* images/<uuid>/writing.<lease> */
bool index;        /* images/<uuid>/image.caibx */
bool dir = true;   /* images/<uuid>/ */
byte pending;      /* leases that have a directory */
bool told;         /* somebody knows that the image is active */

/* Whoever thinks that a lease is dead; it may be wrong. */
active [2] proctype fence()
{
end:
    do
    :: d_step { (pending & BIT(_pid)) -> pending = pending & ~BIT(_pid) }
    od
}

/* vimg_writing_begin, vimg_publish_image, vimg_writing_end */
active [2] proctype vimg_slice_writer()
{
    byte p = _pid - 2;

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
    byte signs;
    bool published;

    if
    :: atomic { !index && !(writing & pending) -> skip }
    :: atomic { index || (writing & pending) -> goto done }
    fi;
    claim = false; /* into the run, for whoever takes it over */
#ifndef NO_LOOK
    published = index; /* vimg_image_look */
#endif
    signs = writing;
    signs = signs & pending; /* vimg_writing_find */
    if
    :: published || signs -> claim = true /* give_back */
    :: else -> d_step { dir = false; index = false; assert(!told) }
    fi;
done:
    skip
}
