/*
 * parent.c: which image a new one was made from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"
#include "image.h"
#include "parent.h"
#include "../thread.h"

/* Bytes of indexes that are read for one image: what is longer or behind that is nobody's parent.
 */
#define READ_MAX ((gsize)64 * 1024 * 1024)
#define SAMPLES 65536 /* slices of the new image that are looked for, about */

/* ---- the images stored last ------------------------------------------------------------- */

/* The lock is held. */
static void
drop(VimgSliceStore *store, const char *uuid)
{
    VimgRecent *recent = store->recent;
    gsize i = 0;

    while (i < VIMG_RECENT && strcmp(recent[i].uuid, uuid) != 0)
        i++;
    if (i == VIMG_RECENT)
        return;
    memmove(recent + i, recent + i + 1, (VIMG_RECENT - 1 - i) * sizeof(*recent));
    recent[VIMG_RECENT - 1] = (VimgRecent){0};
}

void
vimg_parent_note(VimgSliceStore *store, const char *uuid, gint64 stored)
{
    VimgRecent *recent = store->recent;
    gsize i = 0;
    LOCK_GUARD(&store->lock);

    drop(store, uuid);
    while (i < VIMG_RECENT && recent[i].uuid[0] && recent[i].stored >= stored)
        i++;
    if (i == VIMG_RECENT)
        return;
    memmove(recent + i + 1, recent + i, (VIMG_RECENT - 1 - i) * sizeof(*recent));
    recent[i].stored = stored;
    g_strlcpy(recent[i].uuid, uuid, sizeof(recent[i].uuid));
}

void
vimg_parent_note_new(VimgSliceStore *store, const char *uuid)
{
    gint64 stored;

    {
        LOCK_GUARD(&store->lock);

        stored = store->recent[0].stored + 1;
    }
    vimg_parent_note(store, uuid, stored);
}

void
vimg_parent_forget(VimgSliceStore *store, const char *uuid)
{
    LOCK_GUARD(&store->lock);

    drop(store, uuid);
}

/* ---- comparing -------------------------------------------------------------------------- */

typedef struct {
    guint64 bytes; /* of the new image that have this id */
    gsize seen;    /* the last image that holds it, counted from 1 */
} Share;

/* What the new image is made of, zeros aside, or a sample of it: id (borrowed) to Share. */
static GHashTable *
collect(const VimgIndex *index, guint64 *total)
{
    GHashTable *shares = g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, NULL, g_free);
    guint every = (guint)(vimg_index_count(index) / SAMPLES) + 1;
    gsize i;

    *total = 0;
    for (i = 0; i < vimg_index_count(index); i++) {
        VimgSliceId *id = (VimgSliceId *)vimg_index_id(index, i);
        guint64 length = vimg_index_end(index, i) - vimg_index_start(index, i);
        Share *share;

        if (vimg_id_hash(id) % every != 0 || vimg_index_is_zero(index, i))
            continue;
        share = g_hash_table_lookup(shares, id);
        if (!share) {
            share = g_new0(Share, 1);
            g_hash_table_insert(shares, id, share);
        }
        share->bytes += length;
        *total += length;
    }
    return shares;
}

/* Bytes of the new image that @content, an index, names too; @number is this look's own. */
static guint64
held_by(const VimgBuffer *content, GHashTable *shares, gsize number)
{
    g_autoptr(VimgIndex) index = vimg_index_decode(content->data, content->size, NULL);
    guint64 sum = 0;
    gsize i;

    for (i = 0; index && i < vimg_index_count(index); i++) {
        Share *share = g_hash_table_lookup(shares, vimg_index_id(index, i));

        if (!share || share->seen == number)
            continue;
        share->seen = number;
        sum += share->bytes;
    }
    return sum;
}

/* Those of @uuids that clients can see still, but for what is too long.  @infos: of
 * their indexes.  Returns: (transfer full) READs of these. */
static GArray *
find_there(VimgSliceStore *store, const GPtrArray *uuids, GPtrArray *there, VimgFileInfo *infos)
{
    g_autoptr(GArray) looks = vimg_image_look_some(store, uuids, 0, uuids->len);
    GArray *ops = g_array_new(FALSE, FALSE, sizeof(VimgOp));
    guint i;

    for (i = 0; i < looks->len; i++) {
        const VimgImageLook *look = &g_array_index(looks, VimgImageLook, i);
        VimgOp op = {.kind = VIMG_OP_READ, .size = look->stored.index_size};

        if (look->result != 0 || !vimg_image_is_present(&look->stored)) {
            vimg_parent_forget(store, look->uuid);
            continue;
        }
        if (op.size > READ_MAX)
            continue;
        op.path = vimg_image_path(look->uuid, VIMG_IMAGE_INDEX);
        op.seen = &infos[ops->len];
        infos[ops->len] =
            (VimgFileInfo){.size = look->stored.index_size, .mtime = look->stored.stored};
        g_array_append_val(ops, op);
        g_ptr_array_add(there, (gpointer)look->uuid);
    }
    return ops;
}

/* Begun when an upload ends, so that it need not be waited for when all is stored. */
struct _VimgParents {
    VimgSliceStore *store;
    VimgAside aside;
    VimgRecent recent[VIMG_RECENT];
    GPtrArray *there; /* uuids of those that clients can see */
    GArray *reads;    /* of VimgOp, of their indexes */
    VimgFileInfo infos[VIMG_RECENT];
    gsize read; /* the first so many have an answer */
};

static void
read_all(gpointer data)
{
    VimgParents *parents = data;
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    gsize i;

    for (i = 0; i < VIMG_RECENT && parents->recent[i].uuid[0]; i++)
        g_ptr_array_add(uuids, parents->recent[i].uuid);
    if (uuids->len == 0)
        return;
    parents->there = g_ptr_array_new();
    parents->reads = find_there(parents->store, uuids, parents->there, parents->infos);
    if (parents->reads->len > 0)
        parents->read = vimg_transport_read_some(parents->store->transport,
                                                 (VimgOp *)(gpointer)parents->reads->data,
                                                 parents->reads->len, READ_MAX);
}

VimgParents *
vimg_parents_new(VimgSliceStore *store)
{
    VimgParents *parents = g_new0(VimgParents, 1);

    parents->store = store;
    {
        LOCK_GUARD(&store->lock);

        memcpy(parents->recent, store->recent, sizeof(parents->recent));
    }
    vimg_aside_begin(&parents->aside, store->transport, read_all, parents);
    return parents;
}

/* The one that holds most of what @shares are of, and a tenth at least; or NULL. */
static const char *
find_most(const VimgParents *parents, GHashTable *shares, guint64 total)
{
    const char *parent = NULL;
    guint64 most = total / 10;
    gsize i;

    for (i = 0; i < parents->read; i++) {
        const VimgOp *op = &g_array_index(parents->reads, VimgOp, i);
        guint64 held = op->result == 0 ? held_by(op->content, shares, i + 1) : 0;

        if (held > most) {
            most = held;
            parent = parents->there->pdata[i];
        }
    }
    return parent;
}

char *
vimg_parents_find(VimgParents *parents, const VimgIndex *index)
{
    g_autoptr(GHashTable) shares = NULL;
    guint64 total;

    vimg_aside_end(&parents->aside);
    if (parents->read == 0)
        return NULL;
    shares = collect(index, &total);
    return total > 0 ? g_strdup(find_most(parents, shares, total)) : NULL;
}

void
vimg_parents_free(VimgParents *parents)
{
    gsize i;

    if (!parents)
        return;
    vimg_aside_drop(&parents->aside);
    for (i = 0; i < parents->read; i++)
        vimg_buffer_unref(g_array_index(parents->reads, VimgOp, i).content);
    if (parents->reads) {
        vimg_transport_clear_ops((VimgOp *)(gpointer)parents->reads->data, parents->reads->len,
                                 TRUE);
        g_array_unref(parents->reads);
        g_ptr_array_unref(parents->there);
    }
    g_free(parents);
}

char *
vimg_parent_find(VimgSliceStore *store, const VimgIndex *index)
{
    g_autoptr(VimgParents) parents = vimg_parents_new(store);

    return vimg_parents_find(parents, index);
}
