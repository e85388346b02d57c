/*
 * test-machine-undo.c: what is undone of what a command began, and what is not touched
 *
 * Machines are those of libvirt's test driver: one that runs, one that is shut off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <libvirt/virterror.h>

#include "cli/machine-file.h"
#include "cli/machine-freeze.h"
#include "cli/machine-hold.h"
#include "util/error.h"

#define RUNS "11111111-1111-1111-1111-111111111111"
#define OFF "22222222-2222-2222-2222-222222222222"

static const char host[] =
    "<node>"
    "<domain type='test'><name>runs</name><uuid>" RUNS "</uuid><memory>1024</memory>"
    "<os><type>hvm</type></os></domain>"
    "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
    "<name>off</name><uuid>" OFF "</uuid><memory>1024</memory><os><type>hvm</type></os>"
    "<test:runstate>5</test:runstate></domain>"
    "</node>";

typedef struct {
    char *dir, *uri;
    VimgCtl ctl;
    VimgUndo *undo;
} Fixture;

static void
put(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *
get(const char *path)
{
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static char *
at(Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void
begin(Fixture *f, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    int lock = open("/dev/null", O_RDONLY | O_CLOEXEC);

    f->undo = vimg_undo_new(&f->ctl, f->uri, uuid, lock, &error);
    g_assert_no_error(error);
    close(lock);
}

static void
end(Fixture *f)
{
    g_assert_true(vimg_undo_end(g_steal_pointer(&f->undo)));
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *path = NULL;

    f->dir = g_dir_make_tmp("vimg-undo-XXXXXX", NULL);
    path = at(f, "host.xml");
    put(path, host);
    f->uri = g_strconcat("test://", path, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    GDir *files = g_dir_open(f->dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(files))) {
        g_autofree char *path = at(f, name);

        g_unlink(path);
    }
    g_dir_close(files);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->uri);
}

/* What is there stays, if only as a link to nowhere; and what took the place of ours. */
static void
test_files(Fixture *f, gconstpointer data)
{
    g_autofree char *mine = at(f, "mine"), *theirs = at(f, "theirs"), *later = at(f, "later"),
                    *nowhere = at(f, "nowhere"), *kept = at(f, "kept"), *text = NULL;
    g_autoptr(GError) error = NULL;

    put(theirs, "theirs");
    g_assert_cmpint(symlink("/nonexistent/x", nowhere), ==, 0);
    begin(f, OFF);
    g_assert_true(vimg_file_create(f->undo, mine, NULL));
    g_assert_true(vimg_file_create(f->undo, later, NULL));
    g_assert_true(vimg_file_create(f->undo, kept, NULL));
    vimg_file_keep(f->undo, kept);
    g_assert_false(vimg_file_create(f->undo, theirs, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_false(vimg_file_create(f->undo, nowhere, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    put(later, "of another"); /* by a rename: another file */
    end(f);
    g_assert_false(g_file_test(mine, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(nowhere, G_FILE_TEST_IS_SYMLINK));
    text = get(theirs);
    g_assert_cmpstr(text, ==, "theirs");
    g_clear_pointer(&text, g_free);
    text = get(later);
    g_assert_cmpstr(text, ==, "of another");
}

/* What is told together counts when all was, and not before. */
static void
test_together(Fixture *f, gconstpointer data)
{
    for (int whole = 0; whole <= 1; whole++) {
        g_autofree char *one = at(f, "one"), *two = at(f, "two");

        begin(f, OFF);
        g_assert_true(vimg_file_create(f->undo, one, NULL));
        g_assert_true(vimg_file_create(f->undo, two, NULL));
        vimg_undo_gather(f->undo);
        vimg_file_keep(f->undo, one);
        vimg_file_keep(f->undo, two);
        if (whole)
            g_assert_true(vimg_undo_tell(f->undo, NULL));
        end(f);
        g_assert_cmpint(g_file_test(one, G_FILE_TEST_EXISTS), ==, whole);
        g_assert_cmpint(g_file_test(two, G_FILE_TEST_EXISTS), ==, whole);
    }
}

/* A disk that was moved comes back, at whatever point it ended; not below a machine that runs. */
static void
test_rename(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *uuid, *aside, *disk; /* what the files hold; NULL: there is none */
        const char *then;                /* what the disk holds after it */
    } cases[] = {
        {OFF, "old", "new", "old"},
        {OFF, "old", NULL, "old"},
        {OFF, NULL, "old", "old"},
        {RUNS, "old", "new", "new"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *aside = at(f, "aside"), *disk = at(f, "disk"), *text = NULL;

        g_unlink(aside);
        g_unlink(disk);
        if (cases[i].aside)
            put(aside, cases[i].aside);
        if (cases[i].disk)
            put(disk, cases[i].disk);
        begin(f, cases[i].uuid);
        g_assert_true(vimg_undo_add(f->undo, VIMG_UNDO_RENAME, NULL, aside, disk, NULL));
        end(f);
        text = get(disk);
        g_assert_cmpstr(text, ==, cases[i].then);
        g_assert_cmpint(g_file_test(aside, G_FILE_TEST_EXISTS), ==,
                        strcmp(cases[i].uuid, RUNS) == 0);
    }
}

/* Both names of one file: it ended before the new one came. */
static void
test_rename_linked(Fixture *f, gconstpointer data)
{
    g_autofree char *aside = at(f, "aside"), *disk = at(f, "disk"), *text = NULL;

    put(disk, "old");
    g_assert_cmpint(link(disk, aside), ==, 0);
    begin(f, OFF);
    g_assert_true(vimg_undo_add(f->undo, VIMG_UNDO_RENAME, NULL, aside, disk, NULL));
    end(f);
    text = get(disk);
    g_assert_cmpstr(text, ==, "old");
    g_assert_false(g_file_test(aside, G_FILE_TEST_EXISTS));
}

/* Locks as QEMU takes them: see machine-hold.c. */
static void
test_hold(Fixture *f, gconstpointer data)
{
    static const struct {
        int byte;
        gboolean holds, used;
        short kind;
    } cases[] = {
        {100, TRUE, TRUE, F_RDLCK},   /* reads */
        {101, FALSE, FALSE, F_RDLCK}, /* writes */
        {103, FALSE, FALSE, F_RDLCK}, /* resizes */
        {200, FALSE, FALSE, F_RDLCK}, /* lets nobody read */
        {201, TRUE, FALSE, F_RDLCK},  /* lets nobody write, as we do */
        {201, FALSE, FALSE, F_WRLCK}, /* no emulator does that */
    };
    g_autofree char *path = at(f, "disk");

    put(path, "");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct flock range = {.l_type = cases[i].kind, .l_start = cases[i].byte, .l_len = 1};
        g_autoptr(GError) error = NULL;
        int other = open(path, O_RDWR | O_CLOEXEC), fd;

        g_assert_cmpint(fcntl(other, F_OFD_SETLK, &range), ==, 0);
        fd = vimg_hold_open(path, &error);
        g_assert_cmpint(fd >= 0, ==, cases[i].holds);
        if (fd >= 0)
            g_assert_cmpint(vimg_hold_is_used(fd), ==, cases[i].used);
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
        close(fd);
        close(other);
    }
}

/* Whatever does not prove that the guest was not frozen is no refusal. */
static void
test_refused(void)
{
    static const struct {
        int domain, code;
        gboolean refused;
    } cases[] = {
        {VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, TRUE},
        {VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, FALSE},
        {VIR_FROM_REMOTE, VIR_ERR_INTERNAL_ERROR, FALSE},
        {VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, TRUE},
        {VIR_FROM_RPC, VIR_ERR_OPERATION_INVALID, FALSE},
        {VIR_FROM_RPC, VIR_ERR_OPERATION_FAILED, FALSE},
        {VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, FALSE},
        {VIR_FROM_QEMU, VIR_ERR_ARGUMENT_UNSUPPORTED, TRUE},
        {VIR_FROM_DOMAIN, VIR_ERR_NO_SUPPORT, TRUE},
        {VIR_FROM_RPC, VIR_ERR_NO_SUPPORT, FALSE},
        {VIR_FROM_QEMU, VIR_ERR_OPERATION_TIMEOUT, TRUE},
        {VIR_FROM_QEMU, VIR_ERR_AGENT_UNRESPONSIVE, FALSE},
        {VIR_FROM_QEMU, VIR_ERR_AGENT_UNSYNCED, FALSE},
        {VIR_FROM_QEMU, 112, FALSE}, /* VIR_ERR_AGENT_COMMAND_TIMEOUT of newer ones */
        {VIR_FROM_QEMU, VIR_ERR_SYSTEM_ERROR, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        if (vimg_freeze_is_refused(cases[i].domain, cases[i].code) != cases[i].refused)
            g_error("error %d of %d", cases[i].code, cases[i].domain);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *, gconstpointer);
    } tests[] = {
        {"/machine/undo/files", test_files},   {"/machine/undo/together", test_together},
        {"/machine/undo/rename", test_rename}, {"/machine/undo/rename-linked", test_rename_linked},
        {"/machine/hold", test_hold},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    g_test_add_func("/machine/freeze/refused", test_refused);
    return g_test_run();
}
