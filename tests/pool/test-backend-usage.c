/*
 * test-backend-usage.c: backends that lie about usage, differences and the way to a storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "pool/json-scan.h"
#include "test-backend-fixture.h"

#define NO_USAGE "a usage that is none"
#define NO_REPORT "a report that is none"

static const struct {
    const char *report; /* what the liar is told to say */
    const char *usage;  /* the error; NULL: fine */
    const char *diff;
} reports[] = {
    {"{\"as_of\": 5, \"images\": []}", NULL, NULL},
    {"{\"as_of\": 5, \"images\": [{\"uuid\": \"u\", \"unique\": 1, \"shared\": 2, \"more\": {}}]}",
     NULL, NULL},
    {"{}", NO_USAGE, NULL},
    {"{\"as_of\": 5}", NO_USAGE, NULL},
    {"{\"as_of\": -5, \"images\": []}", NO_USAGE, NULL},
    {"{\"as_of\": \"5\", \"images\": []}", NO_USAGE, NULL},
    {"{\"images\": []}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": {}}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": [3]}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": [[]]}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": [{\"uuid\": 3, \"unique\": 1, \"shared\": 2}]}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": [{\"uuid\": \"u\", \"unique\": -1, \"shared\": 2}]}", NO_USAGE,
     NULL},
    {"{\"as_of\": 5, \"images\": [{\"uuid\": \"u\", \"unique\": 1}]}", NO_USAGE, NULL},
    {"{\"as_of\": 5, \"images\": [{\"unique\": 1, \"shared\": 2}]}", NO_USAGE, NULL},
    {"", NO_REPORT, NO_REPORT},
    {"[]", NO_REPORT, NO_REPORT},
    {"null", NO_REPORT, NO_REPORT},
    {"report-bytes", NO_REPORT, NO_REPORT},
    {"report-long", NO_REPORT, NO_REPORT},
    {"report-deep", NO_REPORT, NO_REPORT},
    {"report-hidden", NO_REPORT, NO_REPORT},
    {"report-quiet", "failed without an error", "failed without an error"},
};

static void
check(char *given, const char *expected, const char *text, GError **error)
{
    g_autofree char *report = given;

    if (text) {
        assert_refused(report != NULL, error, VIMG_ERROR_INTERNAL, text);
        g_clear_error(error);
        return;
    }
    g_assert_no_error(*error);
    g_assert_cmpstr(report, ==, expected);
}

static void
test_report(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(reports[i].report);
    g_autoptr(GError) error = NULL;

    check(vimg_store_usage(store, NULL, &error), reports[i].report, reports[i].usage, &error);
    check(vimg_store_diff(store, ONE_UUID, ONE_UUID, NULL, &error), reports[i].report,
          reports[i].diff, &error);
}

/* ---- steps ------------------------------------------------------------------------------ */

static void
count(const VimgPluginStep *step, gpointer data)
{
    g_assert_cmpstr(step->name, ==, "good");
    ++*(guint *)data;
}

static void
test_steps(void)
{
    g_auto(Pool) pool = liar_pool("none");
    g_auto(Pool) quiet = liar_pool("diagnose-quiet");
    g_autoptr(GError) error = NULL;
    guint n = 0;

    g_assert_true(vimg_type_diagnose(get("liar"), pool.view, count, &n, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, VIMG_STEPS_MAX);
    assert_refused(vimg_type_diagnose(get("liar"), quiet.view, count, &n, NULL, &error), &error,
                   VIMG_ERROR_INTERNAL, "liar: failed without an error");
}

/* ---- the scan --------------------------------------------------------------------------- */

static const struct {
    const char *text;
    gboolean good;
} texts[] = {
    {"{}", TRUE},
    {" \n{ }\t", TRUE},
    {"{\"a\":1}", TRUE},
    {"{\"a\": [1, -2.5e+10, 0, 0.1, true, false, null, \"\\u00e9\\n\", {}, []]}", TRUE},
    {"{\"\\\"\": \"]}\"}", TRUE},
    {"", FALSE},
    {"[]", FALSE},
    {"{} {}", FALSE},
    {"{\"a\"}", FALSE},
    {"{\"a\":}", FALSE},
    {"{\"a\":1,}", FALSE},
    {"{,}", FALSE},
    {"{a:1}", FALSE},
    {"{'a':1}", FALSE},
    {"{\"a\":01}", FALSE},
    {"{\"a\":1.}", FALSE},
    {"{\"a\":-}", FALSE},
    {"{\"a\":1e}", FALSE},
    {"{\"a\":+1}", FALSE},
    {"{\"a\":tru}", FALSE},
    {"{\"a\":truer}", FALSE},
    {"{\"a\":[1 2]}", FALSE},
    {"{\"a\":[1,]}", FALSE},
    {"{\"a\":[}", FALSE},
    {"{\"a\":\"\\x\"}", FALSE},
    {"{\"a\":\"\\u12g4\"}", FALSE},
    {"{\"a\":\"\\u12", FALSE},
    {"{\"a\":\"\\", FALSE},
    {"{\"a\":\"\n\"}", FALSE},
    {"{\"a\":\"", FALSE},
    {"{\"a\":1", FALSE},
    {"{\"a\": /* */ 1}", FALSE},
    {"{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", TRUE},
    {"{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", FALSE},
};

static void
test_scan(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);

    g_assert_cmpint(vimg_json_is_object(texts[i].text), ==, texts[i].good);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backends_set_up();
    add_rows("report", G_N_ELEMENTS(reports), test_report);
    g_test_add_func("/backend/steps", test_steps);
    add_rows("scan", G_N_ELEMENTS(texts), test_scan);
    return backends_run();
}
