/*
 * gc-lock.c: one collector at a time, and what dead ones left
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "gc-lock.h"
#include "lease.h"
#include "owner.h"
#include "spare.h"
#include "survey.h"
#include "../throw.h"

#define LOCK "gc/lock"
#define NEW "gc/new-"
#define DONE "gc/done-"
#define MAX_ROUNDS 4

/* ---- making a run ----------------------------------------------------------------------- */

static char *
run_path(const char *prefix, const char *run)
{
    return g_strconcat(prefix, run, "/", run, NULL);
}

/* Never a slice: rmdir keeps a directory that has one.  Whether there are none. */
static gboolean
empty_run(VimgTransport *transport, const char *dir)
{
    g_autofree char *condemned = g_strconcat(dir, "/" VIMG_GC_CONDEMNED, NULL);
    int result = vimg_transport_rmdir(transport, condemned);

    return result == 0 || result == ENOENT;
}

/* gc/NAME-<run>/<run>, whatever of it is there. */
static void
remove_run(VimgTransport *transport, const char *dir)
{
    if (empty_run(transport, dir))
        vimg_transport_remove_files(transport, dir);
}

/*
 * gc/done-<run>: all in it was decided on before.  What a power cut brought back there is of no
 * use.
 */
static void
remove_done(VimgTransport *transport, const char *dir)
{
    g_autofree char *condemned = g_strconcat(dir, "/" VIMG_GC_CONDEMNED, NULL);

    vimg_transport_remove_files(transport, condemned);
    vimg_transport_remove_files(transport, dir);
}

static void
unmake(VimgTransport *transport, const char *run)
{
    g_autofree char *parent = g_strconcat(NEW, run, NULL);
    g_autofree char *dir = run_path(NEW, run);

    remove_run(transport, dir);
    vimg_transport_rmdir(transport, parent);
}

/* The whole run beside its place, durably: a slice moved into it must not be lost with it. */
static int
make(VimgTransport *transport, const char *run)
{
    g_autofree char *parent = g_strconcat(NEW, run, NULL);
    g_autofree char *dir = run_path(NEW, run);
    g_autofree char *condemned = g_strconcat(dir, "/" VIMG_GC_CONDEMNED, NULL);
    const char *dirs[] = {parent, dir, condemned};
    int result = 0;
    gsize i;

    for (i = 0; result == 0 && i < G_N_ELEMENTS(dirs); i++)
        result = vimg_transport_mkdir(transport, dirs[i]);
    if (result == 0)
        result = vimg_owner_write(transport, dir);
    for (i = G_N_ELEMENTS(dirs); result == 0 && i-- > 0;)
        result = vimg_transport_sync(transport, dirs[i]);
    return result;
}

/* ---- taking it over from the dead ------------------------------------------------------- */

/* Returns: (transfer full) the run that has the lock; NULL: none.  @result: of looking. */
static char *
find_holder(VimgTransport *transport, int *result)
{
    g_autoptr(GPtrArray) names = NULL;

    *result = vimg_transport_list(transport, LOCK, &names);
    return *result == 0 && names->len > 0 ? g_strdup(g_ptr_array_index(names, 0)) : NULL;
}

static gboolean
is_dead(VimgSliceStore *store, const char *run, gint64 now)
{
    g_autofree char *dir = g_strconcat(LOCK "/", run, NULL);
    VimgSurveyed item = {.dir = dir};

    vimg_survey_owners(store, &item, 1, now);
    return item.dead;
}

/* Only the one that moves it stops it; a run that ended meanwhile is not there to be moved. */
static int
move_away(VimgTransport *transport, const char *run)
{
    g_autofree char *from = g_strconcat(LOCK "/", run, NULL);
    g_autofree char *fresh = g_uuid_string_random();
    g_autofree char *parent = g_strconcat(VIMG_GC_OLD, fresh, NULL);
    g_autofree char *to = g_strconcat(parent, "/", run, NULL);
    int result = vimg_transport_mkdir(transport, parent);

    if (vimg_spare_use(transport, result))
        result = vimg_transport_mkdir(transport, parent);
    if (result == 0)
        result = vimg_transport_rename(transport, from, to);
    if (result == 0)
        result = vimg_transport_sync(transport, parent);
    if (result == 0)
        result = vimg_transport_sync(transport, "gc");
    else
        vimg_transport_rmdir(transport, parent);
    vimg_transport_rmdir(transport, LOCK);
    return result;
}

static gboolean
throw_busy(VimgSliceStore *store, const char *run, GError **error)
{
    g_autofree char *dir = g_strconcat(LOCK "/", run, NULL);
    g_autoptr(JsonObject) owner = vimg_owner_read(store->transport, dir);
    g_autofree char *holder = owner ? vimg_owner_describe(owner) : NULL;

    return throw_error(error, VIMG_ERROR_BUSY, _("the store is being cleaned up by %s"),
                       holder ? holder : run);
}

/* The lock was not free.  TRUE: it may be now. */
static gboolean
make_room(VimgSliceStore *store, gint64 now, GError **error)
{
    int result;
    g_autofree char *holder = find_holder(store->transport, &result);

    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot look who cleans up the store"));
    if (!holder) {
        /* an empty directory is what an interrupted end leaves */
        vimg_transport_rmdir(store->transport, LOCK);
        return TRUE;
    }
    if (!is_dead(store, holder, now))
        return throw_busy(store, holder, error);
    result = move_away(store->transport, holder);
    if (result != 0 && result != ENOENT)
        return throw_result(error, result,
                            _("cannot take over from the collector %s, which is dead"), holder);
    if (result == 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "took over from the collector %s, which is dead",
                             holder);
    return TRUE;
}

/* What interrupted makings and endings left. */
static void
remove_remains(VimgSliceStore *store, gint64 now)
{
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    if (vimg_transport_list(store->transport, "gc", &names) != 0)
        return;
    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("gc/", g_ptr_array_index(names, i), NULL);

        if (g_str_has_prefix(dir, DONE)) {
            remove_done(store->transport, dir);
        } else if (g_str_has_prefix(dir, NEW)) {
            const char *run = dir + strlen(NEW);
            g_autofree char *path = run_path(NEW, run);
            VimgSurveyed item = {.dir = path};

            vimg_survey_owners(store, &item, 1, now);
            if (item.dead)
                unmake(store->transport, run);
        }
    }
}

/* ---- taking and ending ------------------------------------------------------------------ */

static int
try_take(VimgTransport *transport, const char *run)
{
    g_autofree char *made = g_strconcat(NEW, run, NULL);
    int result = vimg_transport_rename(transport, made, LOCK);

    /* all names for "something is there" */
    return result == ENOTEMPTY || result == EISDIR ? EEXIST : result;
}

/* What is to become the lock.  *@tight: only for the room that was kept.  Returns: as make() */
static int
make_with_room(VimgSliceStore *store, const char *run, gboolean *tight)
{
    int result = make(store->transport, run);

    *tight = vimg_spare_use(store->transport, result);
    if (*tight) {
        unmake(store->transport, run);
        result = make(store->transport, run);
    }
    return result;
}

/* *@result: 0 or a value of errno, of what was made already.  FALSE with @error: it is not to be
 * had */
static gboolean
contend(VimgSliceStore *store, const char *run, gint64 now, int *result, GError **error)
{
    for (guint round = 0; *result == 0; round++) {
        *result = try_take(store->transport, run);
        if (*result != EEXIST || round == MAX_ROUNDS)
            break;
        if (!make_room(store, now, error))
            return FALSE;
        *result = 0;
    }
    if (*result == 0)
        *result = vimg_transport_sync(store->transport, "gc");
    return TRUE;
}

/* @run: taken over */
static VimgGcLock *
lock_new(VimgSliceStore *store, char *run, gboolean tight)
{
    VimgGcLock *lock = g_new0(VimgGcLock, 1);

    lock->store = store;
    lock->tight = tight;
    lock->dir = g_strconcat(LOCK "/", run, NULL);
    lock->heartbeat = g_strconcat(lock->dir, "/" VIMG_HEARTBEAT_FILE, NULL);
    lock->run = run;
    vimg_lease_beat_add(store, lock->heartbeat);
    return lock;
}

static void
throw_not_taken(VimgSliceStore *store, int result, GError **error)
{
    int looked;
    g_autofree char *holder = result == EEXIST ? find_holder(store->transport, &looked) : NULL;

    if (holder)
        throw_busy(store, holder, error);
    else if (result == EEXIST)
        throw_error(error, VIMG_ERROR_BUSY, _("the store is being cleaned up by other hosts"));
    else
        throw_result(error, result, _("cannot begin to clean up the store"));
}

VimgGcLock *
vimg_gc_lock_take(VimgSliceStore *store, gint64 now, GError **error)
{
    g_autofree char *run = vimg_owner_new_id();
    VimgGcLock *lock;
    gboolean tight;
    int result;

    if (!vimg_slice_store_need_writable(store, error))
        return NULL;
    remove_remains(store, now);
    vimg_owner_hold(run);
    result = make_with_room(store, run, &tight);
    if (!contend(store, run, now, &result, error)) {
        unmake(store->transport, run);
        vimg_owner_drop(run);
        return NULL;
    }
    lock = lock_new(store, g_steal_pointer(&run), tight);
    if (result == 0)
        return lock;
    unmake(store->transport, lock->run);
    vimg_gc_lock_end(lock);
    throw_not_taken(store, result, error);
    return NULL;
}

gboolean
vimg_gc_lock_check(const VimgGcLock *lock, GError **error)
{
    VimgFileInfo info;
    int result = vimg_transport_stat(lock->store->transport, lock->heartbeat, &info);

    if (result == ENOENT)
        return throw_error(error, VIMG_ERROR_FAILED,
                           _("another host took over cleaning up the store"));
    if (result != 0)
        return throw_result(error, result, _("cannot clean up the store"));
    return TRUE;
}

static void
lock_free(VimgGcLock *lock)
{
    vimg_lease_beat_remove(lock->store, lock->heartbeat);
    vimg_owner_drop(lock->run);
    g_free(lock->run);
    g_free(lock->dir);
    g_free(lock->heartbeat);
    g_free(lock);
}

static void
end_run(VimgGcLock *lock)
{
    VimgTransport *transport = lock->store->transport;
    g_autofree char *done = g_strconcat(DONE, lock->run, NULL);

    /* by its own name: after a take-over gc/lock is another's */
    if (vimg_transport_rename(transport, lock->dir, done) == 0) {
        vimg_transport_rmdir(transport, LOCK);
        remove_done(transport, done);
    }
}

void
vimg_gc_lock_end(VimgGcLock *lock)
{
    int result = 0;

    if (!lock)
        return;
    if (empty_run(lock->store->transport, lock->dir))
        end_run(lock);
    else
        result = move_away(lock->store->transport, lock->run);
    if (result != 0 && result != ENOENT)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot end the collection %s: %s", lock->run,
                             g_strerror(result));
    lock_free(lock);
}

/* ---- all runs --------------------------------------------------------------------------- */

gboolean
vimg_gc_each(VimgTransport *transport, const char *rest,
             gboolean (*func)(VimgTransport *transport, const char *path, gpointer data),
             gpointer data)
{
    g_autoptr(GPtrArray) holders = NULL;
    guint i;
    guint j;

    if (vimg_transport_list(transport, "gc", &holders) != 0)
        return FALSE;
    for (i = 0; i < holders->len; i++) {
        g_autofree char *holder = g_strconcat("gc/", g_ptr_array_index(holders, i), NULL);
        g_autoptr(GPtrArray) runs = NULL;

        if (strcmp(holder, VIMG_SPARE_FILE) == 0 || g_str_has_prefix(holder, VIMG_LEASE_ENDED) ||
            vimg_transport_list(transport, holder, &runs) != 0)
            continue;
        for (j = 0; j < runs->len; j++) {
            g_autofree char *path =
                g_strconcat(holder, "/", g_ptr_array_index(runs, j), "/", rest, NULL);

            if (func(transport, path, data))
                return TRUE;
        }
    }
    return FALSE;
}

/* ---- old runs --------------------------------------------------------------------------- */

GPtrArray *
vimg_gc_old_runs(VimgSliceStore *store, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    int result = vimg_transport_list(store->transport, "gc", &names);
    guint i;
    guint j;

    for (i = 0; result == 0 && i < names->len; i++) {
        g_autofree char *parent = g_strconcat("gc/", g_ptr_array_index(names, i), NULL);
        g_autoptr(GPtrArray) runs = NULL;

        if (!g_str_has_prefix(parent, VIMG_GC_OLD))
            continue;
        result = vimg_transport_list(store->transport, parent, &runs);
        if (result == 0 && runs->len == 0)
            vimg_transport_rmdir(store->transport, parent);
        for (j = 0; result == 0 && j < runs->len; j++)
            g_ptr_array_add(dirs, g_strconcat(parent, "/", g_ptr_array_index(runs, j), NULL));
        if (result == ENOENT)
            result = 0;
    }
    if (result == 0)
        return g_steal_pointer(&dirs);
    throw_result(error, result, _("cannot look for what earlier cleanups left"));
    return NULL;
}

void
vimg_gc_remove_old(VimgSliceStore *store, const char *dir)
{
    g_autofree char *parent = g_path_get_dirname(dir);

    remove_run(store->transport, dir);
    vimg_transport_rmdir(store->transport, parent);
}

gboolean
vimg_gc_survey(VimgSliceStore *store, gint64 now)
{
    int result;
    g_autofree char *holder = find_holder(store->transport, &result);

    remove_remains(store, now);
    return holder && is_dead(store, holder, now);
}
