/*
 * test-model-listing.c: what a listing shows of a storage that other hosts change as well
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "test-model-fixture.h"
#include "util/error.h"

static void
refresh_images(Fixture *fixture)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GError) error = NULL;

    vimg_model_pool_refresh(fixture->model, &id, 0, &error);
    g_assert_no_error(error);
}

static void
hold_volume(Fixture *fixture, const char *name, VimgUse *use)
{
    VimgVolId id = vol_id("images", name);
    g_autoptr(GError) error = NULL;

    vimg_use_volume(fixture->model, &id, VIMG_ACTION_DELETE, "delete", use, &error);
    g_assert_no_error(error);
}

static void
assert_volumes(Fixture *fixture, const char *expected)
{
    g_autofree char *names = vol_names(fixture, "images");

    g_assert_cmpstr(names, ==, expected);
}

/* What others did while a job held a volume shows once that ends without a change of its own. */
static void
test_meanwhile(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgUse) use = {0};

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    hold_volume(fixture, "v", &use);
    fixture->memory->rename_image("/mem/images", "v", "w");
    refresh_images(fixture);
    assert_volumes(fixture, "v");
    vimg_use_clear(&use);
    assert_volumes(fixture, "w");

    hold_volume(fixture, "w", &use);
    fixture->memory->take_image("/mem/images", "w");
    refresh_images(fixture);
    assert_volumes(fixture, "w");
    vimg_use_clear(&use);
    assert_volumes(fixture, "");
}

/* What the job itself found after the listing wins. */
static void
test_job_is_newer(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    hold_volume(fixture, "v", &use);
    fixture->memory->rename_image("/mem/images", "v", "w");
    refresh_images(fixture);
    vimg_use_image(&use, &image);
    vimg_use_changed(&use, &image);
    vimg_use_clear(&use);
    assert_volumes(fixture, "v");
    refresh_images(fixture);
    assert_volumes(fixture, "w");
}

/* A storage that gives one image the name of another has one of them less. */
static void
test_two_of_a_name(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;
    g_auto(VimgVolId) second = {0};
    g_auto(VimgVolId) found = {0};
    VimgVolId first = vol_id("images", "first");
    VimgPoolId id;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "first", "raw", 4096);
    create_vol(fixture, "images", "second", "raw", 4096);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_vol_by_name(fixture->model, &id, "second", &second, NULL));
    fixture->memory->take_image("/mem/images", "second");
    fixture->memory->rename_image("/mem/images", "first", "second");
    g_assert_true(vimg_model_vol_wipe(fixture->model, &first, 0, 0, &error));
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "second");
    g_assert_false(vimg_model_vol_by_key(fixture->model, second.key, &found, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model/listing/meanwhile", NULL, test_meanwhile);
    FIXTURE_ADD("/model/listing/job-is-newer", NULL, test_job_is_newer);
    FIXTURE_ADD("/model/listing/two-of-a-name", NULL, test_two_of_a_name);
    return g_test_run();
}
