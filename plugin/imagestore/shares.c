/*
 * shares.c: who needs which slices, and how many bytes they take
 *
 * Users come one after the other, so a slice remembers the last one only: whoever finds another
 * there shares it with that one, and moves its bytes to what is shared unless they are there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "gc-lock.h"
#include "shares.h"
#include "slice.h"
#include "slots.h"
#include "throw.h"

#define BATCH 4096
#define LISTED 512      /* directories at once */
#define ASK_EVERY 65536 /* slices between two looks at the job */

#define SHARED ((guint32)1 << 31)
#define KEPT ((guint32)1 << 30) /* somebody who is not deleted needs it */
#define LAST (KEPT - 1)         /* the last user's number, from 1 on; 0: nobody needs it */

typedef struct {
    guint64 key;
    guint32 size;
    guint32 users;
} Slot;

struct _VimgShares {
    VimgSliceStore *store;
    VimgPluginJob *job;
    GArray *users; /* of VimgShare; the last one's indexes come now */
    gboolean deleted;
    guint64 plain; /* bytes of all that anybody needs, each once */
    VimgSlots *slots;
};

/* ---- what is known ---------------------------------------------------------------------- */

static void
learn(VimgShares *shares, const VimgSliceId *id, guint64 size)
{
    Slot *slot = vimg_slots_add(shares->slots, id);

    slot->size = (guint32)MIN(size, G_MAXUINT32); /* no slice is so long */
}

VimgShares *
vimg_shares_new(VimgSliceStore *store, VimgPluginJob *job)
{
    VimgShares *shares = g_new0(VimgShares, 1);

    shares->store = store;
    shares->job = job;
    shares->users = g_array_new(FALSE, TRUE, sizeof(VimgShare));
    shares->slots = vimg_slots_new(sizeof(Slot));
    return shares;
}

void
vimg_shares_free(VimgShares *shares)
{
    if (!shares)
        return;
    vimg_slots_free(shares->slots);
    g_array_unref(shares->users);
    g_free(shares);
}

/* ---- sizes ------------------------------------------------------------------------------ */

/* Looks @n slices up in their places; those that are gone have no size. */
static gboolean
measure(VimgShares *shares, const VimgSliceId *ids, gsize n, GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    int result = 0;
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_slice_path(&ids[i])};
    vimg_transport_run(shares->store->transport, ops, n);
    for (i = 0; i < n; i++) {
        g_free((char *)ops[i].path);
        if (ops[i].result == 0 || ops[i].result == ENOENT)
            learn(shares, &ids[i], ops[i].result == 0 ? ops[i].info.size : 0);
        else
            result = ops[i].result;
    }
    if (result != 0)
        return throw_result(error, result, _("cannot look up slices"));
    return vimg_slice_store_check_job(shares->job, error);
}

/* All slices in @dirs, each that of a prefix or with condemned ones; they may be gone. */
static gboolean
list(VimgShares *shares, const char *const *dirs, gsize n, GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gboolean good = TRUE;
    gsize i;
    guint k;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST, .path = dirs[i]};
    vimg_transport_list_detailed(shares->store->transport, ops, n);
    for (i = 0; good && i < n; i++) {
        int result = ops[i].result;

        if (result != 0 && result != ENOENT && result != ENOTDIR)
            good = throw_result(error, result, _("cannot list the slices in '%s'"), dirs[i]);
        for (k = 0; result == 0 && k < ops[i].names->len; k++) {
            VimgSliceId id;

            if (vimg_slice_parse(ops[i].names->pdata[k], &id) && !vimg_id_is_zero(&id))
                learn(shares, &id, g_array_index(ops[i].infos, VimgFileInfo, k).size);
        }
    }
    vimg_transport_clear_ops(ops, n, FALSE);
    return good && vimg_slice_store_check_job(shares->job, error);
}

typedef struct {
    VimgShares *shares;
    GError *error;
} Condemned;

static gboolean
list_condemned(VimgTransport *transport, const char *path, gpointer data)
{
    Condemned *condemned = data;

    return !list(condemned->shares, &path, 1, &condemned->error);
}

gboolean
vimg_shares_list(VimgShares *shares, GError **error)
{
    VimgTransport *transport = shares->store->transport;
    Condemned condemned = {.shares = shares};
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    int result;
    guint i;

    if (vimg_gc_each(transport, VIMG_GC_CONDEMNED, list_condemned, &condemned)) {
        g_propagate_error(error, condemned.error);
        return FALSE;
    }
    result = vimg_transport_list(transport, VIMG_SLICES_DIR, &names);
    if (result != 0)
        return throw_result(error, result, _("cannot list the slices"));
    vimg_transport_sort(names);
    for (i = 0; i < names->len; i++) {
        guint prefix;

        if (vimg_slice_parse_prefix(names->pdata[i], &prefix))
            g_ptr_array_add(dirs, g_strconcat(VIMG_SLICES_DIR "/", names->pdata[i], NULL));
    }
    for (i = 0; i < dirs->len; i += LISTED) {
        vimg_slice_store_progress(shares->job, "listing slices", i, dirs->len);
        if (!list(shares, (const char *const *)dirs->pdata + i, MIN(LISTED, dirs->len - i), error))
            return FALSE;
    }
    return TRUE;
}

/* Of those that @index names: what came since the listing, or was not listed at all. */
static gboolean
learn_rest(VimgShares *shares, const VimgIndex *index, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    gsize n = vimg_index_count(index);
    gsize i;

    for (i = 0; i < n; i++) {
        if (i % ASK_EVERY == 0 && !vimg_slice_store_check_job(shares->job, error))
            return FALSE;
        if (!vimg_index_is_zero(index, i) &&
            !vimg_slots_find(shares->slots, vimg_index_id(index, i)))
            g_array_append_vals(ids, vimg_index_id(index, i), 1);
        if (ids->len < BATCH && i + 1 < n)
            continue;
        if (!measure(shares, (const VimgSliceId *)(gpointer)ids->data, ids->len, error))
            return FALSE;
        g_array_set_size(ids, 0);
    }
    return TRUE;
}

/* ---- users ------------------------------------------------------------------------------ */

guint
vimg_shares_begin(VimgShares *shares, gboolean deleted)
{
    g_array_set_size(shares->users, shares->users->len + 1);
    shares->deleted = deleted;
    return shares->users->len - 1;
}

static VimgShare *
share_of(const VimgShares *shares, guint32 number)
{
    return &g_array_index(shares->users, VimgShare, number - 1);
}

/* @length: of the slice, not compressed */
static void
use(VimgShares *shares, Slot *slot, guint64 length)
{
    guint32 number = shares->users->len;
    guint32 last = slot->users & LAST;

    if (!shares->deleted)
        slot->users |= KEPT;
    if (last == number)
        return;
    if (last == 0) {
        share_of(shares, number)->unique += slot->size;
        shares->plain += length;
    } else {
        if (!(slot->users & SHARED)) {
            share_of(shares, last)->unique -= slot->size;
            share_of(shares, last)->shared += slot->size;
        }
        share_of(shares, number)->shared += slot->size;
        slot->users |= SHARED;
    }
    slot->users = (slot->users & ~LAST) | number;
}

gboolean
vimg_shares_add(VimgShares *shares, const VimgIndex *index, GError **error)
{
    gsize n = vimg_index_count(index);
    gsize i;

    if (!learn_rest(shares, index, error))
        return FALSE;
    for (i = 0; i < n; i++) {
        if (i % ASK_EVERY == 0 && !vimg_slice_store_check_job(shares->job, error))
            return FALSE;
        if (!vimg_index_is_zero(index, i))
            use(shares, vimg_slots_find(shares->slots, vimg_index_id(index, i)),
                vimg_index_end(index, i) - vimg_index_start(index, i));
    }
    return TRUE;
}

/* ---- sums ------------------------------------------------------------------------------- */

VimgShare
vimg_shares_get(const VimgShares *shares, guint user)
{
    return g_array_index(shares->users, VimgShare, user);
}

static void
sum_up(gconstpointer data, gpointer totals)
{
    const Slot *slot = data;
    VimgShareTotals *out = totals;

    if (!(slot->users & LAST)) {
        out->orphans += slot->size;
        return;
    }
    out->stored += slot->size;
    out->shared += slot->users & SHARED ? slot->size : 0;
    out->deleted += slot->users & KEPT ? 0 : slot->size;
}

void
vimg_shares_sum_up(const VimgShares *shares, VimgShareTotals *out)
{
    *out = (VimgShareTotals){.plain = shares->plain};
    vimg_slots_each(shares->slots, sum_up, out);
}

gsize
vimg_shares_count(const VimgShares *shares)
{
    return vimg_slots_count(shares->slots);
}

gsize
vimg_shares_memory(const VimgShares *shares)
{
    return sizeof(*shares) + vimg_slots_memory(shares->slots);
}
