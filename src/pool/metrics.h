/*
 * metrics.h: what the daemon counts, and how OpenMetrics writes it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_METRICS_H
#define VIMG_POOL_METRICS_H

#include <glib.h>

/* ---- jobs since the start; whoever has it keeps others out ------------------------------- */

typedef enum {
    VIMG_JOB_COMPLETED,
    VIMG_JOB_FAILED,
    VIMG_JOB_CANCELLED,
    VIMG_N_JOB_ENDS
} VimgJobEnd;

typedef struct _VimgTally VimgTally;

VimgTally *vimg_tally_new(void);
void vimg_tally_free(VimgTally *tally);
void vimg_tally_add_end(VimgTally *tally, const char *kind, VimgJobEnd end);
void vimg_tally_add_bytes(VimgTally *tally, const char *kind, guint64 bytes);
/* @phase may be anything: of a kind with very many, what comes late is not told apart. */
void vimg_tally_add_phase(VimgTally *tally, const char *kind, const char *phase, gint64 usec);
/* Nothing runs; then each that does. */
void vimg_tally_begin_running(VimgTally *tally);
void vimg_tally_add_running(VimgTally *tally, const char *kind);
void vimg_tally_format(VimgTally *tally, GString *out);

/* ---- the text ---------------------------------------------------------------------------- */

typedef enum {
    VIMG_METRIC_GAUGE,
    VIMG_METRIC_COUNTER,
} VimgMetricType;

typedef struct {
    const char *name; /* without the "_total" of counters */
    VimgMetricType type;
    const char *unit; /* the end of the name, or NULL */
    const char *help;
} VimgMetric;

/* What it is; its samples follow, and nothing else. */
void vimg_metric_describe(const VimgMetric *metric, GString *out);
/* @...: names and values of its labels, NULL */
void vimg_metric_sample(const VimgMetric *metric, GString *out, gdouble value,
                        ...) G_GNUC_NULL_TERMINATED;

#endif
