/*
 * remove.c: taking a whole store away
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "gc-lock.h"
#include "remove.h"
#include "survey.h"
#include "throw.h"

/* How deep each directory of the layout may go; deeper is not ours. */
static const struct {
    const char *name;
    guint depth;
} parts[] = {
    {"adopted", 1}, {"images", 2}, {"names", 2},        {"pending", 2},
    {"gc", 4},      {"bad", 1},    {"slices.castr", 2},
};

#define CHUNK 1024

static gboolean remove_tree(VimgSliceStore *store, const char *dir, guint depth, VimgPluginJob *job,
                            GError **error);

static gboolean
keep(const char *path, int result)
{
    vimg_slice_store_log(VIMG_LOG_WARNING, "%s stays: %s", path, g_strerror(result));
    return TRUE;
}

/* Unlinks @paths; those that are directories are gone through. */
static gboolean
remove_paths(VimgSliceStore *store, GPtrArray *paths, guint depth, VimgPluginJob *job,
             GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, paths->len);
    guint i;

    for (i = 0; i < paths->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = paths->pdata[i]};
    vimg_transport_run(store->transport, ops, paths->len);
    for (i = 0; i < paths->len; i++) {
        int result = ops[i].result;

        if (result == 0 || result == ENOENT)
            continue;
        if ((result == EISDIR || result == EPERM) && depth > 1) {
            if (!remove_tree(store, ops[i].path, depth - 1, job, error))
                return FALSE;
        } else {
            keep(ops[i].path, result);
        }
    }
    return TRUE;
}

static gboolean
remove_tree(VimgSliceStore *store, const char *dir, guint depth, VimgPluginJob *job, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);
    guint i = 0;

    if (result == ENOENT)
        return TRUE;
    if (result != 0)
        return throw_result(error, result, _("cannot remove '%s'"), dir);
    while (i < names->len) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        if (!vimg_slice_store_check_job(job, error))
            return FALSE;
        for (; i < names->len && paths->len < CHUNK; i++)
            g_ptr_array_add(paths, g_strconcat(dir, "/", g_ptr_array_index(names, i), NULL));
        if (!remove_paths(store, paths, depth, job, error))
            return FALSE;
    }
    result = vimg_transport_rmdir(store->transport, dir);
    return result == 0 || keep(dir, result);
}

static gboolean
remove_all(VimgSliceStore *store, VimgPluginJob *job, GError **error)
{
    g_autofree char *holder = NULL;
    g_autofree char *lease = NULL;
    gsize i;
    int result;

    if (!vimg_survey_any(store, &lease, &holder, error))
        return FALSE;
    if (lease)
        return throw_error(
            error, VIMG_ERROR_BUSY,
            _("the store is in use by %1$s; if that is gone for good, move its lease '%2$s' into gc/, or try again once it was not seen alive for 15 minutes"),
            holder, lease);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (!remove_tree(store, parts[i].name, parts[i].depth, job, error))
            return FALSE;
    }
    result = vimg_transport_unlink(store->transport, "store.json");
    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot remove '%s'"), "store.json");
    result = vimg_transport_sync(store->transport, ".");
    if (result != 0)
        return throw_result(error, result, _("cannot remove '%s'"), "store.json");
    return TRUE;
}

gboolean
vimg_slice_store_remove(VimgSliceStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgGcLock *lock;
    gboolean good;

    if (!vimg_slice_store_need_writable(store, error))
        return FALSE;
    lock = vimg_gc_lock_take(store, g_get_monotonic_time(), &local);
    /* whatever else fails is what a removal that was interrupted left */
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    good = remove_all(store, job, error);
    vimg_gc_lock_end(lock);
    return good;
}
