/*
 * test-file-hangs.c: writing into files of a storage that does not answer, and being rid of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <glib/gstdio.h>

#include "dir-fixture.h"
#include "test-file-fixture.h"
#include "util/error.h"

static void
hold(Call call)
{
    VIMG_LOCK_GUARD(&kernel.lock);
    kernel.held = call;
    vimg_cond_broadcast(&kernel.changed);
}

/* Until so many wait for it. */
static void
wait_for_waiting(guint n)
{
    VIMG_LOCK_GUARD(&kernel.lock);
    while (kernel.waiting < n)
        vimg_cond_wait(&kernel.changed, &kernel.lock);
}

/* The heir of one that hangs. */
static void
note_end(gpointer data)
{
    VIMG_LOCK_GUARD(&kernel.lock);
    g_assert_cmpstr(data, ==, "heir");
    kernel.ended++;
    vimg_cond_broadcast(&kernel.changed);
}

/* What somebody does when it hangs there. */
typedef enum {
    OPENING,
    SETTLING,
    AT_HEAD,
    AT_END
} Step;

typedef struct {
    Step step;
    Call call;
    gboolean headed; /* its head is written then */
    gboolean kept;   /* it is waited for, cancelled or not */
} Place;

/* Those that are kept are waited for longest. */
static const Place places[] = {
    {AT_END, SYNC, TRUE, TRUE},     {AT_END, SYNC, TRUE, TRUE},    {AT_END, LOOK, TRUE, TRUE},
    {OPENING, CUT, FALSE, FALSE},   {SETTLING, CUT, FALSE, FALSE}, {SETTLING, SYNC, FALSE, FALSE},
    {SETTLING, LOOK, FALSE, FALSE}, {AT_HEAD, LOOK, FALSE, FALSE}, {AT_HEAD, SYNC, TRUE, FALSE},
};
#define N_KEPT 3
#define N_OPENING 1
#define N_LEFT (G_N_ELEMENTS(places) - N_KEPT)

typedef struct {
    const Place *place;
    char *path;
    VimgHostFile *file; /* NULL: it is being opened */
    VimgThread thread;
} Hanging;

static gboolean
write_head(VimgHostFile *file, gboolean last, GError **error)
{
    g_autoptr(VimgBuffer) head = vimg_buffer_new(65536);

    memset(head->data, 'h', head->size);
    return last ? vimg_host_file_finish(file, head, head->size, error)
                : vimg_host_file_head(file, head, head->size, error);
}

static gboolean
take_step(Hanging *hanging, GError **error)
{
    if (hanging->place->step == OPENING)
        return try_open(hanging->path, 65536, error) != NULL;
    if (hanging->place->step == SETTLING)
        return vimg_host_file_settle(hanging->file, error);
    return write_head(hanging->file, hanging->place->step == AT_END, error);
}

/* What is cancelled ends, whatever it is at, and nothing else is begun. */
static void
hang(gpointer data)
{
    Hanging *hanging = data;
    VimgHostFile *file = hanging->file;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(take_step(hanging, &error), ==, hanging->place->kept);
    if (hanging->place->kept) {
        g_assert_no_error(error);
        return;
    }
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    if (!file)
        return;
    g_clear_error(&error);
    g_assert_false(vimg_host_file_push(file, NULL, 0, 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_false(vimg_host_file_is_there(file, NULL));
}

static void
start_hanging(Hanging *all, const char *dir)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        all[i].place = &places[i];
        all[i].path = g_strdup_printf("%s/%u", dir, i);
        if (places[i].step == OPENING)
            make_marked(all[i].path, ID, 32768, MIB);
        else
            all[i].file = open_file(all[i].path, 65536);
        if (places[i].step == AT_END)
            g_assert_true(write_head(all[i].file, FALSE, NULL));
        g_assert_true(!all[i].file || !vimg_host_file_hand_over(all[i].file, note_end, NULL));
    }
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        hold(places[i].call);
        vimg_thread_start(&all[i].thread, "test", hang, &all[i], &error);
        g_assert_no_error(error);
        wait_for_waiting(i + 1);
    }
}

/* What is not said to be whole has its mark. */
static void
check_hanging(const Hanging *hanging, gboolean marked)
{
    g_autofree char *after = NULL;

    g_assert_true(g_file_get_contents(hanging->path, &after, NULL, NULL));
    assert_bytes(after, hanging->place->headed ? 'h' : 0, 32768);
    if (marked)
        g_assert_cmpstr(after + 32768, ==, WORDS ID);
    else
        assert_bytes(after + 32768, 'h', 32768);
}

/* How many more may run at @where until too many hang; they do. */
static guint
begin_all(const char *where, guint most)
{
    g_autoptr(GError) error = NULL;
    guint n = 0;

    while (n < most && vimg_host_file_begin(where, "p", &error))
        n++;
    if (n < most)
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    return n;
}

static void
end_all(const char *where, guint n)
{
    while (n-- > 0)
        vimg_host_file_end(where);
}

static void
check_bounds(guint here, guint elsewhere)
{
    g_assert_cmpuint(begin_all("pool-id", 100), ==, here);
    g_assert_cmpuint(begin_all("another", 100), ==, elsewhere);
    end_all("pool-id", here);
    end_all("another", elsewhere);
}

static gboolean
all_answer(void)
{
    const guint n = begin_all("pool-id", 100);

    end_all("pool-id", n);
    return n == 100;
}

/* Its answer comes; and so does the end of each. */
static void
end_hanging(Hanging *all)
{
    hold(NOTHING_AT_ALL);
    for (guint i = 0; i < N_KEPT; i++)
        vimg_thread_join(all[i].thread);
    vimg_mutex_lock(&kernel.lock);
    while (kernel.ended < N_LEFT - N_OPENING)
        vimg_cond_wait(&kernel.changed, &kernel.lock);
    vimg_mutex_unlock(&kernel.lock);
    while (!all_answer())
        g_thread_yield(); /* those that were being opened have no heir */
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i].kept) {
            g_assert_false(vimg_host_file_hand_over(all[i].file, note_end, NULL));
            vimg_host_file_free(all[i].file);
        }
        check_hanging(&all[i], !places[i].kept);
        g_assert_cmpint(g_unlink(all[i].path), ==, 0);
        g_free(all[i].path);
    }
}

static void
test_hangs(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    Hanging all[G_N_ELEMENTS(places)] = {0};

    start_hanging(all, fixture->dir);
    check_bounds(100, 100);
    __atomic_store_n(&cancelled, 1, __ATOMIC_RELAXED);
    for (guint i = N_KEPT; i < G_N_ELEMENTS(places); i++)
        vimg_thread_join(all[i].thread);
    check_bounds(8 - N_LEFT, 32 - 8);
    for (guint i = 0; i < G_N_ELEMENTS(places); i++)
        check_hanging(&all[i], TRUE);
    for (guint i = N_KEPT; i < G_N_ELEMENTS(places); i++) {
        if (all[i].file)
            g_assert_true(vimg_host_file_hand_over(all[i].file, note_end, (gpointer) "heir"));
        vimg_host_file_free(all[i].file);
    }
    g_assert_cmpuint(kernel.ended, ==, 0);
    end_hanging(all);
    __atomic_store_n(&cancelled, 0, __ATOMIC_RELAXED);
}

void
add_tests_of_hanging(void)
{
    vimg_cond_init(&kernel.changed);
    dir_fixture_add("/host/file/hangs", NULL, test_hangs);
}
