/*
 * test-multipart.c: objects sent and read in parts, taken up again, and when parts go wrong
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "copy.h"
#include "crc64.h"
#include "download.h"
#include "multipart.h"
#include "server-helper.h"

#define TOLD(server, ...) g_free(server_tell(server, __VA_ARGS__))
#define KIB ((gsize)1024)
#define MIB (1024 * KIB)
#define PART (128 * KIB)

static gboolean
send_all(VimgOss *oss, const VimgOssUploadRules *rules, const guint8 *data, gsize size,
         VimgOssObject *out, GError **error)
{
    g_autoptr(VimgOssUpload) upload = vimg_oss_upload_begin(oss, rules, error);
    gsize step = 100 * KIB + 7;
    gsize at;

    if (!upload)
        return FALSE;
    for (at = 0; at < size; at += MIN(step, size - at))
        if (!vimg_oss_upload_write(upload, data + at, MIN(step, size - at), error))
            return FALSE;
    return vimg_oss_upload_finish(upload, out, error);
}

static void
check_stored(Server *server, const char *key, const guint8 *data, gsize size)
{
    g_autofree char *there = server_tell(server, "sha256 %s", key);
    g_autofree char *here = vimg_sha256_hex(data, size);

    g_assert_cmpstr(there, ==, here);
    g_assert_cmpuint(server_number(server, "number uploads"), ==, 0);
}

/* ---- sending ---- */

static void
test_sizes(void)
{
    static const gsize sizes[] = {0,        1,        PART - 1,     PART,
                                  PART + 1, 2 * PART, 2 * PART + 1, 9 * PART + 5};
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(10 * PART, 1);
    VimgOssUploadRules rules = {.key = "a b/c", .part_size = PART, .workers = 3};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_auto(VimgOssObject) object = {0};
        g_autoptr(GError) error = NULL;

        rules.key = "k";
        send_all(oss, &rules, bytes->data, sizes[i], &object, &error);
        g_assert_no_error(error);
        g_assert_true(object.has_crc);
        g_assert_cmpuint(object.crc, ==, vimg_crc64(0, bytes->data, sizes[i]));
        g_assert_cmpuint(object.size, ==, sizes[i]);
        check_stored(server, "k", bytes->data, sizes[i]);
    }
}

static void
test_s3(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", "--signature s3");
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_S3, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(11 * MIB, 2);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    VimgOssUploadRules rules = {.key = "k", .part_size = 5 * MIB, .workers = 2};

    send_all(oss, &rules, bytes->data, bytes->size, &object, &error);
    g_assert_no_error(error);
    /* the storage gives no sum, but the parts have theirs */
    g_assert_true(object.has_crc);
    g_assert_cmpuint(object.crc, ==, vimg_crc64(0, bytes->data, bytes->size));
    check_stored(server, "k", bytes->data, bytes->size);
    rules.part_size = MIB;
    g_assert_null(vimg_oss_upload_begin(oss, &rules, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

static void
test_metadata(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(GPtrArray) metadata = vimg_pairs_new();
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *value = NULL;
    VimgOssUploadRules rules = {
        .key = "k", .part_size = PART, .exclusive = TRUE, .metadata = metadata};

    vimg_pairs_add(metadata, "uuid", "77");
    send_all(oss, &rules, (const guint8 *)"x", 1, &object, &error);
    g_assert_no_error(error);
    value = server_tell(server, "meta k uuid");
    g_assert_cmpstr(value, ==, "77");
    g_assert_false(send_all(oss, &rules, (const guint8 *)"y", 1, &object, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
}

typedef struct {
    const char *path;
    const char *fault;
    gint code; /* -1: it works in the end */
} Failure;

static const Failure failures[] = {
    {"/multipart/fault/500", "fault UploadPart status 3 500:InternalError", -1},
    {"/multipart/fault/drop", "fault UploadPart drop 2", -1},
    {"/multipart/fault/lost", "fault UploadPart lost 2", -1},
    {"/multipart/fault/throttled", "fault UploadPart throttle 3 20", -1},
    {"/multipart/fault/etag-once", "fault UploadPart etag 1", -1},
    {"/multipart/fault/crc-once", "fault UploadPart crc 1", -1},
    {"/multipart/fault/crc", "fault UploadPart crc 99", VIMG_ERROR_DAMAGED},
    {"/multipart/fault/etag", "fault UploadPart etag 99", VIMG_ERROR_DAMAGED},
    {"/multipart/fault/no-sum", "fault UploadPart no-sum 99", VIMG_ERROR_DAMAGED},
    {"/multipart/fault/denied", "fault UploadPart status 1 403:AccessDenied 2",
     VIMG_ERROR_ACCESS_DENIED},
    {"/multipart/fault/complete-lost", "fault Complete lost 1", -1},
    {"/multipart/fault/complete-500", "fault Complete status 1 500:InternalError", -1},
    {"/multipart/fault/complete-crc", "fault Complete crc 9", VIMG_ERROR_DAMAGED},
    {"/multipart/fault/complete-no-etag", "fault Complete no-etag 1", -1},
    {"/multipart/fault/complete-garbage", "fault Complete garbage 9", VIMG_ERROR_INTERNAL},
    {"/multipart/fault/initiate-garbage", "fault Initiate garbage 9", VIMG_ERROR_INTERNAL},
};

static void
test_failure(gconstpointer data)
{
    const Failure *c = data;
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(6 * PART + 99, 3);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;
    VimgOssUploadRules rules = {.key = "k", .part_size = PART, .workers = 3};

    TOLD(server, "%s", c->fault);
    send_all(oss, &rules, bytes->data, bytes->size, &object, &error);
    if (c->code >= 0) {
        g_assert_error(error, VIMG_ERROR, c->code);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(object.etag), >=, 32);
    check_stored(server, "k", bytes->data, bytes->size);
}

/* ---- taking up ---- */

static char *
send_some(VimgOss *oss, VimgOssUploadRules *rules, const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssUpload) upload = vimg_oss_upload_begin(oss, rules, &error);

    g_assert_no_error(error);
    vimg_oss_upload_write(upload, data, size, &error);
    g_assert_no_error(error);
    vimg_oss_upload_flush(upload, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vimg_oss_upload_position(upload), ==, size / PART * PART);
    return g_strdup(vimg_oss_upload_id(upload));
}

static void
test_resume(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(9 * PART + 5, 4);
    static const gsize offsets[] = {0, 2 * PART, 5 * PART};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(offsets); i++) {
        VimgOssUploadRules rules = {.key = "k", .part_size = PART, .workers = 2};
        g_autofree char *id = send_some(oss, &rules, bytes->data, 5 * PART + 77);
        g_auto(VimgOssObject) object = {0};
        g_autoptr(GError) error = NULL;
        guint64 before;

        TOLD(server, "set page 2");
        before = server_number(server, "count UploadPart");
        rules.id = id;
        rules.offset = offsets[i];
        send_all(oss, &rules, bytes->data + offsets[i], bytes->size - offsets[i], &object, &error);
        g_assert_no_error(error);
        g_assert_true(object.has_crc);
        check_stored(server, "k", bytes->data, bytes->size);
        g_assert_cmpuint(server_number(server, "count UploadPart"), ==, before + 5);
    }
}

static void
test_resume_other(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(5 * PART, 5);
    VimgOssUploadRules rules = {.key = "k", .part_size = PART, .workers = 2};
    g_autofree char *id = send_some(oss, &rules, bytes->data, 5 * PART);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) error = NULL;

    rules.id = id;
    /* less than before */
    g_assert_false(send_all(oss, &rules, bytes->data, 3 * PART, &object, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    /* another byte */
    bytes->data[2 * PART] ^= 1;
    g_assert_false(send_all(oss, &rules, bytes->data, 5 * PART, &object, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_nonnull(strstr(error->message, "262144"));
    g_clear_error(&error);
    /* beyond what is there, and between parts */
    rules.offset = 6 * PART;
    g_assert_null(vimg_oss_upload_begin(oss, &rules, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    rules.offset = PART + 1;
    g_assert_null(vimg_oss_upload_begin(oss, &rules, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    /* gone */
    g_assert_true(vimg_oss_upload_abort(oss, "k", id, NULL, &error));
    g_assert_true(vimg_oss_upload_abort(oss, "k", id, NULL, &error));
    rules.offset = 0;
    g_assert_null(vimg_oss_upload_begin(oss, &rules, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
}

static void
test_list_uploads(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    VimgOssUploadRules rules = {.key = "p/k &", .part_size = PART};
    g_autofree char *id = send_some(oss, &rules, NULL, PART);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssPage) page = vimg_oss_list_uploads(oss, "p/", NULL, NULL, NULL, &error);
    const VimgOssPending *pending;

    g_assert_no_error(error);
    g_assert_cmpuint(page->pending->len, ==, 1);
    pending = g_ptr_array_index(page->pending, 0);
    g_assert_cmpstr(pending->key, ==, "p/k &");
    g_assert_cmpstr(pending->id, ==, id);
    g_assert_cmpint(pending->initiated, >, 0);
}

static gboolean
is_cancelled(gpointer data)
{
    return __atomic_load_n((gint *)data, __ATOMIC_RELAXED) != 0;
}

static void
test_cancel(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 60);
    gint cancelled = 0;
    VimgPatience patience = {.cancelled = is_cancelled, .data = &cancelled};
    VimgOssUploadRules rules = {.key = "k", .part_size = PART, .workers = 2, .patience = &patience};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssUpload) upload = vimg_oss_upload_begin(oss, &rules, &error);

    TOLD(server, "fault UploadPart stall 99");
    g_assert_true(vimg_oss_upload_write(upload, NULL, 2 * PART, &error));
    __atomic_store_n(&cancelled, 1, __ATOMIC_RELAXED);
    g_assert_false(vimg_oss_upload_flush(upload, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
}

static void
test_part_size(void)
{
    static const struct {
        guint64 total;
        guint64 size;
    } cases[] = {
        {0, 64 * MIB},
        {1, 8 * MIB},
        {80000 * MIB, 8 * MIB},
        {80000 * MIB + 1, 16 * MIB},
        {G_GUINT64_CONSTANT(1) << 40, 128 * MIB},
        {G_GUINT64_CONSTANT(2) << 40, 256 * MIB},
        {G_GUINT64_CONSTANT(16) << 40, 2048 * MIB},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpuint(vimg_oss_part_size(cases[i].total), ==, cases[i].size);
    for (i = 1; i < 48; i++) {
        guint64 total = (guint64)i << 40;

        g_assert_cmpuint(vimg_oss_part_size(total) * VIMG_OSS_PARTS_MAX, >=, total);
    }
}

/* What nobody has memory for is refused before anything is begun. */
static void
test_memory(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    GPtrArray *uploads = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_oss_upload_free);
    VimgOssUploadRules rules = {.key = "k", .part_size = 5120 * MIB};
    VimgOssUpload *upload;
    g_autoptr(GError) error = NULL;

    while ((upload = vimg_oss_upload_begin(oss, &rules, &error)))
        g_ptr_array_add(uploads, upload);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_cmpuint(server_number(server, "count Initiate"), ==, uploads->len);
    g_clear_error(&error);
    g_ptr_array_unref(uploads);
    rules.part_size = PART;
    upload = vimg_oss_upload_begin(oss, &rules, &error);
    g_assert_no_error(error);
    vimg_oss_upload_free(upload);
}

/* ---- reading ---- */

static gboolean
read_all(VimgOss *oss, VimgOssDownloadRules *rules, GByteArray *out, GError **error)
{
    g_autoptr(VimgOssDownload) download = vimg_oss_download_new(oss, rules, error);

    if (!download)
        return FALSE;
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_oss_download_next(download, &extent, error))
            return FALSE;
        if (extent.length == 0)
            return TRUE;
        data = extent.data;
        g_byte_array_append(out, data->data + extent.offset, (guint)extent.length);
    }
}

static void
put_bytes(VimgOss *oss, const VimgBuffer *bytes, VimgOssObject *out)
{
    VimgOssPut put = {.key = "k", .data = bytes->data, .size = bytes->size};
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_oss_put(oss, &put, NULL, NULL, &error));
    g_assert_true(vimg_oss_head(oss, "k", out, NULL, &error));
}

/* Parts whose pieces are held are not filled again, whoever returned others between them. */
static void
test_held(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(12 * PART, 6);
    g_auto(VimgOssObject) object = {0};
    VimgOssDownloadRules rules = {.key = "k", .object = &object, .part_size = PART, .workers = 2};
    g_autoptr(VimgOssDownload) download = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent held[12];
    guint i;

    put_bytes(oss, bytes, &object);
    download = vimg_oss_download_new(oss, &rules, &error);
    g_assert_no_error(error);
    for (i = 0; i < G_N_ELEMENTS(held); i++) {
        g_assert_true(vimg_oss_download_next(download, &held[i], &error));
        g_assert_cmpuint(held[i].length, ==, PART);
        if (i % 3 == 2)
            g_clear_pointer(&held[i].data, vimg_buffer_unref);
    }
    g_clear_pointer(&download, vimg_oss_download_free);
    for (i = 0; i < G_N_ELEMENTS(held); i++) {
        if (!held[i].data)
            continue;
        g_assert_cmpmem(held[i].data->data + held[i].offset, PART, bytes->data + i * PART, PART);
        vimg_buffer_unref(held[i].data);
    }
}

static void
test_download(void)
{
    static const gsize sizes[] = {0,        1,        PART - 1,     PART,
                                  PART + 1, 2 * PART, 2 * PART + 1, 9 * PART + 5};
    static const gsize offsets[] = {0, 1, PART};
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    gsize i;
    gsize j;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(VimgBuffer) bytes = server_bytes(sizes[i], 6);
        g_auto(VimgOssObject) object = {0};

        put_bytes(oss, bytes, &object);
        for (j = 0; j < G_N_ELEMENTS(offsets); j++) {
            gsize offset = MIN(offsets[j], sizes[i]);
            VimgOssDownloadRules rules = {
                .key = "k", .object = &object, .offset = offset, .part_size = PART, .workers = 3};
            g_autoptr(GByteArray) out = g_byte_array_new();
            g_autoptr(GError) error = NULL;

            read_all(oss, &rules, out, &error);
            g_assert_no_error(error);
            g_assert_cmpmem(out->data, out->len, bytes->data + offset, sizes[i] - offset);
        }
    }
}

static const Failure read_failures[] = {
    {"/multipart/read/500", "fault Get status 3 500:InternalError", -1},
    {"/multipart/read/drop", "fault Get drop 2", -1},
    {"/multipart/read/truncate", "fault Get truncate 2", -1},
    {"/multipart/read/flip", "fault Get flip 1", VIMG_ERROR_DAMAGED},
    {"/multipart/read/whole", "fault Get whole 1", VIMG_ERROR_INTERNAL},
    {"/multipart/read/short", "fault Get short 1", VIMG_ERROR_INTERNAL},
    {"/multipart/read/long", "fault Get long 1", VIMG_ERROR_INTERNAL},
    {"/multipart/read/denied", "fault Get status 9 403:AccessDenied", VIMG_ERROR_ACCESS_DENIED},
    {"/multipart/read/changed", "spoil k", VIMG_ERROR_FAILED},
};

static void
test_read_failure(gconstpointer data)
{
    const Failure *c = data;
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(6 * PART + 99, 7);
    g_auto(VimgOssObject) object = {0};
    VimgOssDownloadRules rules = {.key = "k", .object = &object, .part_size = PART, .workers = 3};
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    put_bytes(oss, bytes, &object);
    TOLD(server, "%s", c->fault);
    read_all(oss, &rules, out, &error);
    if (c->code >= 0) {
        g_assert_error(error, VIMG_ERROR, c->code);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpmem(out->data, out->len, bytes->data, bytes->size);
}

/* It ends though nobody takes what was read. */
static void
test_read_some(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(20 * PART, 8);
    g_auto(VimgOssObject) object = {0};
    VimgOssDownloadRules rules = {.key = "k", .object = &object, .part_size = PART, .workers = 2};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssDownload) download = NULL;
    g_autoptr(VimgBuffer) data = NULL;
    VimgExtent extent;

    put_bytes(oss, bytes, &object);
    download = vimg_oss_download_new(oss, &rules, &error);
    g_assert_true(vimg_oss_download_next(download, &extent, &error));
    data = extent.data;
    g_assert_cmpmem(data->data, extent.length, bytes->data, PART);
    g_clear_pointer(&download, vimg_oss_download_free);
    /* no more than the window was asked for */
    g_assert_cmpuint(server_number(server, "count Get"), <=, 3);
}

/* ---- copying ---- */

static void
on_progress(gpointer data, guint64 done, guint64 total)
{
    guint64 *last = data;

    g_assert_cmpuint(done, >, *last);
    g_assert_cmpuint(done, <=, total);
    *last = done;
}

static void
test_copy(void)
{
    static const gsize sizes[] = {PART, PART + 1, 3 * PART, 5 * PART + 7};
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(VimgBuffer) bytes = server_bytes(sizes[i], 10);
        g_autoptr(GPtrArray) metadata = vimg_pairs_new();
        g_auto(VimgOssObject) object = {0};
        g_auto(VimgOssObject) made = {0};
        g_autoptr(GError) error = NULL;
        guint64 done = 0;
        VimgOssCopy copy = {.from = "k",
                            .object = &object,
                            .to = "copy",
                            .metadata = metadata,
                            .part_size = PART,
                            .progress = on_progress,
                            .data = &done};

        vimg_pairs_add(metadata, "uuid", "99");
        put_bytes(oss, bytes, &object);
        vimg_oss_copy(oss, &copy, &made, &error);
        g_assert_no_error(error);
        check_stored(server, "copy", bytes->data, bytes->size);
        g_assert_cmpstr(vimg_pairs_get(made.metadata, "uuid"), ==, "99");
        g_assert_cmpuint(done, ==, sizes[i] > PART ? sizes[i] : 0);
    }
}

/* The storage may look first at whether there is an object, and only then at the upload. */
static void
test_lost_and_there(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(PART, 12);
    g_autoptr(GPtrArray) metadata = vimg_pairs_new();
    g_auto(VimgOssObject) object = {0};
    g_auto(VimgOssObject) made = {0};
    g_autoptr(GError) error = NULL;
    VimgOssUploadRules rules = {
        .key = "k", .part_size = PART, .exclusive = TRUE, .metadata = metadata};
    VimgOssCopy copy = {.from = "k",
                        .object = &object,
                        .to = "copy",
                        .metadata = metadata,
                        .exclusive = TRUE,
                        .part_size = PART};

    vimg_pairs_add(metadata, "uuid", "99");
    TOLD(server, "fault Complete lost");
    TOLD(server, "fault Complete status 1 409:FileAlreadyExists");
    send_all(oss, &rules, bytes->data, bytes->size, &object, &error);
    g_assert_no_error(error);
    TOLD(server, "fault Copy lost");
    vimg_oss_copy(oss, &copy, &made, &error);
    g_assert_no_error(error);
    check_stored(server, "copy", bytes->data, bytes->size);
    /* another one's is not ours */
    g_ptr_array_set_size(metadata, 0);
    vimg_pairs_add(metadata, "uuid", "98");
    g_assert_false(vimg_oss_copy(oss, &copy, &made, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
}

static void
test_copy_fails(void)
{
    static const struct {
        const char *fault;
        gint code;
    } faults[] = {
        {"fault PartCopy status 1 403:AccessDenied 2", VIMG_ERROR_ACCESS_DENIED},
        {"fault PartCopy garbage 1", VIMG_ERROR_INTERNAL},
        {"spoil k", VIMG_ERROR_FAILED},
    };
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(VimgBuffer) bytes = server_bytes(5 * PART, 11);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_auto(VimgOssObject) object = {0};
        g_auto(VimgOssObject) made = {0};
        g_autoptr(GError) error = NULL;
        VimgOssCopy copy = {.from = "k", .object = &object, .to = "copy", .part_size = PART};

        put_bytes(oss, bytes, &object);
        TOLD(server, "%s", faults[i].fault);
        g_assert_false(vimg_oss_copy(oss, &copy, &made, &error));
        g_assert_error(error, VIMG_ERROR, faults[i].code);
        g_assert_cmpuint(server_number(server, "number uploads"), ==, 0);
        g_assert_cmpuint(server_number(server, "number objects"), ==, 1);
    }
}

/* Somebody in between who knows of nothing has not said that something is gone. */
static void
test_stranger(void)
{
    g_autoptr(Server) server = server_new("ossserver.py", NULL);
    g_autoptr(VimgOss) oss = server_client(server, VIMG_OSS_V4, 10);
    g_autoptr(GError) error = NULL;

    TOLD(server, "fault Get stranger");
    g_assert_null(vimg_oss_get(oss, "k", 9, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    TOLD(server, "fault Delete stranger");
    g_assert_false(vimg_oss_delete(oss, "k", NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    TOLD(server, "fault Abort stranger");
    g_assert_false(vimg_oss_upload_abort(oss, "k", "1", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

static void
add(const Failure *rows, gsize n, GTestDataFunc func)
{
    gsize i;

    for (i = 0; i < n; i++)
        g_test_add_data_func(rows[i].path, &rows[i], func);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/multipart/sizes", test_sizes);
    g_test_add_func("/multipart/s3", test_s3);
    g_test_add_func("/multipart/metadata", test_metadata);
    g_test_add_func("/multipart/resume", test_resume);
    g_test_add_func("/multipart/resume-other", test_resume_other);
    g_test_add_func("/multipart/list-uploads", test_list_uploads);
    g_test_add_func("/multipart/cancel", test_cancel);
    g_test_add_func("/multipart/stranger", test_stranger);
    g_test_add_func("/multipart/memory", test_memory);
    g_test_add_func("/multipart/part-size", test_part_size);
    add(failures, G_N_ELEMENTS(failures), test_failure);
    g_test_add_func("/multipart/download", test_download);
    g_test_add_func("/multipart/held", test_held);
    g_test_add_func("/multipart/read-some", test_read_some);
    g_test_add_func("/multipart/copy", test_copy);
    g_test_add_func("/multipart/lost-and-there", test_lost_and_there);
    g_test_add_func("/multipart/copy-fails", test_copy_fails);
    add(read_failures, G_N_ELEMENTS(read_failures), test_read_failure);
    return g_test_run();
}
