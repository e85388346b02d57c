/*
 * zone-delete.c: a zone goes, with the definitions of the pools that are attached to it alone
 *
 * All pools of the zone are taken first, and everything that may refuse is asked before anything is
 * done.  Then the others are detached, which is taken back if one of them fails, and those of it
 * alone stopped and undefined one by one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* Pools named in one message. */
#define NAMED_MAX 8

typedef struct {
    VimgModel *model;
    const char *zone;
    GPtrArray *pools;  /* of VimgPool, references */
    GPtrArray *turns;  /* those that were taken, borrowed; given back when it is freed */
    GPtrArray *alone;  /* those that go, borrowed */
    GPtrArray *others; /* those that are detached, borrowed */
} Deletion;

static void
deletion_clear(Deletion *deletion)
{
    g_ptr_array_unref(deletion->others);
    g_ptr_array_unref(deletion->turns);
    for (guint i = 0; i < deletion->alone->len; i++)
        vimg_adopt_kick(deletion->alone->pdata[i]); /* it may have been ended for nothing */
    g_ptr_array_unref(deletion->alone);
    g_ptr_array_unref(deletion->pools);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Deletion, deletion_clear)

/* Returns: (transfer full) the first of @parts, joined; the array is not empty. */
static char *
join(const GPtrArray *parts)
{
    g_autoptr(GString) text = g_string_new(parts->pdata[0]);

    for (guint i = 1; i < MIN(parts->len, NAMED_MAX); i++)
        g_string_append_printf(text, ", %s", (const char *)parts->pdata[i]);
    if (parts->len > NAMED_MAX)
        g_string_append_printf(text, _(" and %u more"), parts->len - NAMED_MAX);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ---- which ---------------------------------------------------------------------------------- */

/* Returns: whether it is attached, and @only to this zone. */
static gboolean
is_attached(VimgPool *pool, const char *zone, gboolean *only)
{
    g_autoptr(GPtrArray) zones = vimg_zones_of(pool);

    *only = zones->len == 1;
    return g_ptr_array_find_with_equal_func(zones, zone, g_str_equal, NULL);
}

static gboolean
take_pools(Deletion *deletion, GError **error)
{
    gboolean only;

    for (guint i = 0; i < deletion->pools->len; i++) {
        VimgPool *pool = deletion->pools->pdata[i];

        if (!is_attached(pool, deletion->zone, &only))
            continue;
        if (!vimg_pool_begin(pool, VIMG_POOL_DEFINING, error))
            return FALSE;
        g_ptr_array_add(deletion->turns, pool);
        if (is_attached(pool, deletion->zone, &only)) /* still */
            g_ptr_array_add(only ? deletion->alone : deletion->others, pool);
    }
    return deletion->turns->len > 0 ||
           vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("no storage pool is attached to zone '%s'"),
                      deletion->zone);
}

/* Returns: (transfer full) the set of uuids in @texts, or NULL. */
static GHashTable *
parse_uuids(const char *const *texts, gsize n, GError **error)
{
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (gsize i = 0; i < n; i++) {
        guint8 uuid[VIMG_UUID_SIZE];
        char text[VIMG_UUID_TEXT_SIZE];

        if (!vimg_uuid_parse(texts[i], uuid)) {
            vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is not a uuid"), texts[i]);
            return NULL;
        }
        vimg_uuid_format(uuid, text);
        g_hash_table_add(set, g_strdup(text));
    }
    return g_steal_pointer(&set);
}

/* What a pool is called, if there is one. */
static char *
describe_uuid(VimgModel *model, const char *text)
{
    VimgPoolId id = {0};
    g_autoptr(VimgPool) pool = NULL;

    vimg_uuid_parse(text, id.uuid);
    pool = vimg_registry_get(model, &id, NULL);
    return g_strdup_printf(_("'%s' does not"), pool ? vimg_pool_name(pool) : text);
}

static gboolean
check_confirmed(const Deletion *deletion, GHashTable *confirmed, GError **error)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    GHashTableIter iter;
    gpointer uuid;

    for (guint i = 0; i < deletion->alone->len; i++) {
        VimgPool *pool = deletion->alone->pdata[i];

        if (!g_hash_table_remove(confirmed, pool->uuid_text))
            g_ptr_array_add(parts, g_strdup_printf(_("'%s' goes too"), vimg_pool_name(pool)));
    }
    g_hash_table_iter_init(&iter, confirmed);
    while (g_hash_table_iter_next(&iter, &uuid, NULL))
        g_ptr_array_add(parts, describe_uuid(deletion->model, uuid));
    if (parts->len == 0)
        return TRUE;
    text = join(parts);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("the storage pools that go with zone '%1$s' are not those that were confirmed: %2$s"),
        deletion->zone, text);
}

/* ---- may they? ------------------------------------------------------------------------------ */

/* None that counts begins from here on. */
static gboolean
check_jobs(const Deletion *deletion, GError **error)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;

    for (guint i = 0; i < deletion->alone->len; i++) {
        VimgPool *pool = deletion->alone->pdata[i];
        const char *name = vimg_pool_name(pool);
        g_autofree char *jobs = NULL;

        vimg_pool_turn_to(pool, VIMG_POOL_STOPPING);
        jobs = vimg_jobs_describe(pool->model->jobs, name, NULL, vimg_stop_beside);
        if (jobs)
            g_ptr_array_add(parts, g_strdup_printf("'%s' (%s)", name, jobs));
    }
    if (parts->len == 0)
        return TRUE;
    text = join(parts);
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("storage pools that go with zone '%1$s' have jobs running: %2$s"),
                      deletion->zone, text);
}

static gboolean
check(const Deletion *deletion, GError **error)
{
    for (guint i = 0; i < deletion->others->len; i++) {
        if (!vimg_zone_check_detach(deletion->others->pdata[i], deletion->zone, error))
            return FALSE;
    }
    if (!check_jobs(deletion, error))
        return FALSE;
    for (guint i = 0; i < deletion->alone->len; i++) {
        if (!vimg_adopt_stop(deletion->alone->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

/* ---- go ------------------------------------------------------------------------------------- */

/* What the others were before, in their order. */
typedef struct {
    GPtrArray *defs;
    GPtrArray *nexts; /* of those that wait for the next start, or NULL */
} Former;

static void
attach_again(const Deletion *deletion, const Former *former, guint n)
{
    for (guint i = 0; i < n; i++) {
        VimgPool *pool = deletion->others->pdata[i];
        g_autoptr(GError) error = NULL;

        if (!vimg_pool_unedit(pool, former->defs->pdata[i], former->nexts->pdata[i], &error))
            vimg_warning("storage pool '%s' stays detached from zone '%s': %s",
                         vimg_pool_name(pool), deletion->zone, error->message);
    }
}

static gboolean
detach_others(const Deletion *deletion, GError **error)
{
    g_autoptr(GPtrArray) defs = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_def_free);
    g_autoptr(GPtrArray) nexts = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_def_free);
    const Former former = {defs, nexts};

    for (guint i = 0; i < deletion->others->len; i++) {
        VimgPool *pool = deletion->others->pdata[i];

        g_ptr_array_add(defs, vimg_pool_copy_def(pool));
        g_ptr_array_add(nexts, vimg_pool_copy_next(pool));
        if (!vimg_zone_detach(pool, deletion->zone, error)) {
            attach_again(deletion, &former, i);
            return FALSE;
        }
    }
    for (guint i = 0; i < deletion->others->len; i++)
        vimg_pool_emit_edited(deletion->others->pdata[i]);
    return TRUE;
}

static gboolean
drop(VimgPool *pool, GError **error)
{
    gboolean persistent = pool->persistent; /* one that is not goes when it is stopped */

    if (vimg_pool_check_active(pool, TRUE, "%s", NULL)) {
        if (!vimg_pool_stop(pool, error))
            return FALSE;
        vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_LIFECYCLE,
                             VIR_STORAGE_POOL_EVENT_STOPPED);
    }
    if (!persistent)
        return TRUE;
    if (!vimg_pool_forget(pool, error))
        return FALSE;
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_LIFECYCLE,
                         VIR_STORAGE_POOL_EVENT_UNDEFINED);
    return TRUE;
}

static gboolean
drop_alone(const Deletion *deletion, GError **error)
{
    for (guint i = 0; i < deletion->alone->len; i++) {
        if (!drop(deletion->alone->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_model_zone_delete(VimgModel *model, const char *zone, const char *const *uuids, gsize n,
                       GError **error)
{
    g_autoptr(GHashTable) confirmed = parse_uuids(uuids, n, error);
    g_auto(Deletion) deletion = {
        .model = model,
        .zone = zone,
        .pools = vimg_registry_list(model),
        .turns = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_end),
        .alone = g_ptr_array_new(),
        .others = g_ptr_array_new(),
    };

    return confirmed && vimg_name_check_argument("zone", zone, error) &&
           take_pools(&deletion, error) && check_confirmed(&deletion, confirmed, error) &&
           check(&deletion, error) && detach_others(&deletion, error) &&
           drop_alone(&deletion, error);
}
