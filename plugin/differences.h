/*
 * differences.h: where an image differs from another one, as the report of diff() says it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_DIFFERENCES_H
#define VIMG_PLUGIN_DIFFERENCES_H

#include "vimg-plugin.h"

#define DIFFERENCES_MAX 100000 /* extents in one report, as the contract says */

typedef struct {
    GString *extents; /* as JSON: a hundred thousand objects would take a hundred MiB */
    guint n;
    gboolean truncated;
    /* the extent that may still grow */
    const char *kind; /* NULL: none */
    guint64 start;
    guint64 end;
} Differences;

static inline void
differences_flush(Differences *differences)
{
    if (!differences->kind)
        return;
    if (differences->n == DIFFERENCES_MAX) {
        differences->truncated = TRUE;
        return;
    }
    g_string_append_printf(differences->extents,
                           "%s{\"offset\":%" G_GUINT64_FORMAT ",\"length\":%" G_GUINT64_FORMAT
                           ",\"kind\":\"%s\"}",
                           differences->n++ > 0 ? "," : "", differences->start,
                           differences->end - differences->start, differences->kind);
}

/* In order.  @kind: a literal; NULL: nothing differs there, nor, with @end as @start, behind it. */
static inline void
differences_add(Differences *differences, guint64 start, guint64 end, const char *kind)
{
    if (kind != differences->kind) {
        differences_flush(differences);
        differences->kind = kind;
        differences->start = start;
    }
    differences->end = end;
}

#endif
