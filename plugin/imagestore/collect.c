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

#include "clock.h"
#include "collect-private.h"
#include "ready.h"
#include "spare.h"
#include "survey.h"
#include "../throw.h"

#define REST 9 /* times as long as the work before */
#define REST_MAX (10 * G_USEC_PER_SEC)
#define WORK_MIN (G_USEC_PER_SEC / 50) /* less is not worth asking whether anybody has a lease */
#define PAUSE_MIN (60 * G_USEC_PER_SEC)
#define PAUSE_MAX (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)

/* ---- one run ---------------------------------------------------------------------------- */

gboolean
vimg_collect_check_end(VimgCollection *collection, GError **error)
{
    if (__atomic_load_n(&collection->store->closing, __ATOMIC_RELAXED))
        return throw_error(error, VIMG_ERROR_ABORTED, _("the pool is being stopped"));
    return vimg_slice_store_check_job(collection->job, error);
}

static gboolean
has_leases(VimgCollection *collection)
{
    g_autoptr(GPtrArray) leases = NULL;

    return vimg_transport_list(collection->store->transport, "pending", &leases) == 0 &&
           leases->len > 0;
}

/*
 * While somebody has a lease, most of the time is his.  By sleeping, not by a low priority: whoever
 * waits for a journal would wait for us to get our turn.
 */
gboolean
vimg_collect_go_on(gpointer data, GError **error)
{
    VimgCollection *collection = data;
    gint64 now = g_get_monotonic_time();
    gint64 until = now + MIN(REST * (now - collection->resumed), REST_MAX);

    if (now - collection->resumed < WORK_MIN)
        return vimg_collect_check_end(collection, error);
    while (now < until && has_leases(collection)) {
        if (!vimg_collect_check_end(collection, error))
            return FALSE;
        g_usleep((gulong)MIN(VIMG_COLLECT_POLL, until - now));
        now = g_get_monotonic_time();
    }
    collection->resumed = now;
    return vimg_collect_check_end(collection, error);
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
    vimg_gc_lock_end(collection->lock);
    vimg_roots_clear(&collection->roots);
    g_hash_table_unref(collection->going);
    g_hash_table_unref(collection->named);
    g_ptr_array_unref(collection->suspects);
    g_string_free(collection->report.removed, TRUE);
    g_ptr_array_unref(collection->report.leases);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCollection, clear)

static gboolean
ask_time(VimgCollection *collection, const char *path, GError **error)
{
    int result = vimg_clock_ask(collection->store->transport, path, &collection->now);

    collection->roots.now = collection->now;
    return result == 0 || throw_result(error, result, _("cannot ask the storage for its time"));
}

/* Without the lock; where there is no room for a lease, which is when one asks, our clock must do.
 */
static gboolean
guess_time(VimgCollection *collection, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (vimg_clock_now(collection->store, &collection->now, &local) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_collect_find_room(VimgCollection *collection, GError **error)
{
    if (!*error || (*error)->domain != VIMG_ERROR || (*error)->code != VIMG_ERROR_NO_SPACE ||
        !vimg_spare_use(collection->store->transport, ENOSPC))
        return FALSE;
    g_clear_error(error);
    collection->lock->tight = TRUE;
    return TRUE;
}

/* ---- ending runs ------------------------------------------------------------------------ */

/* One whose slices are to be ended. */
typedef struct {
    char *dir;
    GPtrArray *leases; /* that it waits for still */
    gboolean ended;    /* there are none of them */
    gboolean late;     /* there were some when others began to be ended: another time */
} Run;

static void
run_free(gpointer data)
{
    Run *run = data;

    g_ptr_array_unref(run->leases);
    g_free(run->dir);
    g_free(run);
}

/* Nothing is condemned in an old run any more: what is alive now is enough. */
static gboolean
add_run(VimgCollection *collection, GPtrArray *runs, const char *dir, GError **error)
{
    GPtrArray *leases;
    Run *run;

    if (!vimg_collect_get_leases(collection, dir, VIMG_GC_LEASES, &leases, error))
        return FALSE;
    if (!leases)
        return TRUE;
    run = g_new0(Run, 1);
    run->dir = g_strdup(dir);
    run->leases = leases;
    g_ptr_array_add(runs, run);
    return TRUE;
}

static gboolean
add_old_runs(VimgCollection *collection, GPtrArray *runs, GError **error)
{
    g_autoptr(GPtrArray) dirs = vimg_gc_old_runs(collection->store, error);
    guint i;

    for (i = 0; dirs && i < dirs->len; i++) {
        if (!add_run(collection, runs, g_ptr_array_index(dirs, i), error))
            return FALSE;
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

/* Images that a run found before it noted the leases: whoever made or removed them has ended. */
static gboolean
look_at_suspects(VimgCollection *collection, const char *dir, GError **error)
{
    g_autoptr(GPtrArray) uuids = vimg_collect_read_names(collection, dir, VIMG_GC_SUSPECTS);

    return !uuids || vimg_tidy_suspects(collection, uuids, error);
}

static gboolean
wait_for_runs(VimgCollection *collection, GPtrArray *runs, gint64 deadline, gboolean *any,
              GError **error)
{
    guint i;

    *any = FALSE;
    for (i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);

        if (run->late)
            continue;
        if (!vimg_collect_wait(collection, run->leases, deadline, &run->ended, error))
            return FALSE;
        *any |= run->ended;
    }
    return TRUE;
}

/*
 * All who could have relied on what @run condemned have published: that goes back.  The rest no
 * index names now, but one that went a moment ago may have, and who read it then is waited for too.
 */
static gboolean
begin_sweep(VimgCollection *collection, Run *run, GError **error)
{
    GPtrArray *readers;

    if (!vimg_put_back(collection, run->dir, error) ||
        !look_at_suspects(collection, run->dir, error) ||
        !vimg_collect_get_leases(collection, run->dir, VIMG_GC_READERS, &readers, error))
        return FALSE;
    if (readers) {
        g_ptr_array_unref(run->leases);
        run->leases = readers;
    }
    return TRUE;
}

/* Waits for the leases of @runs, and ends those that can be; each step in this order. */
static gboolean
settle(VimgCollection *collection, GPtrArray *runs, gint64 deadline, GError **error)
{
    gboolean any;
    guint i;

    if (!wait_for_runs(collection, runs, deadline, &any, error) ||
        (any && !vimg_roots_read(&collection->roots, error)))
        return FALSE;
    for (i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);

        run->late = !run->ended;
        if (run->ended && !begin_sweep(collection, run, error))
            return FALSE;
    }
    if (!wait_for_runs(collection, runs, deadline, &any, error) ||
        (any && !vimg_roots_read(&collection->roots, error)))
        return FALSE;
    collection->report.waiting = 0;
    for (i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);

        if (!run->ended)
            report_waiting(collection, run);
        else if (!vimg_put_back(collection, run->dir, error) ||
                 !vimg_sweep(collection, run->dir, error))
            return FALSE;
        else if (strcmp(run->dir, collection->lock->dir) != 0)
            vimg_gc_remove_old(collection->store, run->dir);
    }
    return TRUE;
}

/* ---- collecting ------------------------------------------------------------------------- */

/* @alive: how many leases are. */
static gboolean
count_leases(VimgCollection *collection, guint *alive, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result;

    if (!collection->dry_run) {
        names = vimg_survey_leases(collection->store, g_get_monotonic_time(), error);
    } else {
        result = vimg_transport_list(collection->store->transport, "pending", &names);
        if (result != 0)
            throw_result(error, result, _("cannot list the leases"));
    }
    *alive = names ? names->len : 0;
    return names != NULL;
}

/* Without any lease alive, what no rule explains is rubbish at once. */
static gboolean
tidy(VimgCollection *collection, GError **error)
{
    guint alive;

    if (!vimg_tidy_images(collection, error) || !count_leases(collection, &alive, error))
        return FALSE;
    if (alive == 0)
        return vimg_tidy_suspects(collection, collection->suspects, error);
    return collection->dry_run ||
           vimg_collect_write_names(collection, collection->lock->dir, VIMG_GC_SUSPECTS,
                                    collection->suspects, error);
}

static gboolean
mark(VimgCollection *collection, GError **error)
{
    vimg_collect_progress(collection, "marking", 0, 0);
    return vimg_roots_read(&collection->roots, error);
}

/*
 * What the run noted of slices that it condemned, and ended, before.  Those that it condemns next
 * are to be waited for anew.
 */
static gboolean
forget_names(VimgCollection *collection, const char *dir, GError **error)
{
    static const char *const names[] = {VIMG_GC_LEASES, VIMG_GC_READERS};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strconcat(dir, "/", names[i], NULL);

        int result = vimg_transport_unlink(collection->store->transport, path);

        if (result != 0 && result != ENOENT)
            return throw_result(error, result, _("cannot remove '%s'"), path);
    }
    return TRUE;
}

/* As many slices as one run condemns, and all old runs.  @out: the own one could be ended. */
static gboolean
condemn_and_settle(VimgCollection *collection, gint64 patience, gboolean *out, GError **error)
{
    g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func(run_free);
    const char *own = collection->lock->dir;
    const Run *last;

    *out = FALSE;
    if (!forget_names(collection, own, error) || !add_old_runs(collection, runs, error) ||
        !vimg_condemn(collection, error) || !add_run(collection, runs, own, error) ||
        !vimg_gc_lock_check(collection->lock, error) ||
        !settle(collection, runs, g_get_monotonic_time() + patience, error))
        return FALSE;
    last = g_ptr_array_index(runs, runs->len - 1);
    *out = last->ended;
    return TRUE;
}

static gboolean
collect(VimgCollection *collection, gint64 patience, GError **error)
{
    gboolean ended = TRUE;

    if (!tidy(collection, error) || !mark(collection, error))
        return FALSE;
    do {
        if (!condemn_and_settle(collection, patience, &ended, error))
            return FALSE;
    } while (ended && collection->more);
    if (!vimg_tidy_bad(collection, error))
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

/* Waits for another collector as for leases. */
static VimgGcLock *
take_lock(VimgCollection *collection, gint64 patience, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + patience;

    for (;;) {
        g_autoptr(GError) local = NULL;
        gint64 now = g_get_monotonic_time();
        VimgGcLock *lock = vimg_gc_lock_take(collection->store, now, &local);

        if (lock)
            return lock;
        if (now >= deadline || !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        if (!vimg_collect_check_end(collection, error))
            return NULL;
        vimg_collect_progress(collection, "waiting for another cleanup", 0, 0);
        g_usleep((gulong)MIN(VIMG_COLLECT_POLL, deadline - now));
    }
}

/* Leases that were taken away meanwhile, with all that was staged in them. */
static void
tally_fenced(VimgCollection *collection, guint64 before, guint64 bytes_before)
{
    VimgSliceStore *store = collection->store;

    collection->report.temporary.count = __atomic_load_n(&store->fenced, __ATOMIC_RELAXED) - before;
    collection->report.temporary.bytes =
        __atomic_load_n(&store->fenced_bytes, __ATOMIC_RELAXED) - bytes_before;
}

char *
vimg_collect(VimgSliceStore *store, gboolean dry_run, gint64 patience, VimgPluginJob *job,
             GError **error)
{
    guint64 fenced = __atomic_load_n(&store->fenced, __ATOMIC_RELAXED);
    guint64 bytes = __atomic_load_n(&store->fenced_bytes, __ATOMIC_RELAXED);
    g_auto(VimgCollection) collection = {0};
    gboolean good;

    init(&collection, store);
    collection.job = job;
    collection.dry_run = dry_run;
    if (dry_run) {
        good = guess_time(&collection, error) && count(&collection, error);
    } else {
        vimg_ready_drop(store, NULL); /* it would be waited for */
        collection.lock = take_lock(&collection, patience, error);
        good = collection.lock && ask_time(&collection, collection.lock->heartbeat, error) &&
               collect(&collection, patience, error);
        vimg_spare_make(store->transport);
    }
    tally_fenced(&collection, fenced, bytes);
    if (good)
        return vimg_report_format(&collection);
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
        const char *dir = g_ptr_array_index(dirs, i);
        g_autoptr(GPtrArray) leases = vimg_collect_read_names(collection, dir, VIMG_GC_READERS);

        if (!leases)
            leases = vimg_collect_read_names(collection, dir, VIMG_GC_LEASES);
        if (leases)
            vimg_collect_drop_ended(leases, alive);
        any = !leases || leases->len == 0;
    }
    return any;
}

/* Whatever went wrong is most likely still wrong in half a minute. */
static void
put_off(VimgSliceStore *store, const GError *error)
{
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY) ||
        g_error_matches(error, VIMG_ERROR, VIMG_ERROR_ABORTED))
        return;
    store->rest_pause = CLAMP(2 * store->rest_pause, PAUSE_MIN, PAUSE_MAX);
    store->rest_after = g_get_monotonic_time() + store->rest_pause;
    vimg_slice_store_log(VIMG_LOG_WARNING, "cannot end earlier cleanups: %s", error->message);
}

void
vimg_collect_rest(VimgSliceStore *store)
{
    g_auto(VimgCollection) collection = {0};
    g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func(run_free);
    g_autoptr(GError) error = NULL;

    init(&collection, store);
    if (g_get_monotonic_time() < store->rest_after)
        return;
    if (!store->read_only)
        vimg_spare_make(store->transport);
    if (!has_rest(&collection))
        return;
    collection.lock = vimg_gc_lock_take(store, g_get_monotonic_time(), &error);
    if (!collection.lock || !ask_time(&collection, collection.lock->heartbeat, &error) ||
        !add_old_runs(&collection, runs, &error) || !mark(&collection, &error) ||
        !settle(&collection, runs, g_get_monotonic_time(), &error)) {
        put_off(store, error);
        return;
    }
    store->rest_pause = 0;
    vimg_slice_store_log(VIMG_LOG_INFO,
                         "ended earlier cleanups: %llu slices freed, %llu bytes, %llu wait",
                         ULL(collection.report.slices.count), ULL(collection.report.slices.bytes),
                         ULL(collection.report.waiting));
}
