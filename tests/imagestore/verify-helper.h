/*
 * verify-helper.h: a store to be verified, and how its slices break
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_VERIFY_HELPER_H
#define TESTS_IMAGESTORE_VERIFY_HELPER_H

#include "memory-transport.h"
#include "pass-transport.h"
#include "slice.h"
#include "store-helper.h"

#define VERIFY_SLICES 12

extern VimgBuffer *verify_content; /* of all images; slices 4 and 9 are zeros */
extern VimgBuffer *verify_foreign; /* shares nothing with it */

typedef struct _VerifyFixture VerifyFixture;

typedef enum {
    AT_LIFT, /* before a slice is taken out of its place */
    AT_LOOK, /* before it is read where it is then */
    AT_TURN, /* before the turn of an image is taken */
    N_EVENTS,
} VerifyEvent;

typedef struct {
    PassTransport pass;
    VerifyFixture *fixture;
    void (*happen[N_EVENTS])(VerifyFixture *fixture); /* once each; by __atomic builtins, as is: */
    guint reads;                                      /* of slices */
    const char *broken;                               /* paths that have this cannot be read */
    gboolean zeros;                                   /* large zero slices are read, too */
} VerifyWatch;

struct _VerifyFixture {
    MemoryDisk *disk;
    VerifyWatch *watch;
    VimgSliceStore *store;
    VimgSliceStore *other; /* another host */
    char *uuid;
    char *dir; /* state */
};

void verify_add(const char *path, void (*test)(VerifyFixture *, gconstpointer), gconstpointer data);
/* Runs what was added.  Returns: the status to exit with. */
int verify_main(void);

/* Ways to the disk. */
VerifyWatch *verify_watch_new(MemoryDisk *disk, gboolean whole);
VimgSliceStore *verify_connect(MemoryDisk *disk, gboolean whole);
void verify_upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *bytes);

VimgSliceId verify_id(const VimgBuffer *bytes, gsize slice);
/* Another content for slice @id; @data NULL: none at all. */
void verify_replace(VerifyFixture *fixture, const VimgSliceId *id, gconstpointer data, gsize size);
/* The slice of verify_content. */
void verify_spoil(VerifyFixture *fixture, gsize slice);
void verify_put_good(VerifyFixture *fixture, gsize slice);
gboolean verify_in_place(VerifyFixture *fixture, gsize slice);
void verify_spoil_index(VerifyFixture *fixture);
guint verify_count(VimgSliceStore *store, const char *dir);

typedef struct {
    guint64 checked, bad, missing, foreign, bytes;
    guint damaged;
} VerifyReport;

/* @uuid: NULL: everything */
VerifyReport verify_run(VimgSliceStore *store, const char *uuid);
/* The image says that it lacks @first. */
void verify_assert_damaged(VimgSliceStore *store, const char *uuid, const VimgSliceId *first);

#endif
