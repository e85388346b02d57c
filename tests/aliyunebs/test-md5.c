/*
 * test-md5.c: MD5 side by side against GLib's, by every way this processor has; and who asks for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "sums.h"
#include "../../plugin/thread.h"

#define MOST 19 /* lanes: two groups and some */

/* Bytes whose end is that of what was allocated, so that a sanitizer sees who reads on. */
static VimgMd5Lane
lane_new(gsize size, gsize unaligned, guint seed)
{
    guint8 *bytes = g_malloc(size + unaligned + 1);
    gsize i;

    for (i = 0; i < size; i++)
        bytes[1 + unaligned + i] = (guint8)((i + seed * 7919) * 2654435761u >> 13);
    return (VimgMd5Lane){.data = bytes + 1 + unaligned, .size = size};
}

static void
lane_check_free(const VimgMd5Lane *lane, gsize unaligned)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_MD5);
    guint8 digest[VIMG_MD5_SIZE];
    gsize size = sizeof(digest);

    g_checksum_update(sum, lane->data, (gssize)lane->size);
    g_checksum_get_digest(sum, digest, &size);
    g_checksum_free(sum);
    g_assert_cmpmem(lane->digest, sizeof(lane->digest), digest, size);
    g_free((guint8 *)lane->data - unaligned - 1);
}

/* @n lanes, of @size bytes and @more each time more. */
static void
check(guint way, guint n, gsize size, gsize more)
{
    VimgMd5Lane lanes[MOST];
    const char *name;
    guint i;

    for (i = 0; i < n; i++)
        lanes[i] = lane_new(size + i * more, i, i);
    g_assert_true(vimg_md5_lanes_by(way, &name, lanes, n));
    for (i = 0; i < n; i++)
        lane_check_free(&lanes[i], i);
}

static void
test_way(gconstpointer data)
{
    guint way = GPOINTER_TO_UINT(data);
    gsize size;
    guint n;

    for (size = 0; size < 4 * 64 + 2; size++) {
        check(way, VIMG_MD5_LANES, size, 0);
        check(way, 5, size, 1);
    }
    for (n = 1; n <= MOST; n++) {
        check(way, n, 0, 37);
        check(way, n, 70001, 0);
        check(way, n, 1, 4096);
    }
}

static void
test_known(void)
{
    /* RFC 1321, A.5 */
    static const guint8 abc[] = {0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
                                 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72};
    static const guint8 none[] = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04,
                                  0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e};
    VimgMd5Lane lanes[] = {{.data = (const guint8 *)"abc", .size = 3}, {.data = NULL}};

    vimg_md5_lanes(lanes, 2);
    g_assert_cmpmem(lanes[0].digest, VIMG_MD5_SIZE, abc, sizeof(abc));
    g_assert_cmpmem(lanes[1].digest, VIMG_MD5_SIZE, none, sizeof(none));
}

/* ---- parts on their way ---- */

#define EACH 40

typedef struct {
    VimgSums *sums;
    guint seed;
    gint *left; /* how many came back; through __atomic builtins */
} Sender;

static void
on_sum(gpointer data, VimgSum *sum)
{
    lane_check_free(&sum->lane, 0);
    __atomic_add_fetch((gint *)data, 1, __ATOMIC_RELAXED);
    g_free(sum);
}

/* Parts as a worker has them: given up, waited for, or left. */
static void *
send(void *data)
{
    const Sender *sender = data;
    guint i;

    for (i = 0; i < EACH; i++) {
        VimgSum *sum = g_new0(VimgSum, 1);

        sum->lane = lane_new(4000 * (i % 5) + sender->seed, 0, i);
        if (i % 7 > 0)
            vimg_sums_offer(sender->sums, sum);
        if (i % 5 == 0)
            vimg_sums_hurry(sender->sums);
        if (i % 3 == 0)
            vimg_sums_withdraw(sender->sums, sum);
        if (i % 3 == 1)
            vimg_sums_wait(sender->sums, sum);
        /* it can be had also after it was withdrawn, and again */
        if (vimg_sums_leave(sender->sums, sum))
            on_sum(sender->left, sum);
    }
    return NULL;
}

/* Each comes back once, whoever is the first to end. */
static void
test_senders(gconstpointer data)
{
    gint left = 0;
    VimgSums *sums = vimg_sums_new(GPOINTER_TO_UINT(data), on_sum, &left);
    Sender senders[11];
    pthread_t threads[G_N_ELEMENTS(senders)];
    guint i;

    for (i = 0; i < G_N_ELEMENTS(senders); i++) {
        senders[i] = (Sender){.sums = sums, .seed = i, .left = &left};
        g_assert_cmpint(thread_start(&threads[i], send, &senders[i]), ==, 0);
    }
    for (i = 0; i < G_N_ELEMENTS(senders); i++)
        pthread_join(threads[i], NULL);
    vimg_sums_free(sums);
    g_assert_cmpint(left, ==, G_N_ELEMENTS(senders) * EACH);
}

/* The one that is waited for is summed, though those before it are more than a batch. */
static void
test_first(void)
{
    g_autoptr(VimgSums) sums = vimg_sums_new(VIMG_MD5_LANES, on_sum, NULL);
    VimgSum parts[3 * VIMG_MD5_LANES];
    guint i;

    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        parts[i] = (VimgSum){.lane = lane_new(1000 * i, 0, i)};
        vimg_sums_offer(sums, &parts[i]);
    }
    for (i = G_N_ELEMENTS(parts); i > 0; i -= 2)
        vimg_sums_wait(sums, &parts[i - 1]);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        vimg_sums_withdraw(sums, &parts[i]);
        vimg_sums_wait(sums, &parts[i]);
        lane_check_free(&parts[i].lane, 0);
    }
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    gboolean done;
} Waiter;

static void
on_alone(gpointer data, VimgSum *sum)
{
    Waiter *waiter = data;
    LOCK_GUARD(&waiter->lock);

    lane_check_free(&sum->lane, 0);
    waiter->done = TRUE;
    thread_must(pthread_cond_signal(&waiter->came));
}

/* One that is left alone comes back after some time, or if somebody waits for it. */
static void
test_alone(gconstpointer data)
{
    Waiter waiter = {.done = FALSE};
    VimgSum sum = {.lane = lane_new(100, 0, 1)};
    VimgSums *sums = vimg_sums_new(VIMG_MD5_LANES, on_alone, &waiter);

    thread_must(pthread_mutex_init(&waiter.lock, NULL));
    cond_init(&waiter.came);
    vimg_sums_offer(sums, &sum);
    if (vimg_sums_leave(sums, &sum))
        on_alone(&waiter, &sum);
    if (data) {
        vimg_sums_settle(sums);
        g_assert_true(waiter.done);
    } else {
        LOCK_GUARD(&waiter.lock);

        while (!waiter.done)
            thread_must(pthread_cond_wait(&waiter.came, &waiter.lock));
    }
    vimg_sums_free(sums);
    pthread_cond_destroy(&waiter.came);
    pthread_mutex_destroy(&waiter.lock);
}

/* What is offered when all ends is left alone. */
static void
test_end(void)
{
    VimgSums *sums = vimg_sums_new(VIMG_MD5_LANES, on_sum, NULL);
    VimgSum sum = {.lane = lane_new(100, 0, 1)};
    VimgMd5Lane before = sum.lane;

    vimg_sums_offer(sums, &sum);
    vimg_sums_free(sums);
    g_assert_cmpmem(&sum.lane, sizeof(sum.lane), &before, sizeof(before));
    g_free((guint8 *)sum.lane.data - 1);
}

int
main(int argc, char **argv)
{
    const char *name;
    guint way;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/md5/known", test_known);
    for (way = 0; vimg_md5_lanes_by(way, &name, NULL, 0) || name; way++) {
        g_autofree char *path = g_strdup_printf("/md5/way/%s", name);

        if (vimg_md5_lanes_by(way, &name, NULL, 0)) /* what the processor has */
            g_test_add_data_func(path, GUINT_TO_POINTER(way), test_way);
    }
    g_test_add_data_func("/md5/senders/one", GUINT_TO_POINTER(1), test_senders);
    g_test_add_data_func("/md5/senders/eight", GUINT_TO_POINTER(8), test_senders);
    g_test_add_func("/md5/first", test_first);
    g_test_add_data_func("/md5/alone/some-time", NULL, test_alone);
    g_test_add_data_func("/md5/alone/settled", "", test_alone);
    g_test_add_func("/md5/end", test_end);
    return g_test_run();
}
