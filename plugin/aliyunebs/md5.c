/*
 * md5.c: MD5 (RFC 1321) of several pieces of one size at a time
 *
 * Each step of a sum waits for the one before, so one sum alone leaves most of a core idle: as many
 * as there are lanes of a vector take little longer than one.  It says whether bytes arrived whole,
 * and protects nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "md5.h"

#define LANES VIMG_MD5_LANES
#define BLOCK 64
#define WORDS 16

typedef guint32 Lanes __attribute__((vector_size(4 * LANES)));

/* 2^32 times the sine of 1 to 64, without its sign and fraction */
static const guint32 sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

/* Macros, as what a function takes and returns of vectors depends on the processor. */
#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) F(z, x, y)
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))

#define STEP(f, a, b, c, d, word, sine, shift)                                                     \
    do {                                                                                           \
        (a) += f(b, c, d) + (word) + (sine);                                                       \
        (a) = ((a) << (shift) | (a) >> (32 - (shift))) + (b);                                      \
    } while (0)

/* Step N of a round takes word (@first + N times @stride) of the block. */
#define ROUND(f, round, first, stride, s1, s2, s3, s4)                                             \
    for (i = 0; i < WORDS; i += 4) {                                                               \
        const guint32 *sine = sines + (round)*WORDS + i;                                           \
        guint n = (first) + i * (stride);                                                          \
                                                                                                   \
        STEP(f, a, b, c, d, word[n % WORDS], sine[0], s1);                                         \
        STEP(f, d, a, b, c, word[(n + (stride)) % WORDS], sine[1], s2);                            \
        STEP(f, c, d, a, b, word[(n + 2 * (stride)) % WORDS], sine[2], s3);                        \
        STEP(f, b, c, d, a, word[(n + 3 * (stride)) % WORDS], sine[3], s4);                        \
    }

static void
load(const guint8 *const *data, gsize at, Lanes *word)
{
    guint lane, i;

    for (lane = 0; lane < LANES; lane++) {
        guint32 block[WORDS];

        memcpy(block, data[lane] + at, BLOCK);
        for (i = 0; i < WORDS; i++)
            word[i][lane] = GUINT32_FROM_LE(block[i]);
    }
}

static void
add_blocks(Lanes *state, const guint8 *const *data, gsize size)
{
    gsize at;

    for (at = 0; at < size; at += BLOCK) {
        Lanes a = state[0], b = state[1], c = state[2], d = state[3];
        Lanes word[WORDS];
        guint i;

        load(data, at, word);
        ROUND(F, 0, 0, 1, 7, 12, 17, 22)
        ROUND(G, 1, 1, 5, 5, 9, 14, 20)
        ROUND(H, 2, 5, 3, 4, 11, 16, 23)
        ROUND(I, 3, 0, 7, 6, 10, 15, 21)
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }
}

/* What is left of a piece, a bit, and how many bits it has. */
static void
add_end(Lanes *state, const guint8 *const *data, gsize size)
{
    guint8 end[LANES][2 * BLOCK] = {0};
    const guint8 *ends[LANES];
    gsize rest = size % BLOCK;
    gsize length = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    guint64 bits = GUINT64_TO_LE((guint64)size * 8);
    guint lane;

    for (lane = 0; lane < LANES; lane++) {
        memcpy(end[lane], data[lane] + size - rest, rest);
        end[lane][rest] = 0x80;
        memcpy(end[lane] + length - 8, &bits, 8);
        ends[lane] = end[lane];
    }
    add_blocks(state, ends, length);
}

void
vimg_md5_lanes(const guint8 *const *pieces, guint n, gsize size, guint8 (*out)[VIMG_MD5_SIZE])
{
    static const guint32 first[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const guint8 *data[LANES];
    Lanes state[4];
    guint lane, i;

    for (lane = 0; lane < LANES; lane++) {
        data[lane] = pieces[MIN(lane, n - 1)]; /* lanes of nobody do what the last one does */
        for (i = 0; i < 4; i++)
            state[i][lane] = first[i];
    }
    add_blocks(state, data, size - size % BLOCK);
    add_end(state, data, size);
    for (lane = 0; lane < n; lane++)
        for (i = 0; i < 4; i++) {
            guint32 sum = GUINT32_TO_LE(state[i][lane]);

            memcpy(out[lane] + 4 * i, &sum, 4);
        }
}
