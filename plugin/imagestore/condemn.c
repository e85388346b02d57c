/*
 * condemn.c: slices out of the store in two steps
 *
 * A condemned slice is one rename away from its place.  Whoever begins to look for it now does not
 * find it and stores it again; whoever found it before is waited for, and may move it back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect-private.h"
#include "slice.h"
#include "spare.h"
#include "../throw.h"

#define BATCH 1024
#define LISTED 512                 /* prefix directories at once */
#define LISTED_TIGHT 16            /* the same in the spare */
#define RUN_MAX ((guint64)1 << 19) /* slices: a sweep holds their names, some 60 MiB */
/* Of a run that works in the spare: their names must leave some of it. */
#define RUN_TIGHT ((guint64)2048)

static void
free_ops(VimgOp *ops, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++) {
        g_free((char *)ops[i].path);
        g_free((char *)ops[i].to);
    }
}

static char *
condemned_path(const char *dir, const char *name)
{
    return g_strconcat(dir, "/" VIMG_GC_CONDEMNED "/", name, NULL);
}

/* ---- condemning ------------------------------------------------------------------------- */

/* Sizes of what a dry run would take. */
static gboolean
count_batch(VimgCollection *collection, GPtrArray *paths)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, paths->len);
    guint i;

    for (i = 0; i < paths->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = paths->pdata[i]};
    vimg_transport_run(collection->store->transport, ops, paths->len);
    for (i = 0; i < paths->len; i++) {
        if (ops[i].result == 0) {
            collection->report.slices.count++;
            collection->report.slices.bytes += ops[i].info.size;
        }
    }
    return TRUE;
}

static gboolean
condemn_batch(VimgCollection *collection, GPtrArray *paths, GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, paths->len);
    gboolean gone = FALSE;
    int result = 0;
    guint i;

    for (i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];

        ops[i] = (VimgOp){.kind = VIMG_OP_RENAME,
                          .path = path,
                          .to = condemned_path(collection->lock->dir, strrchr(path, '/') + 1)};
    }
    vimg_transport_run(collection->store->transport, ops, paths->len);
    for (i = 0; i < paths->len; i++) {
        g_free((char *)ops[i].to);
        gone |= ops[i].result == ENOENT;
        if (ops[i].result == 0)
            collection->report.waiting++;
        else if (ops[i].result != ENOENT && result == 0)
            result = ops[i].result;
    }
    if (vimg_spare_use(collection->store->transport, result)) {
        /* the rest is for the next run */
        collection->lock->tight = TRUE;
        result = 0;
    }
    if (result != 0)
        return throw_result(error, result, _("cannot take slices out of the store"));
    /* a slice that went by itself, or the end of the run */
    return !gone || vimg_gc_lock_check(collection->lock, error);
}

static gboolean
flush(VimgCollection *collection, GPtrArray *paths, GError **error)
{
    gboolean good = TRUE;

    if (paths->len > 0)
        good = collection->dry_run ? count_batch(collection, paths)
                                   : condemn_batch(collection, paths, error);
    g_ptr_array_set_size(paths, 0);
    return good && vimg_collect_go_on(collection, error);
}

/* Slices of one prefix directory that are not marked. */
static void
pick(VimgCollection *collection, const VimgOp *op, GPtrArray *paths)
{
    guint i;

    for (i = 0; op->names && i < op->names->len; i++) {
        const char *name = g_ptr_array_index(op->names, i);
        VimgSliceId id;

        if (!vimg_slice_parse(name, &id) || strncmp(name, strrchr(op->path, '/') + 1, 4) != 0)
            collection->report.foreign++;
        else if (!vimg_marks_has(collection->roots.marks, &id))
            g_ptr_array_add(paths, g_strconcat(op->path, "/", name, NULL));
    }
}

static gboolean
is_tight(const VimgCollection *collection)
{
    return collection->lock && collection->lock->tight;
}

static gboolean
is_enough(const VimgCollection *collection)
{
    return collection->report.waiting >= (is_tight(collection) ? RUN_TIGHT : RUN_MAX);
}

/* The next @n of @names, or fewer if that is enough. */
static gboolean
visit_prefixes(VimgCollection *collection, const GPtrArray *names, guint n, GError **error)
{
    guint from = collection->prefix;
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    gboolean good = TRUE;
    guint i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){
            .kind = VIMG_OP_LIST,
            .path = g_strconcat(VIMG_SLICES_DIR "/", g_ptr_array_index(names, from + i), NULL)};
    vimg_transport_run(collection->store->transport, ops, n);
    for (i = 0; good && i < n && !is_enough(collection); i++) {
        if (ops[i].result != 0 && ops[i].result != ENOENT && ops[i].result != ENOTDIR)
            good = throw_result(error, ops[i].result, _("cannot list the slices in '%s'"),
                                ops[i].path);
        if (good)
            pick(collection, &ops[i], paths);
        if (good && (paths->len >= BATCH || i + 1 == n))
            good = flush(collection, paths, error);
        collection->prefix = from + i + 1;
    }
    vimg_transport_clear_ops(ops, n, FALSE);
    free_ops(ops, n);
    return good;
}

gboolean
vimg_condemn(VimgCollection *collection, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(collection->store->transport, VIMG_SLICES_DIR, &names);

    if (result != 0)
        return throw_result(error, result, _("cannot list the slices in '%s'"), VIMG_SLICES_DIR);
    vimg_transport_sort(names);
    collection->report.waiting = 0;
    while (collection->prefix < names->len && !is_enough(collection)) {
        guint n =
            MIN(is_tight(collection) ? LISTED_TIGHT : LISTED, names->len - collection->prefix);

        vimg_collect_progress(collection, "condemning", collection->prefix, names->len);
        if (!visit_prefixes(collection, names, n, error))
            return FALSE;
    }
    collection->more = collection->prefix < names->len;
    return TRUE;
}

/* ---- sweeping --------------------------------------------------------------------------- */

/* The @n of @names from @from on; @prefixes gets the directories they come to. */
static int
put_some_back(VimgTransport *transport, const char *dir, const GPtrArray *names, guint from,
              guint n, GHashTable *prefixes)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    g_autofree VimgSliceId *ids = g_new0(VimgSliceId, n);
    int result = 0;
    guint count = 0;
    guint i;

    for (i = from; i < from + n; i++) {
        if (!vimg_slice_parse(names->pdata[i], &ids[count]))
            continue;
        ops[count] = (VimgOp){.kind = VIMG_OP_RENAME,
                              .path = condemned_path(dir, names->pdata[i]),
                              .to = vimg_slice_path(&ids[count])};
        g_hash_table_add(prefixes, vimg_slice_dir(&ids[count++]));
    }
    vimg_transport_run(transport, ops, count);
    for (i = 0; result == 0 && i < count; i++) {
        result = ops[i].result == 0 ? 0 : vimg_slice_put(transport, ops[i].path, &ids[i]);
        /* a publisher that needs it was faster */
        if (result == ENOENT)
            result = 0;
    }
    vimg_transport_clear_ops(ops, count, TRUE);
    return result;
}

/* Durably, before the directory they were in goes. */
static int
put_all_back(VimgTransport *transport, const char *dir, const GPtrArray *names)
{
    g_autoptr(GHashTable) prefixes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree gpointer *paths = NULL;
    int result = 0;
    guint n;
    guint i;

    for (i = 0; result == 0 && i < names->len; i += BATCH)
        result = put_some_back(transport, dir, names, i, MIN(BATCH, names->len - i), prefixes);
    if (result == 0)
        result = vimg_transport_sync_all(transport);
    if (result != ENOSYS)
        return result;
    paths = g_hash_table_get_keys_as_array(prefixes, &n);
    return vimg_transport_sync_files(transport, (char *const *)paths, n);
}

static int
unlink_batch(VimgCollection *collection, const char *dir, const GPtrArray *names, guint from,
             guint n)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, 2 * n);
    VimgTally *tally = &collection->report.slices;
    int result = 0;
    guint i;

    for (i = 0; i < n; i++) {
        char *path = condemned_path(dir, g_ptr_array_index(names, from + i));

        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = path};
        ops[n + i] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = path};
    }
    vimg_transport_run(collection->store->transport, ops, n);
    vimg_transport_run(collection->store->transport, ops + n, n);
    for (i = 0; i < n; i++) {
        g_free((char *)ops[i].path);
        if (ops[n + i].result == 0) {
            tally->count++;
            tally->bytes += ops[i].info.size;
        } else if (ops[n + i].result != ENOENT && result == 0) {
            result = ops[n + i].result;
        }
    }
    return result;
}

/* Names of condemned slices of the run in @dir: those that are @needed now, or the others. */
static int
list_condemned(VimgCollection *collection, const char *dir, gboolean needed, GPtrArray **out)
{
    g_autofree char *condemned = g_strconcat(dir, "/" VIMG_GC_CONDEMNED, NULL);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(collection->store->transport, condemned, &names);
    guint i;

    *out = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; result == 0 && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        VimgSliceId id;

        if (vimg_slice_parse(name, &id) && vimg_marks_has(collection->roots.marks, &id) == needed)
            g_ptr_array_add(*out, g_strdup(name));
    }
    return result == ENOENT ? 0 : result;
}

gboolean
vimg_put_back(VimgCollection *collection, const char *dir, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = list_condemned(collection, dir, TRUE, &names);

    if (result == 0 && names->len > 0) {
        result = put_all_back(collection->store->transport, dir, names);
        collection->report.restored += names->len;
    }
    if (result != 0)
        return throw_result(error, result, _("cannot put slices back"));
    return TRUE;
}

gboolean
vimg_sweep(VimgCollection *collection, const char *dir, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = list_condemned(collection, dir, FALSE, &names);
    guint i;

    for (i = 0; result == 0 && i < names->len; i += BATCH) {
        if (!vimg_collect_go_on(collection, error))
            return FALSE;
        vimg_collect_progress(collection, "sweeping", i, names->len);
        result = unlink_batch(collection, dir, names, i, MIN(BATCH, names->len - i));
    }
    if (result != 0)
        return throw_result(error, result, _("cannot free slices"));
    return TRUE;
}

guint64
vimg_count_condemned(VimgCollection *collection, const char *dir)
{
    g_autofree char *condemned = g_strconcat(dir, "/" VIMG_GC_CONDEMNED, NULL);
    g_autoptr(GPtrArray) names = NULL;

    return vimg_transport_list(collection->store->transport, condemned, &names) == 0 ? names->len
                                                                                     : 0;
}
