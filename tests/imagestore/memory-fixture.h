/*
 * memory-fixture.h: a new store in memory for each test
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_MEMORY_FIXTURE_H
#define TESTS_IMAGESTORE_MEMORY_FIXTURE_H

#include "memory-transport.h"
#include "store-helper.h"

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
} MemoryFixture;

void memory_fixture_add(const char *path, gconstpointer data,
                        void (*test)(MemoryFixture *fixture, gconstpointer data));

#endif
