/*
 * marks.c: a set of slice ids, for as many as a store may hold
 *
 * One table for each first byte of an id, with open addressing: growing copies a 256th of the set
 * at a time, so memory never holds much more than the set itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "marks.h"

#define TABLES 256
#define FIRST_SLOTS 8

typedef struct {
    guint64 *slots; /* 0: free; NULL until the first id */
    gsize size;     /* a power of two */
    gsize used;
} Table;

struct _VimgMarks {
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

static gsize
find_slot(const Table *table, guint64 key)
{
    gsize i = key & (table->size - 1);

    while (table->slots[i] != 0 && table->slots[i] != key)
        i = (i + 1) & (table->size - 1);
    return i;
}

static void
grow(Table *table)
{
    Table bigger = {.size = table->size ? table->size * 2 : FIRST_SLOTS, .used = table->used};
    gsize i;

    bigger.slots = g_new0(guint64, bigger.size);
    for (i = 0; i < table->size; i++) {
        if (table->slots[i] != 0)
            bigger.slots[find_slot(&bigger, table->slots[i])] = table->slots[i];
    }
    g_free(table->slots);
    *table = bigger;
}

VimgMarks *
vimg_marks_new(void)
{
    return g_new0(VimgMarks, 1);
}

void
vimg_marks_free(VimgMarks *marks)
{
    gsize i;

    if (!marks)
        return;
    for (i = 0; i < TABLES; i++)
        g_free(marks->tables[i].slots);
    g_free(marks);
}

void
vimg_marks_add(VimgMarks *marks, const VimgSliceId *id)
{
    Table *table = &marks->tables[id->bytes[0]];
    guint64 key = key_of(id);
    gsize i;

    if (table->used >= table->size / 4 * 3)
        grow(table);
    i = find_slot(table, key);
    table->used += table->slots[i] == 0;
    table->slots[i] = key;
}

gboolean
vimg_marks_has(const VimgMarks *marks, const VimgSliceId *id)
{
    const Table *table = &marks->tables[id->bytes[0]];
    guint64 key = key_of(id);

    return table->size > 0 && table->slots[find_slot(table, key)] == key;
}

gsize
vimg_marks_count(const VimgMarks *marks)
{
    gsize count = 0;
    gsize i;

    for (i = 0; i < TABLES; i++)
        count += marks->tables[i].used;
    return count;
}

gsize
vimg_marks_memory(const VimgMarks *marks)
{
    gsize bytes = sizeof(*marks);
    gsize i;

    for (i = 0; i < TABLES; i++)
        bytes += marks->tables[i].size * sizeof(guint64);
    return bytes;
}
