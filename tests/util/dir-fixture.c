/*
 * dir-fixture.c: a new directory, for tests of what is done with a file
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "dir-fixture.h"

static void
set_up(DirFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp(NULL, &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->dir, "file", NULL);
}

static void
tear_down(DirFixture *fixture, gconstpointer data)
{
    (void)g_remove(fixture->path);
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->path);
    g_free(fixture->dir);
}

void
dir_fixture_add(const char *path, gconstpointer data,
                void (*test)(DirFixture *fixture, gconstpointer data))
{
    g_test_add(path, DirFixture, data, set_up, test, tear_down);
}
