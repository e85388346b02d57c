/*
 * test-diagnose.c: what is found wrong on the way to a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "diagnose-private.h"
#include "lease.h"
#include "memory-transport.h"
#include "store-helper.h"

#define SLICE (64 * KIB)

static const char *const verdicts[] = {"ok", "warning", "failed", "skipped"};

/* "directory=ok filesystem=ok …" */
static void
note(const VimgPluginStep *step, gpointer data)
{
    GString *text = data;

    g_assert_cmpuint(step->size, ==, sizeof(*step));
    g_assert_cmpuint((guint)step->verdict, <, VIMG_N_VERDICTS);
    g_assert_true(g_utf8_validate(step->detail, -1, NULL));
    if (step->verdict == VIMG_STEP_FAILED)
        g_assert_nonnull(step->remedy);
    g_string_append_printf(text, "%s%s=%s", text->len > 0 ? " " : "", step->name,
                           verdicts[step->verdict]);
}

/* Returns: (transfer full) verdicts but for those on what the host of the tests is like. */
static char *
diagnose(const char *dir, const char *store_id)
{
    const VimgPluginPool pool = {
        .size = sizeof(pool), .name = "p", .dir = dir, .store_id = store_id, .space_reserve = 0};
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GRegex) regex = g_regex_new(" (filesystem|space|latency)=\\w+", 0, 0, NULL);

    g_assert_true(vimg_diagnose(&pool, note, text, NULL, &error));
    g_assert_no_error(error);
    return g_regex_replace_literal(regex, text->str, -1, 0, "", 0, NULL);
}

static void
assert_steps(const char *dir, const char *store_id, const char *expected)
{
    g_autofree char *found = diagnose(dir, store_id);

    g_assert_cmpstr(found, ==, expected);
}

#define NOTHING                                                                                    \
    " files=skipped clock=skipped leases=skipped images=skipped leftovers=skipped damage=skipped"

static void
test_no_store(HelperHome *home, gconstpointer data)
{
    g_autofree char *below = g_build_filename(home->dir, "below", NULL);

    assert_steps(home->dir, NULL, "directory=ok store=warning" NOTHING);
    assert_steps(home->dir, "another", "directory=ok store=failed" NOTHING);
    assert_steps(below, NULL, "directory=failed store=skipped" NOTHING);
    g_assert_true(g_file_set_contents(below, "", 0, NULL));
    assert_steps(home->dir, NULL, "directory=ok store=failed" NOTHING);
    assert_steps(below, NULL, "directory=failed store=skipped" NOTHING);
}

static void
test_store(HelperHome *home, gconstpointer data)
{
    VimgSliceStore *store = helper_local_store(home);
    g_autoptr(VimgBuffer) content = helper_content(1, SLICE, 0);
    g_autofree char *uuid = helper_create(store, "a", SLICE);
    g_autofree char *bad = g_build_filename(home->dir, "bad", NULL);
    g_autofree char *index = g_build_filename(home->dir, "images", uuid, VIMG_IMAGE_INDEX, NULL);
    g_autoptr(GPtrArray) names = NULL;
    VimgLease *lease;

    helper_upload(store, uuid, content, NULL);
    assert_steps(home->dir, store->uuid,
                 "directory=ok store=ok files=ok clock=ok leases=ok images=ok leftovers=ok "
                 "damage=ok");
    lease = vimg_lease_new(store, NULL);
    assert_steps(home->dir, NULL,
                 "directory=ok store=ok files=ok clock=ok leases=ok images=ok leftovers=ok "
                 "damage=ok");
    g_assert_true(vimg_lease_check(lease, NULL)); /* it is still there */
    vimg_lease_free(lease);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &names), ==, 0);
    g_assert_cmpuint(names->len, ==, 0);
    g_assert_true(g_file_set_contents(index, "", 0, NULL));
    assert_steps(home->dir, NULL,
                 "directory=ok store=ok files=ok clock=ok leases=ok images=warning leftovers=ok "
                 "damage=ok");
    assert_steps(home->dir, "another", "directory=ok store=failed" NOTHING);
    g_assert_cmpint(rmdir(bad), ==, 0);
    assert_steps(home->dir, NULL, "directory=ok store=failed" NOTHING);
    vimg_slice_store_free(store);
}

static gboolean
try_diagnose(VimgPluginJob *job, gpointer data, GError **error)
{
    const VimgPluginPool pool = {.size = sizeof(pool), .name = "p", .dir = data};
    g_autoptr(GString) text = g_string_new(NULL);

    return vimg_diagnose(&pool, note, text, job, error);
}

static void
test_cancelled(HelperHome *home, gconstpointer data)
{
    VimgSliceStore *store = helper_local_store(home);
    g_autoptr(GPtrArray) names = NULL;

    g_free(helper_create(store, "a", SLICE));
    helper_cancel(try_diagnose, home->dir);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &names), ==, 0);
    g_assert_cmpuint(names->len, ==, 0);
    vimg_slice_store_free(store);
}

/* ---- files ------------------------------------------------------------------------------ */

static void
try_files(VimgTransport *transport, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    VimgDiagnosis diagnosis = {.sink = note, .data = text, .step = "files", .transport = transport};

    vimg_diagnose_files(&diagnosis);
    g_assert_cmpstr(text->str, ==, expected);
    g_assert_cmpint(diagnosis.written, ==, strstr(expected, "ok") != NULL);
}

static void
assert_clean(VimgTransport *transport)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(transport, "pending", &names), ==, 0);
    g_assert_cmpuint(names->len, ==, 0);
}

/* Each operation that fails is found, and what was made goes. */
static void
test_files(gconstpointer data)
{
    static const struct {
        int result;
        const char *expected;
    } rows[] = {
        {EIO, "files=failed"},
        {EACCES, "files=failed"},
        {ENOSPC, "files=failed"},
        {EROFS, "files=warning"},
    };
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    guint total;

    memory_disk_set_fault(disk, &(Fault){.kind = FAULT_NONE});
    try_files(store->transport, "files=ok");
    total = memory_disk_count(disk);
    assert_clean(store->transport);
    for (guint at = 1; at <= 14; at++) {
        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
            memory_disk_set_fault(
                disk, &(Fault){.kind = FAULT_ERROR, .at = at, .result = rows[i].result});
            try_files(store->transport, rows[i].expected);
            assert_clean(store->transport);
        }
    }
    g_assert_cmpuint(total, >, 14);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* What cannot be read is neither nothing nor bad. */
static void
test_unread(gconstpointer data)
{
    const char *name = data;
    g_autofree char *ok = g_strconcat(name, "=ok", NULL);
    g_autofree char *failed = g_strconcat(name, "=failed", NULL);
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    g_autoptr(GString) text = g_string_new(NULL);
    VimgDiagnosis diagnosis = {.sink = note, .data = text, .transport = store->transport};
    guint total;

    g_free(helper_create(store, "a", SLICE));
    diagnosis.store = store;
    memory_disk_set_fault(disk, &(Fault){.kind = FAULT_NONE});
    vimg_diagnose_step(&diagnosis, name);
    g_assert_cmpstr(text->str, ==, ok);
    total = memory_disk_count_looks(disk);
    memory_disk_set_fault(disk, &(Fault){.kind = FAULT_LOOK, .at = total, .result = ENOTCONN});
    g_string_truncate(text, 0);
    vimg_diagnose_step(&diagnosis, name);
    g_assert_cmpstr(text->str, ==, failed);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* A file system whose renames always replace will do. */
static void
test_plain(HelperHome *home, gconstpointer data)
{
    VimgSliceStore *store = helper_local_store(home);

    vimg_transport_local_set_plain(store->transport);
    try_files(store->transport, "files=ok");
    assert_clean(store->transport);
    vimg_slice_store_free(store);
}

/* ---- mounts ----------------------------------------------------------------------------- */

#define ROOT "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

static const struct {
    const char *name;
    const char *mounts;
    const char *expected;
} mounts[] = {
    {"root", ROOT, "filesystem=ok"},
    {"none", "", "filesystem=skipped"},
    {"nonsense", "a b c\n - \n1 2 3 4 5 6 7 8 - x\n", "filesystem=skipped"},
    {"tmpfs", ROOT "30 21 0:1 / /srv rw - tmpfs tmpfs rw\n", "filesystem=warning"},
    {"beside", ROOT "30 21 0:1 / /srv/image rw - tmpfs tmpfs rw\n", "filesystem=ok"},
    {"behind", ROOT "30 21 0:1 / /srv/images/x rw - tmpfs tmpfs rw\n", "filesystem=ok"},
    {"over", ROOT "30 21 0:1 / /srv rw - tmpfs tmpfs rw\n31 21 8:2 / /srv rw - xfs /dev/sdb rw\n",
     "filesystem=ok"},
    {"longest", "31 21 0:1 / /srv/images rw - tmpfs t rw\n" ROOT, "filesystem=warning"},
    {"nfs", ROOT "30 21 0:1 / /srv rw - nfs4 s:/x rw,hard,proto=tcp\n", "filesystem=ok"},
    {"soft", ROOT "30 21 0:1 / /srv rw - nfs4 s:/x rw,soft,proto=tcp\n", "filesystem=warning"},
    {"nocto", ROOT "30 21 0:1 / /srv rw - nfs s:/x rw,nocto\n", "filesystem=warning"},
    {"barrier", ROOT "30 21 8:2 / /srv rw - ext4 /dev/sdb rw,nobarrier\n", "filesystem=warning"},
    {"like", ROOT "30 21 0:1 / /srv rw - nfs4 s:/x rw,softreval\n", "filesystem=ok"},
};

static void
test_mount(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    const VimgPluginPool pool = {.size = sizeof(pool), .dir = "/srv/images"};
    g_autoptr(GString) text = g_string_new(NULL);
    VimgDiagnosis diagnosis = {.pool = &pool, .sink = note, .data = text, .step = "filesystem"};

    vimg_diagnose_mount_in(&diagnosis, mounts[i].mounts);
    g_assert_cmpstr(text->str, ==, mounts[i].expected);
}

static void
expect_point(const VimgPluginStep *step, gpointer data)
{
    g_assert_nonnull(strstr(step->detail, "'/srv/a b'"));
    *(gboolean *)data = TRUE;
}

static void
test_blank(void)
{
    const VimgPluginPool pool = {.size = sizeof(pool), .dir = "/srv/a b/c"};
    gboolean called = FALSE;
    VimgDiagnosis diagnosis = {
        .pool = &pool, .sink = expect_point, .data = &called, .step = "filesystem"};

    vimg_diagnose_mount_in(&diagnosis, ROOT "30 21 8:2 / /srv/a\\040b rw - xfs /dev/sdb rw\n");
    g_assert_true(called);
}

static const char *const unread[] = {"leases", "images", "leftovers", "damage"};

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/diagnose/no-store", test_no_store, NULL);
    helper_add("/diagnose/store", test_store, NULL);
    helper_add("/diagnose/plain", test_plain, NULL);
    helper_add("/diagnose/cancelled", test_cancelled, NULL);
    g_test_add_data_func("/diagnose/files", NULL, test_files);
    for (guint i = 0; i < G_N_ELEMENTS(unread); i++) {
        g_autofree char *path = g_strconcat("/diagnose/unread/", unread[i], NULL);

        g_test_add_data_func(path, unread[i], test_unread);
    }
    for (guint i = 0; i < G_N_ELEMENTS(mounts); i++) {
        g_autofree char *path = g_strconcat("/diagnose/mount/", mounts[i].name, NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_mount);
    }
    g_test_add_func("/diagnose/mount/blank", test_blank);
    return g_test_run();
}
