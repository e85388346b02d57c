/*
 * test-file-fixture.h: files that are being written, by a kernel that fails and hangs when told to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_HOST_FILE_FIXTURE_H
#define VIMG_TESTS_HOST_FILE_FIXTURE_H

#include "host/primary-file.h"
#include "util/thread.h"

#define ID "c2b63c4e-7f0a-4b6e-9a7e-0f5f2c1d9b11"
#define WORDS "virtimage: unfinished "
#define MIB ((gsize)1024 * 1024)

/* What the kernel can be asked for. */
typedef enum {
    NOTHING_AT_ALL,
    SYNC,
    CUT, /* ftruncate() */
    LOOK /* lstat() */
} Call;

typedef struct {
    VimgMutex lock;
    VimgCond changed;
    Call held;     /* under lock: it does not answer this, nor whoever asked for something before
                      that it did not answer then */
    guint waiting; /* under lock: how many wait for its answer */
    guint ended;   /* under lock: files whose last was done after they were left */
    off_t begun;   /* the thread's, as all below: it was asked to write out all up to here */
    off_t done;    /* it was waited for up to here */
    guint n;       /* times that it was waited for */
    int error;     /* which it says once, 0: none */
} Kernel;

extern Kernel kernel;
extern gint cancelled; /* atomic: whoever waits for a file goes on without it */

/* A file of @size bytes with the mark of @id at @place, as libvirt's upload leaves it. */
void make_marked(const char *path, const char *id, guint64 place, gsize size);
/* As vimg_host_file_open() of the file at @path; the kernel was asked for nothing yet. */
VimgHostFile *try_open(const char *path, guint64 at, GError **error);
/* One that is longer than @at, from there on. */
VimgHostFile *open_file(const char *path, guint64 at);
void assert_bytes(const char *data, int byte, gsize size);

/* test-file-hangs.c */
void add_tests_of_hanging(void);

#endif
