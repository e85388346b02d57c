/*
 * publish.c: bringing slices and indexes from a lease into their places
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "publish.h"
#include "slice.h"
#include "../throw.h"

#define STAGED_PARTIAL "partial"

/* ---- durability ------------------------------------------------------------------------- */

/*
 * The prefix directories of the slices of @index from @from on, and the one that holds them; with
 * these, in the same trips, @with is run unless it is NULL.  Also of slices that other images name:
 * lost once and stored anew by an upload that was killed, they need not be durable.
 */
static int
sync_prefixes(VimgTransport *transport, const VimgIndex *index, gsize from, VimgOp *with)
{
    g_autofree guint8 *seen = g_new0(guint8, 65536);
    g_autoptr(GArray) ops = g_array_new(FALSE, FALSE, sizeof(VimgOp));
    VimgOp top = {.kind = VIMG_OP_SYNC, .path = g_strdup(VIMG_SLICES_DIR)};
    int result = 0;
    gsize i;

    for (i = from; i < vimg_index_count(index); i++) {
        const VimgSliceId *id = vimg_index_id(index, i);
        VimgOp op = {.kind = VIMG_OP_SYNC};

        if (seen[vimg_slice_prefix(id)])
            continue;
        seen[vimg_slice_prefix(id)] = TRUE;
        op.path = vimg_slice_dir(id);
        g_array_append_val(ops, op);
    }
    g_array_append_val(ops, top);
    if (with)
        g_array_append_val(ops, *with);
    vimg_transport_run(transport, (VimgOp *)(gpointer)ops->data, ops->len);
    if (with) {
        *with = g_array_index(ops, VimgOp, ops->len - 1);
        g_array_set_size(ops, ops->len - 1);
    }
    for (i = 0; result == 0 && i < ops->len; i++)
        result = g_array_index(ops, VimgOp, i).result;
    vimg_transport_clear_ops((VimgOp *)(gpointer)ops->data, ops->len, TRUE);
    return result;
}

/* The same, and then where collectors put what they take from there: not lost on both sides. */
static int
sync_slices(VimgTransport *transport, const VimgIndex *index, gsize from)
{
    int result = sync_prefixes(transport, index, from, NULL);

    return result ? result : vimg_slice_sync_condemned(transport);
}

/* Whether what is staged is durable already: it was created so, as that takes no trip more there.
 */
static gboolean
is_durable(const VimgLease *lease)
{
    return lease->store->transport->remote;
}

/* Makes durable the files @paths that are staged, and, with @index, where its slices lie. */
static gboolean
sync_staged(VimgLease *lease, char *const *paths, gsize n, const VimgIndex *index, gsize from,
            GError **error)
{
    VimgTransport *transport = lease->store->transport;
    int result = vimg_transport_sync_all(transport);

    if (result == ENOSYS) {
        result = vimg_transport_sync_files(transport, paths, n);
        if (result == 0 && index)
            result = sync_slices(transport, index, from);
    }
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (result != 0)
        return throw_result(error, result, _("cannot make the data durable"));
    return TRUE;
}

gboolean
vimg_publish_sync(VimgSliceStore *store, const VimgIndex *index, GError **error)
{
    int result = vimg_transport_sync_all(store->transport);

    if (result == ENOSYS)
        result = sync_slices(store->transport, index, 0);
    if (result != 0)
        return throw_result(error, result, _("cannot make the data durable"));
    return TRUE;
}

/* ---- slices ----------------------------------------------------------------------------- */

char *
vimg_publish_staged_path(const VimgLease *lease, const VimgStagedSlice *slice)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(&slice->id, hex);
    return g_strdup_printf("%s/%s.%" G_GUINT64_FORMAT, lease->dir, hex, slice->number);
}

static gboolean
prefix_known(const VimgSliceStore *store, guint prefix)
{
    return (__atomic_load_n(&store->prefixes[prefix / 32], __ATOMIC_RELAXED) >> (prefix % 32)) & 1;
}

static void
prefix_set(VimgSliceStore *store, guint prefix)
{
    __atomic_or_fetch(&store->prefixes[prefix / 32], (guint32)1 << (prefix % 32), __ATOMIC_RELAXED);
}

static int
make_prefix(VimgSliceStore *store, const VimgSliceId *id)
{
    g_autofree char *dir = vimg_slice_dir(id);
    int result = vimg_transport_mkdir(store->transport, dir);

    if (result != 0 && result != EEXIST)
        return result;
    prefix_set(store, vimg_slice_prefix(id));
    return 0;
}

gboolean
vimg_publish_prefix_op(const VimgSliceStore *store, const VimgSliceId *id, VimgOp *out)
{
    if (prefix_known(store, vimg_slice_prefix(id)))
        return FALSE;
    *out = (VimgOp){.kind = VIMG_OP_MKDIR, .path = vimg_slice_dir(id)};
    return TRUE;
}

int
vimg_publish_prefix_done(VimgSliceStore *store, const VimgOp *op)
{
    guint prefix;

    if (op->result != 0 && op->result != EEXIST)
        return op->result;
    if (vimg_slice_parse_prefix(strrchr(op->path, '/') + 1, &prefix))
        prefix_set(store, prefix);
    return 0;
}

/* Those of @slices that are not known to exist. */
static int
make_prefixes(VimgSliceStore *store, const VimgStagedSlice *slices, gsize n)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gsize count = 0;
    int result = 0;
    gsize i;

    for (i = 0; i < n; i++) {
        guint prefix = vimg_slice_prefix(&slices[i].id);

        if (g_hash_table_add(seen, GUINT_TO_POINTER(prefix)))
            count += vimg_publish_prefix_op(store, &slices[i].id, &ops[count]);
    }
    vimg_transport_run(store->transport, ops, count);
    for (i = 0; i < count; i++) {
        int made = vimg_publish_prefix_done(store, &ops[i]);

        result = made ? made : result;
    }
    vimg_transport_clear_ops(ops, count, TRUE);
    return result;
}

/* One slice whose rename answered @result: what is there already may be as good. */
static int
settle_rename(VimgSliceStore *store, const VimgSliceId *id, const VimgOp *op, int result)
{
    /* somebody removed the prefix directory, or the lease is gone */
    if (result == ENOENT)
        result = make_prefix(store, id);
    if (result != 0 && result != EEXIST)
        return result;
    return vimg_slice_put(store->transport, op->path, id);
}

/* Another host stores the same: what it moved there is as good, so ours goes.  Rests on its size.
 */
static void
drop_stored(VimgTransport *transport, VimgOp *renames, gsize n)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    g_autofree VimgOp **there = g_new0(VimgOp *, n);
    gsize count = 0;
    gsize good = 0;
    gsize i;

    for (i = 0; i < n; i++) {
        if (renames[i].result != EEXIST)
            continue;
        there[count] = &renames[i];
        ops[count++] = (VimgOp){.kind = VIMG_OP_STAT, .path = renames[i].to};
    }
    vimg_transport_run(transport, ops, count);
    for (i = 0; i < count; i++) {
        if (ops[i].result != 0 || ops[i].info.size == 0)
            continue;
        there[good] = there[i];
        ops[good++] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = there[i]->path};
    }
    vimg_transport_run(transport, ops, good);
    for (i = 0; i < good; i++)
        there[i]->result = ops[i].result;
}

static gboolean
move_batch(VimgLease *lease, const VimgStagedSlice *slices, gsize n, GError **error)
{
    VimgSliceStore *store = lease->store;
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    int result = make_prefixes(store, slices, n);
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_RENAME,
                          .path = vimg_publish_staged_path(lease, &slices[i]),
                          .to = vimg_slice_path(&slices[i].id)};
    if (result == 0) {
        vimg_transport_run(store->transport, ops, n);
        drop_stored(store->transport, ops, n);
    }
    for (i = 0; result == 0 && i < n; i++) {
        if (ops[i].result != 0)
            result = settle_rename(store, &slices[i].id, &ops[i], ops[i].result);
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (result != 0)
        return throw_result(error, result, _("cannot store slices"));
    return TRUE;
}

gboolean
vimg_publish_slices(VimgLease *lease, const GArray *slices, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    const VimgStagedSlice *all = (const VimgStagedSlice *)(gpointer)slices->data;
    gsize i;

    if (slices->len == 0)
        return TRUE;
    for (i = 0; i < slices->len; i++)
        g_ptr_array_add(paths, vimg_publish_staged_path(lease, &all[i]));
    if (!is_durable(lease) &&
        !sync_staged(lease, (char *const *)paths->pdata, paths->len, NULL, 0, error))
        return FALSE;
    for (i = 0; i < slices->len; i += VIMG_PUBLISH_BATCH) {
        if (!move_batch(lease, all + i, MIN(VIMG_PUBLISH_BATCH, slices->len - i), error))
            return FALSE;
    }
    return TRUE;
}

/* ---- the last look before publishing ---------------------------------------------------- */

static gboolean
check_one(VimgSliceStore *store, const VimgSliceId *id, VimgOp *op, GError **error)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    if (op->result == ENOENT && vimg_slice_rescue(store->transport, id))
        op->result = vimg_transport_stat(store->transport, op->path, &op->info);
    if (op->result == ENOENT || (op->result == 0 && op->info.size == 0))
        return throw_error(error, VIMG_ERROR_DAMAGED, _("slice %1$s is damaged: %2$s"), hex,
                           _("it is missing"));
    if (op->result != 0)
        return throw_result(error, op->result, _("cannot look up slice %s"), hex);
    return TRUE;
}

static gboolean
check_batch(VimgSliceStore *store, GPtrArray *ids, VimgPluginJob *job, guint64 *bytes,
            GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, ids->len);
    gboolean good = TRUE;
    gsize i;

    if (!vimg_slice_store_check_job(job, error))
        return FALSE;
    for (i = 0; i < ids->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_slice_path(ids->pdata[i])};
    vimg_transport_run(store->transport, ops, ids->len);
    for (i = 0; good && i < ids->len; i++) {
        good = check_one(store, ids->pdata[i], &ops[i], error);
        /* the zero slices belong to the store, not to the image */
        if (!vimg_id_is_zero(ids->pdata[i]))
            *bytes += ops[i].info.size;
    }
    vimg_transport_clear_ops(ops, ids->len, TRUE);
    g_ptr_array_set_size(ids, 0);
    return good;
}

gboolean
vimg_publish_check(VimgSliceStore *store, const VimgIndex *index, VimgPluginJob *job,
                   guint64 *allocation, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(vimg_id_hash, vimg_id_equal_func);
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    gsize n = vimg_index_count(index);
    gsize i;

    *allocation = 0;
    for (i = 0; i < n; i++) {
        VimgSliceId *id = (VimgSliceId *)vimg_index_id(index, i);

        if (!g_hash_table_add(seen, id))
            continue;
        g_ptr_array_add(ids, id);
        if (ids->len >= VIMG_PUBLISH_BATCH && !check_batch(store, ids, job, allocation, error))
            return FALSE;
    }
    return check_batch(store, ids, job, allocation, error);
}

/* ---- indexes ---------------------------------------------------------------------------- */

/*
 * @index into the lease.  With @durable that is made durable, and where the slices from @from on
 * lie; far away both at once.
 */
static gboolean
write_index(VimgLease *lease, VimgOp *op, const VimgIndex *index, gsize from, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    int result = 0;

    if (op->durable)
        result = sync_prefixes(transport, index, from, op);
    else
        vimg_transport_run(transport, op, 1);
    if (op->result == EEXIST) { /* of an attempt that failed */
        vimg_transport_unlink(transport, op->path);
        vimg_transport_run(transport, op, 1);
    }
    if (op->result == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (op->result != 0)
        return throw_result(error, op->result, _("cannot write the index"));
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (result != 0)
        return throw_result(error, result, _("cannot make the data durable"));
    return TRUE;
}

gboolean
vimg_publish_stage_index(VimgLease *lease, char *path, const VimgIndex *index,
                         const VimgBuffer *content, gsize from, GError **error)
{
    VimgOp op = {
        .kind = VIMG_OP_CREATE,
        .path = path,
        .data = content->data,
        .size = content->size,
        .sealed = TRUE,
        .durable = is_durable(lease),
    };

    return write_index(lease, &op, index, from, error) &&
           (op.durable || sync_staged(lease, &path, 1, index, from, error));
}

void
vimg_publish_remove_partials(VimgTransport *transport, const char *uuid, guint64 limit)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    g_autofree VimgOp *ops = NULL;
    gsize count = 0;
    guint i;

    if (vimg_transport_list(transport, dir, &names) != 0)
        return;
    ops = g_new0(VimgOp, names->len);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        guint64 n;

        if (vimg_manifest_number(name, VIMG_IMAGE_PARTIAL, "", &n) && n < limit)
            ops[count++] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = vimg_image_path(uuid, name)};
    }
    vimg_transport_run(transport, ops, count);
    vimg_transport_clear_ops(ops, count, TRUE);
}

gboolean
vimg_publish_sync_condemned(VimgLease *lease, GError **error)
{
    int result = is_durable(lease) ? vimg_slice_sync_condemned(lease->store->transport) : 0;

    return result == 0 || throw_result(error, result, _("cannot make the data durable"));
}

gboolean
vimg_publish_throw_missing(const VimgLease *lease, const char *uuid, GError **error)
{
    return vimg_lease_check(lease, error) &&
           throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
}

/* One that this lease published before is known; else there may be any. */
static void
replace_partial(VimgLease *lease, const char *uuid, guint64 length)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *before = vimg_image_partial_path(uuid, lease->partial);

    if (lease->partial == 0)
        vimg_publish_remove_partials(transport, uuid, length);
    else if (lease->partial < length)
        vimg_transport_unlink(transport, before);
    lease->partial = length;
}

gboolean
vimg_publish_partial(VimgLease *lease, const char *uuid, const VimgIndex *index, gsize from,
                     GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *staged = vimg_lease_path(lease, STAGED_PARTIAL);
    g_autofree char *place = vimg_image_partial_path(uuid, vimg_index_length(index));
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(VimgBuffer) content = vimg_index_encode(index);
    int synced;
    int result;

    if (!vimg_publish_stage_index(lease, staged, index, content, from, error) ||
        !vimg_publish_sync_condemned(lease, error))
        return FALSE;
    result = vimg_transport_publish_durable(transport, staged, place, dir, &synced);
    if (result == ENOENT)
        return vimg_publish_throw_missing(lease, uuid, error);
    if (result == 0)
        result = synced;
    if (result != 0)
        return throw_result(error, result, _("cannot write the index"));
    replace_partial(lease, uuid, vimg_index_length(index));
    return TRUE;
}
