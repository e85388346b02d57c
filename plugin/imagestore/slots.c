/*
 * slots.c: what is known of slices, by their ids, for as many as a store may hold
 *
 * One table for each first byte of an id, with open addressing: growing copies a 256th of all at a
 * time, so memory never holds much more than what is known.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "slots.h"

#define TABLES 256
#define FIRST_SLOTS 8

typedef struct {
    guint8 *slots; /* key 0: free; NULL until the first id */
    gsize size;    /* a power of two */
    gsize used;
} Table;

struct _VimgSlots {
    gsize width;
    Table tables[TABLES];
};

/* Digests are as good as random: any of their bytes will do. */
static guint64
key_of(const VimgSliceId *id)
{
    guint64 key;

    memcpy(&key, id->bytes + 8, sizeof(key));
    return key ? key : 1;
}

static guint64 *
slot_at(const Table *table, gsize width, gsize i)
{
    return (guint64 *)(gpointer)(table->slots + i * width);
}

static guint64 *
find(const Table *table, gsize width, guint64 key)
{
    gsize i = key & (table->size - 1);
    guint64 *slot;

    for (;;) {
        slot = slot_at(table, width, i);
        if (*slot == 0 || *slot == key)
            return slot;
        i = (i + 1) & (table->size - 1);
    }
}

static void
grow(Table *table, gsize width)
{
    Table bigger = {.size = table->size ? table->size * 2 : FIRST_SLOTS, .used = table->used};

    bigger.slots = g_malloc0_n(bigger.size, width);
    for (gsize i = 0; i < table->size; i++) {
        const guint64 *slot = slot_at(table, width, i);

        if (*slot != 0)
            memcpy(find(&bigger, width, *slot), slot, width);
    }
    g_free(table->slots);
    *table = bigger;
}

VimgSlots *
vimg_slots_new(gsize width)
{
    VimgSlots *slots = g_new0(VimgSlots, 1);

    slots->width = width;
    return slots;
}

void
vimg_slots_free(VimgSlots *slots)
{
    if (!slots)
        return;
    for (gsize i = 0; i < TABLES; i++)
        g_free(slots->tables[i].slots);
    g_free(slots);
}

gpointer
vimg_slots_find(const VimgSlots *slots, const VimgSliceId *id)
{
    const Table *table = &slots->tables[id->bytes[0]];
    guint64 *slot = table->size > 0 ? find(table, slots->width, key_of(id)) : NULL;

    return slot && *slot != 0 ? slot : NULL;
}

gpointer
vimg_slots_add(VimgSlots *slots, const VimgSliceId *id)
{
    Table *table = &slots->tables[id->bytes[0]];
    guint64 *slot;

    if (table->used >= table->size / 4 * 3)
        grow(table, slots->width);
    slot = find(table, slots->width, key_of(id));
    table->used += *slot == 0;
    *slot = key_of(id);
    return slot;
}

void
vimg_slots_each(const VimgSlots *slots, void (*func)(gconstpointer slot, gpointer data),
                gpointer data)
{
    for (gsize i = 0; i < TABLES; i++) {
        const Table *table = &slots->tables[i];

        for (gsize k = 0; k < table->size; k++) {
            const guint64 *slot = slot_at(table, slots->width, k);

            if (*slot != 0)
                func(slot, data);
        }
    }
}

gsize
vimg_slots_count(const VimgSlots *slots)
{
    gsize count = 0;

    for (gsize i = 0; i < TABLES; i++)
        count += slots->tables[i].used;
    return count;
}

gsize
vimg_slots_memory(const VimgSlots *slots)
{
    gsize bytes = sizeof(*slots);

    for (gsize i = 0; i < TABLES; i++)
        bytes += slots->tables[i].size * slots->width;
    return bytes;
}
