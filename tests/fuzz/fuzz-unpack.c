/*
 * fuzz-unpack.c: packed content; however it is split, the same comes out, within its bounds
 *
 * The first byte says how it is split, the rest is what comes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/unpack.h"
#include "fuzz.h"
#include "util/error.h"

#define SIZE_MAX_OUT (4 * 1024 * 1024)

typedef struct {
    guint64 size;
    GChecksum *sum;
} Out;

static gboolean
take(VimgBuffer *buffer, gsize size, gpointer data, GError **error)
{
    Out *out = data;

    g_assert_cmpuint(size, >, 0);
    out->size += size;
    g_assert_cmpuint(out->size, <=, SIZE_MAX_OUT);
    for (gsize i = 0; !buffer && i < size; i += 4096)
        g_checksum_update(out->sum, (const guchar[4096]){0}, (gssize)MIN(4096, size - i));
    if (buffer)
        g_checksum_update(out->sum, buffer->data, (gssize)size);
    vimg_buffer_unref(buffer);
    return TRUE;
}

/* Returns: (transfer full) the digest of all that came out; NULL: it is bad. */
static char *
unpack(const char *kind, const uint8_t *data, size_t size, size_t step)
{
    const VimgUnpackLimits limits = {.ratio = 2, .max_size = SIZE_MAX_OUT};
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    Out out = {.sum = sum};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgUnpack) unpacker = vimg_unpack_new(kind, &limits, take, &out, &error);
    gboolean ok = TRUE;

    g_assert_no_error(error);
    for (size_t at = 0; ok && at < size; at += step)
        ok = vimg_unpack_add(unpacker, data + at, MIN(step, size - at), &error);
    ok = ok && vimg_unpack_end(unpacker, &error);
    g_assert_cmpint(vimg_unpack_is_bad(unpacker), ==, !ok);
    if (ok)
        return g_strdup(g_checksum_get_string(sum));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    return NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *kind = size > 1 ? vimg_unpack_recognise(data + 1, size - 1) : NULL;
    g_autofree char *whole = NULL;
    g_autofree char *split = NULL;

    if (!kind)
        return 0;
    whole = unpack(kind, data + 1, size - 1, size - 1);
    split = unpack(kind, data + 1, size - 1, (size_t)data[0] + 1);
    g_assert_cmpstr(whole, ==, split);
    return 0;
}
