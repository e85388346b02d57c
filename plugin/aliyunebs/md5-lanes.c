/*
 * md5-lanes.c: MD5 (RFC 1321) of several blocks of bytes side by side
 *
 * Lane i of each vector belongs to block of bytes i.  The code is written once, with vectors of the
 * compiler, and compiled once for each set of instructions that makes it fast; which one is taken
 * is decided where it runs.  One alone is the library's, which is as fast.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "crypt.h"
#include "md5-lanes.h"

#define LANES VIMG_MD5_LANES
#define BLOCK 64
#define LENGTH_SIZE 8 /* of the count of bits that ends the last block */

typedef guint32 Words __attribute__((vector_size(4 * LANES)));
typedef guint32 WordsAnywhere __attribute__((vector_size(4 * LANES), aligned(1), may_alias));

/* One group of lanes on its way. */
typedef struct {
    Words state[4];
    const guint8 *at[LANES]; /* the next block of each */
    gsize step[LANES];       /* BLOCK; 0: it ended, and what it sums up meanwhile is nothing */
    gsize left[LANES];       /* blocks, of the bytes or of what ends them */
    gboolean ending[LANES];
    guint8 tail[LANES][2 * BLOCK]; /* what is behind the last whole block, and how long it was */
} Group;

/* @count blocks of each lane. */
typedef void (*Compress)(Group *group, gsize count);

#ifdef __x86_64__

/* floor(2^32 |sin(i + 1)|) */
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
/* RFC 1321, 3.4: how far step i turns to the left, a row a round, over again each four steps */
static const guint turns[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
/* and which word it takes: the first of a round, and how far on it is each step */
static const guint firsts[4] = {0, 1, 5, 0};
static const guint strides[4] = {1, 5, 3, 7};

#define INLINE static inline __attribute__((always_inline))
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Row i is eight words of lane i; then it is word i of eight lanes. */
INLINE void
transpose(Words *rows)
{
    Words pairs[8];
    Words fours[8];
    guint i;

#pragma GCC unroll 4
    for (i = 0; i < 8; i += 2) {
        pairs[i] = MIX(rows[i], rows[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[i + 1] = MIX(rows[i], rows[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 4
    for (i = 0; i < 4; i++) {
        guint from = i / 2 * 4 + i % 2;

        fours[i / 2 * 4 + i % 2 * 2] = MIX(pairs[from], pairs[from + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        fours[i / 2 * 4 + i % 2 * 2 + 1] =
            MIX(pairs[from], pairs[from + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma GCC unroll 4
    for (i = 0; i < 4; i++) {
        rows[i] = MIX(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        rows[i + 4] = MIX(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

INLINE void
load(Group *group, Words *words)
{
    guint i;

#pragma GCC unroll 8
    for (i = 0; i < LANES; i++) {
        words[i] = *(const WordsAnywhere *)group->at[i];
        words[i + 8] = *(const WordsAnywhere *)(group->at[i] + BLOCK / 2);
        group->at[i] += group->step[i];
    }
    transpose(words);
    transpose(words + 8);
}

/* @count blocks of each lane. */
INLINE void
compress(Group *group, gsize count)
{
    Words a = group->state[0];
    Words b = group->state[1];
    Words c = group->state[2];
    Words d = group->state[3];

    for (; count > 0; count--) {
        const Words before[4] = {a, b, c, d};
        Words words[BLOCK / 4];
        guint i;

        load(group, words);
#pragma GCC unroll 64
        for (i = 0; i < 64; i++) {
            const guint round = i / 16;
            const guint turn = turns[round][i % 4];
            const Words mixed = round == 0   ? (d ^ (b & (c ^ d)))
                                : round == 1 ? (c ^ (d & (b ^ c)))
                                : round == 2 ? (b ^ c ^ d)
                                             : (c ^ (b | ~d));
            const Words sum =
                a + (words[(firsts[round] + i * strides[round]) % 16] + sines[i]) + mixed;

            a = d;
            d = c;
            c = b;
            b += sum << turn | sum >> (32 - turn);
        }
        a += before[0];
        b += before[1];
        c += before[2];
        d += before[3];
    }
    group->state[0] = a;
    group->state[1] = b;
    group->state[2] = c;
    group->state[3] = d;
}

__attribute__((target("avx2"))) static void
compress_avx2(Group *group, gsize count)
{
    compress(group, count);
}

/* Which turn and mix words by one instruction each. */
__attribute__((target("avx2,avx512f,avx512vl"))) static void
compress_avx512(Group *group, gsize count)
{
    compress(group, count);
}

static gboolean
has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

static gboolean
has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

#endif

/* A bit behind the last byte, and at the end of a block the number of bits before it. */
static void
end_lane(Group *group, guint i, const VimgMd5Lane *lane)
{
    gsize rest = lane->size % BLOCK;
    gsize size = rest + 1 + LENGTH_SIZE <= BLOCK ? BLOCK : 2 * BLOCK;
    guint64 bits = GUINT64_TO_LE((guint64)lane->size * 8);

    if (rest > 0)
        memcpy(group->tail[i], lane->data + lane->size - rest, rest);
    memset(group->tail[i] + rest, 0, size - rest);
    group->tail[i][rest] = 0x80;
    memcpy(group->tail[i] + size - LENGTH_SIZE, &bits, LENGTH_SIZE);
    group->at[i] = group->tail[i];
    group->left[i] = size / BLOCK;
    group->ending[i] = TRUE;
}

static void
close_lane(Group *group, guint i, VimgMd5Lane *lane)
{
    guint word;

    for (word = 0; lane && word < 4; word++) {
        guint32 value = GUINT32_TO_LE(group->state[word][i]);

        memcpy(lane->digest + 4 * word, &value, sizeof(value));
    }
    group->at[i] = group->tail[i];
    group->step[i] = 0;
}

static void
begin(Group *group, const VimgMd5Lane *lanes, guint n)
{
    static const guint32 initial[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    guint i;

    for (i = 0; i < 4; i++)
        group->state[i] = (Words){0} + initial[i];
    for (i = 0; i < LANES; i++) {
        group->left[i] = i < n ? lanes[i].size / BLOCK : 0;
        group->step[i] = BLOCK;
        group->ending[i] = FALSE;
        if (i >= n)
            close_lane(group, i, NULL);
        else if (group->left[i] > 0)
            group->at[i] = lanes[i].data;
        else
            end_lane(group, i, &lanes[i]);
    }
}

/* At most LANES. */
static void
sum_group(Compress compress_them, VimgMd5Lane *lanes, guint n)
{
    Group group;
    gsize count;
    guint i;

    memset(group.tail, 0, sizeof(group.tail));
    begin(&group, lanes, n);
    for (;;) {
        count = 0;
        for (i = 0; i < n; i++)
            if (group.step[i] > 0)
                count = count > 0 ? MIN(count, group.left[i]) : group.left[i];
        if (count == 0)
            return;
        compress_them(&group, count);
        for (i = 0; i < n; i++) {
            group.left[i] -= group.step[i] > 0 ? count : 0;
            if (group.step[i] == 0 || group.left[i] > 0)
                continue;
            if (group.ending[i])
                close_lane(&group, i, &lanes[i]);
            else
                end_lane(&group, i, &lanes[i]);
        }
    }
}

static void
sum_alone(VimgMd5Lane *lane)
{
    guint8 out[EVP_MAX_MD_SIZE];

    vimg_digest(EVP_md5(), lane->data ? (const void *)lane->data : "", lane->size, out);
    memcpy(lane->digest, out, VIMG_MD5_SIZE);
}

/* The best one last. */
static const struct {
    const char *name;
    gboolean (*has)(void); /* NULL: always */
    Compress compress;     /* NULL: one by one */
} ways[] = {
    {"plain", NULL, NULL},
#ifdef __x86_64__
    {"AVX2", has_avx2, compress_avx2},
    {"AVX-512", has_avx512, compress_avx512},
#endif
};

static void
sum_by(guint way, VimgMd5Lane *lanes, guint n)
{
    guint i;

    if (ways[way].compress)
        for (i = 0; i < n; i += LANES)
            sum_group(ways[way].compress, lanes + i, MIN(n - i, LANES));
    else
        for (i = 0; i < n; i++)
            sum_alone(&lanes[i]);
}

static guint
best_way(void)
{
    guint way = G_N_ELEMENTS(ways) - 1;

    while (ways[way].has && !ways[way].has())
        way--;
    return way;
}

guint
vimg_md5_width(void)
{
    return ways[best_way()].compress ? VIMG_MD5_LANES : 1;
}

void
vimg_md5_lanes(VimgMd5Lane *lanes, guint n)
{
    sum_by(n == 1 ? 0 : best_way(), lanes, n);
}

gboolean
vimg_md5_lanes_by(guint way, const char **name, VimgMd5Lane *lanes, guint n)
{
    *name = way < G_N_ELEMENTS(ways) ? ways[way].name : NULL;
    if (!*name || (ways[way].has && !ways[way].has()))
        return FALSE;
    sum_by(way, lanes, n);
    return TRUE;
}
