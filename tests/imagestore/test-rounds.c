/*
 * test-rounds.c: what jobs cost on a storage far away, in rounds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "account.h"
#include "claim.h"
#include "clone.h"
#include "collect.h"
#include "memory-transport.h"
#include "publish.h"
#include "slice.h"
#include "slicer.h"
#include "slow-transport.h"
#include "store-helper.h"
#include "trash.h"
#include "turn.h"
#include "verify.h"

/* A store of many images, all of the same few slices. */
typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
    VimgTransport *far; /* the store's */
    VimgTransport *near;
    GPtrArray *uuids;
} Place;

static void
put(Place *place, char *path, gconstpointer data, gsize size)
{
    g_assert_cmpint(vimg_transport_create(place->near, path, data, size, FALSE), ==, 0);
    g_free(path);
}

static void
put_dir(Place *place, char *path)
{
    g_assert_cmpint(vimg_transport_mkdir(place->near, path), ==, 0);
    g_free(path);
}

/* An active image without a byte of content. */
static void
put_image(Place *place, const char *name)
{
    VimgIndexSizes sizes = vimg_slicer_sizes(VIMG_CUT_FIXED, place->store->slice_size);
    g_autoptr(VimgIndex) index = vimg_index_new(&sizes);
    g_autoptr(VimgBuffer) bytes = vimg_index_encode(index);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgManifest) manifest = NULL;
    g_autofree char *text = NULL;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    manifest = vimg_manifest_new(&image);
    manifest->sealed = TRUE;
    manifest->sealed_format = g_strdup("raw");
    manifest->index_size = bytes->size;
    manifest->index_digest = vimg_sha256_hex(bytes->data, bytes->size);
    text = vimg_manifest_format(manifest);
    put_dir(place, vimg_image_dir(image.uuid));
    put(place, vimg_image_path(image.uuid, "manifest.1.json"), text, strlen(text));
    put(place, vimg_image_path(image.uuid, VIMG_IMAGE_INDEX), bytes->data, bytes->size);
    put_dir(place, g_strconcat("names/", name, NULL));
    put(place, vimg_claim_path(name, image.uuid), "", 0);
    g_ptr_array_add(place->uuids, g_strdup(image.uuid));
}

static void
set_up(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);
    guint i;

    place->disk = memory_disk_new();
    place->near = memory_transport_new(place->disk, FALSE);
    place->far = slow_transport_new(memory_transport_new(place->disk, FALSE), 0);
    place->store = helper_store(place->far);
    place->uuids = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("image-%04u", i);

        put_image(place, name);
    }
    slow_transport_reset(place->far);
}

static void
tear_down(Place *place, gconstpointer data)
{
    vimg_slice_store_free(place->store);
    vimg_transport_free(place->near);
    memory_disk_free(place->disk);
    g_ptr_array_unref(place->uuids);
}

/* What it cost since the last time, with what nobody waited for. */
static guint
rounds(Place *place)
{
    guint n;

    vimg_lease_sweep_end(place->store);
    n = slow_transport_rounds(place->far);
    slow_transport_reset(place->far);
    g_test_message("%u rounds", n);
    return n;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void
assert_probed(VimgSliceStore *store, guint asked)
{
    VimgPluginStore found = {.size = sizeof(found)};
    g_autoptr(GError) error = NULL;

    slow_transport_reset(store->transport);
    vimg_slice_store_probe(store, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found.store_id, ==, store->uuid);
    g_assert_cmpuint(found.capacity, >, 0);
    g_free(found.store_id);
    g_assert_cmpuint(slow_transport_rounds(store->transport), ==, asked);
}

/* What was read then is not asked for again at once, but later it is. */
static void
test_open(Place *place, gconstpointer data)
{
    VimgTransport *far = slow_transport_new(memory_transport_new(place->disk, FALSE), 0);
    g_autoptr(VimgSliceStore) store = helper_reopen(far);

    g_assert_cmpuint(slow_transport_rounds(far), <=, 4);
    assert_probed(store, 0);
    assert_probed(store, 1);
}

/* ---- listing ---------------------------------------------------------------------------- */

static guint
list_rounds(Place *place, guint images)
{
    g_assert_cmpuint(helper_count_images(place->store), ==, images);
    return rounds(place);
}

/* What the storage calls now is later than all that is there: somebody took a lease. */
static void
let_pass(Place *place)
{
    VimgLease *lease;

    memory_disk_let_pass(place->disk, 3);
    lease = vimg_lease_new(place->store, NULL);
    g_assert_nonnull(lease);
    vimg_lease_free(lease);
    rounds(place);
}

static guint
batches(guint n)
{
    return (n + VIMG_IMAGE_LOOKS - 1) / VIMG_IMAGE_LOOKS;
}

static void
test_list(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);

    let_pass(place);
    g_assert_cmpuint(helper_count_images(place->store), ==, n);
    /* of each its claim, and nothing that a directory told */
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_STAT), ==, 1 + n);
    g_assert_cmpuint(rounds(place), <=, 1 + 3 * batches(n));
    g_assert_cmpuint(list_rounds(place, n), ==, 1);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_READ), ==, 0);
}

/* What is as young as the listing itself may change without showing it. */
static void
test_list_young(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);

    list_rounds(place, n);
    g_assert_cmpuint(list_rounds(place, n), >=, 4);
}

/* What is at the end of a directory that is longer than others is found as well. */
static void
test_list_long(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);
    guint i;

    for (i = 0; i < 1000; i++)
        put(place, g_strdup_printf("images/%s/file-%03u", (const char *)place->uuids->pdata[1], i),
            "", 0);
    list_rounds(place, n);
    g_assert_cmpuint(helper_count_images(place->store), ==, n);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_LIST), ==, 2 + n + 1);
}

/* Of a directory that holds too much nothing is said, however it is looked at. */
static void
test_crowded(Place *place, gconstpointer data)
{
    const char *uuid = place->uuids->pdata[0];
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(GArray) looks = NULL;
    guint i;

    g_assert_cmpint(vimg_image_look(place->store, uuid, &image), ==, 0);
    vimg_stored_image_clear(&image);
    for (i = 0; i < 64 * 1024; i++)
        put(place, g_strdup_printf("images/%s/file-%05u", uuid, i), "", 0);
    g_assert_cmpint(vimg_image_look(place->store, uuid, &image), ==, E2BIG);
    looks = vimg_image_look_some(place->store, place->uuids, 0, 2);
    g_assert_cmpint(g_array_index(looks, VimgImageLook, 0).result, ==, E2BIG);
    g_assert_cmpint(g_array_index(looks, VimgImageLook, 1).result, ==, 0);
}

/* Whatever another host does to images is seen. */
static void
test_list_changes(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(place->disk, FALSE));
    const char *first = place->uuids->pdata[0];
    const char *second = place->uuids->pdata[1];
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    GError *error = NULL;

    let_pass(place);
    list_rounds(place, n);
    vimg_image_set_error(other, first, "x", NULL);
    vimg_image_remove(other, first, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list_rounds(place, n - 1), <=, 1 + 3 + 2);
    vimg_trash_restore(other, first, "again", &out, &error);
    g_assert_no_error(error);
    list_rounds(place, n);
    vimg_image_remove(other, second, &error);
    g_assert_no_error(error);
    let_pass(place);
    list_rounds(place, n - 1);
    /* also one in the trash is known */
    g_assert_cmpuint(list_rounds(place, n - 1), ==, 1);
    vimg_trash_purge(other, second, &error);
    g_assert_no_error(error);
    put_image(place, "fresh");
    list_rounds(place, n);
}

/* ---- one image -------------------------------------------------------------------------- */

/* The name and description by which @uuid is there for us, and what it cost to see that. */
static guint
assert_seen(Place *place, const char *uuid, const char *name, const char *description)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    rounds(place);
    vimg_image_stat(place->store, uuid, &out, &error);
    if (name) {
        g_assert_no_error(error);
        g_assert_cmpstr(out.name, ==, name);
        g_assert_cmpstr(out.description, ==, description);
    } else {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    }
    return rounds(place);
}

/* An image is guessed to be as it was; whatever another host does to it is seen. */
static void
test_guess(Place *place, gconstpointer data)
{
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(place->disk, FALSE));
    const char *uuid = place->uuids->pdata[0];
    g_auto(VimgPluginImage) change = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(assert_seen(place, uuid, "image-0000", NULL), >, 1);
    g_assert_cmpuint(assert_seen(place, uuid, "image-0000", NULL), ==, 1);
    change.uuid = g_strdup(uuid);
    change.description = g_strdup("other");
    vimg_image_set_metadata(other, &change, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(assert_seen(place, uuid, "image-0000", "other"), >, 1);
    g_assert_cmpuint(assert_seen(place, uuid, "image-0000", "other"), ==, 1);
    vimg_image_remove(other, uuid, &error);
    g_assert_no_error(error);
    assert_seen(place, uuid, NULL, NULL);
    vimg_trash_restore(other, uuid, "again", &out, &error);
    g_assert_no_error(error);
    assert_seen(place, uuid, "again", "other");
    g_assert_cmpuint(assert_seen(place, uuid, "again", "other"), ==, 1);
    vimg_image_remove(other, uuid, &error);
    g_assert_no_error(error);
    vimg_trash_purge(other, uuid, &error);
    g_assert_no_error(error);
    assert_seen(place, uuid, NULL, NULL);
}

/* ---- content ---------------------------------------------------------------------------- */

static VimgBuffer *
noise(guint32 seed, gsize size)
{
    g_autoptr(GRand) chance = g_rand_new_with_seed(seed);
    VimgBuffer *buffer = vimg_buffer_new(size);
    gsize i;

    for (i = 0; i < size / 4; i++)
        ((guint32 *)(gpointer)buffer->data)[i] = g_rand_int(chance);
    return buffer;
}

#define SLICES 768 /* of 64 KiB: 48 MiB */
#define FAR 10000

/* A transport that takes its time, so that batches gather. */
static void
move_away(Place *place, guint delay)
{
    vimg_slice_store_free(place->store);
    place->far = slow_transport_new(memory_transport_new(place->disk, FALSE), delay);
    place->store = helper_reopen(place->far);
}

static void
test_upload(Place *place, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = noise(1, SLICES * 64 * KIB);
    g_autoptr(GError) error = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    move_away(place, FAR);
    first = helper_create(place->store, "first", content->size);
    rounds(place);
    slow_transport_gather(place->far, 32 * MIB);
    helper_upload(place->store, first, content, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_CREATE), >=, SLICES);
    g_assert_cmpuint(rounds(place), <=, 50 + SLICES / 4);
    helper_assert_content(place->store, first, content);
    /* what is known is asked for, but not sent */
    second = helper_create(place->store, "second", content->size);
    rounds(place);
    helper_upload(place->store, second, content, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_CREATE), <=, 20);
    g_assert_cmpuint(rounds(place), <=, 50 + SLICES / 4);
    helper_assert_content(place->store, second, content);
}

static void
upload_small(Place *place, guint number, guint *create, guint *upload)
{
    g_autofree char *name = g_strdup_printf("image-%u", number);
    g_autoptr(VimgBuffer) content = noise(1 + number, 3 * 64 * KIB);
    g_autofree char *uuid = NULL;
    GError *error = NULL;

    rounds(place);
    uuid = helper_create_format(place->store, name, "raw");
    *create = MIN(*create, slow_transport_trips(place->far));
    rounds(place);
    helper_upload(place->store, uuid, content, &error);
    g_assert_no_error(error);
    *upload = MIN(*upload, slow_transport_trips(place->far));
    helper_assert_content(place->store, uuid, content);
}

/*
 * What waits for one another; an image of three slices, and the rest is the same for any.  What a
 * busy machine makes late counts as waited for: so it is far away, and there is more than one try.
 */
static void
test_upload_small(Place *place, gconstpointer data)
{
    guint create = G_MAXUINT;
    guint upload = G_MAXUINT;
    guint i;

    move_away(place, 5 * FAR);
    for (i = 0; i < 5 && (create > 20 || upload > 21); i++)
        upload_small(place, i, &create, &upload);
    g_test_message("%u trips to create, %u to upload", create, upload);
    g_assert_cmpuint(create, <=, 20);
    g_assert_cmpuint(upload, <=, 21);
    /* the sizes, which everybody asks for then, were looked at meanwhile */
    vimg_lease_sweep_end(place->store);
    assert_probed(place->store, 0);
    assert_probed(place->store, 1);
}

/* Slices that come again while they are under way are sent once. */
static void
test_upload_same(Place *place, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = noise(1, SLICES * 64 * KIB);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;
    guint i;

    move_away(place, FAR);
    for (i = 4; i < SLICES; i++)
        memcpy(content->data + i * 64 * KIB, content->data + (i % 4) * 64 * KIB, 64 * KIB);
    uuid = helper_create(place->store, "image", content->size);
    rounds(place);
    helper_upload(place->store, uuid, content, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_CREATE), <=, 4 + 20);
    helper_assert_content(place->store, uuid, content);
}

static void
test_download(Place *place, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = noise(1, SLICES * 64 * KIB);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = helper_create(place->store, "image", content->size);

    helper_upload(place->store, uuid, content, &error);
    g_assert_no_error(error);
    rounds(place);
    slow_transport_gather(place->far, 16 * MIB);
    helper_assert_content(place->store, uuid, content);
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_READ), <=, SLICES + 10);
    g_assert_cmpuint(rounds(place), <=, 20 + SLICES / 16);
}

/* ---- jobs over all ---------------------------------------------------------------------- */

static gboolean
count_deleted(const VimgPluginImage *image, gpointer data)
{
    g_assert_cmpint(image->deleted, >, 0);
    ++*(guint *)data;
    return TRUE;
}

/* Images and slices a plenty: what is asked grows by batches. */
static void
test_all(Place *place, gconstpointer data)
{
    guint n = GPOINTER_TO_UINT(data);
    g_autoptr(VimgBuffer) content = noise(3, SLICES * 64 * KIB);
    g_autofree char *uuid = helper_create(place->store, "content", content->size);
    g_autoptr(GError) error = NULL;
    char *report;
    guint deleted = 0;
    guint i;

    helper_upload(place->store, uuid, content, &error);
    g_assert_no_error(error);
    for (i = 0; i < n / 2; i++)
        put(place, vimg_image_path(place->uuids->pdata[i], VIMG_IMAGE_DELETED), "", 0);
    rounds(place);
    g_assert_true(vimg_trash_list(place->store, count_deleted, &deleted, NULL));
    g_assert_cmpuint(deleted, ==, n / 2);
    g_assert_cmpuint(rounds(place), <=, 2 + 3 * batches(n));

    report = vimg_account(place->store, NULL, &error);
    g_assert_no_error(error);
    g_clear_pointer(&report, g_free);
    g_assert_cmpuint(rounds(place), <=, 10 + 2 * SLICES / 512 + 12 * (n / 256 + 1));

    place->store->keep_deleted = G_MAXINT32;
    report = vimg_collect(place->store, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_clear_pointer(&report, g_free);
    /* claims of what is in the trash are withdrawn one by one, in its turn: none are left next */
    rounds(place);
    report = vimg_collect(place->store, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_clear_pointer(&report, g_free);
    g_assert_cmpuint(rounds(place), <=, 80 + 16 * (n / 256 + 1));

    place->store->verify_rate = 0;
    report = vimg_verify(place->store, NULL, NULL, &error);
    g_assert_no_error(error);
    g_clear_pointer(&report, g_free);
    /* each slice is read by itself, many at once */
    g_assert_cmpuint(slow_transport_ops(place->far, VIMG_OP_READ), <, SLICES + 3 * n);
    g_assert_cmpuint(rounds(place), <=, SLICES + 60 + 5 * (n / 256 + 1));
}

/* What is done to one image costs the same in a large store and with a large image. */
static void
test_one(Place *place, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = noise(4, SLICES * 64 * KIB);
    g_autofree char *uuid = helper_create(place->store, "content", content->size);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) restored = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    helper_upload(place->store, uuid, content, &error);
    g_assert_no_error(error);
    image.uuid = g_uuid_string_random();
    image.name = g_strdup("clone");
    rounds(place);
    vimg_clone(place->store, uuid, &image, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(rounds(place), <=, 40);
    vimg_image_remove(place->store, image.uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(rounds(place), <=, 18);
    vimg_trash_restore(place->store, image.uuid, "again", &restored, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(rounds(place), <=, 38);
}

/* What an upload that was killed stored anew is not durable, though another image names it. */
static void
test_durable(Place *place, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = noise(5, 3 * 64 * KIB);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autofree char *first = helper_create(place->store, "first", content->size);
    g_autofree char *second = helper_create(place->store, "second", content->size);
    g_autoptr(VimgBuffer) slice = NULL;
    g_autofree char *path = NULL;
    g_autofree char *dir = NULL;
    g_autoptr(GError) error = NULL;
    VimgSliceId id;

    helper_upload(place->store, first, content, &error);
    g_assert_no_error(error);
    vimg_slice_hash(tools, content->data, 64 * KIB, &id);
    path = vimg_slice_path(&id);
    dir = vimg_slice_dir(&id);
    g_assert_cmpint(vimg_transport_read(place->near, path, MIB, &slice), ==, 0);
    g_assert_cmpint(vimg_transport_unlink(place->near, path), ==, 0);
    g_assert_cmpint(vimg_transport_sync(place->near, dir), ==, 0);
    put(place, g_strdup(path), slice->data, slice->size);
    g_assert_cmpint(vimg_transport_sync(place->near, path), ==, 0);
    helper_upload(place->store, second, content, &error);
    g_assert_no_error(error);
    rounds(place);
    memory_disk_crash(place->disk, 0);
    helper_assert_content(place->store, second, content);
}

/* What cannot be staged is said at once, though another host is at the image. */
static void
test_unstaged(Place *place, gconstpointer data)
{
    VimgTransport *near = memory_transport_new(place->disk, FALSE);
    g_autoptr(VimgSliceStore) other = helper_reopen(near);
    VimgIndexSizes sizes = vimg_slicer_sizes(VIMG_CUT_FIXED, place->store->slice_size);
    g_autoptr(VimgIndex) index = vimg_index_new(&sizes);
    g_autofree char *uuid = helper_create(place->store, "image", 0);
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(GError) error = NULL;
    VimgTurn *turn = vimg_turn_try(other, uuid, &error);
    VimgLease *lease;

    g_assert_no_error(error);
    place->store->pause = 1;
    lease = vimg_lease_new(place->store, &error);
    g_assert_no_error(error);
    vimg_image_load(place->store, uuid, &image, &error);
    g_assert_no_error(error);
    rounds(place);
    memory_disk_set_fault(place->disk, &(Fault){.kind = FAULT_NONE, .space = 16});
    g_assert_false(vimg_publish_image(lease, image.manifest, index, NULL, &error));
    memory_disk_set_fault(place->disk, &(Fault){FAULT_NONE});
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_assert_cmpuint(rounds(place), <, 500);
    vimg_lease_free(lease);
    vimg_turn_free(turn);
}

#define ADD(path, n, test)                                                                         \
    g_test_add("/imagestore/rounds/" path, Place, GUINT_TO_POINTER((guint)(n)), set_up, test,      \
               tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("list/few", 5, test_list);
    ADD("list/many", VIMG_IMAGE_LOOKS + 1, test_list);
    ADD("list/long", 5, test_list_long);
    ADD("list/crowded", 2, test_crowded);
    ADD("list/young", 5, test_list_young);
    ADD("list/changes", 5, test_list_changes);
    ADD("guess", 2, test_guess);
    ADD("upload", 0, test_upload);
    ADD("upload/small", 0, test_upload_small);
    ADD("upload/same", 0, test_upload_same);
    ADD("upload/durable", 0, test_durable);
    ADD("upload/unstaged", 0, test_unstaged);
    ADD("download", 0, test_download);
    ADD("all/few", 100, test_all);
    ADD("all/many", 1500, test_all);
    ADD("one", 1500, test_one);
    ADD("open", 100, test_open);
    return g_test_run();
}
