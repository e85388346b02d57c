/*
 * test-text.c: what reaches a terminal, how wide it is, and where it is broken
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/text.h"

static void
test_safe(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain, 图像 é", "plain, 图像 é"},
        {"\x1b[31mred\a\x7f\n", "\\x1b[31mred\\x07\\x7f\\x0a"},
        {"\xc2\x9b"
         "31m",
         "\\u009b31m"},
        {"cut \xe5\x9b", "cut \\xe5\\x9b"},
        {"\xff\xc0\xaf", "\\xff\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"a\u202eb\u2066c\u200bd\u2028e\ufefff", "a\\u202eb\\u2066c\\u200bd\\u2028e\\ufefff"},
        {"\U000e0041", "\\ue0041"},
        {NULL, "-"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *safe = vimg_text_safe(cases[i][0]);

        g_assert_cmpstr(safe, ==, cases[i][1]);
        g_assert_true(g_utf8_validate(safe, -1, NULL));
    }
}

static void
test_width(void)
{
    g_assert_cmpuint(vimg_text_width(""), ==, 0);
    g_assert_cmpuint(vimg_text_width("abc"), ==, 3);
    g_assert_cmpuint(vimg_text_width("图像a"), ==, 5);
    g_assert_cmpuint(vimg_text_width("e\u0301"), ==, 1);

    g_assert_cmpuint(vimg_text_fit("abc", 5), ==, 3);
    g_assert_cmpuint(vimg_text_fit("abc", 2), ==, 2);
    g_assert_cmpuint(vimg_text_fit("图像", 3), ==, strlen("图"));
    g_assert_cmpuint(vimg_text_fit("图像", 4), ==, strlen("图像"));
    g_assert_cmpuint(vimg_text_fit("图像", 1), ==, strlen("图")); /* or it would never end */
    g_assert_cmpuint(vimg_text_fit("e\u0301x", 1), ==, strlen("e\u0301"));
    g_assert_cmpuint(vimg_text_fit("", 0), ==, 0);
}

static void
test_size(void)
{
    static const struct {
        guint64 bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.00 KiB"},
        {1610612736, "1.50 GiB"},
        {G_MAXUINT64, "16.00 EiB"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = vimg_text_size(cases[i].bytes, FALSE);
        g_autofree char *exact = vimg_text_size(cases[i].bytes, TRUE);
        g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, cases[i].bytes);

        g_assert_cmpstr(text, ==, cases[i].text);
        g_assert_cmpstr(exact, ==, digits);
    }
}

static void
test_time(void)
{
    g_autofree char *none = vimg_text_time(0);
    g_autofree char *far_off = vimg_text_time(G_MAXINT64);
    g_autofree char *some = vimg_text_time(1772366400);

    g_assert_cmpstr(none, ==, "-");
    g_assert_cmpstr(far_off, ==, "-");
    g_assert_cmpstr(some, ==, "2026-03-01 12:00");
}

/* What vimg_text_print() writes, by a child. */
static void
test_print_child(void)
{
    vimg_text_print("one two three four five six", 2, 22);
    vimg_text_print("一二三四五六七八九十一二", 0, 17);
    vimg_text_print("abcdefghijklmnopqrstuvwxyz", 0, 16);
    vimg_text_print("never broken, however long it may become", 9, 0);
}

static void
test_print(void)
{
    g_test_trap_subprocess("/cli/text/print/subprocess", 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*one two three four\n  five six\n"
                              "一二三四五六七八\n九十一二\n"
                              "abcdefghijklmnop\nqrstuvwxyz\n"
                              "never broken, however long it may become\n*");
}

int
main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/text/safe", test_safe);
    g_test_add_func("/cli/text/width", test_width);
    g_test_add_func("/cli/text/size", test_size);
    g_test_add_func("/cli/text/time", test_time);
    g_test_add_func("/cli/text/print", test_print);
    g_test_add_func("/cli/text/print/subprocess", test_print_child);
    return g_test_run();
}
