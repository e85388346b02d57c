/*
 * test-file.c: which file is a volume that is being made, and writing into it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir-fixture.h"
#include "host/primary-mark.h"
#include "test-file-fixture.h"
#include "util/error.h"
#include "util/file.h"

#define OTHER "c2b63c4e-7f0a-4b6e-9a7e-0f5f2c1d9b12"
#define WINDOW (32 * MIB)

/* ---- which one it is ---------------------------------------------------------------------- */

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

/* ---- writing ------------------------------------------------------------------------------ */

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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        dir_fixture_add(cases[i].path, &cases[i], test_mark);
    dir_fixture_add("/host/file/content", NULL, test_content);
    dir_fixture_add("/host/file/deleted", NULL, test_gone);
    dir_fixture_add("/host/file/replaced", "", test_gone);
    dir_fixture_add("/host/file/bounded", NULL, test_bounded);
    dir_fixture_add("/host/file/kernel-fails", NULL, test_kernel_fails);
    dir_fixture_add("/host/file/fails", NULL, test_fails);
    add_tests_of_hanging();
    return g_test_run();
}
