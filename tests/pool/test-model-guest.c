/*
 * test-model-guest.c: the raw disk of a qcow2 image, exported: what is opened and kept for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-fixture.h"
#include "image/qcow2-header.h"
#include "pool/export.h"
#include "util/error.h"

#define MIB ((guint64)1024 * 1024)
#define PIECE ((gsize)65536) /* of the file, which the storage has in such */
#define ROOM 8192            /* in the file, of a packed cluster of 4096 */

/* How the file is laid out, whose cluster i begins with the number i + 1, all others with zeros. */
typedef struct {
    const char *path;
    guint bits;      /* of a cluster */
    guint n;         /* clusters of the disk */
    guint step, run; /* @run clusters, then those @step runs on: as they follow in the file */
    guint hole;      /* each so many clusters there are as many zeros; 0: none */
    gboolean packed; /* by deflate, which leaves them as they are */
    guint most;      /* times that it is opened to be read once */
    guint kept;      /* places where it is kept open behind that, at most */
} Layout;

static guint8 *
put32(guint8 *at, guint64 value)
{
    guint32 be = GUINT32_TO_BE((guint32)value);

    memcpy(at, &be, sizeof(be));
    return at;
}

static void
put64(guint8 *at, guint64 value)
{
    put32(put32(at, value >> 32) + 4, value);
}

static gboolean
is_hole(const Layout *layout, guint i)
{
    return layout->hole > 0 && i / layout->hole % 2 == 1;
}

/* Where in the disk. */
static guint
number_at(const Layout *layout, guint place)
{
    guint runs = layout->n / layout->run;

    return place / layout->run * layout->step % runs * layout->run + place % layout->run;
}

static guint64
room(const Layout *layout)
{
    return layout->packed ? ROOM : (guint64)1 << layout->bits;
}

static void
put_cluster(const Layout *layout, guint i, guint8 *file, guint64 offset, guint8 *entry)
{
    static const guint8 plain[] = {1, 0x00, 0x10, 0xff, 0xef}; /* the last block: 4096 bytes */

    if (is_hole(layout, i))
        return;
    put64(entry, layout->packed ? VIMG_QCOW2_PACKED | (guint64)15 << 58 | offset : offset);
    if (layout->packed)
        memcpy(file + offset, plain, sizeof(plain));
    put32(file + offset + (layout->packed ? sizeof(plain) : 0), i + 1);
}

/* Returns: (transfer full) a header, no refcounts, one first table, second ones, then clusters. */
static guint8 *
make_file(const Layout *layout, gsize *size)
{
    guint64 cluster = (guint64)1 << layout->bits;
    guint per = (guint)(cluster / 8);
    guint tables = (layout->n + per - 1) / per;
    guint64 second = 3 * cluster, data = second + tables * cluster;
    guint8 *file;

    *size = data + layout->n * room(layout);
    file = g_malloc0(*size);
    memcpy(file, "QFI\xfb", 4);
    put32(put32(file + 4, 2) + 16, layout->bits);
    put64(file + 24, layout->n * cluster);
    put32(file + 36, tables);
    put64(file + 40, 2 * cluster);
    put64(file + 48, cluster);
    put32(file + 56, 1);
    for (guint i = 0; i < tables; i++)
        put64(file + 2 * cluster + i * 8, second + i * cluster);
    for (guint place = 0; place < layout->n; place++) {
        guint i = number_at(layout, place);

        put_cluster(layout, i, file, data + place * room(layout), file + second + i * 8);
    }
    return file;
}

static void
store(Fixture *fixture, const char *name, const guint8 *file, gsize size, guint64 capacity)
{
    VimgVolId id = vol_id("images", name);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgTransfer) transfer = NULL;

    create_vol(fixture, "images", name, "qcow2", capacity);
    transfer = vimg_model_upload(fixture->model, &id, 0, 0, FALSE, &error);
    g_assert_no_error(error);
    for (gsize at = 0; at < size; at += PIECE) {
        push_bytes(transfer, (const char *)file + at, MIN(PIECE, size - at), &error);
        g_assert_no_error(error);
    }
    vimg_transfer_finish(transfer, &error);
    g_assert_no_error(error);
}

/* Returns: (transfer full) of the disk in the image @name. */
static VimgExport *
make_export(Fixture *fixture, const char *name)
{
    const VimgExportRequest request = {.image = name, .format = "raw", .lifetime = 600};
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(VimgExportInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *url = NULL;

    info = vimg_model_export_create(fixture->model, &id, &request, &url, &error);
    g_assert_no_error(error);
    return vimg_exports_get_by_id(fixture->model->exports, info->id);
}

static void
begin(Fixture *fixture)
{
    define_and_start(fixture, "images");
    vimg_model_set_export_url(fixture->model, "http://192.0.2.1");
}

static VimgExport *
begin_with(Fixture *fixture, const Layout *layout)
{
    gsize size;
    g_autofree guint8 *file = make_file(layout, &size);

    begin(fixture);
    store(fixture, "a", file, size, (guint64)layout->n << layout->bits);
    return make_export(fixture, "a");
}

/* Returns: (transfer none) once nobody sums it up any more. */
static const char *
wait_for_sum(Fixture *fixture, VimgExport *export)
{
    VimgExports *exports = fixture->model->exports;

    for (;;) {
        vimg_mutex_lock(&exports->lock);
        if (!export->summing) {
            vimg_mutex_unlock(&exports->lock);
            return export->record->sha256;
        }
        vimg_mutex_unlock(&exports->lock);
        g_usleep(1000);
    }
}

static guint
n_positions(Fixture *fixture)
{
    VIMG_LOCK_GUARD(&fixture->model->exports->lock);
    return fixture->model->exports->n_positions;
}

/* Returns: bytes that were read, or 0 with @error.  @out: room for them. */
static guint64
read_part(Fixture *fixture, VimgExport *export, guint64 offset, guint64 length, guint8 *out,
          GError **error)
{
    const VimgExportPart part = {offset, length, .most = MIB};
    VimgExtent extent;

    if (!vimg_export_read(fixture->model->exports, export, &part, &extent, error))
        return 0;
    memset(out, 0, extent.length);
    if (extent.data)
        memcpy(out, extent.data->data + extent.offset, extent.length);
    vimg_buffer_unref(extent.data);
    return extent.length;
}

static guint64
read_at(Fixture *fixture, VimgExport *export, guint64 offset, guint8 *out, GError **error)
{
    return read_part(fixture, export, offset, MIN(MIB, export->record->size - offset), out, error);
}

static guint8 *
make_disk(const Layout *layout)
{
    guint8 *disk = g_malloc0((gsize)layout->n << layout->bits);

    for (guint i = 0; i < layout->n; i++)
        put32(disk + ((gsize)i << layout->bits), is_hole(layout, i) ? 0 : i + 1);
    return disk;
}

/* ---- what is opened --------------------------------------------------------------------- */

static const Layout layouts[] = {
    {"in-order", 16, 256, 1, 1, 0, FALSE, 8},
    {"holes", 16, 512, 1, 1, 8, FALSE, 8},
    {"scattered", 16, 256, 97, 1, 0, FALSE, 256 + 8},
    {"runs", 16, 512, 11, 16, 0, FALSE, 32 + 8},
    {"in-order-packed", 12, 2048, 1, 1, 0, TRUE, 8},
    {"jumps-packed", 12, 2048, 701, 1, 0, TRUE, 2048 + 8, 16},
    {"scattered-packed", 12, 2048, 149, 1, 0, TRUE, 2048 + 8},
    {"runs-packed", 12, 4096, 7, 512, 0, TRUE, 8 + 8},
};

/* A file is opened once for each part of it that is read in one go, and kept open for no more. */
static void
test_opened(Fixture *fixture, gconstpointer data)
{
    const Layout *layout = data;
    g_autoptr(VimgExport) export = begin_with(fixture, layout);
    g_autofree guint8 *disk = make_disk(layout);
    g_autofree guint8 *out = g_malloc((gsize)(layout->n << layout->bits) + MIB);
    g_autofree char *sum = NULL;
    guint before, most = 0;

    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, disk, export->record->size);
    g_assert_cmpstr(wait_for_sum(fixture, export), ==, sum);
    g_assert_cmpuint(n_positions(fixture), <=, layout->kept);
    before = fixture->memory->calls("/mem/images", "reader_open");
    for (guint64 at = 0; at < export->record->size;) {
        g_autoptr(GError) error = NULL;

        at += read_at(fixture, export, at, out + at, &error);
        g_assert_no_error(error);
        most = MAX(most, n_positions(fixture));
    }
    g_assert_cmpmem(out, export->record->size, disk, export->record->size);
    g_assert_cmpuint(most, <=, layout->kept + 1);
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "reader_open") - before, <=,
                     layout->most);
}

/* ---- what is kept ----------------------------------------------------------------------- */

static guint
count_pages(VimgExports *exports)
{
    GHashTableIter iter;
    gpointer value;
    guint n = 0;

    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += ((VimgExport *)value)->pages.length;
    g_assert_cmpuint(__atomic_load_n(&exports->n_pages, __ATOMIC_RELAXED), ==, n);
    return n;
}

/* However many there are, all together keep 64 MiB. */
static void
test_pages(Fixture *fixture, gconstpointer data)
{
    const Layout layout = {"", 12, 520, 1, 1, 0, TRUE, 0};
    g_autoptr(VimgExport) first = begin_with(fixture, &layout);
    VimgExport *exports[20] = {NULL};

    g_assert_nonnull(wait_for_sum(fixture, first));
    for (gsize i = 0; i < G_N_ELEMENTS(exports); i++)
        exports[i] = make_export(fixture, "a");
    for (gsize i = 0; i < G_N_ELEMENTS(exports); i++)
        g_assert_nonnull(wait_for_sum(fixture, exports[i]));
    g_assert_cmpuint(count_pages(fixture->model->exports), <=, 1024);
    g_assert_cmpuint(count_pages(fixture->model->exports), >, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(exports); i++) {
        g_assert_true(vimg_model_export_revoke(fixture->model, exports[i]->record->id, NULL));
        vimg_export_unref(exports[i]);
    }
    g_assert_cmpuint(count_pages(fixture->model->exports), <=, 64);
}

/* ---- what cannot be read ---------------------------------------------------------------- */

/* What is before it is served, to its last byte, and what is behind it. */
static void
test_damaged(Fixture *fixture, gconstpointer data)
{
    const Layout layout = {"", 12, 20, 1, 1, 0, TRUE, 0};
    g_autofree guint8 *disk = make_disk(&layout);
    g_autofree guint8 *out = g_malloc(MIB);
    g_autofree guint8 *file = NULL;
    g_autoptr(VimgExport) export = NULL;
    GError *error = NULL;
    gsize size;

    file = make_file(&layout, &size);
    file[4 * 4096 + 7 * ROOM] = 7; /* no kind of block */
    begin(fixture);
    store(fixture, "a", file, size, (guint64)layout.n << layout.bits);
    export = make_export(fixture, "a");
    g_assert_null(wait_for_sum(fixture, export));
    g_assert_cmpuint(read_at(fixture, export, 4 * 4096, out, &error), ==, 3 * 4096);
    g_assert_no_error(error);
    g_assert_cmpmem(out, 3 * 4096, disk + 4 * 4096, 3 * 4096);
    g_assert_cmpuint(read_at(fixture, export, 7 * 4096, out, &error), ==, 0);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
    g_assert_nonnull(strstr(error->message, "a cluster cannot be unpacked"));
    g_clear_error(&error);
    g_assert_cmpuint(read_at(fixture, export, 8 * 4096, out, &error), ==, 12 * 4096);
    g_assert_no_error(error);
    g_assert_cmpmem(out, 12 * 4096, disk + 8 * 4096, 12 * 4096);
}

/* A storage that is away for a moment is no damage: what was read is served. */
static void
test_lost(Fixture *fixture, gconstpointer data)
{
    const Layout layout = {"", 12, 200, 1, 1, 0, TRUE, 0};
    g_autoptr(VimgExport) export = begin_with(fixture, &layout);
    g_autofree guint8 *disk = make_disk(&layout);
    g_autofree guint8 *out = g_malloc(MIB);
    GError *error = NULL;

    g_assert_nonnull(wait_for_sum(fixture, export));
    vimg_export_let_go(fixture->model->exports, export);
    g_assert_cmpuint(read_part(fixture, export, 190 * 4096, 4096, out, &error), ==, 4096);
    fixture->memory->fail("/mem/images", "reader_next", VIMG_ERROR_BUSY, "for a moment", -1);
    /* as much as is in the page of the first */
    g_assert_cmpuint(read_at(fixture, export, 190 * 4096, out, &error), ==, 8 * 4096);
    g_assert_no_error(error);
    g_assert_cmpmem(out, 8 * 4096, disk + 190 * 4096, 8 * 4096);
    g_assert_cmpuint(read_at(fixture, export, 198 * 4096, out, &error), ==, 0);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    fixture->memory->fail("/mem/images", "reader_next", VIMG_ERROR_BUSY, "", 0);
    g_assert_cmpuint(read_at(fixture, export, 198 * 4096, out, &error), ==, 2 * 4096);
    g_assert_cmpmem(out, 2 * 4096, disk + 198 * 4096, 2 * 4096);
}

static void
test_another(Fixture *fixture, gconstpointer data)
{
    const Layout layout = {"", 16, 4, 1, 1, 0, FALSE, 0};
    g_autoptr(VimgExport) export = begin_with(fixture, &layout);
    VimgExports *exports = fixture->model->exports;
    GError *error = NULL;
    g_autofree guint8 *out = g_malloc(MIB);

    g_assert_nonnull(wait_for_sum(fixture, export));
    vimg_mutex_lock(&exports->lock);
    g_clear_pointer(&export->guest, g_free);
    vimg_mutex_unlock(&exports->lock);
    export->record->size -= 512;
    g_assert_cmpuint(read_at(fixture, export, 0, out, &error), ==, 0);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
    g_assert_nonnull(strstr(error->message, "has 262144 bytes and not 261632"));
    g_clear_error(&error);
}

/* ---- checksums -------------------------------------------------------------------------- */

/* Disks that take days to be summed up are in nobody's way. */
static void
test_huge(Fixture *fixture, gconstpointer data)
{
    const Layout layout = {"", 16, 4, 3, 1, 0, FALSE, 0};
    g_autofree guint8 *disk = make_disk(&layout);
    const guint64 cluster = 2 * MIB;
    g_autofree guint8 *file = g_malloc0(3 * cluster);
    g_autoptr(VimgExport) export = NULL;
    VimgExport *huge[3];
    g_autofree char *sum = NULL;

    memcpy(file, "QFI\xfb", 4);
    put32(put32(file + 4, 2) + 16, 21);
    put64(file + 24, (guint64)64 << 40);
    put32(file + 36, 128);
    put64(file + 40, 2 * cluster);
    put64(file + 48, cluster);
    put32(file + 56, 1);
    fixture->model->exports->sum_turn = 0;
    begin(fixture);
    store(fixture, "huge", file, 3 * cluster, (guint64)64 << 40);
    for (gsize i = 0; i < G_N_ELEMENTS(huge); i++)
        huge[i] = make_export(fixture, "huge");
    g_free(file);
    file = make_file(&layout, &(gsize){0});
    store(fixture, "a", file, 8 * 65536, 4 * 65536);
    export = make_export(fixture, "a");
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, disk, export->record->size);
    g_assert_cmpstr(wait_for_sum(fixture, export), ==, sum);
    for (gsize i = 0; i < G_N_ELEMENTS(huge); i++) {
        vimg_mutex_lock(&fixture->model->exports->lock);
        g_assert_true(huge[i]->summing);
        vimg_mutex_unlock(&fixture->model->exports->lock);
        vimg_export_unref(huge[i]);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(layouts); i++) {
        g_autofree char *path = g_strconcat("/model-guest/opened/", layouts[i].path, NULL);

        FIXTURE_ADD(path, &layouts[i], test_opened);
    }
    FIXTURE_ADD("/model-guest/pages", NULL, test_pages);
    FIXTURE_ADD("/model-guest/damaged", NULL, test_damaged);
    FIXTURE_ADD("/model-guest/lost", NULL, test_lost);
    FIXTURE_ADD("/model-guest/another", NULL, test_another);
    FIXTURE_ADD("/model-guest/huge", NULL, test_huge);
    return g_test_run();
}
