/*
 * crc64.c: CRC-64/XZ, which the service calls crc64ecma, of pieces and of what they make together
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <lzma.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "crc64.h"

#define POLYNOMIAL G_GUINT64_CONSTANT(0xC96C5795D7870F42) /* lowest bit: highest power */

#ifdef __x86_64__

#define FOLDS 4                        /* at a time, as each waits for the one before it */
#define STEP (FOLDS * sizeof(__m128i)) /* bytes */
#define ENOUGH (4 * STEP)              /* of fewer the library's is as fast */
#define CARRYLESS __attribute__((target("pclmul")))

/* x^(d + 63) and x^(d - 1) modulo the polynomial: both halves of what is d bits ahead, less the one
 * bit by which products of such turned numbers are short. */
static const guint64 far_on[2] = {0x6ae3efbb9dd441f3, 0x081f6054a7842df4};  /* d: 8 STEP */
static const guint64 next_on[2] = {0xe05dd497ca393ae4, 0xdabe95afc7875f40}; /* d: 128 */

/* @ahead is moved by so many bits to where @data is. */
CARRYLESS static inline __m128i
fold(__m128i ahead, __m128i by, __m128i data)
{
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(ahead, by, 0x00), _mm_clmulepi64_si128(ahead, by, 0x11)),
        data);
}

/* At least STEP bytes, which become 16 of the same remainder; the library has the rest. */
CARRYLESS static guint64
crc_folded(guint64 before, const guint8 *data, gsize size)
{
    const __m128i far = _mm_loadu_si128((const __m128i *)far_on);
    const __m128i next = _mm_loadu_si128((const __m128i *)next_on);
    const __m128i *at = (const __m128i *)data;
    __m128i folds[FOLDS];
    guint8 last[sizeof(__m128i)];
    guint i;

    for (i = 0; i < FOLDS; i++)
        folds[i] = _mm_loadu_si128(at + i);
    folds[0] = _mm_xor_si128(folds[0], _mm_set_epi64x(0, (gint64)~before));
    for (at += FOLDS, size -= STEP; size >= STEP; at += FOLDS, size -= STEP)
#pragma GCC unroll 4
        for (i = 0; i < FOLDS; i++)
            folds[i] = fold(folds[i], far, _mm_loadu_si128(at + i));
    for (i = 1; i < FOLDS; i++)
        folds[i] = fold(folds[i - 1], next, folds[i]);
    _mm_storeu_si128((__m128i *)last, folds[FOLDS - 1]);
    return lzma_crc64((const guint8 *)at, size, lzma_crc64(last, sizeof(last), G_MAXUINT64));
}

#endif

guint64
vimg_crc64(guint64 before, const void *data, gsize size)
{
#ifdef __x86_64__
    if (size >= ENOUGH && __builtin_cpu_supports("pclmul"))
        return crc_folded(before, data, size);
#endif
    return lzma_crc64(data, size, before);
}

/* @a times @b modulo the polynomial. */
static guint64
multiply(guint64 a, guint64 b)
{
    guint64 product = 0;

    for (; a; a <<= 1) {
        if (a >> 63)
            product ^= b;
        b = (b >> 1) ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return product;
}

/*
 * Bytes that follow multiply what was before by x^8 each: x^(8 @length) by squaring.  What begins
 * and ends each sum (all ones) cancels out.
 */
guint64
vimg_crc64_combine(guint64 first, guint64 second, guint64 length)
{
    guint64 power = G_GUINT64_CONSTANT(1) << 55; /* x^8 */
    guint64 shift = G_GUINT64_CONSTANT(1) << 63; /* 1 */

    for (; length; length >>= 1) {
        if (length & 1)
            shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return multiply(first, shift) ^ second;
}
