/*
 * test-pull.c: images of another store
 *
 * What was answered as done is there, byte for byte, whatever failed before, whoever collected
 * meanwhile at either end; what was not done is done by the same call again, and only what is
 * missing travels.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "collect.h"
#include "memory-transport.h"
#include "pull.h"
#include "slice.h"
#include "slow-transport.h"
#include "store-helper.h"
#include "throw.h"
#include "trash.h"

#define SLICE (64 * KIB)
#define N_SLICES 12 /* of the image; each third is zeros */

static VimgBuffer *content; /* of the image to be pulled */
static VimgBuffer *shared;  /* of one that has its first slices, and others */
static guint stride;

/* ---- two stores ------------------------------------------------------------------------- */

typedef struct {
    MemoryDisk *disks[2]; /* source, destination */
    VimgSliceStore *source;
    VimgSliceStore *here;
    char *from;   /* the image there */
    char *uuid;   /* what it is to be here */
    guint64 sent; /* by the last pull */
} World;

static VimgSliceStore *
open_disk(MemoryDisk *disk, gboolean whole)
{
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, whole));

    store->keep_deleted = store->keep_temporary = 0;
    store->pause = 1;
    return store;
}

static char *
put_image(VimgSliceStore *store, const char *name, const VimgBuffer *bytes)
{
    g_autofree char *uuid = helper_create(store, name, bytes->size);
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, bytes, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&uuid);
}

static World
world_new(gboolean whole)
{
    World world = {0};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(world.disks); i++) {
        world.disks[i] = memory_disk_new();
        vimg_slice_store_free(helper_store(memory_transport_new(world.disks[i], TRUE)));
    }
    world.source = open_disk(world.disks[0], whole);
    world.here = open_disk(world.disks[1], whole);
    world.from = put_image(world.source, "a", content);
    return world;
}

static World
world_copy(const World *from, gboolean whole)
{
    World world = {.from = g_strdup(from->from), .uuid = g_strdup(from->uuid)};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(world.disks); i++)
        world.disks[i] = memory_disk_copy(from->disks[i]);
    world.source = open_disk(world.disks[0], whole);
    world.here = open_disk(world.disks[1], whole);
    return world;
}

static void
world_clear(World *world)
{
    vimg_slice_store_free(world->source);
    vimg_slice_store_free(world->here);
    memory_disk_free(world->disks[0]);
    memory_disk_free(world->disks[1]);
    g_free(world->from);
    g_free(world->uuid);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static gboolean
make(World *world, GError **error)
{
    g_free(world->uuid);
    return helper_try_create(world->here, "a", &world->uuid, error);
}

static gboolean
pull_job(World *world, guint64 bandwidth, VimgPluginJob *job, GError **error)
{
    const VimgPullRequest request = {.size = sizeof(request), .bandwidth = bandwidth};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    gboolean done = vimg_pull(world->here, world->uuid, world->source, world->from, &request, job,
                              &world->sent, &out, error);

    if (done)
        g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return done;
}

static gboolean
pull(World *world, GError **error)
{
    return pull_job(world, 0, NULL, error);
}

/* As a client would who was told of a failure. */
static void
pull_again(World *world)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    if (!world->uuid || !vimg_image_stat(world->here, world->uuid, &now, NULL))
        make(world, &error);
    g_assert_no_error(error);
    if (now.state != VIMG_IMAGE_ACTIVE)
        pull(world, &error);
    g_assert_no_error(error);
    helper_assert_content(world->here, world->uuid, content);
    helper_assert_content(world->source, world->from, content);
}

static VimgSliceId
slice_id(const VimgBuffer *bytes, gsize i)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id;

    vimg_slice_hash(tools, bytes->data + i * SLICE, SLICE, &id);
    return id;
}

static void
replace_slice(VimgSliceStore *store, const VimgSliceId *id, const char *text)
{
    g_autofree char *path = vimg_slice_path(id);

    g_assert_cmpint(vimg_transport_unlink(store->transport, path), ==, 0);
    if (text)
        g_assert_cmpint(vimg_transport_create(store->transport, path, text, strlen(text), TRUE), ==,
                        0);
}

/* ---- what travels ----------------------------------------------------------------------- */

static guint64
frames(VimgSliceStore *store, gsize first, gsize last)
{
    guint64 sum = 0;
    gsize i;

    for (i = first; i <= last; i++) {
        VimgSliceId id = slice_id(content, i);
        g_autofree char *path = vimg_slice_path(&id);
        VimgFileInfo info;

        g_assert_cmpint(vimg_transport_stat(store->transport, path, &info), ==, 0);
        if (i % 3 != 2)
            sum += info.size;
    }
    return sum;
}

static void
assert_same(const World *world, gboolean expected)
{
    g_autoptr(GError) error = NULL;
    gboolean same = !expected;

    vimg_pull_same(world->here, world->uuid, world->source, world->from, &same, &error);
    g_assert_no_error(error);
    g_assert_cmpint(same, ==, expected);
}

static void
test_missing_only(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autofree char *other = put_image(world.here, "b", shared);
    g_autoptr(VimgBuffer) mine = NULL;
    g_autoptr(VimgBuffer) theirs = NULL;
    g_autoptr(GError) error = NULL;

    make(&world, &error);
    g_assert_true(pull(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, frames(world.source, 6, N_SLICES - 1));
    helper_assert_content(world.here, world.uuid, content);
    mine = helper_index(world.here, world.uuid);
    theirs = helper_index(world.source, world.from);
    g_assert_cmpmem(mine->data, mine->size, theirs->data, theirs->size);
    assert_same(&world, TRUE);
    helper_assert_content(world.here, other, shared);
}

static void
test_other_content(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;

    world.uuid = put_image(world.here, "a", shared);
    assert_same(&world, FALSE);
    g_assert_false(pull(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    helper_assert_content(world.here, world.uuid, shared);
}

static void
test_cut_differently(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;
    gboolean same;

    make(&world, &error);
    world.here->slice_size *= 2;
    g_assert_false(pull(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    g_assert_false(vimg_pull_same(world.here, world.uuid, world.source, world.from, &same, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
}

/* An empty image, and one that is not there. */
static void
test_ends(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(VimgBuffer) nothing = vimg_buffer_new(0);
    g_autoptr(GError) error = NULL;

    g_free(world.from);
    world.from = put_image(world.source, "empty", nothing);
    make(&world, &error);
    g_assert_true(pull(&world, &error) || error);
    g_assert_no_error(error);
    helper_assert_content(world.here, world.uuid, nothing);
    g_free(world.from);
    world.from = g_uuid_string_random();
    make(&world, NULL);
    g_assert_false(pull(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* ---- the verdict ------------------------------------------------------------------------ */

typedef struct {
    World *world;
    VimgTransport *other; /* if set, the store's own meanwhile, which is not the way of the pull */
    MemoryDisk *then;     /* what a crash at this moment leaves */
    gboolean refuses;
    guint asked;
} Judge;

/* What is to become active can be read, whole and in part, and nobody has it yet. */
static gboolean
judge(gpointer pulled, const VimgPluginImage *image, gpointer data, GError **error)
{
    Judge *self = data;
    World *world = self->world;
    VimgTransport *own = world->here->transport;
    VimgSliceReader *reader;
    VimgExtent extent;
    guint64 at = SLICE + 17;

    self->asked++;
    if (self->other)
        world->here->transport = self->other;
    reader = vimg_pulled_open(pulled, SLICE + 17, 5 * SLICE, NULL, error);
    g_assert_cmpstr(image->format, ==, "raw");
    g_assert_cmpuint(image->physical, ==, content->size);
    g_assert_cmpuint(image->capacity, ==, content->size);
    g_assert_cmpint(helper_state(world->here, world->uuid), ==, VIMG_IMAGE_SAVING);
    while (vimg_slice_reader_next(reader, &extent, error) && extent.length > 0) {
        if (extent.data)
            g_assert_cmpmem(extent.data->data + extent.offset, extent.length, content->data + at,
                            extent.length);
        at += extent.length;
        vimg_buffer_unref(extent.data);
    }
    g_assert_cmpuint(at, ==, 6 * SLICE + 17);
    vimg_slice_reader_close(reader);
    world->here->transport = own;
    self->then = memory_disk_copy(world->disks[1]);
    memory_disk_crash(self->then, 1);
    return !self->refuses || throw_error(error, VIMG_ERROR_PROBE, "no");
}

/* @code: VIMG_N_ERRORS: it is taken. */
static void
pull_judged(World *world, Judge *self, VimgErrorCode code)
{
    const VimgPullRequest request = {.size = sizeof(request), .judge = judge, .judge_data = self};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    self->world = world;
    if (vimg_pull(world->here, world->uuid, world->source, world->from, &request, NULL,
                  &world->sent, &out, &error))
        g_assert_cmpuint(code, ==, VIMG_N_ERRORS);
    else
        g_assert_error(error, VIMG_ERROR, (gint)code);
    g_assert_cmpuint(self->asked, ==, 1);
}

/* It is read the way it came. */
static void
test_judged_way(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(VimgTransport) slow =
        slow_transport_new(memory_transport_new(world.disks[1], TRUE), 0);
    Judge yes = {.other = slow};
    g_autoptr(GError) error = NULL;

    make(&world, &error);
    pull_judged(&world, &yes, VIMG_N_ERRORS);
    g_assert_cmpuint(slow_transport_jobless(slow), ==, 0);
    memory_disk_free(yes.then);
}

/* Until the verdict it is saving, also for whoever comes after a crash, and nothing comes twice. */
static void
test_judged(void)
{
    g_auto(World) world = world_new(TRUE);
    Judge no = {.refuses = TRUE};
    Judge yes = {0};
    g_autoptr(GError) error = NULL;

    make(&world, &error);
    pull_judged(&world, &no, VIMG_ERROR_PROBE);
    g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(world.sent, >, 0);
    pull_judged(&world, &yes, VIMG_N_ERRORS);
    g_assert_cmpuint(world.sent, ==, 0);
    g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_ACTIVE);
    memory_disk_free(yes.then);
    vimg_slice_store_free(world.here);
    memory_disk_free(world.disks[1]);
    world.disks[1] = no.then;
    world.here = open_disk(world.disks[1], TRUE);
    helper_fence_all(world.here);
    g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_SAVING);
    pull_again(&world);
    g_assert_cmpuint(world.sent, ==, 0);
}

/* One of an older daemon, which asks for no verdict. */
static void
test_unasked(void)
{
    g_auto(World) world = world_new(TRUE);
    Judge nobody = {0};
    const VimgPullRequest request = {
        .size = G_STRUCT_OFFSET(VimgPullRequest, judge), .judge = judge, .judge_data = &nobody};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    make(&world, &error);
    vimg_pull(world.here, world.uuid, world.source, world.from, &request, NULL, &world.sent, &out,
              &error);
    g_assert_no_error(error);
    g_assert_cmpuint(nobody.asked, ==, 0);
}

/* ---- damage ----------------------------------------------------------------------------- */

/* The bad slice is named, set aside, and the image at the source says so; a good one is enough. */
static void
test_bad_source(gconstpointer data)
{
    const char *text = data;
    g_auto(World) world = world_new(TRUE);
    VimgSliceId id = slice_id(content, 7);
    char hex[VIMG_ID_HEX];
    g_autoptr(GError) error = NULL;

    vimg_id_to_hex(&id, hex);
    replace_slice(world.source, &id, text);
    make(&world, &error);
    g_assert_false(pull(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, hex));
    g_assert_cmpint(helper_state(world.source, world.from), ==, VIMG_IMAGE_ERROR);
    g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_SAVING);
    g_free(put_image(world.source, "heals", content));
    pull_again(&world);
}

/* An image here that lacks slices gets those, and no others. */
static void
test_mend(void)
{
    g_auto(World) world = world_new(TRUE);
    VimgSliceId id = slice_id(content, 7);
    g_autoptr(GError) error = NULL;

    pull_again(&world);
    replace_slice(world.here, &id, NULL);
    g_assert_true(pull(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, frames(world.source, 7, 7));
    helper_assert_content(world.here, world.uuid, content);
}

/* ---- interrupted ------------------------------------------------------------------------ */

/* What came is kept, and known to a collector. */
static void
test_resume(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    guint64 all = frames(world.source, 0, N_SLICES - 1);
    guint64 before;

    helper_serve();
    helper_cancel_at = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
    make(&world, &error);
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
    g_assert_true(pull(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(before + world.sent, ==, all);
    helper_assert_content(world.here, world.uuid, content);
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

    make(&world, &error);
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

    make(&world, &error);
    helper_cancel(run_cancelled, &world);
    helper_assert_content(world.here, world.uuid, content);
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
    make(&world, &error);
    g_assert_true(pull(&world, &error) || error);
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
    done = make(&world, NULL) && pull(&world, NULL);
    vimg_slice_store_free(*store);
    memory_disk_crash(disk, at);
    *store = open_disk(disk, setting->whole);
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
    for (at = 1; at <= count + 1; at += stride) {
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
    done = make(&world, &error) && pull(&world, &error);
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

    for (at = 1; at <= count; at += stride) {
        fail_at(&fresh, setting, at, FAULT_ERROR, EIO);
        fail_at(&fresh, setting, at, FAULT_ERROR, ENOSPC);
    }
    for (at = 1; at <= looks; at += stride)
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
    VimgSliceStore *store = open_disk(disk, TRUE);
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
    done = make(&world, &error) && pull(&world, &error);
    memory_transport_meet(transport, 0, NULL, NULL);
    met = !kill || !vimg_image_stat(world.source, world.from, &left, NULL);
    if (kill && !done) {
        g_assert_true(met);
        g_assert_true(g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL) ||
                      g_error_matches(error, VIMG_ERROR, VIMG_ERROR_SYSTEM));
    } else {
        g_assert_no_error(error);
        helper_assert_content(world.here, world.uuid, content);
    }
}

static void
test_collectors(gconstpointer data)
{
    guint side = (guint)GPOINTER_TO_INT(data);
    g_auto(World) fresh = world_new(TRUE);
    g_autofree char *known = put_image(fresh.here, "b", shared);
    guint at;

    /* what is found is garbage, and condemned before it was found or after */
    vimg_image_remove(fresh.here, known, NULL);
    vimg_trash_purge(fresh.here, known, NULL);
    for (at = 1; at < 200; at += stride)
        meet_at(&fresh, at, side, FALSE);
}

static void
test_source_deleted(void)
{
    g_auto(World) fresh = world_new(TRUE);
    guint at;

    for (at = 1; at < 60; at += stride)
        meet_at(&fresh, at, 0, TRUE);
}

/* ---- a hostile source ------------------------------------------------------------------- */

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

/* What cannot be read is no reason to believe that there is nothing. */
static void
test_list_whole(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autofree char *dir = vimg_image_dir(world.from);
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;
    guint n = 0;
    guint i;

    g_assert_true(vimg_image_list_whole(world.source, count_image, &n, &error));
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(vimg_transport_list(world.source->transport, dir, &names), ==, 0);
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = vimg_image_path(world.from, g_ptr_array_index(names, i));

        if (g_str_has_suffix(path, ".json"))
            vimg_transport_overwrite(world.source->transport, path, "{", 1);
    }
    g_assert_true(vimg_image_list(world.source, count_image, &n, &error));
    g_assert_cmpuint(n, ==, 1);
    g_assert_false(vimg_image_list_whole(world.source, count_image, &n, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    /* nor is one that has only its index left */
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = vimg_image_path(world.from, g_ptr_array_index(names, i));

        if (g_str_has_suffix(path, ".json"))
            vimg_transport_unlink(world.source->transport, path);
    }
    g_assert_false(vimg_image_list_whole(world.source, count_image, &n, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

static void
test_bandwidth(void)
{
    g_auto(World) world = world_new(TRUE);
    guint64 all = frames(world.source, 0, N_SLICES - 1);
    gint64 began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    make(&world, &error);
    pull_job(&world, all * 2, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, all);
    /* the first steps are free */
    g_assert_cmpint(g_get_monotonic_time() - began, >, G_USEC_PER_SEC / 10);
}

int
main(int argc, char **argv)
{
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    stride = helper_stride();
    content = helper_content(1, N_SLICES * SLICE, 3);
    shared = helper_content(1, N_SLICES * SLICE, 3);
    memset(shared->data + 6 * SLICE, 'x', 3 * SLICE + 17);
    memset(shared->data + 9 * SLICE + 17, 'y', 3 * SLICE - 17);
    g_test_add_func("/imagestore/pull/missing-only", test_missing_only);
    g_test_add_func("/imagestore/pull/other-content", test_other_content);
    g_test_add_func("/imagestore/pull/cut-differently", test_cut_differently);
    g_test_add_func("/imagestore/pull/ends", test_ends);
    g_test_add_data_func("/imagestore/pull/bad-source/garbage", "garbage", test_bad_source);
    g_test_add_data_func("/imagestore/pull/bad-source/empty", "", test_bad_source);
    g_test_add_data_func("/imagestore/pull/bad-source/missing", NULL, test_bad_source);
    g_test_add_func("/imagestore/pull/judged", test_judged);
    g_test_add_func("/imagestore/pull/judged-way", test_judged_way);
    g_test_add_func("/imagestore/pull/unasked", test_unasked);
    g_test_add_func("/imagestore/pull/mend", test_mend);
    g_test_add_func("/imagestore/pull/resume", test_resume);
    g_test_add_func("/imagestore/pull/patience", test_patience);
    g_test_add_func("/imagestore/pull/cancel", test_cancel);
    for (i = 0; i < G_N_ELEMENTS(settings); i++) {
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
    g_test_add_func("/imagestore/pull/list-whole", test_list_whole);
    g_test_add_func("/imagestore/pull/bandwidth", test_bandwidth);
    status = g_test_run();
    vimg_buffer_unref(content);
    vimg_buffer_unref(shared);
    return status;
}
