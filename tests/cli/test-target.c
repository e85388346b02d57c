/*
 * test-target.c: parts of downloads: which are gone on with, and what is left alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/target.h"
#include "util/error.h"
#include "private-state.h"

#define UUID "6c1f0e52-7f0c-4a6e-9d0a-3f6a2b8c9d10"
#define MIB (1024 * 1024)

static char *dir, *path, *part;
static char *steal_to; /* where another download renames the part to, before it is locked */

int
flock(int fd, int operation)
{
    if (steal_to)
        g_assert_cmpint(rename(part, steal_to), ==, 0);
    g_clear_pointer(&steal_to, g_free);
    return (int)syscall(SYS_flock, fd, operation);
}

static int syncs, sync_errno; /* of what is written to in place */

int
fsync(int fd)
{
    syncs++;
    if (sync_errno == 0)
        return (int)syscall(SYS_fsync, fd);
    errno = sync_errno;
    return -1;
}

static void
set_up(void)
{
    dir = g_dir_make_tmp("vimg-target-XXXXXX", NULL);
    path = g_build_filename(dir, "out", NULL);
    part = g_strdup_printf("%s.%s.part", path, UUID);
}

static void
tear_down(void)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(files))) {
        g_autofree char *file = g_build_filename(dir, name, NULL);

        g_unlink(file);
    }
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(dir);
    g_free(path);
    g_free(part);
}

static VimgTarget *
open_content(const char *generation)
{
    g_autoptr(GError) error = NULL;
    VimgTarget *target = vimg_target_new(path, &error);

    g_assert_no_error(error);
    g_assert_true(vimg_target_open(target, UUID, generation, FALSE, &error));
    g_assert_no_error(error);
    return target;
}

static VimgTarget *
open_target(void)
{
    return open_content("one");
}

/* A MiB of @byte. */
static gboolean
put(VimgTarget *target, int byte, GError **error)
{
    g_autofree char *data = g_malloc(MIB);

    memset(data, byte, MIB);
    return vimg_target_write(target, data, MIB, error);
}

static void
assert_mode(const char *file, mode_t mode)
{
    struct stat info;

    g_assert_cmpint(stat(file, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, mode);
}

/* Three MiB of 1, 2 and 3 were kept, and one of 4 was not. */
static void
cut_off(void)
{
    g_autoptr(VimgTarget) target = open_target();

    for (int byte = 1; byte <= 3; byte++)
        g_assert_true(put(target, byte, NULL));
    vimg_target_checkpoint(target);
    g_assert_true(put(target, 4, NULL));
}

static void
test_resume(void)
{
    g_autoptr(VimgTarget) target = NULL;
    g_autofree char *data = NULL;
    gsize size;

    set_up();
    cut_off();
    assert_mode(part, 0600);
    target = open_target();
    g_assert_cmpuint(target->at, ==, 2 * MIB);
    g_assert_true(put(target, 3, NULL));
    g_assert_true(vimg_target_hole(target, MIB, NULL));
    g_assert_true(vimg_target_commit(target, NULL));
    assert_mode(path, 0640);
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpuint(size, ==, 4 * MIB);
    for (gsize i = 0; i < 4; i++)
        g_assert_cmpint(data[i * MIB + MIB - 1], ==, (int)((i + 1) % 4));
    tear_down();
}

static void
test_stale(void)
{
    for (int hole = 0; hole <= 1; hole++) {
        g_autoptr(VimgTarget) target = NULL;
        g_autoptr(GError) error = NULL;

        set_up();
        cut_off();
        target = open_target();
        g_assert_false(hole ? vimg_target_hole(target, MIB, &error) : put(target, 5, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_true(target->is_stale);
        g_assert_true(vimg_target_restart(target, NULL));
        g_assert_cmpuint(target->at, ==, 0);
        g_assert_true(put(target, 5, NULL));
        vimg_target_discard(target);
        tear_down();
    }
}

/* The same image, but not what it held when the part was written, or nobody knows. */
static void
test_other_content(void)
{
    static const char *const others[] = {"two", NULL};

    for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(VimgTarget) target = NULL;

        set_up();
        cut_off();
        target = open_content(others[i]);
        g_assert_cmpuint(target->at, ==, 0);
        g_assert_cmpuint(target->known, ==, 0);
        g_assert_true(put(target, 5, NULL));
        vimg_target_checkpoint(target);
        g_clear_pointer(&target, vimg_target_free);
        target = open_content(others[i]);
        g_assert_cmpuint(target->known, ==, MIB);
        vimg_target_discard(target);
        tear_down();
    }
}

/* A part that nobody remembers, though it is ours and new. */
static void
test_unknown(void)
{
    g_autoptr(VimgTarget) target = NULL;
    g_autofree char *zeros = g_malloc0(MIB);

    set_up();
    g_assert_true(
        g_file_set_contents_full(part, zeros, MIB, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    target = open_target();
    g_assert_cmpuint(target->at, ==, 0);
    tear_down();
}

/* A part that was put there in the place of ours. */
static void
test_exchanged(void)
{
    g_autoptr(VimgTarget) target = NULL;
    g_autofree char *zeros = g_malloc0(8 * MIB);

    set_up();
    cut_off();
    g_assert_true(
        g_file_set_contents_full(part, zeros, 8 * MIB, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    target = open_target();
    g_assert_cmpuint(target->at, ==, 0);
    tear_down();
}

/* What a part is another name of is not written to. */
static void
test_planted(void)
{
    for (int symbolic = 0; symbolic <= 1; symbolic++) {
        g_autoptr(VimgTarget) target = NULL;
        g_autofree char *other = NULL;
        g_autofree char *text = NULL;

        set_up();
        other = g_build_filename(dir, "other", NULL);
        g_assert_true(g_file_set_contents(other, "as it was", -1, NULL));
        g_assert_cmpint(symbolic ? symlink(other, part) : link(other, part), ==, 0);
        target = open_target();
        g_assert_true(put(target, 1, NULL));
        g_assert_true(vimg_target_commit(target, NULL));
        g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "as it was");
        tear_down();
    }
}

/* The other download ends between the opening of its part and the lock. */
static void
test_renamed_meanwhile(void)
{
    g_autoptr(VimgTarget) target = NULL;
    g_autofree char *text = NULL;
    gsize size;

    set_up();
    cut_off();
    steal_to = g_strdup(path);
    target = open_target();
    g_assert_null(steal_to);
    g_assert_cmpuint(target->at, ==, 0);
    g_assert_true(put(target, 1, NULL));
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    g_assert_cmpuint(size, ==, 4 * MIB);
    g_assert_true(vimg_target_commit(target, NULL));
    tear_down();
}

static void
test_in_use(void)
{
    g_autoptr(VimgTarget) target = NULL;
    g_autoptr(VimgTarget) other = NULL;
    g_autoptr(GError) error = NULL;

    set_up();
    target = open_target();
    other = vimg_target_new(path, NULL);
    g_assert_false(vimg_target_open(other, UUID, NULL, TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_true(put(target, 1, NULL));
    g_assert_true(vimg_target_commit(target, NULL));
    tear_down();
}

/* A device is as durable as a file; a pipe cannot be, and EIO is no reason to call it well. */
static void
test_in_place(void)
{
    static const int numbers[] = {EINVAL, EROFS, EIO, ENOSPC};

    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autoptr(VimgTarget) target = NULL;
        g_autoptr(GError) error = NULL;
        int reader;

        set_up();
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        reader = g_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
        target = open_target();
        g_assert_true(vimg_target_write(target, "content", 7, NULL));
        syncs = 0;
        sync_errno = numbers[i];
        if (numbers[i] == EINVAL || numbers[i] == EROFS)
            g_assert_true(vimg_target_commit(target, &error));
        else
            g_assert_false(vimg_target_commit(target, &error));
        sync_errno = 0;
        g_assert_cmpint(syncs, ==, 1);
        close(reader);
        tear_down();
    }
}

int
main(int argc, char **argv)
{
    char *state = private_state_enter();
    int result;

    g_test_init(&argc, &argv, NULL);
    umask(027);
    g_test_add_func("/target/resume", test_resume);
    g_test_add_func("/target/stale", test_stale);
    g_test_add_func("/target/other-content", test_other_content);
    g_test_add_func("/target/unknown", test_unknown);
    g_test_add_func("/target/exchanged", test_exchanged);
    g_test_add_func("/target/planted", test_planted);
    g_test_add_func("/target/renamed-meanwhile", test_renamed_meanwhile);
    g_test_add_func("/target/in-use", test_in_use);
    g_test_add_func("/target/in-place", test_in_place);
    result = g_test_run();
    private_state_leave(state);
    return result;
}
