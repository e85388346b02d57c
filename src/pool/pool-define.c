/*
 * pool-define.c: definitions come, change and go
 *
 * A definition is checked, then its name, uuid and source are claimed in the registry, then it is
 * written; only then it is true.  What fails on the way gives back what it claimed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>
#include <unistd.h>

#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"

/* ---- checks ----------------------------------------------------------------------------- */

VimgPoolView *
vimg_pool_view(VimgModel *model, const VimgPoolDef *def, const char *store_id)
{
    char uuid[VIMG_UUID_TEXT_SIZE];
    g_autofree char *dir = NULL;

    vimg_uuid_format(def->uuid, uuid);
    dir = g_build_filename(model->state_dir, "pools", uuid, NULL);
    return vimg_pool_view_new(def, store_id, dir);
}

gboolean
vimg_pool_check_path(const VimgPoolDef *def, GError **error)
{
    const char *dir = vimg_pool_def_dir(def);

    return !dir || def->hosts->len > 0 || vimg_mount_path_check(dir, error);
}

gboolean
vimg_pool_check_def(VimgModel *model, const VimgPoolDef *def, gboolean load, char **identity,
                    GError **error)
{
    g_autoptr(GError) local = NULL;
    const VimgType *type = vimg_backends_get(model->backends, def->type, &local);
    g_autoptr(VimgPoolView) view = NULL;
    g_autofree char *meant = NULL;

    *identity = NULL;
    if (!type && load && vimg_backends_knows(model->backends, def->type))
        return TRUE;
    if (!type) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    view = vimg_pool_view(model, def, NULL);
    if (!vimg_type_check(type, view, error))
        return FALSE;
    meant = vimg_type_identity(type, view);
    *identity = g_strdup_printf("%s:%s", def->type, meant);
    return TRUE;
}

/* The document as a definition that this host can take. */
static VimgPoolDef *
take_document(VimgModel *model, const char *xml, gboolean validate, char **identity, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, validate, error);

    if (!def || !vimg_pool_def_check(def, error))
        return NULL;
    vimg_zone_default(def, model->zones);
    if (!vimg_pool_check_def(model, def, FALSE, identity, error) ||
        !vimg_pool_check_path(def, error))
        return NULL;
    return g_steal_pointer(&def);
}

static void
fill_id(VimgPool *pool, VimgPoolId *out)
{
    out->name = g_strdup(vimg_pool_name(pool));
    memcpy(out->uuid, pool->uuid, sizeof(out->uuid));
}

/* ---- define ----------------------------------------------------------------------------- */

static gboolean
define_new(VimgPool *pool, const VimgPoolDef *def, GError **error)
{
    if (!vimg_persist_fresh(pool, error) || !vimg_persist_save(pool, def, error)) {
        vimg_registry_remove(pool);
        return FALSE;
    }
    vimg_mutex_lock(&pool->lock);
    pool->persistent = TRUE;
    vimg_mutex_unlock(&pool->lock);
    vimg_registry_show(pool);
    return TRUE;
}

/* Puts @def (transfer full) in the place of both definitions. */
static void
replace_def(VimgPool *pool, VimgPoolDef *def)
{
    VIMG_LOCK_GUARD(&pool->lock);
    vimg_pool_def_free(pool->def);
    vimg_pool_def_free(pool->next_def);
    pool->def = def;
    pool->defined++;
    pool->next_def = NULL;
    pool->persistent = TRUE;
    if (pool->active && pool->status == VIMG_POOL_DISCONNECTED)
        pool->retry_at = def->reconnect ? 1 : 0; /* at once, for that may be what it lacked */
}

static void
set_next_def(VimgPool *pool, VimgPoolDef *def)
{
    VIMG_LOCK_GUARD(&pool->lock);
    vimg_pool_def_free(pool->next_def);
    pool->next_def = def;
    pool->persistent = TRUE;
}

/* The one to be told of a change; a storage that does not answer hears of it when it is back. */
VimgSession *
vimg_pool_session(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->status == VIMG_POOL_CONNECTED && pool->session ? vimg_session_ref(pool->session)
                                                                : NULL;
}

gboolean
vimg_session_update(VimgPool *pool, VimgSession *session, const VimgPoolDef *def, GError **error)
{
    g_autofree char *store_id = vimg_persist_store_id(pool, NULL);
    g_autoptr(VimgPoolView) view = vimg_pool_view(pool->model, def, store_id);

    return vimg_store_update(vimg_session_store(session), view, error);
}

/* The backend hears first, because it may refuse; it is told to forget it if the disk does. */
static gboolean
update_live(VimgPool *pool, const VimgPoolDef *def, GError **error)
{
    g_autoptr(VimgSession) session = vimg_pool_session(pool);
    g_autoptr(VimgPoolDef) before = vimg_pool_copy_def(pool);

    if (session && !vimg_session_update(pool, session, def, error))
        return FALSE;
    if (!vimg_persist_save(pool, def, error) || !vimg_persist_run_save(pool, def, error)) {
        if (session)
            vimg_session_update(pool, session, before, NULL);
        if (pool->persistent)
            vimg_persist_save(pool, before, NULL);
        else
            vimg_persist_forget(pool, NULL);
        return FALSE;
    }
    replace_def(pool, vimg_pool_def_copy(def));
    vimg_reconnect_kick(pool->model);
    vimg_adopt_kick(pool);
    if (def->disabled || !def->retrieve_existing)
        vimg_adopt_stop(pool, NULL); /* or the file it is at would still become an image */
    return TRUE;
}

/* Another storage, while one is open: that waits until the pool is stopped. */
static gboolean
redefine(VimgPool *pool, const VimgPoolDef *def, const char *identity, GError **error)
{
    g_autofree char *present = NULL;
    g_autofree char *next = NULL;
    gboolean active = vimg_pool_check_active(pool, TRUE, "%s", NULL);

    vimg_registry_identities(pool, &present, &next);
    if (active && g_strcmp0(present, identity) != 0) {
        if (!vimg_persist_save(pool, def, error))
            return FALSE;
        set_next_def(pool, vimg_pool_def_copy(def));
        vimg_registry_note(pool, present, identity);
        return TRUE;
    }
    if (active) {
        if (!update_live(pool, def, error))
            return FALSE;
    } else {
        if (!vimg_persist_save(pool, def, error))
            return FALSE;
        replace_def(pool, vimg_pool_def_copy(def));
    }
    vimg_registry_note(pool, identity, NULL);
    return TRUE;
}

gboolean
vimg_model_pool_define(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                       GError **error)
{
    g_autofree char *identity = NULL;
    g_autoptr(VimgPoolDef) def = NULL;
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgPoolTurn) turn = NULL;
    gboolean made = FALSE;

    if (!vimg_flags_check(flags, VIR_STORAGE_POOL_DEFINE_VALIDATE, "virStoragePoolDefineXML",
                          error))
        return FALSE;
    def = take_document(model, xml, flags & VIR_STORAGE_POOL_DEFINE_VALIDATE, &identity, error);
    pool = def ? vimg_registry_claim(model, def, identity, &made, error) : NULL;
    if (!pool)
        return FALSE;
    turn = pool;
    if (!(made ? define_new(pool, def, error) : redefine(pool, def, identity, error))) {
        vimg_registry_unclaim(pool);
        return FALSE;
    }
    vimg_registry_unclaim(pool);
    fill_id(pool, out);
    vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_LIFECYCLE, VIR_STORAGE_POOL_EVENT_DEFINED);
    return TRUE;
}

/* ---- create ----------------------------------------------------------------------------- */

/* An inactive persistent pool runs once by another definition; the file keeps its own. */
static void
swap_in(VimgPool *pool, const VimgPoolDef *def, const char *identity)
{
    g_autofree char *present = NULL;
    g_autofree char *next = NULL;

    vimg_registry_identities(pool, &present, &next);
    vimg_registry_note(pool, identity, present);
    VIMG_LOCK_GUARD(&pool->lock);
    pool->next_def = pool->def;
    pool->def = vimg_pool_def_copy(def);
}

static void
swap_back(VimgPool *pool)
{
    vimg_registry_settle(pool);
    VIMG_LOCK_GUARD(&pool->lock);
    vimg_pool_def_free(pool->def);
    pool->def = g_steal_pointer(&pool->next_def);
}

static gboolean
create_new(VimgPool *pool, guint flags, GError **error)
{
    if (vimg_persist_fresh(pool, error) && vimg_pool_start(pool, flags, error)) {
        vimg_registry_show(pool);
        return TRUE;
    }
    vimg_registry_remove(pool);
    vimg_persist_store_drop(pool);
    return FALSE;
}

static gboolean
create_again(VimgPool *pool, const VimgPoolDef *def, const char *identity, guint flags,
             GError **error)
{
    if (!vimg_pool_check_active(pool, FALSE, N_("pool is already active as '%s'"), error))
        return FALSE;
    swap_in(pool, def, identity);
    if (vimg_pool_start(pool, flags, error))
        return TRUE;
    swap_back(pool);
    return FALSE;
}

gboolean
vimg_model_pool_create_xml(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                           GError **error)
{
    g_autofree char *identity = NULL;
    g_autoptr(VimgPoolDef) def = NULL;
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgPoolTurn) turn = NULL;
    gboolean made = FALSE;
    gboolean ok;

    if (!vimg_pool_check_create_flags(flags, "virStoragePoolCreateXML", error))
        return FALSE;
    def = take_document(model, xml, FALSE, &identity, error);
    pool = def ? vimg_registry_claim(model, def, identity, &made, error) : NULL;
    if (!pool)
        return FALSE;
    turn = pool;
    vimg_pool_turn_to(pool, VIMG_POOL_STARTING);
    ok = made ? create_new(pool, flags, error) : create_again(pool, def, identity, flags, error);
    vimg_registry_unclaim(pool);
    if (!ok)
        return FALSE;
    fill_id(pool, out);
    vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_LIFECYCLE, VIR_STORAGE_POOL_EVENT_STARTED);
    return TRUE;
}

/* ---- undefine --------------------------------------------------------------------------- */

static gboolean
forget_files(VimgPool *pool, GError **error)
{
    VIMG_LOCK_GUARD(&pool->model->files_lock);
    if (!vimg_persist_forget(pool, error))
        return FALSE;
    vimg_registry_remove(pool);
    return TRUE;
}

gboolean
vimg_pool_forget(VimgPool *pool, GError **error)
{
    g_autofree char *dir = vimg_persist_pool_dir(pool);

    if (!vimg_pool_check_active(pool, FALSE, N_("storage pool '%s' is still active"), error))
        return FALSE;
    if (!forget_files(pool, error))
        return FALSE;
    vimg_primary_undefined(pool->model, pool->uuid_text);
    rmdir(dir); /* what its backend keeps for an adoption stays */
    vimg_persist_store_drop(pool);
    return TRUE;
}
