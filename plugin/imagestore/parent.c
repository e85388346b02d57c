/*
 * parent.c: which image a new one was made from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "parent.h"
#include "thread.h"

/* Bytes of indexes that are read for one image: what is behind that is nobody's parent. */
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

/* Bytes of the new image that the index of @uuid holds too; @number is this look's own. */
static guint64
held_by(VimgSliceStore *store, const char *uuid, GHashTable *shares, gsize number, gsize *budget)
{
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgIndex) index = NULL;
    guint64 sum = 0;
    gsize i;

    if (vimg_transport_read(store->transport, path, *budget, &content) != 0)
        return 0;
    *budget -= content->size;
    index = vimg_index_decode(content->data, content->size, NULL);
    for (i = 0; index && i < vimg_index_count(index); i++) {
        Share *share = g_hash_table_lookup(shares, vimg_index_id(index, i));

        if (!share || share->seen == number)
            continue;
        share->seen = number;
        sum += share->bytes;
    }
    return sum;
}

/* Whether clients can see it still. */
static gboolean
is_there(VimgSliceStore *store, const char *uuid)
{
    g_auto(VimgStoredImage) image = {0};

    if (vimg_image_load(store, uuid, &image, NULL))
        return TRUE;
    vimg_parent_forget(store, uuid);
    return FALSE;
}

char *
vimg_parent_find(VimgSliceStore *store, const VimgIndex *index)
{
    g_autoptr(GHashTable) shares = NULL;
    VimgRecent recent[VIMG_RECENT];
    const char *parent = NULL;
    guint64 total;
    guint64 most;
    gsize budget = READ_MAX;
    gsize i;

    {
        LOCK_GUARD(&store->lock);

        memcpy(recent, store->recent, sizeof(recent));
    }
    if (!recent[0].uuid[0])
        return NULL;
    shares = collect(index, &total);
    most = total / 10;
    for (i = 0; total > 0 && i < VIMG_RECENT && recent[i].uuid[0]; i++) {
        guint64 held = held_by(store, recent[i].uuid, shares, i + 1, &budget);

        if (held > most && is_there(store, recent[i].uuid)) {
            most = held;
            parent = recent[i].uuid;
        }
    }
    return g_strdup(parent);
}
