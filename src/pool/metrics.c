/*
 * metrics.c: counters of jobs
 *
 * Counters only grow while the daemon runs: what reads them adds up what was lost by a restart.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/metrics.h"

/* Of one kind; backends name them, and each is a time series for ever. */
#define PHASES_MAX 32
#define OTHER "other"
#define FIRST "begin" /* before it named one */

typedef struct {
    guint running;
    guint64 ended[VIMG_N_JOB_ENDS];
    guint64 bytes;
    GHashTable *phases; /* name -> guint64 *, microseconds */
} Kind;

struct _VimgTally {
    GHashTable *kinds; /* name -> Kind */
};

static const char *const ends[] = {
    [VIMG_JOB_COMPLETED] = "completed",
    [VIMG_JOB_FAILED] = "failed",
    [VIMG_JOB_CANCELLED] = "cancelled",
};
G_STATIC_ASSERT(G_N_ELEMENTS(ends) == VIMG_N_JOB_ENDS);

static void
kind_free(gpointer data)
{
    Kind *kind = data;

    g_hash_table_unref(kind->phases);
    g_free(kind);
}

VimgTally *
vimg_tally_new(void)
{
    VimgTally *tally = g_new0(VimgTally, 1);

    tally->kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, kind_free);
    return tally;
}

void
vimg_tally_free(VimgTally *tally)
{
    g_hash_table_unref(tally->kinds);
    g_free(tally);
}

static Kind *
get_kind(VimgTally *tally, const char *name)
{
    Kind *kind = g_hash_table_lookup(tally->kinds, name);

    if (kind)
        return kind;
    kind = g_new0(Kind, 1);
    kind->phases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(tally->kinds, g_strdup(name), kind);
    return kind;
}

void
vimg_tally_add_end(VimgTally *tally, const char *kind, VimgJobEnd end)
{
    get_kind(tally, kind)->ended[end]++;
}

void
vimg_tally_add_bytes(VimgTally *tally, const char *kind, guint64 bytes)
{
    get_kind(tally, kind)->bytes += bytes;
}

void
vimg_tally_add_phase(VimgTally *tally, const char *name, const char *phase, gint64 usec)
{
    Kind *kind = get_kind(tally, name);
    guint64 *sum;

    if (!*phase)
        phase = FIRST;
    if (!g_hash_table_contains(kind->phases, phase) &&
        g_hash_table_size(kind->phases) >= PHASES_MAX)
        phase = OTHER;
    sum = g_hash_table_lookup(kind->phases, phase);
    if (!sum) {
        sum = g_new0(guint64, 1);
        g_hash_table_insert(kind->phases, g_strdup(phase), sum);
    }
    *sum += (guint64)usec;
}

void
vimg_tally_begin_running(VimgTally *tally)
{
    GHashTableIter iter;
    gpointer kind;

    g_hash_table_iter_init(&iter, tally->kinds);
    while (g_hash_table_iter_next(&iter, NULL, &kind))
        ((Kind *)kind)->running = 0;
}

void
vimg_tally_add_running(VimgTally *tally, const char *kind)
{
    get_kind(tally, kind)->running++;
}

/* ---- the text ---------------------------------------------------------------------------- */

static const VimgMetric running = {"virtimage_jobs", VIMG_METRIC_GAUGE, NULL, "Jobs that run."};
static const VimgMetric ended = {"virtimage_jobs_ended", VIMG_METRIC_COUNTER, NULL,
                                 "Jobs that ended, by how they did."};
static const VimgMetric bytes = {"virtimage_operation_bytes", VIMG_METRIC_COUNTER, "bytes",
                                 "Content that went through jobs of a kind, holes included."};
static const VimgMetric seconds = {"virtimage_phase_seconds", VIMG_METRIC_COUNTER, "seconds",
                                   "Time that jobs of a kind spent in a phase."};

static void
format_running(const char *name, const Kind *kind, GString *out)
{
    vimg_metric_sample(&running, out, kind->running, "kind", name, "state", "running", NULL);
}

static void
format_ended(const char *name, const Kind *kind, GString *out)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(ends); i++)
        vimg_metric_sample(&ended, out, (gdouble)kind->ended[i], "kind", name, "state", ends[i],
                           NULL);
}

static void
format_bytes(const char *name, const Kind *kind, GString *out)
{
    vimg_metric_sample(&bytes, out, (gdouble)kind->bytes, "operation", name, NULL);
}

static void
format_seconds(const char *name, const Kind *kind, GString *out)
{
    GHashTableIter iter;
    gpointer phase, usec;

    g_hash_table_iter_init(&iter, kind->phases);
    while (g_hash_table_iter_next(&iter, &phase, &usec))
        vimg_metric_sample(&seconds, out, (gdouble) * (guint64 *)usec / G_USEC_PER_SEC, "kind",
                           name, "phase", phase, NULL);
}

static const struct {
    const VimgMetric *metric;
    void (*format)(const char *name, const Kind *kind, GString *out);
} families[] = {
    {&running, format_running},
    {&ended, format_ended},
    {&bytes, format_bytes},
    {&seconds, format_seconds},
};

void
vimg_tally_format(VimgTally *tally, GString *out)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(families); i++) {
        GHashTableIter iter;
        gpointer name, kind;

        vimg_metric_describe(families[i].metric, out);
        g_hash_table_iter_init(&iter, tally->kinds);
        while (g_hash_table_iter_next(&iter, &name, &kind))
            families[i].format(name, kind, out);
    }
}
