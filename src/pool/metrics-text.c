/*
 * metrics-text.c: numbers as OpenMetrics writes them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <math.h>

#include "pool/metrics.h"

/* Beyond it a double is not every whole number. */
#define WHOLE_MAX 9007199254740992.0

void
vimg_metric_describe(const VimgMetric *metric, GString *out)
{
    g_string_append_printf(out, "# TYPE %s %s\n", metric->name,
                           metric->type == VIMG_METRIC_COUNTER ? "counter" : "gauge");
    if (metric->unit)
        g_string_append_printf(out, "# UNIT %s %s\n", metric->name, metric->unit);
    g_string_append_printf(out, "# HELP %s %s\n", metric->name, metric->help);
}

static void
append_label(GString *out, const char *name, const char *value)
{
    g_string_append_printf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            g_string_append(out, "\\n");
        else if (*value == '"' || *value == '\\')
            g_string_append_printf(out, "\\%c", *value);
        else
            g_string_append_c(out, *value);
    }
    g_string_append_c(out, '"');
}

/* Whatever the locale writes. */
static void
append_value(GString *out, gdouble value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (value == floor(value) && fabs(value) < WHOLE_MAX)
        g_string_append_printf(out, " %" G_GINT64_FORMAT "\n", (gint64)value);
    else
        g_string_append_printf(out, " %s\n", g_ascii_dtostr(text, sizeof(text), value));
}

void
vimg_metric_sample(const VimgMetric *metric, GString *out, gdouble value, ...)
{
    const char *label;
    const char *before = "{";
    va_list labels;

    g_string_append(out, metric->name);
    if (metric->type == VIMG_METRIC_COUNTER)
        g_string_append(out, "_total");
    va_start(labels, value);
    while ((label = va_arg(labels, const char *))) {
        g_string_append(out, before);
        append_label(out, label, va_arg(labels, const char *));
        before = ",";
    }
    va_end(labels);
    if (*before == ',')
        g_string_append_c(out, '}');
    append_value(out, value);
}
