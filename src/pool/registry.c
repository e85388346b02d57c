/*
 * registry.c: every pool by name and uuid, and that no two share a name, a uuid or a storage
 *
 * A pool being made is in the tables, hidden, before anything is written, so that two definitions
 * of one name cannot pass each other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"

/* With the registry's lock held, also whom it is only kept for. */
static VimgPool *
find_name(VimgModel *model, const char *name)
{
    return g_hash_table_lookup(model->by_name, name);
}

static VimgPool *
find_uuid(VimgModel *model, const guint8 *uuid)
{
    char text[VIMG_UUID_TEXT_SIZE];

    vimg_uuid_format(uuid, text);
    return g_hash_table_lookup(model->by_uuid, text);
}

VimgPool *
vimg_registry_get(VimgModel *model, const VimgPoolId *id, GError **error)
{
    char text[VIMG_UUID_TEXT_SIZE];
    VimgPool *pool;

    VIMG_LOCK_GUARD(&model->lock);
    pool = find_uuid(model, id->uuid);
    if (pool && !pool->hidden)
        return vimg_pool_ref(pool);
    vimg_uuid_format(id->uuid, text);
    if (id->name)
        vimg_throw(error, VIMG_ERROR_NO_POOL, _("no storage pool with matching uuid '%1$s' (%2$s)"),
                   text, id->name);
    else
        vimg_throw(error, VIMG_ERROR_NO_POOL, _("no storage pool with matching uuid '%s'"), text);
    return NULL;
}

VimgPool *
vimg_registry_by_name(VimgModel *model, const char *name, GError **error)
{
    VimgPool *pool;

    VIMG_LOCK_GUARD(&model->lock);
    pool = find_name(model, name);
    if (pool && !pool->hidden && strcmp(vimg_pool_name(pool), name) == 0)
        return vimg_pool_ref(pool);
    vimg_throw(error, VIMG_ERROR_NO_POOL, _("no storage pool with matching name '%s'"), name);
    return NULL;
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    const VimgPool *const *left = a;
    const VimgPool *const *right = b;

    return strcmp(vimg_pool_name(*left), vimg_pool_name(*right));
}

GPtrArray *
vimg_registry_list(VimgModel *model)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_unref);
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&model->lock); /* also while it is sorted: names change under it */
    g_hash_table_iter_init(&iter, model->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPool *pool = value;

        if (!pool->hidden)
            g_ptr_array_add(list, vimg_pool_ref(pool));
    }
    g_ptr_array_sort(list, compare_names);
    return list;
}

/* ---- claims ----------------------------------------------------------------------------- */

/* Registry's lock held.  Returns: the pool that @def redefines, or NULL; FALSE if it may not be. */
static gboolean
check_names(VimgModel *model, const VimgPoolDef *def, VimgPool **same, GError **error)
{
    VimgPool *by_uuid = find_uuid(model, def->uuid);
    VimgPool *by_name = find_name(model, def->name);

    if (by_uuid && strcmp(vimg_pool_name(by_uuid), def->name) != 0)
        return vimg_throw(error, VIMG_ERROR_FAILED,
                          _("pool '%1$s' is already defined with uuid %2$s"),
                          vimg_pool_name(by_uuid), by_uuid->uuid_text);
    if (!by_uuid && by_name)
        return vimg_throw(error, VIMG_ERROR_FAILED, _("pool '%1$s' already exists with uuid %2$s"),
                          def->name, by_name->uuid_text);
    *same = by_uuid;
    return TRUE;
}

/* Registry's lock held. */
static gboolean
check_source(VimgModel *model, const VimgPool *same, const char *identity, GError **error)
{
    GHashTableIter iter;
    gpointer value;

    if (!identity)
        return TRUE;
    g_hash_table_iter_init(&iter, model->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPool *pool = value;

        if (pool != same && (g_strcmp0(pool->identity, identity) == 0 ||
                             g_strcmp0(pool->next_identity, identity) == 0 ||
                             g_strcmp0(pool->claimed, identity) == 0))
            return vimg_throw(error, VIMG_ERROR_FAILED,
                              _("Storage source conflict with pool: '%s'"), vimg_pool_name(pool));
    }
    return TRUE;
}

static VimgPool *
insert_hidden(VimgModel *model, const VimgPoolDef *def, const char *identity)
{
    VimgPool *pool = vimg_pool_new(model, vimg_pool_def_copy(def));

    pool->hidden = TRUE;
    pool->busy = VIMG_POOL_DEFINING;
    pool->identity = g_strdup(identity);
    g_hash_table_insert(model->by_uuid, pool->uuid_text, pool);
    g_hash_table_insert(model->by_name, (char *)vimg_pool_name(pool), pool);
    return vimg_pool_ref(pool);
}

static VimgPool *
claim_locked(VimgModel *model, const VimgPoolDef *def, const char *identity, gboolean *made,
             GError **error)
{
    VimgPool *same = NULL;

    VIMG_LOCK_GUARD(&model->lock);
    if (!check_names(model, def, &same, error) || !check_source(model, same, identity, error))
        return NULL;
    *made = !same;
    return same ? vimg_pool_ref(same) : insert_hidden(model, def, identity);
}

VimgPool *
vimg_registry_claim(VimgModel *model, const VimgPoolDef *def, const char *identity, gboolean *made,
                    GError **error)
{
    g_autoptr(VimgPool) pool = claim_locked(model, def, identity, made, error);
    VimgPool *same = NULL;
    gboolean ok;

    if (!pool || *made)
        return g_steal_pointer(&pool);
    if (!vimg_pool_begin(pool, VIMG_POOL_DEFINING, error))
        return NULL;
    vimg_mutex_lock(&model->lock); /* the source may have gone to another since, or the name */
    ok = check_names(model, def, &same, error) && check_source(model, pool, identity, error);
    if (ok) {
        g_free(pool->claimed);
        pool->claimed = g_strdup(identity);
    }
    vimg_mutex_unlock(&model->lock);
    if (ok)
        return g_steal_pointer(&pool);
    vimg_pool_end(pool);
    return NULL;
}

void
vimg_registry_unclaim(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->model->lock);
    g_clear_pointer(&pool->claimed, g_free);
}

void
vimg_registry_show(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->model->lock);
    pool->hidden = FALSE;
}

void
vimg_registry_note(VimgPool *pool, const char *identity, const char *next)
{
    g_autofree char *old = NULL;
    g_autofree char *old_next = NULL;

    VIMG_LOCK_GUARD(&pool->model->lock);
    old = pool->identity;
    old_next = pool->next_identity;
    pool->identity = g_strdup(identity);
    pool->next_identity = g_strdup(next);
}

void
vimg_registry_identities(VimgPool *pool, char **identity, char **next)
{
    VIMG_LOCK_GUARD(&pool->model->lock);
    *identity = g_strdup(pool->identity);
    *next = g_strdup(pool->next_identity);
}

void
vimg_registry_settle(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->model->lock);
    if (!pool->next_identity)
        return;
    g_free(pool->identity);
    pool->identity = g_steal_pointer(&pool->next_identity);
}

void
vimg_registry_remove(VimgPool *pool)
{
    VimgModel *model = pool->model;

    vimg_mutex_lock(&pool->lock);
    pool->gone = TRUE;
    vimg_cond_broadcast(&pool->changed);
    vimg_mutex_unlock(&pool->lock);
    VIMG_LOCK_GUARD(&model->lock);
    g_hash_table_remove(model->by_name, vimg_pool_name(pool));
    g_hash_table_remove(model->by_uuid, pool->uuid_text); /* the caller has a reference */
}

/* ---- names ------------------------------------------------------------------------------ */

/*
 * Returns: @name as the tables have it, which lives as long as @pool.  One that it had before is
 * used again: its names are as many as there were different ones.
 */
static char *
keep_name(VimgPool *pool, const char *name)
{
    GSList *link = g_slist_find_custom(pool->names, name, (GCompareFunc)strcmp);

    if (!link)
        link = pool->names = g_slist_prepend(pool->names, g_strdup(name));
    return link->data;
}

gboolean
vimg_registry_reserve(VimgPool *pool, const char *name, GError **error)
{
    VimgModel *model = pool->model;
    VimgPool *other;

    VIMG_LOCK_GUARD(&model->lock);
    other = find_name(model, name);
    if (other)
        return vimg_throw(error, VIMG_ERROR_FAILED, _("pool '%1$s' already exists with uuid %2$s"),
                          name, other->uuid_text);
    g_hash_table_insert(model->by_name, keep_name(pool, name), pool);
    return TRUE;
}

void
vimg_registry_unreserve(VimgPool *pool, const char *name)
{
    VIMG_LOCK_GUARD(&pool->model->lock);
    g_hash_table_remove(pool->model->by_name, name);
}

static void
rename_def(VimgPoolDef **def, const char *name)
{
    g_autoptr(VimgPoolDef) old = *def;

    if (!old)
        return;
    *def = vimg_pool_def_copy(old);
    g_free((*def)->name);
    (*def)->name = g_strdup(name);
}

void
vimg_registry_rename(VimgPool *pool, const char *name)
{
    VimgModel *model = pool->model;
    const char *old = vimg_pool_name(pool);

    VIMG_LOCK_GUARD(&model->lock);
    VIMG_LOCK_GUARD(&pool->lock); /* jobs begin under it, by the name of then */
    g_hash_table_remove(model->by_name, old);
    vimg_jobs_rename(model->jobs, old, name);
    rename_def(&pool->def, name);
    rename_def(&pool->next_def, name);
    pool->defined++;
    __atomic_store_n(&pool->called, keep_name(pool, name), __ATOMIC_RELEASE);
}

/* Registry's lock held. */
static VimgPool *
find_store(VimgModel *model, const VimgPool *but, const char *type, const char *store_id)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, model->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPool *pool = value;
        gboolean same;

        if (pool == but)
            continue;
        vimg_mutex_lock(&pool->lock);
        same = g_strcmp0(pool->store_id, store_id) == 0 && strcmp(pool->def->type, type) == 0;
        vimg_mutex_unlock(&pool->lock);
        if (same)
            return pool;
    }
    return NULL;
}

gboolean
vimg_registry_take_store(VimgPool *pool, const char *type, const char *store_id, GError **error)
{
    VimgPool *other;

    VIMG_LOCK_GUARD(&pool->model->lock);
    other = find_store(pool->model, pool, type, store_id);
    if (other)
        return vimg_throw(error, VIMG_ERROR_FAILED, _("Storage source conflict with pool: '%s'"),
                          vimg_pool_name(other));
    vimg_mutex_lock(&pool->lock);
    g_free(pool->store_id);
    pool->store_id = g_strdup(store_id);
    vimg_mutex_unlock(&pool->lock);
    return TRUE;
}
