/*
 * test-report.c: JSON for programs, whatever the daemon sent, and lists that come in pages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/ctl.h"
#include "cli/report.h"
#include "util/error.h"

/* ---- names ---------------------------------------------------------------------------------- */

static void
test_names(void)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"\xfc", "\ufffd"},
        {"a\xe5\x9b", "a\ufffd\ufffd"},
        {"\xff\"\\", "\ufffd\"\\"},
        {"\x1b\u202e\U000e0041", "\x1b\u202e\U000e0041"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonObject) report = json_object_new();
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *text = NULL;

        json_object_set_string_member(report, "name", cases[i][0]);
        text = vimg_report_format(report);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_assert_null(strchr(text, '\x1b'));
        node = json_from_string(text, NULL);
        g_assert_cmpstr(vimg_report_string(json_node_get_object(node), "name"), ==, cases[i][1]);
    }
}

static void
test_numbers(void)
{
    g_autoptr(JsonObject) report = json_object_new();
    g_autofree char *text = NULL;

    json_object_set_string_member(report, "a\"\\", "1.0669999999999999\\\"2.30");
    json_object_set_double_member(report, "b", 1.067);
    json_object_set_double_member(report, "c", 2);
    json_object_set_int_member(report, "d", G_MININT64);
    text = vimg_report_format(report);
    g_assert_nonnull(strstr(text, "\"1.0669999999999999\\\\\\\"2.30\""));
    g_assert_nonnull(strstr(text, ": 1.067,"));
    g_assert_nonnull(strstr(text, ": 2.0,"));
    g_assert_nonnull(strstr(text, ": -9223372036854775808\n"));
}

/* ---- pages ---------------------------------------------------------------------------------- */

static guint asked; /* pages so far */

static void
add_full(JsonArray *list, const char *format)
{
    for (guint i = 0; i < VIMG_CONTROL_PAGE_MAX; i++) {
        JsonObject *object = json_object_new();
        g_autofree char *name = g_strdup_printf("%s-%05u", format, i);

        json_object_set_string_member(object, "name", name);
        json_array_add_object_element(list, object);
    }
    asked++;
}

static gboolean
same_again(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
           GError **error)
{
    add_full(list, "same");
    return TRUE;
}

static gboolean
two_in_turn(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
            GError **error)
{
    add_full(list, asked % 2 == 0 ? "a" : "b");
    return TRUE;
}

static gboolean
two_pages(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
          GError **error)
{
    if (!after)
        add_full(list, "a");
    return TRUE;
}

static JsonObject *
list_all(VimgCtlPage page, GError **error)
{
    VimgCtl ctl = {0};
    const VimgCtlPool pool = {.name = (char *)"p"};

    asked = 0;
    return vimg_ctl_list(&ctl, &pool, "images", "name", page, error);
}

/* Nothing is shown as the whole that may not be. */
static void
test_endless(void)
{
    const VimgCtlPage pages[] = {same_again, two_in_turn};

    for (gsize i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(list_all(pages[i], &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
        g_assert_cmpuint(asked, <=, 3);
    }
}

static void
test_pages(void)
{
    g_autoptr(JsonObject) report = list_all(two_pages, NULL);

    g_assert_cmpuint(vimg_report_count(report, "images"), ==, VIMG_CONTROL_PAGE_MAX);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/report/names", test_names);
    g_test_add_func("/cli/report/numbers", test_numbers);
    g_test_add_func("/cli/report/endless", test_endless);
    g_test_add_func("/cli/report/pages", test_pages);
    return g_test_run();
}
