/*
 * crc64.c: CRC-64/XZ, which the service calls crc64ecma, of pieces and of what they make together
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <lzma.h>

#include "crc64.h"

#define POLYNOMIAL G_GUINT64_CONSTANT(0xC96C5795D7870F42) /* lowest bit: highest power */

guint64
vimg_crc64(guint64 before, const void *data, gsize size)
{
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
