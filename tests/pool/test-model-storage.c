/*
 * test-model-storage.c: pools and what is behind them: restarts, lost and hung storages, zones
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

/* ---- autostart and restarts -------------------------------------------------------------- */

static void
test_autostart(Fixture *fixture, gconstpointer data)
{
    g_autofree char *link = fixture_path(fixture, "config/autostart/images.xml");
    g_autofree char *target = NULL;
    gboolean autostart = FALSE;
    VimgPoolId id;

    define_pool(fixture, "images");
    define_pool(fixture, "other");
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
    target = g_file_read_link(link, NULL);
    g_assert_cmpstr(target, ==, "../images.xml");

    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    g_assert_cmpuint(pool_state(fixture, "other"), ==, VIR_STORAGE_POOL_INACTIVE);
    g_assert_true(vimg_model_pool_get_autostart(fixture->model, &id, &autostart, NULL));
    g_assert_true(autostart);

    /* stopped by hand, it starts again with the daemon */
    g_assert_true(destroy_pool(fixture, "images", NULL));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");

    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, FALSE, NULL));
    g_assert_false(fixture_exists(fixture, "config/autostart/images.xml"));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    fixture_restart(fixture);
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACTIVE);

    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
    g_assert_false(fixture_exists(fixture, "config/autostart/images.xml"));
}

static void
test_restart(Fixture *fixture, gconstpointer data)
{
    g_autofree char *flash = pool_xml("flash", UUID(3), NULL);
    g_autofree char *names = NULL;
    gboolean persistent = TRUE;
    VimgPoolId id;

    define_and_start(fixture, "images");
    define_pool(fixture, "off");
    g_assert_true(fixture_create(fixture, flash, 0, NULL));
    create_vol(fixture, "images", "debian", "raw", 4096);
    upload_all(fixture, "images", "debian", 4096, 'a');
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    fixture_wait_active(fixture, "flash");
    g_assert_cmpuint(pool_state(fixture, "off"), ==, VIR_STORAGE_POOL_INACTIVE);
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "debian");
    id = pool_id(fixture, "flash");
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &persistent, NULL));
    g_assert_false(persistent);
    g_assert_true(destroy_pool(fixture, "flash", NULL));
    g_assert_false(fixture_exists(fixture, "run/flash.xml"));
}

/* A pool that runs by another definition than its file's does so after a restart too. */
static void
test_restart_pending(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = pool_xml("images", UUID(1), NULL);
    g_autofree char *moved = pool_xml_full("memory", "images", UUID(1), "/mem/moved", NULL);
    g_autofree char *xml = NULL;
    g_autofree char *inactive = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, first, NULL));
    start_pool(fixture, "images");
    g_assert_true(fixture_define(fixture, moved, NULL));
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    id = pool_id(fixture, "images");
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    inactive = vimg_model_pool_xml(fixture->model, &id, VIR_STORAGE_XML_INACTIVE, NULL);
    g_assert_nonnull(strstr(xml, "/mem/images"));
    g_assert_nonnull(strstr(inactive, "/mem/moved"));
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* Files by hand: good ones are pools, bad ones are nothing, and none of them is touched. */
static void
test_files(Fixture *fixture, gconstpointer data)
{
    g_autofree char *good = pool_xml("good", NULL, NULL);
    g_autofree char *twin = pool_xml_full("memory", "twin", NULL, "/mem/good", NULL);
    g_autofree char *alien = pool_xml_full("nonesuch", "alien", NULL, "/mem/alien", NULL);
    g_autofree char *missing = pool_xml_full("absent", "missing", NULL, "/mem/missing", NULL);
    g_autoptr(GPtrArray) list = NULL;
    VimgPoolId before;
    VimgPoolId after;

    fixture_stop(fixture);
    fixture_write(fixture, "config/good.xml", good);
    fixture_write(fixture, "config/misnamed.xml", good);
    fixture_write(fixture, "config/twin.xml", twin);
    fixture_write(fixture, "config/alien.xml", alien);
    fixture_write(fixture, "config/missing.xml", missing);
    fixture_write(fixture, "config/broken.xml", "<pool");
    fixture_write(fixture, "config/empty.xml", "");
    fixture_write(fixture, "config/notes.txt", "no pool");
    fixture_write(fixture, "config/good.xml." UUID(5) ".new", "<po");
    fixture_start(fixture);
    list = vimg_model_pool_list(fixture->model, 0);
    g_assert_cmpuint(list->len, ==, 1);
    before = pool_id(fixture, "good");
    fixture_restart(fixture);
    after = pool_id(fixture, "good"); /* the uuid it was given stays */
    g_assert_cmpmem(before.uuid, VIMG_UUID_SIZE, after.uuid, VIMG_UUID_SIZE);
    g_assert_true(fixture_exists(fixture, "config/broken.xml"));
    g_assert_true(fixture_exists(fixture, "config/twin.xml"));
    g_assert_true(fixture_exists(fixture, "config/notes.txt"));
    g_assert_false(fixture_exists(fixture, "config/good.xml." UUID(5) ".new"));
}

/* What an earlier version took goes without what is refused now; to define it anew is refused. */
static void
test_older_files(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("memcopy", "images", UUID(1), "/mem/images",
                                         "<image:retrieve existing='yes'/>"
                                         "<image:cleanup keepDeleted='7' schedule='at night'/>");
    g_autofree char *shown = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_false(fixture_define(fixture, xml, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    g_clear_error(&error);
    fixture_stop(fixture);
    fixture_write(fixture, "config/images.xml", xml);
    fixture_write(fixture, "run/images.xml", xml);
    fixture_start(fixture);
    fixture_wait_active(fixture, "images");
    id = pool_id(fixture, "images");
    shown = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(shown, "keepDeleted='7'"));
    g_assert_null(strstr(shown, "schedule="));
    g_assert_nonnull(strstr(shown, "<image:retrieve existing='no'/>"));
    g_assert_true(fixture_define(fixture, shown, &error));
    g_assert_no_error(error);
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* Of a type known to the project whose backend is not on this host: kept, shown, never started. */
static void
test_unavailable(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("imagestore", "away", UUID(1), "/mem/away", NULL);
    g_autofree char *new_xml = pool_xml_full("imagestore", "away2", UUID(2), "/mem/away2", NULL);
    g_autofree char *caps = NULL;
    g_autofree char *shown = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    fixture_stop(fixture);
    fixture_write(fixture, "config/away.xml", xml);
    fixture_write(fixture, "run/away.xml", xml); /* it was active, too */
    fixture_start(fixture);
    fixture_wait_state(fixture, "away", VIR_STORAGE_POOL_INACCESSIBLE);
    id = pool_id(fixture, "away");
    shown = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(shown, "type='imagestore'"));
    g_assert_true(destroy_pool(fixture, "away", &error));
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_false(fixture_define(fixture, new_xml, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    g_clear_error(&error);
    caps = vimg_model_pool_capabilities(fixture->model, NULL);
    g_assert_nonnull(strstr(caps, "<pool type='imagestore' supported='no'>"));
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
}

/* ---- storages that come and go ------------------------------------------------------------ */

/* The store a pool had is remembered: nothing makes it another one. */
static void
test_store_memory(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));

    fixture->memory->lose("/mem/images");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_error_text(&error, VIMG_ERROR_DISCONNECTED, "operation failed: the storage is gone");
    g_assert_false(vimg_model_pool_build(fixture->model, &id, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);

    g_assert_true(
        vimg_model_pool_build(fixture->model, &id, VIR_STORAGE_POOL_BUILD_OVERWRITE, NULL));
    start_pool(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));

    fixture->memory->replace("/mem/images");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    /* a definition that is forgotten takes that memory along */
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
    define_and_start(fixture, "images");
}

/* Deleting the storage makes the pool one that never had any. */
static void
test_delete_forgets(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_true(vimg_model_pool_delete(fixture->model, &id, 0, NULL));
    start_pool(fixture, "images");
}

static void
test_lost(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml =
        pool_xml("images", UUID(1), "<image:reconnect enabled='yes' interval='1'/>");
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "link is down");
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;
    VimgVolId vol = vol_id("images", "debian");
    VimgTransfer *transfer;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    create_vol(fixture, "images", "debian", "raw", 4096);
    upload_all(fixture, "images", "debian", 4096, 'a');
    fixture->memory->fail("/mem/images", "probe", VIMG_ERROR_DISCONNECTED, "link is down", -1);
    fixture->memory->fail("/mem/images", "open", VIMG_ERROR_DISCONNECTED, "link is down", -1);
    g_free(fixture_events(fixture));
    fixture->memory->report("/mem/images", gone);
    fixture_assert_events(fixture, "images:refreshed"); /* who looks now sees it */
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    names = vol_names(fixture, "images"); /* from memory */
    g_assert_cmpstr(names, ==, "debian");
    transfer = vimg_model_download(fixture->model, &vol, 0, 0, &error);
    g_assert_null(transfer);
    assert_error_text(&error, VIMG_ERROR_DISCONNECTED,
                      "operation failed: storage pool 'images' has lost its storage: link is down");
    g_free(fixture_events(fixture));
    fixture->memory->fail("/mem/images", "probe", 0, "", 0);
    fixture->memory->fail("/mem/images", "open", 0, "", 0);
    fixture_wait_event(fixture, "images:refreshed");
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_RUNNING);
}

/* Without reconnection only a refresh, or the storage's own word, brings it back. */
static void
test_lost_manual(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), "<image:reconnect enabled='no'/>");
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "link is down");
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    id = pool_id(fixture, "images");
    fixture->memory->fail("/mem/images", "probe", VIMG_ERROR_SYSTEM, "Input/output error", -1);
    g_assert_false(vimg_model_pool_refresh(fixture->model, &id, 0, &error));
    assert_error_text(&error, VIMG_ERROR_SYSTEM, "Input/output error");
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    fixture->memory->fail("/mem/images", "probe", 0, "", 0);
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_RUNNING);
    fixture->memory->report("/mem/images", gone);
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    fixture->memory->report("/mem/images", NULL);
    fixture_wait_active(fixture, "images");
    /* stopping one that is lost works too */
    fixture->memory->report("/mem/images", gone);
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* A lost pool can be defined anew, and is tried at once by what it was given. */
static void
test_lost_redefined(Fixture *fixture, gconstpointer data)
{
    g_autofree char *slow =
        pool_xml("images", UUID(1), "<image:reconnect enabled='yes' interval='3600'/>");
    g_autofree char *changed = pool_xml("images", UUID(1),
                                        "<image:reconnect enabled='yes' interval='3600'/>"
                                        "<image:dataNetwork cidr='10.1.0.0/16'/>");
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "link is down");
    g_autofree char *network = NULL;

    g_assert_true(fixture_define(fixture, slow, NULL));
    start_pool(fixture, "images");
    fixture->memory->fail("/mem/images", "update", VIMG_ERROR_DISCONNECTED, "link is down", 1);
    fixture->memory->report("/mem/images", gone);
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    g_assert_true(fixture_define(fixture, changed, NULL));
    fixture_wait_active(fixture, "images");
    network = fixture->memory->network("/mem/images");
    g_assert_cmpstr(network, ==, "10.1.0.0/16");
}

/* A pool that knows the key of its server need not wait for its turn. */
static void
test_host_key(Fixture *fixture, gconstpointer data)
{
    g_autofree char *slow =
        pool_xml("images", UUID(1), "<image:reconnect enabled='yes' interval='3600'/>");
    g_autofree char *plain = pool_xml_full("memcopy", "plain", UUID(2), "/mem/plain", NULL);
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "the key is not known");
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, slow, NULL));
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_host_key_accept(fixture->model, &id, "SHA256:memory", NULL));
    start_pool(fixture, "images");
    fixture->memory->report("/mem/images", gone);
    g_assert_false(vimg_model_host_key_accept(fixture->model, &id, "SHA256:other", &error));
    assert_error_text(&error, VIMG_ERROR_AUTH,
                      "authentication failed: the server shows SHA256:memory");
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
    g_assert_true(vimg_model_host_key_accept(fixture->model, &id, "SHA256:memory", NULL));
    fixture_wait_active(fixture, "images");
    g_assert_true(fixture_define(fixture, plain, NULL));
    id = pool_id(fixture, "plain");
    g_assert_false(vimg_model_host_key_accept(fixture->model, &id, "SHA256:memory", &error));
    assert_error_text(&error, VIMG_ERROR_NO_SUPPORT,
                      "this function is not supported by the connection driver: storages of pool "
                      "type 'memcopy' are not known by keys");
}

/* Two paths to one storage are found out when it is opened. */
static void
test_one_storage(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    define_and_start(fixture, "images");
    define_pool(fixture, "alias");
    fixture->memory->join("/mem/images", "/mem/alias");
    id = pool_id(fixture, "alias");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_error_text(&error, VIMG_ERROR_FAILED,
                      "operation failed: Storage source conflict with pool: 'images'");
    g_assert_false(fixture->memory->is_open("/mem/alias"));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    start_pool(fixture, "alias");
}

/* Active before a restart, unreachable after it: active all the same, and tried again. */
static void
test_restart_lost(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml =
        pool_xml("images", UUID(1), "<image:reconnect enabled='yes' interval='1'/>");

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    fixture_stop(fixture);
    fixture->memory->fail("/mem/images", "open", VIMG_ERROR_DISCONNECTED, "no route", 2);
    fixture_start(fixture);
    fixture_wait_state(fixture, "images", VIR_STORAGE_POOL_INACCESSIBLE);
    g_assert_true(fixture_exists(fixture, "run/images.xml"));
    fixture_wait_active(fixture, "images");
}

/* ---- zones ------------------------------------------------------------------------------- */

static const char *const our_zones[] = {"zone-1", "zone-2", NULL};

static void
test_zones(Fixture *fixture, gconstpointer data)
{
    g_autofree char *plain = pool_xml("plain", UUID(1), NULL);
    g_autofree char *second = pool_xml("second", UUID(2), "<image:zone name='zone-2'/>");
    g_autofree char *far =
        pool_xml("far", UUID(3), "<image:zone name='zone-8'/><image:zone name='zone-9'/>");
    g_autofree char *old = pool_xml("old", UUID(4), NULL);
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(fixture_define(fixture, old, NULL)); /* before the host had zones */
    start_pool(fixture, "old");
    fixture_stop(fixture);
    fixture->zones = our_zones;
    fixture_start(fixture);
    fixture_wait_state(fixture, "old", VIR_STORAGE_POOL_INACTIVE);
    while (vimg_model_busy(fixture->model) > 0)
        g_usleep(1000);
    g_assert_false(fixture_exists(fixture, "run/old.xml"));
    id = pool_id(fixture, "old");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_error_text(
        &error, VIMG_ERROR_OPERATION_INVALID,
        "Requested operation is not valid: storage pool 'old' is attached to no zone; "
        "'virtimagectl zone attach old ZONE' attaches it");

    g_assert_true(fixture_define(fixture, plain, NULL));
    id = pool_id(fixture, "plain");
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "zone-1"));
    g_assert_null(strstr(xml, "zone-2"));
    start_pool(fixture, "plain");

    g_assert_true(fixture_define(fixture, second, NULL));
    start_pool(fixture, "second");

    g_assert_true(fixture_define(fixture, far, NULL));
    id = pool_id(fixture, "far");
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: storage pool 'far' is attached to "
                      "'zone-8', 'zone-9', which is no zone of this host");
}

/* ---- a storage that hangs ------------------------------------------------------------------ */

typedef struct {
    Fixture *fixture;
    gboolean ok;
    GError *error;
} Call;

static void
start_hung(gpointer data)
{
    Call *call = data;
    VimgPoolId id = pool_id(call->fixture, "hung");

    call->ok = vimg_model_pool_create(call->fixture->model, &id, 0, &call->error);
}

/* Nothing from memory waits, other pools work, and who wants that pool is told what has it. */
static void
test_hang(Fixture *fixture, gconstpointer data)
{
    Call call = {.fixture = fixture};
    g_autofree char *again = pool_xml("hung", UUID(1), NULL);
    g_autofree char *caps = NULL;
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;
    VimgThread thread;

    g_assert_true(fixture_define(fixture, again, NULL));
    fixture->memory->block("/mem/hung", "open");
    g_assert_true(vimg_thread_start(&thread, "hung", start_hung, &call, NULL));
    fixture->memory->wait_blocked("/mem/hung", "open");

    g_assert_cmpuint(pool_state(fixture, "hung"), ==, VIR_STORAGE_POOL_INACTIVE);
    list = vimg_model_pool_list(fixture->model, 0);
    g_assert_cmpuint(list->len, ==, 1);
    caps = vimg_model_pool_capabilities(fixture->model, NULL);
    g_assert_nonnull(caps);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1);
    define_and_start(fixture, "images");
    create_vol(fixture, "images", "debian", "raw", 4096);

    g_assert_false(destroy_pool(fixture, "hung", &error));
    assert_error_text(&error, VIMG_ERROR_BUSY,
                      "resource busy: storage pool 'hung' is being started");
    g_assert_false(fixture_define(fixture, again, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    id = pool_id(fixture, "hung");
    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));

    fixture->memory->release("/mem/hung", "open");
    vimg_thread_join(thread);
    g_assert_no_error(call.error);
    g_assert_true(call.ok);
    g_assert_cmpuint(pool_state(fixture, "hung"), ==, VIR_STORAGE_POOL_RUNNING);
}

static void
refresh_hung(gpointer data)
{
    Call *call = data;
    VimgPoolId id = pool_id(call->fixture, "images");

    call->ok = vimg_model_pool_refresh(call->fixture->model, &id, 0, &call->error);
}

/* A listing that hung is old when it arrives: what was made and deleted meanwhile stays so. */
static void
test_slow_listing(Fixture *fixture, gconstpointer data)
{
    Call call = {.fixture = fixture};
    g_autofree char *names = NULL;
    g_autofree char *state = NULL;
    VimgThread thread;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "changed", "raw", 4096);
    create_vol(fixture, "images", "deleted", "raw", 4096);
    fixture->memory->put_image("/mem/images", "foreign", NULL, 100);
    fixture->memory->block("/mem/images", "list");
    g_assert_true(vimg_thread_start(&thread, "refresh", refresh_hung, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "list");
    create_vol(fixture, "images", "made", "raw", 4096);
    g_assert_true(delete_vol(fixture, "images", "deleted", NULL));
    upload_all(fixture, "images", "changed", 4096, 'a');
    fixture->memory->release("/mem/images", "list");
    vimg_thread_join(thread);
    g_assert_true(call.ok);
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "changed foreign made");
    state = vol_state(fixture, "images", "changed");
    g_assert_cmpstr(state, ==, "active");
}

/* Of two listings at a time the one that began last is right, whichever arrives first. */
static void
test_two_listings(Fixture *fixture, gconstpointer data)
{
    guint round;

    define_and_start(fixture, "images");
    for (round = 0; round < 40; round++) {
        Call calls[2] = {{.fixture = fixture}, {.fixture = fixture}};
        guint before = fixture->memory->calls("/mem/images", "list");
        g_autofree char *names = NULL;
        VimgThread threads[2];
        guint i;

        fixture->memory->put_image("/mem/images", "foreign", NULL, 100);
        fixture->memory->block("/mem/images", "list");
        for (i = 0; i < 2; i++) {
            g_assert_true(vimg_thread_start(&threads[i], "refresh", refresh_hung, &calls[i], NULL));
            while (fixture->memory->calls("/mem/images", "list") == before + i)
                g_usleep(1000);
            if (i == 0)
                fixture->memory->take_image("/mem/images", "foreign");
        }
        fixture->memory->release("/mem/images", "list");
        for (i = 0; i < 2; i++) {
            vimg_thread_join(threads[i]);
            g_assert_true(calls[i].ok);
        }
        names = vol_names(fixture, "images");
        g_assert_cmpstr(names, ==, "");
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model/storage/autostart", NULL, test_autostart);
    FIXTURE_ADD("/model/storage/restart", NULL, test_restart);
    FIXTURE_ADD("/model/storage/restart-pending", NULL, test_restart_pending);
    FIXTURE_ADD("/model/storage/files", NULL, test_files);
    FIXTURE_ADD("/model/storage/older-files", NULL, test_older_files);
    FIXTURE_ADD("/model/storage/store-memory", NULL, test_store_memory);
    FIXTURE_ADD("/model/storage/delete-forgets", NULL, test_delete_forgets);
    FIXTURE_ADD("/model/storage/lost", NULL, test_lost);
    FIXTURE_ADD("/model/storage/lost-manual", NULL, test_lost_manual);
    FIXTURE_ADD("/model/storage/host-key", NULL, test_host_key);
    FIXTURE_ADD("/model/storage/restart-lost", NULL, test_restart_lost);
    FIXTURE_ADD("/model/storage/zones", NULL, test_zones);
    FIXTURE_ADD("/model/storage/hang", NULL, test_hang);
    FIXTURE_ADD("/model/storage/slow-listing", NULL, test_slow_listing);
    FIXTURE_ADD("/model/storage/two-listings", NULL, test_two_listings);
    FIXTURE_ADD("/model/storage/lost-redefined", NULL, test_lost_redefined);
    FIXTURE_ADD("/model/storage/one-storage", NULL, test_one_storage);
    FIXTURE_ADD("/model/storage/unavailable", NULL, test_unavailable);
    return g_test_run();
}
