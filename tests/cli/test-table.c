/*
 * test-table.c: reports as tables: what is left out, what is broken, and reports that lie
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/report.h"
#include "cli/table.h"
#include "util/error.h"

static const VimgColumn columns[] = {
    {"Name", "name", VIMG_CELL_TEXT, 0},
    {"State", "state", VIMG_CELL_WORD, 1},
    {"Size", "size", VIMG_CELL_SIZE, 2},
    {"Created", "created", VIMG_CELL_TIME, 3},
};

static const char *const report_text =
    "{\"list\": [{\"name\": \"图像\", \"state\": \"active\", \"size\": 1024, \"created\": 0},"
    " {\"name\": \"a-name-of-24-columns-long\", \"state\": \"saving\", \"size\": 5}]}";

static const struct {
    guint columns;
    gboolean quiet;
    const char *text;
} tables[] = {
    {0, FALSE,
     " Name                        State        Size   Created\n"
     "--------------------------------------------------------\n"
     " 图像                        active   1.00 KiB   -\n"
     " a-name-of-24-columns-long   saving        5 B   -\n"},
    {50, TRUE,
     " 图像                        active   1.00 KiB\n"
     " a-name-of-24-columns-long   saving        5 B\n"},
    {40, TRUE,
     " 图像                        active\n"
     " a-name-of-24-columns-long   saving\n"},
    {24, TRUE,
     " 图像             active\n"
     " a-name-of-24-c   saving\n"
     " olumns-long\n"},
    {18, TRUE,
     " 图像\n"
     " a-name-of-24-colu\n"
     " mns-long\n"},
};

static void
print_child(gconstpointer data)
{
    const guint i = GPOINTER_TO_UINT(data);
    const VimgCtl ctl = {.columns = tables[i].columns, .quiet = tables[i].quiet};
    g_autoptr(JsonObject) report = vimg_report_parse(report_text, NULL);

    vimg_table_print(&ctl, report, "list", columns, G_N_ELEMENTS(columns));
}

static void
test_print(gconstpointer data)
{
    const guint i = GPOINTER_TO_UINT(data);
    g_autofree char *child = g_strdup_printf("/cli/table/print/%u/subprocess", tables[i].columns);
    g_autofree char *wanted = g_strdup_printf("*%s*", tables[i].text);

    g_test_trap_subprocess(child, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout(wanted);
}

/* Members that are not what they should be are shown as nothing, never as something else. */
static void
test_lies(void)
{
    g_autoptr(JsonObject) report = vimg_report_parse(
        "{\"text\": 5, \"number\": \"x\", \"list\": {}, \"object\": [], \"null\": null,"
        " \"mixed\": [1, null, {\"name\": 7}], \"real\": 1.5, \"huge\": 18446744073709551615}",
        NULL);

    g_assert_nonnull(report);
    g_assert_null(vimg_report_string(report, "text"));
    g_assert_cmpint(vimg_report_number(report, "number", -7), ==, -7);
    g_assert_cmpint(vimg_report_number(report, "real", -7), ==, -7);
    g_assert_cmpint(vimg_report_number(report, "null", -7), ==, -7);
    g_assert_cmpuint(vimg_report_count(report, "list"), ==, 0);
    g_assert_cmpuint(vimg_report_count(report, "absent"), ==, 0);
    g_assert_null(vimg_report_object(report, "object"));
    g_assert_cmpuint(vimg_report_count(report, "mixed"), ==, 3);
    g_assert_null(vimg_report_element(report, "mixed", 0));
    g_assert_null(vimg_report_string(vimg_report_element(report, "mixed", 2), "name"));
    g_assert_null(vimg_report_string(NULL, "name"));
    g_assert_cmpfloat(vimg_report_ratio(report, "text"), ==, 5);
    g_assert_cmpfloat(vimg_report_ratio(report, "null"), <, 0);
    g_assert_false(vimg_report_truth(report, "number"));
}

static void
test_no_report(void)
{
    g_autofree char *deep = g_strnfill(1000000, '[');
    const char *const cases[] = {"",  "[]", "5", "null", "{", "{\"a\": \"\xff\"}", "{} // comment",
                                 deep};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vimg_report_parse(cases[i], &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autofree char *path = g_strdup_printf("/cli/table/print/%u", tables[i].columns);
        g_autofree char *child = g_strconcat(path, "/subprocess", NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_print);
        g_test_add_data_func(child, GUINT_TO_POINTER(i), print_child);
    }
    g_test_add_func("/cli/table/lies", test_lies);
    g_test_add_func("/cli/table/no-report", test_no_report);
    return g_test_run();
}
