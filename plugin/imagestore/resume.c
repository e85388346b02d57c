/*
 * resume.c: taking up an upload where its durable part ends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "resume.h"
#include "../throw.h"

static gint
compare_falling(gconstpointer a, gconstpointer b)
{
    guint64 x = *(const guint64 *)a;
    guint64 y = *(const guint64 *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static GArray *
partial_numbers(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    GArray *numbers;
    guint i;
    int result = vimg_transport_list(store->transport, dir, &names);

    if (result != 0) {
        throw_result(error, result, _("cannot read image %s"), uuid);
        return NULL;
    }
    numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
    for (i = 0; i < names->len; i++) {
        guint64 n;

        if (vimg_manifest_number(g_ptr_array_index(names, i), VIMG_IMAGE_PARTIAL, "", &n))
            g_array_append_val(numbers, n);
    }
    g_array_sort(numbers, compare_falling);
    return numbers;
}

/* Whether our slicer can have cut it so: it goes on where a slice starts. */
static gboolean
is_cut(const VimgSliceStore *store, const VimgIndex *index, VimgCut cut)
{
    VimgIndexSizes sizes = vimg_slicer_sizes(cut, store->slice_size);
    guint64 unit = cut == VIMG_CUT_FIXED ? store->slice_size : 1;
    guint64 most = vimg_slicer_max(cut, store->slice_size);
    gsize i;

    if (memcmp(&index->sizes, &sizes, sizeof(sizes)) != 0)
        return FALSE;
    for (i = 0; i < vimg_index_count(index); i++) {
        guint64 start = vimg_index_start(index, i);

        if (start % unit != 0 ||
            (vimg_index_end(index, i) - start > most && !vimg_index_is_zero(index, i)))
            return FALSE;
    }
    return TRUE;
}

/* As @format asks for; as either slicer may have done if that is not known. */
static gboolean
is_ours(const VimgSliceStore *store, const VimgIndex *index, const char *format, VimgCut *cut)
{
    for (*cut = VIMG_CUT_FIXED; *cut <= VIMG_CUT_CONTENT; (*cut)++) {
        if ((!format || vimg_slicer_cut(format) == *cut) && is_cut(store, index, *cut))
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_resume_load(VimgSliceStore *store, const char *uuid, const char *format, VimgIndex **out,
                 VimgCut *cut, GError **error)
{
    g_autoptr(GArray) numbers = partial_numbers(store, uuid, error);
    guint i;

    *out = NULL;
    if (!numbers)
        return FALSE;
    for (i = 0; i < numbers->len; i++) {
        guint64 n = g_array_index(numbers, guint64, i);
        g_autofree char *path = vimg_image_partial_path(uuid, n);
        g_autoptr(VimgBuffer) content = NULL;
        g_autoptr(VimgIndex) index = NULL;
        int result = vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content);

        if (result != 0 && result != ENOENT && result != EFBIG) {
            return throw_result(error, result, _("cannot read image %s"), uuid);
        }
        if (result == 0)
            index = vimg_index_decode(content->data, content->size, NULL);
        if (index && n > 0 && vimg_index_length(index) == n && is_ours(store, index, format, cut)) {
            *out = g_steal_pointer(&index);
            break;
        }
    }
    return TRUE;
}

gsize
vimg_resume_keep(const VimgIndex *old, VimgCut cut, guint64 offset)
{
    gsize keep = vimg_index_find(old, offset);
    guint64 length = vimg_index_length(old);

    /* at the very end the last slice may be a short one that grows */
    if (keep == vimg_index_count(old) && keep > 0)
        keep--;
    /* and zeros there may have been the beginning of a run that takes them out of what was cut */
    while (cut == VIMG_CUT_CONTENT && keep > 0 &&
           vimg_index_end(old, keep - 1) + old->sizes.avg > length)
        keep--;
    while (keep > 0 && vimg_index_is_zero(old, keep - 1))
        keep--;
    return keep;
}

gboolean
vimg_resume_feed(VimgSliceStore *store, const VimgIndex *old, gsize from, guint64 offset,
                 VimgSlicer *slicer, GError **error)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    gsize i;

    for (i = from; i < vimg_index_count(old) && vimg_index_start(old, i) < offset; i++) {
        guint64 start = vimg_index_start(old, i);
        guint64 end = vimg_index_end(old, i);
        g_autoptr(VimgBuffer) plain = NULL;

        if (vimg_index_is_zero(old, i)) {
            if (!vimg_slicer_hole(slicer, MIN(end, offset) - start, error))
                return FALSE;
            continue;
        }
        plain = vimg_slice_read(store->transport, tools, vimg_index_id(old, i), end - start, error);
        if (!plain || !vimg_slicer_write(slicer, plain, 0, MIN(end, offset) - start, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_resume_read(VimgSliceStore *store, const VimgIndex *old, guint64 offset, gsize size,
                 VimgExtent *out, GError **error)
{
    gsize i = vimg_index_find(old, offset);
    guint64 start;
    guint64 end;

    if (i == vimg_index_count(old))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("offset %1$llu lies behind the %2$llu bytes stored so far"),
                           ULL(offset), ULL(vimg_index_length(old)));
    start = vimg_index_start(old, i);
    end = vimg_index_end(old, i);
    if (!vimg_index_is_zero(old, i)) {
        g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();

        out->data =
            vimg_slice_read(store->transport, tools, vimg_index_id(old, i), end - start, error);
        if (!out->data)
            return FALSE;
        out->offset = offset - start;
    }
    out->length = MIN(end - offset, size);
    return TRUE;
}

gboolean
vimg_resume_agrees(const VimgIndex *old, const VimgSlice *slice, const VimgSliceId *id)
{
    guint64 end = slice->offset + slice->length;
    gsize i = vimg_index_find(old, slice->offset);

    if (i == vimg_index_count(old))
        return TRUE;
    if (id)
        return vimg_index_start(old, i) == slice->offset && vimg_index_end(old, i) == end &&
               vimg_id_equal(vimg_index_id(old, i), id);
    for (; i < vimg_index_count(old) && vimg_index_start(old, i) < end; i++) {
        if (!vimg_index_is_zero(old, i))
            return FALSE;
    }
    return TRUE;
}

static gboolean
throw_differs(GError **error, guint64 offset)
{
    return throw_error(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("the data differs at offset %llu from what was uploaded before; wipe the image to start afresh"),
        ULL(offset));
}

/* The first of @n bytes that differs, NULL standing for zeros; @n if none does. */
static gsize
first_difference(const guint8 *a, const guint8 *b, gsize n)
{
    gsize i = 0;

    if ((!a && !b) || (a && b && memcmp(a, b, n) == 0))
        return n;
    while (i < n && (a ? a[i] : 0) == (b ? b[i] : 0))
        i++;
    return i;
}

gboolean
vimg_resume_compare(VimgSliceStore *store, VimgSliceTools *tools, const VimgIndex *old,
                    const VimgSlice *slice, GError **error)
{
    guint64 end = slice->offset + slice->length;
    gsize i = vimg_index_find(old, slice->offset);

    for (; i < vimg_index_count(old) && vimg_index_start(old, i) < end; i++) {
        guint64 start = vimg_index_start(old, i);
        guint64 length = vimg_index_end(old, i) - start;
        guint64 from = MAX(start, slice->offset);
        guint64 n = MIN(start + length, end) - from;
        const guint8 *mine =
            slice->data ? slice->data->data + slice->data_offset + (from - slice->offset) : NULL;
        const guint8 *theirs = NULL;
        g_autoptr(VimgBuffer) plain = NULL;
        g_autoptr(GError) local = NULL;
        gsize same;

        if (!vimg_index_is_zero(old, i)) {
            plain = vimg_slice_read(store->transport, tools, vimg_index_id(old, i), length, &local);
            /* the same bounds and another digest: it differs, wherever that is */
            if (!plain && start == slice->offset && start + length == end)
                return throw_differs(error, start);
            if (!plain) {
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
            theirs = plain->data + (from - start);
        }
        same = first_difference(mine, theirs, n);
        if (same < n)
            return throw_differs(error, from + same);
    }
    return TRUE;
}
