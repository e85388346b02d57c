/*
 * test-pull-faults.c: images of another store, with everything that comes in between
 *
 * Whatever failed before, whoever collected meanwhile at either end: what was not done is done by
 * the same call again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "collect.h"
#include "pull-helper.h"
#include "slow-transport.h"
#include "trash.h"

/* ---- interrupted ------------------------------------------------------------------------ */

/* What came is kept, and known to a collector. */
static void
test_resume(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    guint64 all = pull_frames(world.source, 0, PULL_SLICES - 1);
    guint64 before;

    helper_serve();
    helper_cancel_at = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
    pull_make(&world, &error);
    g_assert_false(pull_job(&world, all / 4, HELPER_JOB, &error));
    helper_cancel_at = 0;
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    before = world.sent;
    g_assert_cmpuint(before, >, 0);
    g_assert_cmpuint(before, <, all);
    world.here->keep_temporary = 86400;
    report = vimg_collect(world.here, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(pull_now(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(before + world.sent, ==, all);
    helper_assert_content(world.here, world.uuid, pull_content);
    vimg_services = NULL;
}

/* Who carries waits for a lost storage as long as the job it works for. */
static void
test_patience(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;
    VimgTransport *slow[2];
    gsize i;

    pull_make(&world, &error);
    vimg_slice_store_free(world.source);
    vimg_slice_store_free(world.here);
    for (i = 0; i < G_N_ELEMENTS(slow); i++)
        slow[i] = slow_transport_new(memory_transport_new(world.disks[i], TRUE), 0);
    world.source = helper_reopen(slow[0]);
    world.here = helper_reopen(slow[1]);
    helper_serve();
    helper_cancel_after = 0;
    g_assert_true(pull_job(&world, 0, HELPER_JOB, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(slow_transport_ops(slow[1], VIMG_OP_CREATE), >, 0);
    for (i = 0; i < G_N_ELEMENTS(slow); i++)
        g_assert_cmpuint(slow_transport_jobless(slow[i]), ==, 0);
    vimg_services = NULL;
}

static gboolean
run_cancelled(VimgPluginJob *job, gpointer data, GError **error)
{
    return pull_job(data, 0, job, error);
}

static void
test_cancel(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;

    pull_make(&world, &error);
    helper_cancel(run_cancelled, &world);
    helper_assert_content(world.here, world.uuid, pull_content);
}

/* ---- failures at every step ------------------------------------------------------------- */

typedef struct {
    gboolean whole; /* the storage can sync everything at once */
    guint disk;     /* the one that fails */
} Setting;

static const Setting settings[] = {{TRUE, 1}, {FALSE, 1}, {TRUE, 0}};

static guint
count_steps(const World *fresh, const Setting *setting, gboolean looks)
{
    g_auto(World) world = world_copy(fresh, setting->whole);
    MemoryDisk *disk = world.disks[setting->disk];
    g_autoptr(GError) error = NULL;

    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    pull_make(&world, &error);
    g_assert_true(pull_now(&world, &error) || error);
    g_assert_no_error(error);
    return looks ? memory_disk_count_looks(disk) : memory_disk_count(disk);
}

static void
crash_at(const World *fresh, const Setting *setting, guint at, FaultKind kind)
{
    g_auto(World) world = world_copy(fresh, setting->whole);
    MemoryDisk *disk = world.disks[setting->disk];
    VimgSliceStore **store = setting->disk == 0 ? &world.source : &world.here;
    gboolean done;

    memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at});
    done = pull_make(&world, NULL) && pull_now(&world, NULL);
    vimg_slice_store_free(*store);
    memory_disk_crash(disk, at);
    *store = pull_open(disk, setting->whole);
    helper_fence_all(*store);
    if (done)
        g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_ACTIVE);
    pull_again(&world);
}

static void
test_crash(gconstpointer data)
{
    const Setting *setting = data;
    g_auto(World) fresh = world_new(TRUE);
    guint count = count_steps(&fresh, setting, FALSE);
    guint at;

    g_assert_cmpuint(count, >, setting->disk == 0 ? 3 : 30);
    for (at = 1; at <= count + 1; at += helper_stride()) {
        crash_at(&fresh, setting, at, FAULT_CRASH);
        crash_at(&fresh, setting, at, FAULT_SYNC);
    }
}

static void
fail_at(const World *fresh, const Setting *setting, guint at, FaultKind kind, int result)
{
    g_auto(World) world = world_copy(fresh, setting->whole);
    g_autoptr(GError) error = NULL;
    gboolean done;

    memory_disk_set_fault(world.disks[setting->disk],
                          &(Fault){.kind = kind, .at = at, .result = result});
    done = pull_make(&world, &error) && pull_now(&world, &error);
    g_assert_true(done == !error);
    memory_disk_set_fault(world.disks[setting->disk], &(Fault){FAULT_NONE});
    if (done)
        g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_ACTIVE);
    pull_again(&world);
}

static void
test_errors(gconstpointer data)
{
    const Setting *setting = data;
    g_auto(World) fresh = world_new(TRUE);
    guint count = count_steps(&fresh, setting, FALSE);
    guint looks = count_steps(&fresh, setting, TRUE);
    guint at;

    for (at = 1; at <= count; at += helper_stride()) {
        fail_at(&fresh, setting, at, FAULT_ERROR, EIO);
        fail_at(&fresh, setting, at, FAULT_ERROR, ENOSPC);
    }
    for (at = 1; at <= looks; at += helper_stride())
        fail_at(&fresh, setting, at, FAULT_LOOK, EIO);
}

/* ---- what others do meanwhile ----------------------------------------------------------- */

typedef struct {
    World *world;
    guint side;    /* whose collector runs */
    gboolean kill; /* the image at the source is deleted and purged before */
} Meeting;

/* By a way of its own, as another host. */
static void
collect_there(gpointer data)
{
    const Meeting *meeting = data;
    MemoryDisk *disk = meeting->world->disks[meeting->side];
    VimgSliceStore *store = pull_open(disk, TRUE);
    g_autofree char *report = NULL;

    store->keep_temporary = 86400;
    if (meeting->kill && vimg_image_remove(store, meeting->world->from, NULL))
        vimg_trash_purge(store, meeting->world->from, NULL);
    report = vimg_collect(store, FALSE, 0, NULL, NULL);
    vimg_slice_store_free(store);
}

static void
meet_at(const World *fresh, guint at, guint side, gboolean kill)
{
    g_auto(World) world = world_copy(fresh, TRUE);
    Meeting meeting = {&world, side, kill};
    VimgTransport *transport = (side == 0 ? world.source : world.here)->transport;
    g_auto(VimgPluginImage) left = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    gboolean met;
    gboolean done;

    memory_transport_meet(transport, at, collect_there, &meeting);
    done = pull_make(&world, &error) && pull_now(&world, &error);
    memory_transport_meet(transport, 0, NULL, NULL);
    met = !kill || !vimg_image_stat(world.source, world.from, &left, NULL);
    if (kill && !done) {
        g_assert_true(met);
        g_assert_true(g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL) ||
                      g_error_matches(error, VIMG_ERROR, VIMG_ERROR_SYSTEM));
    } else {
        g_assert_no_error(error);
        helper_assert_content(world.here, world.uuid, pull_content);
    }
}

static void
test_collectors(gconstpointer data)
{
    guint side = (guint)GPOINTER_TO_INT(data);
    g_auto(World) fresh = world_new(TRUE);
    g_autofree char *known = pull_put(fresh.here, "b", pull_shared);
    guint at;

    /* what is found is garbage, and condemned before it was found or after */
    vimg_image_remove(fresh.here, known, NULL);
    vimg_trash_purge(fresh.here, known, NULL);
    for (at = 1; at < 200; at += helper_stride())
        meet_at(&fresh, at, side, FALSE);
}

static void
test_source_deleted(void)
{
    g_auto(World) fresh = world_new(TRUE);
    guint at;

    for (at = 1; at < 60; at += helper_stride())
        meet_at(&fresh, at, 0, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    pull_init();
    g_test_add_func("/imagestore/pull/resume", test_resume);
    g_test_add_func("/imagestore/pull/patience", test_patience);
    g_test_add_func("/imagestore/pull/cancel", test_cancel);
    for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
        const char *side = settings[i].disk == 0 ? "source" : "here";
        const char *kind = settings[i].whole ? "whole" : "single";
        g_autofree char *crash = g_strdup_printf("/imagestore/pull/crash/%s/%s", side, kind);
        g_autofree char *errors = g_strdup_printf("/imagestore/pull/errors/%s/%s", side, kind);

        g_test_add_data_func(crash, &settings[i], test_crash);
        g_test_add_data_func(errors, &settings[i], test_errors);
    }
    g_test_add_data_func("/imagestore/pull/collector/source", GINT_TO_POINTER(0), test_collectors);
    g_test_add_data_func("/imagestore/pull/collector/here", GINT_TO_POINTER(1), test_collectors);
    g_test_add_func("/imagestore/pull/source-deleted", test_source_deleted);
    return pull_run();
}
