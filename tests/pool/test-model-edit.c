/*
 * test-model-edit.c: single members of a definition, changed while the pool runs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "test-model-fixture.h"
#include "util/error.h"

static gboolean
enable(Fixture *fixture, const char *pool, gboolean enabled)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_pool_enable(fixture->model, &id, enabled, NULL);
}

static char *
read_file(Fixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* The file, and the document of @pool, have @part or not. */
static void
assert_has(Fixture *fixture, const char *pool, const char *file, const char *part, gboolean has)
{
    VimgPoolId id = pool_id(fixture, pool);
    g_autofree char *xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_autofree char *text = file ? read_file(fixture, file) : g_strdup(xml);

    g_assert_cmpint(strstr(xml, part) != NULL, ==, has);
    g_assert_cmpint(strstr(text, part) != NULL, ==, has);
}

/* ---- state ---------------------------------------------------------------------------------- */

static void
test_disable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgTransfer) upload = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = vol_xml("new", "raw", 4096);
    g_autofree char *state = NULL;
    VimgVolId vol = vol_id("images", "running");
    g_auto(VimgVolId) out = {0};
    VimgPoolId id;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "running", "raw", 4096);
    id = pool_id(fixture, "images");
    upload = vimg_model_upload(fixture->model, &vol, 0, 4096, FALSE, NULL);
    g_assert_nonnull(upload);
    g_free(fixture_events(fixture));

    g_assert_true(enable(fixture, "images", FALSE));
    fixture_assert_events(fixture, "images:defined");
    assert_has(fixture, "images", "config/images.xml", "<image:state>disabled<", TRUE);
    assert_has(fixture, "images", "run/images.xml", "<image:state>disabled<", TRUE);
    g_assert_false(vimg_model_vol_create(fixture->model, &id, xml, 0, &out, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: storage pool 'images' is disabled: its "
                      "volumes can be read only");
    g_assert_true(push(upload, 4096, 'x', NULL));
    g_assert_true(vimg_transfer_finish(upload, NULL));
    g_clear_pointer(&upload, vimg_transfer_free);
    state = vol_state(fixture, "images", "running");
    g_assert_cmpstr(state, ==, "active");
    g_assert_false(delete_vol(fixture, "images", "running", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);

    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    assert_has(fixture, "images", NULL, "<image:state>disabled<", TRUE);
    g_assert_true(enable(fixture, "images", TRUE));
    g_assert_true(enable(fixture, "images", TRUE));
    g_assert_true(delete_vol(fixture, "images", "running", NULL));
}

/* The one that waits goes on waiting, edited as the one that runs. */
static void
test_waiting(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = pool_xml("images", UUID(1), NULL);
    g_autofree char *moved = pool_xml_full("memory", "images", UUID(1), "/mem/moved", NULL);
    g_autofree char *config = NULL;
    g_autofree char *run = NULL;

    g_assert_true(fixture_define(fixture, first, NULL));
    start_pool(fixture, "images");
    g_assert_true(fixture_define(fixture, moved, NULL));
    g_assert_true(enable(fixture, "images", FALSE));
    config = read_file(fixture, "config/images.xml");
    run = read_file(fixture, "run/images.xml");
    g_assert_nonnull(strstr(config, "/mem/moved"));
    g_assert_nonnull(strstr(config, "disabled"));
    g_assert_nonnull(strstr(run, "/mem/images"));
    g_assert_nonnull(strstr(run, "disabled"));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    assert_has(fixture, "images", NULL, "/mem/images", TRUE);
    g_assert_true(destroy_pool(fixture, "images", NULL));
    assert_has(fixture, "images", NULL, "/mem/moved", TRUE);
    assert_has(fixture, "images", NULL, "disabled", TRUE);
}

static void
test_transient(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", NULL, NULL);
    VimgPoolId id;
    gboolean persistent = TRUE;

    g_assert_true(fixture_create(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, NULL));
    g_free(fixture_events(fixture));
    g_assert_true(enable(fixture, "flash", FALSE));
    fixture_assert_events(fixture, "flash:refreshed");
    assert_has(fixture, "flash", "run/flash.xml", "disabled", TRUE);
    g_assert_false(fixture_exists(fixture, "config/flash.xml"));
    id = pool_id(fixture, "flash");
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &persistent, NULL));
    g_assert_false(persistent);
}

/* What could not be written is not so, here or after a restart. */
static void
test_unwritten(Fixture *fixture, gconstpointer data)
{
    g_autofree char *run = fixture_path(fixture, "run/images.xml");

    define_and_start(fixture, "images");
    g_assert_cmpint(unlink(run), ==, 0);
    g_assert_cmpint(g_mkdir(run, 0700), ==, 0);
    g_free(fixture_events(fixture));
    g_assert_false(enable(fixture, "images", FALSE));
    fixture_assert_events(fixture, "");
    assert_has(fixture, "images", "config/images.xml", "disabled", FALSE);
    g_assert_cmpint(rmdir(run), ==, 0);
}

/* ---- description ---------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *shown; /* NULL: refused */
} descriptions[] = {
    {"golden <images> & more", ">golden &lt;images&gt; &amp; more<"},
    {"two\nlines", "two\nlines"},
    {"", ""},
    {"黄金镜像", ">黄金镜像<"},
    {"bell \a", NULL},
    {"\xff", NULL},
    {"\xef\xbf\xbe", NULL},
};

static void
test_describe(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;

    define_pool(fixture, "images");
    id = pool_id(fixture, "images");
    for (guint i = 0; i < G_N_ELEMENTS(descriptions); i++) {
        const char *shown = descriptions[i].shown;
        g_autoptr(GError) error = NULL;
        gboolean ok = vimg_model_pool_describe(fixture->model, &id, descriptions[i].text, &error);

        g_test_message("%u", i);
        if (!shown)
            assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                              "invalid argument: the description is not UTF-8 or has control "
                              "characters");
        else
            assert_has(fixture, "images", "config/images.xml", shown, TRUE);
        g_assert_cmpint(ok, ==, shown != NULL);
    }
    g_assert_true(vimg_model_pool_describe(fixture->model, &id, NULL, NULL));
    assert_has(fixture, "images", "config/images.xml", "description", FALSE);
}

static void
test_describe_long(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = g_strnfill(65537, '&');
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    define_pool(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_false(vimg_model_pool_describe(fixture->model, &id, text, &error));
    assert_error_text(&error, VIMG_ERROR_XML, "XML error: description is longer than 65536 bytes");
    text[65536] = '\0';
    g_assert_true(vimg_model_pool_describe(fixture->model, &id, text, NULL));
    fixture_restart(fixture);
    assert_has(fixture, "images", "config/images.xml", "&amp;&amp;", TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/edit/disable", NULL, test_disable);
    FIXTURE_ADD("/edit/waiting", NULL, test_waiting);
    FIXTURE_ADD("/edit/transient", NULL, test_transient);
    FIXTURE_ADD("/edit/unwritten", NULL, test_unwritten);
    FIXTURE_ADD("/edit/describe", NULL, test_describe);
    FIXTURE_ADD("/edit/describe-long", NULL, test_describe_long);
    return g_test_run();
}
