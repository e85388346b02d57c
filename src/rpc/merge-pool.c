/*
 * merge-pool.c: pools of both sides in one list, and no two of one name
 *
 * All lists are made of the host's newest one, because it alone says uuids as well: what is hidden
 * behind a pool of ours is not to be counted either.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "util/log.h"

#define ACTIVE VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
#define INACTIVE VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE

static VimgSide
both_sides(const VimgCall *call)
{
    return VIMG_SIDE_BOTH;
}

static void
ask_pools(guint32 flags, VimgQuestion *out)
{
    out->own.list = (vimg_remote_list_args){.need_results = 1, .flags = flags};
    out->procedure = VIMG_REMOTE_CONNECT_LIST_ALL_POOLS;
    out->proc = (xdrproc_t)xdr_vimg_remote_list_args;
    out->args = &out->own.list;
}

static void
ask_all(const VimgCall *call, VimgQuestion *out)
{
    ask_pools(0, out);
}

static void
ask_same(const VimgCall *call, VimgQuestion *out)
{
    const vimg_remote_list_args *args = call->args;

    ask_pools(args->flags, out);
}

static void
ask_active(const VimgCall *call, VimgQuestion *out)
{
    ask_pools(ACTIVE, out);
}

static void
ask_inactive(const VimgCall *call, VimgQuestion *out)
{
    ask_pools(INACTIVE, out);
}

/* Returns: (transfer full) of VimgPoolId that borrow from @host. */
static GPtrArray *
list_ids(const vimg_remote_pools_ret *host)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < host->pools.pools_len; i++) {
        VimgPoolId *id = g_new0(VimgPoolId, 1);

        vimg_pool_from_wire(&host->pools.pools_val[i], id);
        g_ptr_array_add(ids, id);
    }
    return ids;
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* Drops what is hidden; @all: there are no others. */
static void
keep_seen(VimgCall *call, vimg_remote_pools_ret *host, gboolean all)
{
    g_autoptr(GPtrArray) ids = list_ids(host);
    guint kept = 0;

    vimg_model_note_host_pools(call->model, ids, all);
    for (guint i = 0; i < ids->len; i++) {
        vimg_remote_pool *pool = &host->pools.pools_val[i];

        if (vimg_model_hides_host_pool(call->model, ids->pdata[i])) {
            g_clear_pointer(&pool->name, g_free);
        } else {
            vimg_remote_pool moved = *pool;

            pool->name = NULL;
            host->pools.pools_val[kept++] = moved;
        }
    }
    host->pools.pools_len = kept;
}

static gboolean
is_everything(guint flags)
{
    return flags == 0 || flags == (ACTIVE | INACTIVE);
}

static gboolean
add_pools(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_list_args *args = call->args;
    vimg_remote_pools_ret *host = data;
    vimg_remote_pools_ret *ret = call->ret;

    keep_seen(call, host, is_everything(args->flags));
    if (!vimg_check_count(ret->count + host->pools.pools_len, error))
        return FALSE;
    ret->count += host->pools.pools_len;
    if (!args->need_results)
        return TRUE;
    ret->pools.pools_val =
        vimg_merge_append(ret->pools.pools_val, ret->pools.pools_len, host->pools.pools_val,
                          host->pools.pools_len, sizeof(vimg_remote_pool));
    ret->pools.pools_len += host->pools.pools_len;
    return TRUE;
}

static gboolean
add_count(VimgCall *call, gpointer data, GError **error)
{
    vimg_remote_pools_ret *host = data;
    vimg_remote_int *ret = call->ret;

    keep_seen(call, host, FALSE);
    ret->value += (int)host->pools.pools_len;
    return TRUE;
}

static gboolean
add_names(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_max_args *args = call->args;
    vimg_remote_pools_ret *host = data;
    vimg_remote_names_ret *ret = call->ret;
    guint n = ret->names.names_len;
    guint more;

    keep_seen(call, host, FALSE);
    more = MIN((guint)args->max - n, host->pools.pools_len);
    ret->names.names_val = g_renew(vimg_remote_text, ret->names.names_val, n + more);
    for (guint i = 0; i < more; i++)
        ret->names.names_val[n + i] = g_steal_pointer(&host->pools.pools_val[i].name);
    ret->names.names_len = n + more;
    return TRUE;
}

/* ---- new names ------------------------------------------------------------------------------ */

/* A document that cannot be read is refused by whoever reads it as a whole. */
static gboolean
check_wish(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_xml_args *args = call->args;
    g_autoptr(GPtrArray) ids = data ? list_ids(data) : NULL;
    g_auto(VimgPoolWish) wish = {0};

    if (!vimg_model_pool_wish(call->model, args->xml, &wish, NULL))
        return TRUE;
    call->pass = !wish.ours;
    return vimg_model_check_wish(call->model, &wish, ids, error);
}

static gboolean
check_rename(VimgCall *call, gpointer data, GError **error)
{
    const vimg_control_rename_args *args = call->args;
    g_autoptr(GPtrArray) ids = data ? list_ids(data) : NULL;
    const VimgPoolWish wish = {.ours = TRUE, .id.name = args->name};

    return vimg_model_check_wish(call->model, &wish, ids, error);
}

static gboolean
note_all(VimgCall *call, gpointer data, GError **error)
{
    if (data)
        keep_seen(call, data, TRUE);
    return TRUE;
}

/* ---- capabilities --------------------------------------------------------------------------- */

static gboolean
add_capabilities(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_string *host = data;
    vimg_remote_string *ret = call->ret;
    g_autoptr(GError) local = NULL;
    char *merged = vimg_capabilities_merge(ret->value, host->value, &local);

    if (!merged) {
        vimg_warning("cannot read the capabilities of the host's own daemon: %s", local->message);
        return TRUE;
    }
    g_free(ret->value);
    ret->value = merged;
    return TRUE;
}

/* ---- the kinds ------------------------------------------------------------------------------ */

#define POOLS(ASK)                                                                                 \
    .side = both_sides, .ask = ASK, .answer = (xdrproc_t)xdr_vimg_remote_pools_ret,                \
    .answer_size = sizeof(vimg_remote_pools_ret)

const VimgMerge vimg_merge_pools = {POOLS(ask_same), .after = add_pools};
const VimgMerge vimg_merge_count_active = {POOLS(ask_active), .after = add_count};
const VimgMerge vimg_merge_count_inactive = {POOLS(ask_inactive), .after = add_count};
const VimgMerge vimg_merge_name_active = {POOLS(ask_active), .after = add_names};
const VimgMerge vimg_merge_name_inactive = {POOLS(ask_inactive), .after = add_names};
const VimgMerge vimg_merge_wish = {POOLS(ask_all), .surely = TRUE, .before = check_wish};
const VimgMerge vimg_merge_rename = {POOLS(ask_all), .surely = TRUE, .before = check_rename};
const VimgMerge vimg_merge_status = {POOLS(ask_all), .before = note_all};

const VimgMerge vimg_merge_capabilities = {
    .side = both_sides,
    .after = add_capabilities,
    .answer = (xdrproc_t)xdr_vimg_remote_string,
    .answer_size = sizeof(vimg_remote_string),
};
