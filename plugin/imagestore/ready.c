/*
 * ready.c: the lease of a create, kept for the upload that follows
 *
 * A thread of its own, which is there only as long as something is kept, ends it in time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "ready.h"

#define WAIT (G_USEC_PER_SEC / 2) /* for an answer that is under way */

struct _VimgReadies {
    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t changed;
    VimgReady now;
    guint64 number; /* which one it is */
    gint64 until;   /* monotonic */
    gboolean closing;
    gboolean running; /* somebody sees to it that it ends */
    gboolean started; /* there is a thread to be joined: */
    pthread_t thread;
};

VimgReadies *
vimg_readies_new(void)
{
    VimgReadies *readies = g_new0(VimgReadies, 1);

    thread_must(pthread_mutex_init(&readies->lock, NULL));
    cond_init(&readies->changed);
    return readies;
}

/* Nobody is to wait for a storage that is known to be lost, least of all who closes it. */
void
vimg_ready_clear(VimgReady *ready)
{
    VimgLease *lease = g_steal_pointer(&ready->lease);
    g_autofree char *lost = lease ? vimg_transport_reason(lease->store->transport) : NULL;

    g_clear_pointer(&ready->made, vimg_manifest_free);
    if (lost)
        vimg_lease_abandon(lease);
    else if (lease)
        vimg_lease_leave(lease, NULL);
}

/* Returns: what was kept, which is the caller's now.  The lock is held. */
static VimgReady
take_all(VimgReadies *readies)
{
    VimgReady taken = readies->now;

    readies->now = (VimgReady){0};
    readies->number++;
    pthread_cond_broadcast(&readies->changed);
    return taken;
}

/* How much room there is, of which whoever writes is to know first.  The lock is held. */
static void
measure(VimgReadies *readies)
{
    VimgSliceStore *store = readies->now.lease->store;
    guint64 number = readies->number;
    VimgLeaseRoom room;

    thread_must(pthread_mutex_unlock(&readies->lock));
    vimg_lease_look_for_room(store, NULL, &room);
    thread_must(pthread_mutex_lock(&readies->lock));
    if (readies->number != number)
        return;
    readies->now.room = room;
    readies->now.measured = TRUE;
    pthread_cond_broadcast(&readies->changed);
}

static void *
ready_main(void *data)
{
    VimgReadies *readies = data;

    pthread_setname_np(pthread_self(), "ready");
    thread_must(pthread_mutex_lock(&readies->lock));
    while (readies->now.lease) {
        if (!readies->now.measured && !readies->closing) {
            measure(readies);
        } else if (readies->closing ||
                   (!cond_wait_until(&readies->changed, &readies->lock, readies->until) &&
                    g_get_monotonic_time() >= readies->until)) {
            VimgReady over = take_all(readies);

            thread_must(pthread_mutex_unlock(&readies->lock));
            vimg_ready_clear(&over);
            thread_must(pthread_mutex_lock(&readies->lock));
        }
    }
    readies->running = FALSE;
    thread_must(pthread_mutex_unlock(&readies->lock));
    return NULL;
}

/* Whether somebody will see to it that what is kept ends.  The lock is held. */
static gboolean
watch(VimgReadies *readies)
{
    if (readies->running)
        return TRUE;
    /* the one before has nothing more to do */
    if (readies->started)
        thread_must(pthread_join(readies->thread, NULL));
    readies->started = thread_start(&readies->thread, ready_main, readies) == 0;
    readies->running = readies->started;
    return readies->running;
}

void
vimg_ready_keep(VimgLease *lease, const VimgManifest *made)
{
    VimgReadies *readies = lease->store->readies;
    VimgReady over = {.lease = lease}; /* this one, or the one before it */

    if (lease->store->transport->remote) {
        LOCK_GUARD(&readies->lock);

        if (!readies->closing && watch(readies)) {
            over = take_all(readies);
            readies->now = (VimgReady){.lease = lease, .made = vimg_manifest_copy(made)};
            readies->until = g_get_monotonic_time() + lease->store->ready;
        }
    }
    vimg_ready_clear(&over);
}

gboolean
vimg_ready_take(VimgSliceStore *store, const char *uuid, VimgReady *out)
{
    VimgReadies *readies = store->readies;
    gint64 patience = g_get_monotonic_time() + WAIT;
    VimgReady *now = &readies->now;
    LOCK_GUARD(&readies->lock);
    guint64 number = readies->number;

    if (!now->lease || strcmp(now->made->image.uuid, uuid) != 0)
        return FALSE;
    while (readies->number == number && !now->measured &&
           cond_wait_until(&readies->changed, &readies->lock, patience))
        ;
    if (readies->number != number || g_get_monotonic_time() >= readies->until)
        return FALSE;
    *out = take_all(readies);
    return TRUE;
}

void
vimg_ready_drop(VimgSliceStore *store, const char *uuid)
{
    VimgReadies *readies = store->readies;
    VimgReady over = {0};

    {
        const VimgReady *now = &readies->now;
        LOCK_GUARD(&readies->lock);

        if (!uuid || (now->lease && strcmp(now->made->image.uuid, uuid) == 0))
            over = take_all(readies);
    }
    vimg_ready_clear(&over);
}

void
vimg_readies_free(VimgReadies *readies)
{
    if (!readies)
        return;
    {
        LOCK_GUARD(&readies->lock);

        readies->closing = TRUE;
        pthread_cond_broadcast(&readies->changed);
    }
    if (readies->started)
        thread_must(pthread_join(readies->thread, NULL));
    pthread_cond_destroy(&readies->changed);
    pthread_mutex_destroy(&readies->lock);
    g_free(readies);
}
