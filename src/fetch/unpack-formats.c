/*
 * unpack-formats.c: gzip, xz and zstd
 *
 * Each may be several parts behind each other, as parallel programs make them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "fetch/unpack-private.h"

/* How far a step came; @in_left and @out_left of @step remain. */
static void
move_on(VimgUnpackStep *step, gsize in_left, gsize out_left)
{
    step->in += step->in_size - in_left;
    step->in_size = in_left;
    step->out += step->out_size - out_left;
    step->out_size = out_left;
}

/* ---- gzip ------------------------------------------------------------------------------- */

typedef struct {
    z_stream z;
    gboolean between; /* right behind a part */
    gboolean padding; /* zeros up to the end, as on a tape */
} Gzip;

static gpointer
gzip_open(void)
{
    Gzip *gzip = g_new0(Gzip, 1);

    if (inflateInit2(&gzip->z, 16 + MAX_WBITS) == Z_OK)
        return gzip;
    g_free(gzip);
    return NULL;
}

static VimgUnpackResult
skip_zeros(VimgUnpackStep *step)
{
    while (step->in_size > 0 && *step->in == 0) {
        step->in++;
        step->in_size--;
    }
    return step->in_size == 0 ? VIMG_UNPACK_DONE : VIMG_UNPACK_BAD;
}

static VimgUnpackResult
gzip_step(gpointer state, VimgUnpackStep *step)
{
    Gzip *gzip = state;
    z_stream *z = &gzip->z;
    int result;

    if (gzip->between && step->in_size > 0) {
        gzip->padding = *step->in == 0;
        gzip->between = FALSE;
    }
    if (gzip->padding)
        return skip_zeros(step);
    z->next_in = (Bytef *)step->in;
    z->avail_in = (uInt)step->in_size;
    z->next_out = step->out;
    z->avail_out = (uInt)step->out_size;
    result = inflate(z, Z_NO_FLUSH);
    move_on(step, z->avail_in, z->avail_out);
    if (result == Z_STREAM_END) {
        gzip->between = TRUE;
        return inflateReset(z) == Z_OK ? VIMG_UNPACK_DONE : VIMG_UNPACK_BAD;
    }
    return result == Z_OK || result == Z_BUF_ERROR ? VIMG_UNPACK_MORE : VIMG_UNPACK_BAD;
}

static void
gzip_close(gpointer state)
{
    Gzip *gzip = state;

    inflateEnd(&gzip->z);
    g_free(gzip);
}

const VimgUnpackFormat vimg_unpack_gzip = {
    .name = "gzip",
    .open = gzip_open,
    .step = gzip_step,
    .close = gzip_close,
};

/* ---- xz --------------------------------------------------------------------------------- */

static gpointer
xz_open(void)
{
    lzma_stream *xz = g_new0(lzma_stream, 1);

    *xz = (lzma_stream)LZMA_STREAM_INIT;
    if (lzma_stream_decoder(xz, 1ULL << VIMG_UNPACK_WINDOW_LOG,
                            LZMA_CONCATENATED | LZMA_TELL_UNSUPPORTED_CHECK) == LZMA_OK)
        return xz;
    g_free(xz);
    return NULL;
}

static VimgUnpackResult
xz_step(gpointer state, VimgUnpackStep *step)
{
    lzma_stream *xz = state;
    lzma_ret result;

    xz->next_in = step->in;
    xz->avail_in = step->in_size;
    xz->next_out = step->out;
    xz->avail_out = step->out_size;
    result = lzma_code(xz, step->last ? LZMA_FINISH : LZMA_RUN);
    move_on(step, xz->avail_in, xz->avail_out);
    if (result == LZMA_STREAM_END)
        return VIMG_UNPACK_DONE;
    if (result == LZMA_MEMLIMIT_ERROR)
        return VIMG_UNPACK_WINDOW;
    return result == LZMA_OK || result == LZMA_BUF_ERROR ? VIMG_UNPACK_MORE : VIMG_UNPACK_BAD;
}

static void
xz_close(gpointer state)
{
    lzma_end(state);
    g_free(state);
}

const VimgUnpackFormat vimg_unpack_xz = {
    .name = "xz",
    .open = xz_open,
    .step = xz_step,
    .close = xz_close,
};

/* ---- zstd ------------------------------------------------------------------------------- */

static gpointer
zstd_open(void)
{
    ZSTD_DCtx *zstd = ZSTD_createDCtx();

    if (zstd)
        ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, VIMG_UNPACK_WINDOW_LOG);
    return zstd;
}

static VimgUnpackResult
zstd_step(gpointer state, VimgUnpackStep *step)
{
    ZSTD_inBuffer in = {.src = step->in, .size = step->in_size};
    ZSTD_outBuffer out = {.dst = step->out, .size = step->out_size};
    size_t result = ZSTD_decompressStream(state, &out, &in);

    move_on(step, in.size - in.pos, out.size - out.pos);
    if (!ZSTD_isError(result))
        return result == 0 ? VIMG_UNPACK_DONE : VIMG_UNPACK_MORE;
    return ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge
               ? VIMG_UNPACK_WINDOW
               : VIMG_UNPACK_BAD;
}

static void
zstd_close(gpointer state)
{
    ZSTD_freeDCtx(state);
}

const VimgUnpackFormat vimg_unpack_zstd = {
    .name = "zstd",
    .open = zstd_open,
    .step = zstd_step,
    .close = zstd_close,
};
