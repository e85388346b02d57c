/*
 * test-model-rename.c: pools that get another name, while they work and when that is cut off
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
rename_pool(Fixture *fixture, const char *from, const char *to, GError **error)
{
    VimgPoolId id = pool_id(fixture, from);

    return vimg_model_pool_rename(fixture->model, &id, to, error);
}

static gboolean
has_pool(Fixture *fixture, const char *name)
{
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    if (vimg_model_pool_by_name(fixture->model, name, &id, &error))
        return TRUE;
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
    return FALSE;
}

/* It has all its files, and those of the other name are gone. */
static void
assert_files(Fixture *fixture, const char *name, const char * not )
{
    static const char *const dirs[] = {"config", "config/autostart", "run"};
    g_autofree char *renames = fixture_path(fixture, "state/renames");
    g_autoptr(GDir) dir = g_dir_open(renames, 0, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *there = g_strdup_printf("%s/%s.xml", dirs[i], name);
        g_autofree char *gone = g_strdup_printf("%s/%s.xml", dirs[i], not );

        g_test_message("%s", dirs[i]);
        g_assert_true(fixture_exists(fixture, there));
        g_assert_false(fixture_exists(fixture, gone));
    }
    g_assert_null(g_dir_read_name(dir));
}

static void
set_autostart(Fixture *fixture, const char *pool)
{
    VimgPoolId id = pool_id(fixture, pool);

    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
}

/* ---- what stays, what follows --------------------------------------------------------------- */

static void
test_running(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "debian");
    g_auto(VimgVolId) before = {0};
    g_auto(VimgVolId) after = {0};
    g_autofree char *path = NULL;
    g_autofree char *xml = NULL;
    VimgPoolId id;

    define_and_start(fixture, "images");
    set_autostart(fixture, "images");
    create_vol(fixture, "images", "debian", "raw", 4096);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_vol_by_name(fixture->model, &id, "debian", &before, NULL));
    g_free(fixture_events(fixture));

    g_assert_true(rename_pool(fixture, "images", "golden", NULL));
    fixture_assert_events(fixture, "images:undefined golden:defined golden:started");
    assert_files(fixture, "golden", "images");
    g_assert_false(has_pool(fixture, "images"));
    g_assert_true(vimg_model_vol_by_path(fixture->model, "memory://golden/debian", &after, NULL));
    g_assert_cmpstr(after.key, ==, before.key);
    g_assert_cmpstr(after.pool, ==, "golden");
    path = vimg_model_vol_path(fixture->model, &after, NULL);
    g_assert_cmpstr(path, ==, "memory://golden/debian");
    g_assert_null(vimg_model_vol_path(fixture->model, &vol, NULL));
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "<name>golden</name>"));
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "open"), ==, 1);

    fixture_restart(fixture);
    fixture_wait_active(fixture, "golden");
    assert_files(fixture, "golden", "images");
    g_assert_true(rename_pool(fixture, "golden", "images", NULL));
    assert_files(fixture, "images", "golden");
}

/* Uploads, downloads and their jobs go on; each ends under the new name. */
static void
test_transfers(Fixture *fixture, gconstpointer data)
{
    VimgVolId one = vol_id("images", "one");
    VimgVolId two = vol_id("images", "two");
    g_autofree char *again = pool_xml_full("memory", "images", NULL, "/mem/again", NULL);
    g_autoptr(VimgTransfer) upload = NULL;
    g_autoptr(VimgTransfer) download = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent extent = {0};
    g_autofree char *state = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "one", "raw", 8192);
    create_vol(fixture, "images", "two", "raw", 4096);
    upload_all(fixture, "images", "two", 4096, 'x');
    upload = vimg_model_upload(fixture->model, &one, 0, 8192, FALSE, NULL);
    download = vimg_model_download(fixture->model, &two, 0, 0, NULL);
    g_assert_true(push(upload, 4096, 'x', NULL));
    g_assert_true(rename_pool(fixture, "images", "golden", NULL));
    {
        g_autoptr(GPtrArray) jobs = vimg_model_job_list(fixture->model);

        g_assert_cmpuint(jobs->len, ==, 2);
        for (guint i = 0; i < jobs->len; i++)
            g_assert_cmpstr(((VimgJobInfo *)jobs->pdata[i])->pool, ==, "golden");
    }
    g_assert_false(destroy_pool(fixture, "golden", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: pool 'golden' has jobs running: upload "
                      "of 'one', download of 'two'");
    g_assert_true(fixture_define(fixture, again, NULL)); /* the name is free, and without jobs */
    start_pool(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_true(push(upload, 4096, 'x', NULL));
    g_assert_true(vimg_transfer_finish(upload, NULL));
    g_assert_true(vimg_transfer_next(download, &extent, NULL));
    g_assert_cmpuint(extent.length, ==, 4096);
    vimg_buffer_unref(extent.data);
    g_clear_pointer(&upload, vimg_transfer_free);
    g_clear_pointer(&download, vimg_transfer_free);
    state = vol_state(fixture, "golden", "one");
    g_assert_cmpstr(state, ==, "active");
    g_assert_true(destroy_pool(fixture, "golden", NULL));
}

static void
clean_up(gpointer data)
{
    Fixture *fixture = data;
    VimgPoolId id = pool_id(fixture, "images");
    g_autofree char *report = vimg_model_pool_cleanup(fixture->model, &id, FALSE, NULL);

    g_assert_nonnull(report);
}

/* What tends the storage goes on too, and no second one beside it. */
static void
test_upkeep(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", NULL, "<image:retrieve existing='yes'/>");
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;
    VimgThread thread;
    VimgPoolId id;

    fixture->memory->block("/mem/images", "writer_write");
    fixture->memory->block("/mem/images", "cleanup");
    fixture->memory->put_file("/mem/images", "found.iso", iso_image(), ISO_SIZE);
    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    fixture->memory->wait_blocked("/mem/images", "writer_write");
    g_assert_true(vimg_thread_start(&thread, "cleanup", clean_up, fixture, NULL));
    fixture->memory->wait_blocked("/mem/images", "cleanup");
    g_assert_true(rename_pool(fixture, "images", "golden", NULL));
    id = pool_id(fixture, "golden");
    g_assert_null(vimg_model_pool_cleanup(fixture->model, &id, FALSE, &error));
    assert_error_text(&error, VIMG_ERROR_BUSY,
                      "resource busy: storage pool 'golden' has a job running that must end "
                      "first: cleanup");
    g_free(fixture_events(fixture));
    fixture->memory->release("/mem/images", "cleanup");
    vimg_thread_join(thread);
    fixture_wait_event(fixture, "golden:refreshed");
    fixture->memory->release("/mem/images", "writer_write");
    while (vimg_model_busy(fixture->model) > 1)
        g_usleep(1000);
    names = vol_names(fixture, "golden");
    g_assert_cmpstr(names, ==, "found.iso");
}

static void
test_inactive(Fixture *fixture, gconstpointer data)
{
    define_pool(fixture, "images");
    g_free(fixture_events(fixture));
    g_assert_true(rename_pool(fixture, "images", "golden", NULL));
    fixture_assert_events(fixture, "images:undefined golden:defined");
    g_assert_false(fixture_exists(fixture, "run/golden.xml"));
    g_assert_false(fixture_exists(fixture, "config/autostart/golden.xml"));
    start_pool(fixture, "golden");
}

static void
test_transient(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", NULL, NULL);

    g_assert_true(fixture_create(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, NULL));
    g_free(fixture_events(fixture));
    g_assert_true(rename_pool(fixture, "flash", "golden", NULL));
    fixture_assert_events(fixture, "flash:stopped golden:started");
    g_assert_false(fixture_exists(fixture, "config/golden.xml"));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "golden");
    g_assert_true(destroy_pool(fixture, "golden", NULL));
    g_assert_false(has_pool(fixture, "golden"));
}

/* The one that waits is renamed too, and goes on waiting. */
static void
test_waiting(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = pool_xml("images", UUID(1), NULL);
    g_autofree char *moved = pool_xml_full("memory", "images", UUID(1), "/mem/moved", NULL);
    g_autofree char *xml = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, first, NULL));
    start_pool(fixture, "images");
    g_assert_true(fixture_define(fixture, moved, NULL));
    g_assert_true(rename_pool(fixture, "images", "golden", NULL));
    id = pool_id(fixture, "golden");
    xml = vimg_model_pool_xml(fixture->model, &id, VIR_STORAGE_XML_INACTIVE, NULL);
    g_assert_nonnull(strstr(xml, "<name>golden</name>"));
    g_clear_pointer(&xml, g_free);
    fixture_restart(fixture);
    fixture_wait_active(fixture, "golden");
    g_assert_true(destroy_pool(fixture, "golden", NULL));
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "/mem/moved"));
    g_assert_nonnull(strstr(xml, "<name>golden</name>"));
}

/* ---- what is refused ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    VimgErrorCode code;
    const char *text;
} refused[] = {
    {"", VIMG_ERROR_INVALID_ARG, "invalid argument: pool name is empty"},
    {"a/b", VIMG_ERROR_INVALID_ARG, "invalid argument: name a/b cannot contain '/'"},
    {"..", VIMG_ERROR_INVALID_ARG, "invalid argument: pool name '..' is not allowed"},
    {"a\nb", VIMG_ERROR_INVALID_ARG, "invalid argument: pool name contains a control character"},
    {"other", VIMG_ERROR_FAILED,
     "operation failed: pool 'other' already exists with uuid " UUID(2)},
    {"images", VIMG_ERROR_FAILED,
     "operation failed: pool 'images' already exists with uuid " UUID(1)},
};

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    g_autofree char *images = pool_xml("images", UUID(1), NULL);
    g_autofree char *other = pool_xml("other", UUID(2), NULL);
    g_autofree char *other_again = pool_xml_full("memory", "golden", UUID(2), "/mem/x", NULL);
    g_autofree char *longest = g_strnfill(252, 'a');
    g_autoptr(GError) error = NULL;
    VimgPoolId id = {0};

    g_assert_true(fixture_define(fixture, images, NULL));
    g_assert_true(fixture_define(fixture, other, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_test_message("'%s'", refused[i].name);
        g_assert_false(rename_pool(fixture, "images", refused[i].name, &error));
        assert_error_text(&error, refused[i].code, refused[i].text);
    }
    g_assert_false(rename_pool(fixture, "images", longest, &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: pool name is longer than 251 bytes");
    longest[251] = '\0';
    g_assert_true(rename_pool(fixture, "images", longest, NULL));
    g_assert_true(rename_pool(fixture, longest, "images", NULL));
    g_assert_false(vimg_model_pool_rename(fixture->model, &id, "golden", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
    g_assert_false(fixture_define(fixture, other_again, NULL));
    g_assert_true(has_pool(fixture, "images"));
}

/* A file that was skipped belongs to somebody; a link that leads nowhere to nobody. */
static void
test_in_the_way(Fixture *fixture, gconstpointer data)
{
    g_autofree char *link = fixture_path(fixture, "config/autostart/golden.xml");
    g_autoptr(GError) error = NULL;
    gboolean autostart = TRUE;
    VimgPoolId id;

    define_and_start(fixture, "images");
    fixture_write(fixture, "config/golden.xml", "<pool");
    g_assert_false(rename_pool(fixture, "images", "golden", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "config/golden.xml' is in the way"));
    g_assert_true(has_pool(fixture, "images"));
    g_assert_cmpint(symlink("../nowhere.xml", link), ==, 0);
    g_assert_true(rename_pool(fixture, "images", "silver", NULL));
    {
        g_autofree char *path = fixture_path(fixture, "config/golden.xml");

        g_assert_cmpint(unlink(path), ==, 0);
    }
    g_assert_true(rename_pool(fixture, "silver", "golden", NULL));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "golden");
    id = pool_id(fixture, "golden");
    g_assert_true(vimg_model_pool_get_autostart(fixture->model, &id, &autostart, NULL));
    g_assert_false(autostart);
}

/* A definition that somebody has put in its place is not its own. */
static void
test_replaced(Fixture *fixture, gconstpointer data)
{
    g_autofree char *mine = pool_xml("images", UUID(1), NULL);
    g_autofree char *other = pool_xml("images", UUID(2), NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(fixture_define(fixture, mine, NULL));
    fixture_write(fixture, "config/images.xml", other);
    g_assert_false(rename_pool(fixture, "images", "golden", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_assert_true(has_pool(fixture, "images"));
    g_assert_true(fixture_exists(fixture, "config/images.xml"));
}

/* What cannot be written is taken back. */
static void
test_unwritten(Fixture *fixture, gconstpointer data)
{
    g_autofree char *run = fixture_path(fixture, "run/images.xml");
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    set_autostart(fixture, "images");
    g_assert_true(g_file_get_contents(run, &text, NULL, NULL));
    fixture_write(fixture, "run/images.xml", "<pool");
    g_free(fixture_events(fixture));
    g_assert_false(rename_pool(fixture, "images", "golden", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_DETAIL);
    fixture_assert_events(fixture, "");
    fixture_write(fixture, "run/images.xml", text);
    assert_files(fixture, "images", "golden");
    g_assert_false(has_pool(fixture, "golden"));
    define_pool(fixture, "golden");
}

/* ---- killed on the way ---------------------------------------------------------------------- */

static void
copy_renamed(Fixture *fixture, const char *dir)
{
    g_autofree char *from = g_strdup_printf("%s/images.xml", dir);
    g_autofree char *to = g_strdup_printf("%s/golden.xml", dir);
    g_autofree char *path = fixture_path(fixture, from);
    g_autofree char *text = NULL;
    g_autoptr(GString) renamed = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    renamed = g_string_new(text);
    g_assert_cmpuint(g_string_replace(renamed, ">images<", ">golden<", 1), ==, 1);
    fixture_write(fixture, to, renamed->str);
}

static void
remove_old(Fixture *fixture, const char *dir)
{
    g_autofree char *name = g_strdup_printf("%s/images.xml", dir);
    g_autofree char *path = fixture_path(fixture, name);

    g_assert_cmpint(unlink(path), ==, 0);
}

static void
step_journal(Fixture *fixture)
{
    fixture_write(fixture, "state/renames/" UUID(1), "images\ngolden\n");
}

static void
step_config(Fixture *fixture)
{
    copy_renamed(fixture, "config");
}

static void
step_link(Fixture *fixture)
{
    g_autofree char *link = fixture_path(fixture, "config/autostart/golden.xml");

    g_assert_cmpint(symlink("../golden.xml", link), ==, 0);
}

static void
step_run(Fixture *fixture)
{
    copy_renamed(fixture, "run");
}

static void
step_run_gone(Fixture *fixture)
{
    remove_old(fixture, "run");
}

static void
step_link_gone(Fixture *fixture)
{
    remove_old(fixture, "config/autostart");
}

static void
step_config_gone(Fixture *fixture)
{
    remove_old(fixture, "config");
}

static void (*const steps[])(Fixture *) = {step_journal,  step_config,    step_link,       step_run,
                                           step_run_gone, step_link_gone, step_config_gone};

/* After so many steps. */
static void
test_killed(Fixture *fixture, gconstpointer data)
{
    const guint n = GPOINTER_TO_UINT(data);
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);
    const char *name = n > 0 ? "golden" : "images";
    gboolean autostart = FALSE;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    set_autostart(fixture, "images");
    fixture_stop(fixture);
    for (guint i = 0; i < n; i++)
        steps[i](fixture);
    fixture_start(fixture);
    fixture_wait_active(fixture, name);
    g_assert_false(has_pool(fixture, n > 0 ? "images" : "golden"));
    assert_files(fixture, name, n > 0 ? "images" : "golden");
    id = pool_id(fixture, name);
    g_assert_true(vimg_model_pool_get_autostart(fixture->model, &id, &autostart, NULL));
    g_assert_true(autostart);
}

static const struct {
    const char *file;
    const char *text;
} journals[] = {
    {UUID(1), ""},
    {UUID(1), "images\n"},
    {UUID(1), "images\n../../golden\n"},
    {UUID(1), "images\ngolden\nmore\n"},
    {UUID(2), "images\ngolden\n"}, /* of another pool */
    {"nonsense", "images\ngolden\n"},
};

/* A bad one changes nothing. */
static void
test_bad_journal(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    for (guint i = 0; i < G_N_ELEMENTS(journals); i++) {
        g_autofree char *file = g_strconcat("state/renames/", journals[i].file, NULL);

        fixture_write(fixture, file, journals[i].text);
        fixture_restart(fixture);
        fixture_wait_active(fixture, "images");
        g_assert_false(fixture_exists(fixture, "config/golden.xml"));
        g_assert_true(fixture_exists(fixture, "config/images.xml"));
        g_assert_true(fixture_exists(fixture, "run/images.xml"));
    }
}

/* ---- under load ----------------------------------------------------------------------------- */

#define ROUNDS 60

typedef struct {
    Fixture *fixture;
    VimgPoolId id;
    gint ending; /* atomic */
} Load;

static gboolean
goes_on(Load *load)
{
    return !__atomic_load_n(&load->ending, __ATOMIC_ACQUIRE);
}

/* By either name, or none while it changes between two looks; never another error. */
static void
check_lookup(Load *load, const char *name)
{
    g_auto(VimgPoolId) found = {0};
    g_autoptr(GError) error = NULL;

    if (!vimg_model_pool_by_name(load->fixture->model, name, &found, &error))
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
    else
        g_assert_cmpmem(found.uuid, sizeof(found.uuid), load->id.uuid, sizeof(load->id.uuid));
}

static void
look(gpointer data)
{
    Load *load = data;
    VimgModel *model = load->fixture->model;

    while (goes_on(load)) {
        g_autoptr(GPtrArray) pools = vimg_model_pool_list(model, 0);
        g_autoptr(GPtrArray) volumes = vimg_model_pool_volumes(model, &load->id, NULL);
        g_autofree char *xml = vimg_model_pool_xml(model, &load->id, 0, NULL);
        g_autoptr(GPtrArray) jobs = vimg_model_job_list(model);

        for (guint i = 0; i < jobs->len; i++)
            g_assert_cmpuint(strlen(((VimgJobInfo *)jobs->pdata[i])->pool), ==, 6);
        g_assert_cmpuint(pools->len, ==, 1);
        g_assert_cmpuint(volumes->len, >=, 1);
        g_assert_nonnull(xml);
        check_lookup(load, "images");
        check_lookup(load, "golden");
        for (guint i = 0; i < volumes->len; i++) {
            g_autofree char *path = vimg_model_vol_path(model, volumes->pdata[i], NULL);

            g_assert_true(!path || g_str_has_prefix(path, "memory://"));
        }
    }
}

/* A volume is named by what its pool was called a moment ago: then it is looked up again. */
static VimgTransfer *
begin_transfer(Load *load, gboolean upload)
{
    VimgModel *model = load->fixture->model;

    for (;;) {
        g_auto(VimgVolId) vol = {0};
        g_autoptr(GError) error = NULL;
        VimgTransfer *transfer;

        g_assert_true(vimg_model_vol_by_name(model, &load->id, upload ? "up" : "down", &vol, NULL));
        transfer = upload ? vimg_model_upload(model, &vol, 0, 4096, FALSE, &error)
                          : vimg_model_download(model, &vol, 0, 0, &error);
        if (transfer)
            return transfer;
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
    }
}

static void
upload_main(gpointer data)
{
    Load *load = data;

    while (goes_on(load)) {
        g_autoptr(VimgTransfer) transfer = begin_transfer(load, TRUE);

        g_assert_true(push(transfer, 2048, 'x', NULL)); /* cut off, so that it can be repeated */
    }
}

static void
download_main(gpointer data)
{
    Load *load = data;

    while (goes_on(load)) {
        g_autoptr(VimgTransfer) transfer = begin_transfer(load, FALSE);
        guint64 length;

        do {
            VimgExtent extent = {0};

            g_assert_true(vimg_transfer_next(transfer, &extent, NULL));
            length = extent.length;
            vimg_buffer_unref(extent.data);
        } while (length > 0);
    }
}

static void
manage_main(gpointer data)
{
    Load *load = data;
    VimgModel *model = load->fixture->model;

    while (goes_on(load)) {
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_model_pool_refresh(model, &load->id, 0, NULL));
        g_assert_true(vimg_model_pool_set_autostart(model, &load->id, TRUE, NULL));
        if (!vimg_model_pool_describe(model, &load->id, "d", &error))
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    }
}

/* By the name of a moment ago it may come too late; it is never written under another one. */
static void
define_main(gpointer data)
{
    Load *load = data;
    g_autofree char *images = pool_xml("images", UUID(1), NULL);
    g_autofree char *golden = pool_xml_full("memory", "golden", UUID(1), "/mem/images", NULL);

    for (guint i = 0; goes_on(load); i++) {
        g_auto(VimgPoolId) id = {0};
        g_autoptr(GError) error = NULL;

        if (vimg_model_pool_define(load->fixture->model, i % 2 ? images : golden, 0, &id, &error))
            g_assert_cmpstr(id.name, ==, i % 2 ? "images" : "golden");
        else if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY))
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    }
}

static void
test_load(Fixture *fixture, gconstpointer data)
{
    static void (*const mains[])(gpointer) = {look,          look,        upload_main,
                                              download_main, manage_main, define_main};
    VimgThread threads[G_N_ELEMENTS(mains)];
    Load load = {.fixture = fixture};
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    create_vol(fixture, "images", "up", "raw", 4096);
    create_vol(fixture, "images", "down", "raw", 4096);
    upload_all(fixture, "images", "down", 4096, 'x');
    load.id = pool_id(fixture, "images");
    for (guint i = 0; i < G_N_ELEMENTS(mains); i++)
        g_assert_true(vimg_thread_start(&threads[i], "load", mains[i], &load, NULL));
    for (guint i = 0; i < ROUNDS;) {
        g_autoptr(GError) error = NULL;

        if (vimg_model_pool_rename(fixture->model, &load.id, i % 2 ? "images" : "golden", &error))
            i++;
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    }
    __atomic_store_n(&load.ending, TRUE, __ATOMIC_RELEASE);
    for (guint i = 0; i < G_N_ELEMENTS(mains); i++)
        vimg_thread_join(threads[i]);
    assert_files(fixture, "images", "golden");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/rename/running", NULL, test_running);
    FIXTURE_ADD("/rename/transfers", NULL, test_transfers);
    FIXTURE_ADD("/rename/upkeep", NULL, test_upkeep);
    FIXTURE_ADD("/rename/inactive", NULL, test_inactive);
    FIXTURE_ADD("/rename/transient", NULL, test_transient);
    FIXTURE_ADD("/rename/waiting", NULL, test_waiting);
    FIXTURE_ADD("/rename/refused", NULL, test_refused);
    FIXTURE_ADD("/rename/in-the-way", NULL, test_in_the_way);
    FIXTURE_ADD("/rename/replaced", NULL, test_replaced);
    FIXTURE_ADD("/rename/unwritten", NULL, test_unwritten);
    for (guint i = 0; i <= G_N_ELEMENTS(steps); i++) {
        g_autofree char *path = g_strdup_printf("/rename/killed/%u", i);

        FIXTURE_ADD(path, GUINT_TO_POINTER(i), test_killed);
    }
    FIXTURE_ADD("/rename/bad-journal", NULL, test_bad_journal);
    FIXTURE_ADD("/rename/load", NULL, test_load);
    return g_test_run();
}
