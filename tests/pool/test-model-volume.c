/*
 * test-model-volume.c: volumes: states, creation, deletion, sizes, lookups, documents
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/schema.h"
#include "conf/xml.h"
#include "pool/model-private.h"
#include "test-model-fixture.h"
#include "util/error.h"

#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static gboolean
create_xml(Fixture *fixture, const char *pool, const char *xml, guint flags, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);
    g_auto(VimgVolId) out = {0};

    return vimg_model_vol_create(fixture->model, &id, xml, flags, &out, error);
}

/* An image in state error: its content is not what its creator announced. */
static void
make_broken(Fixture *fixture, const char *pool, const char *name)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name><capacity>4096</capacity>"
        "<target><format type='raw'/></target><image:info><image:checksum type='sha256'>%s"
        "</image:checksum></image:info></volume>",
        name, SHA256_OF_NOTHING);
    VimgVolId id = vol_id(pool, name);
    g_autoptr(VimgTransfer) transfer = NULL;
    g_autoptr(GError) error = NULL;

    create_xml(fixture, pool, xml, 0, &error);
    g_assert_no_error(error);
    transfer = vimg_model_upload(fixture->model, &id, 0, 0, FALSE, &error);
    g_assert_no_error(error);
    g_assert_true(push(transfer, 4096, 0, NULL));
    g_assert_false(vimg_transfer_finish(transfer, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
}

/* ---- the table of states ------------------------------------------------------------------ */

typedef struct {
    const char *path;
    gboolean (*act)(Fixture *fixture, const VimgVolId *vol, GError **error);
    /* by state: NULL if it is allowed */
    const char *saving;
    const char *active;
    const char *error;
    /* the state it leads to */
    const char *after_saving;
    const char *after_active;
    const char *after_error;
} State;

static gboolean
act_upload(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    g_autoptr(VimgTransfer) transfer = vimg_model_upload(fixture->model, vol, 0, 0, FALSE, error);

    return transfer && push(transfer, 4096, 'a', error) && vimg_transfer_finish(transfer, error);
}

static gboolean
act_download(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    g_autoptr(VimgTransfer) transfer = vimg_model_download(fixture->model, vol, 0, 0, error);

    return transfer != NULL;
}

static gboolean
act_clone(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    return clone_vol(fixture, "images", "<volume><name>copy</name></volume>", vol->pool, vol->name,
                     error);
}

static gboolean
act_resize(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    return vimg_model_vol_resize(fixture->model, vol, 8192, 0, error);
}

static gboolean
act_wipe(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    return vimg_model_vol_wipe(fixture->model, vol, VIR_STORAGE_VOL_WIPE_ALG_ZERO, 0, error);
}

static gboolean
act_delete(Fixture *fixture, const VimgVolId *vol, GError **error)
{
    return vimg_model_vol_delete(fixture->model, vol, 0, error);
}

#define INVALID "Requested operation is not valid: "
#define REASON                                                                                     \
    "the sha256 checksum of the content is "                                                       \
    "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7, expected was " SHA256_OF_NOTHING

static const State states[] = {
    {"upload", act_upload, NULL, INVALID "volume 'v' is complete: its content never changes",
     INVALID "volume 'v' must be wiped before an upload: " REASON, "active", "active", "error"},
    {"download", act_download,
     INVALID "volume 'v' is still being saved: it can be read once its upload is complete", NULL,
     INVALID "volume 'v' cannot be read: " REASON, "saving", "active", "error"},
    {"clone-source", act_clone,
     INVALID "volume 'v' is still being saved: it can be read once its upload is complete", NULL,
     INVALID "volume 'v' cannot be read: " REASON, "saving", "active", "error"},
    {"resize", act_resize, NULL, INVALID "volume 'v' is complete: its capacity never changes",
     INVALID "volume 'v' must be wiped before a resize: " REASON, "saving", "active", "error"},
    {"wipe", act_wipe, NULL, INVALID "volume 'v' is complete: delete and purge it instead", NULL,
     "saving", "active", "saving"},
    {"delete", act_delete, NULL, NULL, NULL, NULL, NULL, NULL},
};

static void
check_state(Fixture *fixture, const State *row, const char *refused, const char *after)
{
    VimgVolId id = vol_id("images", "v");
    g_autoptr(GError) error = NULL;
    gboolean ok = row->act(fixture, &id, &error);

    if (refused) {
        g_assert_false(ok);
        assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, refused);
    } else {
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    if (after) {
        g_autofree char *state = vol_state(fixture, "images", "v");

        g_assert_cmpstr(state, ==, after);
    } else {
        g_autofree char *names = vol_names(fixture, "images");

        g_assert_cmpstr(names, ==, "");
    }
}

static void
test_saving(Fixture *fixture, gconstpointer data)
{
    const State *row = data;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    check_state(fixture, row, row->saving, row->after_saving);
}

static void
test_active(Fixture *fixture, gconstpointer data)
{
    const State *row = data;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    upload_all(fixture, "images", "v", 4096, 'a');
    check_state(fixture, row, row->active, row->after_active);
}

static void
test_error(Fixture *fixture, gconstpointer data)
{
    const State *row = data;

    define_and_start(fixture, "images");
    make_broken(fixture, "images", "v");
    check_state(fixture, row, row->error, row->after_error);
}

/* ---- creation ------------------------------------------------------------------------------ */

static const struct {
    const char *path;
    const char *xml;
    guint flags;
    VimgErrorCode code;
    const char *text; /* NULL: the code is enough */
} bad_documents[] = {
    {"exists", "<volume><name>taken</name><capacity>1</capacity></volume>", 0,
     VIMG_ERROR_VOL_EXISTS, "storage volume 'taken' exists already"},
    {"format",
     "<volume><name>v</name><capacity>1</capacity><target><format type='vmdk'/></target></volume>",
     0, VIMG_ERROR_CONFIG_UNSUPPORTED,
     "unsupported configuration: unknown volume format type vmdk"},
    {"no-capacity", "<volume><name>v</name></volume>", 0, VIMG_ERROR_XML,
     "XML error: missing capacity element"},
    {"no-name", "<volume><capacity>1</capacity></volume>", 0, VIMG_ERROR_XML,
     "XML error: missing volume name element"},
    {"slash", "<volume><name>a/b</name><capacity>1</capacity></volume>", 0, VIMG_ERROR_XML, NULL},
    {"broken", "<volume><name>", 0, VIMG_ERROR_XML_DETAIL, NULL},
    {"prealloc", "<volume><name>v</name><capacity>1</capacity></volume>",
     VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA, VIMG_ERROR_CONFIG_UNSUPPORTED,
     "unsupported configuration: metadata preallocation is not supported for raw volumes"},
    {"flags", "<volume><name>v</name><capacity>1</capacity></volume>", 0x100, VIMG_ERROR_FLAGS,
     "unsupported flags (0x100) in function virStorageVolCreateXML"},
    {"backing",
     "<volume><name>v</name><capacity>1</capacity><backingStore><path>memory://images/none</path>"
     "</backingStore></volume>",
     0, VIMG_ERROR_NO_VOL,
     "Storage volume not found: no storage vol with matching path 'memory://images/none'"},
};

static void
test_bad_document(Fixture *fixture, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "taken", "raw", 4096);
    g_assert_false(
        create_xml(fixture, "images", bad_documents[i].xml, bad_documents[i].flags, &error));
    g_assert_error(error, VIMG_ERROR, (gint)bad_documents[i].code);
    if (bad_documents[i].text)
        assert_error_text(&error, bad_documents[i].code, bad_documents[i].text);
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "taken");
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool, no job */
}

/* What another host made, or what a storage refuses, is refused by it and leaves nothing. */
static void
test_create_fails(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = vol_xml("v", "raw", 4096);
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    fixture->memory->put_image("/mem/images", "v", NULL, 10);
    g_assert_false(create_xml(fixture, "images", xml, 0, &error));
    assert_error_text(&error, VIMG_ERROR_VOL_EXISTS, "storage volume 'v' exists already");
    fixture->memory->take_image("/mem/images", "v");
    fixture->memory->fail("/mem/images", "create", VIMG_ERROR_NO_SPACE, "disk full", 1);
    g_assert_false(create_xml(fixture, "images", xml, 0, &error));
    assert_error_text(&error, VIMG_ERROR_NO_SPACE, "volume 'v': disk full");
    g_assert_true(create_xml(fixture, "images", xml, 0, NULL));
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "v");
}

static void
test_limit(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = vol_xml("one-more", "raw", 4096);
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;
    guint i;

    define_and_start(fixture, "images");
    for (i = 0; i < 16383; i++) {
        g_autofree char *name = g_strdup_printf("v%05u", i);

        fixture->memory->put_image("/mem/images", name, NULL, 0);
    }
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    create_vol(fixture, "images", "last", "raw", 4096);
    g_assert_false(create_xml(fixture, "images", xml, 0, &error));
    assert_error_text(
        &error, VIMG_ERROR_BUSY,
        "resource busy: storage pool 'images' holds 16384 volumes, and more could not be listed");
    fixture->memory->put_image("/mem/images", "foreign", NULL, 0);
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    list = vimg_model_pool_volumes(fixture->model, &id, NULL);
    g_assert_cmpuint(list->len, ==, 16384);
}

/* A disabled pool can be read, and nothing else. */
static void
test_disabled(Fixture *fixture, gconstpointer data)
{
    g_autofree char *on = pool_xml("images", UUID(1), NULL);
    g_autofree char *off = pool_xml("images", UUID(1), "<image:state>disabled</image:state>");
    g_autofree char *xml = vol_xml("v2", "raw", 4096);
    g_autofree char *got = NULL;
    const char *refused = INVALID "storage pool 'images' is disabled: its volumes can be read only";
    VimgVolId saving = vol_id("images", "saving");
    g_auto(VimgPoolId) id = {0};
    g_auto(VimgPoolId) again = {0};
    g_autoptr(GError) error = NULL;
    gsize i;

    g_assert_true(vimg_model_pool_define(fixture->model, on, 0, &id, NULL));
    start_pool(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    upload_all(fixture, "images", "v", 4096, 'a');
    create_vol(fixture, "images", "saving", "raw", 4096);
    g_assert_true(vimg_model_pool_define(fixture->model, off, 0, &again, &error));
    g_assert_no_error(error);

    g_assert_false(create_xml(fixture, "images", xml, 0, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, refused);
    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        if (states[i].act == act_download)
            continue;
        if (states[i].act == act_clone) {
            g_assert_false(clone_vol(fixture, "images", "<volume><name>c</name></volume>", "images",
                                     "v", &error));
        } else {
            g_assert_false(states[i].act(fixture, &saving, &error));
        }
        assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, refused);
    }
    got = download_all(fixture, "images", "v", 0, 0);
    g_assert_cmpstr(got, ==, "d4096");
}

/* ---- lookups and documents ------------------------------------------------------------------ */

/* Others may read what is flattened, but not delete it, nor flatten it too. */
static void
test_flattening(Fixture *fixture, gconstpointer data)
{
    static const VimgAction refused[] = {VIMG_ACTION_DELETE, VIMG_ACTION_FLATTEN};
    g_autoptr(VimgPool) pool = NULL;
    VimgVolId vol = vol_id("images", "v");
    g_auto(VimgUse) flatten = {0};
    g_auto(VimgUse) read = {0};
    g_autoptr(GError) error = NULL;
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4);
    upload_all(fixture, "images", "v", 4, 'd');
    pool = vimg_registry_by_name(fixture->model, "images", NULL);
    vimg_use_volume_of(pool, &vol, VIMG_ACTION_FLATTEN, "flatten", &flatten, &error);
    g_assert_no_error(error);
    vimg_use_volume_of(pool, &vol, VIMG_ACTION_DOWNLOAD, "download", &read, &error);
    g_assert_no_error(error);
    for (i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_auto(VimgUse) use = {0};

        g_assert_false(vimg_use_volume_of(pool, &vol, refused[i], "other", &use, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_assert_nonnull(strstr(error->message, "still in use: flatten"));
        g_clear_error(&error);
    }
}

/* As two clusters have, in places of the same name. */
static void
give_location(Fixture *fixture, const char *name, const char *location)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(fixture->model, name, NULL);

    g_assert_nonnull(pool);
    VIMG_LOCK_GUARD(&pool->lock);
    g_free(pool->location);
    pool->location = g_strdup(location);
}

static void
test_path_of_two(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    define_and_start(fixture, "other");
    give_location(fixture, "images", "rbd");
    give_location(fixture, "other", "rbd");
    create_vol(fixture, "images", "v", "raw", 4096);
    g_assert_true(vimg_model_vol_by_path(fixture->model, "memory://rbd/v", &out, NULL));
    g_assert_cmpstr(out.pool, ==, "images");
    vimg_vol_id_clear(&out);
    create_vol(fixture, "other", "v", "raw", 4096);
    g_assert_false(vimg_model_vol_by_path(fixture->model, "memory://rbd/v", &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_assert_nonnull(strstr(error->message, "'images'"));
    g_assert_nonnull(strstr(error->message, "'other'"));
    g_assert_null(out.pool);
}

static void
test_lookups(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgVolId) by_name = {0};
    g_auto(VimgVolId) by_key = {0};
    g_auto(VimgVolId) by_path = {0};
    g_auto(VimgVolId) none = {0};
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    VimgVolId missing = vol_id("images", "none");
    VimgPoolId id;

    define_and_start(fixture, "images");
    define_and_start(fixture, "other");
    create_vol(fixture, "images", "v", "raw", 4096);
    create_vol(fixture, "other", "v", "raw", 4096);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_vol_by_name(fixture->model, &id, "v", &by_name, NULL));
    g_assert_true(g_str_has_prefix(by_name.key, "memory:"));
    g_assert_true(vimg_model_vol_by_key(fixture->model, by_name.key, &by_key, NULL));
    g_assert_cmpstr(by_key.pool, ==, "images");
    path = vimg_model_vol_path(fixture->model, &by_name, NULL);
    g_assert_cmpstr(path, ==, "memory://images/v");
    g_assert_true(vimg_model_vol_by_path(fixture->model, path, &by_path, NULL));
    g_assert_cmpstr(by_path.key, ==, by_name.key);

    g_assert_false(vimg_model_vol_by_name(fixture->model, &id, "none", &none, &error));
    assert_error_text(&error, VIMG_ERROR_NO_VOL,
                      "Storage volume not found: no storage vol with matching name 'none'");
    g_assert_false(vimg_model_vol_by_key(fixture->model, "memory:x/y", &none, &error));
    assert_error_text(&error, VIMG_ERROR_NO_VOL,
                      "Storage volume not found: no storage vol with matching key memory:x/y");
    g_assert_false(vimg_model_vol_by_path(fixture->model, "/x", &none, &error));
    assert_error_text(&error, VIMG_ERROR_NO_VOL,
                      "Storage volume not found: no storage vol with matching path '/x'");
    g_assert_null(vimg_model_vol_path(fixture->model, &missing, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);

    /* a name that became another image's is not the volume a client once looked up */
    g_assert_true(delete_vol(fixture, "images", "v", NULL));
    create_vol(fixture, "images", "v", "raw", 4096);
    g_assert_false(vimg_model_vol_delete(fixture->model, &by_name, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

static void
assert_valid(const char *schema, const char *root, const char *xml)
{
    g_autoptr(GError) error = NULL;
    xmlDoc *doc = vimg_xml_parse(xml, "(test)", root, schema, &error);

    g_assert_no_error(error);
    xmlFreeDoc(doc);
}

static void
test_documents(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgVolId broken = vol_id("images", "broken");
    VimgPoolId id;
    g_autofree char *saving = NULL;
    g_autofree char *active = NULL;
    g_autofree char *error = NULL;
    g_autofree char *pool = NULL;
    g_autofree char *caps = NULL;
    g_autofree char *sources = NULL;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 8192);
    make_broken(fixture, "images", "broken");
    saving = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    upload_all(fixture, "images", "v", 4096, 'a');
    active = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    error = vimg_model_vol_xml(fixture->model, &broken, 0, NULL);
    pool = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    caps = vimg_model_pool_capabilities(fixture->model, NULL);
    sources = vimg_model_find_sources(fixture->model, "memory",
                                      "<source><dir path='/mem/a'/></source>", 0, NULL);
    assert_valid("volume", "volume", saving);
    assert_valid("volume", "volume", active);
    assert_valid("volume", "volume", error);
    assert_valid("pool", "pool", pool);
    assert_valid("poolcaps", "storagepoolCapabilities", caps);
    assert_valid("sources", "sources", sources);
    g_assert_nonnull(strstr(pool, "<allocation unit='bytes'>8192</allocation>"));
}

static void
test_info(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgVolInfo info = {0};
    VimgPoolInfo pool = {0};
    VimgPoolId id;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 8192);
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpint(info.type, ==, VIR_STORAGE_VOL_NETWORK);
    g_assert_cmpuint(info.capacity, ==, 8192);
    g_assert_cmpuint(info.allocation, ==, 0);
    upload_all(fixture, "images", "v", 4096, 'a');
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpuint(info.allocation, ==, 4096);
    g_assert_cmpuint(info.physical, ==, 8192);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_info(fixture->model, &id, &pool, NULL));
    g_assert_cmpuint(pool.allocation, ==, 4096);
    g_assert_cmpuint(pool.available, ==, pool.capacity - 4096);
}

/* ---- delete, wipe, resize -------------------------------------------------------------------- */

static void
test_delete(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autofree char *names = NULL;
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    g_assert_false(
        vimg_model_vol_delete(fixture->model, &vol, VIR_STORAGE_VOL_DELETE_ZEROED, &error));
    assert_error_text(&error, VIMG_ERROR_FLAGS,
                      "unsupported flags (0x1) in function virStorageVolDelete");
    fixture->memory->fail("/mem/images", "remove_image", VIMG_ERROR_OPERATION_INVALID,
                          "a clone needs it", 1);
    g_assert_false(delete_vol(fixture, "images", "v", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, INVALID "volume 'v': a clone needs it");
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "v");
    /* another host was faster: the error says so, and the volume goes */
    fixture->memory->take_image("/mem/images", "v");
    g_assert_false(delete_vol(fixture, "images", "v", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    after = vol_names(fixture, "images");
    g_assert_cmpstr(after, ==, "");
}

static const struct {
    guint algorithm;
    VimgErrorCode code;
} wipes[] = {
    {VIR_STORAGE_VOL_WIPE_ALG_ZERO, VIMG_N_ERRORS},
    {VIR_STORAGE_VOL_WIPE_ALG_TRIM, VIMG_N_ERRORS},
    {VIR_STORAGE_VOL_WIPE_ALG_NNSA, VIMG_ERROR_ARGUMENT_UNSUPPORTED},
    {VIR_STORAGE_VOL_WIPE_ALG_RANDOM, VIMG_ERROR_ARGUMENT_UNSUPPORTED},
    {10, VIMG_ERROR_INVALID_ARG},
    {G_MAXUINT, VIMG_ERROR_INVALID_ARG},
};

static void
test_wipe(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 8192);
    for (i = 0; i < G_N_ELEMENTS(wipes); i++) {
        g_autoptr(GError) error = NULL;
        gboolean ok = vimg_model_vol_wipe(fixture->model, &vol, wipes[i].algorithm, 0, &error);

        if (wipes[i].code == VIMG_N_ERRORS) {
            g_assert_no_error(error);
            g_assert_true(ok);
        } else {
            g_assert_error(error, VIMG_ERROR, (gint)wipes[i].code);
        }
    }
}

static const struct {
    guint64 capacity;
    guint flags;
    guint64 result; /* 0: refused */
    VimgErrorCode code;
} resizes[] = {
    {16384, 0, 16384, 0},
    {4096, VIR_STORAGE_VOL_RESIZE_DELTA, 20480, 0},
    {8192, 0, 0, VIMG_ERROR_INVALID_ARG},
    {8192, VIR_STORAGE_VOL_RESIZE_SHRINK, 8192, 0},
    {4096, VIR_STORAGE_VOL_RESIZE_DELTA | VIR_STORAGE_VOL_RESIZE_SHRINK, 4096, 0},
    {1024, VIR_STORAGE_VOL_RESIZE_SHRINK, 0, VIMG_ERROR_INVALID_ARG}, /* 2048 are stored */
    {G_MAXUINT64, VIR_STORAGE_VOL_RESIZE_DELTA, 0, VIMG_ERROR_INVALID_ARG},
    {G_MAXUINT64, 0, 0, VIMG_ERROR_INVALID_ARG},
    {G_GUINT64_CONSTANT(1) << 40, VIR_STORAGE_VOL_RESIZE_ALLOCATE, 0, VIMG_ERROR_FAILED},
    {8192, 0x80, 0, VIMG_ERROR_FLAGS},
    {G_GUINT64_CONSTANT(1) << 40, 0, G_GUINT64_CONSTANT(1) << 40, 0},
};

static void
test_resize(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgVolInfo info = {0};
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 8192);
    {
        g_autoptr(VimgTransfer) part =
            vimg_model_upload(fixture->model, &vol, 0, 2048, FALSE, NULL);

        g_assert_true(push(part, 2048, 'a', NULL));
        g_assert_true(vimg_transfer_finish(part, NULL));
    }
    for (i = 0; i < G_N_ELEMENTS(resizes); i++) {
        g_autoptr(GError) error = NULL;
        gboolean ok = vimg_model_vol_resize(fixture->model, &vol, resizes[i].capacity,
                                            resizes[i].flags, &error);

        g_assert_cmpint(ok, ==, resizes[i].result > 0);
        if (!ok)
            g_assert_error(error, VIMG_ERROR, (gint)resizes[i].code);
        g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
        if (ok)
            g_assert_cmpuint(info.capacity, ==, resizes[i].result);
    }
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    vimg_schema_set_dir(TEST_SCHEMA_DIR);
    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autofree char *saving = g_strdup_printf("/model/volume/saving/%s", states[i].path);
        g_autofree char *active = g_strdup_printf("/model/volume/active/%s", states[i].path);
        g_autofree char *error = g_strdup_printf("/model/volume/error/%s", states[i].path);

        FIXTURE_ADD(saving, &states[i], test_saving);
        FIXTURE_ADD(active, &states[i], test_active);
        FIXTURE_ADD(error, &states[i], test_error);
    }
    for (i = 0; i < G_N_ELEMENTS(bad_documents); i++) {
        g_autofree char *path = g_strdup_printf("/model/volume/bad/%s", bad_documents[i].path);

        FIXTURE_ADD(path, GSIZE_TO_POINTER(i), test_bad_document);
    }
    FIXTURE_ADD("/model/volume/create-fails", NULL, test_create_fails);
    FIXTURE_ADD("/model/volume/limit", NULL, test_limit);
    FIXTURE_ADD("/model/volume/disabled", NULL, test_disabled);
    FIXTURE_ADD("/model/volume/lookups", NULL, test_lookups);
    FIXTURE_ADD("/model/volume/flattening", NULL, test_flattening);
    FIXTURE_ADD("/model/volume/path-of-two", NULL, test_path_of_two);
    FIXTURE_ADD("/model/volume/documents", NULL, test_documents);
    FIXTURE_ADD("/model/volume/info", NULL, test_info);
    FIXTURE_ADD("/model/volume/delete", NULL, test_delete);
    FIXTURE_ADD("/model/volume/wipe", NULL, test_wipe);
    FIXTURE_ADD("/model/volume/resize", NULL, test_resize);
    return g_test_run();
}
