/*
 * test-model-export.c: exports: made, read, kept, ended
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-export-fixture.h"
#include "pool/export.h"
#include "util/error.h"

static gboolean
try(Fixture *fixture, const VimgExportRequest *request, ExportMade *out, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = sizeof(out->hash);

    out->info = vimg_model_export_create(fixture->model, &id, request, &out->url, error);
    g_assert_cmpint(out->info != NULL, ==, out->url != NULL);
    if (!out->info)
        return FALSE;
    g_assert_true(g_str_has_prefix(out->url, EXPORT_URL "/"));
    g_assert_cmpint(out->url[strlen(EXPORT_URL "/") + 43], ==, '/');
    g_checksum_update(sum, (const guchar *)out->url + strlen(EXPORT_URL "/"), 43);
    g_checksum_get_digest(sum, out->hash, &size);
    return TRUE;
}

static void
make(Fixture *fixture, const char *format, guint64 lifetime, ExportMade *out)
{
    const VimgExportRequest request = {.image = "a.raw", .format = format, .lifetime = lifetime};
    g_autoptr(GError) error = NULL;

    try(fixture, &request, out, &error);
    g_assert_no_error(error);
}

static void
assert_refused(Fixture *fixture, const VimgExportRequest *request, VimgErrorCode code,
               const char *text)
{
    g_auto(ExportMade) made = {0};
    GError *error = NULL;

    g_assert_false(try(fixture, request, &made, &error));
    assert_error_text(&error, code, text);
}

/* ---- making ----------------------------------------------------------------------------- */

static void
test_unserved(Fixture *fixture, gconstpointer data)
{
    const VimgExportRequest request = {.image = "a.raw", .lifetime = 60};

    export_set_up(fixture);
    vimg_model_set_export_url(fixture->model, NULL);
    assert_refused(fixture, &request, VIMG_ERROR_OPERATION_UNSUPPORTED,
                   "Operation not supported: exports are not served here: set export_listen in "
                   "virtimaged.conf");
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    static const struct {
        VimgExportRequest request;
        VimgErrorCode code;
        const char *text;
    } cases[] = {
        {{"none", NULL, 60},
         VIMG_ERROR_NO_VOL,
         "Storage volume not found: no storage vol with matching name 'none'"},
        {{"a.raw", NULL, 0},
         VIMG_ERROR_INVALID_ARG,
         "invalid argument: an export lives from 1 to 316224000 seconds"},
        {{"a.raw", NULL, G_MAXUINT64},
         VIMG_ERROR_INVALID_ARG,
         "invalid argument: an export lives from 1 to 316224000 seconds"},
        {{"a.raw", "vmdk", 60},
         VIMG_ERROR_OPERATION_UNSUPPORTED,
         "Operation not supported: an image stored as raw cannot be exported as vmdk: export it as "
         "it is, and convert the download with 'qemu-img convert -f raw -O vmdk'"},
        {{"half.raw", NULL, 60},
         VIMG_ERROR_OPERATION_INVALID,
         "Requested operation is not valid: volume 'half.raw' is still being saved: it can be read "
         "once its upload is complete"},
    };

    export_set_up(fixture);
    create_vol(fixture, "images", "half.raw", "raw", EXPORT_SIZE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_refused(fixture, &cases[i].request, cases[i].code, cases[i].text);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool: no job is left */
}

static void
test_names(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) plain = {0};
    g_auto(ExportMade) made = {0};
    g_auto(ExportMade) packed = {0};
    const VimgExportRequest request = {"a.raw", "qcow2", 60, TRUE};

    export_set_up(fixture);
    make(fixture, NULL, 60, &plain);
    make(fixture, "qcow2", 60, &made);
    g_assert_true(try(fixture, &request, &packed, NULL));
    g_assert_cmpstr(plain.info->file, ==, "a.raw");
    g_assert_cmpstr(plain.info->format, ==, "raw");
    g_assert_cmpstr(made.info->file, ==, "a.qcow2");
    g_assert_cmpstr(packed.info->file, ==, "a.qcow2.zst");
    g_assert_cmpstr(strrchr(packed.url, '/'), ==, "/a.qcow2.zst");
    g_assert_cmpint(plain.info->expires - plain.info->created, ==, 60);
    g_assert_cmpint(memcmp(plain.hash, made.hash, sizeof(plain.hash)), !=, 0);
}

/* ---- reading ---------------------------------------------------------------------------- */

static void
test_read(Fixture *fixture, gconstpointer data)
{
    static const gsize pieces[] = {1, 4095, 1048576};
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    g_assert_cmpuint(made.info->size, ==, EXPORT_SIZE);
    for (gsize i = g_test_quick() ? 1 : 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autoptr(GByteArray) bytes = export_read_all(fixture, &made, pieces[i]);

        g_assert_cmpuint(bytes->len, ==, EXPORT_SIZE);
        for (guint at = 0; at < EXPORT_SIZE; at++)
            g_assert_cmpint(bytes->data[at], ==, 'a');
    }
}

static void
test_outside(Fixture *fixture, gconstpointer data)
{
    static const guint64 ranges[][2] = {
        {0, 0}, {EXPORT_SIZE, 1}, {EXPORT_SIZE - 1, 2}, {G_MAXUINT64, 1}, {1, G_MAXUINT64}};
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    for (gsize i = 0; i < G_N_ELEMENTS(ranges); i++) {
        g_autoptr(GError) error = export_read_error(fixture, &made, ranges[i][0], ranges[i][1]);

        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    }
}

static void
test_converted(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_autoptr(GByteArray) bytes = NULL;
    const guint n_clusters = 5 + 4; /* metadata and data of 65536 bytes */

    export_set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    bytes = export_read_all(fixture, &made, 1000);
    g_assert_cmpuint(bytes->len, ==, n_clusters * 65536);
    g_assert_cmpmem(bytes->data, 4, "QFI\xfb", 4);
    g_assert_cmpint(bytes->data[5 * 65536], ==, 'a');
    g_assert_cmpint(bytes->data[5 * 65536 + EXPORT_SIZE - 1], ==, 'a');
    g_assert_cmpint(bytes->data[5 * 65536 + EXPORT_SIZE], ==, 0);
}

/* Data after holes of all lengths: the next piece is found behind them. */
static void
test_holes(Fixture *fixture, gconstpointer data)
{
    static const guint64 holes[] = {0, 65536, 200000, 1, 3000000};
    const guint64 size = 3265537 + 5 * 100000;
    g_auto(ExportMade) made = {0};
    g_autoptr(GByteArray) raw = g_byte_array_new();
    g_autoptr(GByteArray) bytes = NULL;
    const VimgExportRequest request = {"holes.raw", "qcow2", 60, FALSE};
    VimgVolId id = vol_id("images", "holes.raw");
    VimgTransfer *transfer;
    guint at = 0;

    export_set_up(fixture);
    create_vol(fixture, "images", "holes.raw", "raw", size);
    transfer = vimg_model_upload(fixture->model, &id, 0, 0, TRUE, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(holes); i++) {
        g_assert_true(holes[i] == 0 || vimg_transfer_hole(transfer, holes[i], NULL));
        g_assert_true(push(transfer, 100000, (char)('a' + i), NULL));
        g_byte_array_set_size(raw, at + (guint)holes[i] + 100000);
        memset(raw->data + at, 0, (gsize)holes[i]);
        memset(raw->data + at + holes[i], 'a' + (int)i, 100000);
        at = raw->len;
    }
    g_assert_true(vimg_transfer_finish(transfer, NULL));
    vimg_transfer_free(transfer);
    g_assert_true(try(fixture, &request, &made, NULL));
    bytes = export_read_all(fixture, &made, 30000);
    at = 5 * 65536;
    for (guint cluster = 0; cluster * 65536 < size; cluster++) {
        g_autofree guint8 *content = g_malloc0(65536);
        guint n = (guint)MIN(65536, size - cluster * 65536);

        memcpy(content, raw->data + cluster * 65536, n);
        if (content[0] == 0 && memcmp(content, content + 1, 65535) == 0)
            continue;
        g_assert_cmpmem(bytes->data + at, 65536, content, 65536);
        at += 65536;
    }
    g_assert_cmpuint(at, ==, bytes->len);
}

static void
test_checksum(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_autoptr(GByteArray) bytes = NULL;
    g_autofree char *sum = NULL;
    g_autofree char *found = NULL;

    export_set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    bytes = export_read_all(fixture, &made, 65536);
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes->data, bytes->len);
    while (!found) {
        g_autoptr(VimgExportInfo) info = NULL;

        vimg_model_export_find(fixture->model, made.hash, &info);
        found = g_steal_pointer(&info->sha256);
        g_usleep(1000);
    }
    g_assert_cmpstr(found, ==, sum);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void
test_revoked(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_autoptr(GError) none = NULL;
    GError *error;

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    g_assert_cmpstr(export_state(fixture, &made), ==, "live");
    g_assert_no_error(export_read_error(fixture, &made, 0, 10));
    g_assert_true(vimg_model_export_revoke(fixture->model, made.info->id, &none));
    g_assert_true(vimg_model_export_revoke(fixture->model, made.info->id, &none));
    g_assert_cmpstr(export_state(fixture, &made), ==, "ended");
    error = export_read_error(fixture, &made, 10, 10);
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: the export has ended");
    g_assert_false(vimg_model_export_revoke(fixture->model, "x", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG, "invalid argument: no export with id 'x'");
    made.hash[0] ^= 1;
    g_assert_cmpstr(export_state(fixture, &made), ==, "absent");
}

/* As a listing does that finds it wiped and filled anew. */
static void
set_generation(Fixture *fixture, const char *generation)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(fixture->model, "images", NULL);
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = vimg_cache_find(pool, "a.raw");
    g_free(volume->image.generation);
    volume->image.generation = g_strdup(generation);
}

static void
test_other_content(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) unknown = {0}, made = {0}, after = {0};
    g_autoptr(GPtrArray) list = NULL;
    GError *error;

    export_set_up(fixture);
    make(fixture, NULL, 60, &unknown);
    set_generation(fixture, "one");
    make(fixture, "qcow2", 60, &made);
    g_assert_cmpstr(made.info->generation, ==, "one");
    g_assert_cmpstr(export_state(fixture, &unknown), ==, "live"); /* so it is of that */
    g_assert_no_error(export_read_error(fixture, &made, 0, 10));
    set_generation(fixture, NULL); /* nobody knows */
    g_assert_cmpstr(export_state(fixture, &made), ==, "live");
    set_generation(fixture, "two");
    g_assert_cmpstr(export_state(fixture, &made), ==, "ended");
    g_assert_cmpstr(export_state(fixture, &unknown), ==, "ended");
    set_generation(fixture, NULL); /* as of what is deleted then */
    g_assert_cmpstr(export_state(fixture, &made), ==, "ended");
    set_generation(fixture, "two");
    error = export_read_error(fixture, &made, EXPORT_SIZE, 10);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_assert_nonnull(strstr(error->message, "export it again"));
    g_clear_error(&error);
    make(fixture, NULL, 60, &after);
    g_assert_no_error(export_read_error(fixture, &after, 0, 10));
    list = vimg_model_export_list(fixture->model, NULL, 9);
    for (guint i = 0; i < list->len; i++) {
        const VimgExportInfo *info = list->pdata[i];
        gboolean replaced = strcmp(info->id, after.info->id) != 0;

        g_assert_cmpstr(info->state, ==, replaced ? "replaced" : "live");
        g_assert_cmpstr(info->generation, ==, replaced ? "one" : "two");
    }
}

/* What began goes on, nobody begins. */
static void
test_expired(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    make(fixture, NULL, 1, &made);
    while (strcmp(export_state(fixture, &made), "live") == 0)
        g_usleep(10000);
    g_assert_cmpstr(export_state(fixture, &made), ==, "ended");
    g_assert_no_error(export_read_error(fixture, &made, 0, 10));
}

static guint
n_positions(VimgExports *exports)
{
    VIMG_LOCK_GUARD(&exports->lock);
    return exports->n_positions;
}

/* Returns when nothing is read for the checksum any more. */
static void
wait_for_sum(Fixture *fixture, const ExportMade *made)
{
    gboolean known = FALSE;

    while (!known || n_positions(fixture->model->exports) > 0) {
        g_autoptr(VimgExportInfo) info = NULL;

        vimg_model_export_find(fixture->model, made->hash, &info);
        known = info->sha256 != NULL;
        g_usleep(1000);
    }
}

/* The first bytes alone, after which a reader is kept for who goes on. */
static void
read_first(Fixture *fixture, const ExportMade *made)
{
    const VimgExportPart part = {.length = 10, .most = 10};
    g_autoptr(GError) error = NULL;
    VimgExtent extent;

    vimg_model_export_read(fixture->model, made->hash, &part, &extent, &error);
    g_assert_no_error(error);
    vimg_buffer_unref(extent.data);
}

/* Whoever revokes one can purge its image at once. */
static void
test_revoked_open(Fixture *fixture, gconstpointer data)
{
    VimgExports *exports = fixture->model->exports;
    g_autofree char *kept = NULL;
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    wait_for_sum(fixture, &made);
    read_first(fixture, &made);
    g_assert_cmpuint(n_positions(exports), ==, 1);
    vimg_model_export_revoke(fixture->model, made.info->id, NULL);
    g_assert_cmpuint(n_positions(exports), ==, 0);
    kept = vimg_exports_keep(exports, made.info->pool_uuid, made.info->image_uuid);
    g_assert_null(kept);
}

/* Nobody is in the way of a collector for as long as a download takes. */
static void
test_long(Fixture *fixture, gconstpointer data)
{
    VimgExports *exports = fixture->model->exports;
    g_autoptr(GByteArray) bytes = NULL;
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    wait_for_sum(fixture, &made);
    exports->reading_max = 0;
    read_first(fixture, &made);
    g_assert_cmpuint(n_positions(exports), ==, 0);
    bytes = export_read_all(fixture, &made, 4096);
    g_assert_cmpuint(bytes->len, ==, EXPORT_SIZE);
}

/* However many have ended, there is room for those that live. */
static void
test_many_ended(Fixture *fixture, gconstpointer data)
{
    VimgExports *exports = fixture->model->exports;
    g_auto(ExportMade) made = {0};

    export_set_up(fixture);
    for (guint i = 0; i < 4096; i++) {
        VimgExportRecord *record = g_new0(VimgExportRecord, 1);
        g_autoptr(VimgExport) export = vimg_export_new(record);
        g_autoptr(GError) error = NULL;

        g_snprintf(record->id, sizeof(record->id), "11111111-1111-4111-8111-%012u", i);
        record->released = TRUE;
        record->expires = vimg_export_now() - 5000 + i;
        vimg_exports_add(exports, export, &error);
        g_assert_no_error(error);
    }
    make(fixture, NULL, 60, &made);
    g_assert_cmpstr(export_state(fixture, &made), ==, "live");
    g_assert_cmpuint(g_hash_table_size(exports->by_id), ==, 4096);
    g_assert_null(g_hash_table_lookup(exports->by_id, "11111111-1111-4111-8111-000000000000"));
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) rest = NULL;
    ExportMade made[3] = {0};

    export_set_up(fixture);
    for (gsize i = 0; i < G_N_ELEMENTS(made); i++)
        make(fixture, NULL, 60, &made[i]);
    g_assert_true(vimg_model_export_revoke(fixture->model, made[1].info->id, NULL));
    all = vimg_model_export_list(fixture->model, NULL, 10);
    g_assert_cmpuint(all->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const VimgExportInfo *info = g_ptr_array_index(all, i);
        gboolean revoked = strcmp(info->id, made[1].info->id) == 0;

        g_assert_cmpstr(info->pool, ==, "images");
        g_assert_cmpstr(info->state, ==, revoked ? "revoked" : "live");
    }
    rest = vimg_model_export_list(fixture->model, ((VimgExportInfo *)all->pdata[0])->id, 1);
    g_assert_cmpuint(rest->len, ==, 1);
    g_assert_cmpstr(((VimgExportInfo *)rest->pdata[0])->id, ==,
                    ((VimgExportInfo *)all->pdata[1])->id);
    for (gsize i = 0; i < G_N_ELEMENTS(made); i++)
        export_made_clear(&made[i]);
}

/* ---- what lasts ------------------------------------------------------------------------- */

static void
test_restart(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_auto(ExportMade) ended = {0};
    g_autoptr(GByteArray) before = NULL;
    g_autoptr(GByteArray) after = NULL;

    export_set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    make(fixture, NULL, 60, &ended);
    g_assert_true(vimg_model_export_revoke(fixture->model, ended.info->id, NULL));
    before = export_read_all(fixture, &made, 1048576);
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    g_assert_cmpstr(export_state(fixture, &ended), ==, "ended");
    after = export_read_all(fixture, &made, 1048576);
    g_assert_cmpmem(before->data, before->len, after->data, after->len);
}

/* A pool that is stopped has nobody to wait for, and serves again when it is started. */
static void
test_stopped(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) bytes = NULL;

    export_set_up(fixture);
    make(fixture, NULL, 60, &made);
    bytes = export_read_all(fixture, &made, 1048576);
    while (!destroy_pool(fixture, "images", &error)) { /* it is summed up, perhaps */
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_assert_nonnull(strstr(error->message, "export of 'a.raw'"));
        g_clear_error(&error);
        g_usleep(10000);
    }
    error = export_read_error(fixture, &made, 0, 1);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_cmpstr(export_state(fixture, &made), ==, "away");
    start_pool(fixture, "images");
    g_assert_no_error(export_read_error(fixture, &made, 0, 1));
}

static void
test_trash(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    g_autoptr(GPtrArray) trash = NULL;
    g_autoptr(GByteArray) bytes = NULL;
    VimgPoolId id;
    GError *error = NULL;
    const char *uuid;

    export_set_up(fixture);
    id = pool_id(fixture, "images");
    make(fixture, NULL, 60, &made);
    g_assert_true(delete_vol(fixture, "images", "a.raw", NULL));
    bytes = export_read_all(fixture, &made, 1048576);
    trash = vimg_model_trash_list(fixture->model, &id, NULL, 1, NULL);
    uuid = ((VimgTrashEntry *)trash->pdata[0])->uuid;
    g_assert_cmpstr(uuid, ==, made.info->image_uuid);
    g_assert_false(vimg_model_trash_purge(fixture->model, &id, uuid, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: volume 'a.raw' is exported: revoke that "
                      "first, or wait until it expires");
    g_assert_true(vimg_model_export_revoke(fixture->model, made.info->id, NULL));
    g_assert_true(vimg_model_trash_purge(fixture->model, &id, uuid, &error));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model-export/unserved", NULL, test_unserved);
    FIXTURE_ADD("/model-export/refused", NULL, test_refused);
    FIXTURE_ADD("/model-export/names", NULL, test_names);
    FIXTURE_ADD("/model-export/read", NULL, test_read);
    FIXTURE_ADD("/model-export/outside", NULL, test_outside);
    FIXTURE_ADD("/model-export/converted", NULL, test_converted);
    FIXTURE_ADD("/model-export/holes", NULL, test_holes);
    FIXTURE_ADD("/model-export/checksum", NULL, test_checksum);
    FIXTURE_ADD("/model-export/other-content", NULL, test_other_content);
    FIXTURE_ADD("/model-export/revoked", NULL, test_revoked);
    FIXTURE_ADD("/model-export/revoked/open", NULL, test_revoked_open);
    FIXTURE_ADD("/model-export/long", NULL, test_long);
    FIXTURE_ADD("/model-export/many-ended", NULL, test_many_ended);
    FIXTURE_ADD("/model-export/expired", NULL, test_expired);
    FIXTURE_ADD("/model-export/list", NULL, test_list);
    FIXTURE_ADD("/model-export/restart", NULL, test_restart);
    FIXTURE_ADD("/model-export/stopped", NULL, test_stopped);
    FIXTURE_ADD("/model-export/trash", NULL, test_trash);
    return g_test_run();
}
