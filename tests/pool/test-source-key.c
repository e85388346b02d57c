/*
 * test-source-key.c: which content of which image a copy says that it was made of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/source-key.h"

#define KEY "imagestore:a/1"

static const struct {
    const char *noted, *generation; /* of what the image with KEY holds now */
    gboolean names, stale, proves;
} cases[] = {
    {KEY, NULL, TRUE, FALSE, FALSE},
    {KEY, "g", TRUE, FALSE, FALSE},
    {KEY " g", "g", TRUE, FALSE, TRUE},
    {KEY " g", NULL, TRUE, FALSE, FALSE},
    {KEY " g", "h", TRUE, TRUE, FALSE},
    {KEY " g", "gg", TRUE, TRUE, FALSE},
    {KEY " ", "g", TRUE, TRUE, FALSE},
    {KEY "2 g", "g", FALSE, FALSE, FALSE},
    {"imagestore:a/", "g", FALSE, FALSE, FALSE},
    {"", "g", FALSE, FALSE, FALSE},
    {NULL, "g", FALSE, FALSE, FALSE},
    {NULL, NULL, FALSE, FALSE, FALSE},
};

static void
test_cases(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *noted = cases[i].noted;

        g_test_message("%s, %s", noted ? noted : "nothing",
                       cases[i].generation ? cases[i].generation : "unknown");
        g_assert_cmpint(vimg_source_key_names(noted, KEY), ==, cases[i].names);
        g_assert_cmpint(vimg_source_key_is_stale(noted, cases[i].generation), ==, cases[i].stale);
        g_assert_cmpint(vimg_source_key_proves(noted, KEY, cases[i].generation), ==,
                        cases[i].proves);
    }
}

static void
test_new(void)
{
    g_autofree char *known = vimg_source_key_new(KEY, "g");
    g_autofree char *unknown = vimg_source_key_new(KEY, NULL);

    g_assert_cmpstr(known, ==, KEY " g");
    g_assert_cmpstr(unknown, ==, KEY);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source-key/cases", test_cases);
    g_test_add_func("/source-key/new", test_new);
    return g_test_run();
}
