/*
 * test-lease.c: leases of those who live and of the dead, and what a collector condemned
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "claim.h"
#include "image.h"
#include "memory-transport.h"
#include "sign.h"
#include "slice.h"
#include "slow-transport.h"
#include "store-helper.h"
#include "survey.h"

/* A lease of a process of this boot that is no more is fenced, one of another boot is not. */
static void
test_fencing(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgLease) lease = NULL;
    g_autofree char *staged = NULL;
    g_autofree char *owner = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GString) dead = NULL;
    g_autoptr(GPtrArray) pending = NULL;
    g_autoptr(GError) error = NULL;

    lease = vimg_lease_new(store, &error);
    g_assert_no_error(error);
    staged = vimg_lease_path(lease, "staged");
    g_assert_cmpint(vimg_transport_create(store->transport, staged, "x", 1, FALSE), ==, 0);
    vimg_slice_store_free(helper_reopen(helper_transport(home->dir)));
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 1);
    owner = g_strdup_printf("%s/%s/owner", home->dir, lease->dir);
    g_assert_true(g_file_get_contents(owner, &text, NULL, NULL));
    dead = g_string_new(text);
    g_assert_cmpuint(g_string_replace(dead, "\"start\" : ", "\"start\" : 1", 1), ==, 1);
    g_assert_true(g_file_set_contents(owner, dead->str, -1, NULL));
    vimg_slice_store_free(helper_reopen(helper_transport(home->dir)));
    g_clear_pointer(&pending, g_ptr_array_unref);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 0);
    /* its holder can publish nothing any more */
    g_assert_cmpint(vimg_transport_rename(store->transport, staged, "images/x"), ==, ENOENT);
}

static void
test_fenced_upload(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GPtrArray) pending = NULL;
    g_autofree char *lease = NULL;
    g_autoptr(GError) error = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, 65536, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 1);
    lease = g_strconcat("pending/", g_ptr_array_index(pending, 0), NULL);
    g_assert_cmpint(vimg_transport_rename(store->transport, lease, "gc/fenced-x"), ==, 0);
    g_assert_false(helper_finish(writer, TRUE, content->size, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
}

/* A slice that a collector condemned is read where it is and moved back by who needs it. */
static void
test_condemned(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) content = helper_content(1, 3 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *place = NULL;
    g_autofree char *condemned = NULL;
    g_autoptr(GError) error = NULL;
    VimgSliceId id;
    char hex[VIMG_ID_HEX];

    g_assert_true(helper_upload(store, uuid, content, &error));
    vimg_slice_hash(tools, content->data, 65536, &id);
    vimg_id_to_hex(&id, hex);
    place = vimg_slice_path(&id);
    condemned = g_strdup_printf("gc/lock/run/condemned/%s.cacnk", hex);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock"), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock/run"), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock/run/condemned"), ==, 0);
    g_assert_cmpint(vimg_transport_rename(store->transport, place, condemned), ==, 0);
    helper_assert_content(store, uuid, content);
    g_assert_true(vimg_slice_rescue(store->transport, &id));
    g_assert_cmpint(vimg_transport_rename(store->transport, condemned, place), ==, ENOENT);
    helper_assert_content(store, uuid, content);
}

/* Closing a store does not wait until all that ended is removed; a survey does it. */
static void
test_left_at_close(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(slow_transport_new(memory_transport_new(disk, TRUE), 0));
    g_autoptr(VimgTransport) near = memory_transport_new(disk, TRUE);
    VimgLease *lease = vimg_lease_new(store, NULL);
    g_autofree char *ended = g_strconcat("gc/fenced-", strrchr(lease->dir, '/') + 1, NULL);
    VimgFileInfo info;

    __atomic_store_n(&store->closing, 1, __ATOMIC_RELAXED);
    vimg_lease_leave(lease, NULL);
    vimg_slice_store_free(store);
    g_assert_cmpint(vimg_transport_stat(near, ended, &info), ==, 0);
    vimg_slice_store_free(helper_reopen(memory_transport_new(disk, TRUE)));
    g_assert_cmpint(vimg_transport_stat(near, ended, &info), ==, ENOENT);
    g_clear_pointer(&near, vimg_transport_free);
    memory_disk_free(disk);
}

/* Wherever its process is killed, a lease is gone, or says whose it was. */
static void
test_killed(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    guint count;
    guint at;

    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    vimg_lease_free(vimg_lease_new(store, NULL));
    count = memory_disk_count(disk);
    for (at = 1; at <= count; at++) {
        g_autoptr(GPtrArray) alive = NULL;

        memory_disk_set_fault(disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        vimg_lease_free(vimg_lease_new(store, NULL));
        memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
        alive = vimg_survey_leases(store, g_get_monotonic_time(), NULL);
        g_assert_cmpuint(alive->len, ==, 0);
    }
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* ---- an empty file in the place of a slice ---------------------------------------------- */

typedef struct {
    MemoryDisk *disk;
    VimgTransport *other; /* of another host */
    VimgSliceId id;
    guint crash; /* changing operations that we do after it; 0: all */
    gboolean met;
} Empty;

static void
put_staged(VimgTransport *transport, const VimgSliceId *id, const char *staged)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autofree guint8 *plain = g_malloc0(65536);
    gsize size;
    const guint8 *frame = vimg_slice_compress(tools, plain, 65536, 1, &size, NULL);

    g_assert_cmpint(vimg_transport_create(transport, staged, frame, size, TRUE), ==, 0);
}

/* The other host replaces it and relies on it from now on. */
static void
replace_empty(gpointer data)
{
    Empty *empty = data;

    g_assert_cmpint(vimg_slice_put(empty->other, "pending/other", &empty->id), ==, 0);
    if (empty->crash > 0)
        memory_disk_set_fault(empty->disk, &(Fault){.kind = FAULT_CRASH, .at = empty->crash});
    empty->met = TRUE;
}

/* Two hosts replace it, the second one before operation @at of the first, which dies then. */
static gboolean
meet_at_empty(const MemoryDisk *made, guint at, guint crash)
{
    MemoryDisk *disk = memory_disk_copy(made);
    g_autoptr(VimgTransport) transport = memory_transport_new(disk, TRUE);
    g_autoptr(VimgTransport) other = memory_transport_new(disk, TRUE);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) found = NULL;
    g_autoptr(GError) error = NULL;
    Empty empty = {disk, other, *vimg_zero_id(65536), crash, FALSE};
    g_autofree char *place = vimg_slice_path(&empty.id);
    int result;

    vimg_transport_unlink(transport, place);
    g_assert_cmpint(vimg_transport_create(transport, place, "", 0, TRUE), ==, 0);
    put_staged(transport, &empty.id, "pending/own");
    put_staged(transport, &empty.id, "pending/other");
    memory_transport_meet(transport, at, replace_empty, &empty);
    result = vimg_slice_put(transport, "pending/own", &empty.id);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    if (crash == 0)
        g_assert_cmpint(result, ==, 0);
    found =
        vimg_slice_read(other, tools, &empty.id, 65536, empty.met || result == 0 ? &error : NULL);
    g_assert_no_error(error);
    memory_disk_free(disk);
    return empty.met;
}

static void
test_empty(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    g_autoptr(VimgSliceStore) store = helper_store(memory_transport_new(disk, TRUE));
    guint crash;
    guint at;

    for (crash = 0; crash < 8; crash++) {
        for (at = 1; meet_at_empty(disk, at, crash); at++)
            ;
        g_assert_cmpuint(at, >, 4);
    }
    g_clear_pointer(&store, vimg_slice_store_free);
    memory_disk_free(disk);
}

/* Whether what was seen of the image is so still, by the way a sign of @lease is made. */
static gboolean
is_still(VimgLease *lease, const VimgStoredImage *image)
{
    VimgSeen seen = {.manifest = image->manifest};
    const char *uuid = image->manifest->image.uuid;
    g_autofree char *other = NULL;

    g_assert_cmpint(vimg_sign_try(lease, uuid, VIMG_SIGN_TURN, &seen, &other), ==, 0);
    vimg_sign_end(lease, uuid, VIMG_SIGN_TURN);
    return seen.still;
}

static void
touch(VimgTransport *transport, const char *path)
{
    g_assert_cmpint(vimg_transport_create(transport, path, "x", 1, FALSE), ==, 0);
}

/* An image that was seen saving: its name, its manifest and what makes it another must be known. */
static void
test_seen(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    VimgTransport *transport = store->transport;
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *claim = vimg_claim_path("a", uuid);
    g_autoptr(VimgLease) lease = vimg_lease_new(store, NULL);
    g_auto(VimgStoredImage) image = {0};
    static const char *const marks[] = {VIMG_IMAGE_INDEX, VIMG_IMAGE_DELETED, "manifest.7.json"};
    gsize i;

    g_assert_true(vimg_image_load(store, uuid, &image, NULL));
    g_assert_true(is_still(lease, &image));
    g_assert_cmpint(vimg_transport_unlink(transport, claim), ==, 0);
    g_assert_false(is_still(lease, &image));
    touch(transport, claim);
    for (i = 0; i < G_N_ELEMENTS(marks); i++) {
        g_autofree char *path = vimg_image_path(uuid, marks[i]);

        g_assert_true(is_still(lease, &image));
        touch(transport, path);
        g_assert_false(is_still(lease, &image));
        g_assert_cmpint(vimg_transport_unlink(transport, path), ==, 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/imagestore/lease/fencing", test_fencing, NULL);
    helper_add("/imagestore/lease/fenced-upload", test_fenced_upload, NULL);
    helper_add("/imagestore/lease/seen", test_seen, NULL);
    helper_add("/imagestore/lease/left-at-close", test_left_at_close, NULL);
    helper_add("/imagestore/lease/condemned", test_condemned, NULL);
    helper_add("/imagestore/lease/killed", test_killed, NULL);
    /* where a rename replaces, nothing is to be done about what is there */
    if (memory_disk_is_memory())
        helper_add("/imagestore/lease/empty", test_empty, NULL);
    return g_test_run();
}
