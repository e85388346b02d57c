/*
 * volume-use.c: what a call or a transfer holds of an active pool and its volumes
 *
 * The table of states below is the whole of what may be done with an image when.  While a use
 * lives its pool cannot be stopped (a job is listed) and its storage stays open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/export.h"
#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

typedef struct {
    gboolean changes;                          /* no other changing job beside it */
    gboolean needs_enabled;                    /* refused while the pool is disabled */
    gboolean tends;                            /* one of those a pool has one of at a time */
    gboolean rewrites;                         /* what it is stored as, while others read it */
    const char *refused[VIMG_IMAGE_ERROR + 1]; /* by state: NULL or why not; name, reason */
} Action;

#define UNREADABLE                                                                                 \
    {                                                                                              \
        [VIMG_IMAGE_SAVING] =                                                                      \
            N_("volume '%1$s' is still being saved: it can be read once its upload is complete"),  \
        [VIMG_IMAGE_ERROR] = N_("volume '%1$s' cannot be read: %2$s")                              \
    }

static const Action actions[] = {
    [VIMG_ACTION_UPLOAD] = {.changes = TRUE,
                            .needs_enabled = TRUE,
                            .refused = {[VIMG_IMAGE_ACTIVE] = N_(
                                            "volume '%1$s' is complete: its content never changes"),
                                        [VIMG_IMAGE_ERROR] = N_(
                                            "volume '%1$s' must be wiped before an upload: %2$s")}},
    [VIMG_ACTION_DOWNLOAD] = {.refused = UNREADABLE},
    [VIMG_ACTION_SOURCE] = {.refused = UNREADABLE},
    [VIMG_ACTION_RESIZE] =
        {.changes = TRUE,
         .needs_enabled = TRUE,
         .refused = {[VIMG_IMAGE_ACTIVE] =
                         N_("volume '%1$s' is complete: its capacity never changes"),
                     [VIMG_IMAGE_ERROR] = N_("volume '%1$s' must be wiped before a resize: %2$s")}},
    [VIMG_ACTION_WIPE] =
        {.changes = TRUE,
         .needs_enabled = TRUE,
         .refused = {[VIMG_IMAGE_ACTIVE] =
                         N_("volume '%1$s' is complete: delete and purge it instead")}},
    [VIMG_ACTION_DELETE] = {.changes = TRUE, .needs_enabled = TRUE},
    [VIMG_ACTION_VERIFY] =
        {.tends = TRUE,
         .refused =
             {[VIMG_IMAGE_SAVING] = N_(
                  "volume '%1$s' is still being saved: it can be read once its upload is complete")}},
    [VIMG_ACTION_FLATTEN] = {.needs_enabled = TRUE, .rewrites = TRUE, .refused = UNREADABLE},
    [VIMG_ACTION_COMPARE] =
        {.needs_enabled = TRUE,
         .refused =
             {[VIMG_IMAGE_SAVING] = N_(
                  "volume '%1$s' is still being saved: it can be read once its upload is complete")}},
};
G_STATIC_ASSERT(G_N_ELEMENTS(actions) == VIMG_N_ACTIONS);

/* ---- checks, under the pool's lock ------------------------------------------------------ */

static gboolean
check_pool(VimgPool *pool, GError **error)
{
    if (!pool->active)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                          vimg_pool_name(pool));
    if (pool->busy == VIMG_POOL_STOPPING)
        return vimg_pool_throw_busy(pool, error);
    return TRUE;
}

static gboolean
check_connected(VimgPool *pool, GError **error)
{
    if (pool->status == VIMG_POOL_CONNECTED && pool->session)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_DISCONNECTED,
                      _("storage pool '%1$s' has lost its storage: %2$s"), vimg_pool_name(pool),
                      pool->lost ? pool->lost : _("it is being connected"));
}

static gboolean
check_writable(VimgPool *pool, GError **error)
{
    if (pool->def->disabled)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("storage pool '%s' is disabled: its volumes can be read only"),
                          vimg_pool_name(pool));
    if (pool->read_only)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("the storage of pool '%s' is read-only"), vimg_pool_name(pool));
    return TRUE;
}

static gboolean
check_volume(VimgPool *pool, VimgVolume *volume, const Action *action, GError **error)
{
    const VimgPluginImage *image = &volume->image;
    const char *refused = action->refused[image->state];
    g_autofree char *holders = NULL;

    if (action->needs_enabled && !check_writable(pool, error))
        return FALSE;
    if (volume->changing) {
        holders = vimg_jobs_describe(pool->model->jobs, vimg_pool_name(pool), image->name, NULL);
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("volume '%1$s' is still in use: %2$s"), image->name,
                          holders ? holders : volume->changing);
    }
    if (refused)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _(refused), image->name,
                          image->reason ? image->reason : "");
    return check_connected(pool, error);
}

/* Reading goes on beside it, changing and a second one do not. */
static gboolean
check_rewritten(VimgPool *pool, const VimgVolume *volume, const Action *action, GError **error)
{
    GHashTableIter iter;
    gpointer value;

    if (!action->changes && !action->rewrites)
        return TRUE;
    g_hash_table_iter_init(&iter, pool->readers);
    while (g_hash_table_iter_next(&iter, &value, NULL)) {
        const VimgUse *reader = value;

        if (reader->volume == volume && reader->rewriting)
            return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                              _("volume '%1$s' is still in use: %2$s"), volume->image.name,
                              reader->kind);
    }
    return TRUE;
}

static gboolean
check_tending(VimgPool *pool, GError **error)
{
    if (!pool->tending)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_BUSY,
                      _("storage pool '%1$s' has a job running that must end first: %2$s"),
                      vimg_pool_name(pool), pool->tending);
}

static gboolean
check_unread(VimgPool *pool, const char *uuid, GError **error)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, pool->readers);
    while (g_hash_table_iter_next(&iter, &value, NULL)) {
        const VimgUse *reader = value;
        const VimgPluginImage *image = &reader->volume->image;

        if (strcmp(image->uuid, uuid) == 0)
            return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                              _("volume '%1$s' is still in use: %2$s"), image->name, reader->kind);
    }
    return TRUE;
}

static gboolean
check_unexported(VimgPool *pool, const char *uuid, GError **error)
{
    g_autofree char *name = vimg_exports_keep(pool->model->exports, pool->uuid_text, uuid);

    if (!name)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("volume '%s' is exported: revoke that first, or wait until it expires"),
                      name);
}

static VimgVolume *
find_volume(VimgPool *pool, const VimgVolId *vol, GError **error)
{
    VimgVolume *volume = vimg_cache_find(pool, vol->name);

    if (!volume) {
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching name '%s'"),
                   vol->name);
        return NULL;
    }
    if (vol->key && *vol->key && strcmp(vol->key, volume->key) != 0) {
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching key %s"), vol->key);
        return NULL;
    }
    return volume;
}

/* ---- begin ------------------------------------------------------------------------------ */

static gboolean
hold_model(VimgModel *model, GError **error)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    if (model->ending)
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the daemon is shutting down"));
    model->n_uses++;
    return TRUE;
}

void
vimg_model_keep(VimgModel *model)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    model->n_uses++;
}

void
vimg_model_release(VimgModel *model)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    model->n_uses--;
    vimg_cond_broadcast(&model->tasks_changed);
}

static gboolean
enter(VimgPool *pool, VimgUse *out, GError **error)
{
    if (!hold_model(pool->model, error))
        return FALSE;
    out->pool = vimg_pool_ref(pool);
    /* what waited for the storage may have ended already, and its client goes on */
    vimg_pool_await_back(pool);
    return TRUE;
}

gboolean
vimg_use_pool(VimgPool *pool, VimgUse *out, GError **error)
{
    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error) || !check_connected(pool, error))
        return FALSE;
    out->session = vimg_session_ref(pool->session);
    return TRUE;
}

/* Under the lock, after all checks. */
static void
begin_job(VimgUse *use, const char *kind, const char *volume)
{
    use->session = vimg_session_ref(use->pool->session);
    if (!use->jobless)
        use->job =
            vimg_job_begin(use->pool->model->jobs, kind, vimg_pool_name(use->pool), volume, 0);
}

static void
take_storage(VimgUse *use, const char *kind)
{
    use->tending = TRUE;
    use->pool->tending = kind;
}

gboolean
vimg_use_tend(VimgPool *pool, const char *kind, gboolean writes, VimgUse *out, GError **error)
{
    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error) || (writes && !check_writable(pool, error)) ||
        !check_connected(pool, error) || !check_tending(pool, error))
        return FALSE;
    take_storage(out, kind);
    begin_job(out, kind, NULL);
    return TRUE;
}

static gboolean
use_beside(VimgPool *pool, const char *kind, gboolean writes, VimgUse *out, GError **error)
{
    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error) || (writes && !check_writable(pool, error)) ||
        !check_connected(pool, error))
        return FALSE;
    begin_job(out, kind, NULL);
    return TRUE;
}

gboolean
vimg_use_look(VimgPool *pool, const char *kind, VimgUse *out, GError **error)
{
    return use_beside(pool, kind, FALSE, out, error);
}

gboolean
vimg_use_fill(VimgPool *pool, const char *kind, VimgUse *out, GError **error)
{
    return use_beside(pool, kind, TRUE, out, error);
}

gboolean
vimg_use_trash(VimgPool *pool, const char *uuid, const char *kind, VimgUse *out, GError **error)
{
    g_autofree char *name = NULL;

    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error) || !check_writable(pool, error) || !check_connected(pool, error) ||
        !check_unread(pool, uuid, error) || !check_unexported(pool, uuid, error))
        return FALSE;
    name = vimg_store_image_name(vimg_session_store(pool->session), uuid);
    begin_job(out, kind, name);
    return TRUE;
}

gboolean
vimg_use_volume_of(VimgPool *pool, const VimgVolId *vol, VimgAction what, const char *kind,
                   VimgUse *out, GError **error)
{
    const Action *action = &actions[what];
    VimgVolume *volume;

    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error))
        return FALSE;
    volume = find_volume(pool, vol, error);
    if (!volume || !check_volume(pool, volume, action, error) ||
        !check_rewritten(pool, volume, action, error) ||
        (action->tends && !check_tending(pool, error)))
        return FALSE;
    out->volume = vimg_volume_ref(volume);
    out->changing = action->changes;
    out->rewriting = action->rewrites;
    out->kind = kind;
    if (action->changes)
        volume->changing = kind;
    else
        g_hash_table_add(pool->readers, out);
    if (action->tends)
        take_storage(out, kind);
    begin_job(out, kind, volume->image.name);
    return TRUE;
}

gboolean
vimg_use_volume(VimgModel *model, const VimgVolId *vol, VimgAction what, const char *kind,
                VimgUse *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(model, vol->pool, error);

    return pool && vimg_use_volume_of(pool, vol, what, kind, out, error);
}

gboolean
vimg_use_create(VimgPool *pool, const char *name, const char *kind, VimgUse *out, GError **error)
{
    if (!enter(pool, out, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!check_pool(pool, error) || !check_writable(pool, error) ||
        !vimg_cache_reserve(pool, name, error))
        return FALSE;
    out->reserved = g_strdup(name);
    if (!check_connected(pool, error))
        return FALSE;
    begin_job(out, kind, name);
    return TRUE;
}

/* ---- meanwhile -------------------------------------------------------------------------- */

void
vimg_use_created(VimgUse *use, const VimgPluginImage *image, const char *changing)
{
    VimgPool *pool = use->pool;

    VIMG_LOCK_GUARD(&pool->lock);
    vimg_cache_unreserve(pool, use->reserved);
    g_clear_pointer(&use->reserved, g_free);
    use->volume = vimg_volume_ref(vimg_cache_add(pool, image));
    use->volume->changing = changing;
    use->changing = TRUE;
}

void
vimg_use_removed(VimgUse *use)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    vimg_cache_remove(use->pool, use->volume);
}

void
vimg_use_changed(VimgUse *use, const VimgPluginImage *image)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    vimg_cache_change(use->pool, use->volume, image);
}

void
vimg_use_restat(VimgUse *use)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *uuid = vimg_use_uuid(use);
    g_autoptr(GError) error = NULL;

    if (vimg_session_is_lost(use->session))
        return;
    if (vimg_store_stat(vimg_session_store(use->session), uuid, &now, &error))
        vimg_use_changed(use, &now);
    else if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        vimg_use_removed(use);
    else
        vimg_session_failed(use->session, error);
}

char *
vimg_use_uuid(VimgUse *use)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    return g_strdup(use->volume->image.uuid);
}

char *
vimg_use_key(VimgUse *use)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    return g_strdup(use->volume->key);
}

void
vimg_use_image(VimgUse *use, VimgPluginImage *out)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    vimg_image_copy(out, &use->volume->image);
}

void
vimg_use_fill_id(VimgUse *use, VimgVolId *out)
{
    VIMG_LOCK_GUARD(&use->pool->lock);
    out->pool = g_strdup(vimg_pool_name(use->pool));
    out->name = g_strdup(use->volume->image.name);
    out->key = g_strdup(use->volume->key);
}

gboolean
vimg_use_failed(VimgUse *use, const GError *error)
{
    vimg_session_failed(use->session, error);
    if (use->job)
        vimg_job_fail(use->job, error);
    return FALSE;
}

gboolean
vimg_use_throw_other(const VimgUse *use, const char *name, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("volume '%1$s' is not what it was any more: refresh storage pool '%2$s' and try again"),
        name, vimg_pool_name(use->pool));
}

gboolean
vimg_use_confirm(VimgUse *use, const char *uuid, const char *name, const char *generation,
                 GError **error)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;
    GError *local = NULL;

    if (!generation) /* so nothing would be learnt */
        return TRUE;
    if (!vimg_store_stat(vimg_session_store(use->session), uuid, &now, &local)) {
        vimg_use_failed(use, local);
        g_propagate_error(error, local);
        return FALSE;
    }
    /* what is not known speaks against nothing */
    return (now.state == VIMG_IMAGE_ACTIVE &&
            (!now.generation || strcmp(now.generation, generation) == 0)) ||
           vimg_use_throw_other(use, name, error);
}

gboolean
vimg_use_fail(VimgUse *use, GError **error)
{
    if (use->job && error && *error)
        vimg_job_fail(use->job, *error);
    return FALSE;
}

void
vimg_use_discard(VimgUse *use, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    if (vimg_store_discard(vimg_session_store(use->session), uuid, &error) ||
        g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL)) {
        vimg_use_removed(use);
        return;
    }
    if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
        vimg_warning("an unfinished image in storage pool '%s' stays behind: %s",
                     vimg_pool_name(use->pool), error->message);
    vimg_use_restat(use);
}

/* ---- end -------------------------------------------------------------------------------- */

void
vimg_use_clear(VimgUse *use)
{
    VimgPool *pool = use->pool;
    VimgModel *model;

    if (!pool)
        return;
    vimg_mutex_lock(&pool->lock);
    if (use->reserved)
        vimg_cache_unreserve(pool, use->reserved);
    if (use->volume && use->changing) {
        use->volume->changing = NULL;
        use->volume->reserved = 0;
        vimg_cache_settle(pool, use->volume);
    } else if (use->volume) {
        g_hash_table_remove(pool->readers, use);
    }
    if (use->tending)
        pool->tending = NULL;
    vimg_job_end(use->job); /* with the hold, so that no one is refused for a job that ended */
    vimg_mutex_unlock(&pool->lock);
    vimg_session_unref(use->session);
    vimg_volume_unref(use->volume);
    g_free(use->reserved);
    *use = (VimgUse){0};
    model = pool->model;
    vimg_pool_unref(pool);
    vimg_model_release(model);
}

/* ---- looking ---------------------------------------------------------------------------- */

VimgVolume *
vimg_vol_find(VimgModel *model, const VimgVolId *vol, VimgPool **pool, GError **error)
{
    g_autoptr(VimgPool) found = vimg_registry_by_name(model, vol->pool, error);
    VimgVolume *volume = NULL;

    if (!found)
        return NULL;
    vimg_mutex_lock(&found->lock);
    if (!found->active)
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                   vimg_pool_name(found));
    else
        volume = find_volume(found, vol, error);
    if (volume)
        vimg_volume_ref(volume);
    vimg_mutex_unlock(&found->lock);
    if (volume)
        *pool = g_steal_pointer(&found);
    return volume;
}
