/*
 * test-log.c: what comes on standard error
 *
 * Each case logs in a process of its own, whose output is looked at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "util/log.h"

static void
test_levels(void)
{
    if (g_test_subprocess()) {
        g_unsetenv("JOURNAL_STREAM");
        vimg_debug("hidden");
        vimg_info("shown %d", 1);
        vimg_log_set_level(VIMG_LOG_WARNING);
        vimg_info("hidden");
        vimg_warning("shown %d", 2);
        vimg_log(VIMG_LOG_ERROR, "shown %d", 3);
        vimg_log_set_level(VIMG_LOG_DEBUG);
        vimg_debug("shown %d", 4);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("* info: shown 1\n* warning: shown 2\n* error: shown 3\n"
                              "* debug: shown 4\n");
    g_test_trap_assert_stderr_unmatched("*hidden*");
}

/* Nobody can forge a second line. */
static void
test_control(void)
{
    if (g_test_subprocess()) {
        g_unsetenv("JOURNAL_STREAM");
        vimg_info("%s", "a\nb\r\x1b[0m\x7f图");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("* info: a?b??[0m?图\n");
    /* '?' stands for any character in a pattern, so say which ones it must not be */
    g_test_trap_assert_stderr_unmatched("*a\nb*");
    g_test_trap_assert_stderr_unmatched("*\r*");
    g_test_trap_assert_stderr_unmatched("*\x1b*");
    g_test_trap_assert_stderr_unmatched("*\x7f*");
}

static void
test_journal(void)
{
    if (g_test_subprocess()) {
        g_setenv("JOURNAL_STREAM", "8:1", TRUE);
        vimg_info("one");
        vimg_log(VIMG_LOG_ERROR, "two");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*<6>one\n<3>two\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/levels", test_levels);
    g_test_add_func("/log/control", test_control);
    g_test_add_func("/log/journal", test_journal);
    return g_test_run();
}
