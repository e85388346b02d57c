/*
 * upkeep-timer.c: cleanups that happen by themselves
 *
 * A timer looks at the definitions of all pools, so that one which was changed a moment ago holds;
 * the cleanups run in workers of their own, or storages that hang would take those of the others.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/schedule.h"
#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define TICK 20 /* seconds; a schedule says minutes */
#define WORKERS 4
#define AGAIN 600 /* seconds between two attempts */

static void
run(gpointer data)
{
    g_autoptr(VimgPool) pool = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    vimg_mutex_lock(&pool->lock);
    pool->queued = FALSE;
    vimg_mutex_unlock(&pool->lock);
    report = vimg_pool_cleanup(pool, FALSE, &error);
    if (!report)
        vimg_warning("scheduled cleanup of storage pool '%s': %s", vimg_pool_name(pool),
                     error->message);
}

/*
 * The schedule of an active pool, looked at until @now.  @since: of a daily one, until when that
 * was done before; of an interval, its last cleanup as far as known.
 */
static gboolean
look(VimgPool *pool, gint64 now, VimgSchedule *schedule, gint64 *since)
{
    gint64 before;

    VIMG_LOCK_GUARD(&pool->lock);
    before = pool->looked ? pool->looked : now;
    pool->looked = 0;
    if (!pool->active || !pool->def->cleanup_schedule ||
        !vimg_schedule_parse(pool->def->cleanup_schedule, schedule))
        return FALSE;
    pool->looked = now;
    *since = schedule->interval ? pool->cleaned : before;
    return TRUE;
}

/* The first time it is seen counts as one, or a daemon that never runs long would never clean. */
static gint64
last_cleanup(VimgPool *pool, gint64 now)
{
    gint64 last = vimg_persist_cleaned(pool);

    if (last == 0 || last > now) { /* or the clock was set back */
        vimg_pool_note_cleanup(pool, now);
        return now;
    }
    VIMG_LOCK_GUARD(&pool->lock);
    pool->cleaned = last;
    return last;
}

static gboolean
is_due(VimgPool *pool, gint64 now, GTimeZone *zone)
{
    VimgSchedule schedule;
    gint64 since = 0;

    if (!look(pool, now, &schedule, &since))
        return FALSE;
    if (schedule.interval && (since == 0 || since > now))
        since = last_cleanup(pool, now);
    return vimg_schedule_next(&schedule, MIN(since, now), zone) <= now;
}

/* Takes it into the line of those that wait for a worker, if it can be cleaned up. */
static gboolean
queue(VimgPool *pool, gint64 now)
{
    VIMG_LOCK_GUARD(&pool->lock);
    if (!pool->active || pool->status != VIMG_POOL_CONNECTED || pool->def->disabled ||
        pool->read_only || pool->tending || pool->queued || ABS(now - pool->tried) < AGAIN)
        return FALSE;
    pool->queued = TRUE;
    pool->tried = now;
    return TRUE;
}

guint
vimg_upkeep_tick(VimgModel *model, gint64 now, GTimeZone *zone)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    guint n = 0;
    guint i;

    for (i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);

        if (!is_due(pool, now, zone) || !queue(pool, now))
            continue;
        vimg_workers_push(model->upkeep, run, vimg_pool_ref(pool));
        n++;
    }
    return n;
}

static void
tick(gpointer data)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();

    vimg_upkeep_tick(data, g_get_real_time() / G_USEC_PER_SEC, zone);
}

gboolean
vimg_upkeep_start(VimgModel *model, GError **error)
{
    model->upkeep = vimg_workers_new("vimg-upkeep", WORKERS, error);
    if (!model->upkeep)
        return FALSE;
    model->upkeep_timer = vimg_services_get()->timer_add(TICK, tick, model);
    return model->upkeep_timer > 0 ||
           vimg_throw(error, VIMG_ERROR_BUSY, "%s", _("cannot start the timer of cleanups"));
}

void
vimg_upkeep_stop(VimgModel *model)
{
    if (model->upkeep_timer)
        vimg_services_get()->timer_remove(model->upkeep_timer);
    model->upkeep_timer = 0;
    g_clear_pointer(&model->upkeep, vimg_workers_free);
}
