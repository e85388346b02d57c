/*
 * merge-side.c: whose an object is: one of ours, or else one of the host's
 *
 * Pools are known by name and uuid, volumes by the name of their pool, secrets by their uuid.  What
 * of the host's has something of ours in its place is hidden everywhere: what a client did with it
 * by name would hit ours.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "util/i18n.h"

/* ---- pools ---------------------------------------------------------------------------------- */

static VimgSide
side_of(const VimgCall *call, const vimg_remote_pool *wire)
{
    VimgPoolId pool;

    vimg_pool_from_wire(wire, &pool);
    return vimg_model_hides_host_pool(call->model, &pool) ? VIMG_SIDE_OURS : VIMG_SIDE_HOST;
}

static gboolean
is_our_pool(const VimgCall *call, const char *name)
{
    g_auto(VimgPoolId) pool = {0};

    return vimg_model_pool_by_name(call->model, name, &pool, NULL);
}

static VimgSide
pool_side(const VimgCall *call)
{
    return side_of(call, call->args);
}

static VimgSide
vol_side(const VimgCall *call)
{
    const vimg_remote_vol *vol = call->args;

    return is_our_pool(call, vol->pool) ? VIMG_SIDE_OURS : VIMG_SIDE_HOST;
}

/* From one side to the other is our work, because the host knows its own alone. */
static VimgSide
copy_side(const VimgCall *call)
{
    const vimg_remote_vol_create_from_args *args = call->args;

    if (is_our_pool(call, args->source.pool))
        return VIMG_SIDE_OURS;
    return side_of(call, &args->pool);
}

static VimgSide
sources_side(const VimgCall *call)
{
    const vimg_remote_find_sources_args *args = call->args;

    return vimg_model_knows_type(call->model, args->type) ? VIMG_SIDE_OURS : VIMG_SIDE_HOST;
}

const VimgMerge vimg_merge_pool = {.side = pool_side};
const VimgMerge vimg_merge_vol = {.side = vol_side};
const VimgMerge vimg_merge_copy = {.side = copy_side};
const VimgMerge vimg_merge_sources = {.side = sources_side};

/* ---- secrets -------------------------------------------------------------------------------- */

static gboolean
is_our_secret(const VimgCall *call, const char *uuid)
{
    g_auto(VimgSecretId) id = {0};

    return vimg_model_secret_by_uuid(call->model, (const guint8 *)uuid, &id, NULL);
}

/* Whoever came as to the host's own daemon gets its secrets, with what it may do to them. */
static VimgSide
secret_side(const VimgCall *call)
{
    const vimg_remote_secret *secret = call->args;

    return vimg_client_is_alias(call->client) || !is_our_secret(call, secret->uuid)
               ? VIMG_SIDE_HOST
               : VIMG_SIDE_OURS;
}

static VimgSide
secret_define_side(const VimgCall *call)
{
    return vimg_client_is_alias(call->client) ? VIMG_SIDE_HOST : VIMG_SIDE_OURS;
}

const VimgMerge vimg_merge_secret = {.side = secret_side, .strict = TRUE};
const VimgMerge vimg_merge_secret_define = {.side = secret_define_side, .strict = TRUE};

/* ---- lookups -------------------------------------------------------------------------------- */

static VimgSide
search_side(const VimgCall *call)
{
    return VIMG_SIDE_SEARCH;
}

static VimgSide
search_secret_side(const VimgCall *call)
{
    return vimg_client_is_alias(call->client) ? VIMG_SIDE_HOST : VIMG_SIDE_SEARCH;
}

static gboolean
check_pool(const VimgCall *call, gconstpointer host, GError **error)
{
    const vimg_remote_pool *pool = host;
    char uuid[VIMG_UUID_TEXT_SIZE];

    if (side_of(call, pool) == VIMG_SIDE_HOST)
        return TRUE;
    vimg_uuid_format((const guint8 *)pool->uuid, uuid);
    return vimg_throw(
        error, VIMG_ERROR_NO_POOL,
        _("pool '%1$s' of the host with uuid %2$s is hidden behind an image pool: rename one of them"),
        pool->name, uuid);
}

static gboolean
check_vol(const VimgCall *call, gconstpointer host, GError **error)
{
    const vimg_remote_vol *vol = host;

    return !is_our_pool(call, vol->pool) ||
           vimg_throw(
               error, VIMG_ERROR_NO_VOL,
               _("'%1$s' is in pool '%2$s' of the host, which is hidden behind an image pool: rename one of them"),
               vol->name, vol->pool);
}

static gboolean
check_secret(const VimgCall *call, gconstpointer host, GError **error)
{
    const vimg_remote_secret *secret = host;

    return vimg_client_is_alias(call->client) || !is_our_secret(call, secret->uuid) ||
           vimg_throw(error, VIMG_ERROR_NO_SECRET,
                      _("secret '%s' of the host has the uuid of another one here"),
                      secret->usage_id);
}

const VimgMerge vimg_merge_find_pool = {
    .side = search_side, .miss = VIMG_ERROR_NO_POOL, .check = check_pool};
const VimgMerge vimg_merge_find_vol = {
    .side = search_side, .miss = VIMG_ERROR_NO_VOL, .check = check_vol};
const VimgMerge vimg_merge_find_secret = {.side = search_secret_side,
                                          .strict = TRUE,
                                          .miss = VIMG_ERROR_NO_SECRET,
                                          .check = check_secret};
