/*
 * test-model-copy.c: images with the content of others: clones and copies between storages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

#define INVALID "Requested operation is not valid: "

static void
define_and_start_copy(Fixture *fixture, const char *name)
{
    g_autofree char *xml = pool_xml_full("memcopy", name, NULL, "/copy", NULL);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_pool_create_xml(fixture->model, xml, 0, &id, &error);
    g_assert_no_error(error);
}

/* ---- with the content of another ---------------------------------------------------------------
 */

/* A sparse image "base": data, hole, data, hole. */
static void
make_base(Fixture *fixture, const char *format)
{
    VimgVolId vol = vol_id("images", "base");
    g_autoptr(VimgTransfer) transfer = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "base", format, 65536);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    if (strcmp(format, "qcow2") == 0) {
        g_assert_true(push_bytes(transfer, qcow2_image(), QCOW2_SIZE, NULL));
        g_assert_true(push(transfer, 4096 - QCOW2_SIZE, 'a', NULL));
    } else {
        g_assert_true(push(transfer, 4096, 'a', NULL));
    }
    g_assert_true(vimg_transfer_hole(transfer, 8192, NULL));
    g_assert_true(push(transfer, 100, 'b', NULL));
    g_assert_true(vimg_transfer_hole(transfer, 53148, NULL));
    g_assert_true(vimg_transfer_finish(transfer, NULL));
}

static const struct {
    const char *path;
    const char *format;
    const char *to; /* images: the same storage, which clones; copy: another, which cannot */
    const char *xml;
    VimgErrorCode code; /* VIMG_N_ERRORS: it works */
    const char *text;
    const char *extents;
    guint clones;
} copies[] = {
    {"clone", "raw", "images", "<volume><name>c</name></volume>", VIMG_N_ERRORS, NULL,
     "d4096 h8192 d100 h53148", 1},
    {"clone-stale", "raw", "images",
     "<volume type='file'><name>c</name><key>/old/key</key><capacity>65536</capacity>"
     "<target><path>/old/path</path><format type='raw'/></target></volume>",
     VIMG_N_ERRORS, NULL, "d4096 h8192 d100 h53148", 1},
    {"copy", "raw", "copy", "<volume><name>c</name></volume>", VIMG_N_ERRORS, NULL,
     "d4096 h8192 d100 h53148", 0},
    {"copy-qcow2", "qcow2", "copy",
     "<volume><name>c</name><target><format type='qcow2'/></target></volume>", VIMG_N_ERRORS, NULL,
     "d2048 d2048 h8192 d100 h53148", 0},
    {"smaller", "raw", "copy", "<volume><name>c</name><capacity>1</capacity></volume>",
     VIMG_N_ERRORS, NULL, "d4096 h8192 d100 h53148", 0},
    {"larger", "raw", "images", "<volume><name>c</name><capacity>65546</capacity></volume>",
     VIMG_N_ERRORS, NULL, "d4096 h8192 d100 h53158", 0},
    {"larger-qcow2", "qcow2", "copy", "<volume><name>c</name><capacity>65537</capacity></volume>",
     VIMG_ERROR_OPERATION_UNSUPPORTED,
     "Operation not supported: a copy of volume 'base' must have its capacity of 65536 bytes", NULL,
     0},
    {"convert", "raw", "copy",
     "<volume><name>c</name><target><format type='qcow2'/></target></volume>",
     VIMG_ERROR_OPERATION_UNSUPPORTED,
     "Operation not supported: a copy of volume 'base' must have its format 'raw', not 'qcow2'",
     NULL, 0},
    {"exists", "raw", "images", "<volume><name>base</name></volume>", VIMG_ERROR_VOL_EXISTS,
     "storage volume 'base' exists already", "d4096 h8192 d100 h53148", 0},
};

static void
test_copy(Fixture *fixture, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    const MemoryControl *control =
        strcmp(copies[i].to, "copy") == 0 ? fixture->memcopy : fixture->memory;
    const char *dir = strcmp(copies[i].to, "copy") == 0 ? "/copy" : "/mem/images";
    g_autofree char *extents = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    make_base(fixture, copies[i].format);
    define_and_start_copy(fixture, "copy");
    ok = clone_vol(fixture, copies[i].to, copies[i].xml, "images", "base", &error);
    if (copies[i].code == VIMG_N_ERRORS) {
        g_autofree char *state = NULL;

        g_assert_no_error(error);
        state = vol_state(fixture, copies[i].to, "c");
        extents = control->extents(dir, "c");
        g_assert_cmpstr(state, ==, "active");
        g_assert_cmpstr(extents, ==, copies[i].extents);
    } else {
        g_assert_false(ok);
        assert_error_text(&error, copies[i].code, copies[i].text);
    }
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "clone"), ==, copies[i].clones);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 2); /* pools */
}

static void
test_copy_fails(Fixture *fixture, gconstpointer data)
{
    static const char *const callbacks[] = {"create", "writer_open", "writer_write", "writer_hole",
                                            "writer_finish"};
    g_autoptr(GError) error = NULL;
    gsize i;

    make_base(fixture, "raw");
    define_and_start_copy(fixture, "copy");
    for (i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        g_autofree char *names = NULL;
        g_autofree char *kept = NULL;

        fixture->memcopy->fail("/copy", callbacks[i], VIMG_ERROR_NO_SPACE, "disk full", 1);
        g_assert_false(clone_vol(fixture, "copy", "<volume><name>c</name></volume>", "images",
                                 "base", &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
        g_clear_error(&error);
        names = vol_names(fixture, "copy");
        g_assert_cmpstr(names, ==, "");
        kept = fixture->memcopy->extents("/copy", "c");
        g_assert_cmpstr(kept, ==, "");
    }
    /* a clone that a storage cannot do by itself is copied */
    fixture->memory->fail("/mem/images", "clone", VIMG_ERROR_NO_SUPPORT, "not this one", 1);
    g_assert_true(
        clone_vol(fixture, "images", "<volume><name>c</name></volume>", "images", "base", &error));
    g_assert_no_error(error);
}

static void
create_liar(Fixture *fixture, const char *lie)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='liar'><name>%s</name><source><name>%s</name></source></pool>", lie, lie);
    g_autoptr(GError) error = NULL;

    fixture_create(fixture, xml, 0, &error);
    g_assert_no_error(error);
}

/* A backend that asked for a verdict, and does not care for it, is not believed. */
static void
test_pull_anyway(Fixture *fixture, gconstpointer data)
{
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    create_liar(fixture, "source");
    create_liar(fixture, "pull-anyway");
    g_assert_false(clone_vol(fixture, "pull-anyway", "<volume><name>c</name></volume>", "source",
                             "one", &error));
    assert_error_text(&error, VIMG_ERROR_INTERNAL,
                      "internal error: volume 'one': liar: a copy that was refused");
    names = vol_names(fixture, "pull-anyway");
    g_assert_null(strstr(names, "c"));
}

typedef struct {
    Fixture *fixture;
    gboolean ok;
    GError *error;
} Call;

static void
copy_slowly(gpointer data)
{
    Call *call = data;

    call->ok = clone_vol(call->fixture, "copy", "<volume><name>c</name></volume>", "images", "base",
                         &call->error);
}

/* A volume being copied is seen growing, both pools are held, and the daemon's end cancels it. */
static void
test_copy_held(Fixture *fixture, gconstpointer data)
{
    Call call = {.fixture = fixture};
    VimgVolId copy = vol_id("copy", "c");
    g_autofree char *state = NULL;
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;
    VimgVolInfo info = {0};
    VimgThread thread;

    make_base(fixture, "raw");
    define_and_start_copy(fixture, "copy");
    fixture->memcopy->block("/copy", "writer_hole");
    g_assert_true(vimg_thread_start(&thread, "copy", copy_slowly, &call, NULL));
    fixture->memcopy->wait_blocked("/copy", "writer_hole");
    g_assert_true(vimg_model_vol_info(fixture->model, &copy, &info, NULL));
    state = vol_state(fixture, "copy", "c");
    g_assert_cmpstr(state, ==, "saving");
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "pool 'images' has jobs running: copy of 'base'");
    g_assert_false(destroy_pool(fixture, "copy", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "pool 'copy' has jobs running: clone of 'c'");
    g_assert_false(delete_vol(fixture, "copy", "c", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "volume 'c' is still in use: clone of 'c'");
    /* the source may go: a reader keeps what it reads */
    fixture->memcopy->release("/copy", "writer_hole");
    vimg_thread_join(thread);
    g_assert_no_error(call.error);
    names = vol_names(fixture, "copy");
    g_assert_cmpstr(names, ==, "c");
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(copies); i++) {
        g_autofree char *path = g_strdup_printf("/model/copy/%s", copies[i].path);

        FIXTURE_ADD(path, GSIZE_TO_POINTER(i), test_copy);
    }
    FIXTURE_ADD("/model/copy/fails", NULL, test_copy_fails);
    FIXTURE_ADD("/model/copy/pull-anyway", NULL, test_pull_anyway);
    FIXTURE_ADD("/model/copy/held", NULL, test_copy_held);
    return g_test_run();
}
