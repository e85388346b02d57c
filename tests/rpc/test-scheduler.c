/*
 * test-scheduler.c: who gets a worker: fast ones reserved, pools limited, in order and in turn
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/scheduler.h"
#include "util/error.h"
#include "util/thread.h"

#define DEADLINE (20 * G_USEC_PER_SEC)

/* Tasks wait at a gate; what began and what ended is counted per pool. */
typedef struct {
    VimgMutex lock;
    VimgCond changed;
    guint begun[4]; /* by pool */
    guint ended[4];
    guint running[4];
    guint most[4]; /* at a time */
    guint tickets; /* tasks that may pass the gate */
    GString *order;
} Board;

typedef struct {
    VimgTask task;
    Board *board;
    guint pool;
    gboolean gated;
    char name;
} Job;

static void
board_init(Board *board)
{
    *board = (Board){.order = g_string_new(NULL)};
    vimg_mutex_init(&board->lock);
    vimg_cond_init(&board->changed);
}

static void
board_clear(Board *board)
{
    g_string_free(board->order, TRUE);
    vimg_cond_clear(&board->changed);
    vimg_mutex_clear(&board->lock);
}

static void
run(gpointer data)
{
    g_autofree Job *job = data;
    Board *board = job->board;

    VIMG_LOCK_GUARD(&board->lock);
    board->begun[job->pool]++;
    board->running[job->pool]++;
    board->most[job->pool] = MAX(board->most[job->pool], board->running[job->pool]);
    g_string_append_c(board->order, job->name);
    vimg_cond_broadcast(&board->changed);
    while (job->gated && !board->tickets)
        vimg_cond_wait(&board->changed, &board->lock);
    if (job->gated)
        board->tickets--;
    board->running[job->pool]--;
    board->ended[job->pool]++;
    vimg_cond_broadcast(&board->changed);
}

static Job *
job_new(Board *board, guint pool, gboolean gated, char name)
{
    Job *job = g_new(Job, 1);

    *job = (Job){{.func = run, .data = job}, board, pool, gated, name};
    return job;
}

static const char *const pools[] = {NULL, "a", "b", "c"};

static void
push(VimgScheduler *scheduler, Board *board, guint pool, gboolean gated, char name)
{
    vimg_scheduler_push_slow(scheduler, pools[pool], &job_new(board, pool, gated, name)->task);
}

/* Waits until *@counter is @value. */
static void
wait_for(Board *board, const guint *counter, guint value)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;

    VIMG_LOCK_GUARD(&board->lock);
    while (*counter < value)
        g_assert_true(vimg_cond_wait_until(&board->changed, &board->lock, deadline));
    g_assert_cmpuint(*counter, ==, value);
}

static void
open_gate(Board *board, guint tickets)
{
    VIMG_LOCK_GUARD(&board->lock);
    board->tickets += tickets;
    vimg_cond_broadcast(&board->changed);
}

static void
test_hung_pool(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 4, 2, &error);
    Board board;
    guint i;

    g_assert_no_error(error);
    board_init(&board);
    for (i = 0; i < 10; i++)
        push(scheduler, &board, 1, TRUE, 'a');
    wait_for(&board, &board.begun[1], 2);
    /* the storage behind a hangs; everybody else goes on */
    for (i = 0; i < 10; i++) {
        push(scheduler, &board, 2, FALSE, 'b');
        push(scheduler, &board, 0, FALSE, '-');
    }
    wait_for(&board, &board.ended[2], 10);
    wait_for(&board, &board.ended[0], 10);
    g_assert_cmpuint(board.begun[1], ==, 2);
    open_gate(&board, 10);
    vimg_scheduler_free(scheduler);
    g_assert_cmpuint(board.ended[1], ==, 10);
    g_assert_cmpuint(board.most[1], ==, 2);
    g_assert_cmpuint(board.most[2], <=, 2);
    board_clear(&board);
}

/* A limit that would let one pool take every worker is lowered. */
static void
test_last_worker(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 3, 100, &error);
    Board board;
    guint i;

    board_init(&board);
    for (i = 0; i < 5; i++)
        push(scheduler, &board, 1, TRUE, 'a');
    wait_for(&board, &board.begun[1], 2);
    push(scheduler, &board, 2, FALSE, 'b');
    wait_for(&board, &board.ended[2], 1);
    g_assert_cmpuint(board.begun[1], ==, 2);
    open_gate(&board, 5);
    vimg_scheduler_free(scheduler);
    board_clear(&board);
}

/* Calls that name no pool may hang too. */
static void
test_no_pool(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 4, 4, &error);
    Board board;
    guint i;

    board_init(&board);
    for (i = 0; i < 8; i++)
        push(scheduler, &board, 0, TRUE, '-');
    wait_for(&board, &board.begun[0], 2);
    push(scheduler, &board, 1, FALSE, 'a');
    wait_for(&board, &board.ended[1], 1);
    g_assert_cmpuint(board.begun[0], ==, 2);
    open_gate(&board, 8);
    vimg_scheduler_free(scheduler);
    g_assert_cmpuint(board.most[0], ==, 2);
    board_clear(&board);
}

/* However many take long, workers are left; too many are refused. */
static void
test_long(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 1, 1, &error);
    Board board;
    Job *job;
    Job *import;

    board_init(&board);
    for (guint i = 0; i < VIMG_SCHEDULER_LONG_MAX; i++) {
        job = job_new(&board, 1, TRUE, 'l');
        g_assert_true(
            vimg_scheduler_push_long(scheduler, VIMG_SCHEDULER_UPKEEP, &job->task, &error));
        g_assert_false(vimg_scheduler_remove(scheduler, &job->task));
    }
    wait_for(&board, &board.begun[1], VIMG_SCHEDULER_LONG_MAX);
    job = job_new(&board, 2, FALSE, 'm');
    g_assert_false(vimg_scheduler_push_long(scheduler, VIMG_SCHEDULER_UPKEEP, &job->task, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "16 cleanups"));
    g_clear_error(&error);
    push(scheduler, &board, 1, FALSE, 'a');
    wait_for(&board, &board.ended[1], 1);

    /* imports are counted by themselves */
    import = job_new(&board, 3, FALSE, 'i');
    g_assert_true(
        vimg_scheduler_push_long(scheduler, VIMG_SCHEDULER_IMPORT, &import->task, &error));
    g_assert_no_error(error);
    wait_for(&board, &board.ended[3], 1);

    /* one that ended leaves its place to another */
    open_gate(&board, 1);
    wait_for(&board, &board.ended[1], 2);
    while (!vimg_scheduler_push_long(scheduler, VIMG_SCHEDULER_UPKEEP, &job->task, NULL))
        g_thread_yield();
    wait_for(&board, &board.ended[2], 1);
    open_gate(&board, VIMG_SCHEDULER_LONG_MAX - 1);
    vimg_scheduler_free(scheduler);
    g_assert_cmpuint(board.ended[1], ==, VIMG_SCHEDULER_LONG_MAX + 1);
    board_clear(&board);
}

static void
test_fast(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 2, 2, &error);
    Board board;
    guint pool;

    board_init(&board);
    for (pool = 1; pool < 4; pool++)
        push(scheduler, &board, pool, TRUE, 'x');
    wait_for(&board, &board.begun[1], 1);
    wait_for(&board, &board.begun[2], 1);
    /* every slow worker hangs */
    vimg_scheduler_push_fast(scheduler, run, job_new(&board, 0, FALSE, 'f'));
    wait_for(&board, &board.ended[0], 1);
    g_assert_cmpuint(board.begun[3], ==, 0);
    open_gate(&board, 3);
    vimg_scheduler_free(scheduler);
    g_assert_cmpuint(board.ended[3], ==, 1);
    board_clear(&board);
}

/* One worker: the order of beginning is the order of choice. */
static void
test_order(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 1, 1, &error);
    Board board;
    const char *c;

    board_init(&board);
    push(scheduler, &board, 3, TRUE, '0');
    wait_for(&board, &board.begun[3], 1);
    for (c = "123456"; *c; c++) /* a backlog of a */
        push(scheduler, &board, 1, FALSE, *c);
    for (c = "xyz"; *c; c++) /* b comes later and takes turns with it */
        push(scheduler, &board, 2, FALSE, *c);
    open_gate(&board, 1);
    vimg_scheduler_free(scheduler);
    g_assert_cmpstr(board.order->str, ==, "01x2y3z456");
    board_clear(&board);
}

/* What has not begun can be taken back, from either end of a line and with the line itself. */
static void
test_remove(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(1, 1, 1, &error);
    Job *jobs[6], *begun;
    Board board;
    guint i;

    board_init(&board);
    begun = job_new(&board, 3, TRUE, '0');
    vimg_scheduler_push_slow(scheduler, pools[3], &begun->task);
    wait_for(&board, &board.begun[3], 1);
    g_assert_false(vimg_scheduler_remove(scheduler, &begun->task));
    for (i = 0; i < G_N_ELEMENTS(jobs); i++) {
        jobs[i] = job_new(&board, i < 5 ? 1 : 2, FALSE, (char)('1' + i));
        vimg_scheduler_push_slow(scheduler, pools[jobs[i]->pool], &jobs[i]->task);
    }
    for (i = 0; i < G_N_ELEMENTS(jobs); i++) {
        if (i == 1 || i == 3)
            continue;
        g_assert_true(vimg_scheduler_remove(scheduler, &jobs[i]->task));
        g_assert_false(vimg_scheduler_remove(scheduler, &jobs[i]->task));
        g_free(jobs[i]);
    }
    push(scheduler, &board, 2, FALSE, 'x');
    open_gate(&board, 1);
    vimg_scheduler_free(scheduler);
    g_assert_cmpstr(board.order->str, ==, "02x4");
    board_clear(&board);
}

static void
test_zero(void)
{
    g_autoptr(GError) error = NULL;
    VimgScheduler *scheduler = vimg_scheduler_new(0, 0, 0, &error);
    Board board;

    board_init(&board);
    push(scheduler, &board, 1, FALSE, 'a');
    vimg_scheduler_push_fast(scheduler, run, job_new(&board, 2, FALSE, 'f'));
    vimg_scheduler_free(scheduler);
    g_assert_cmpuint(board.ended[1] + board.ended[2], ==, 2);
    board_clear(&board);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scheduler/hung-pool", test_hung_pool);
    g_test_add_func("/scheduler/last-worker", test_last_worker);
    g_test_add_func("/scheduler/no-pool", test_no_pool);
    g_test_add_func("/scheduler/long", test_long);
    g_test_add_func("/scheduler/fast", test_fast);
    g_test_add_func("/scheduler/order", test_order);
    g_test_add_func("/scheduler/remove", test_remove);
    g_test_add_func("/scheduler/zero", test_zero);
    return g_test_run();
}
