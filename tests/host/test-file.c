/*
 * test-file.c: which file is a volume that is being made, and writing into it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dir-fixture.h"
#include "host/primary-file.h"
#include "host/primary-mark.h"
#include "util/error.h"
#include "util/file.h"
#include "util/thread.h"

#define ID "c2b63c4e-7f0a-4b6e-9a7e-0f5f2c1d9b11"
#define OTHER "c2b63c4e-7f0a-4b6e-9a7e-0f5f2c1d9b12"
#define WORDS "virtimage: unfinished "
#define MIB ((gsize)1024 * 1024)

/* ---- which one it is ---------------------------------------------------------------------- */

/* A file of @size bytes with the mark of @id at @place, as libvirt's upload leaves it. */
static void
make_marked(const char *path, const char *id, guint64 place, gsize size)
{
    g_autofree char *content = g_malloc0(MAX(size, place + VIMG_HOST_MARK_SIZE));
    g_autofree char *mark = g_strconcat(WORDS, id, NULL);
    g_autoptr(GError) error = NULL;

    memcpy(content + place, mark, strlen(mark));
    g_file_set_contents(path, content, (gssize)size, &error);
    g_assert_no_error(error);
}

typedef enum {
    FILE_ITSELF,
    LINK,
    FIFO,
    DIRECTORY,
    NOTHING
} Kind;

typedef struct {
    const char *path; /* of the test */
    Kind kind;
    const char *id;
    guint64 place; /* where the mark is */
    gsize size;
    gboolean found;
} Case;

static const Case cases[] = {
    {"/host/mark/there", FILE_ITSELF, ID, 32768, MIB, TRUE},
    {"/host/mark/at-the-end", FILE_ITSELF, ID, 32768, 32768 + VIMG_HOST_MARK_SIZE, TRUE},
    {"/host/mark/cut-off", FILE_ITSELF, ID, 32768, 32768 + VIMG_HOST_MARK_SIZE - 1, FALSE},
    {"/host/mark/of-another", FILE_ITSELF, OTHER, 32768, MIB, FALSE},
    {"/host/mark/elsewhere", FILE_ITSELF, ID, 32769, MIB, FALSE},
    {"/host/mark/empty", FILE_ITSELF, ID, 32768, 0, FALSE},
    {"/host/mark/behind-a-link", LINK, ID, 32768, MIB, FALSE},
    {"/host/mark/fifo", FIFO, ID, 0, 0, FALSE},
    {"/host/mark/directory", DIRECTORY, ID, 0, 0, FALSE},
    {"/host/mark/nothing", NOTHING, ID, 0, 0, FALSE},
};

static void
test_mark(DirFixture *fixture, gconstpointer data)
{
    const Case *c = data;
    g_autofree char *target = g_build_filename(fixture->dir, "target", NULL);
    g_autoptr(GError) error = NULL;
    vimg_autofd int fd = -1;

    if (c->kind == FILE_ITSELF || c->kind == LINK)
        make_marked(c->kind == LINK ? target : fixture->path, c->id, c->place, c->size);
    if (c->kind == LINK)
        g_assert_cmpint(symlink(target, fixture->path), ==, 0);
    if (c->kind == FIFO)
        g_assert_cmpint(mkfifo(fixture->path, 0600), ==, 0);
    if (c->kind == DIRECTORY)
        g_assert_cmpint(g_mkdir(fixture->path, 0700), ==, 0);
    fd = vimg_host_mark_open(fixture->path, ID, 32768, &error);
    g_assert_cmpint(fd >= 0, ==, c->found);
    g_assert_cmpint(error == NULL, ==, c->found);
    (void)g_unlink(target);
}

/* ---- what the kernel is asked for ----------------------------------------------------------- */

#define WINDOW (32 * MIB)
#define ALL (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

/* What the kernel can be asked for. */
typedef enum {
    NOTHING_AT_ALL,
    SYNC,
    CUT, /* ftruncate() */
    LOOK /* lstat() */
} Call;

static struct {
    VimgMutex lock;
    VimgCond changed;
    Call held;     /* under lock: it does not answer this, nor whoever asked for something before
                      that it did not answer then */
    guint waiting; /* under lock: how many wait for its answer */
    guint ended;   /* under lock: files whose last was done after they were left */
    off_t begun;   /* the thread's, as all below: it was asked to write out all up to here */
    off_t done;    /* it was waited for up to here */
    guint n;       /* times that it was waited for */
    int error;     /* which it says once, 0: none */
} kernel = {.lock = VIMG_MUTEX_INIT};

/* These are in the place of the C library's. */
int
sync_file_range(int fd, off_t offset, off_t size, unsigned int flags)
{
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(size, >, 0);
    if (flags == SYNC_FILE_RANGE_WRITE) {
        g_assert_cmpint(offset, ==, kernel.begun);
        kernel.begun = offset + size;
        return 0;
    }
    g_assert_cmpuint(flags, ==, ALL);
    g_assert_cmpint(offset, ==, kernel.done);
    kernel.done = offset + size;
    kernel.n++;
    errno = kernel.error;
    kernel.error = 0;
    return errno ? -1 : 0;
}

static void
wait_for_answer(Call call)
{
    VIMG_LOCK_GUARD(&kernel.lock);
    if (kernel.held != call)
        return;
    kernel.waiting++;
    vimg_cond_broadcast(&kernel.changed);
    while (kernel.held)
        vimg_cond_wait(&kernel.changed, &kernel.lock);
    kernel.waiting--;
}

int
fsync(int fd)
{
    wait_for_answer(SYNC);
    return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    wait_for_answer(SYNC);
    return (int)syscall(SYS_fdatasync, fd);
}

int
ftruncate(int fd, off_t size)
{
    wait_for_answer(CUT);
    return (int)syscall(SYS_ftruncate, fd, size);
}

int
lstat(const char *path, struct stat *info)
{
    wait_for_answer(LOOK);
    return fstatat(AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW);
}

static void
kernel_begins(off_t at)
{
    kernel.begun = kernel.done = at;
    kernel.n = 0;
    kernel.error = 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

static gint cancelled; /* atomic */

static gboolean
check(gpointer job, GError **error)
{
    g_assert_cmpstr(job, ==, "job");
    return !__atomic_load_n(&cancelled, __ATOMIC_RELAXED) ||
           vimg_throw(error, VIMG_ERROR_ABORTED, "cancelled");
}

static const VimgHostWaiter waiter = {check, (gpointer) "job", "pool-id"};

static VimgHostFile *
try_open(const char *path, guint64 at, GError **error)
{
    const VimgHostFileSpec spec = {path, "v", "p", ID, 32768};

    kernel_begins((off_t)at);
    return vimg_host_file_open(&spec, at, &waiter, error);
}

/* A file that is longer than @at, from there on. */
static VimgHostFile *
open_file(const char *path, guint64 at)
{
    g_autoptr(GError) error = NULL;
    VimgHostFile *file;

    make_marked(path, ID, 32768, MIB);
    file = try_open(path, at, &error);
    g_assert_no_error(error);
    g_assert_nonnull(file);
    return file;
}

static void
push(VimgHostFile *file, int byte, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) buffer = byte ? vimg_buffer_new(size + 7) : NULL;

    if (buffer)
        memset(buffer->data, byte, buffer->size);
    vimg_host_file_push(file, buffer, buffer ? 7 : 0, size, &error);
    g_assert_no_error(error);
}

static void
assert_bytes(const char *data, int byte, gsize size)
{
    for (gsize i = 0; i < size; i++)
        g_assert_cmpint(data[i], ==, byte);
}

/* What was there before stays up to the place where it begins, and not behind. */
static void
test_content(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *after = NULL;
    g_autoptr(VimgBuffer) head = NULL;
    VimgHostFile *file;
    struct stat info;
    gsize size;

    file = open_file(fixture->path, 40000);
    push(file, 'x', 5000);
    push(file, 0, 40 * MIB);
    push(file, 'y', 1);
    push(file, 0, 5 * MIB);
    g_assert_true(vimg_host_file_settle(file, &error));
    g_assert_no_error(error);
    head = vimg_buffer_new(1000);
    memset(head->data, 'h', 1000);
    g_assert_true(vimg_host_file_head(file, head, 10, &error));
    g_assert_no_error(error);
    vimg_host_file_free(file);
    g_assert_true(g_file_get_contents(fixture->path, &after, &size, NULL));
    g_assert_cmpuint(size, ==, 45000 + 45 * MIB + 1);
    assert_bytes(after, 'h', 10);
    assert_bytes(after + 10, 0, 32758);
    g_assert_cmpstr(after + 32768, ==, WORDS ID);
    assert_bytes(after + 40000, 'x', 5000);
    assert_bytes(after + 45000, 0, 40 * MIB);
    assert_bytes(after + 45000 + 40 * MIB, 'y', 1);
    assert_bytes(after + 45001 + 40 * MIB, 0, 5 * MIB);
    g_assert_cmpint(stat(fixture->path, &info), ==, 0);
    g_assert_cmpint(info.st_blocks * 512, <, MIB);
}

/* Somebody deletes it meanwhile, and (@data) puts another in its place: before the end of the rest,
 * or after that.  The other stays as it is. */
static void
test_gone(DirFixture *fixture, gconstpointer data)
{
    const gboolean replaced = data != NULL;

    for (int late = 0; late <= 1; late++) {
        VimgHostFile *file = open_file(fixture->path, 0);
        g_autoptr(VimgBuffer) head = vimg_buffer_new(10);
        g_autoptr(GError) error = NULL;
        g_autofree char *after = NULL;

        push(file, 'x', 10);
        if (late)
            g_assert_true(vimg_host_file_settle(file, NULL));
        g_assert_cmpint(g_unlink(fixture->path), ==, 0);
        if (replaced)
            g_assert_true(g_file_set_contents(fixture->path, "other", -1, NULL));
        g_assert_false(late ? vimg_host_file_head(file, head, 10, &error)
                            : vimg_host_file_settle(file, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
        g_assert_false(vimg_host_file_is_there(file, NULL));
        vimg_host_file_free(file);
        if (replaced) {
            g_assert_true(g_file_get_contents(fixture->path, &after, NULL, NULL));
            g_assert_cmpstr(after, ==, "other");
        }
        (void)g_unlink(fixture->path);
    }
}

/* What is not written yet is bounded, however much comes; holes are no data. */
static void
test_bounded(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    VimgHostFile *file = open_file(fixture->path, 65536);
    g_autoptr(GError) error = NULL;

    push(file, 0, 100 * WINDOW);
    for (int i = 0; i < 5 * 32 - 1; i++)
        push(file, 'x', MIB);
    g_assert_true(vimg_host_file_settle(file, &error));
    g_assert_no_error(error);
    g_assert_cmpint(kernel.begun, ==, 65536 + 104 * WINDOW);
    g_assert_cmpint(kernel.done, ==, 65536 + 103 * WINDOW);
    g_assert_cmpuint(kernel.n, ==, 3);
    vimg_host_file_free(file);
}

/* What the kernel tells while it is waited for, it does not tell again. */
static void
test_kernel_fails(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const struct {
        int said;
        VimgErrorCode code;
        const char *text;
    } says[] = {
        {EIO, VIMG_ERROR_SYSTEM, "cannot write volume 'v' of the host's pool 'p': Input/output"},
        {ENOSPC, VIMG_ERROR_NO_SPACE, "No space left on device"},
        {EDQUOT, VIMG_ERROR_NO_SPACE, "Disk quota exceeded"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(says); i++) {
        VimgHostFile *file = open_file(fixture->path, 65536);
        g_autoptr(GError) error = NULL;

        kernel.error = says[i].said;
        for (int n = 0; n < 2 * 32; n++)
            push(file, 'x', MIB);
        g_assert_false(vimg_host_file_settle(file, &error));
        g_assert_error(error, VIMG_ERROR, (int)says[i].code);
        g_assert_nonnull(strstr(error->message, says[i].text));
        g_assert_true(vimg_host_file_is_there(file, NULL));
        vimg_host_file_free(file);
    }
}

/* One that cannot be written where it lies has another way; one that fails meanwhile has none. */
static void
test_fails(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(MIB);
    g_autoptr(GError) error = NULL;
    VimgHostFile *file;
    gboolean ok = TRUE;

    memset(buffer->data, 1, buffer->size);
    g_assert_null(try_open(fixture->path, 0, &error));
    g_assert_no_error(error);
    make_marked(fixture->path, OTHER, 32768, MIB);
    g_assert_null(try_open(fixture->path, 0, &error));
    g_assert_no_error(error);
    make_marked(fixture->path, ID, 32768, MIB);
    g_assert_null(try_open(fixture->path, (guint64)G_MAXINT64 - 10, &error));
    g_assert_no_error(error); /* larger than files can be */
    file = open_file(fixture->path, 0);
    ok = vimg_host_file_push(file, NULL, 0, (guint64)G_MAXINT64 - 10, &error);
    g_assert_true(ok);
    for (int i = 0; ok && i < 1000; i++)
        ok = vimg_host_file_push(file, buffer, 0, MIB, &error);
    g_assert_false(ok);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    vimg_host_file_free(file);
}

/* ---- a storage that hangs ---------------------------------------------------------------------
 */

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
    AT_HEAD
} Step;

typedef struct {
    Step step;
    Call call;
    gboolean kept; /* it is waited for, cancelled or not */
} Place;

/* Those that are kept are waited for longest. */
static const Place places[] = {
    {AT_HEAD, SYNC, TRUE},   {AT_HEAD, SYNC, TRUE},  {AT_HEAD, SYNC, TRUE},
    {OPENING, CUT, FALSE},   {SETTLING, CUT, FALSE}, {SETTLING, SYNC, FALSE},
    {SETTLING, LOOK, FALSE}, {AT_HEAD, LOOK, FALSE}, {AT_HEAD, LOOK, FALSE},
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
take_step(Hanging *hanging, GError **error)
{
    g_autoptr(VimgBuffer) head = vimg_buffer_new(65536);

    memset(head->data, 'h', head->size);
    if (hanging->place->step == OPENING)
        return try_open(hanging->path, 65536, error) != NULL;
    if (hanging->place->step == SETTLING)
        return vimg_host_file_settle(hanging->file, error);
    return vimg_host_file_head(hanging->file, head, head->size, error);
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
        g_assert_true(!all[i].file || !vimg_host_file_hand_over(all[i].file, note_end, NULL));
    }
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        hold(places[i].call);
        vimg_thread_start(&all[i].thread, "test", hang, &all[i], &error);
        g_assert_no_error(error);
        wait_for_waiting(i + 1);
    }
}

/* What is not said to be whole has its mark, and what was left no head. */
static void
check_hanging(const Hanging *hanging, gboolean marked)
{
    g_autofree char *after = NULL;

    g_assert_true(g_file_get_contents(hanging->path, &after, NULL, NULL));
    assert_bytes(after, hanging->place->kept ? 'h' : 0, 32768);
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vimg_cond_init(&kernel.changed);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        dir_fixture_add(cases[i].path, &cases[i], test_mark);
    dir_fixture_add("/host/file/content", NULL, test_content);
    dir_fixture_add("/host/file/deleted", NULL, test_gone);
    dir_fixture_add("/host/file/replaced", "", test_gone);
    dir_fixture_add("/host/file/bounded", NULL, test_bounded);
    dir_fixture_add("/host/file/kernel-fails", NULL, test_kernel_fails);
    dir_fixture_add("/host/file/fails", NULL, test_fails);
    dir_fixture_add("/host/file/hangs", NULL, test_hangs);
    return g_test_run();
}
