/*
 * test-heal.c: how a damaged image heals, and what happens while everything is read again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <pthread.h>

#include "collect.h"
#include "damage.h"
#include "trash.h"
#include "verify-helper.h"
#include "verify.h"

/* ---- healing ---------------------------------------------------------------------------- */

static void
test_heal(VerifyFixture *fixture, gconstpointer data)
{
    g_autofree char *mark = vimg_image_path(fixture->uuid, VIMG_IMAGE_DAMAGED);
    g_autofree char *b = helper_create(fixture->other, "b", 0);

    verify_spoil(fixture, 0);
    verify_spoil(fixture, 7);
    verify_run(fixture->store, NULL);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    g_assert_true(helper_exists(fixture->store, mark));
    verify_put_good(fixture, 0);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    verify_upload(fixture->other, b, verify_content);
    fixture->store->read_only = TRUE;
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_true(helper_exists(fixture->store, mark));
    fixture->store->read_only = FALSE;
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_false(helper_exists(fixture->store, mark));
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 0);
}

/* More slices than the mark has room for: what it does not list, the index does. */
static void
test_long_list(VerifyFixture *fixture, gconstpointer data)
{
    g_auto(VimgDamage) damage = {.ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId)), .count = 9};
    VimgSliceId listed = verify_id(verify_content, 0);
    VimgSliceId unlisted = verify_id(verify_content, 5);
    g_autoptr(GError) error = NULL;

    g_array_append_val(damage.ids, listed);
    verify_replace(fixture, &unlisted, NULL, 0);
    vimg_damage_write(fixture->store, fixture->uuid, &damage, &error);
    g_assert_no_error(error);
    verify_assert_damaged(fixture->store, fixture->uuid, &unlisted);
    verify_replace(fixture, &listed, NULL, 0);
    verify_assert_damaged(fixture->store, fixture->uuid, &listed);
    verify_put_good(fixture, 0);
    verify_put_good(fixture, 5);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
}

/* The slice of an upload under way is set aside: it fails at the end, and the next one heals it. */
static void
test_upload(VerifyFixture *fixture, gconstpointer data)
{
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, b, &request, NULL, &error);
    VimgSliceId id = verify_id(verify_foreign, 1);
    g_autoptr(VimgBuffer) half = vimg_buffer_new(6 * 65536);

    g_assert_no_error(error);
    memcpy(half->data, verify_foreign->data, half->size);
    helper_feed(writer, half, 0, 65536, FALSE, &error);
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);
    writer = vimg_slice_writer_open(fixture->store, b, &request, NULL, &error);
    helper_feed(writer, verify_foreign, 0, 65536, FALSE, &error);
    g_assert_no_error(error);
    verify_replace(fixture, &id, "garbage", 7);
    g_assert_cmpuint(verify_run(fixture->other, NULL).bad, ==, 1);
    if (!helper_finish(writer, TRUE, verify_foreign->size, &error)) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_cmpint(helper_state(fixture->store, b), ==, VIMG_IMAGE_SAVING);
        verify_upload(fixture->store, b, verify_foreign);
    }
    helper_assert_content(fixture->store, b, verify_foreign);
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 0);
}

/* Deleted, it is in the trash: it may get its slices back. */
static void
test_delete(VerifyFixture *fixture, gconstpointer data)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) again = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    verify_spoil(fixture, 0);
    verify_run(fixture->store, NULL);
    vimg_image_remove(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_false(vimg_trash_restore(fixture->store, fixture->uuid, "a", &image, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    verify_put_good(fixture, 0);
    vimg_trash_restore(fixture->store, fixture->uuid, "a", &again, &error);
    g_assert_no_error(error);
    g_assert_cmpint(again.state, ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
}

/* Wiped, it is as good as new. */
static void
test_wipe(VerifyFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    verify_spoil(fixture, 0);
    verify_run(fixture->store, NULL);
    vimg_image_wipe(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_SAVING);
    verify_upload(fixture->store, fixture->uuid, verify_foreign);
    helper_assert_content(fixture->store, fixture->uuid, verify_foreign);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
}

/* ---- in between ------------------------------------------------------------------------- */

static void
store_again(VerifyFixture *fixture)
{
    verify_put_good(fixture, 3);
}

/* Another host was quicker, and somebody stored the slice again: it is not taken away. */
static void
test_healed_meanwhile(VerifyFixture *fixture, gconstpointer data)
{
    VerifyReport report;

    verify_spoil(fixture, 3);
    fixture->watch->happen[AT_LIFT] = store_again;
    report = verify_run(fixture->store, NULL);
    g_assert_cmpuint(report.bad + report.damaged, ==, 0);
    g_assert_true(verify_in_place(fixture, 3));
    g_assert_cmpuint(verify_count(fixture->store, "bad"), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
}

/* What is looked at out of its place is there for everybody. */
static void
use_all(VerifyFixture *fixture)
{
    g_autofree char *b = helper_create(fixture->other, "b", 0);

    helper_assert_content(fixture->other, fixture->uuid, verify_content);
    verify_upload(fixture->other, b, verify_content);
    helper_assert_content(fixture->other, b, verify_content);
}

static void
test_used_meanwhile(VerifyFixture *fixture, gconstpointer data)
{
    verify_spoil(fixture, 3);
    fixture->watch->happen[AT_LIFT] = store_again;
    fixture->watch->happen[AT_LOOK] = use_all;
    g_assert_cmpuint(verify_run(fixture->store, NULL).bad, ==, 0);
    g_assert_null(fixture->watch->happen[AT_LOOK]);
    g_assert_true(verify_in_place(fixture, 3));
    g_assert_cmpuint(helper_count_gc(fixture->store), ==, 0);
}

static guint killed_after; /* steps of a verification */

static void
store_again_and_die(VerifyFixture *fixture)
{
    verify_put_good(fixture, 3);
    memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_CRASH, .at = killed_after});
}

static gboolean
kill_at_look(VerifyFixture *fixture)
{
    MemoryDisk *disk = memory_disk_copy(fixture->disk);
    VerifyWatch *watch = verify_watch_new(disk, TRUE);
    VerifyFixture killed = {.disk = disk, .watch = watch, .uuid = fixture->uuid};
    g_autofree char *first = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    killed.store = helper_reopen(&watch->pass.parent);
    killed.other = verify_connect(disk, TRUE);
    watch->fixture = &killed;
    watch->happen[AT_LIFT] = store_again_and_die;
    first = vimg_verify(killed.store, NULL, NULL, NULL);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    helper_assert_content(killed.other, fixture->uuid, verify_content);
    helper_fence_all(killed.other);
    report = vimg_collect(killed.other, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(verify_in_place(&killed, 3));
    g_assert_cmpuint(helper_count_gc(killed.other), ==, 0);
    helper_assert_content(killed.other, fixture->uuid, verify_content);
    vimg_slice_store_free(killed.store);
    vimg_slice_store_free(killed.other);
    memory_disk_free(disk);
    return first != NULL;
}

static void
test_killed(VerifyFixture *fixture, gconstpointer data)
{
    verify_spoil(fixture, 3);
    for (killed_after = 1; !kill_at_look(fixture); killed_after++)
        ;
    g_assert_cmpuint(killed_after, >, 4);
}

/* A bad slice that a collector has, or a verification that was killed, is found to be bad. */
static void
test_condemned(VerifyFixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    VimgSliceId id = verify_id(verify_content, 3);
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autofree char *lifted = NULL;
    VerifyReport report;

    verify_upload(fixture->store, b, verify_content);
    verify_spoil(fixture, 3);
    g_assert_cmpint(vimg_slice_lift(fixture->store->transport, &id, &lifted), ==, 0);
    report = verify_run(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 1);
    g_assert_cmpuint(report.damaged, ==, 2);
    verify_assert_damaged(fixture->store, fixture->uuid, &id);
    g_assert_false(verify_in_place(fixture, 3));
}

static void
upload_again(VerifyFixture *fixture)
{
    g_autofree char *index = vimg_image_path(fixture->uuid, VIMG_IMAGE_INDEX);
    g_autoptr(GError) error = NULL;

    /* what is cut off may be wiped */
    g_assert_cmpint(vimg_transport_unlink(fixture->other->transport, index), ==, 0);
    g_assert_cmpint(vimg_transport_create(fixture->other->transport, index, "x", 1, FALSE), ==, 0);
    vimg_image_wipe(fixture->other, fixture->uuid, &error);
    g_assert_no_error(error);
    verify_upload(fixture->other, fixture->uuid, verify_foreign);
}

/* The image whose index was found broken is another one when it is to be marked. */
static void
test_index_meanwhile(VerifyFixture *fixture, gconstpointer data)
{
    verify_spoil_index(fixture);
    fixture->watch->happen[AT_TURN] = upload_again;
    verify_run(fixture->store, NULL);
    g_assert_null(fixture->watch->happen[AT_TURN]);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(fixture->store, fixture->uuid, verify_foreign);
}

static void *
verify_all(void *data)
{
    guint i;

    for (i = 0; i < 6; i++)
        verify_run(data, NULL);
    return NULL;
}

/* Two hosts verify while a third stores and one spoils: what is good at the end is in its place. */
static void
test_race(VerifyFixture *fixture, gconstpointer data)
{
    VimgSliceStore *third = verify_connect(fixture->disk, TRUE);
    VimgSliceStore *stores[] = {fixture->store, fixture->other};
    pthread_t threads[G_N_ELEMENTS(stores)];
    g_autofree char *b = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(stores); i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, verify_all, stores[i]), ==, 0);
    for (i = 0; i < 200; i++) {
        VimgSliceId id = verify_id(verify_content, 3);
        g_autofree char *path = vimg_slice_path(&id);
        g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
        gsize size;
        const guint8 *frame;

        /* either may find the other's file; nobody but a verification takes a whole one away */
        if (i % 2 == 0) {
            vimg_transport_unlink(third->transport, path);
            vimg_transport_create(third->transport, path, "bad", 3, TRUE);
        } else {
            frame =
                vimg_slice_compress(tools, verify_content->data + 3 * 65536, 65536, 1, &size, NULL);
            vimg_transport_create(third->transport, path, frame, size, TRUE);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(stores); i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    verify_run(third, NULL);
    b = helper_create(third, "b", 0);
    verify_upload(third, b, verify_content);
    g_assert_cmpuint(verify_run(third, NULL).damaged, ==, 0);
    helper_assert_content(third, fixture->uuid, verify_content);
    vimg_slice_store_free(third);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    verify_add("/imagestore/heal/slices", test_heal, NULL);
    verify_add("/imagestore/heal/long-list", test_long_list, NULL);
    verify_add("/imagestore/heal/upload", test_upload, NULL);
    verify_add("/imagestore/heal/delete", test_delete, NULL);
    verify_add("/imagestore/heal/wipe", test_wipe, NULL);
    verify_add("/imagestore/heal/healed-meanwhile", test_healed_meanwhile, NULL);
    verify_add("/imagestore/heal/used-meanwhile", test_used_meanwhile, NULL);
    verify_add("/imagestore/heal/killed", test_killed, NULL);
    verify_add("/imagestore/heal/condemned/all", test_condemned, NULL);
    verify_add("/imagestore/heal/condemned/one", test_condemned, "one");
    verify_add("/imagestore/heal/index-meanwhile", test_index_meanwhile, NULL);
    verify_add("/imagestore/heal/race", test_race, NULL);
    return verify_main();
}
