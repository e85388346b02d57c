/*
 * test-ahead.c: bytes on their way from one thread to another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fetch/ahead.h"
#include "util/error.h"

#define MIB (1024 * 1024)
#define TOTAL (3 * VIMG_AHEAD_MAX + 12345)
#define OFFSET (5 * MIB + 17)

typedef struct {
    VimgAhead ahead;
    VimgThread thread;
    gsize step;       /* bytes of a put */
    gboolean refused; /* it was closed */
} Fixture;

static guint8
byte_at(guint64 at)
{
    return (guint8)(at * 31 + (at >> 12));
}

static void
give(gpointer data)
{
    Fixture *fixture = data;
    g_autofree guint8 *bytes = g_malloc(fixture->step);
    gsize done = 0;

    vimg_ahead_ready(&fixture->ahead, OFFSET);
    while (done < TOTAL && !fixture->refused) {
        gsize n = MIN(fixture->step, TOTAL - done);

        for (gsize i = 0; i < n; i++)
            bytes[i] = byte_at(OFFSET + done + i);
        fixture->refused = !vimg_ahead_put(&fixture->ahead, bytes, n);
        done += n;
    }
    vimg_ahead_end(&fixture->ahead, NULL);
}

static void
start(Fixture *fixture, gsize step)
{
    *fixture = (Fixture){.step = step};
    vimg_ahead_init(&fixture->ahead);
    g_assert_true(vimg_thread_start(&fixture->thread, "give", give, fixture, NULL));
}

static void
test_all(gconstpointer data)
{
    Fixture fixture;
    VimgAheadState state;
    gsize done = 0;
    guint pieces = 0;

    start(&fixture, GPOINTER_TO_SIZE(data));
    for (;;) {
        g_autoptr(VimgBuffer) buffer = NULL;

        state = vimg_ahead_take(&fixture.ahead, &buffer, NULL);
        if (state == VIMG_AHEAD_END)
            break;
        if (state == VIMG_AHEAD_NOTHING)
            continue;
        g_assert_cmpint(state, ==, VIMG_AHEAD_READY);
        if (pieces++ == 0)
            g_assert_cmpuint(buffer->size, ==, VIMG_FETCH_HEAD);
        for (gsize i = 0; i < buffer->size; i++)
            g_assert_cmpuint(buffer->data[i], ==, byte_at(OFFSET + done + i));
        done += buffer->size;
        /* never over a whole MiB */
        g_assert_cmpuint((OFFSET + done - 1) / MIB, ==, (OFFSET + done - buffer->size) / MIB);
    }
    g_assert_cmpuint(done, ==, TOTAL);
    vimg_thread_join(fixture.thread);
    vimg_ahead_clear(&fixture.ahead);
}

static void
test_bounded(void)
{
    Fixture fixture;
    guint64 waiting = 0;

    start(&fixture, MIB);
    /* until nothing more comes for a while */
    for (guint still = 0; still < 50 || waiting < VIMG_AHEAD_MAX; still++) {
        g_usleep(1000);
        vimg_mutex_lock(&fixture.ahead.lock);
        if (waiting != fixture.ahead.waiting)
            still = 0;
        waiting = fixture.ahead.waiting;
        vimg_mutex_unlock(&fixture.ahead.lock);
    }
    g_assert_cmpuint(waiting, <, VIMG_AHEAD_MAX + MIB);
    vimg_ahead_close(&fixture.ahead);
    vimg_thread_join(fixture.thread);
    g_assert_true(fixture.refused);
    g_assert_true(vimg_ahead_closed(&fixture.ahead));
    g_assert_false(vimg_ahead_rest(&fixture.ahead, G_USEC_PER_SEC));
    vimg_ahead_clear(&fixture.ahead);
}

/* What comes slowly is there before a buffer is full, but not before the head is. */
static void
test_slow(void)
{
    VimgAhead ahead;
    g_autoptr(VimgBuffer) head = NULL;
    g_autoptr(VimgBuffer) part = NULL;
    g_autofree guint8 *bytes = g_malloc0(VIMG_FETCH_HEAD);

    vimg_ahead_init(&ahead);
    g_assert_true(vimg_ahead_put(&ahead, bytes, VIMG_FETCH_HEAD - 1));
    g_assert_cmpint(vimg_ahead_take(&ahead, &head, NULL), ==, VIMG_AHEAD_NOTHING);
    g_assert_true(vimg_ahead_put(&ahead, bytes, 11));
    g_assert_cmpint(vimg_ahead_take(&ahead, &head, NULL), ==, VIMG_AHEAD_READY);
    g_assert_cmpuint(head->size, ==, VIMG_FETCH_HEAD);
    g_assert_cmpint(vimg_ahead_take(&ahead, &part, NULL), ==, VIMG_AHEAD_READY);
    g_assert_cmpuint(part->size, ==, 10);
    vimg_ahead_clear(&ahead);
}

static void
test_failed(void)
{
    VimgAhead ahead;
    VimgBuffer *buffer = NULL;
    GError *why = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_FAILED, "why");

    vimg_ahead_init(&ahead);
    g_assert_true(vimg_ahead_put(&ahead, (const guint8 *)"abc", 3));
    vimg_ahead_end(&ahead, why);
    g_assert_cmpint(vimg_ahead_take(&ahead, &buffer, NULL), ==, VIMG_AHEAD_READY);
    g_assert_cmpmem(buffer->data, buffer->size, "abc", 3);
    vimg_buffer_unref(buffer);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(vimg_ahead_take(&ahead, &buffer, &error), ==, VIMG_AHEAD_FAILED);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    }
    vimg_ahead_clear(&ahead);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ahead/odd", GSIZE_TO_POINTER(65537), test_all);
    g_test_add_data_func("/ahead/small", GSIZE_TO_POINTER(1000), test_all);
    g_test_add_data_func("/ahead/large", GSIZE_TO_POINTER(5 * MIB), test_all);
    g_test_add_func("/ahead/bounded", test_bounded);
    g_test_add_func("/ahead/slow", test_slow);
    g_test_add_func("/ahead/failed", test_failed);
    return g_test_run();
}
