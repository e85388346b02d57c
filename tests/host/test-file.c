/*
 * test-file.c: which file is a volume that is being made, and writing into it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir-fixture.h"
#include "host/primary-file.h"
#include "host/primary-private.h"
#include "util/file.h"

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
    vimg_autofd int fd = -1;

    if (c->kind == FILE_ITSELF || c->kind == LINK)
        make_marked(c->kind == LINK ? target : fixture->path, c->id, c->place, c->size);
    if (c->kind == LINK)
        g_assert_cmpint(symlink(target, fixture->path), ==, 0);
    if (c->kind == FIFO)
        g_assert_cmpint(mkfifo(fixture->path, 0600), ==, 0);
    if (c->kind == DIRECTORY)
        g_assert_cmpint(g_mkdir(fixture->path, 0700), ==, 0);
    fd = vimg_host_mark_open(fixture->path, ID, 32768);
    g_assert_cmpint(fd >= 0, ==, c->found);
    (void)g_unlink(target);
}

/* ---- writing ------------------------------------------------------------------------------ */

static VimgHostFile *
open_file(const char *path, guint64 at)
{
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    VimgHostFile *file = vimg_host_file_new(fd, at, path, "v", &error);

    g_assert_no_error(error);
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
    g_autofree char *before = g_strnfill(3 * MIB, 'b');
    g_autoptr(GError) error = NULL;
    g_autofree char *after = NULL;
    g_autoptr(VimgBuffer) head = NULL;
    VimgHostFile *file;
    struct stat info;
    gsize size;

    g_assert_true(g_file_set_contents(fixture->path, before, (gssize)(3 * MIB), NULL));
    file = open_file(fixture->path, 1000);
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
    g_assert_cmpuint(size, ==, 1000 + 5000 + 45 * MIB + 1);
    assert_bytes(after, 'h', 10);
    assert_bytes(after + 10, 'b', 990);
    assert_bytes(after + 1000, 'x', 5000);
    assert_bytes(after + 6000, 0, 40 * MIB);
    assert_bytes(after + 6000 + 40 * MIB, 'y', 1);
    assert_bytes(after + 6001 + 40 * MIB, 0, 5 * MIB);
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

/* A descriptor that takes no bytes, at the first piece or a later one, and at the end. */
static void
test_fails(DirFixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(MIB);
    g_autoptr(GError) error = NULL;
    VimgHostFile *file;
    gboolean ok = TRUE;
    int fd;

    memset(buffer->data, 1, buffer->size);
    file = open_file(fixture->path, 0);
    vimg_host_file_free(file);
    fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    g_assert_null(vimg_host_file_new(fd, 0, fixture->path, "v", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
    file = vimg_host_file_new(fd, G_MAXINT64 - 10, fixture->path, "v", NULL);
    g_assert_null(file); /* larger than files can be */
    vimg_host_file_free(file);
    fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
    file = vimg_host_file_new(fd, 0, fixture->path, "v", &error);
    g_assert_no_error(error);
    ok = vimg_host_file_push(file, NULL, 0, G_MAXINT64 - 10, &error);
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
    dir_fixture_add("/host/file/fails", NULL, test_fails);
    return g_test_run();
}
