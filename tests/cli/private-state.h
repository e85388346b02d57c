/*
 * private-state.h: a directory of its own for what a test lets a client remember
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_CLI_PRIVATE_STATE_H
#define TESTS_CLI_PRIVATE_STATE_H

#include <glib.h>

/* Before anything asks where such things lie: GLib remembers.  Returns: (transfer full) */
static inline char *
private_state_enter(void)
{
    char *dir = g_dir_make_tmp("vimg-state-XXXXXX", NULL);

    g_assert_nonnull(dir);
    g_setenv("XDG_STATE_HOME", dir, TRUE);
    return dir;
}

/* Removes it, and frees @dir. */
static inline void
private_state_leave(char *dir)
{
    char *command[] = {(char *)"rm", (char *)"-rf", (char *)"--", dir, NULL};

    g_assert_true(
        g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(dir);
}

#endif
