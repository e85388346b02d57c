/*
 * test-moments.c: what another host does, or the storage refuses, at each moment
 *
 * Whoever was told that an upload is complete has the image, whatever others do to it at the same
 * time; a disk that is full can be emptied; and what cannot be looked at is not taken for absent.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "claim.h"
#include "clone.h"
#include "collect.h"
#include "gc-lock.h"
#include "lease.h"
#include "memory-transport.h"
#include "remove.h"
#include "slice.h"
#include "spare.h"
#include "store-helper.h"
#include "trash.h"

#define SIZE (5 * 64 * KIB)
#define PATIENCE 12 /* questions of an upload until nobody waits for it any longer */
#define SPARE_SIZE MIB

static MemoryDisk *full; /* the store before each moment */
static char *half;       /* an image that saves, of which nothing came yet */
static char *done;       /* an active one */
static VimgBuffer *half_content;
static VimgBuffer *done_content;

/* ---- two hosts -------------------------------------------------------------------------- */

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *here;
    VimgSliceStore *there; /* another host */
    gboolean met;
    const char *uuid; /* of what is uploaded there */
    gboolean stored;  /* and acknowledged */
    VimgLease *lease; /* of a job there */
} World;

static VimgSliceStore *
reopen(MemoryDisk *disk)
{
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, TRUE));

    store->keep_deleted = 0;
    store->keep_temporary = 0;
    store->pause = 1; /* who is met stands still: waiting would not help */
    return store;
}

static World
world_new(void)
{
    World world = {.disk = memory_disk_copy(full)};

    world.here = reopen(world.disk);
    world.there = reopen(world.disk);
    return world;
}

static void
world_clear(World *world)
{
    vimg_lease_free(world->lease);
    vimg_slice_store_free(world->here);
    vimg_slice_store_free(world->there);
    memory_disk_free(world->disk);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

/* There is space for @room bytes, and for as many as go. */
static void
fill_up(World *world, gsize room)
{
    memory_disk_set_fault(world->disk, &(Fault){.room = memory_disk_weigh(world->disk) + room});
}

static void
mend(World *world)
{
    memory_disk_set_fault(world->disk, &(Fault){FAULT_NONE});
}

/* @seal: FALSE: it breaks off at the end */
static gboolean
upload(VimgSliceStore *store, const char *uuid, gboolean seal)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer;

    /* whoever is met may stand in his turn, and is waited for as long as the job lasts */
    helper_cancel_after = PATIENCE;
    writer = vimg_slice_writer_open(store, uuid, &request, HELPER_JOB, NULL);
    if (!writer)
        return FALSE;
    if (!helper_feed(writer, half_content, 0, 262120, FALSE, NULL)) {
        vimg_slice_writer_abort(writer);
        return FALSE;
    }
    return helper_finish(writer, seal, half_content->size, NULL);
}

/* Another host uploads, and finds space for it. */
static void
meet_upload(gpointer data)
{
    World *world = data;

    world->met = TRUE;
    mend(world);
    world->stored = upload(world->there, world->uuid, TRUE);
}

/* All moments of @play, which returns whether it lasted that long.  Returns: how many there are. */
static guint
count_moments(gboolean (*play)(guint at, gconstpointer data), gconstpointer data)
{
    guint at = 1;

    while (play(at, data))
        at += helper_stride();
    return at;
}

/* ---- uploads and changes ---------------------------------------------------------------- */

static guint stored; /* uploads that were acknowledged */

/* What an upload that was acknowledged left: whole, in the trash too if somebody removed it. */
static void
assert_stored(World *world, gboolean removes)
{
    g_auto(VimgStoredImage) image = {0};
    g_auto(VimgPluginImage) back = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    stored++;
    g_assert_cmpint(vimg_image_look(world->there, world->uuid, &image), ==, 0);
    g_assert_true(image.published);
    g_assert_nonnull(image.manifest);
    g_assert_null(image.manifest->image.reason);
    if (image.deleted) {
        g_assert_true(removes);
        vimg_trash_restore(world->there, world->uuid, "back", &back, &error);
        g_assert_no_error(error);
    } else {
        g_assert_true(image.claimed);
    }
    helper_assert_content(world->there, world->uuid, half_content);
}

static gboolean
clone_at(guint at, gconstpointer data)
{
    g_auto(World) world = world_new();
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    gboolean good;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup("clone");
    image.format = g_strdup("raw");
    world.uuid = image.uuid;
    memory_transport_meet(world.here->transport, at, meet_upload, &world);
    good = vimg_clone(world.here, done, &image, NULL, &out, NULL);
    g_assert_cmpint(good, ==, !world.stored);
    if (world.stored)
        assert_stored(&world, FALSE);
    else
        helper_assert_content(world.there, image.uuid, done_content);
    return world.met;
}

/* A clone is seen before it is whole: another host may make something else of it. */
static void
test_clone(void)
{
    stored = 0;
    g_assert_cmpuint(count_moments(clone_at, NULL), >, 50);
    /* only until it shows that it writes; a sample may have none of those */
    g_assert_cmpuint(stored, <, 10);
    g_assert_true(stored > 0 || helper_stride() > 1);
}

static gboolean
set_error(VimgSliceStore *store, const char *uuid, GError **error)
{
    return vimg_image_set_error(store, uuid, "broken", error);
}

typedef struct {
    const char *path;
    gboolean (*run)(VimgSliceStore *store, const char *uuid, GError **error);
    gboolean full;
    gboolean spare; /* there is one */
    gboolean removes;
} Change;

static const Change changes[] = {
    {"/imagestore/moments/discard/roomy", vimg_image_discard, FALSE, TRUE, FALSE},
    {"/imagestore/moments/discard/full", vimg_image_discard, TRUE, TRUE, FALSE},
    {"/imagestore/moments/discard/no-spare", vimg_image_discard, TRUE, FALSE, FALSE},
    {"/imagestore/moments/remove/roomy", vimg_image_remove, FALSE, TRUE, TRUE},
    {"/imagestore/moments/remove/full", vimg_image_remove, TRUE, TRUE, TRUE},
    {"/imagestore/moments/remove/no-spare", vimg_image_remove, TRUE, FALSE, TRUE},
    {"/imagestore/moments/wipe/roomy", vimg_image_wipe, FALSE, TRUE, FALSE},
    {"/imagestore/moments/set-error/roomy", set_error, FALSE, TRUE, FALSE},
};

static gboolean
change_at(guint at, gconstpointer data)
{
    const Change *change = data;
    g_auto(World) world = world_new();

    world.uuid = half;
    if (!change->spare)
        vimg_transport_unlink(world.here->transport, VIMG_SPARE_FILE);
    if (change->full)
        fill_up(&world, 0);
    memory_transport_meet(world.here->transport, at, meet_upload, &world);
    change->run(world.here, half, NULL);
    mend(&world);
    if (world.stored)
        assert_stored(&world, change->removes);
    return world.met;
}

/* Another host completes an image while it is changed here. */
static void
test_change(gconstpointer data)
{
    stored = 0;
    g_assert_cmpuint(count_moments(change_at, data), >, 2);
    g_assert_cmpuint(stored, >, 0);
}

/* A host that was fenced says that its upload broke off; another one has completed it. */
static void
test_error(void)
{
    g_auto(World) world = world_new();
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    gsize weight = memory_disk_weigh(world.disk);

    g_assert_false(vimg_image_set_error(world.here, done, "broken", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_true(vimg_image_stat(world.there, done, &image, NULL));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ACTIVE);
    g_assert_null(image.reason);
    g_assert_cmpuint(memory_disk_weigh(world.disk), ==, weight);
    helper_assert_content(world.there, done, done_content);
}

/* ---- runs ------------------------------------------------------------------------------- */

/* A run that condemned slices when there were @leases. */
static void
put_run(VimgSliceStore *store, const char *parent, const char *name, const char *leases)
{
    g_autofree char *run = g_strconcat(parent, "/", name, NULL);
    g_autofree char *condemned = g_strconcat(run, "/" VIMG_GC_CONDEMNED, NULL);
    g_autofree char *list = g_strconcat(run, "/" VIMG_GC_LEASES, NULL);

    g_assert_cmpint(vimg_transport_mkdir(store->transport, parent), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, run), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, condemned), ==, 0);
    g_assert_cmpint(vimg_transport_create(store->transport, list, leases, strlen(leases), FALSE),
                    ==, 0);
}

/* The slices of @uuid move into the run @run. */
static void
condemn(VimgSliceStore *store, const char *uuid, const char *run)
{
    g_autoptr(VimgBuffer) bytes = helper_index(store, uuid);
    g_autoptr(VimgIndex) index = vimg_index_decode(bytes->data, bytes->size, NULL);
    guint i;

    for (i = 0; i < vimg_index_count(index); i++) {
        g_autofree char *from = vimg_slice_path(vimg_index_id(index, i));
        g_autofree char *to = g_strconcat(run, "/" VIMG_GC_CONDEMNED, strrchr(from, '/'), NULL);

        g_assert_cmpint(vimg_transport_rename(store->transport, from, to), ==, 0);
    }
}

static void
assert_reads(VimgSliceReader *reader)
{
    g_autoptr(GError) error = NULL;
    guint64 at = 0;
    VimgExtent extent;

    while (vimg_slice_reader_next(reader, &extent, &error) && extent.length > 0) {
        g_assert_cmpmem(extent.data->data + extent.offset, extent.length, done_content->data + at,
                        extent.length);
        at += extent.length;
        vimg_buffer_unref(extent.data);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(at, ==, done_content->size);
}

static void
meet_end(gpointer data)
{
    World *world = data;

    world->met = TRUE;
    vimg_lease_free(g_steal_pointer(&world->lease));
}

/* Of two runs only the first can be ended; what the second waits for ends a little later. */
static gboolean
settle_at(guint at, gconstpointer data)
{
    g_auto(World) world = world_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *leases = NULL;
    VimgSliceReader *reader;

    world.lease = vimg_lease_new(world.there, &error);
    g_assert_no_error(error);
    leases = g_strconcat(strrchr(world.lease->dir, '/') + 1, "\nend\n", NULL);
    put_run(world.there, VIMG_GC_OLD "a", "a", "end\n");
    put_run(world.there, VIMG_GC_OLD "b", "b", leases);
    condemn(world.there, done, VIMG_GC_OLD "b/b");
    reader = vimg_slice_reader_open(world.there, done, 0, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_image_remove(world.there, done, &error));
    g_assert_true(vimg_trash_purge(world.there, done, &error));
    memory_transport_meet(world.here->transport, at, meet_end, &world);
    vimg_collect_rest(world.here);
    /* it waits for the reader, as the second does not yet */
    g_assert_true(helper_exists(world.there, VIMG_GC_OLD "a/a/" VIMG_GC_READERS));
    assert_reads(reader);
    vimg_slice_reader_close(reader);
    return world.met;
}

/* A reader whom the first wait does not know of goes on, though its image was purged. */
static void
test_settle(void)
{
    g_assert_cmpuint(count_moments(settle_at, NULL), >, 40);
}

static World
world_with_dead_run(void)
{
    World world = world_new();

    put_run(world.there, "gc/lock", "r", "end\n");
    helper_let_time_pass(world.here);
    return world;
}

/* Of errors only @code.  Returns: whether it says that the dead one cannot be moved away. */
static gboolean
take_over(World *world, VimgErrorCode code)
{
    g_autoptr(GError) error = NULL;
    VimgGcLock *lock = vimg_gc_lock_take(world->here, g_get_monotonic_time(), &error);

    mend(world);
    vimg_gc_lock_end(lock);
    if (lock)
        return FALSE;
    g_assert_error(error, VIMG_ERROR, (gint)code);
    return strstr(error->message, "cannot take over from the collector r") != NULL;
}

/* Whoever is dead and cannot be moved away is not busy: nobody would look what is wrong. */
static void
test_dead_broken(void)
{
    guint told = 0;
    guint at;

    for (at = 1; at < 30; at++) {
        g_auto(World) world = world_with_dead_run();

        memory_disk_set_fault(world.disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        told += take_over(&world, VIMG_ERROR_SYSTEM);
    }
    g_assert_cmpuint(told, >, 0);
}

/* And on a full disk the spare is what he is moved away with. */
static void
test_dead_full(void)
{
    guint told = 0;
    gsize room;

    for (room = 0; room < 1200; room += 50) {
        g_auto(World) spared = world_with_dead_run();
        g_auto(World) world = world_with_dead_run();

        fill_up(&spared, room);
        take_over(&spared, VIMG_ERROR_FAILED);
        vimg_transport_unlink(world.here->transport, VIMG_SPARE_FILE);
        fill_up(&world, room);
        told += take_over(&world, VIMG_ERROR_NO_SPACE);
    }
    g_assert_cmpuint(told, >, 0);
}

/* ---- space ------------------------------------------------------------------------------ */

static guint64
spare_size(VimgSliceStore *store)
{
    VimgFileInfo info;

    return vimg_transport_stat(store->transport, VIMG_SPARE_FILE, &info) == 0 ? info.size : 0;
}

static void
clean_up(VimgSliceStore *store)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(store, FALSE, 0, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(report);
}

/* What expired, was abandoned, or is named by no index, with little space or none. */
static void
test_crowded(gconstpointer what)
{
    g_autofree char *dir = g_strconcat("images/", half, NULL);
    gsize room;

    for (room = 0; room < 2000; room += 50) {
        g_auto(World) world = world_new();
        guint slices = helper_count_slices(world.there);

        g_assert_true(upload(world.there, half, !g_str_equal(what, "abandoned")));
        if (g_str_equal(what, "expired")) {
            g_assert_true(vimg_image_remove(world.there, half, NULL));
        } else if (g_str_equal(what, "slices")) {
            g_assert_true(vimg_claim_release(world.there, "half", half, NULL));
            g_assert_cmpint(vimg_image_remove_files(world.there, NULL, half), ==, 0);
        }
        fill_up(&world, room);
        clean_up(world.here);
        g_assert_false(helper_exists(world.there, dir));
        g_assert_cmpuint(helper_count_slices(world.there), ==, slices);
        helper_assert_content(world.there, done, done_content);
    }
}

/* What a disk that was full cut off is of no use. */
static void
test_spare_short(void)
{
    static const gsize sizes[] = {0, 1, SIZE};
    gsize i;

    for (i = 0; i < 2 * G_N_ELEMENTS(sizes); i++) {
        g_auto(World) world = world_new();
        VimgTransport *transport = world.there->transport;

        vimg_transport_unlink(transport, VIMG_SPARE_FILE);
        vimg_transport_create(transport, VIMG_SPARE_FILE, half_content->data, sizes[i / 2], FALSE);
        g_assert_cmpuint(spare_size(world.there), ==, sizes[i / 2]);
        if (i % 2 == 0)
            clean_up(world.here);
        else
            vimg_collect_rest(world.here);
        g_assert_cmpuint(spare_size(world.there), ==, SPARE_SIZE);
    }
}

/* Used up for what earlier runs left, it is put by again once there is space. */
static void
test_spare_rest(void)
{
    g_auto(World) world = world_new();

    put_run(world.there, VIMG_GC_OLD "a", "a", "end\n");
    fill_up(&world, 0);
    vimg_collect_rest(world.here);
    g_assert_false(helper_exists(world.there, VIMG_GC_OLD "a"));
    g_assert_cmpuint(spare_size(world.there), ==, 0);
    mend(&world);
    vimg_collect_rest(world.here);
    g_assert_cmpuint(spare_size(world.there), ==, SPARE_SIZE);
}

/* A power cut at any moment leaves one that is whole, or is seen not to be. */
static void
test_spare_durable(void)
{
    guint at;

    for (at = 1; at <= 8; at++) {
        g_auto(World) world = world_new();

        vimg_transport_unlink(world.here->transport, VIMG_SPARE_FILE);
        g_assert_cmpint(vimg_transport_sync(world.here->transport, "gc"), ==, 0);
        memory_disk_set_fault(world.disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        vimg_spare_make(world.here->transport);
        memory_disk_crash(world.disk, at);
        vimg_spare_make(world.here->transport);
        g_assert_cmpuint(spare_size(world.there), ==, SPARE_SIZE);
        memory_disk_crash(world.disk, 0);
        g_assert_cmpuint(spare_size(world.there), ==, SPARE_SIZE);
    }
}

/* ---- the whole store -------------------------------------------------------------------- */

static gboolean
remove_at(guint at, gconstpointer data)
{
    g_auto(World) world = world_new();
    g_autoptr(GError) error = NULL;
    guint looks;

    world.lease = vimg_lease_new(world.there, &error);
    g_assert_no_error(error);
    memory_disk_set_fault(world.disk, &(Fault){.kind = FAULT_LOOK, .at = at, .result = EIO});
    g_assert_false(vimg_slice_store_remove(world.here, NULL, &error));
    looks = memory_disk_count_looks(world.disk);
    mend(&world);
    g_assert_true(vimg_lease_check(world.lease, NULL));
    helper_assert_content(world.there, done, done_content);
    return looks >= at;
}

/* A look that fails does not say that nobody uses the store. */
static void
test_remove_store(void)
{
    g_assert_cmpuint(count_moments(remove_at, NULL), >, 8);
}

static void
fill(void)
{
    VimgSliceStore *store;
    g_autoptr(GError) error = NULL;

    full = memory_disk_new();
    half_content = helper_content(1, SIZE, 0);
    done_content = helper_content(2, SIZE, 0);
    store = helper_store(memory_transport_new(full, TRUE));
    half = helper_create(store, "half", SIZE);
    done = helper_create(store, "done", 0);
    helper_upload(store, done, done_content, &error);
    g_assert_no_error(error);
    vimg_slice_store_free(store);
}

int
main(int argc, char **argv)
{
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    helper_serve();
    fill();
    g_test_add_func("/imagestore/moments/clone", test_clone);
    for (i = 0; i < G_N_ELEMENTS(changes); i++)
        g_test_add_data_func(changes[i].path, &changes[i], test_change);
    g_test_add_func("/imagestore/moments/error", test_error);
    g_test_add_func("/imagestore/moments/settle", test_settle);
    g_test_add_func("/imagestore/moments/dead/broken", test_dead_broken);
    g_test_add_func("/imagestore/moments/dead/full", test_dead_full);
    g_test_add_data_func("/imagestore/moments/crowded/expired", "expired", test_crowded);
    g_test_add_data_func("/imagestore/moments/crowded/abandoned", "abandoned", test_crowded);
    g_test_add_data_func("/imagestore/moments/crowded/slices", "slices", test_crowded);
    g_test_add_func("/imagestore/moments/spare/short", test_spare_short);
    g_test_add_func("/imagestore/moments/spare/rest", test_spare_rest);
    g_test_add_func("/imagestore/moments/spare/durable", test_spare_durable);
    g_test_add_func("/imagestore/moments/remove-store", test_remove_store);
    status = g_test_run();
    memory_disk_free(full);
    vimg_buffer_unref(half_content);
    vimg_buffer_unref(done_content);
    g_free(half);
    g_free(done);
    return status;
}
