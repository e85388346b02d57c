/*
 * fuzz-index.c: slice indexes; what is taken must be consistent and encode to the same bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fuzz.h"
#include "index.h"

static void
check(const VimgIndex *index)
{
    gsize n = vimg_index_count(index);
    guint64 length = 0;
    gsize i;

    for (i = 0; i < n; i++) {
        guint64 start = vimg_index_start(index, i);
        guint64 end = vimg_index_end(index, i);

        g_assert_cmpuint(start, ==, length);
        g_assert_cmpuint(end, >, start);
        g_assert_cmpuint(end - start, <=, index->sizes.max);
        g_assert_cmpuint(vimg_index_find(index, start), ==, i);
        g_assert_cmpuint(vimg_index_find(index, end - 1), ==, i);
        vimg_index_is_zero(index, i);
        length = end;
    }
    g_assert_cmpuint(vimg_index_length(index), ==, length);
    g_assert_cmpuint(vimg_index_find(index, length), ==, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgIndex) index = vimg_index_decode(data, size, &error);
    g_autoptr(VimgIndex) copy = NULL;
    g_autoptr(VimgBuffer) bytes = NULL;

    g_assert((index == NULL) == (error != NULL));
    if (!index) {
        g_assert_true(error->domain == VIMG_ERROR && error->code == VIMG_ERROR_DAMAGED);
        return 0;
    }
    check(index);
    copy = vimg_index_copy(index, vimg_index_count(index));
    bytes = vimg_index_encode(copy);
    g_assert_cmpuint(bytes->size, ==, size);
    /* all but the feature flags, of which we write only ours */
    g_assert_true(memcmp(bytes->data, data, 16) == 0);
    g_assert_true(memcmp(bytes->data + 24, data + 24, size - 24) == 0);
    return 0;
}
