/*
 * memory-fixture.c: a new store in memory for each test
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "memory-fixture.h"

static void
set_up(MemoryFixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
}

static void
tear_down(MemoryFixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
}

void
memory_fixture_add(const char *path, gconstpointer data,
                   void (*test)(MemoryFixture *fixture, gconstpointer data))
{
    g_test_add(path, MemoryFixture, data, set_up, test, tear_down);
}
