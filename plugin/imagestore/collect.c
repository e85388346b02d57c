/*
 * collect.c: giving back the space of what nobody needs
 *
 * A run takes images away, marks what the indexes of all others name, condemns the rest, waits for
 * the leases of that moment, reads the indexes that came meanwhile, and frees what still nobody
 * names.  Ended anywhere, it leaves condemned slices to the next one, which begins with the wait.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect-private.h"
#include "json.h"
#include "spare.h"
#include "survey.h"
#include "throw.h"

#define POLL (G_USEC_PER_SEC / 5)
#define REST 9 /* times as long as the work before */
#define REST_MAX (G_USEC_PER_SEC / 2)
#define LEASES_MAX ((gsize)16 * 1024 * 1024)
#define LEASES_END "end"

/* ---- one run ---------------------------------------------------------------------------- */

static gboolean
check_end(VimgCollection *collection, GError **error)
{
    if (__atomic_load_n(&collection->store->closing, __ATOMIC_RELAXED))
        return throw_error(error, VIMG_ERROR_ABORTED, _("the pool is being stopped"));
    return vimg_slice_store_check_job(collection->job, error);
}

/*
 * While somebody has a lease, most of the time is his.  By sleeping, not by a low priority: whoever
 * waits for a journal would wait for us to get our turn.
 */
gboolean
vimg_collect_go_on(gpointer data, GError **error)
{
    VimgCollection *collection = data;
    gint64 worked = g_get_monotonic_time() - collection->resumed;
    g_autoptr(GPtrArray) leases = NULL;

    if (vimg_transport_list(collection->store->transport, "pending", &leases) == 0 &&
        leases->len > 0)
        g_usleep((gulong)CLAMP(REST * worked, 0, REST_MAX));
    collection->resumed = g_get_monotonic_time();
    return check_end(collection, error);
}

void
vimg_collect_progress(VimgCollection *collection, const char *phase, guint64 done, guint64 total)
{
    if (vimg_services)
        vimg_services->job_progress(collection->job, phase, done, total);
}

static void
init(VimgCollection *collection, VimgSliceStore *store)
{
    memset(collection, 0, sizeof(*collection));
    collection->store = store;
    collection->resumed = g_get_monotonic_time();
    collection->going = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    collection->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    collection->suspects = g_ptr_array_new_with_free_func(g_free);
    collection->report.removed = g_string_new(NULL);
    collection->report.leases = g_ptr_array_new_with_free_func(g_free);
    vimg_roots_init(&collection->roots, store, vimg_collect_go_on, collection);
    collection->roots.skip = collection->going;
}

/* A run that has the lock still is left to a later one. */
static void
clear(VimgCollection *collection)
{
    vimg_gc_lock_leave(collection->lock);
    vimg_roots_clear(&collection->roots);
    g_hash_table_unref(collection->going);
    g_hash_table_unref(collection->named);
    g_ptr_array_unref(collection->suspects);
    g_string_free(collection->report.removed, TRUE);
    g_ptr_array_unref(collection->report.leases);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCollection, clear)

/* What time the storage has: that of a file just written. */
static gboolean
ask_time(VimgCollection *collection, const char *path, GError **error)
{
    VimgFileInfo info;
    int result = vimg_transport_overwrite(collection->store->transport, path, "1\n", 2);

    if (result == 0)
        result = vimg_transport_stat(collection->store->transport, path, &info);
    if (result != 0)
        return throw_result(error, result, _("cannot ask the storage for its time"));
    collection->now = info.mtime / G_GINT64_CONSTANT(1000000000);
    return TRUE;
}

/* ---- waiting for leases ----------------------------------------------------------------- */

static char *
leases_path(const char *dir)
{
    return g_strconcat(dir, "/" VIMG_GC_LEASES, NULL);
}

/* The leases that were alive when the run in @dir condemned its last slice; NULL: nobody noted. */
static GPtrArray *
read_leases(VimgCollection *collection, const char *dir)
{
    g_autofree char *path = leases_path(dir);
    g_autoptr(VimgBuffer) content = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GPtrArray *names;
    guint i;

    if (vimg_transport_read(collection->store->transport, path, LEASES_MAX, &content) != 0)
        return NULL;
    text = g_strndup((const char *)content->data, content->size);
    lines = g_strsplit(text, "\n", 0);
    if (!g_strv_contains((const char *const *)lines, LEASES_END))
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; strcmp(lines[i], LEASES_END) != 0; i++)
        g_ptr_array_add(names, g_strdup(lines[i]));
    return names;
}

/* Returns: (transfer full) the leases alive now, noted in @dir for whoever goes on there. */
static GPtrArray *
note_leases(VimgCollection *collection, const char *dir, GError **error)
{
    g_autoptr(GPtrArray) names =
        vimg_survey_leases(collection->store, g_get_monotonic_time(), error);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *path = leases_path(dir);
    int result;
    guint i;

    if (!names)
        return NULL;
    for (i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)g_ptr_array_index(names, i));
    g_string_append(text, LEASES_END "\n");
    vimg_transport_unlink(collection->store->transport, path);
    result = vimg_transport_create(collection->store->transport, path, text->str, text->len, FALSE);
    if (result == 0)
        return g_steal_pointer(&names);
    throw_result(error, result, _("cannot note the leases to wait for"));
    return NULL;
}

/* Drops from @leases those that ended.  @alive: of now. */
static void
drop_ended(GPtrArray *leases, const GPtrArray *alive)
{
    guint i = 0;

    while (i < leases->len) {
        if (g_ptr_array_find_with_equal_func((GPtrArray *)alive, g_ptr_array_index(leases, i),
                                             g_str_equal, NULL))
            i++;
        else
            g_ptr_array_remove_index_fast(leases, i);
    }
}

/* @out: all have ended. */
static gboolean
wait_for_leases(VimgCollection *collection, GPtrArray *leases, gint64 deadline, gboolean *out,
                GError **error)
{
    guint total = leases->len;

    for (;;) {
        gint64 now = g_get_monotonic_time();
        g_autoptr(GPtrArray) alive = NULL;

        if (leases->len > 0) {
            alive = vimg_survey_leases(collection->store, now, error);
            if (!alive)
                return FALSE;
            drop_ended(leases, alive);
        }
        *out = leases->len == 0;
        if (*out || now >= deadline)
            return TRUE;
        if (!check_end(collection, error))
            return FALSE;
        vimg_collect_progress(collection, "waiting for running jobs", total - leases->len, total);
        g_usleep((gulong)MIN(POLL, deadline - now));
        collection->resumed = g_get_monotonic_time();
    }
}

/* ---- ending runs ------------------------------------------------------------------------ */

/* All of the run in @dir that can be ended: @ended tells whether its leases have. */
typedef struct {
    char *dir;
    GPtrArray *leases;
    gboolean ended;
} Run;

static void
run_free(gpointer data)
{
    Run *run = data;

    g_ptr_array_unref(run->leases);
    g_free(run->dir);
    g_free(run);
}

static void
add_run(GPtrArray *runs, const char *dir, GPtrArray *leases)
{
    Run *run = g_new0(Run, 1);

    run->dir = g_strdup(dir);
    run->leases = leases;
    g_ptr_array_add(runs, run);
}

/* Nothing is condemned there any more since the run was moved: what is alive now is enough. */
static gboolean
add_old_runs(VimgCollection *collection, GPtrArray *runs, GError **error)
{
    g_autoptr(GPtrArray) dirs = vimg_gc_old_runs(collection->store, error);
    guint i;

    for (i = 0; dirs && i < dirs->len; i++) {
        const char *dir = g_ptr_array_index(dirs, i);
        GPtrArray *leases = read_leases(collection, dir);

        if (!leases)
            leases = note_leases(collection, dir, error);
        if (!leases || !vimg_tidy_old(collection, dir, error)) {
            g_clear_pointer(&leases, g_ptr_array_unref);
            return FALSE;
        }
        add_run(runs, dir, leases);
    }
    return dirs != NULL;
}

static void
report_waiting(VimgCollection *collection, const Run *run)
{
    guint i;

    collection->report.waiting += vimg_count_condemned(collection, run->dir);
    for (i = 0; i < run->leases->len; i++)
        g_ptr_array_add(collection->report.leases,
                        vimg_survey_holder(collection->store, g_ptr_array_index(run->leases, i)));
}

/*
 * Waits for the leases of @runs, reads what was published meanwhile, and ends those that can be.
 * In this order: whoever ended published before.
 */
static gboolean
settle(VimgCollection *collection, GPtrArray *runs, gint64 deadline, GError **error)
{
    gboolean any = FALSE;
    guint i;

    collection->report.waiting = 0;
    for (i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);

        if (!wait_for_leases(collection, run->leases, deadline, &run->ended, error))
            return FALSE;
        any |= run->ended;
    }
    if (any && !vimg_roots_read(&collection->roots, error))
        return FALSE;
    for (i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);

        if (!run->ended)
            report_waiting(collection, run);
        else if (!vimg_sweep(collection, run->dir, error))
            return FALSE;
        else if (strcmp(run->dir, collection->lock->dir) != 0)
            vimg_gc_remove_old(collection->store, run->dir);
    }
    return TRUE;
}

/* ---- the report ------------------------------------------------------------------------- */

static void
set_tally(JsonObject *root, const char *name, const VimgTally *tally, gboolean bytes)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "count", (gint64)tally->count);
    if (bytes)
        json_object_set_int_member(object, "bytes", (gint64)tally->bytes);
    json_object_set_object_member(root, name, object);
}

static JsonArray *
name_removed(const VimgReport *report)
{
    JsonArray *array = json_array_new();
    g_auto(GStrv) lines = g_strsplit(report->removed->str, "\n", 0);
    guint i;

    for (i = 0; lines[i]; i++) {
        JsonObject *object = json_object_new();
        char *reason = strchr(lines[i], '\t');

        if (reason)
            *reason++ = '\0';
        vimg_json_set_string(object, "name", lines[i]);
        vimg_json_set_string(object, "reason", reason);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonArray *
name_kept(const VimgReport *report)
{
    JsonArray *array = json_array_new();
    guint i;

    for (i = 0; i < report->leases->len; i++) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", g_ptr_array_index(report->leases, i));
        json_object_set_string_member(object, "reason",
                                      _("a running job; slices condemned before it ends wait"));
        json_array_add_object_element(array, object);
    }
    return array;
}

static char *
format_report(const VimgCollection *collection)
{
    const VimgReport *report = &collection->report;
    g_autoptr(JsonObject) root = json_object_new();

    json_object_set_int_member(root, "freed", (gint64)(report->slices.bytes + report->bad.bytes));
    json_object_set_boolean_member(root, "dryRun", collection->dry_run);
    set_tally(root, "slices", &report->slices, TRUE);
    set_tally(root, "expired", &report->expired, FALSE);
    set_tally(root, "abandoned", &report->abandoned, FALSE);
    set_tally(root, "rubbish", &report->rubbish, FALSE);
    set_tally(root, "names", &report->names, FALSE);
    set_tally(root, "bad", &report->bad, TRUE);
    json_object_set_int_member(root, "restored", (gint64)report->restored);
    json_object_set_int_member(root, "foreign", (gint64)report->foreign);
    json_object_set_int_member(root, "waiting", (gint64)report->waiting);
    json_object_set_int_member(root, "marked", (gint64)vimg_marks_count(collection->roots.marks));
    json_object_set_int_member(root, "indexes", (gint64)collection->roots.indexes);
    json_object_set_array_member(root, "removed", name_removed(report));
    json_object_set_array_member(root, "kept", name_kept(report));
    return vimg_json_format(root);
}

/* ---- collecting ------------------------------------------------------------------------- */

/* Without any lease alive, what no rule explains is rubbish at once. */
static gboolean
tidy(VimgCollection *collection, GError **error)
{
    g_autoptr(GPtrArray) alive = NULL;

    if (!vimg_tidy_images(collection, error))
        return FALSE;
    alive = vimg_survey_leases(collection->store, g_get_monotonic_time(), error);
    if (!alive)
        return FALSE;
    return alive->len > 0 || vimg_tidy_suspects(collection, error);
}

static gboolean
mark(VimgCollection *collection, GError **error)
{
    vimg_collect_progress(collection, "marking", 0, 0);
    return vimg_roots_read(&collection->roots, error);
}

static gboolean
collect(VimgCollection *collection, gint64 patience, GError **error)
{
    g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func(run_free);
    GPtrArray *leases;
    const Run *own;

    if (!add_old_runs(collection, runs, error) || !tidy(collection, error) ||
        !mark(collection, error) || !vimg_condemn(collection, error))
        return FALSE;
    leases = note_leases(collection, collection->lock->dir, error);
    if (!leases)
        return FALSE;
    add_run(runs, collection->lock->dir, leases);
    own = g_ptr_array_index(runs, runs->len - 1);
    if (!settle(collection, runs, g_get_monotonic_time() + patience, error))
        return FALSE;
    if (!own->ended)
        return TRUE;
    if (!vimg_tidy_suspects(collection, error) || !vimg_tidy_bad(collection, error))
        return FALSE;
    vimg_gc_lock_end(g_steal_pointer(&collection->lock));
    return TRUE;
}

/* Without the lock: nothing is changed. */
static gboolean
count(VimgCollection *collection, GError **error)
{
    return tidy(collection, error) && mark(collection, error) && vimg_condemn(collection, error) &&
           vimg_tidy_bad(collection, error);
}

/* Whoever was taken over from finds its files gone, wherever it is: that is what it says. */
static void
tell_lost(const VimgCollection *collection, GError **error)
{
    g_autoptr(GError) lost = NULL;

    if (!collection->lock || vimg_gc_lock_check(collection->lock, &lost) || !error)
        return;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&lost));
}

char *
vimg_collect(VimgSliceStore *store, gboolean dry_run, gint64 patience, VimgPluginJob *job,
             GError **error)
{
    g_auto(VimgCollection) collection = {0};
    gboolean good;

    init(&collection, store);
    collection.job = job;
    collection.dry_run = dry_run;
    if (dry_run) {
        collection.now = g_get_real_time() / G_USEC_PER_SEC;
        good = count(&collection, error);
    } else {
        collection.lock = vimg_gc_lock_take(store, g_get_monotonic_time(), error);
        good = collection.lock && ask_time(&collection, collection.lock->heartbeat, error) &&
               collect(&collection, patience, error);
        vimg_spare_make(store->transport);
    }
    if (good)
        return format_report(&collection);
    tell_lost(&collection, error);
    return NULL;
}

/* Whether some old run waits for nobody any more. */
static gboolean
has_rest(VimgCollection *collection)
{
    gint64 now = g_get_monotonic_time();
    g_autoptr(GPtrArray) dirs = vimg_gc_old_runs(collection->store, NULL);
    g_autoptr(GPtrArray) alive = NULL;
    gboolean any = vimg_gc_survey(collection->store, now);
    guint i;

    if (!any && dirs && dirs->len > 0)
        alive = vimg_survey_leases(collection->store, now, NULL);
    for (i = 0; !any && alive && i < dirs->len; i++) {
        g_autoptr(GPtrArray) leases = read_leases(collection, g_ptr_array_index(dirs, i));

        if (leases)
            drop_ended(leases, alive);
        any = !leases || leases->len == 0;
    }
    return any;
}

void
vimg_collect_rest(VimgSliceStore *store)
{
    g_auto(VimgCollection) collection = {0};
    g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func(run_free);
    g_autoptr(GError) error = NULL;

    init(&collection, store);
    if (!has_rest(&collection))
        return;
    collection.lock = vimg_gc_lock_take(store, g_get_monotonic_time(), &error);
    if (collection.lock && ask_time(&collection, collection.lock->heartbeat, &error) &&
        add_old_runs(&collection, runs, &error) && mark(&collection, &error) &&
        settle(&collection, runs, g_get_monotonic_time(), &error)) {
        vimg_gc_lock_end(g_steal_pointer(&collection.lock));
        vimg_slice_store_log(VIMG_LOG_INFO,
                             "ended earlier cleanups: %llu slices freed, %llu bytes, %llu wait",
                             ULL(collection.report.slices.count),
                             ULL(collection.report.slices.bytes), ULL(collection.report.waiting));
    } else if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY) &&
               !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot end earlier cleanups: %s", error->message);
    }
}
