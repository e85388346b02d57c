/*
 * host-pools.c: pools of the host's own daemon beside ours: no two share a name or a uuid
 *
 * Ours are kept from taking what the host has; the host cannot be kept from taking what is ours,
 * so then ours is the one that is meant and the host's is hidden.  The list of the host is always
 * as fresh as whoever asks for it, so nothing is remembered but which pools of ours hide one, to
 * say so once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* ---- whose is it ---------------------------------------------------------------------------- */

gboolean
vimg_model_knows_type(VimgModel *model, const char *type)
{
    return vimg_backends_knows(model->backends, type);
}

void
vimg_pool_wish_clear(VimgPoolWish *wish)
{
    vimg_pool_id_clear(&wish->id);
}

gboolean
vimg_model_pool_wish(VimgModel *model, const char *xml, VimgPoolWish *out, GError **error)
{
    g_auto(VimgPoolPeek) peek = {0};

    if (!vimg_pool_peek(xml, &peek, error))
        return FALSE;
    out->ours = !peek.type || vimg_backends_knows(model->backends, peek.type);
    out->id.name = g_steal_pointer(&peek.name);
    out->has_uuid = peek.has_uuid;
    memcpy(out->id.uuid, peek.uuid, sizeof(out->id.uuid));
    return TRUE;
}

/* Returns: (transfer full) the pool of ours that @host shares its name or uuid with, or NULL. */
static VimgPool *
find_rival(VimgModel *model, const VimgPoolId *host)
{
    VimgPool *pool = vimg_registry_by_name(model, host->name, NULL);

    return pool ? pool : vimg_registry_get(model, host, NULL);
}

gboolean
vimg_model_hides_host_pool(VimgModel *model, const VimgPoolId *host)
{
    g_autoptr(VimgPool) rival = find_rival(model, host);

    return rival != NULL;
}

/* ---- making one ----------------------------------------------------------------------------- */

static gboolean
throw_name(const char *name, const guint8 *uuid, GError **error)
{
    char text[VIMG_UUID_TEXT_SIZE];

    vimg_uuid_format(uuid, text);
    return vimg_throw(error, VIMG_ERROR_FAILED, _("pool '%1$s' already exists with uuid %2$s"),
                      name, text);
}

static gboolean
throw_uuid(const char *name, const guint8 *uuid, GError **error)
{
    char text[VIMG_UUID_TEXT_SIZE];

    vimg_uuid_format(uuid, text);
    return vimg_throw(error, VIMG_ERROR_FAILED, _("pool '%1$s' is already defined with uuid %2$s"),
                      name, text);
}

/*
 * One of ours that is defined anew keeps what it has, whatever the host took since: what is new in
 * the wish alone must be free.
 */
static gboolean
check_ours(VimgModel *model, const VimgPoolWish *wish, const GPtrArray *host, GError **error)
{
    g_autoptr(VimgPool) same_name =
        wish->id.name ? vimg_registry_by_name(model, wish->id.name, NULL) : NULL;
    g_autoptr(VimgPool) same_uuid =
        wish->has_uuid ? vimg_registry_get(model, &wish->id, NULL) : NULL;

    for (guint i = 0; i < host->len; i++) {
        const VimgPoolId *id = host->pdata[i];

        if (wish->has_uuid && !same_uuid && memcmp(id->uuid, wish->id.uuid, VIMG_UUID_SIZE) == 0)
            return throw_uuid(id->name, id->uuid, error);
        if (wish->id.name && !same_name && strcmp(id->name, wish->id.name) == 0)
            return throw_name(id->name, id->uuid, error);
    }
    return TRUE;
}

/* The wish is for a pool of the host. */
static gboolean
check_host(VimgModel *model, const VimgPoolWish *wish, GError **error)
{
    g_autoptr(VimgPool) by_uuid = wish->has_uuid ? vimg_registry_get(model, &wish->id, NULL) : NULL;
    g_autoptr(VimgPool) by_name =
        wish->id.name ? vimg_registry_by_name(model, wish->id.name, NULL) : NULL;

    if (by_uuid)
        return throw_uuid(vimg_pool_name(by_uuid), by_uuid->uuid, error);
    if (by_name)
        return throw_name(wish->id.name, by_name->uuid, error);
    return TRUE;
}

gboolean
vimg_model_check_wish(VimgModel *model, const VimgPoolWish *wish, const GPtrArray *host,
                      GError **error)
{
    if (!wish->ours)
        return check_host(model, wish, error);
    return !host || check_ours(model, wish, host, error);
}

/* ---- telling -------------------------------------------------------------------------------- */

/* Says what changed: @hidden is the host's pool that @pool hides now, NULL if none. */
static void
note(VimgPool *pool, const VimgPoolId *hidden)
{
    char uuid[VIMG_UUID_TEXT_SIZE] = "";
    VIMG_LOCK_GUARD(&pool->lock);

    if (hidden)
        vimg_uuid_format(hidden->uuid, uuid);
    if (g_strcmp0(pool->hides, hidden ? uuid : NULL) == 0)
        return;
    if (hidden)
        vimg_warning("the host's own daemon has a storage pool '%s' with uuid %s, which is hidden "
                     "behind pool '%s' here: rename one of them",
                     hidden->name, uuid, vimg_pool_name(pool));
    else
        vimg_info("pool '%s' hides no storage pool of the host's own daemon any more",
                  vimg_pool_name(pool));
    g_free(pool->hides);
    pool->hides = hidden ? g_strdup(uuid) : NULL;
}

/* Also by its uuid alone: which of two pools it means nobody could say either. */
static const VimgPoolId *
find_hidden(const VimgPool *pool, const GPtrArray *host)
{
    for (guint i = 0; i < host->len; i++) {
        const VimgPoolId *id = host->pdata[i];

        if (strcmp(id->name, vimg_pool_name(pool)) == 0 ||
            memcmp(id->uuid, pool->uuid, VIMG_UUID_SIZE) == 0)
            return id;
    }
    return NULL;
}

void
vimg_model_note_host_pools(VimgModel *model, const GPtrArray *host, gboolean all)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);

    for (guint i = 0; i < pools->len; i++) {
        const VimgPoolId *hidden = find_hidden(pools->pdata[i], host);

        if (hidden || all)
            note(pools->pdata[i], hidden);
    }
}
