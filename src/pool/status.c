/*
 * status.c: how the pools are, as far as memory knows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/model-private.h"
#include "pool/status.h"
#include "util/i18n.h"

const char *const vimg_image_states[] = {
    [VIMG_IMAGE_SAVING] = "saving",
    [VIMG_IMAGE_ACTIVE] = "active",
    [VIMG_IMAGE_ERROR] = "error",
};

enum {
    INACTIVE,
    CONNECTING,
    CONNECTED,
    DISCONNECTED,
};

const char *const vimg_pool_statuses[] = {
    [INACTIVE] = "inactive",
    [CONNECTING] = "connecting",
    [CONNECTED] = "connected",
    [DISCONNECTED] = "disconnected",
};

void
vimg_pool_note_error(VimgPool *pool, const char *message)
{
    g_free(pool->last_error);
    pool->last_error = g_utf8_make_valid(message, -1);
    pool->failed_at = g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- one pool --------------------------------------------------------------------------- */

static void
look_free(gpointer data)
{
    VimgPoolLook *look = data;

    vimg_pool_unref(look->pool);
    g_ptr_array_unref(look->jobs);
    g_free(look->name);
    g_free(look->type);
    g_free(look->error);
    g_free(look->hides);
    g_free(look);
}

/* With the pool's lock held, as all down to look_at(). */
static const char *
status_of(const VimgPool *pool)
{
    static const guint of[] = {
        [VIMG_POOL_DISCONNECTED] = DISCONNECTED,
        [VIMG_POOL_CONNECTING] = CONNECTING,
        [VIMG_POOL_CONNECTED] = CONNECTED,
    };

    if (pool->active)
        return vimg_pool_statuses[of[pool->status]];
    return vimg_pool_statuses[pool->busy == VIMG_POOL_STARTING ? CONNECTING : INACTIVE];
}

/* What all complete images would take if none had anything in common. */
static guint64
sum_allocated(VimgPool *pool)
{
    GHashTableIter iter;
    guint64 sum = 0;
    gpointer value;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgVolume *volume = value;

        if (volume->image.state == VIMG_IMAGE_ACTIVE)
            sum += volume->image.allocation;
    }
    return sum;
}

static void
look_at_images(VimgPool *pool, VimgPoolLook *look)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgVolume *volume = value;

        look->images[volume->image.state]++;
        look->reserved += volume->reserved;
        if (volume->image.state == VIMG_IMAGE_ACTIVE)
            look->logical += volume->image.physical;
    }
}

static gint64
retry_in(const VimgPool *pool)
{
    if (!pool->active || pool->status != VIMG_POOL_DISCONNECTED || pool->retry_at == 0)
        return -1;
    return MAX(pool->retry_at - g_get_monotonic_time(), 0) / G_USEC_PER_SEC;
}

static VimgPoolLook *
look_at(VimgPool *pool)
{
    VimgPoolLook *look = g_new0(VimgPoolLook, 1);
    VIMG_LOCK_GUARD(&pool->lock);

    look->pool = vimg_pool_ref(pool);
    look->name = g_strdup(vimg_pool_name(pool));
    look->jobs = vimg_jobs_list(pool->model->jobs, look->name);
    look->type = g_strdup(pool->def->type);
    look->active = pool->active;
    look->persistent = pool->persistent;
    look->autostart = pool->autostart;
    look->disabled = pool->def->disabled;
    look->read_only = pool->active && pool->read_only;
    look->root_only =
        pool->session &&
        vimg_type_table(vimg_store_type(vimg_session_store(pool->session)))->root_only;
    look->status = status_of(pool);
    look->error = g_strdup(pool->last_error);
    look->failed_at = pool->failed_at;
    look->retry_in = retry_in(pool);
    look->reconnects = pool->reconnects;
    look->hides = g_strdup(pool->hides);
    look->sizes = pool->sizes;
    look->totals = pool->totals;
    look_at_images(pool, look);
    return look;
}

/* ---- many ------------------------------------------------------------------------------- */

static gint
compare_looks(gconstpointer a, gconstpointer b)
{
    const VimgPoolLook *const *left = a;
    const VimgPoolLook *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static GPtrArray *
find_pools(VimgModel *model, const char *name, GError **error)
{
    GPtrArray *pools;
    VimgPool *pool;

    if (!name)
        return vimg_registry_list(model);
    pool = vimg_registry_by_name(model, name, error);
    if (!pool)
        return NULL;
    pools = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_unref);
    g_ptr_array_add(pools, pool);
    return pools;
}

GPtrArray *
vimg_pools_look(VimgModel *model, const char *name, GError **error)
{
    g_autoptr(GPtrArray) pools = find_pools(model, name, error);
    GPtrArray *looks;
    guint i;

    if (!pools)
        return NULL;
    looks = g_ptr_array_new_with_free_func(look_free);
    for (i = 0; i < pools->len; i++)
        g_ptr_array_add(looks, look_at(g_ptr_array_index(pools, i)));
    g_ptr_array_sort(looks, compare_looks);
    return looks;
}

/* ---- totals ----------------------------------------------------------------------------- */

void
vimg_pool_note_report(VimgPool *pool, const char *report)
{
    guint64 bad = G_MAXUINT64;
    VimgPoolTotals totals;

    VIMG_LOCK_GUARD(&pool->lock);
    totals = pool->totals;
    totals.as_of = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_report_totals(report, &totals.stored, &totals.plain, &bad))
        return;
    if (bad != G_MAXUINT64) {
        totals.bad = bad;
        totals.verified = TRUE;
    }
    totals.allocated = sum_allocated(pool);
    pool->totals = totals;
}

static gdouble
ratio(guint64 of, guint64 to)
{
    return to > 0 ? (gdouble)of / (gdouble)to : 0;
}

gdouble
vimg_totals_dedup(const VimgPoolTotals *totals)
{
    return ratio(totals->allocated, totals->stored);
}

gdouble
vimg_totals_compression(const VimgPoolTotals *totals)
{
    return ratio(totals->plain, totals->stored);
}

/* ---- the document ----------------------------------------------------------------------- */

void
vimg_json_set_text(JsonObject *object, const char *name, const char *text)
{
    if (text)
        json_object_set_string_member(object, name, text);
    else
        json_object_set_null_member(object, name);
}

void
vimg_json_set_known(JsonObject *object, const char *name, gboolean known, guint64 value)
{
    if (known)
        json_object_set_int_member(object, name, (gint64)MIN(value, G_MAXINT64));
    else
        json_object_set_null_member(object, name);
}

void
vimg_json_set_jobs(JsonObject *object, GPtrArray *jobs)
{
    JsonArray *array = json_array_new();
    guint i;

    for (i = 0; i < jobs->len; i++) {
        const VimgJobInfo *job = g_ptr_array_index(jobs, i);
        JsonObject *item = json_object_new();

        vimg_json_set_known(item, "id", TRUE, job->id);
        vimg_json_set_text(item, "pool", job->pool);
        vimg_json_set_text(item, "volume", job->volume);
        vimg_json_set_text(item, "kind", job->kind);
        vimg_json_set_text(item, "phase", job->phase);
        vimg_json_set_known(item, "done", TRUE, job->done);
        vimg_json_set_known(item, "total", TRUE, job->total);
        vimg_json_set_known(item, "started", TRUE, (guint64)job->started);
        json_object_set_boolean_member(item, "cancelled", job->cancelled);
        json_array_add_object_element(array, item);
    }
    json_object_set_array_member(object, "jobs", array);
}

char *
vimg_json_to_text(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_node_set_object(node, object);
    return json_to_string(node, FALSE);
}

static void
set_ratio(JsonObject *object, const char *name, gdouble value)
{
    if (value > 0)
        json_object_set_double_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

static void
set_totals(JsonObject *object, const VimgPoolTotals *totals)
{
    gboolean known = totals->as_of > 0;

    vimg_json_set_known(object, "stored", known, totals->stored);
    set_ratio(object, "dedup_ratio", vimg_totals_dedup(totals));
    set_ratio(object, "compression_ratio", vimg_totals_compression(totals));
    vimg_json_set_known(object, "damaged_slices", totals->verified, totals->bad);
    vimg_json_set_known(object, "as_of", known, (guint64)totals->as_of);
}

static void
set_health(JsonObject *object, const VimgPoolLook *look)
{
    json_object_set_boolean_member(object, "active", look->active);
    json_object_set_boolean_member(object, "persistent", look->persistent);
    json_object_set_boolean_member(object, "autostart", look->autostart);
    json_object_set_boolean_member(object, "read_only", look->read_only);
    if (look->root_only)
        json_object_set_boolean_member(object, "root_only", TRUE);
    vimg_json_set_text(object, "state", look->disabled ? "disabled" : "enabled");
    vimg_json_set_text(object, "status", look->status);
    vimg_json_set_text(object, "error", look->error);
    vimg_json_set_known(object, "error_time", look->error != NULL, (guint64)look->failed_at);
    vimg_json_set_known(object, "retry_in", look->retry_in >= 0, (guint64)look->retry_in);
    vimg_json_set_known(object, "reconnects", TRUE, look->reconnects);
    vimg_json_set_text(object, "hides", look->hides);
}

static JsonObject *
format_look(const VimgPoolLook *look)
{
    JsonObject *object = json_object_new();
    gboolean known = look->active; /* of one that is not, nothing was read */
    guint64 images = 0;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(look->images); i++)
        images += look->images[i];
    vimg_json_set_text(object, "name", look->name);
    vimg_json_set_text(object, "uuid", look->pool->uuid_text);
    vimg_json_set_text(object, "type", look->type);
    set_health(object, look);
    vimg_json_set_known(object, "capacity", known, look->sizes.capacity);
    vimg_json_set_known(object, "available", known, look->sizes.available);
    vimg_json_set_known(object, "allocation", known, look->sizes.allocation);
    vimg_json_set_known(object, "reserved", known, look->reserved);
    vimg_json_set_known(object, "images", known, images);
    vimg_json_set_known(object, "saving", known, look->images[VIMG_IMAGE_SAVING]);
    vimg_json_set_known(object, "damaged", known, look->images[VIMG_IMAGE_ERROR]);
    vimg_json_set_known(object, "logical", known, look->logical);
    set_totals(object, &look->totals);
    vimg_json_set_jobs(object, look->jobs);
    return object;
}

char *
vimg_model_status(VimgModel *model, const char *name, GError **error)
{
    g_autoptr(GPtrArray) looks = vimg_pools_look(model, name, error);
    g_autoptr(JsonObject) root = json_object_new();
    g_autofree char *text = NULL;
    JsonArray *pools;
    guint i;

    if (!looks)
        return NULL;
    pools = json_array_new();
    for (i = 0; i < looks->len; i++)
        json_array_add_object_element(pools, format_look(g_ptr_array_index(looks, i)));
    json_object_set_array_member(root, "pools", pools);
    text = vimg_json_to_text(root);
    if (strlen(text) <= VIMG_REPORT_MAX)
        return g_steal_pointer(&text);
    vimg_throw(error, VIMG_ERROR_FAILED, "%s",
               _("there are more pools and jobs than one answer can hold: ask for one pool"));
    return NULL;
}
