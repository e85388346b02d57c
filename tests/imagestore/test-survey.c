/*
 * test-survey.c: who is dead, and from when on, by a clock of the test
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/wait.h>
#include <unistd.h>

#include "json.h"
#include "memory-fixture.h"
#include "owner.h"
#include "remove.h"
#include "survey.h"

#define LEASE "pending/1"
#define BEGIN (G_GINT64_CONSTANT(100000) * G_USEC_PER_SEC)
#define MINUTE ((gint64)60)

/* ---- helpers ---------------------------------------------------------------------------- */

static void
create(VimgSliceStore *store, const char *path, const char *text)
{
    g_assert_cmpint(
        vimg_transport_create(store->transport, path, text, text ? strlen(text) : 0, FALSE), ==, 0);
}

/* @owner: NULL: none. */
static void
make_lease(VimgSliceStore *store, const char *owner, gboolean heartbeat)
{
    g_assert_cmpint(vimg_transport_mkdir(store->transport, LEASE), ==, 0);
    if (owner)
        create(store, LEASE "/" VIMG_OWNER_FILE, owner);
    if (heartbeat)
        create(store, LEASE "/" VIMG_HEARTBEAT_FILE, "0\n");
}

static void
beat(VimgSliceStore *store)
{
    g_assert_cmpint(
        vimg_transport_overwrite(store->transport, LEASE "/" VIMG_HEARTBEAT_FILE, "1\n", 2), ==, 0);
}

static gboolean
is_there(VimgSliceStore *store, const char *path)
{
    VimgFileInfo info;

    return vimg_transport_stat(store->transport, path, &info) == 0;
}

/* One look, @seconds after the beginning.  Returns: whether the lease is alive. */
static gboolean
look(VimgSliceStore *store, gint64 seconds)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) alive =
        vimg_survey_leases(store, BEGIN + seconds * G_USEC_PER_SEC, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(alive->len, ==, is_there(store, LEASE));
    g_assert_false(is_there(store, "gc/fenced-1"));
    return alive->len > 0;
}

/* Looks each half minute from @from on.  Returns: the second at which it was dead, at most @to. */
static gint64
watch(VimgSliceStore *store, gint64 from, gint64 to)
{
    gint64 at = from;

    while (at < to && look(store, at))
        at += 30;
    return at;
}

/* What the file of @text says with what is not NULL, or 0, another one. */
static char *
edit_owner(const char *text, const char *boot, const char *space, gint64 start)
{
    g_autoptr(JsonObject) root = vimg_json_parse((const guint8 *)text, strlen(text), NULL);

    if (boot)
        json_object_set_string_member(root, "boot", boot);
    if (space)
        json_object_set_string_member(root, "pidNamespace", space);
    if (start)
        json_object_set_int_member(root, "start", start);
    return vimg_json_format(root);
}

/* Of a host that nothing is known of. */
static char *
stranger(void)
{
    g_autofree char *text = vimg_owner_format();

    return edit_owner(text, "unknown", NULL, 0);
}

/* ---- by time ---------------------------------------------------------------------------- */

static void
test_time(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *other = stranger();

    make_lease(fixture->store, other, TRUE);
    g_assert_cmpint(watch(fixture->store, 0, 60 * MINUTE), ==, 15 * MINUTE);
}

static void
test_beating(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *other = stranger();
    gint64 at;

    make_lease(fixture->store, other, TRUE);
    for (at = 0; at < 300 * MINUTE; at += 14 * MINUTE) {
        g_assert_cmpint(watch(fixture->store, at, at + 14 * MINUTE), ==, at + 14 * MINUTE);
        beat(fixture->store);
    }
    g_assert_cmpint(watch(fixture->store, at, at + 60 * MINUTE), ==, at + 15 * MINUTE);
}

/* Whoever was stopped itself has seen nothing meanwhile. */
static void
test_stall(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *other = stranger();

    make_lease(fixture->store, other, TRUE);
    g_assert_cmpint(watch(fixture->store, 0, 10 * MINUTE), ==, 10 * MINUTE);
    /* the last look was half a minute before */
    g_assert_cmpint(watch(fixture->store, 19 * MINUTE, 60 * MINUTE), ==, 23 * MINUTE + 30);
}

/* After a long one it begins anew. */
static void
test_long_stall(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *other = stranger();

    make_lease(fixture->store, other, TRUE);
    g_assert_cmpint(watch(fixture->store, 0, 14 * MINUTE), ==, 14 * MINUTE);
    g_assert_true(look(fixture->store, 600 * MINUTE));
    g_assert_cmpint(watch(fixture->store, 600 * MINUTE, 660 * MINUTE), ==, 615 * MINUTE);
}

/* What was seen by way of one that was closed counts for the next, and so a store can be removed.
 */
static void
test_reopened(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *other = stranger();
    g_autoptr(GError) error = NULL;
    guint round;

    make_lease(fixture->store, other, TRUE);
    for (round = 0; round < 20 && is_there(fixture->store, LEASE); round++) {
        gint64 later = g_get_monotonic_time() + 9 * MINUTE * G_USEC_PER_SEC;
        g_autoptr(GPtrArray) alive = NULL;

        g_assert_false(vimg_slice_store_remove(fixture->store, NULL, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
        g_assert_nonnull(strstr(error->message, g_get_host_name()));
        g_assert_nonnull(strstr(error->message, "'" LEASE "'"));
        g_clear_error(&error);
        vimg_slice_store_free(fixture->store);
        fixture->store = helper_reopen(memory_transport_new(fixture->disk, TRUE));
        alive = vimg_survey_leases(fixture->store, later, NULL);
    }
    g_assert_cmpuint(round, >=, 15);
    g_assert_cmpuint(round, <, 20);
    g_assert_true(vimg_slice_store_remove(fixture->store, NULL, &error));
    g_assert_no_error(error);
}

/* What is not whole: being made, or left by an interrupted making or ending. */
static void
test_without(MemoryFixture *fixture, gconstpointer data)
{
    const char *what = data;
    g_autofree char *other = stranger();

    make_lease(fixture->store,
               strstr(what, "garbage") ? "{"
               : strstr(what, "owner") ? other
                                       : NULL,
               strstr(what, "heartbeat") != NULL);
    g_assert_cmpint(watch(fixture->store, 0, 60 * MINUTE), ==, 15 * MINUTE);
}

/* From the first heartbeat on it counts anew. */
static void
test_late_heartbeat(MemoryFixture *fixture, gconstpointer data)
{
    make_lease(fixture->store, NULL, FALSE);
    g_assert_cmpint(watch(fixture->store, 0, 14 * MINUTE), ==, 14 * MINUTE);
    create(fixture->store, LEASE "/" VIMG_HEARTBEAT_FILE, "0\n");
    g_assert_cmpint(watch(fixture->store, 14 * MINUTE, 60 * MINUTE), ==, 29 * MINUTE);
}

/* Not leases: whoever makes a store here has its files there for a moment. */
static void
test_new_files(MemoryFixture *fixture, gconstpointer data)
{
    gint64 at;

    create(fixture->store, "pending/new-1", "text");
    for (at = 0; is_there(fixture->store, "pending/new-1") && at < 60 * MINUTE; at += 30)
        g_assert_false(look(fixture->store, at));
    g_assert_cmpint(at, ==, 15 * MINUTE + 30);
    g_assert_false(is_there(fixture->store, "gc/fenced-new-1"));
}

/* ---- by what can be seen from here ------------------------------------------------------ */

/* Owners that are dead at once, or of whom only time tells. */
static const struct {
    const char *path;
    const char *boot;
    const char *space;
    gint64 start;
    gboolean at_once;
} owners[] = {
    {"other-boot", "other", NULL, 0, FALSE},
    {"nameless-boot", "", NULL, 0, FALSE},
    {"other-namespace", NULL, "pid:[1]", 1, FALSE},
    {"not-ours-any-more", NULL, NULL, 0, TRUE},
};

static void
test_owner(MemoryFixture *fixture, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autofree char *text = vimg_owner_format();
    g_autofree char *owner = edit_owner(text, owners[i].boot, owners[i].space, owners[i].start);

    make_lease(fixture->store, owner, TRUE);
    g_assert_cmpint(watch(fixture->store, 0, 60 * MINUTE), ==, owners[i].at_once ? 0 : 15 * MINUTE);
}

/* What a daemon of this machine notes when it opens a store. */
static void
note_boot(const char *dir, const char *before)
{
    g_autofree char *path = g_build_filename(dir, "boots", NULL);

    if (before)
        g_assert_true(g_file_set_contents(path, before, -1, NULL));
    vimg_owner_note_boot(dir);
}

static guint
count_boots(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "boots", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    return g_strv_length(lines) - 1;
}

/* The name alone says that a lease is of an earlier boot of this machine, if that was noted. */
static void
test_name(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *id = vimg_owner_new_id();
    g_autofree char *other = g_strdup(id);
    char *boot = strchr(other, '-') + 1;
    g_autofree char *dir = helper_dir();
    g_autofree char *digits = NULL;
    g_autofree char *machine = NULL;
    g_autoptr(GString) many = g_string_new(NULL);
    guint i;

    /* a host without /etc/machine-id has nothing to tell its boots by */
    if (strlen(id) == 36) {
        helper_remove_dir(dir);
        g_assert_false(g_file_get_contents("/etc/machine-id", &machine, NULL, NULL) &&
                       *g_strstrip(machine));
        g_assert_true(g_uuid_string_is_valid(id));
        g_assert_false(vimg_owner_is_dead(NULL, id));
        return;
    }
    g_assert_false(vimg_owner_is_dead(NULL, id));
    *boot = *boot == '0' ? '1' : '0';
    /* a machine copied from this one */
    g_assert_false(vimg_owner_is_dead(NULL, other));
    note_boot(dir, NULL);
    note_boot(dir, NULL);
    g_assert_cmpuint(count_boots(dir), ==, 1);
    g_assert_false(vimg_owner_is_dead(NULL, other));
    g_assert_false(vimg_owner_is_dead(NULL, id));
    for (i = 0; i < 100; i++)
        g_string_append_printf(many, "%08x\n", i);
    digits = g_strndup(boot, 8);
    g_string_append_printf(many, "%s\n", digits);
    note_boot(dir, many->str);
    g_assert_cmpuint(count_boots(dir), ==, 64);
    helper_remove_dir(dir);
    g_assert_true(vimg_owner_is_dead(NULL, other));
    g_assert_false(vimg_owner_is_dead(NULL, id));
    *other = *other == '0' ? '1' : '0';
    g_assert_false(vimg_owner_is_dead(NULL, other));
    g_assert_false(vimg_owner_is_dead(NULL, id + 17));
    g_assert_false(vimg_owner_is_dead(NULL, "1"));
    g_assert_false(vimg_owner_is_dead(NULL, ""));
}

static void
test_held(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *owner = vimg_owner_format();

    vimg_owner_hold("1");
    make_lease(fixture->store, owner, TRUE);
    g_assert_true(look(fixture->store, 0));
    vimg_owner_drop("1");
    g_assert_false(look(fixture->store, 1));
}

/* A process that says who it is, and ends once @down is closed. */
static pid_t
start_process(char **owner, int *down)
{
    int told[2];
    int ended[2];
    char text[4096];
    pid_t pid;

    g_assert_cmpint(pipe(told), ==, 0);
    g_assert_cmpint(pipe(ended), ==, 0);
    pid = fork();
    if (pid == 0) {
        g_autofree char *own = vimg_owner_format();

        close(ended[1]);
        if (write(told[1], own, strlen(own) + 1) > 0 && read(ended[0], text, 1) == 0)
            _exit(0);
        _exit(1);
    }
    close(ended[0]);
    g_assert_cmpint(read(told[0], text, sizeof(text)), >, 0);
    close(told[0]);
    close(told[1]);
    *owner = g_strdup(text);
    *down = ended[1];
    return pid;
}

static void
test_process(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *owner = NULL;
    int down;
    pid_t pid = start_process(&owner, &down);

    make_lease(fixture->store, owner, TRUE);
    g_assert_true(look(fixture->store, 0));
    close(down);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_false(look(fixture->store, 1));
}

/* Another process with the number of one that is gone. */
static void
test_number(MemoryFixture *fixture, gconstpointer data)
{
    g_autofree char *owner = NULL;
    int down;
    pid_t pid = start_process(&owner, &down);
    g_autofree char *former = edit_owner(owner, NULL, NULL, 1);

    make_lease(fixture->store, former, TRUE);
    g_assert_false(look(fixture->store, 0));
    close(down);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

#define ADD(NAME, FUNC, DATA) memory_fixture_add("/imagestore/survey/" NAME, DATA, FUNC)

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    ADD("time", test_time, NULL);
    /* elsewhere times have whole seconds, and the test does not wait for them to pass */
    if (memory_disk_is_memory())
        ADD("beating", test_beating, NULL);
    ADD("stall", test_stall, NULL);
    ADD("long-stall", test_long_stall, NULL);
    ADD("reopened", test_reopened, NULL);
    ADD("without-owner", test_without, "heartbeat");
    ADD("without-heartbeat", test_without, "owner");
    ADD("without-both", test_without, "");
    ADD("garbage", test_without, "garbage and heartbeat");
    ADD("late-heartbeat", test_late_heartbeat, NULL);
    ADD("new-files", test_new_files, NULL);
    for (i = 0; i < G_N_ELEMENTS(owners); i++) {
        g_autofree char *path = g_strconcat("/imagestore/survey/owner/", owners[i].path, NULL);

        memory_fixture_add(path, GSIZE_TO_POINTER(i), test_owner);
    }
    ADD("held", test_held, NULL);
    ADD("name", test_name, NULL);
    ADD("process", test_process, NULL);
    ADD("number-used-again", test_number, NULL);
    return g_test_run();
}
