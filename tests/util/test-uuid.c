/*
 * test-uuid.c: uuids as text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "util/uuid.h"

static const char canonical[] = "0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c";

static void
test_parse(void)
{
    static const char *const good[] = {canonical, "0C8A1FD1AD8B4DF29A0B71D2EF76CD8C",
                                       "0c8a-1fd1ad8b-4df29a0b71d2ef76cd8c-"};
    static const char *const bad[] = {"",
                                      "0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8",
                                      "0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c0",
                                      "0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8g",
                                      "0c8a1fd1 ad8b-4df2-9a0b-71d2ef76cd8c",
                                      "--------------------------------"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        guint8 uuid[VIMG_UUID_SIZE];
        char text[VIMG_UUID_TEXT_SIZE];

        g_assert_true(vimg_uuid_parse(good[i], uuid));
        vimg_uuid_format(uuid, text);
        g_assert_cmpstr(text, ==, canonical);
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        guint8 uuid[VIMG_UUID_SIZE];

        g_assert_false(vimg_uuid_parse(bad[i], uuid));
    }
}

static void
test_random(void)
{
    guint8 one[VIMG_UUID_SIZE];
    guint8 two[VIMG_UUID_SIZE];

    vimg_uuid_random(one);
    vimg_uuid_random(two);
    g_assert_cmpint(memcmp(one, two, VIMG_UUID_SIZE), !=, 0);
    g_assert_cmpint(one[6] >> 4, ==, 4);
    g_assert_cmpint(one[8] >> 6, ==, 2);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uuid/parse", test_parse);
    g_test_add_func("/uuid/random", test_random);
    return g_test_run();
}
