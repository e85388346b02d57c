/*
 * test-model-crash.c: what a daemon that was killed left behind, and storages that are not it
 *
 * A crash is a file that is there, or is not, when the next model starts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "test-model-fixture.h"
#include "util/error.h"

/* As an undefine or the end of a transient pool leaves it, if killed before its last step. */
static void
test_stale_memory(Fixture *fixture, gconstpointer data)
{
    g_autofree char *images = pool_xml("images", UUID(1), NULL);
    g_autofree char *flash = pool_xml("flash", UUID(2), NULL);
    g_autofree char *link = fixture_path(fixture, "config/autostart/images.xml");
    gboolean autostart = TRUE;
    VimgPoolId id;

    fixture_write(fixture, "state/stores/" UUID(1), "another\n");
    fixture_write(fixture, "state/stores/" UUID(2), "another\n");
    g_assert_cmpint(symlink("../images.xml", link), ==, 0);
    fixture_restart(fixture);
    g_assert_true(fixture_define(fixture, images, NULL));
    g_assert_false(fixture_exists(fixture, "config/autostart/images.xml"));
    start_pool(fixture, "images");
    g_assert_true(fixture_create(fixture, flash, 0, NULL));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_get_autostart(fixture->model, &id, &autostart, NULL));
    g_assert_false(autostart);
}

/* A file that could not be read, and is defined over, was that pool's all the time. */
static void
test_skipped_file(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    fixture_write(fixture, "config/images.xml", "<pool");
    fixture_restart(fixture);
    g_assert_true(fixture_define(fixture, xml, NULL));
    fixture->memory->lose("/mem/images");
    id = pool_id(fixture, "images");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

typedef struct {
    Fixture *fixture;
    gboolean ok;
} Build;

static void
build_over(gpointer data)
{
    Build *build = data;
    VimgPoolId id = pool_id(build->fixture, "images");

    build->ok =
        vimg_model_pool_build(build->fixture->model, &id, VIR_STORAGE_POOL_BUILD_OVERWRITE, NULL);
}

/*
 * While another storage is built nothing says that the pool has the old one: killed here, it takes
 * what was built.  A build that fails changes nothing.
 */
static void
test_build_over(Fixture *fixture, gconstpointer data)
{
    Build build = {.fixture = fixture};
    VimgThread thread;
    VimgPoolId id;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_false(vimg_model_pool_build(fixture->model, &id, VIR_STORAGE_POOL_BUILD_OVERWRITE,
                                         NULL)); /* it is there */
    fixture->memory->lose("/mem/images");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, NULL));
    fixture->memory->block("/mem/images", "build");
    g_assert_true(vimg_thread_start(&thread, "build", build_over, &build, NULL));
    fixture->memory->wait_blocked("/mem/images", "build");
    {
        g_autofree char *stores = fixture_path(fixture, "state/stores");
        g_autoptr(GDir) dir = g_dir_open(stores, 0, NULL);

        g_assert_null(g_dir_read_name(dir));
    }
    fixture->memory->release("/mem/images", "build");
    vimg_thread_join(thread);
    g_assert_true(build.ok);
    start_pool(fixture, "images");
}

/* Not knowing its own, a pool deletes none. */
static void
test_delete_unknown(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    fixture_write(fixture, "state/stores/" UUID(1), "\n");
    id = pool_id(fixture, "images");
    g_assert_false(vimg_model_pool_delete(fixture->model, &id, 0, NULL));
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "remove"), ==, 0);
}

/* What could not be written whole is not half there after a restart. */
static void
test_define_running(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", UUID(2), NULL);
    g_autofree char *run = fixture_path(fixture, "run/flash.xml");

    g_assert_true(fixture_create(fixture, xml, 0, NULL));
    g_assert_cmpint(unlink(run), ==, 0);
    g_assert_cmpint(g_mkdir(run, 0700), ==, 0);
    g_assert_false(fixture_define(fixture, xml, NULL));
    g_assert_false(fixture_exists(fixture, "config/flash.xml"));
    g_assert_cmpint(rmdir(run), ==, 0);
}

/* A pool that may not run here any more is as its file says. */
static void
test_zone_gone(Fixture *fixture, gconstpointer data)
{
    static const char *const zones[] = {"zone-1", NULL};
    g_autofree char *first = pool_xml("images", UUID(1), "<image:zone name='zone-9'/>");
    g_autofree char *moved =
        pool_xml_full("memory", "images", UUID(1), "/mem/moved", "<image:zone name='zone-1'/>");
    g_autofree char *flash = pool_xml("flash", UUID(2), NULL);
    g_autofree char *xml = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, first, NULL));
    start_pool(fixture, "images");
    g_assert_true(fixture_define(fixture, moved, NULL));
    g_assert_true(fixture_create(fixture, flash, 0, NULL));
    fixture_stop(fixture);
    fixture->zones = zones;
    fixture_start(fixture);
    while (vimg_model_busy(fixture->model) > 0)
        g_usleep(1000);
    id = pool_id(fixture, "images");
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "/mem/moved"));
    g_assert_false(fixture_exists(fixture, "state/stores/" UUID(2)));
}

/* ---- a rename that was cut off ------------------------------------------------------------- */

#define JOURNAL "state/renames/" UUID(1)

static void
assert_pool(Fixture *fixture, const char *name, guint8 byte)
{
    VimgPoolId id;
    gboolean autostart = FALSE;

    fixture_wait_active(fixture, name);
    id = pool_id(fixture, name);
    g_assert_cmpuint(id.uuid[0], ==, byte);
    g_assert_true(vimg_model_pool_get_autostart(fixture->model, &id, &autostart, NULL));
    g_assert_true(autostart);
}

/* Whoever has one of the two names by now keeps all that is its own. */
static void
test_renamed_to_another(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = {"images\ngolden\n", "golden\nimages\n"};
    static const char *const names[] = {"images", "golden"};
    g_autofree char *images = pool_xml("images", UUID(1), NULL);
    g_autofree char *golden = pool_xml("golden", UUID(2), NULL);

    g_assert_true(fixture_define(fixture, images, NULL));
    g_assert_true(fixture_define(fixture, golden, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        VimgPoolId id = pool_id(fixture, names[i]);

        start_pool(fixture, names[i]);
        g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
    }
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        fixture_write(fixture, JOURNAL, texts[i]);
        fixture_restart(fixture);
        g_assert_false(fixture_exists(fixture, JOURNAL));
        assert_pool(fixture, "images", 0x11);
        assert_pool(fixture, "golden", 0x22);
    }
}

/* What somebody is at work on is not written over, though there is a copy of it. */
static void
test_renamed_broken(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("memory", "golden", UUID(1), "/mem/images", NULL);
    g_autofree char *path = fixture_path(fixture, "config/images.xml");
    g_autofree char *text = NULL;

    fixture_stop(fixture);
    fixture_write(fixture, JOURNAL, "images\ngolden\n");
    fixture_write(fixture, "config/golden.xml", xml);
    fixture_write(fixture, "config/images.xml", "<pool");
    fixture_start(fixture);
    g_assert_cmpuint(pool_id(fixture, "golden").uuid[0], ==, 0x11);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "<pool");
}

/* ---- whose storage it is ------------------------------------------------------------------ */

/* A pool that cannot reach its storage after a restart keeps it from others all the same. */
static void
test_lost_alias(Fixture *fixture, gconstpointer data)
{
    g_autofree char *images = pool_xml("images", UUID(1), "<image:reconnect enabled='no'/>");
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, images, NULL));
    start_pool(fixture, "images");
    define_pool(fixture, "alias");
    fixture->memory->join("/mem/images", "/mem/alias");
    fixture_stop(fixture);
    fixture->memory->fail("/mem/images", "open", VIMG_ERROR_DISCONNECTED, "no route", 1);
    fixture_start(fixture);
    fixture_wait_state(fixture, "images", VIR_STORAGE_POOL_INACCESSIBLE);
    id = pool_id(fixture, "alias");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_error_text(&error, VIMG_ERROR_FAILED,
                      "operation failed: Storage source conflict with pool: 'images'");
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
}

/* A pool that meets another storage in its place keeps its keys, and leaves that one to others. */
static void
test_replaced(Fixture *fixture, gconstpointer data)
{
    g_autofree char *images = pool_xml("images", UUID(1), "<image:reconnect enabled='no'/>");
    g_auto(VimgVolId) before = {0};
    g_auto(VimgVolId) after = {0};
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, images, NULL));
    start_pool(fixture, "images");
    define_pool(fixture, "other");
    create_vol(fixture, "images", "debian", "raw", 4096);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_vol_by_name(fixture->model, &id, "debian", &before, NULL));
    fixture->memory->replace("/mem/images");
    g_assert_false(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    g_assert_true(vimg_model_vol_by_key(fixture->model, before.key, &after, NULL));
    fixture->memory->join("/mem/images", "/mem/other");
    start_pool(fixture, "other");
}

static void
refresh_images(gpointer data)
{
    Fixture *fixture = data;
    VimgPoolId id = pool_id(fixture, "images");

    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
}

/* A definition that comes while the pool is being connected by the former one. */
static void
test_redefined_while_connecting(Fixture *fixture, gconstpointer data)
{
    g_autofree char *images = pool_xml("images", UUID(1), "<image:reconnect enabled='no'/>");
    g_autofree char *changed = pool_xml("images", UUID(1),
                                        "<image:reconnect enabled='no'/>"
                                        "<image:dataNetwork cidr='10.1.0.0/16'/>");
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "link is down");
    g_autofree char *network = NULL;
    VimgThread thread;

    g_assert_true(fixture_define(fixture, images, NULL));
    start_pool(fixture, "images");
    fixture->memory->report("/mem/images", gone);
    fixture->memory->block("/mem/images", "list");
    g_assert_true(vimg_thread_start(&thread, "refresh", refresh_images, fixture, NULL));
    fixture->memory->wait_blocked("/mem/images", "list");
    g_assert_true(fixture_define(fixture, changed, NULL));
    fixture->memory->release("/mem/images", "list");
    vimg_thread_join(thread);
    network = fixture->memory->network("/mem/images");
    g_assert_cmpstr(network, ==, "10.1.0.0/16");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/crash/stale-memory", NULL, test_stale_memory);
    FIXTURE_ADD("/crash/skipped-file", NULL, test_skipped_file);
    FIXTURE_ADD("/crash/build-over", NULL, test_build_over);
    FIXTURE_ADD("/crash/delete-unknown", NULL, test_delete_unknown);
    FIXTURE_ADD("/crash/define-running", NULL, test_define_running);
    FIXTURE_ADD("/crash/zone-gone", NULL, test_zone_gone);
    FIXTURE_ADD("/crash/renamed-to-another", NULL, test_renamed_to_another);
    FIXTURE_ADD("/crash/renamed-broken", NULL, test_renamed_broken);
    FIXTURE_ADD("/storage/lost-alias", NULL, test_lost_alias);
    FIXTURE_ADD("/storage/replaced", NULL, test_replaced);
    FIXTURE_ADD("/storage/redefined-while-connecting", NULL, test_redefined_while_connecting);
    return g_test_run();
}
