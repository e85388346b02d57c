/*
 * index.c: casync blob indexes (.caibx)
 *
 * Decoding takes any bytes: every size and offset is checked before it is used, and memory is
 * proportional to the bytes given.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "index.h"
#include "../throw.h"

#define INDEX_SIZE G_GUINT64_CONSTANT(48)
#define INDEX_TYPE G_GUINT64_CONSTANT(0x96824d9c7b129ff9)
#define TABLE_SIZE G_MAXUINT64
#define TABLE_TYPE G_GUINT64_CONSTANT(0xe75b9e112f17417d)
#define TABLE_MARKER G_GUINT64_CONSTANT(0x4b4f050e5549ecd1)
#define FLAGS_SHA256 G_GUINT64_CONSTANT(0x9000000000000000)
#define FLAG_SHA512_256 G_GUINT64_CONSTANT(0x2000000000000000)
#define HEAD_SIZE 64
#define TAIL_SIZE 40
/* casync's own limit, exclusive */
#define SLICE_LIMIT ((guint64)128 * 1024 * 1024)

/* SHA-256 of 2^16, 2^17, … 2^26 zero bytes. */
static const VimgSliceId zero_ids[] = {
    {{0xde, 0x2f, 0x25, 0x60, 0x64, 0xa0, 0xaf, 0x79, 0x77, 0x47, 0xc2,
      0xb9, 0x75, 0x05, 0xdc, 0x0b, 0x9f, 0x3d, 0xf0, 0xde, 0x4f, 0x48,
      0x9e, 0xac, 0x73, 0x1c, 0x23, 0xae, 0x9c, 0xa9, 0xcc, 0x31}},
    {{0xfa, 0x43, 0x23, 0x9b, 0xce, 0xe7, 0xb9, 0x7c, 0xa6, 0x2f, 0x00,
      0x7c, 0xc6, 0x84, 0x87, 0x56, 0x0a, 0x39, 0xe1, 0x9f, 0x74, 0xf3,
      0xdd, 0xe7, 0x48, 0x6d, 0xb3, 0xf9, 0x8d, 0xf8, 0xe4, 0x71}},
    {{0x8a, 0x39, 0xd2, 0xab, 0xd3, 0x99, 0x9a, 0xb7, 0x3c, 0x34, 0xdb,
      0x24, 0x76, 0x84, 0x9c, 0xdd, 0xf3, 0x03, 0xce, 0x38, 0x9b, 0x35,
      0x82, 0x68, 0x50, 0xf9, 0xa7, 0x00, 0x58, 0x9b, 0x4a, 0x90}},
    {{0x07, 0x85, 0x4d, 0x2f, 0xef, 0x29, 0x7a, 0x06, 0xba, 0x81, 0x68,
      0x5e, 0x66, 0x0c, 0x33, 0x2d, 0xe3, 0x6d, 0x5d, 0x18, 0xd5, 0x46,
      0x92, 0x7d, 0x30, 0xda, 0xad, 0x6d, 0x7f, 0xda, 0x15, 0x41}},
    {{0x30, 0xe1, 0x49, 0x55, 0xeb, 0xf1, 0x35, 0x22, 0x66, 0xdc, 0x2f,
      0xf8, 0x06, 0x7e, 0x68, 0x10, 0x46, 0x07, 0xe7, 0x50, 0xab, 0xb9,
      0xd3, 0xb3, 0x65, 0x82, 0xb8, 0xaf, 0x90, 0x9f, 0xcb, 0x58}},
    {{0x56, 0x47, 0xf0, 0x5e, 0xc1, 0x89, 0x58, 0x94, 0x7d, 0x32, 0x87,
      0x4e, 0xeb, 0x78, 0x8f, 0xa3, 0x96, 0xa0, 0x5d, 0x0b, 0xab, 0x7c,
      0x1b, 0x71, 0xf1, 0x12, 0xce, 0xb7, 0xe9, 0xb3, 0x1e, 0xee}},
    {{0xbb, 0x9f, 0x8d, 0xf6, 0x14, 0x74, 0xd2, 0x5e, 0x71, 0xfa, 0x00,
      0x72, 0x23, 0x18, 0xcd, 0x38, 0x73, 0x96, 0xca, 0x17, 0x36, 0x60,
      0x5e, 0x12, 0x48, 0x82, 0x1c, 0xc0, 0xde, 0x3d, 0x3a, 0xf8}},
    {{0x2d, 0xae, 0xb1, 0xf3, 0x60, 0x95, 0xb4, 0x4b, 0x31, 0x84, 0x10,
      0xb3, 0xf4, 0xe8, 0xb5, 0xd9, 0x89, 0xdc, 0xc7, 0xbb, 0x02, 0x3d,
      0x14, 0x26, 0xc4, 0x92, 0xda, 0xb0, 0xa3, 0x05, 0x3e, 0x74}},
    {{0x08, 0x0a, 0xcf, 0x35, 0xa5, 0x07, 0xac, 0x98, 0x49, 0xcf, 0xcb,
      0xa4, 0x7d, 0xc2, 0xad, 0x83, 0xe0, 0x1b, 0x75, 0x66, 0x3a, 0x51,
      0x62, 0x79, 0xc8, 0xb9, 0xd2, 0x43, 0xb7, 0x19, 0x64, 0x3e}},
    {{0x83, 0xee, 0x47, 0x24, 0x53, 0x98, 0xad, 0xee, 0x79, 0xbd, 0x9c,
      0x0a, 0x8b, 0xc5, 0x7b, 0x82, 0x1e, 0x92, 0xab, 0xa1, 0x0f, 0x5f,
      0x9a, 0xde, 0x8a, 0x5d, 0x1f, 0xae, 0x4d, 0x8c, 0x43, 0x02}},
    {{0x3b, 0x6a, 0x07, 0xd0, 0xd4, 0x04, 0xfa, 0xb4, 0xe2, 0x3b, 0x6d,
      0x34, 0xbc, 0x66, 0x96, 0xa6, 0xa3, 0x12, 0xdd, 0x92, 0x82, 0x13,
      0x32, 0x38, 0x5e, 0x5a, 0xf7, 0xc0, 0x1c, 0x42, 0x13, 0x51}},
};
G_STATIC_ASSERT(VIMG_ZERO_MIN << (G_N_ELEMENTS(zero_ids) - 1) == VIMG_ZERO_MAX);

static guint64
get64(const guint8 *at)
{
    guint64 value;

    memcpy(&value, at, sizeof(value));
    return GUINT64_FROM_LE(value);
}

static guint8 *
put64(guint8 *at, guint64 value)
{
    value = GUINT64_TO_LE(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

VimgIndex *
vimg_index_new(const VimgIndexSizes *sizes)
{
    VimgIndex *index = g_new0(VimgIndex, 1);

    index->sizes = *sizes;
    index->items = g_byte_array_new();
    return index;
}

void
vimg_index_free(VimgIndex *index)
{
    if (!index)
        return;
    g_byte_array_unref(index->items);
    g_free(index);
}

gsize
vimg_index_count(const VimgIndex *index)
{
    return index->items->len / VIMG_INDEX_ITEM;
}

guint64
vimg_index_end(const VimgIndex *index, gsize i)
{
    return get64(index->items->data + i * VIMG_INDEX_ITEM);
}

guint64
vimg_index_start(const VimgIndex *index, gsize i)
{
    return i == 0 ? 0 : vimg_index_end(index, i - 1);
}

guint64
vimg_index_length(const VimgIndex *index)
{
    return vimg_index_start(index, vimg_index_count(index));
}

const VimgSliceId *
vimg_index_id(const VimgIndex *index, gsize i)
{
    return (const VimgSliceId *)(index->items->data + i * VIMG_INDEX_ITEM + 8);
}

gboolean
vimg_index_is_zero(const VimgIndex *index, gsize i)
{
    const VimgSliceId *zero = vimg_zero_id(vimg_index_end(index, i) - vimg_index_start(index, i));

    return zero && vimg_id_equal(zero, vimg_index_id(index, i));
}

gsize
vimg_index_find(const VimgIndex *index, guint64 offset)
{
    gsize low = 0;
    gsize high = vimg_index_count(index);

    while (low < high) {
        gsize middle = low + (high - low) / 2;

        if (vimg_index_end(index, middle) <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

gboolean
vimg_index_append(VimgIndex *index, guint64 length, const VimgSliceId *id, GError **error)
{
    guint8 end[8];

    if (vimg_index_count(index) >= VIMG_INDEX_MAX_SLICES)
        return throw_error(
            error, VIMG_ERROR_FAILED,
            _("the image needs more than %zu slices; make the pool with a larger slice size"),
            VIMG_INDEX_MAX_SLICES);
    put64(end, vimg_index_length(index) + length);
    g_byte_array_append(index->items, end, sizeof(end));
    g_byte_array_append(index->items, id->bytes, VIMG_ID_SIZE);
    return TRUE;
}

VimgIndex *
vimg_index_copy(const VimgIndex *index, gsize n)
{
    VimgIndex *copy = vimg_index_new(&index->sizes);

    g_byte_array_append(copy->items, index->items->data, (guint)(n * VIMG_INDEX_ITEM));
    return copy;
}

VimgBuffer *
vimg_index_encode(const VimgIndex *index)
{
    VimgBuffer *out = vimg_buffer_new(VIMG_INDEX_OVERHEAD + index->items->len);
    guint8 *at = out->data;

    at = put64(at, INDEX_SIZE);
    at = put64(at, INDEX_TYPE);
    at = put64(at, FLAGS_SHA256);
    at = put64(at, index->sizes.min);
    at = put64(at, index->sizes.avg);
    at = put64(at, index->sizes.max);
    at = put64(at, TABLE_SIZE);
    at = put64(at, TABLE_TYPE);
    if (index->items->len > 0)
        memcpy(at, index->items->data, index->items->len);
    at += index->items->len;
    at = put64(at, 0);
    at = put64(at, 0);
    at = put64(at, INDEX_SIZE);
    at = put64(at, 16 + (guint64)index->items->len + TAIL_SIZE);
    put64(at, TABLE_MARKER);
    return out;
}

static gboolean
check_head(const guint8 *data, VimgIndexSizes *sizes, GError **error)
{
    guint64 flags = get64(data + 16);

    if (get64(data) != INDEX_SIZE || get64(data + 8) != INDEX_TYPE)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("not a slice index"));
    if (flags & FLAG_SHA512_256)
        return throw_error(error, VIMG_ERROR_DAMAGED,
                           _("index names slices by SHA-512/256 instead of SHA-256"));
    *sizes = (VimgIndexSizes){get64(data + 24), get64(data + 32), get64(data + 40)};
    if (sizes->min < 1 || sizes->min > sizes->avg || sizes->avg > sizes->max ||
        sizes->max >= SLICE_LIMIT)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("index has impossible slice sizes"));
    if (get64(data + 48) != TABLE_SIZE || get64(data + 56) != TABLE_TYPE)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("index has no table of slices"));
    return TRUE;
}

static gboolean
check_tail(const guint8 *tail, gsize items, GError **error)
{
    if (get64(tail) != 0 || get64(tail + 8) != 0 || get64(tail + 16) != INDEX_SIZE ||
        get64(tail + 24) != 16 + (guint64)items + TAIL_SIZE || get64(tail + 32) != TABLE_MARKER)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("index is truncated"));
    return TRUE;
}

static gboolean
check_items(const VimgIndex *index, GError **error)
{
    guint64 start = 0;
    gsize i;

    for (i = 0; i < vimg_index_count(index); i++) {
        guint64 end = vimg_index_end(index, i);

        if (end <= start || end - start > index->sizes.max || end > G_MAXINT64)
            return throw_error(error, VIMG_ERROR_DAMAGED, _("index has an impossible slice %zu"),
                               i);
        start = end;
    }
    return TRUE;
}

VimgIndex *
vimg_index_decode(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(VimgIndex) index = NULL;
    VimgIndexSizes sizes;
    gsize items;

    if (size < VIMG_INDEX_OVERHEAD || size > VIMG_INDEX_MAX_SIZE ||
        (size - VIMG_INDEX_OVERHEAD) % VIMG_INDEX_ITEM != 0) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("index is truncated"));
        return NULL;
    }
    items = size - VIMG_INDEX_OVERHEAD;
    if (!check_head(data, &sizes, error) || !check_tail(data + HEAD_SIZE + items, items, error))
        return NULL;
    index = vimg_index_new(&sizes);
    g_byte_array_append(index->items, data + HEAD_SIZE, (guint)items);
    if (!check_items(index, error))
        return NULL;
    return g_steal_pointer(&index);
}

void
vimg_id_to_hex(const VimgSliceId *id, char out[VIMG_ID_HEX])
{
    static const char digits[] = "0123456789abcdef";
    gsize i;

    for (i = 0; i < VIMG_ID_SIZE; i++) {
        out[2 * i] = digits[id->bytes[i] >> 4];
        out[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    out[2 * VIMG_ID_SIZE] = '\0';
}

gboolean
vimg_id_parse(const char *text, VimgSliceId *out)
{
    gsize i;

    memset(out, 0, sizeof(*out));
    for (i = 0; i < 2 * VIMG_ID_SIZE; i++) {
        if (!g_ascii_isxdigit(text[i]) || g_ascii_isupper(text[i]))
            return FALSE;
        out->bytes[i / 2] = (guint8)(out->bytes[i / 2] << 4 | g_ascii_xdigit_value(text[i]));
    }
    return TRUE;
}

const VimgSliceId *
vimg_zero_id(guint64 length)
{
    if (length < VIMG_ZERO_MIN || length > VIMG_ZERO_MAX || (length & (length - 1)) != 0)
        return NULL;
    return &zero_ids[g_bit_storage(length) - g_bit_storage(VIMG_ZERO_MIN)];
}

gboolean
vimg_id_is_zero(const VimgSliceId *id)
{
    guint64 length;

    for (length = VIMG_ZERO_MIN; length <= VIMG_ZERO_MAX; length *= 2) {
        if (vimg_id_equal(id, vimg_zero_id(length)))
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_id_equal(const VimgSliceId *a, const VimgSliceId *b)
{
    return memcmp(a->bytes, b->bytes, VIMG_ID_SIZE) == 0;
}

guint
vimg_id_hash(gconstpointer id)
{
    guint value;

    /* a digest is as good a hash as any */
    memcpy(&value, ((const VimgSliceId *)id)->bytes, sizeof(value));
    return value;
}

gboolean
vimg_id_equal_func(gconstpointer a, gconstpointer b)
{
    return vimg_id_equal(a, b);
}
