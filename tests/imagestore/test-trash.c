/*
 * test-trash.c: deleted images, kept, restored and purged by two hosts, one after the other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "claim.h"
#include "collect.h"
#include "promise.h"
#include "slice.h"
#include "trash-helper.h"

/* ---- one after the other ---------------------------------------------------------------- */

static void
test_restore(TrashFixture *fixture, gconstpointer data)
{
    const char *name = data;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_true(trash_first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.uuid, ==, fixture->uuid);
    g_assert_cmpstr(image.name, ==, "a");
    g_assert_cmpint(image.deleted, >, 0);
    trash_restore(fixture->other, fixture->uuid, name, &error);
    g_assert_no_error(error);
    g_assert_false(trash_is_listed(fixture->store, TRUE));
    helper_assert_content(fixture->store, fixture->uuid, trash_content);
    if (strcmp(name, "a") != 0)
        trash_assert_free(fixture->store, "a");
    g_assert_false(trash_restore(fixture->store, fixture->uuid, name, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);
    g_assert_false(vimg_trash_purge(fixture->store, fixture->uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    helper_assert_content(fixture->store, fixture->uuid, trash_content);
    g_assert_cmpuint(trash_count(fixture->store, "pending"), ==, 0);
    g_assert_cmpuint(trash_count(fixture->store, "names"), ==, 1);
}

static void
test_restore_taken(TrashFixture *fixture, gconstpointer data)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *uuid = helper_create(fixture->other, "b", 0);
    g_autoptr(GError) error = NULL;

    g_assert_false(trash_restore(fixture->store, fixture->uuid, "b", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_true(trash_first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.name, ==, "a");
    g_assert_cmpint(helper_state(fixture->store, uuid), ==, VIMG_IMAGE_SAVING);
    trash_restore(fixture->store, fixture->uuid, "a", &error);
    g_assert_no_error(error);
}

static void
test_purge(TrashFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    vimg_trash_purge(fixture->other, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_false(trash_is_listed(fixture->store, TRUE));
    g_assert_false(trash_is_listed(fixture->store, FALSE));
    g_assert_cmpuint(trash_count(fixture->store, "images"), ==, 0);
    g_assert_false(trash_restore(fixture->store, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

#define PROMISE "11111111-1111-4111-8111-111111111111"

static void
keep(VimgSliceStore *store, const char *uuid, gint64 until)
{
    g_autoptr(GError) error = NULL;

    vimg_promise_keep(store, uuid, PROMISE, until, &error);
    g_assert_no_error(error);
}

/* As the other host cleans up or purges it at once.  Returns: whether it is gone. */
static gboolean
lose(TrashFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    fixture->other->keep_deleted = 0;
    report = vimg_collect(fixture->other, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    if (trash_is_listed(fixture->store, TRUE)) {
        g_assert_false(vimg_trash_purge(fixture->other, fixture->uuid, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    }
    return !trash_is_listed(fixture->store, TRUE);
}

/* What one host has promised no other removes: until then, or until that has ended. */
static void
test_kept(TrashFixture *fixture, gconstpointer data)
{
    const gint64 later = g_get_real_time() / G_USEC_PER_SEC + 3600;
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_promise_keep(fixture->store, fixture->uuid, PROMISE, later, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL); /* it is in the trash */
    trash_restore(fixture->store, fixture->uuid, "a", NULL);
    keep(fixture->store, fixture->uuid, 5);
    keep(fixture->store, fixture->uuid, later);
    keep(fixture->store, fixture->uuid, later);
    trash_delete(fixture->store, fixture->uuid);
    g_assert_false(lose(fixture));
    keep(fixture->store, fixture->uuid, 0);
    g_assert_true(lose(fixture));
    keep(fixture->store, fixture->uuid, 0); /* there is none, nor an image */
}

static void
test_kept_no_longer(TrashFixture *fixture, gconstpointer data)
{
    trash_restore(fixture->store, fixture->uuid, "a", NULL);
    keep(fixture->store, fixture->uuid, g_get_real_time() / G_USEC_PER_SEC - 3600);
    trash_delete(fixture->store, fixture->uuid);
    g_assert_true(lose(fixture));
}

static const struct {
    const char *name;
    gint64 until;
} promises[] = {
    {"kept." PROMISE ".7", 7},
    {"kept." PROMISE ".-7", 0},
    {"kept." PROMISE ".7x", 0},
    {"kept." PROMISE ".", 0},
    {"kept." PROMISE, 0},
    {"kept.", 0},
    {"skept." PROMISE ".7", 0},
    {"kept.1.7", 0},
    {"kept." PROMISE ".99999999999999999999", 0},
};

static void
test_promises(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(promises); i++) {
        g_test_message("%s", promises[i].name);
        g_assert_cmpint(vimg_promise_until(promises[i].name), ==, promises[i].until);
    }
}

/* Of an interrupted delete or restore the claim may be left. */
static void
test_left_claim(TrashFixture *fixture, gconstpointer data)
{
    const char *name = data;
    g_autofree char *path = vimg_claim_path("a", fixture->uuid);
    g_autoptr(GError) error = NULL;

    vimg_transport_mkdir(fixture->other->transport, "names/a");
    vimg_transport_create(fixture->other->transport, path, "", 0, FALSE);
    if (name) {
        trash_restore(fixture->store, fixture->uuid, name, &error);
        helper_assert_content(fixture->store, fixture->uuid, trash_content);
    } else {
        vimg_trash_purge(fixture->store, fixture->uuid, &error);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(trash_count(fixture->store, "names"), ==, name ? 1 : 0);
}

/* Without a manifest it has no name, but can be seen and purged. */
static void
test_no_manifest(TrashFixture *fixture, gconstpointer data)
{
    g_autofree char *dir = g_strconcat("images/", fixture->uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    guint i;

    vimg_transport_list(fixture->store->transport, dir, &names);
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = vimg_image_path(fixture->uuid, names->pdata[i]);

        if (g_str_has_prefix(names->pdata[i], "manifest."))
            g_assert_cmpint(vimg_transport_unlink(fixture->store->transport, path), ==, 0);
    }
    g_assert_true(trash_first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.name, ==, fixture->uuid);
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_false(trash_restore(fixture->store, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    vimg_trash_purge(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(trash_count(fixture->store, "images"), ==, 0);
}

/* A slice that a collector took away comes back, durably; one that is nowhere is named. */
static void
test_condemned(TrashFixture *fixture, gconstpointer data)
{
    VimgTransport *transport = fixture->store->transport;
    VimgSliceTools *tools = vimg_slice_tools_new();
    g_autofree char *place = NULL;
    g_autofree char *condemned = NULL;
    g_autoptr(GError) error = NULL;
    char hex[VIMG_ID_HEX];
    VimgFileInfo info;
    VimgSliceId id;

    vimg_slice_hash(tools, trash_content->data, 65536, &id);
    vimg_slice_tools_free(tools);
    vimg_id_to_hex(&id, hex);
    place = vimg_slice_path(&id);
    condemned = g_strdup_printf("gc/lock/run/condemned/%s.cacnk", hex);
    vimg_transport_mkdir(transport, "gc/lock");
    vimg_transport_mkdir(transport, "gc/lock/run");
    vimg_transport_mkdir(transport, "gc/lock/run/condemned");
    g_assert_cmpint(vimg_transport_rename(transport, place, condemned), ==, 0);
    g_assert_cmpint(vimg_transport_sync_all(transport), ==, 0);
    trash_restore(fixture->other, fixture->uuid, "a", &error);
    g_assert_no_error(error);
    memory_disk_crash(fixture->disk, 0);
    helper_fence_all(fixture->store);
    g_assert_cmpint(vimg_transport_stat(transport, place, &info), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, trash_content);
    trash_delete(fixture->store, fixture->uuid);
    g_assert_cmpint(vimg_transport_unlink(transport, place), ==, 0);
    g_assert_false(trash_restore(fixture->other, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, hex));
    g_assert_true(trash_is_listed(fixture->store, TRUE));
    trash_assert_free(fixture->store, "a");
}

typedef gboolean (*List)(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error);

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

/* What the storage did not answer is not taken for an answer: @list fails, or shows its image. */
static void
check_lost(TrashFixture *fixture, List list, int result, gint code)
{
    gboolean through = FALSE;
    guint at;

    for (at = 1; !through; at++) {
        VimgSliceStore *fresh = trash_connect(fixture->disk);
        g_autoptr(GError) error = NULL;
        gboolean good;
        guint seen = 0;

        memory_disk_set_fault(fixture->disk,
                              &(Fault){.kind = FAULT_LOOK, .at = at, .result = result});
        good = list(fresh, count_image, &seen, &error);
        through = memory_disk_count_looks(fixture->disk) < at;
        memory_disk_set_fault(fixture->disk, &(Fault){0});
        if (good)
            g_assert_cmpuint(seen, ==, 1);
        else
            g_assert_error(error, VIMG_ERROR, code);
        vimg_slice_store_free(fresh);
    }
    g_assert_cmpuint(at, >, 4);
}

static void
test_lost(TrashFixture *fixture, gconstpointer data)
{
    g_free(helper_create(fixture->store, "there", 0));
    check_lost(fixture, vimg_image_list, ENOTCONN, VIMG_ERROR_DISCONNECTED);
    check_lost(fixture, vimg_image_list, ECANCELED, VIMG_ERROR_ABORTED);
    check_lost(fixture, vimg_trash_list, ENOTCONN, VIMG_ERROR_DISCONNECTED);
    check_lost(fixture, vimg_trash_list, ECANCELED, VIMG_ERROR_ABORTED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trash_init();
    trash_add("/imagestore/trash/restore/same-name", "a", test_restore);
    trash_add("/imagestore/trash/restore/other-name", "b", test_restore);
    trash_add("/imagestore/trash/restore/taken", NULL, test_restore_taken);
    if (memory_disk_is_memory())
        trash_add("/imagestore/trash/restore/condemned", NULL, test_condemned);
    trash_add("/imagestore/trash/purge", NULL, test_purge);
    trash_add("/imagestore/trash/kept", NULL, test_kept);
    trash_add("/imagestore/trash/kept/no-longer", NULL, test_kept_no_longer);
    g_test_add_func("/imagestore/trash/promises", test_promises);
    trash_add("/imagestore/trash/left-claim/same-name", "a", test_left_claim);
    trash_add("/imagestore/trash/left-claim/other-name", "b", test_left_claim);
    trash_add("/imagestore/trash/left-claim/purge", NULL, test_left_claim);
    trash_add("/imagestore/trash/no-manifest", NULL, test_no_manifest);
    trash_add("/imagestore/trash/lost", NULL, test_lost);
    return trash_run();
}
