/*
 * metrics-model.c: the numbers of pools and jobs as one OpenMetrics text
 *
 * Only gauges and counters, so that what reads the older text format takes it too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/metrics.h"
#include "pool/model-private.h"

/* ---- how many pools --------------------------------------------------------------------- */

static const VimgMetric pools = {"virtimage_pools", VIMG_METRIC_GAUGE, NULL,
                                 "Pools by state and status."};
static const char *const states[] = {"enabled", "disabled"};

static guint
count_pools(GPtrArray *looks, gsize state, const char *status)
{
    guint n = 0;
    guint i;

    for (i = 0; i < looks->len; i++) {
        const VimgPoolLook *look = g_ptr_array_index(looks, i);

        n += look->disabled == (state == 1) && look->status == status;
    }
    return n;
}

/* All of them, as one that is absent cannot be told from one that nobody asked. */
static void
format_pools(GPtrArray *looks, GString *out)
{
    gsize i, k;

    vimg_metric_describe(&pools, out);
    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        for (k = 0; k < G_N_ELEMENTS(vimg_pool_statuses); k++)
            vimg_metric_sample(&pools, out, count_pools(looks, i, vimg_pool_statuses[k]), "state",
                               states[i], "status", vimg_pool_statuses[k], NULL);
    }
}

/* ---- each pool -------------------------------------------------------------------------- */

static gboolean
connected(const VimgPoolLook *look, gdouble *value)
{
    *value = strcmp(look->status, "connected") == 0;
    return TRUE;
}

static gboolean
capacity(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->sizes.capacity;
    return look->active;
}

static gboolean
available(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->sizes.available;
    return look->active;
}

static gboolean
reserved(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->reserved;
    return look->active;
}

static gboolean
logical(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->logical;
    return look->active;
}

static gboolean
stored(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->totals.stored;
    return look->totals.as_of > 0;
}

static gboolean
dedup(const VimgPoolLook *look, gdouble *value)
{
    *value = vimg_totals_dedup(&look->totals);
    return *value > 0;
}

static gboolean
compression(const VimgPoolLook *look, gdouble *value)
{
    *value = vimg_totals_compression(&look->totals);
    return *value > 0;
}

static gboolean
damaged(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->totals.bad;
    return look->totals.verified;
}

static gboolean
reconnects(const VimgPoolLook *look, gdouble *value)
{
    *value = (gdouble)look->reconnects;
    return TRUE;
}

/* FALSE: this pool has none, or it is not known. */
static const struct {
    VimgMetric metric;
    gboolean (*get)(const VimgPoolLook *look, gdouble *value);
} numbers[] = {
    {{"virtimage_pool_connected", VIMG_METRIC_GAUGE, NULL, "Whether its storage can be reached."},
     connected},
    {{"virtimage_pool_capacity_bytes", VIMG_METRIC_GAUGE, "bytes", "Size of its storage."},
     capacity},
    {{"virtimage_pool_available_bytes", VIMG_METRIC_GAUGE, "bytes", "What is free of it."},
     available},
    {{"virtimage_pool_reserved_bytes", VIMG_METRIC_GAUGE, "bytes",
      "What running uploads of this host keep free."},
     reserved},
    {{"virtimage_pool_logical_bytes", VIMG_METRIC_GAUGE, "bytes",
      "What downloads of all its complete images return."},
     logical},
    {{"virtimage_pool_stored_bytes", VIMG_METRIC_GAUGE, "bytes",
      "What all content takes, as it was counted last."},
     stored},
    {{"virtimage_pool_dedup_ratio", VIMG_METRIC_GAUGE, "ratio",
      "How many times as much its images would take each alone, as it was counted last."},
     dedup},
    {{"virtimage_pool_compression_ratio", VIMG_METRIC_GAUGE, "ratio",
      "How many times as much it would take uncompressed, as it was counted last."},
     compression},
    {{"virtimage_pool_damaged_slices", VIMG_METRIC_GAUGE, NULL,
      "Pieces of content that were bad or missing when they were read last."},
     damaged},
    {{"virtimage_pool_reconnects", VIMG_METRIC_COUNTER, NULL,
      "How often its storage was lost and came back."},
     reconnects},
};

static void
format_number(gsize i, GPtrArray *looks, GString *out)
{
    guint k;

    vimg_metric_describe(&numbers[i].metric, out);
    for (k = 0; k < looks->len; k++) {
        const VimgPoolLook *look = g_ptr_array_index(looks, k);
        gdouble value = 0;

        if (numbers[i].get(look, &value))
            vimg_metric_sample(&numbers[i].metric, out, value, "pool", look->name, NULL);
    }
}

static const VimgMetric images = {"virtimage_pool_images", VIMG_METRIC_GAUGE, NULL,
                                  "Images of an active pool by state."};

static void
format_images(GPtrArray *looks, GString *out)
{
    guint i;
    gsize state;

    vimg_metric_describe(&images, out);
    for (i = 0; i < looks->len; i++) {
        const VimgPoolLook *look = g_ptr_array_index(looks, i);

        for (state = 0; look->active && state < G_N_ELEMENTS(look->images); state++)
            vimg_metric_sample(&images, out, (gdouble)look->images[state], "pool", look->name,
                               "state", vimg_image_states[state], NULL);
    }
}

/* ---- all -------------------------------------------------------------------------------- */

char *
vimg_model_metrics(VimgModel *model)
{
    g_autoptr(GPtrArray) looks = vimg_pools_look(model, NULL, NULL);
    GString *out = g_string_new(NULL);
    gsize i;

    format_pools(looks, out);
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        format_number(i, looks, out);
    format_images(looks, out);
    vimg_jobs_format_metrics(model->jobs, out);
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}
