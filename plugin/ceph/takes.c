/*
 * takes.c: snapshots in volumes of libvirt that live as long as a call
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "closing.h"
#include "keys.h"
#include "takes.h"
#include "../thread.h"
#include "../throw.h"

#define NOTES "virtimage.takes" /* an object: the snapshot's name: when, pool and image */
#define IN_THE_MAKING 3600      /* seconds, in which nobody's snapshot is taken for a leftover */
#define NOTES_MAX 10000         /* that are looked at at once; more cannot be in the making */
#define SWEEPS_FOR (2 * G_USEC_PER_SEC)
#define PATIENCE (5 * G_USEC_PER_SEC)

gboolean
vimg_ceph_take_note(VimgCluster *cluster, const char *snapshot, gint64 pool_id, const char *id,
                    GError **error)
{
    g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s",
                                             g_get_real_time() / G_USEC_PER_SEC, pool_id, id);
    int result = vimg_ceph_key_set(cluster, NOTES, snapshot, value);

    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot note that a snapshot is taken"));
}

void
vimg_ceph_take_forget(VimgCluster *cluster, const char *snapshot)
{
    vimg_ceph_key_set(cluster, NOTES, snapshot, NULL);
}

/* ---- what is noted ---------------------------------------------------------------------- */

static void
take_free(gpointer data)
{
    VimgCephTake *take = data;

    g_free(take->snapshot);
    g_free(take->id);
    g_free(take);
}

/* What cannot be read is of a later version, whose own cleanup knows it. */
static void
add(gpointer takes, const char *snapshot, const char *value, gsize size)
{
    g_autofree char *text = g_strndup(value, size);
    g_auto(GStrv) words = g_strsplit(text, " ", 3);
    gint64 noted, pool_id;
    VimgCephTake *take;

    if (g_strv_length(words) != 3 || !*words[2] ||
        !g_ascii_string_to_signed(words[0], 10, 0, G_MAXINT64, &noted, NULL) ||
        !g_ascii_string_to_signed(words[1], 10, 0, G_MAXINT64, &pool_id, NULL))
        return;
    take = g_new0(VimgCephTake, 1);
    *take = (VimgCephTake){g_strdup(snapshot), noted, pool_id, g_strdup(words[2])};
    g_ptr_array_add(takes, take);
}

GPtrArray *
vimg_ceph_take_list(VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) takes = g_ptr_array_new_with_free_func(take_free);
    const VimgCephKeys keys = {NOTES, "", "", NOTES_MAX};
    int result = vimg_ceph_keys_each(cluster, &keys, add, takes, NULL);

    if (result == 0 || result == -ENOENT)
        return g_steal_pointer(&takes);
    vimg_cluster_throw(error, result, _("cannot see which snapshots were taken"));
    return NULL;
}

/* ---- removing --------------------------------------------------------------------------- */

/* Returns: 0 also where its volume, or the pool of that, is gone; else a negated errno */
static int
remove_snapshot(VimgCluster *by, const VimgCephTake *take)
{
    rados_ioctx_t io;
    rbd_image_t image;
    int result = rados_ioctx_create2(by->rados, take->pool_id, &io);

    if (result == 0) {
        result = rbd_open_by_id(io, take->id, &image, NULL);
        if (result == 0) {
            result = rbd_snap_remove(image, take->snapshot);
            vimg_ceph_closing(by, image, NULL, NULL);
        }
        rados_ioctx_destroy(io);
    }
    return result == -ENOENT ? 0 : result;
}

static gboolean
throw_kept(const VimgCephTake *take, int result, GError **error)
{
    return vimg_cluster_throw(
        error, result,
        _("cannot remove snapshot '%1$s' of the RBD image with id '%2$s': remove it with rbd snap rm --image-id %2$s --snap %1$s"),
        take->snapshot, take->id);
}

gboolean
vimg_ceph_take_clean(VimgCluster *cluster, VimgCluster *by, const VimgCephTake *take,
                     GError **error)
{
    int result = remove_snapshot(by, take);

    if (result < 0)
        return throw_kept(take, result, error);
    vimg_ceph_take_forget(cluster, take->snapshot);
    return TRUE;
}

void
vimg_ceph_takes_sweep(VimgCluster *cluster, VimgCluster *by, guint64 age)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) takes = vimg_ceph_take_list(cluster, &error);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    gint64 until = g_get_monotonic_time() + SWEEPS_FOR;

    /* a pool that ends waits for this: it ends with the first that cannot go, and soon */
    for (guint i = 0; takes && i < takes->len && g_get_monotonic_time() < until; i++) {
        const VimgCephTake *take = takes->pdata[i];

        if (take->pool_id == by->pool_id && now - take->noted >= 0 &&
            (guint64)(now - take->noted) >= MAX(age, IN_THE_MAKING) &&
            !vimg_ceph_take_clean(cluster, by, take, &error)) {
            vimg_ceph_warn("%s", error->message);
            return;
        }
    }
}

typedef struct {
    char *store_id;
    gint64 volumes; /* the RADOS pool they are in */
    VimgCluster *cluster, *by;
    guint64 age;
} Sweep;

/* Those that run: at most one of a store and of a pool of volumes, as all of these find the same.
 */
static pthread_mutex_t sweep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sweep_ended = PTHREAD_COND_INITIALIZER;
static GSList *sweeps;

/* Under lock.  @by: NULL: of any volumes */
static gboolean
is_swept(const VimgCephStore *store, const VimgCluster *by)
{
    for (const GSList *at = sweeps; at; at = at->next) {
        const Sweep *sweep = at->data;

        if (strcmp(sweep->store_id, store->store_id) == 0 && (!by || sweep->volumes == by->pool_id))
            return TRUE;
    }
    return FALSE;
}

/* Returns: NULL: one runs */
static Sweep *
begin_sweep(const VimgCephStore *store, VimgCluster *cluster, VimgCluster *by)
{
    Sweep *sweep;

    LOCK_GUARD(&sweep_lock);
    if (is_swept(store, by))
        return NULL;
    sweep = g_new(Sweep, 1);
    *sweep =
        (Sweep){g_strdup(store->store_id), by->pool_id, vimg_cluster_ref(cluster),
                vimg_cluster_ref(by), __atomic_load_n(&store->keep_temporary, __ATOMIC_RELAXED)};
    sweeps = g_slist_prepend(sweeps, sweep);
    return sweep;
}

static void
end_sweep(Sweep *sweep)
{
    LOCK_GUARD(&sweep_lock);

    sweeps = g_slist_remove(sweeps, sweep);
    pthread_cond_broadcast(&sweep_ended);
    g_free(sweep->store_id);
    g_free(sweep);
}

static void *
run_sweep(void *data)
{
    Sweep *sweep = data;

    vimg_ceph_takes_sweep(sweep->cluster, sweep->by, sweep->age);
    vimg_cluster_unref(sweep->cluster);
    vimg_cluster_unref(sweep->by);
    end_sweep(sweep);
    return NULL;
}

void
vimg_ceph_takes_sweep_apart(const VimgCephStore *store, VimgCluster *cluster, VimgCluster *by)
{
    Sweep *sweep = begin_sweep(store, cluster, by);
    pthread_t thread;

    if (!sweep)
        return;
    if (thread_start(&thread, run_sweep, sweep) == 0)
        pthread_detach(thread);
    else
        run_sweep(sweep);
}

void
vimg_ceph_takes_settle(const VimgCephStore *store)
{
    gint64 deadline = g_get_real_time() + PATIENCE;
    const struct timespec until = {.tv_sec = deadline / G_USEC_PER_SEC,
                                   .tv_nsec = deadline % G_USEC_PER_SEC * 1000};

    LOCK_GUARD(&sweep_lock);
    while (is_swept(store, NULL) &&
           pthread_cond_timedwait(&sweep_ended, &sweep_lock, &until) != ETIMEDOUT)
        continue;
}

gboolean
vimg_ceph_takes_remove(VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) takes = vimg_ceph_take_list(cluster, error);
    int result;

    if (!takes)
        return FALSE;
    for (guint i = 0; i < takes->len; i++) {
        g_autoptr(GError) local = NULL;

        result = remove_snapshot(cluster, takes->pdata[i]);
        if (result == 0)
            continue;
        if (result != -EPERM && result != -EACCES)
            return throw_kept(takes->pdata[i], result, error);
        /* with this key nobody can tell whether it is there: the pool goes all the same */
        throw_kept(takes->pdata[i], result, &local);
        vimg_ceph_warn("%s", local->message);
    }
    result = rados_remove(cluster->io, NOTES);
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove the list of snapshots"));
}
