/*
 * map.c: where an image is known to be zeros, asked for once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "map.h"

#define RUNS_MAX (1U << 22) /* what follows so many is not known to be zeros */

/* From the end of the one before to @end. */
typedef struct {
    guint64 end;
    gboolean zeros;
} Run;

struct _VimgNbdMap {
    GArray *runs; /* of Run, in order, as far as the image goes */
};

/* Runs that are alike are one. */
static void
add(VimgNbdMap *map, guint64 end, gboolean zeros)
{
    Run run = {end, zeros};
    Run *last = map->runs->len > 0 ? &g_array_index(map->runs, Run, map->runs->len - 1) : NULL;

    if (last && last->zeros == zeros)
        last->end = end;
    else
        g_array_append_val(map->runs, run);
}

VimgExporterStatus
vimg_nbd_map_load(VimgExporterLink *link, guint64 size, VimgNbdMap **out)
{
    static const guint8 hash[VIMG_EXPORTER_HASH_SIZE]; /* the link knows which */
    g_autofree VimgExporterExtent *extents = g_new(VimgExporterExtent, VIMG_EXPORTER_EXTENTS_MAX);
    VimgNbdMap *map = *out = g_new0(VimgNbdMap, 1);
    guint64 at = 0;

    map->runs = g_array_new(FALSE, FALSE, sizeof(Run));
    while (at < size && map->runs->len < RUNS_MAX) {
        guint n;
        VimgExporterStatus status = vimg_exporter_link_map(link, hash, at, extents, &n);

        if (status != VIMG_EXPORTER_OK)
            return status;
        for (guint i = 0; i < n && at < size; i++) {
            at += MIN(extents[i].length, size - at);
            add(map, at, extents[i].zeros != 0);
        }
    }
    if (at < size)
        add(map, size, FALSE);
    return VIMG_EXPORTER_OK;
}

/* Of the run that ends behind @offset. */
static guint
find(const VimgNbdMap *map, guint64 offset)
{
    guint low = 0;
    guint high = map->runs->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(map->runs, Run, middle).end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

guint64
vimg_nbd_map_look(const VimgNbdMap *map, guint64 offset, guint64 length, gboolean *zeros)
{
    const Run *run = &g_array_index(map->runs, Run, find(map, offset));

    *zeros = run->zeros;
    return MIN(length, run->end - offset);
}

guint64
vimg_nbd_map_before(const VimgNbdMap *map, guint64 offset)
{
    guint i;

    if (offset == 0)
        return 0;
    i = find(map, offset - 1);
    if (!g_array_index(map->runs, Run, i).zeros)
        return offset;
    return i > 0 ? g_array_index(map->runs, Run, i - 1).end : 0;
}
