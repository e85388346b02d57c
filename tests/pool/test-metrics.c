/*
 * test-metrics.c: counters, and their text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <locale.h>

#include "pool/metrics.h"

static const VimgMetric gauge = {"g_bytes", VIMG_METRIC_GAUGE, "bytes", "Help."};
static const VimgMetric counter = {"c", VIMG_METRIC_COUNTER, NULL, "Help."};

static void
test_describe(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    vimg_metric_describe(&gauge, out);
    vimg_metric_describe(&counter, out);
    g_assert_cmpstr(out->str, ==,
                    "# TYPE g_bytes gauge\n"
                    "# UNIT g_bytes bytes\n"
                    "# HELP g_bytes Help.\n"
                    "# TYPE c counter\n"
                    "# HELP c Help.\n");
}

static const struct {
    const char *path;
    const char *label;
    gdouble value;
    const char *text;
} samples[] = {
    {"/metrics/sample/plain", "p", 1, "g_bytes{pool=\"p\"} 1\n"},
    {"/metrics/sample/zero", "", 0, "g_bytes{pool=\"\"} 0\n"},
    {"/metrics/sample/quote", "a\"b", 1, "g_bytes{pool=\"a\\\"b\"} 1\n"},
    {"/metrics/sample/backslash", "a\\n", 1, "g_bytes{pool=\"a\\\\n\"} 1\n"},
    {"/metrics/sample/newline", "a\nb", 1, "g_bytes{pool=\"a\\nb\"} 1\n"},
    {"/metrics/sample/brace", "{a=\"\"}", 1, "g_bytes{pool=\"{a=\\\"\\\"}\"} 1\n"},
    {"/metrics/sample/chinese", "镜像", 1, "g_bytes{pool=\"镜像\"} 1\n"},
    {"/metrics/sample/fraction", "p", 1.5, "g_bytes{pool=\"p\"} 1.5\n"},
    {"/metrics/sample/large", "p", 17592186044416.0, "g_bytes{pool=\"p\"} 17592186044416\n"},
    {"/metrics/sample/huge", "p", 1e300, "g_bytes{pool=\"p\"} 1.0000000000000001e+300\n"},
};

static void
test_sample(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GString) out = g_string_new(NULL);

    vimg_metric_sample(&gauge, out, samples[i].value, "pool", samples[i].label, NULL);
    if (samples[i].value > 1e200)
        g_assert_cmpfloat(g_ascii_strtod(strchr(out->str, ' '), NULL), ==, samples[i].value);
    else
        g_assert_cmpstr(out->str, ==, samples[i].text);
}

static void
test_labels(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    vimg_metric_sample(&counter, out, 1, NULL);
    vimg_metric_sample(&counter, out, 2, "a", "x", "b", "y", NULL);
    g_assert_cmpstr(out->str, ==, "c_total 1\nc_total{a=\"x\",b=\"y\"} 2\n");
}

/* ---- jobs ------------------------------------------------------------------------------- */

static char *
format(VimgTally *tally)
{
    GString *out = g_string_new(NULL);

    vimg_tally_format(tally, out);
    return g_string_free(out, FALSE);
}

static void
test_tally(void)
{
    VimgTally *tally = vimg_tally_new();
    g_autofree char *empty = format(tally);
    g_autofree char *full = NULL;

    g_assert_null(strchr(empty, '{'));
    vimg_tally_add_end(tally, "upload", VIMG_JOB_COMPLETED);
    vimg_tally_add_end(tally, "upload", VIMG_JOB_CANCELLED);
    vimg_tally_add_end(tally, "upload", VIMG_JOB_CANCELLED);
    vimg_tally_add_bytes(tally, "upload", 4000);
    vimg_tally_add_bytes(tally, "upload", 96);
    vimg_tally_add_phase(tally, "upload", "", 250000);
    vimg_tally_add_phase(tally, "upload", "sealing", 1000000);
    vimg_tally_add_phase(tally, "upload", "sealing", 1000000);
    vimg_tally_begin_running(tally);
    vimg_tally_add_running(tally, "upload");
    vimg_tally_begin_running(tally);
    vimg_tally_add_running(tally, "upload");
    full = format(tally);
    vimg_tally_free(tally);
#define HAS(line) g_assert_nonnull(strstr(full, "\n" line "\n"))
    HAS("virtimage_jobs{kind=\"upload\",state=\"running\"} 1");
    HAS("virtimage_jobs_ended_total{kind=\"upload\",state=\"completed\"} 1");
    HAS("virtimage_jobs_ended_total{kind=\"upload\",state=\"failed\"} 0");
    HAS("virtimage_jobs_ended_total{kind=\"upload\",state=\"cancelled\"} 2");
    HAS("virtimage_operation_bytes_total{operation=\"upload\"} 4096");
    HAS("virtimage_phase_seconds_total{kind=\"upload\",phase=\"begin\"} 0.25");
    HAS("virtimage_phase_seconds_total{kind=\"upload\",phase=\"sealing\"} 2");
}

/* A backend that invents a phase for each slice costs no more memory than any other. */
static void
test_many_phases(void)
{
    VimgTally *tally = vimg_tally_new();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    guint n = 0;

    for (guint i = 0; i < 10000; i++) {
        g_autofree char *phase = g_strdup_printf("phase %u", i);

        vimg_tally_add_phase(tally, "verify", phase, 1000000);
    }
    text = format(tally);
    vimg_tally_free(tally);
    lines = g_strsplit(text, "\n", 0);
    for (guint i = 0; lines[i]; i++)
        n += g_str_has_prefix(lines[i], "virtimage_phase_seconds_total");
    g_assert_cmpuint(n, ==, 33);
    g_assert_nonnull(strstr(text, "{kind=\"verify\",phase=\"other\"} 9968\n"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    setlocale(LC_NUMERIC, "de_DE.UTF-8"); /* where there is one: a comma is no point */
    g_test_add_func("/metrics/describe", test_describe);
    for (gsize i = 0; i < G_N_ELEMENTS(samples); i++)
        g_test_add_data_func(samples[i].path, GSIZE_TO_POINTER(i), test_sample);
    g_test_add_func("/metrics/labels", test_labels);
    g_test_add_func("/metrics/tally", test_tally);
    g_test_add_func("/metrics/many-phases", test_many_phases);
    return g_test_run();
}
