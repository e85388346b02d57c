/*
 * init.c: what has to be said once, before the first input
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/schema.h"
#include "fuzz.h"

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    vimg_schema_set_dir(VIMG_SOURCEDIR "/xml");
    return 0;
}
