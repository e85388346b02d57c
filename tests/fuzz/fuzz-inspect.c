/*
 * fuzz-inspect.c: disk images, split in two ways
 *
 * The first byte chooses the format that is declared, the second how the bytes are split.  Then
 * come pieces: an offset, mantissa << shift, up to which all is zeros, a length of two bytes, and
 * so many bytes.  An offset that has passed is the current one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fuzz.h"
#include "image/inspect.h"

#define SHIFT_MAX 40
#define HOLE_PLAIN 8192 /* so many zeros at most are fed as bytes */
#define STEPS_MAX 24    /* of one piece, or most of the time would go into steps */

static const char *const formats[] = {NULL, "raw", "iso", "qcow2", "vmdk", "vpc", "vdi", "vhdx"};

typedef void (*Feed)(VimgInspector *inspector, const uint8_t *data, guint64 size, gsize step);

static void
feed_whole(VimgInspector *inspector, const uint8_t *data, guint64 size, gsize step)
{
    vimg_inspector_feed(inspector, data, size);
}

/* In steps; long holes in two. */
static void
feed_steps(VimgInspector *inspector, const uint8_t *data, guint64 size, gsize step)
{
    static const uint8_t zeros[HOLE_PLAIN];

    if (!data && size > HOLE_PLAIN) {
        vimg_inspector_feed(inspector, NULL, size / 3);
        vimg_inspector_feed(inspector, NULL, size - size / 3);
        return;
    }
    if (!data)
        data = zeros;
    step = MAX(step, size / STEPS_MAX + 1);
    for (; size > step; size -= step, data += step)
        vimg_inspector_feed(inspector, data, step);
    vimg_inspector_feed(inspector, data, size);
}

static gboolean
inspect(const uint8_t *data, size_t size, Feed feed, VimgInspection *found, GError **error)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    const char *declared = formats[data[0] % G_N_ELEMENTS(formats)];
    gsize step = 1 + (gsize)data[1] * data[1] / 4;
    guint64 at = 0;
    gboolean ok;

    data += 2;
    size -= 2;
    while (size >= 4) {
        guint64 offset = (guint64)data[1] << data[0] % (SHIFT_MAX + 1);
        gsize n = MIN(size - 4, (gsize)data[2] | (gsize)data[3] << 8);

        if (offset > at)
            feed(inspector, NULL, offset - at, step);
        feed(inspector, data + 4, n, step);
        at = MAX(at, offset) + n;
        data += 4 + n;
        size -= 4 + n;
    }
    ok = vimg_inspector_finish(inspector, declared, found, error);
    if (ok && declared)
        g_assert_cmpstr(found->format, ==, declared);
    if (ok && (g_str_equal(found->format, "raw") || g_str_equal(found->format, "iso")))
        g_assert_cmpuint(found->capacity, ==, at);
    return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) first_error = NULL;
    g_autoptr(GError) second_error = NULL;
    VimgInspection first, second;

    if (size < 2)
        return 0;
    if (inspect(data, size, feed_whole, &first, &first_error)) {
        g_assert_true(inspect(data, size, feed_steps, &second, &second_error));
        g_assert_cmpstr(first.format, ==, second.format);
        g_assert_cmpuint(first.capacity, ==, second.capacity);
        return 0;
    }
    g_assert_true(first_error->domain == VIMG_ERROR);
    g_assert_true(first_error->code == VIMG_ERROR_PROBE ||
                  first_error->code == VIMG_ERROR_CONFIG_UNSUPPORTED);
    g_assert_true(g_utf8_validate(first_error->message, -1, NULL));
    g_assert_false(inspect(data, size, feed_steps, &second, &second_error));
    g_assert_cmpint(first_error->code, ==, second_error->code);
    g_assert_cmpstr(first_error->message, ==, second_error->message);
    return 0;
}
