/*
 * test-unpack.c: gzip, xz and zstd, unpacked while they come
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "fetch/unpack.h"
#include "util/error.h"

#define MIB (1024 * 1024)

typedef enum {
    GZIP,
    XZ,
    ZSTD,
    N_KINDS
} Kind;

static const char *const names[] = {"gzip", "xz", "zstd"};
static const VimgUnpackLimits wide = {.ratio = 1000, .max_size = 1ULL << 40};

/* ---- packing ---------------------------------------------------------------------------- */

static void
pack_gzip(const guint8 *data, gsize size, GByteArray *out)
{
    z_stream z = {0};
    gsize at = out->len;
    int result;

    g_assert_cmpint(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, 0), ==, Z_OK);
    g_byte_array_set_size(out, (guint)(at + deflateBound(&z, size) + 64));
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)size;
    z.next_out = out->data + at;
    z.avail_out = (uInt)(out->len - at);
    result = deflate(&z, Z_FINISH);
    g_assert_cmpint(result, ==, Z_STREAM_END);
    g_byte_array_set_size(out, out->len - z.avail_out);
    deflateEnd(&z);
}

static void
pack_xz(const guint8 *data, gsize size, GByteArray *out)
{
    gsize at = out->len;

    g_byte_array_set_size(out, (guint)(at + lzma_stream_buffer_bound(size)));
    g_assert_cmpint(
        lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, data, size, out->data, &at, out->len),
        ==, LZMA_OK);
    g_byte_array_set_size(out, (guint)at);
}

static void
pack_zstd(const guint8 *data, gsize size, GByteArray *out)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    gsize at = out->len;
    size_t n;

    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    g_byte_array_set_size(out, (guint)(at + ZSTD_compressBound(size)));
    n = ZSTD_compress2(zstd, out->data + at, out->len - at, data, size);
    g_assert_false(ZSTD_isError(n));
    g_byte_array_set_size(out, (guint)(at + n));
    ZSTD_freeCCtx(zstd);
}

static void (*const packers[])(const guint8 *data, gsize size,
                               GByteArray *out) = {pack_gzip, pack_xz, pack_zstd};

/* Returns: (transfer full) bytes that pack badly, and a run of zeros. */
static guint8 *
make_content(gsize size)
{
    guint8 *content = g_malloc0(size);
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    for (gsize i = 0; i < size / 2; i++)
        content[i] = (guint8)g_rand_int(random);
    return content;
}

/* ---- unpacking -------------------------------------------------------------------------- */

typedef struct {
    const guint8 *expected; /* NULL: not looked at */
    guint64 size;           /* came out */
    guint64 holes;
    guint64 fail_at; /* bytes; 0: never */
} Out;

static gboolean
take(VimgBuffer *buffer, gsize size, gpointer data, GError **error)
{
    Out *out = data;

    if (out->expected && buffer)
        g_assert_cmpmem(buffer->data, size, out->expected + out->size, size);
    for (gsize i = 0; out->expected && !buffer && i < size; i++)
        g_assert_cmpuint(out->expected[out->size + i], ==, 0);
    out->size += size;
    out->holes += buffer ? 0 : size;
    vimg_buffer_unref(buffer);
    return !out->fail_at || out->size < out->fail_at ||
           vimg_throw(error, VIMG_ERROR_NO_SPACE, "full");
}

/* In pieces that end at @first, and then after @step more each. */
static gboolean
unpack(const char *kind, const GByteArray *packed, gsize first, gsize step,
       const VimgUnpackLimits *limits, Out *out, gboolean *bad, GError **error)
{
    g_autoptr(VimgUnpack) unpack = vimg_unpack_new(kind, limits, take, out, error);
    gsize at = 0;
    gsize n = first;
    gboolean ok = TRUE;

    g_assert_nonnull(unpack);
    while (ok && at < packed->len) {
        /* a copy as large as the piece, so that a sanitizer sees what is read behind it */
        g_autofree guint8 *piece = NULL;

        n = MIN(n, packed->len - at);
        piece = g_memdup2(packed->data + at, n);
        ok = vimg_unpack_add(unpack, piece, n, error);
        at += n;
        n = step;
    }
    ok = ok && vimg_unpack_end(unpack, error);
    *bad = vimg_unpack_is_bad(unpack);
    return ok;
}

static void
expect_good(Kind kind, const GByteArray *packed, gsize first, gsize step, const guint8 *content,
            gsize size)
{
    Out out = {.expected = content};
    g_autoptr(GError) error = NULL;
    gboolean bad;

    g_assert_true(unpack(names[kind], packed, first, step, &wide, &out, &bad, &error));
    g_assert_no_error(error);
    g_assert_false(bad);
    g_assert_cmpuint(out.size, ==, size);
}

static void
expect_bad(Kind kind, const GByteArray *packed, const VimgUnpackLimits *limits, const char *text)
{
    Out out = {0};
    g_autoptr(GError) error = NULL;
    gboolean bad;

    g_assert_false(
        unpack(names[kind], packed, packed->len, packed->len, limits, &out, &bad, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, text));
    g_assert_true(bad);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void
test_splits(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    g_autofree guint8 *content = make_content(2000);
    g_autoptr(GByteArray) packed = g_byte_array_new();

    packers[kind](content, 2000, packed);
    g_assert_cmpstr(vimg_unpack_recognise(packed->data, packed->len), ==, names[kind]);
    for (gsize first = 1; first <= packed->len; first++)
        expect_good(kind, packed, first, packed->len, content, 2000);
    for (gsize step = 1; step < 9; step++)
        expect_good(kind, packed, step, step, content, 2000);
}

static void
test_large(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    const gsize size = 5 * MIB + 1;
    g_autofree guint8 *content = make_content(size);
    g_autoptr(GByteArray) packed = g_byte_array_new();
    g_autoptr(GByteArray) parts = g_byte_array_new();

    packers[kind](content, size, packed);
    expect_good(kind, packed, packed->len, 1, content, size);
    expect_good(kind, packed, MIB, 4099, content, size);
    packers[kind](content, 0, parts);
    packers[kind](content, MIB, parts);
    packers[kind](content + MIB, size - MIB, parts);
    expect_good(kind, parts, MIB, MIB, content, size);
}

static void
test_cut(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    g_autofree guint8 *content = make_content(500);
    g_autoptr(GByteArray) packed = g_byte_array_new();

    packers[kind](content, 500, packed);
    while (packed->len > 1) {
        g_byte_array_set_size(packed, packed->len - 1);
        expect_bad(kind, packed, &wide, "cut off");
    }
}

static void
test_garbage(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    g_autofree guint8 *content = make_content(500);

    for (gsize n = 1; n <= 16; n++) {
        static const guint8 fill[] = {0, 'x', 0x1f, 0xff};

        for (gsize i = 0; i < sizeof(fill); i++) {
            g_autoptr(GByteArray) packed = g_byte_array_new();

            packers[kind](content, 500, packed);
            for (gsize k = 0; k < n; k++)
                g_byte_array_append(packed, &fill[i], 1);
            /* as its format allows, and as gzip(1) does */
            if (fill[i] == 0 && (kind == GZIP || (kind == XZ && n % 4 == 0)))
                expect_good(kind, packed, 1, 1, content, 500);
            else
                expect_bad(kind, packed, &wide, "the content is");
        }
    }
}

/* Behind zeros no other part begins, wherever pieces end. */
static void
test_padding(void)
{
    g_autofree guint8 *content = make_content(500);
    g_autoptr(GByteArray) packed = g_byte_array_new();
    guint8 zeros[5] = {0};
    gsize size;

    pack_gzip(content, 500, packed);
    g_byte_array_append(packed, zeros, sizeof(zeros));
    size = packed->len;
    pack_gzip(content, 500, packed);
    for (gsize first = size - sizeof(zeros); first <= size + 1; first++) {
        Out out = {.expected = content};
        g_autoptr(GError) error = NULL;
        gboolean bad;

        g_assert_false(unpack("gzip", packed, first, 1, &wide, &out, &bad, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_true(bad);
    }
}

static void
test_flipped(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    g_autofree guint8 *content = make_content(200);
    g_autoptr(GByteArray) packed = g_byte_array_new();
    guint missed = 0;

    packers[kind](content, 200, packed);
    for (gsize i = 0; i < packed->len; i++) {
        Out out = {0};
        g_autoptr(GError) error = NULL;
        gboolean bad;

        packed->data[i] ^= 0x10;
        if (unpack(names[kind], packed, packed->len, 1, &wide, &out, &bad, &error))
            missed++; /* a time, a flag, or another window size */
        packed->data[i] ^= 0x10;
    }
    g_assert_cmpuint(missed, <, 10);
}

/* Of zeros there may be as many as there is room for, of anything else not. */
static void
test_bombs(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    const gsize size = 80 * MIB;
    const VimgUnpackLimits narrow = {.ratio = 2, .max_size = size};
    const VimgUnpackLimits small = {.ratio = 2, .max_size = size - 1};
    g_autofree guint8 *content = g_malloc0(size);
    g_autoptr(GByteArray) zeros = g_byte_array_new();
    g_autoptr(GByteArray) dense = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    Out out = {0};
    gboolean bad;

    packers[kind](content, size, zeros);
    g_assert_true(unpack(names[kind], zeros, 1, 4096, &narrow, &out, &bad, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(out.holes, ==, size);
    expect_bad(kind, zeros, &small, "import_max_size");
    memset(content, 'x', size);
    packers[kind](content, size, dense);
    expect_bad(kind, dense, &narrow, "import_ratio");
}

static void
test_sink(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    const gsize size = 3 * MIB;
    g_autofree guint8 *content = make_content(size);
    g_autoptr(GByteArray) packed = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    Out out = {.fail_at = 2 * MIB};
    gboolean bad;

    packers[kind](content, size, packed);
    g_assert_false(unpack(names[kind], packed, MIB, MIB, &wide, &out, &bad, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_assert_false(bad);
    g_assert_cmpuint(out.size, ==, 2 * MIB);
}

/* A frame of one byte whose window has 2^27 and 2^28 bytes. */
static void
test_window_zstd(void)
{
    static const guint8 frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3, 9, 0, 0, 'x'};
    g_autoptr(GByteArray) packed = g_byte_array_new();

    g_byte_array_append(packed, frame, sizeof(frame));
    expect_good(ZSTD, packed, packed->len, 1, (const guint8 *)"x", 1);
    packed->data[5] = (28 - 10) << 3;
    expect_bad(ZSTD, packed, &wide, "takes more than 128 MiB");
}

/* The head of a stream and of a block that needs 256 MiB. */
static void
test_window_xz(void)
{
    lzma_options_lzma options;
    lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    lzma_stream_flags flags = {.check = LZMA_CHECK_CRC32};
    lzma_block block = {.check = LZMA_CHECK_CRC32,
                        .compressed_size = LZMA_VLI_UNKNOWN,
                        .uncompressed_size = LZMA_VLI_UNKNOWN,
                        .filters = filters};
    g_autoptr(GByteArray) packed = g_byte_array_new();

    g_assert_false(lzma_lzma_preset(&options, 6));
    options.dict_size = 256 * MIB;
    g_assert_cmpint(lzma_block_header_size(&block), ==, LZMA_OK);
    g_byte_array_set_size(packed, LZMA_STREAM_HEADER_SIZE + block.header_size);
    g_assert_cmpint(lzma_stream_header_encode(&flags, packed->data), ==, LZMA_OK);
    g_assert_cmpint(lzma_block_header_encode(&block, packed->data + LZMA_STREAM_HEADER_SIZE), ==,
                    LZMA_OK);
    expect_bad(XZ, packed, &wide, "takes more than 128 MiB");
}

static void
test_recognise(void)
{
    static const struct {
        guint8 bytes[VIMG_UNPACK_MAGIC];
        gsize size;
        const char *kind;
    } heads[] = {
        {{0x1f, 0x8b, 8}, 3, "gzip"},
        {{0x1f, 0x8b}, 2, NULL},
        {{0x1f, 0x8b, 7}, 3, NULL},
        {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, "xz"},
        {{0xfd, '7', 'z', 'X', 'Z', 1}, 6, NULL},
        {{0xfd, '7', 'z', 'X', 'Z'}, 5, NULL},
        {{0x28, 0xb5, 0x2f, 0xfd}, 4, "zstd"},
        {{0x5f, 0x2a, 0x4d, 0x18}, 4, "zstd"},
        {{0x60, 0x2a, 0x4d, 0x18}, 4, NULL},
        {{'Q', 'F', 'I', 0xfb}, 4, NULL},
        {{0}, 0, NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(heads); i++) {
        g_autofree guint8 *bytes = g_memdup2(heads[i].bytes, heads[i].size);

        g_assert_cmpstr(vimg_unpack_recognise(bytes, heads[i].size), ==, heads[i].kind);
    }
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc func;
    } tests[] = {
        {"splits", test_splits},   {"large", test_large},     {"cut", test_cut},
        {"garbage", test_garbage}, {"flipped", test_flipped}, {"bombs", test_bombs},
        {"sink", test_sink},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (int kind = 0; kind < N_KINDS; kind++) {
            g_autofree char *path = g_strconcat("/unpack/", tests[i].name, "/", names[kind], NULL);

            g_test_add_data_func(path, GINT_TO_POINTER(kind), tests[i].func);
        }
    }
    g_test_add_func("/unpack/padding", test_padding);
    g_test_add_func("/unpack/window/zstd", test_window_zstd);
    g_test_add_func("/unpack/window/xz", test_window_xz);
    g_test_add_func("/unpack/recognise", test_recognise);
    return g_test_run();
}
