/*
 * test-deadline.c: the daemon ends, whatever hangs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "daemon/deadline.h"

static void
test_hung(void)
{
    if (g_test_subprocess()) {
        g_unsetenv("JOURNAL_STREAM");
        vimg_deadline_start(0);
        for (;;)
            pause();
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("* warning: a storage does not answer, ending without it\n");
}

/* A process that ends in time hears nothing of it. */
static void
test_in_time(void)
{
    if (g_test_subprocess()) {
        vimg_deadline_start(3600);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr_unmatched("*storage*");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deadline/hung", test_hung);
    g_test_add_func("/deadline/in-time", test_in_time);
    return g_test_run();
}
