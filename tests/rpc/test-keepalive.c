/*
 * test-keepalive.c: PINGs and verdicts on an invented clock
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/keepalive.h"

/*
 * A script, one letter a second: '.' nothing happens, 's' a packet comes, 'p' the pause begins, 'r'
 * it ends, 'm' what is waited for moves on.  After each the verdict is noted: '-' none, 'P', 'D'.
 */
typedef struct {
    const char *path;
    gint64 interval, stall; /* seconds */
    guint count;
    gboolean enabled, stalls;
    const char *script, *verdicts;
} Case;

static const Case cases[] = {
    {"/keepalive/silent", 2, 9, 2, TRUE, FALSE, "......", "-P-P-D"},
    {"/keepalive/answers", 2, 9, 1, TRUE, FALSE, "..s..s..", "-P--P--P"},
    {"/keepalive/traffic", 2, 9, 1, TRUE, FALSE, "s.s.s.s.s", "---------"},
    {"/keepalive/count-zero", 2, 9, 0, TRUE, FALSE, "..", "-D"},
    {"/keepalive/not-asked-for", 1, 9, 1, FALSE, FALSE, "......", "------"},
    {"/keepalive/off", 0, 9, 1, TRUE, FALSE, "......", "------"},
    {"/keepalive/paused", 1, 4, 1, TRUE, TRUE, "p........", "-PPPPPDDD"},
    {"/keepalive/paused-moves", 1, 2, 1, TRUE, TRUE, "p..m..m..m....", "-PPPPPPPPPPPPD"},
    {"/keepalive/paused-for-calls", 1, 2, 1, TRUE, FALSE, "p..........", "-PPPPPPPPPP"},
    {"/keepalive/paused-silence-is-forgotten", 2, 9, 1, TRUE, TRUE, "..p....r...", "-P--P-P--P-"},
    {"/keepalive/paused-without-ping", 1, 2, 1, FALSE, TRUE, "p.....", "----DD"},
};

static void
test_script(gconstpointer data)
{
    const Case *c = data;
    VimgKeepaliveLimits limits = {
        .interval = c->interval * G_USEC_PER_SEC,
        .count = c->count,
        .stall = c->stall * G_USEC_PER_SEC,
    };
    VimgKeepalive life;
    g_autoptr(GString) verdicts = g_string_new(NULL);
    gint64 now = 1000 * G_USEC_PER_SEC;
    const char *step;

    vimg_keepalive_init(&life, now);
    for (step = c->script; *step; step++) {
        now += G_USEC_PER_SEC;
        if (*step == 's')
            vimg_keepalive_seen(&life, now);
        if (*step == 'p' || *step == 'r')
            vimg_keepalive_pause(&life, *step == 'p', now);
        if (*step == 'm')
            vimg_keepalive_moved(&life, now);
        g_string_append_c(verdicts,
                          "-PD"[vimg_keepalive_check(&life, &limits, c->enabled, c->stalls, now)]);
    }
    g_assert_cmpstr(verdicts->str, ==, c->verdicts);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add_data_func(cases[i].path, &cases[i], test_script);
    return g_test_run();
}
