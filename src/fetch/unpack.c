/*
 * unpack.c: gzip, xz and zstd, unpacked while they come
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fetch/unpack-private.h"
#include "util/error.h"
#include "util/i18n.h"

#define PIECE (1024 * 1024)
/* What is zeros or not as a whole. */
#define BLOCK 4096

struct _VimgUnpack {
    const VimgUnpackFormat *format;
    VimgUnpackLimits limits;
    VimgUnpackSink sink;
    gpointer data;
    gpointer state;
    VimgBuffer *out; /* being filled */
    gsize filled;
    guint64 came;    /* bytes in */
    guint64 size;    /* bytes out */
    guint64 content; /* of those, in blocks that are not zeros */
    gboolean done;   /* it may end where it is */
    gboolean bad;
};

static const struct {
    const VimgUnpackFormat *format;
    gsize size;
    guint8 magic[VIMG_UNPACK_MAGIC];
    guint8 mask; /* of the first byte */
} magics[] = {
    {&vimg_unpack_gzip, 3, {0x1f, 0x8b, 0x08}, 0xff},
    {&vimg_unpack_xz, 6, {0xfd, '7', 'z', 'X', 'Z', 0}, 0xff},
    {&vimg_unpack_zstd, 4, {0x28, 0xb5, 0x2f, 0xfd}, 0xff},
    /* a frame to be skipped, with which parallel programs begin */
    {&vimg_unpack_zstd, 4, {0x50, 0x2a, 0x4d, 0x18}, 0xf0},
};

const char *
vimg_unpack_recognise(const guint8 *data, gsize size)
{
    for (gsize i = 0; i < G_N_ELEMENTS(magics); i++) {
        if (size >= magics[i].size && (data[0] & magics[i].mask) == magics[i].magic[0] &&
            memcmp(data + 1, magics[i].magic + 1, magics[i].size - 1) == 0)
            return magics[i].format->name;
    }
    return NULL;
}

VimgUnpack *
vimg_unpack_new(const char *kind, const VimgUnpackLimits *limits, VimgUnpackSink sink,
                gpointer data, GError **error)
{
    g_autoptr(VimgUnpack) unpack = g_new0(VimgUnpack, 1);

    for (gsize i = 0; i < G_N_ELEMENTS(magics); i++) {
        if (strcmp(magics[i].format->name, kind) == 0)
            unpack->format = magics[i].format;
    }
    g_assert(unpack->format);
    unpack->limits = *limits;
    unpack->sink = sink;
    unpack->data = data;
    unpack->state = unpack->format->open();
    if (!unpack->state) {
        vimg_throw(error, VIMG_ERROR_NO_MEMORY, "%s", unpack->format->name);
        return NULL;
    }
    return g_steal_pointer(&unpack);
}

void
vimg_unpack_free(VimgUnpack *unpack)
{
    if (!unpack)
        return;
    if (unpack->state)
        unpack->format->close(unpack->state);
    vimg_buffer_unref(unpack->out);
    g_free(unpack);
}

gboolean
vimg_unpack_is_bad(const VimgUnpack *unpack)
{
    return unpack->bad;
}

/* ---- what comes out --------------------------------------------------------------------- */

static gboolean
is_zero(const guint8 *data, gsize size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

static gsize
count_content(const guint8 *data, gsize size)
{
    gsize content = 0;

    for (gsize at = 0; at < size; at += BLOCK) {
        gsize n = MIN(BLOCK, size - at);

        if (!is_zero(data + at, n))
            content += n;
    }
    return content;
}

static gboolean
check_limits(VimgUnpack *unpack, GError **error)
{
    guint64 most = unpack->came * unpack->limits.ratio + VIMG_UNPACK_FREE;

    unpack->bad = TRUE;
    if (unpack->size > unpack->limits.max_size)
        return vimg_throw(
            error, VIMG_ERROR_DAMAGED,
            _("the content unpacks to more than %llu bytes (import_max_size in virtimaged.conf)"),
            (unsigned long long)unpack->limits.max_size);
    if (unpack->content > most)
        return vimg_throw(
            error, VIMG_ERROR_DAMAGED,
            _("%1$llu bytes unpack to more than %2$u times as many that are not zeros (import_ratio in virtimaged.conf)"),
            (unsigned long long)unpack->came, unpack->limits.ratio);
    unpack->bad = FALSE;
    return TRUE;
}

static gboolean
flush(VimgUnpack *unpack, GError **error)
{
    VimgBuffer *out = g_steal_pointer(&unpack->out);
    gsize size = unpack->filled;
    gsize content = count_content(out->data, size);

    unpack->filled = 0;
    unpack->size += size;
    unpack->content += content;
    out->size = size;
    if (content == 0)
        g_clear_pointer(&out, vimg_buffer_unref);
    if (check_limits(unpack, error))
        return unpack->sink(out, size, unpack->data, error);
    vimg_buffer_unref(out);
    return FALSE;
}

/* ---- what goes in ----------------------------------------------------------------------- */

static gboolean
throw_bad(VimgUnpack *unpack, VimgUnpackResult result, GError **error)
{
    unpack->bad = TRUE;
    if (result == VIMG_UNPACK_WINDOW)
        return vimg_throw(
            error, VIMG_ERROR_DAMAGED,
            _("%1$s: unpacking takes more than %2$d MiB of memory: pack it with a smaller window"),
            unpack->format->name, 1 << (VIMG_UNPACK_WINDOW_LOG - 20));
    return vimg_throw(error, VIMG_ERROR_DAMAGED, _("%s: the content is damaged"),
                      unpack->format->name);
}

/* Once, with what is there.  *@moved: whether it brought anything. */
static gboolean
go_on(VimgUnpack *unpack, VimgUnpackStep *step, gboolean *moved, GError **error)
{
    VimgUnpackResult result;
    gsize in = step->in_size;
    gsize room;

    if (!unpack->out)
        unpack->out = vimg_buffer_new(PIECE);
    room = PIECE - unpack->filled;
    step->out = unpack->out->data + unpack->filled;
    step->out_size = room;
    result = unpack->format->step(unpack->state, step);
    if (result == VIMG_UNPACK_BAD || result == VIMG_UNPACK_WINDOW)
        return throw_bad(unpack, result, error);
    *moved = step->in_size < in || step->out_size < room;
    if (*moved || result == VIMG_UNPACK_DONE)
        unpack->done = result == VIMG_UNPACK_DONE;
    unpack->came += in - step->in_size;
    unpack->filled += room - step->out_size;
    return unpack->filled < PIECE || flush(unpack, error);
}

gboolean
vimg_unpack_add(VimgUnpack *unpack, const guint8 *bytes, gsize size, GError **error)
{
    VimgUnpackStep step = {.in = bytes, .in_size = size};
    gboolean moved = TRUE;

    while (moved && !(step.in_size == 0 && unpack->done)) {
        if (!go_on(unpack, &step, &moved, error))
            return FALSE;
    }
    return step.in_size == 0 || throw_bad(unpack, VIMG_UNPACK_BAD, error);
}

gboolean
vimg_unpack_end(VimgUnpack *unpack, GError **error)
{
    VimgUnpackStep step = {.in = (const guint8 *)"", .last = TRUE};
    gboolean moved = TRUE;

    while (moved && !unpack->done) {
        if (!go_on(unpack, &step, &moved, error))
            return FALSE;
    }
    if (!unpack->done) {
        unpack->bad = TRUE;
        return vimg_throw(error, VIMG_ERROR_DAMAGED, _("%s: the content is cut off"),
                          unpack->format->name);
    }
    return unpack->filled == 0 || flush(unpack, error);
}
