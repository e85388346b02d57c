/*
 * test-pull.c: images of another store
 *
 * What was answered as done is there, byte for byte, and only what is missing travels.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pull-helper.h"
#include "slow-transport.h"
#include "throw.h"

/* ---- what travels ----------------------------------------------------------------------- */

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
    g_autofree char *other = pull_put(world.here, "b", pull_shared);
    g_autoptr(VimgBuffer) mine = NULL;
    g_autoptr(VimgBuffer) theirs = NULL;
    g_autoptr(GError) error = NULL;

    pull_make(&world, &error);
    g_assert_true(pull_now(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, pull_frames(world.source, 6, PULL_SLICES - 1));
    helper_assert_content(world.here, world.uuid, pull_content);
    mine = helper_index(world.here, world.uuid);
    theirs = helper_index(world.source, world.from);
    g_assert_cmpmem(mine->data, mine->size, theirs->data, theirs->size);
    assert_same(&world, TRUE);
    helper_assert_content(world.here, other, pull_shared);
}

static void
test_other_content(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;

    world.uuid = pull_put(world.here, "a", pull_shared);
    assert_same(&world, FALSE);
    g_assert_false(pull_now(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    helper_assert_content(world.here, world.uuid, pull_shared);
}

static void
test_cut_differently(void)
{
    g_auto(World) world = world_new(TRUE);
    g_autoptr(GError) error = NULL;
    gboolean same;

    pull_make(&world, &error);
    world.here->slice_size *= 2;
    g_assert_false(pull_now(&world, &error));
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
    world.from = pull_put(world.source, "empty", nothing);
    pull_make(&world, &error);
    g_assert_true(pull_now(&world, &error) || error);
    g_assert_no_error(error);
    helper_assert_content(world.here, world.uuid, nothing);
    g_free(world.from);
    world.from = g_uuid_string_random();
    pull_make(&world, NULL);
    g_assert_false(pull_now(&world, &error));
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
    guint64 at = PULL_SLICE + 17;

    self->asked++;
    if (self->other)
        world->here->transport = self->other;
    reader = vimg_pulled_open(pulled, PULL_SLICE + 17, 5 * PULL_SLICE, NULL, error);
    g_assert_cmpstr(image->format, ==, "raw");
    g_assert_cmpuint(image->physical, ==, pull_content->size);
    g_assert_cmpuint(image->capacity, ==, pull_content->size);
    g_assert_cmpint(helper_state(world->here, world->uuid), ==, VIMG_IMAGE_SAVING);
    while (vimg_slice_reader_next(reader, &extent, error) && extent.length > 0) {
        if (extent.data)
            g_assert_cmpmem(extent.data->data + extent.offset, extent.length,
                            pull_content->data + at, extent.length);
        at += extent.length;
        vimg_buffer_unref(extent.data);
    }
    g_assert_cmpuint(at, ==, 6 * PULL_SLICE + 17);
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

    pull_make(&world, &error);
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

    pull_make(&world, &error);
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
    world.here = pull_open(world.disks[1], TRUE);
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

    pull_make(&world, &error);
    vimg_pull(world.here, world.uuid, world.source, world.from, &request, NULL, &world.sent, &out,
              &error);
    g_assert_no_error(error);
    g_assert_cmpuint(nobody.asked, ==, 0);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void
replace_slice(VimgSliceStore *store, const VimgSliceId *id, const char *text)
{
    g_autofree char *path = vimg_slice_path(id);

    g_assert_cmpint(vimg_transport_unlink(store->transport, path), ==, 0);
    if (text)
        g_assert_cmpint(vimg_transport_create(store->transport, path, text, strlen(text), TRUE), ==,
                        0);
}

/* The bad slice is named, set aside, and the image at the source says so; a good one is enough. */
static void
test_bad_source(gconstpointer data)
{
    const char *text = data;
    g_auto(World) world = world_new(TRUE);
    VimgSliceId id = pull_slice(pull_content, 7);
    char hex[VIMG_ID_HEX];
    g_autoptr(GError) error = NULL;

    vimg_id_to_hex(&id, hex);
    replace_slice(world.source, &id, text);
    pull_make(&world, &error);
    g_assert_false(pull_now(&world, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, hex));
    g_assert_cmpint(helper_state(world.source, world.from), ==, VIMG_IMAGE_ERROR);
    g_assert_cmpint(helper_state(world.here, world.uuid), ==, VIMG_IMAGE_SAVING);
    g_free(pull_put(world.source, "heals", pull_content));
    pull_again(&world);
}

/* An image here that lacks slices gets those, and no others. */
static void
test_mend(void)
{
    g_auto(World) world = world_new(TRUE);
    VimgSliceId id = pull_slice(pull_content, 7);
    g_autoptr(GError) error = NULL;

    pull_again(&world);
    replace_slice(world.here, &id, NULL);
    g_assert_true(pull_now(&world, &error) || error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, pull_frames(world.source, 7, 7));
    helper_assert_content(world.here, world.uuid, pull_content);
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
    guint64 all = pull_frames(world.source, 0, PULL_SLICES - 1);
    gint64 began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    pull_make(&world, &error);
    pull_job(&world, all * 2, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(world.sent, ==, all);
    /* the first steps are free */
    g_assert_cmpint(g_get_monotonic_time() - began, >, G_USEC_PER_SEC / 10);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    pull_init();
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
    g_test_add_func("/imagestore/pull/list-whole", test_list_whole);
    g_test_add_func("/imagestore/pull/bandwidth", test_bandwidth);
    return pull_run();
}
