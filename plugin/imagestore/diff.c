/*
 * diff.c: in what the content of two images differs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../differences.h"
#include "diff.h"
#include "json.h"
#include "manifest.h"
#include "reader.h"
#include "shares.h"

#define ASK_EVERY 65536 /* steps between two looks at the job */

typedef struct {
    VimgManifest *manifest;
    VimgIndex *index;
    gsize at; /* the slice that the walk is in */
} Side;

typedef struct {
    Side from;
    Side to;
    Differences found;
    guint64 changed; /* bytes */
} Diff;

static void
side_clear(Side *side)
{
    vimg_manifest_free(side->manifest);
    vimg_index_free(side->index);
}

static void
diff_clear(Diff *diff)
{
    side_clear(&diff->from);
    side_clear(&diff->to);
    g_string_free(diff->found.extents, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Diff, diff_clear)

static gboolean
load(VimgSliceStore *store, const char *uuid, Side *side, GError **error)
{
    side->index = vimg_slice_reader_index(store, uuid, &side->manifest, error);
    return side->index != NULL;
}

static const char *
compare(const Diff *diff)
{
    const Side *from = &diff->from;
    const Side *to = &diff->to;
    gboolean zero = vimg_index_is_zero(to->index, to->at);

    if (zero && vimg_index_is_zero(from->index, from->at))
        return NULL;
    if (vimg_index_start(from->index, from->at) == vimg_index_start(to->index, to->at) &&
        vimg_id_equal(vimg_index_id(from->index, from->at), vimg_index_id(to->index, to->at)))
        return NULL;
    return zero ? "zeroed" : "changed";
}

/* From one boundary of slices, of either image, to the next. */
static gboolean
walk(Diff *diff, VimgPluginJob *job, GError **error)
{
    guint64 both = MIN(vimg_index_length(diff->from.index), vimg_index_length(diff->to.index));
    guint64 total = vimg_index_length(diff->to.index);
    guint64 position = 0;
    guint64 steps = 0;

    while (position < both) {
        guint64 from_end = vimg_index_end(diff->from.index, diff->from.at);
        guint64 to_end = vimg_index_end(diff->to.index, diff->to.at);
        guint64 end = MIN(MIN(from_end, to_end), both);
        const char *kind = compare(diff);

        if (steps++ % ASK_EVERY == 0 && !vimg_slice_store_check_job(job, error))
            return FALSE;
        differences_add(&diff->found, position, end, kind);
        diff->changed += kind ? end - position : 0;
        diff->from.at += end == from_end;
        diff->to.at += end == to_end;
        position = end;
    }
    if (position < total)
        differences_add(&diff->found, position, total, "grown");
    differences_add(&diff->found, total, total, NULL);
    return TRUE;
}

/* ---- the report ------------------------------------------------------------------------- */

static gboolean
cut_alike(const Diff *diff)
{
    const VimgIndexSizes *from = &diff->from.index->sizes;
    const VimgIndexSizes *to = &diff->to.index->sizes;

    return from->min == to->min && from->avg == to->avg && from->max == to->max;
}

static char *
format(const Diff *diff, const VimgShares *shares)
{
    g_autoptr(JsonObject) root = json_object_new();
    g_autofree char *text = NULL;
    VimgShare from = vimg_shares_get(shares, 0);
    VimgShare to = vimg_shares_get(shares, 1);

    json_object_set_string_member(root, "from", diff->from.manifest->image.name);
    json_object_set_string_member(root, "to", diff->to.manifest->image.name);
    json_object_set_int_member(root, "from_length", (gint64)vimg_index_length(diff->from.index));
    json_object_set_int_member(root, "to_length", (gint64)vimg_index_length(diff->to.index));
    json_object_set_boolean_member(root, "aligned", cut_alike(diff));
    json_object_set_int_member(root, "changed", (gint64)diff->changed);
    json_object_set_int_member(root, "added", (gint64)to.unique);
    json_object_set_int_member(root, "removed", (gint64)from.unique);
    json_object_set_int_member(root, "shared", (gint64)to.shared);
    json_object_set_boolean_member(root, "truncated", diff->found.truncated);
    text = vimg_json_format(root);
    *strrchr(text, '}') = '\0';
    return g_strconcat(g_strchomp(text), ",\n  \"extents\": [", diff->found.extents->str, "]\n}\n",
                       NULL);
}

char *
vimg_diff(VimgSliceStore *store, const char *from, const char *to, VimgPluginJob *job,
          GError **error)
{
    g_autoptr(VimgShares) shares = vimg_shares_new(store, job);
    g_auto(Diff) diff = {.found.extents = g_string_new(NULL)};

    if (!load(store, from, &diff.from, error) || !load(store, to, &diff.to, error) ||
        !walk(&diff, job, error))
        return NULL;
    vimg_slice_store_progress(job, "measuring slices", 0, 0);
    vimg_shares_begin(shares, FALSE);
    if (!vimg_shares_add(shares, diff.from.index, error))
        return NULL;
    vimg_shares_begin(shares, FALSE);
    if (!vimg_shares_add(shares, diff.to.index, error))
        return NULL;
    return format(&diff, shares);
}
