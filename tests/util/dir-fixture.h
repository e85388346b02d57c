/*
 * dir-fixture.h: a new directory, for tests of what is done with a file
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_UTIL_DIR_FIXTURE_H
#define VIMG_TESTS_UTIL_DIR_FIXTURE_H

#include <glib.h>

typedef struct {
    char *dir;
    char *path; /* of a file in it that does not exist */
} DirFixture;

/* @data: for @test.  At its end nothing is in the directory, but perhaps that file. */
void dir_fixture_add(const char *path, gconstpointer data,
                     void (*test)(DirFixture *fixture, gconstpointer data));

#endif
