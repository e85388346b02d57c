/*
 * remove.c: taking a whole store away
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "gc-lock.h"
#include "remove.h"
#include "survey.h"
#include "../throw.h"

/* How deep each directory of the layout may go; deeper is not ours. */
static const struct {
    const char *name;
    guint depth;
} parts[] = {
    {"adopted", 1}, {"images", 2}, {"names", 2},        {"pending", 2},
    {"gc", 4},      {"bad", 1},    {"slices.castr", 2},
};

#define CHUNK 256 /* paths at once */

static gboolean remove_trees(VimgSliceStore *store, const GPtrArray *dirs, guint depth,
                             VimgPluginJob *job, GError **error);

static gboolean
keep(const char *path, int result)
{
    vimg_slice_store_log(VIMG_LOG_WARNING, "%s stays: %s", path, g_strerror(result));
    return TRUE;
}

/* One operation on each of the @n @paths.  Returns: (transfer full) */
static VimgOp *
run_all(VimgSliceStore *store, VimgOpKind kind, char *const *paths, gsize n)
{
    VimgOp *ops = g_new0(VimgOp, n);
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = kind, .path = paths[i]};
    vimg_transport_run(store->transport, ops, n);
    return ops;
}

/* Unlinks the @n @paths; those that are directories are gone through. */
static gboolean
remove_paths(VimgSliceStore *store, char *const *paths, gsize n, guint depth, VimgPluginJob *job,
             GError **error)
{
    g_autofree VimgOp *ops = run_all(store, VIMG_OP_UNLINK, paths, n);
    g_autoptr(GPtrArray) dirs = g_ptr_array_new();
    gsize i;

    for (i = 0; i < n; i++) {
        int result = ops[i].result;

        if (result == 0 || result == ENOENT)
            continue;
        if ((result == EISDIR || result == EPERM) && depth > 1)
            g_ptr_array_add(dirs, paths[i]);
        else
            keep(paths[i], result);
    }
    return dirs->len == 0 || remove_trees(store, dirs, depth - 1, job, error);
}

/* What is in @dirs, as full paths.  FALSE: one cannot be listed. */
static gboolean
list_all(VimgSliceStore *store, const GPtrArray *dirs, GPtrArray *paths, GError **error)
{
    g_autofree VimgOp *ops = run_all(store, VIMG_OP_LIST, (char *const *)dirs->pdata, dirs->len);
    gboolean good = TRUE;
    guint i;
    guint k;

    for (i = 0; i < dirs->len; i++) {
        if (ops[i].result != 0 && ops[i].result != ENOENT && good)
            good = throw_result(error, ops[i].result, _("cannot remove '%s'"), ops[i].path);
        for (k = 0; ops[i].result == 0 && k < ops[i].names->len; k++)
            g_ptr_array_add(paths, g_strconcat(ops[i].path, "/", ops[i].names->pdata[k], NULL));
    }
    vimg_transport_clear_ops(ops, dirs->len, FALSE);
    return good;
}

static gboolean
remove_trees(VimgSliceStore *store, const GPtrArray *dirs, guint depth, VimgPluginJob *job,
             GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree VimgOp *ops = NULL;
    guint i;

    if (!list_all(store, dirs, paths, error))
        return FALSE;
    for (i = 0; i < paths->len; i += CHUNK) {
        if (!vimg_slice_store_check_job(job, error) ||
            !remove_paths(store, (char *const *)paths->pdata + i, MIN(CHUNK, paths->len - i), depth,
                          job, error))
            return FALSE;
    }
    ops = run_all(store, VIMG_OP_RMDIR, (char *const *)dirs->pdata, dirs->len);
    for (i = 0; i < dirs->len; i++) {
        if (ops[i].result != 0 && ops[i].result != ENOENT)
            keep(ops[i].path, ops[i].result);
    }
    return TRUE;
}

static gboolean
remove_tree(VimgSliceStore *store, const char *dir, guint depth, VimgPluginJob *job, GError **error)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new();

    g_ptr_array_add(dirs, (gpointer)dir);
    return remove_trees(store, dirs, depth, job, error);
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
