/*
 * fuzz.h: what a fuzz target is
 *
 * The same function runs under libFuzzer and under standalone.c, which replays files.  A target
 * aborts when a promise is broken; whatever it answers otherwise is fine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_FUZZ_H
#define VIMG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
