/*
 * usage.c: what images take in their storage, and in what they differ
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"

/* With the pool's lock held.  Images that are not its volumes, as those in the trash, are no loss.
 */
static void
note(const char *uuid, guint64 unique, guint64 shared, gint64 as_of, gpointer data)
{
    VimgPool *pool = data;
    VimgVolume *volume = g_hash_table_lookup(pool->by_image, uuid);

    if (!volume)
        return;
    volume->unique = unique;
    volume->shared = shared;
    volume->as_of = as_of;
}

/* Returns: @report, or NULL with @local (transfer full) as the error. */
static char *
end(VimgUse *use, char *report, GError *local, GError **error)
{
    if (report)
        return report;
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return NULL;
}

char *
vimg_model_pool_usage(VimgModel *model, const VimgPoolId *id, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_auto(VimgUse) use = {0};
    GError *local = NULL;
    char *report;

    if (!pool || !vimg_use_look(pool, "usage", &use, error))
        return NULL;
    report = vimg_store_usage(vimg_session_store(use.session), use.job, &local);
    if (report) {
        vimg_pool_note_report(pool, report);
        VIMG_LOCK_GUARD(&pool->lock);
        vimg_report_each_usage(report, note, pool);
    }
    return end(&use, report, local, error);
}

char *
vimg_model_vol_diff(VimgModel *model, const VimgPoolId *id, const char *from, const char *to,
                    GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    const VimgVolId old = {.pool = pool ? (char *)vimg_pool_name(pool) : NULL,
                           .name = (char *)from};
    const VimgVolId new = {.pool = old.pool, .name = (char *)to};
    g_auto(VimgUse) use = {0};
    g_auto(VimgUse) source = {.jobless = TRUE}; /* let go of before the job ends */
    g_autofree char *old_uuid = NULL;
    g_autofree char *new_uuid = NULL;
    GError *local = NULL;
    char *report;

    if (!pool || !vimg_use_volume_of(pool, &old, VIMG_ACTION_DOWNLOAD, "diff", &source, error) ||
        !vimg_use_volume_of(pool, &new, VIMG_ACTION_DOWNLOAD, "diff", &use, error))
        return NULL;
    old_uuid = vimg_use_uuid(&source);
    new_uuid = vimg_use_uuid(&use);
    report = vimg_store_diff(vimg_session_store(use.session), old_uuid, new_uuid, use.job, &local);
    return end(&use, report, local, error);
}
