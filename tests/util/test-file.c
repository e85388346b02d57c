/*
 * test-file.c: whole files and bounded reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dir-fixture.h"
#include "util/error.h"
#include "util/file.h"

static void
check_content(const char *path, const char *wanted, gsize wanted_size)
{
    g_autoptr(GError) error = NULL;
    gsize size = 0;
    g_autofree char *text = vimg_file_read(path, 1024, &size, &error);

    g_assert_no_error(error);
    g_assert_cmpmem(text, size, wanted, wanted_size);
    g_assert_cmpint(text[size], ==, '\0');
}

static void
test_replace(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    mode_t before = umask(077);
    struct stat st;

    vimg_file_replace(fixture->path, "one\0two", 7, 0644, &error);
    umask(before);
    g_assert_no_error(error);
    check_content(fixture->path, "one\0two", 7);
    g_assert_cmpint(stat(fixture->path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0644);
    g_assert_true(vimg_file_replace(fixture->path, "", 0, 0600, &error));
    check_content(fixture->path, "", 0);
    g_assert_cmpint(stat(fixture->path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
}

/* The longest name a file may have, though the one written beside it needs a name too. */
static void
test_replace_longest(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strnfill(255, 'x');

    g_free(fixture->path);
    fixture->path = g_build_filename(fixture->dir, name, NULL);
    vimg_file_replace(fixture->path, "x", 1, 0600, &error);
    g_assert_no_error(error);
    check_content(fixture->path, "x", 1);
}

/* A reader that has the old file open keeps all of it. */
static void
test_replace_open(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    vimg_autofd int fd = -1;
    char old[8];

    g_assert_true(vimg_file_replace(fixture->path, "old", 3, 0600, NULL));
    fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    g_assert_true(vimg_file_replace(fixture->path, "newer", 5, 0600, NULL));
    g_assert_cmpint(read(fd, old, sizeof(old)), ==, 3);
    g_assert_cmpmem(old, 3, "old", 3);
}

static void
test_replace_fails(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) directory = NULL;
    g_autofree char *below = g_build_filename(fixture->path, "x", NULL);

    g_assert_false(vimg_file_replace(below, "x", 1, 0600, &missing));
    g_assert_error(missing, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    /* tear_down() sees whether anything was left beside it */
    g_assert_cmpint(g_mkdir(fixture->path, 0700), ==, 0);
    g_assert_false(vimg_file_replace(fixture->path, "x", 1, 0600, &directory));
    g_assert_error(directory, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_cmpint(g_rmdir(fixture->path), ==, 0);
}

static void
test_remove(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_file_replace(fixture->path, "x", 1, 0600, NULL));
    g_assert_true(vimg_file_remove(fixture->path, &error));
    g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    g_assert_true(vimg_file_remove(fixture->path, &error));
    g_assert_no_error(error);
    g_assert_false(vimg_file_remove(fixture->dir, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

static void
test_read_limit(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fits = NULL;

    g_assert_true(vimg_file_replace(fixture->path, "12345", 5, 0600, NULL));
    fits = vimg_file_read(fixture->path, 5, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(fits, ==, "12345");
    g_assert_null(vimg_file_read(fixture->path, 4, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

static void
test_read_missing(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    errno = 0;
    g_assert_null(vimg_file_read(fixture->path, 5, NULL, &error));
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

/* Neither a pipe nobody writes to nor a directory makes it wait. */
static void
test_read_special(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) fifo = NULL;
    g_autoptr(GError) directory = NULL;

    g_assert_cmpint(mkfifo(fixture->path, 0600), ==, 0);
    g_assert_null(vimg_file_read(fixture->path, 5, NULL, &fifo));
    g_assert_error(fifo, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_assert_null(vimg_file_read(fixture->dir, 5, NULL, &directory));
    g_assert_error(directory, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

static void
test_write_full(DirFixture *fixture G_GNUC_UNUSED, gconstpointer data G_GNUC_UNUSED)
{
    vimg_autofd int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(vimg_write_all(fd, "x", 1), ==, -1);
    g_assert_cmpint(errno, ==, ENOSPC);
    g_assert_cmpint(vimg_write_all(fd, NULL, 0), ==, 0);
}

/* Device and inode of what was flushed, in the library under test too; one thread runs here. */
static GArray *flushed; /* of struct stat; NULL: nobody asks */

int
fsync(int fd)
{
    struct stat st;

    if (flushed && fstat(fd, &st) == 0)
        g_array_append_val(flushed, st);
    return (int)syscall(SYS_fsync, fd);
}

static gboolean
was_flushed(const char *path)
{
    struct stat st;
    guint i;

    g_assert_cmpint(stat(path, &st), ==, 0);
    for (i = 0; i < flushed->len; i++) {
        const struct stat *one = &g_array_index(flushed, struct stat, i);

        if (one->st_dev == st.st_dev && one->st_ino == st.st_ino)
            return TRUE;
    }
    return FALSE;
}

/* A file in a new directory is durable only if the directory itself is. */
static void
test_dir_make_durable(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *outer = g_build_filename(fixture->dir, "a", NULL);
    g_autofree char *inner = g_build_filename(outer, "b", NULL);
    g_autofree char *dangling = g_build_filename(fixture->dir, "link", NULL);

    flushed = g_array_new(FALSE, FALSE, sizeof(struct stat));
    g_assert_true(vimg_dir_make(inner, 0700, NULL));
    g_assert_true(was_flushed(fixture->dir));
    g_assert_true(was_flushed(outer));
    g_clear_pointer(&flushed, g_array_unref);
    g_assert_cmpint(symlink("nowhere", dangling), ==, 0);
    g_assert_false(vimg_dir_make(dangling, 0700, NULL));
    unlink(dangling);
    g_rmdir(inner);
    g_rmdir(outer);
}

static void
test_dir_make(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *outer = g_build_filename(fixture->dir, "a", NULL);
    g_autofree char *inner = g_build_filename(outer, "b", NULL);
    g_autofree char *below = g_build_filename(fixture->path, "b", NULL);
    struct stat st;

    g_assert_true(vimg_dir_make(inner, 0700, &error));
    g_assert_true(vimg_dir_make(inner, 0700, &error));
    g_assert_no_error(error);
    g_assert_cmpint(stat(inner, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0700);
    g_assert_true(vimg_dir_sync(inner, &error));
    g_assert_true(vimg_file_replace(fixture->path, "", 0, 0600, NULL));
    g_assert_false(vimg_dir_make(below, 0700, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_rmdir(inner);
    g_rmdir(outer);
}

static void
test_fd(DirFixture *fixture G_GNUC_UNUSED, gconstpointer data G_GNUC_UNUSED)
{
    int closed;

    {
        vimg_autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        vimg_autofd int given = vimg_steal_fd(&fd);

        g_assert_cmpint(fd, ==, -1);
        g_assert_cmpint(given, >=, 0);
        closed = given;
        errno = EXDEV;
    }
    g_assert_cmpint(errno, ==, EXDEV);
    g_assert_cmpint(fcntl(closed, F_GETFD), ==, -1);
}

static const struct {
    const char *path;
    void (*test)(DirFixture *fixture, gconstpointer data);
} tests[] = {
    {"/file/replace", test_replace},
    {"/file/replace-longest", test_replace_longest},
    {"/file/replace-open", test_replace_open},
    {"/file/replace-fails", test_replace_fails},
    {"/file/remove", test_remove},
    {"/file/read-limit", test_read_limit},
    {"/file/read-missing", test_read_missing},
    {"/file/read-special", test_read_special},
    {"/file/write-full", test_write_full},
    {"/file/dir-make", test_dir_make},
    {"/file/dir-make-durable", test_dir_make_durable},
    {"/file/fd", test_fd},
};

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        dir_fixture_add(tests[i].path, NULL, tests[i].test);
    return g_test_run();
}
