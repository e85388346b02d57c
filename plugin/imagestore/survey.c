/*
 * survey.c: which leases are alive, and the end of those that are not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "lease.h"
#include "owner.h"
#include "survey.h"
#include "../throw.h"

static char *
lease_dir(const char *name)
{
    return g_strconcat("pending/", name, NULL);
}

static const char *
id_of(const char *dir)
{
    const char *name = strrchr(dir, '/') + 1;

    return g_str_has_prefix(name, VIMG_LEASE_NEW) ? name + strlen(VIMG_LEASE_NEW) : name;
}

void
vimg_survey_owners(VimgSliceStore *store, VimgSurveyed *items, gsize n, gint64 now)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, 2 * n);
    gsize i;

    for (i = 0; i < n; i++) {
        ops[2 * i] = (VimgOp){.kind = VIMG_OP_STAT,
                              .path = g_strconcat(items[i].dir, "/" VIMG_HEARTBEAT_FILE, NULL)};
        ops[2 * i + 1] = (VimgOp){.kind = VIMG_OP_READ,
                                  .path = g_strconcat(items[i].dir, "/" VIMG_OWNER_FILE, NULL),
                                  .size = VIMG_OWNER_MAX_SIZE};
    }
    vimg_transport_run(store->transport, ops, 2 * n);
    for (i = 0; i < n; i++) {
        const VimgOp *heartbeat = &ops[2 * i];
        const VimgOp *owner = &ops[2 * i + 1];
        /* one that has no heartbeat yet is about to get it, or was interrupted: time tells */
        gint64 mark = heartbeat->result == 0 ? heartbeat->info.mtime : 0;
        /* what cannot be looked at was not seen to stay the same */
        gboolean seen =
            heartbeat->result == 0 || heartbeat->result == ENOENT || heartbeat->result == ENOTDIR;
        gint64 same = seen ? vimg_watch_look(store->watch, items[i].dir, mark, now) : 0;

        items[i].dead =
            same >= VIMG_FENCE_AFTER ||
            vimg_owner_is_dead(owner->result == 0 ? owner->content : NULL, id_of(items[i].dir));
        vimg_buffer_unref(owner->content);
        g_free((char *)heartbeat->path);
        g_free((char *)owner->path);
    }
}

static void
fence(VimgSliceStore *store, const char *name)
{
    VimgTransport *transport = store->transport;
    g_autofree char *path = lease_dir(name);
    guint64 bytes = vimg_transport_measure(transport, path);
    int result;

    if (g_str_has_prefix(name, VIMG_LEASE_NEW)) {
        if (vimg_transport_unlink(transport, path) != 0)
            vimg_transport_remove_files(transport, path);
        return;
    }
    result = vimg_lease_end(transport, name);
    if (result != 0 && result != ENOENT)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot fence the lease %s: %s", name,
                             g_strerror(result));
    if (result != 0)
        return;
    vimg_slice_store_log(VIMG_LOG_INFO, "fenced the lease %s, whose owner is gone", name);
    __atomic_add_fetch(&store->fenced, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&store->fenced_bytes, bytes, __ATOMIC_RELAXED);
}

/* What an interrupted end left, of the @names in gc. */
static void
remove_fenced(VimgTransport *transport, const GPtrArray *names)
{
    guint i;

    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("gc/", g_ptr_array_index(names, i), NULL);

        if (g_str_has_prefix(dir, VIMG_LEASE_ENDED))
            vimg_transport_remove_files(transport, dir);
    }
}

GPtrArray *
vimg_survey_leases(VimgSliceStore *store, gint64 now, GError **error)
{
    VimgOp lists[] = {
        {.kind = VIMG_OP_LIST, .path = "pending"},
        {.kind = VIMG_OP_LIST, .path = "gc"},
    };
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) ended = NULL;
    g_autoptr(GPtrArray) alive = g_ptr_array_new_with_free_func(g_free);
    g_autofree VimgSurveyed *items = NULL;
    guint i;

    vimg_transport_run(store->transport, lists, store->read_only ? 1 : 2);
    names = lists[0].names;
    ended = lists[1].names;
    if (lists[0].result != 0) {
        throw_result(error, lists[0].result, _("cannot list the leases"));
        return NULL;
    }
    if (ended)
        remove_fenced(store->transport, ended);
    items = g_new0(VimgSurveyed, names->len);
    for (i = 0; i < names->len; i++)
        items[i].dir = lease_dir(g_ptr_array_index(names, i));
    vimg_survey_owners(store, items, names->len, now);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (items[i].dead && !store->read_only)
            fence(store, name);
        else if (!g_str_has_prefix(name, VIMG_LEASE_NEW))
            g_ptr_array_add(alive, g_strdup(name));
        g_free((char *)items[i].dir);
    }
    return g_steal_pointer(&alive);
}

gboolean
vimg_survey_is_alive(VimgSliceStore *store, const char *name)
{
    g_autofree char *dir = lease_dir(name);
    VimgFileInfo info;

    /* on doubt it is */
    return vimg_transport_stat(store->transport, dir, &info) != ENOENT;
}

char *
vimg_survey_holder(VimgSliceStore *store, const char *name)
{
    g_autofree char *dir = lease_dir(name);
    g_autoptr(JsonObject) owner = vimg_owner_read(store->transport, dir);
    char *holder = owner ? vimg_owner_describe(owner) : NULL;

    return holder ? holder : g_strdup(name);
}

gboolean
vimg_survey_any(VimgSliceStore *store, char **dir, char **holder, GError **error)
{
    g_autoptr(GPtrArray) alive = NULL;
    VimgFileInfo info;

    *dir = *holder = NULL;
    /* on doubt somebody has one */
    if (vimg_transport_stat(store->transport, "pending", &info) == ENOENT)
        return TRUE;
    alive = vimg_survey_leases(store, g_get_monotonic_time(), error);
    if (alive && alive->len > 0) {
        *dir = lease_dir(g_ptr_array_index(alive, 0));
        *holder = vimg_survey_holder(store, g_ptr_array_index(alive, 0));
    }
    return alive != NULL;
}
