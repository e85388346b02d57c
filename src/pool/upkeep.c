/*
 * upkeep.c: cleaning a storage up and reading it again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/log.h"

/* Images may be gone or unusable now, and there is room. */
static void
refresh(VimgUse *use)
{
    g_autoptr(GError) error = NULL;

    vimg_job_progress(use->job, "refreshing", 0, 0);
    if (vimg_session_probe(use->session, &error) &&
        vimg_cache_refresh(use->pool, use->session, &error))
        return;
    vimg_warning("storage pool '%s' is not refreshed: %s", vimg_pool_name(use->pool),
                 error->message);
    vimg_session_failed(use->session, error);
}

/*
 * Everyone may have the storage again, then the world hears of it.  @report: (transfer full) what
 * it answered.  Returns: the same, or NULL with @local as @error.
 */
static char *
end(VimgUse *use, const char *what, gboolean changed, char *report, GError *local, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_pool_ref(use->pool);

    if (changed)
        refresh(use);
    if (report) {
        g_autofree char *summary = vimg_report_summary(report);

        vimg_info("%s of storage pool '%s': %s", what, vimg_pool_name(pool), summary);
        if (!use->volume)
            vimg_pool_note_report(pool, report);
    } else {
        vimg_use_failed(use, local);
        g_propagate_error(error, local);
    }
    vimg_use_clear(use);
    if (changed)
        vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    return report;
}

/* ---- cleanup ---------------------------------------------------------------------------- */

/* From its beginning, so that one which ends the daemon is not repeated at once. */
void
vimg_pool_note_cleanup(VimgPool *pool, gint64 now)
{
    g_autoptr(GError) error = NULL;

    vimg_mutex_lock(&pool->lock);
    pool->cleaned = now;
    vimg_mutex_unlock(&pool->lock);
    if (!vimg_persist_note_cleaned(pool, now, &error))
        vimg_warning("%s", error->message);
}

static gint64
last_noted(VimgPool *pool)
{
    gint64 cleaned;

    vimg_mutex_lock(&pool->lock);
    cleaned = pool->cleaned;
    vimg_mutex_unlock(&pool->lock);
    return cleaned ? cleaned : vimg_persist_cleaned(pool);
}

/* Whether one that failed with @error is still due; one that somebody cancelled is not. */
static gboolean
is_still_due(VimgPool *pool, const GError *error)
{
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) ||
           (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_ABORTED) &&
            vimg_jobs_ending(pool->model->jobs));
}

static void
tidy_primary(VimgPool *pool)
{
    const VimgModel *model = pool->model;

    if (vimg_primary_is_present(model))
        model->primary->tidy(pool->uuid_text, model->primary_data);
}

char *
vimg_pool_cleanup(VimgPool *pool, gboolean dry_run, GError **error)
{
    g_auto(VimgUse) use = {0};
    GError *local = NULL;
    gint64 before;
    char *report;

    if (!vimg_use_tend(pool, "cleanup", TRUE, &use, error))
        return NULL;
    before = last_noted(pool);
    if (!dry_run)
        vimg_pool_note_cleanup(pool, g_get_real_time() / G_USEC_PER_SEC);
    report = vimg_store_cleanup(vimg_session_store(use.session), dry_run, use.job, &local);
    if (!dry_run && !report && is_still_due(pool, local))
        vimg_pool_note_cleanup(pool, before);
    if (!dry_run && report)
        tidy_primary(pool);
    /* also one that failed may have removed some */
    return end(&use, dry_run ? "trial cleanup" : "cleanup", !dry_run, report, local, error);
}

char *
vimg_model_pool_cleanup(VimgModel *model, const VimgPoolId *id, gboolean dry_run, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    return pool ? vimg_pool_cleanup(pool, dry_run, error) : NULL;
}

/* ---- verification ----------------------------------------------------------------------- */

static gboolean
begin_verify(VimgPool *pool, const char *volume, VimgUse *use, GError **error)
{
    const VimgVolId id = {.name = (char *)volume};

    return volume ? vimg_use_volume_of(pool, &id, VIMG_ACTION_VERIFY, "verify", use, error)
                  : vimg_use_tend(pool, "verify", FALSE, use, error);
}

char *
vimg_model_pool_verify(VimgModel *model, const VimgPoolId *id, const char *volume, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_auto(VimgUse) use = {0};
    g_autofree char *uuid = NULL;
    GError *local = NULL;
    char *report;

    if (!pool || !begin_verify(pool, volume, &use, error))
        return NULL;
    uuid = volume ? vimg_use_uuid(&use) : NULL;
    report = vimg_store_verify(vimg_session_store(use.session), uuid, use.job, &local);
    /* also one that failed may have marked some */
    return end(&use, "verification", TRUE, report, local, error);
}
