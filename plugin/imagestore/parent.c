/*
 * parent.c: which image a new one was made from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "parent.h"
#include "thread.h"

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

/* Those of @uuids that clients can see still, but for what is too long.  Returns: (transfer full)
 * READs of their indexes. */
static GArray *
find_there(VimgSliceStore *store, const GPtrArray *uuids, GPtrArray *there)
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
        g_array_append_val(ops, op);
        g_ptr_array_add(there, (gpointer)look->uuid);
    }
    return ops;
}

/* The one of @uuids that holds most of what @shares are of, and a tenth at least; or NULL. */
static const char *
find_most(VimgSliceStore *store, const GPtrArray *uuids, GHashTable *shares, guint64 total)
{
    g_autoptr(GPtrArray) there = g_ptr_array_new();
    g_autoptr(GArray) reads = find_there(store, uuids, there);
    VimgOp *ops = (VimgOp *)(gpointer)reads->data;
    const char *parent = NULL;
    guint64 most = total / 10;
    gsize n = 0;
    gsize i;

    if (reads->len > 0)
        n = vimg_transport_read_some(store->transport, ops, reads->len, READ_MAX);
    for (i = 0; i < n; i++) {
        guint64 held = ops[i].result == 0 ? held_by(ops[i].content, shares, i + 1) : 0;

        if (held > most) {
            most = held;
            parent = there->pdata[i];
        }
        vimg_buffer_unref(ops[i].content);
    }
    vimg_transport_clear_ops(ops, reads->len, TRUE);
    return parent;
}

char *
vimg_parent_find(VimgSliceStore *store, const VimgIndex *index)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    g_autoptr(GHashTable) shares = NULL;
    VimgRecent recent[VIMG_RECENT];
    guint64 total;
    gsize i;

    {
        LOCK_GUARD(&store->lock);

        memcpy(recent, store->recent, sizeof(recent));
    }
    for (i = 0; i < VIMG_RECENT && recent[i].uuid[0]; i++)
        g_ptr_array_add(uuids, recent[i].uuid);
    if (uuids->len == 0)
        return NULL;
    shares = collect(index, &total);
    return total > 0 ? g_strdup(find_most(store, uuids, shares, total)) : NULL;
}
