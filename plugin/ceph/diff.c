/*
 * diff.c: in what the content of two images differs
 *
 * Two of the same digest are the same.  Others are read, but for what is a hole in both: RBD can
 * tell what a clone changed, but the content of an image never changes, so nothing of ours differs
 * from what it was cloned from.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "../differences.h"
#include "diff.h"
#include "layers.h"
#include "reader.h"
#include "throw.h"
#include "zero.h"

#define CHUNK ((gsize)65536) /* bytes that differ as one */

typedef struct {
    VimgCephRecord *record;
    VimgCephReader *reader;
    VimgExtent piece; /* what was read and not compared yet */
} Side;

typedef struct {
    Side from;
    Side to;
    VimgPluginJob *job;
    Differences found;
    guint64 changed; /* bytes */
} Diff;

static void
side_clear(Side *side)
{
    vimg_buffer_unref(side->piece.data);
    vimg_ceph_reader_close(side->reader);
    vimg_ceph_record_free(side->record);
}

static void
diff_clear(Diff *diff)
{
    side_clear(&diff->from);
    side_clear(&diff->to);
    g_string_free(diff->found.extents, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Diff, diff_clear)

/* ---- reading ---------------------------------------------------------------------------- */

static gboolean
side_open(Side *side, VimgCephStore *store, VimgPluginJob *job, GError **error)
{
    side->reader = vimg_ceph_reader_open(store, side->record->info.uuid, 0, 0, job, error);
    return side->reader != NULL;
}

static gboolean
side_fill(Side *side, GError **error)
{
    if (side->piece.length > 0)
        return TRUE;
    g_clear_pointer(&side->piece.data, vimg_buffer_unref);
    return vimg_ceph_reader_next(side->reader, &side->piece, error);
}

static const guint8 *
side_bytes(const Side *side)
{
    return side->piece.data ? side->piece.data->data + side->piece.offset : NULL;
}

static void
side_skip(Side *side, guint64 size)
{
    side->piece.length -= size;
    side->piece.offset += side->piece.data ? size : 0;
}

/* NULL stands for zeros. */
static const char *
compare(const guint8 *from, const guint8 *to, gsize size)
{
    gboolean zero = !to || is_zero(to, size);

    if (zero)
        return !from || is_zero(from, size) ? NULL : "zeroed";
    return from && memcmp(from, to, size) == 0 ? NULL : "changed";
}

/* What both have in hand. */
static void
compare_pieces(Diff *diff, guint64 position, guint64 size)
{
    const guint8 *from = side_bytes(&diff->from);
    const guint8 *to = side_bytes(&diff->to);
    guint64 step = from || to ? CHUNK : size;
    guint64 at;

    for (at = 0; at < size; at += step) {
        guint64 n = MIN(step, size - at);
        const char *kind = compare(from ? from + at : NULL, to ? to + at : NULL, n);

        differences_add(&diff->found, position + at, position + at + n, kind);
        diff->changed += kind ? n : 0;
    }
    side_skip(&diff->from, size);
    side_skip(&diff->to, size);
}

static gboolean
walk(Diff *diff, guint64 both, GError **error)
{
    guint64 position = 0;

    while (position < both) {
        guint64 size;

        vimg_ceph_progress(diff->job, "comparing", position, both);
        if (!side_fill(&diff->from, error) || !side_fill(&diff->to, error))
            return FALSE;
        size = MIN(MIN(diff->from.piece.length, diff->to.piece.length), both - position);
        if (size == 0)
            return throw_error(error, VIMG_ERROR_DAMAGED,
                               _("the RBD image is shorter than what was uploaded"));
        compare_pieces(diff, position, size);
        position += size;
    }
    return TRUE;
}

static gboolean
compare_images(Diff *diff, VimgCephStore *store, GError **error)
{
    const VimgCephRecord *from = diff->from.record;
    const VimgCephRecord *to = diff->to.record;
    guint64 both = MIN(from->info.physical, to->info.physical);
    guint64 total = to->info.physical;

    if (!from->digest || !to->digest || strcmp(from->digest, to->digest) != 0) {
        if (!side_open(&diff->from, store, diff->job, error) ||
            !side_open(&diff->to, store, diff->job, error) || !walk(diff, both, error))
            return FALSE;
        if (both < total)
            differences_add(&diff->found, both, total, "grown");
    }
    differences_add(&diff->found, total, total, NULL);
    return TRUE;
}

/* ---- the report ------------------------------------------------------------------------- */

/* Bytes of the layers from @layer on that are, or are not, among those from @other on. */
static guint64
sum_up(const VimgCephLayer *layer, const VimgCephLayer *other, gboolean common)
{
    guint64 sum = 0;

    for (; layer; layer = layer->below) {
        const VimgCephLayer *same = other;

        while (same && same != layer)
            same = same->below;
        sum += (same != NULL) == common ? layer->own : 0;
    }
    return sum;
}

static char *
format(const Diff *diff, const VimgCephLayer *from, const VimgCephLayer *to)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) root = json_object_new();
    const VimgPluginImage *old = &diff->from.record->info;
    const VimgPluginImage *new = &diff->to.record->info;
    g_autofree char *text = NULL;

    json_object_set_string_member(root, "from", old->name);
    json_object_set_string_member(root, "to", new->name);
    json_object_set_int_member(root, "from_length", (gint64)old->physical);
    json_object_set_int_member(root, "to_length", (gint64) new->physical);
    json_object_set_int_member(root, "changed", (gint64)diff->changed);
    json_object_set_int_member(root, "added", (gint64)sum_up(to, from, FALSE));
    json_object_set_int_member(root, "removed", (gint64)sum_up(from, to, FALSE));
    json_object_set_int_member(root, "shared", (gint64)sum_up(to, from, TRUE));
    json_object_set_boolean_member(root, "truncated", diff->found.truncated);
    json_node_set_object(node, root);
    text = json_to_string(node, FALSE);
    *strrchr(text, '}') = '\0';
    return g_strconcat(text, ",\"extents\":[", diff->found.extents->str, "]}", NULL);
}

char *
vimg_ceph_diff(VimgCephStore *store, const char *from, const char *to, VimgPluginJob *job,
               GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GHashTable) layers = vimg_ceph_layers_new();
    g_auto(Diff) diff = {.job = job, .found.extents = g_string_new(NULL)};
    const VimgCephLayer *old;
    const VimgCephLayer *new;

    if (!cluster || !(diff.from.record = vimg_ceph_record_find(store, from, error)) ||
        !(diff.to.record = vimg_ceph_record_find(store, to, error)) ||
        !(old = vimg_ceph_layers_look(layers, cluster, diff.from.record, error)) ||
        !(new = vimg_ceph_layers_look(layers, cluster, diff.to.record, error)) ||
        !compare_images(&diff, store, error))
        return NULL;
    return format(&diff, old, new);
}
