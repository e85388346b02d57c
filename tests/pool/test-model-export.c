/*
 * test-model-export.c: exports: made, read, kept, ended
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-fixture.h"
#include "pool/export.h"
#include "util/error.h"

#define URL "http://192.0.2.1:8080"
#define SIZE 200000

typedef struct {
    VimgExportInfo *info;
    char *url;
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
} Made;

static void
made_clear(Made *made)
{
    vimg_export_info_free(made->info);
    g_free(made->url);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Made, made_clear)

/* "images" with one complete raw image, "a.raw", that begins with a hole. */
static void
set_up(Fixture *fixture)
{
    define_and_start(fixture, "images");
    create_vol(fixture, "images", "a.raw", "raw", SIZE);
    upload_all(fixture, "images", "a.raw", SIZE, 'a');
    vimg_model_set_export_url(fixture->model, URL);
}

static gboolean
try(Fixture *fixture, const VimgExportRequest *request, Made *out, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = sizeof(out->hash);

    out->info = vimg_model_export_create(fixture->model, &id, request, &out->url, error);
    g_assert_cmpint(out->info != NULL, ==, out->url != NULL);
    if (!out->info)
        return FALSE;
    g_assert_true(g_str_has_prefix(out->url, URL "/"));
    g_assert_cmpint(out->url[strlen(URL "/") + 43], ==, '/');
    g_checksum_update(sum, (const guchar *)out->url + strlen(URL "/"), 43);
    g_checksum_get_digest(sum, out->hash, &size);
    return TRUE;
}

static void
make(Fixture *fixture, const char *format, guint64 lifetime, Made *out)
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
    g_auto(Made) made = {0};
    GError *error = NULL;

    g_assert_false(try(fixture, request, &made, &error));
    assert_error_text(&error, code, text);
}

/* Returns: (transfer full) all of it, read in pieces of @most. */
static GByteArray *
read_all(Fixture *fixture, const Made *made, gsize most)
{
    GByteArray *bytes = g_byte_array_new();

    while (bytes->len < made->info->size) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgBuffer) data = NULL;
        VimgExportPart part = {.most = most};
        VimgExtent extent;
        guint before = bytes->len;

        part.offset = before;
        part.length = made->info->size - before;
        vimg_model_export_read(fixture->model, made->hash, &part, &extent, &error);
        g_assert_no_error(error);
        data = extent.data;
        g_assert_cmpuint(extent.length, >, 0);
        g_assert_true(!data || extent.length <= most);
        g_byte_array_set_size(bytes, before + (guint)extent.length);
        memset(bytes->data + before, 0, (gsize)extent.length);
        if (data)
            memcpy(bytes->data + before, data->data + extent.offset, (gsize)extent.length);
    }
    return bytes;
}

static GError *
read_error(Fixture *fixture, const Made *made, guint64 offset, guint64 length)
{
    const VimgExportPart part = {.offset = offset, .length = length, .most = 4096};
    GError *error = NULL;
    VimgExtent extent;

    if (vimg_model_export_read(fixture->model, made->hash, &part, &extent, &error))
        vimg_buffer_unref(extent.data);
    return error;
}

static const char *
state_of(Fixture *fixture, const Made *made)
{
    static const char *const names[] = {"live", "away", "ended", "absent"};
    g_autoptr(VimgExportInfo) info = NULL;

    return names[vimg_model_export_find(fixture->model, made->hash, &info)];
}

/* ---- making ----------------------------------------------------------------------------- */

static void
test_unserved(Fixture *fixture, gconstpointer data)
{
    const VimgExportRequest request = {.image = "a.raw", .lifetime = 60};

    set_up(fixture);
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

    set_up(fixture);
    create_vol(fixture, "images", "half.raw", "raw", SIZE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_refused(fixture, &cases[i].request, cases[i].code, cases[i].text);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool: no job is left */
}

static void
test_names(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) plain = {0};
    g_auto(Made) made = {0};
    g_auto(Made) packed = {0};
    const VimgExportRequest request = {"a.raw", "qcow2", 60, TRUE};

    set_up(fixture);
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
    g_auto(Made) made = {0};

    set_up(fixture);
    make(fixture, NULL, 60, &made);
    g_assert_cmpuint(made.info->size, ==, SIZE);
    for (gsize i = g_test_quick() ? 1 : 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autoptr(GByteArray) bytes = read_all(fixture, &made, pieces[i]);

        g_assert_cmpuint(bytes->len, ==, SIZE);
        for (guint at = 0; at < SIZE; at++)
            g_assert_cmpint(bytes->data[at], ==, 'a');
    }
}

static void
test_outside(Fixture *fixture, gconstpointer data)
{
    static const guint64 ranges[][2] = {
        {0, 0}, {SIZE, 1}, {SIZE - 1, 2}, {G_MAXUINT64, 1}, {1, G_MAXUINT64}};
    g_auto(Made) made = {0};

    set_up(fixture);
    make(fixture, NULL, 60, &made);
    for (gsize i = 0; i < G_N_ELEMENTS(ranges); i++) {
        g_autoptr(GError) error = read_error(fixture, &made, ranges[i][0], ranges[i][1]);

        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    }
}

static void
test_converted(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};
    g_autoptr(GByteArray) bytes = NULL;
    const guint n_clusters = 5 + 4; /* metadata and data of 65536 bytes */

    set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    bytes = read_all(fixture, &made, 1000);
    g_assert_cmpuint(bytes->len, ==, n_clusters * 65536);
    g_assert_cmpmem(bytes->data, 4, "QFI\xfb", 4);
    g_assert_cmpint(bytes->data[5 * 65536], ==, 'a');
    g_assert_cmpint(bytes->data[5 * 65536 + SIZE - 1], ==, 'a');
    g_assert_cmpint(bytes->data[5 * 65536 + SIZE], ==, 0);
}

/* Data after holes of all lengths: the next piece is found behind them. */
static void
test_holes(Fixture *fixture, gconstpointer data)
{
    static const guint64 holes[] = {0, 65536, 200000, 1, 3000000};
    const guint64 size = 3265537 + 5 * 100000;
    g_auto(Made) made = {0};
    g_autoptr(GByteArray) raw = g_byte_array_new();
    g_autoptr(GByteArray) bytes = NULL;
    const VimgExportRequest request = {"holes.raw", "qcow2", 60, FALSE};
    VimgVolId id = vol_id("images", "holes.raw");
    VimgTransfer *transfer;
    guint at = 0;

    set_up(fixture);
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
    bytes = read_all(fixture, &made, 30000);
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
    g_auto(Made) made = {0};
    g_autoptr(GByteArray) bytes = NULL;
    g_autofree char *sum = NULL;
    g_autofree char *found = NULL;

    set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    bytes = read_all(fixture, &made, 65536);
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
    g_auto(Made) made = {0};
    g_autoptr(GError) none = NULL;
    GError *error;

    set_up(fixture);
    make(fixture, NULL, 60, &made);
    g_assert_cmpstr(state_of(fixture, &made), ==, "live");
    g_assert_no_error(read_error(fixture, &made, 0, 10));
    g_assert_true(vimg_model_export_revoke(fixture->model, made.info->id, &none));
    g_assert_true(vimg_model_export_revoke(fixture->model, made.info->id, &none));
    g_assert_cmpstr(state_of(fixture, &made), ==, "ended");
    error = read_error(fixture, &made, 10, 10);
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: the export has ended");
    g_assert_false(vimg_model_export_revoke(fixture->model, "x", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG, "invalid argument: no export with id 'x'");
    made.hash[0] ^= 1;
    g_assert_cmpstr(state_of(fixture, &made), ==, "absent");
}

/* What began goes on, nobody begins. */
static void
test_expired(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};

    set_up(fixture);
    make(fixture, NULL, 1, &made);
    while (strcmp(state_of(fixture, &made), "live") == 0)
        g_usleep(10000);
    g_assert_cmpstr(state_of(fixture, &made), ==, "ended");
    g_assert_no_error(read_error(fixture, &made, 0, 10));
}

static guint
n_positions(VimgExports *exports)
{
    VIMG_LOCK_GUARD(&exports->lock);
    return exports->n_positions;
}

/* Returns when nothing is read for the checksum any more. */
static void
wait_for_sum(Fixture *fixture, const Made *made)
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
read_first(Fixture *fixture, const Made *made)
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
    g_auto(Made) made = {0};

    set_up(fixture);
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
    g_auto(Made) made = {0};

    set_up(fixture);
    make(fixture, NULL, 60, &made);
    wait_for_sum(fixture, &made);
    exports->reading_max = 0;
    read_first(fixture, &made);
    g_assert_cmpuint(n_positions(exports), ==, 0);
    bytes = read_all(fixture, &made, 4096);
    g_assert_cmpuint(bytes->len, ==, SIZE);
}

/* However many have ended, there is room for those that live. */
static void
test_many_ended(Fixture *fixture, gconstpointer data)
{
    VimgExports *exports = fixture->model->exports;
    g_auto(Made) made = {0};

    set_up(fixture);
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
    g_assert_cmpstr(state_of(fixture, &made), ==, "live");
    g_assert_cmpuint(g_hash_table_size(exports->by_id), ==, 4096);
    g_assert_null(g_hash_table_lookup(exports->by_id, "11111111-1111-4111-8111-000000000000"));
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) rest = NULL;
    Made made[3] = {0};

    set_up(fixture);
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
        made_clear(&made[i]);
}

/* ---- what lasts ------------------------------------------------------------------------- */

static void
test_restart(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};
    g_auto(Made) ended = {0};
    g_autoptr(GByteArray) before = NULL;
    g_autoptr(GByteArray) after = NULL;

    set_up(fixture);
    make(fixture, "qcow2", 60, &made);
    make(fixture, NULL, 60, &ended);
    g_assert_true(vimg_model_export_revoke(fixture->model, ended.info->id, NULL));
    before = read_all(fixture, &made, 1048576);
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    g_assert_cmpstr(state_of(fixture, &ended), ==, "ended");
    after = read_all(fixture, &made, 1048576);
    g_assert_cmpmem(before->data, before->len, after->data, after->len);
}

/* A pool that is stopped has nobody to wait for, and serves again when it is started. */
static void
test_stopped(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) bytes = NULL;

    set_up(fixture);
    make(fixture, NULL, 60, &made);
    bytes = read_all(fixture, &made, 1048576);
    while (!destroy_pool(fixture, "images", &error)) { /* it is summed up, perhaps */
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_assert_nonnull(strstr(error->message, "export of 'a.raw'"));
        g_clear_error(&error);
        g_usleep(10000);
    }
    error = read_error(fixture, &made, 0, 1);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_cmpstr(state_of(fixture, &made), ==, "away");
    start_pool(fixture, "images");
    g_assert_no_error(read_error(fixture, &made, 0, 1));
}

static void
test_trash(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};
    g_autoptr(GPtrArray) trash = NULL;
    g_autoptr(GByteArray) bytes = NULL;
    VimgPoolId id;
    GError *error = NULL;
    const char *uuid;

    set_up(fixture);
    id = pool_id(fixture, "images");
    make(fixture, NULL, 60, &made);
    g_assert_true(delete_vol(fixture, "images", "a.raw", NULL));
    bytes = read_all(fixture, &made, 1048576);
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

/* ---- over NBD --------------------------------------------------------------------------- */

typedef struct {
    char *id; /* of what was started last */
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
    guint stopped;
    gboolean fails;
} Server;

static char *
start_server(const char *id, const guint8 *hash, uid_t uid, gpointer data, GError **error)
{
    Server *server = data;

    g_assert_cmpuint(uid, ==, 1234);
    g_free(server->id);
    server->id = g_strdup(id);
    memcpy(server->hash, hash, sizeof(server->hash));
    if (!server->fails)
        return g_strdup("/socket");
    vimg_throw(error, VIMG_ERROR_FAILED, "no");
    return NULL;
}

static void
stop_server(const char *id, gpointer data)
{
    Server *server = data;

    g_assert_cmpstr(id, ==, server->id);
    server->stopped++;
}

static const VimgNbdServer nbd_server = {.start = start_server, .stop = stop_server};

static gboolean
serve(Fixture *fixture, Server *server, Made *out, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autofree char *path = NULL;

    out->info = vimg_model_nbd_start(fixture->model, &id, "a.raw", 1234, &path, error);
    g_assert_cmpstr(path, ==, out->info ? "/socket" : NULL);
    memcpy(out->hash, server->hash, sizeof(out->hash));
    return out->info != NULL;
}

static guint
count_exports(Fixture *fixture)
{
    g_autoptr(GPtrArray) list = vimg_model_export_list(fixture->model, NULL, 1024);

    return list->len;
}

static void
test_nbd(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(Made) made = {0};
    Server server = {0};
    VimgExportExtent extent;

    set_up(fixture);
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_true(serve(fixture, &server, &made, &error));
    g_assert_cmpstr(made.info->state, ==, "served");
    g_assert_cmpint(made.info->expires, ==, 0);
    g_assert_cmpuint(made.info->size, ==, SIZE);
    g_assert_cmpstr(state_of(fixture, &made), ==, "live");
    bytes = read_all(fixture, &made, 4096);
    g_assert_cmpuint(bytes->len, ==, SIZE);
    for (guint64 at = 0; at < SIZE; at += extent.length) {
        g_assert_true(vimg_model_export_map(fixture->model, made.hash, at, &extent, &error));
        g_assert_cmpuint(extent.length, >, 0);
        for (guint64 i = at; extent.zeros && i < at + extent.length; i++)
            g_assert_cmpuint(bytes->data[i], ==, 0);
    }
    g_assert_false(vimg_model_export_map(fixture->model, made.hash, SIZE, &extent, &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: there is nothing at this place of the export");
    vimg_model_nbd_ended(fixture->model, "no id");
    vimg_model_nbd_ended(fixture->model, server.id);
    g_assert_cmpuint(server.stopped, ==, 0);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_cmpstr(state_of(fixture, &made), ==, "absent");
    g_free(server.id);
}

/* By either name, and never twice. */
static void
test_nbd_stopped(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) first = {0};
    g_auto(Made) second = {0};
    Server server = {0};
    GError *error = NULL;

    set_up(fixture);
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_true(serve(fixture, &server, &first, NULL));
    g_assert_no_error(read_error(fixture, &first, 0, 4096));
    g_assert_true(vimg_model_nbd_stop(fixture->model, server.id, NULL));
    error = read_error(fixture, &first, 4096, 4096);
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: the export has ended");
    g_assert_true(serve(fixture, &server, &second, NULL));
    g_assert_true(vimg_model_export_revoke(fixture->model, server.id, NULL));
    g_assert_cmpuint(server.stopped, ==, 2);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_false(vimg_model_nbd_stop(fixture->model, "x", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: no image is served over NBD by id 'x'");
    g_free(server.id);
}

static void
test_nbd_refused(Fixture *fixture, gconstpointer data)
{
    g_auto(Made) made = {0};
    Server server = {.fails = TRUE};
    GError *error = NULL;

    set_up(fixture);
    g_assert_false(serve(fixture, &server, &made, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                      "Operation not supported: images are not served over NBD here: nbdkit or "
                      "virtimage's plugin for it is not installed");
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_false(serve(fixture, &server, &made, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool: no job is left */
    g_free(server.id);
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
    FIXTURE_ADD("/model-export/revoked", NULL, test_revoked);
    FIXTURE_ADD("/model-export/revoked/open", NULL, test_revoked_open);
    FIXTURE_ADD("/model-export/long", NULL, test_long);
    FIXTURE_ADD("/model-export/many-ended", NULL, test_many_ended);
    FIXTURE_ADD("/model-export/expired", NULL, test_expired);
    FIXTURE_ADD("/model-export/list", NULL, test_list);
    FIXTURE_ADD("/model-export/restart", NULL, test_restart);
    FIXTURE_ADD("/model-export/stopped", NULL, test_stopped);
    FIXTURE_ADD("/model-export/trash", NULL, test_trash);
    FIXTURE_ADD("/model-export/nbd", NULL, test_nbd);
    FIXTURE_ADD("/model-export/nbd/stopped", NULL, test_nbd_stopped);
    FIXTURE_ADD("/model-export/nbd/refused", NULL, test_nbd_refused);
    return g_test_run();
}
