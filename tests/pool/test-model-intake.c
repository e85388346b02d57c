/*
 * test-model-intake.c: what content must be before it is sealed, and what becomes of the rest
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

static void
create_from_xml(Fixture *fixture, const char *xml)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_vol_create(fixture->model, &id, xml, 0, &out, &error);
    g_assert_no_error(error);
}

/* Returns: (transfer full) a document with a checksum unless that is NULL. */
static char *
checksum_xml(const char *name, const char *type, const char *sum)
{
    g_autofree char *info =
        sum ? g_strdup_printf("<image:info><image:checksum type='%s'>%s</image:checksum>"
                              "</image:info>",
                              type, sum)
            : g_strdup("");

    return g_strdup_printf("<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name>"
                           "<capacity>8192</capacity>%s</volume>",
                           name, info);
}

static char *
sum_of(GChecksumType type, const char *content, gsize size)
{
    return g_compute_checksum_for_data(type, (const guchar *)content, size);
}

static gboolean
upload(Fixture *fixture, guint64 offset, guint64 length, const char *bytes, gsize size,
       GError **error)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(VimgTransfer) transfer =
        vimg_model_upload(fixture->model, &vol, offset, length, FALSE, error);

    return transfer && push_bytes(transfer, bytes, size, error) &&
           vimg_transfer_finish(transfer, error);
}

static void
assert_state(Fixture *fixture, const char *name, const char *state)
{
    g_autofree char *found = vol_state(fixture, "images", name);

    g_assert_cmpstr(found, ==, state);
}

/* ---- checksums -------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char *type;
    gboolean right;
    gsize size;   /* of the content, in an image of 8192 bytes */
    gsize offset; /* of the part that is uploaded last */
    gsize length;
    const char *state;
} Checksum;

static const Checksum checksums[] = {
    {"right", "sha256", TRUE, 8192, 0, 0, "active"},
    {"wrong", "sha256", FALSE, 8192, 0, 0, "error"},
    {"right-sha512", "sha512", TRUE, 8192, 0, 0, "active"},
    {"wrong-sha512", "sha512", FALSE, 8192, 0, 0, "error"},
    {"right-resumed", "sha256", TRUE, 8192, 1000, 0, "active"},
    {"wrong-resumed", "sha256", FALSE, 8192, 1000, 0, "error"},
    {"right-last-piece", "sha256", TRUE, 8192, 5000, 3192, "active"},
    {"wrong-last-piece", "sha256", FALSE, 8192, 5000, 3192, "error"},
    {"right-piece", "sha256", TRUE, 5000, 1000, 4000, "saving"},
    /* not of the zeros behind what came */
    {"right-short", "sha256", TRUE, 5000, 0, 0, "active"},
    {"right-short-resumed", "sha256", TRUE, 5000, 5000, 0, "active"},
    {"right-nothing", "sha256", TRUE, 0, 0, 0, "active"},
};

/* Compared before the image is sealed: nobody ever sees it active with wrong content. */
static void
test_checksum(Fixture *fixture, gconstpointer data)
{
    const Checksum *row = data;
    g_autofree char *content = g_strnfill(8192, 'a');
    g_autofree char *sum = NULL;
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    sum = sum_of(strcmp(row->type, "sha256") == 0 ? G_CHECKSUM_SHA256 : G_CHECKSUM_SHA512, content,
                 row->size);
    if (!row->right)
        content[0] = 'b';
    xml = checksum_xml("v", row->type, sum);
    define_and_start(fixture, "images");
    create_from_xml(fixture, xml);
    if (row->offset > 0)
        g_assert_true(upload(fixture, 0, row->offset, content, row->offset, NULL));
    ok = upload(fixture, row->offset, row->length, content + row->offset, row->size - row->offset,
                &error);
    g_assert_cmpint(ok, ==, row->right);
    if (row->right)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    assert_state(fixture, "v", row->state);
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "reader_open"), ==, 0);
}

/* ---- refusals --------------------------------------------------------------------------- */

/* The reason is kept by the storage before the client hears of it; a wipe starts afresh. */
static void
test_refused(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", QCOW2_SIZE);
    g_assert_false(upload(fixture, 0, 0, qcow2_image(), QCOW2_SIZE, &error));
    assert_error_text(&error, VIMG_ERROR_PROBE,
                      "Storage pool probe failed: the content is qcow2, declared was raw; create "
                      "the volume with --format qcow2");
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "set_error"), ==, 1);
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    assert_state(fixture, "v", "error");
    xml = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    g_assert_nonnull(strstr(xml, "<image:state reason='the content is qcow2, declared was raw;"));
    g_assert_null(vimg_model_download(fixture->model, &vol, 0, 0, NULL));
    g_assert_null(vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_true(vimg_model_vol_wipe(fixture->model, &vol, 0, 0, NULL));
    assert_state(fixture, "v", "saving");
    upload_all(fixture, "images", "v", QCOW2_SIZE, 'a');
    g_assert_true(delete_vol(fixture, "images", "v", NULL));
}

static void
test_refused_is_deleted(Fixture *fixture, gconstpointer data)
{
    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "qcow2", 10);
    g_assert_false(upload(fixture, 0, 0, "a", 1, NULL));
    assert_state(fixture, "v", "error");
    g_assert_true(delete_vol(fixture, "images", "v", NULL));
}

/* A storage that cannot note the reason leaves it saving; the client hears the reason. */
static void
test_refused_unnoted(Fixture *fixture, gconstpointer data)
{
    static const char *const callbacks[] = {"set_error", "writer_finish"};
    static const char *const states[] = {"saving", "error"};
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "qcow2", 10);
    for (i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        g_autoptr(GError) error = NULL;

        fixture->memory->fail("/mem/images", callbacks[i], VIMG_ERROR_NO_SPACE, "disk full", 1);
        g_assert_false(upload(fixture, 0, 0, "a", 1, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
        assert_state(fixture, "v", states[i]);
    }
}

/* ---- undeclared ------------------------------------------------------------------------- */

static const struct {
    const char *path;
    const char *xml;
    VimgErrorCode code; /* VIMG_N_ERRORS: it works */
    const char *text;
} documents[] = {
    {"capacity", "<volume><name>v</name><capacity>1</capacity></volume>", VIMG_N_ERRORS, NULL},
    {"nothing", "<volume><name>v</name></volume>", VIMG_ERROR_XML,
     "XML error: missing capacity element"},
    {"raw", "<volume><name>v</name><target><format type='raw'/></target></volume>", VIMG_ERROR_XML,
     "XML error: missing capacity element"},
    {"qcow2", "<volume><name>v</name><target><format type='qcow2'/></target></volume>",
     VIMG_N_ERRORS, NULL},
};

static void
test_document(Fixture *fixture, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    VimgPoolId id;
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    g_assert_cmpint(vimg_model_vol_create(fixture->model, &id, documents[i].xml, 0, &out, &error),
                    ==, documents[i].code == VIMG_N_ERRORS);
    if (documents[i].code == VIMG_N_ERRORS)
        g_assert_no_error(error);
    else
        assert_error_text(&error, documents[i].code, documents[i].text);
}

/* The storage hears once what it is, before the first byte, in pieces of whatever size. */
static void
test_guess(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autofree char *zeros = g_malloc0(8192);
    g_autofree char *guess = NULL;
    g_autoptr(VimgTransfer) transfer = NULL;
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", NULL, 10);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    for (i = 0; i < QCOW2_SIZE; i++)
        g_assert_true(push_bytes(transfer, qcow2_image() + i, 1, NULL));
    g_assert_true(vimg_transfer_hole(transfer, 2047, NULL));
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "writer_format"), ==, 0);
    g_assert_true(push_bytes(transfer, zeros, 8192, NULL));
    g_assert_true(push_bytes(transfer, zeros, 8192, NULL));
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "writer_format"), ==, 1);
    guess = fixture->memory->guess("/mem/images", "v");
    g_assert_cmpstr(guess, ==, "qcow2");
    g_assert_true(vimg_transfer_finish(transfer, NULL));
    assert_state(fixture, "v", "active");
}

static void
test_guess_fails(Fixture *fixture, gconstpointer data)
{
    g_autofree char *extents = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", NULL, 10);
    fixture->memory->fail("/mem/images", "writer_format", VIMG_ERROR_NO_SPACE, "disk full", 1);
    g_assert_false(upload(fixture, 0, 0, "a", 1, &error));
    assert_error_text(&error, VIMG_ERROR_NO_SPACE, "volume 'v': disk full");
    assert_state(fixture, "v", "saving");
    extents = fixture->memory->extents("/mem/images", "v");
    g_assert_cmpstr(extents, ==, "");
    g_assert_true(upload(fixture, 0, 0, "a", 1, NULL));
}

/* ---- what was there before -------------------------------------------------------------- */

static void
test_no_reading(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("memcopy", "images", NULL, "/copy", NULL);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_model_pool_create_xml(fixture->model, xml, 0, &id, NULL));
    create_vol(fixture, "images", "v", "raw", 4);
    g_assert_false(upload(fixture, 0, 2, "ab", 2, &error));
    assert_error_text(&error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
                      "argument unsupported: volume 'v' can only be uploaded as a whole: announce "
                      "no length");
    g_assert_false(upload(fixture, 2, 0, "cd", 2, &error));
    assert_error_text(&error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
                      "argument unsupported: volume 'v' takes no upload at an offset: upload from "
                      "the first byte");
    g_assert_cmpuint(fixture->memcopy->calls("/copy", "writer_open"), ==, 0);
    g_assert_true(upload(fixture, 0, 4, "abcd", 4, NULL));
    assert_state(fixture, "v", "active");
}

/* Only an upload that may complete the image reads all that was there before. */
static void
test_reading(Fixture *fixture, gconstpointer data)
{
    g_autofree char *content = g_strnfill(12000, 'a');
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 12000);
    g_assert_true(upload(fixture, 0, 4000, content, 4000, NULL));
    g_assert_true(upload(fixture, 4000, 4000, content, 4000, NULL));
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "writer_read"), ==, 0);
    fixture->memory->fail("/mem/images", "writer_read", VIMG_ERROR_DAMAGED, "slice 7", 1);
    g_assert_false(upload(fixture, 8000, 4000, content, 4000, &error));
    assert_error_text(&error, VIMG_ERROR_DAMAGED, "operation failed: volume 'v': slice 7");
    assert_state(fixture, "v", "saving");
    g_assert_true(upload(fixture, 8000, 4000, content, 4000, NULL));
    assert_state(fixture, "v", "active");
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "writer_read"), ==, 3);
}

typedef struct {
    VimgTransfer *transfer;
    gboolean ok;
    GError *error;
} Call;

static void
finish_slowly(gpointer data)
{
    Call *call = data;

    call->ok = vimg_transfer_finish(call->transfer, &call->error);
}

/* It may be gigabytes: read by the stream's own thread, and cancelled at once. */
static void
test_reading_cancelled(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    Call call = {0};
    VimgThread thread;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4);
    g_assert_true(upload(fixture, 0, 2, "ab", 2, NULL));
    fixture->memory->block("/mem/images", "writer_read");
    call.transfer = vimg_model_upload(fixture->model, &vol, 2, 0, FALSE, NULL);
    g_assert_nonnull(call.transfer);
    g_assert_true(vimg_thread_start(&thread, "finish", finish_slowly, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "writer_read");
    vimg_transfer_cancel(call.transfer);
    vimg_thread_join(thread);
    g_assert_false(call.ok);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
    vimg_transfer_free(call.transfer);
    assert_state(fixture, "v", "saving");
}

/* ---- copies ----------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char *sum; /* NULL: none; "own": the source's; "right", "wrong": another */
    gboolean ok;
    guint reads; /* of the source */
    guint clones;
} Clone;

static const Clone clones[] = {
    {"none", NULL, TRUE, 0, 1},
    {"own", "own", TRUE, 0, 1},
    {"right", "right", TRUE, 1, 1},
    {"wrong", "wrong", FALSE, 1, 0},
};

/* Of a clone no content comes by: what is asked for is compared with the source before. */
static void
test_clone(Fixture *fixture, gconstpointer data)
{
    const Clone *row = data;
    g_autofree char *content = g_strnfill(8192, 'a');
    g_autofree char *own = sum_of(G_CHECKSUM_SHA256, content, 5000);
    g_autofree char *whole = NULL;
    g_autofree char *base_xml = checksum_xml("v", "sha256", own);
    g_autofree char *xml = NULL;
    g_autofree char *names = NULL;
    VimgVolId source = vol_id("images", "v");
    VimgPoolId id;
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    memset(content + 5000, 0, 8192 - 5000);
    whole = sum_of(G_CHECKSUM_SHA256, content, 8192);
    if (g_strcmp0(row->sum, "wrong") == 0)
        whole[0] = whole[0] == 'a' ? 'b' : 'a';
    xml = checksum_xml("c", "sha256",
                       !row->sum                      ? NULL
                       : strcmp(row->sum, "own") == 0 ? own
                                                      : whole);
    define_and_start(fixture, "images");
    create_from_xml(fixture, base_xml);
    g_assert_true(upload(fixture, 0, 0, content, 5000, NULL));
    id = pool_id(fixture, "images");
    g_assert_cmpint(vimg_model_vol_create_from(fixture->model, &id, xml, &source, 0, &out, &error),
                    ==, row->ok);
    if (row->ok)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "reader_open"), ==, row->reads);
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "clone"), ==, row->clones);
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, row->ok ? "c v" : "v");
}

static gboolean
copy_out(Fixture *fixture, const char *xml, GError **error)
{
    g_autofree char *pool = pool_xml_full("memcopy", "copy", NULL, "/copy", NULL);
    VimgVolId source = vol_id("images", "v");
    g_auto(VimgPoolId) id = {0};
    g_auto(VimgVolId) out = {0};

    g_assert_true(vimg_model_pool_create_xml(fixture->model, pool, 0, &id, NULL));
    return vimg_model_vol_create_from(fixture->model, &id, xml, &source, 0, &out, error);
}

/* What another host sealed may be anything. */
static void
test_copy_refused(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    id = pool_id(fixture, "images");
    fixture->memory->put_image("/mem/images", "v", qcow2_image(), QCOW2_SIZE);
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    g_assert_false(copy_out(fixture, "<volume><name>c</name></volume>", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
    names = vol_names(fixture, "copy");
    g_assert_cmpstr(names, ==, "");
}

/* A checksum is of what is copied, not of the zeros behind it. */
static void
test_copy_checksum(Fixture *fixture, gconstpointer data)
{
    gboolean right = GPOINTER_TO_INT(data);
    g_autofree char *content = g_strnfill(4096, 'a');
    g_autofree char *sum = sum_of(G_CHECKSUM_SHA256, content, right ? 4096 : 4095);
    g_autofree char *xml = checksum_xml("c", "sha256", sum);
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    upload_all(fixture, "images", "v", 4096, 'a');
    g_assert_cmpint(copy_out(fixture, xml, &error), ==, right);
    names = vol_names(fixture, "copy");
    g_assert_cmpstr(names, ==, right ? "c" : "");
    if (!right)
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
}

static void
add_rows(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(checksums); i++) {
        g_autofree char *path = g_strdup_printf("/model/intake/checksum/%s", checksums[i].path);

        FIXTURE_ADD(path, &checksums[i], test_checksum);
    }
    for (i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autofree char *path = g_strdup_printf("/model/intake/document/%s", documents[i].path);

        FIXTURE_ADD(path, GSIZE_TO_POINTER(i), test_document);
    }
    for (i = 0; i < G_N_ELEMENTS(clones); i++) {
        g_autofree char *path = g_strdup_printf("/model/intake/clone/%s", clones[i].path);

        FIXTURE_ADD(path, &clones[i], test_clone);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_rows();
    FIXTURE_ADD("/model/intake/refused", NULL, test_refused);
    FIXTURE_ADD("/model/intake/refused-is-deleted", NULL, test_refused_is_deleted);
    FIXTURE_ADD("/model/intake/refused-unnoted", NULL, test_refused_unnoted);
    FIXTURE_ADD("/model/intake/guess", NULL, test_guess);
    FIXTURE_ADD("/model/intake/guess-fails", NULL, test_guess_fails);
    FIXTURE_ADD("/model/intake/no-reading", NULL, test_no_reading);
    FIXTURE_ADD("/model/intake/reading", NULL, test_reading);
    FIXTURE_ADD("/model/intake/reading-cancelled", NULL, test_reading_cancelled);
    FIXTURE_ADD("/model/intake/copy-refused", NULL, test_copy_refused);
    FIXTURE_ADD("/model/intake/copy-checksum/right", GINT_TO_POINTER(TRUE), test_copy_checksum);
    FIXTURE_ADD("/model/intake/copy-checksum/wrong", GINT_TO_POINTER(FALSE), test_copy_checksum);
    return g_test_run();
}
