/*
 * test-content.c: content into images and out of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "content-helper.h"
#include "clone.h"
#include "digest.h"
#include "qemu.h"
#include "thread.h"
#include "throw.h"
#include "verify.h"
#include "zero.h"

#define SIZE (37 * MIB + 12345)
#define MUCH (80 * MIB + 12345) /* more than is on its way at a time */

/* ---- the digest ------------------------------------------------------------------------- */

static char *
sum_up(const VimgBuffer *content, gsize packet, gboolean holes)
{
    g_autoptr(VimgCephDigest) digest = vimg_ceph_digest_new();
    gsize at;

    for (at = 0; at < content->size; at += packet) {
        gsize n = MIN(packet, content->size - at);
        const guint8 *data = content->data + at;

        vimg_ceph_digest_add(digest, holes && is_zero(data, n) ? NULL : data, n);
    }
    g_assert_cmpuint(vimg_ceph_digest_at(digest), ==, content->size);
    return vimg_ceph_digest_finish(digest);
}

static void
test_digest(void)
{
    static const gsize packets[] = {1000, 65536, 4 << 20, 5 << 20, 64 << 20};
    g_autoptr(VimgBuffer) content = content_new(SIZE, 1);
    g_autofree char *wanted = sum_up(content, 3 << 20, FALSE);
    g_autofree char *longer = NULL;
    g_autofree char *changed = NULL;
    gsize i;

    for (i = 0; i < 2 * G_N_ELEMENTS(packets); i++) {
        g_autofree char *sum = sum_up(content, packets[i / 2], i % 2);

        g_assert_cmpstr(sum, ==, wanted);
    }
    content->size--;
    longer = sum_up(content, 1 << 20, TRUE);
    g_assert_cmpstr(longer, !=, wanted);
    content->size++;
    content->data[SIZE - 1] ^= 1;
    changed = sum_up(content, 1 << 20, TRUE);
    g_assert_cmpstr(changed, !=, wanted);
}

/* ---- in and out ------------------------------------------------------------------------- */

static void
test_round_trip(Fixture *fixture, gconstpointer data)
{
    static const gsize sizes[] = {1, 511, 4 << 20, (4 << 20) + 1, SIZE};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *name = g_strdup_printf("i%zu", i);
        g_autoptr(VimgBuffer) content = content_new(sizes[i], i);
        g_autofree char *uuid = content_upload(fixture, name, content);

        assert_content(fixture, uuid, content, 0);
        assert_content(fixture, uuid, content, sizes[i] / 2);
        assert_content(fixture, uuid, content, sizes[i]);
        assert_exported(name, content);
    }
}

/* Holes are not read: one is handed out whole, however many blocks it has. */
typedef struct {
    const VimgBuffer *content;
    guint64 sum;
} Zeros;

static gboolean
add_zeros(guint64 offset, guint64 length, gpointer data)
{
    Zeros *zeros = data;

    g_assert_cmpuint(offset + length, <=, zeros->content->size);
    g_assert_true(is_zero(zeros->content->data + offset, length));
    zeros->sum += length;
    return TRUE;
}

static void
test_holes(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(64 * MIB, 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;
    VimgCephReader *reader;
    VimgExtent extent = {0};
    guint64 longest = 0;
    Zeros zeros = {content, 0};

    memset(content->data + 8 * MIB, 0, 48 * MIB);
    uuid = content_upload(fixture, "a", content);
    reader = vimg_ceph_reader_open(fixture->store, uuid, 0, 0, NULL, &error);
    g_assert_no_error(error);
    while (vimg_ceph_reader_next(reader, &extent, &error) && extent.length > 0) {
        longest = MAX(longest, extent.data ? 0 : extent.length);
        g_clear_pointer(&extent.data, vimg_buffer_unref);
    }
    g_assert_no_error(error);
    vimg_ceph_reader_close(reader);
    g_assert_cmpuint(longest, >=, 48 * MIB);
    g_assert_true(vimg_ceph_reader_zeros(fixture->store, uuid, add_zeros, &zeros, NULL, &error));
    g_assert_cmpuint(zeros.sum, >=, 48 * MIB);
}

/* ---- uploads that do not come in one piece ----------------------------------------------- */

static void
keep(VimgCephWriter *writer, guint64 position)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_writer_finish(writer, FALSE, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(out.position, ==, position);
    g_assert_cmpuint(out.physical, ==, position);
}

static void
seal_raw(VimgCephWriter *writer, const VimgBuffer *content)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    content_seal(writer, "raw", content->size, &out, &error);
    g_assert_no_error(error);
}

static VimgCephRecord *
record_of(Fixture *fixture, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    VimgCephRecord *record = vimg_ceph_record_find(fixture->store, uuid, &error);

    g_assert_no_error(error);
    return record;
}

/* The digest does not depend on how it came. */
static void
assert_digest(Fixture *fixture, const char *uuid, const VimgBuffer *content)
{
    g_autoptr(VimgCephRecord) record = record_of(fixture, uuid);
    g_autofree char *wanted = sum_up(content, 65536, TRUE);

    g_assert_cmpstr(record->digest, ==, wanted);
}

static void
read_back(VimgCephWriter *writer, const VimgBuffer *content, guint64 end)
{
    g_autoptr(GError) error = NULL;
    guint64 at = 0;

    while (at < end) {
        VimgExtent extent = {0};

        vimg_ceph_writer_read(writer, at, MIN(end - at, 3000000), &extent, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(extent.length, >, 0);
        g_assert_cmpuint(extent.length, <=, end - at);
        if (extent.data)
            g_assert_true(
                memcmp(extent.data->data + extent.offset, content->data + at, extent.length) == 0);
        else
            g_assert_true(is_zero(content->data + at, extent.length));
        vimg_buffer_unref(extent.data);
        at += extent.length;
    }
}

/* Interrupted at @end; goes on at @from, after a look back at it or not. */
static void
resume(Fixture *fixture, VimgBuffer *content, guint64 end, guint64 from, gboolean look)
{
    g_autofree char *name = g_strdup_printf("r%u", g_random_int());
    g_autofree char *uuid = image_create(fixture, name);
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);

    content_send(writer, content, 0, end);
    keep(writer, end);
    writer = writer_at(fixture, uuid, from);
    if (look)
        read_back(writer, content, from);
    content_send(writer, content, from, content->size);
    seal_raw(writer, content);
    assert_content(fixture, uuid, content, 0);
    assert_digest(fixture, uuid, content);
}

static void
test_resume(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 3);

    resume(fixture, content, 1, 0, FALSE);
    resume(fixture, content, 5 * MIB + 1, 0, FALSE);
    resume(fixture, content, 8 * MIB, 8 * MIB, TRUE);
    resume(fixture, content, 17 * MIB + 77, 16 * MIB - 5, TRUE);
    resume(fixture, content, 17 * MIB + 77, 17 * MIB + 77, FALSE);
    resume(fixture, content, SIZE, 12345, TRUE);
    resume(fixture, content, SIZE, SIZE, TRUE);
}

/* What was written and never noted is not there when other content comes. */
static void
test_abort(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) first = content_new(MUCH, 4);
    g_autoptr(VimgBuffer) second = content_new(MUCH, 5);
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_autoptr(VimgCephRecord) record = NULL;
    rbd_image_t image;
    g_autoptr(GError) error = NULL;

    memset(first->data, 1, 6 * MIB);
    memset(second->data, 0, 6 * MIB);
    content_send(writer, first, 0, first->size);
    vimg_ceph_writer_abort(writer);
    record = record_of(fixture, uuid);
    g_assert_cmpuint(record->info.position, >, 0);
    g_assert_cmpuint(record->info.position, <=, MUCH);
    record->info.position = 0;
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &image, NULL), ==, 0);
    vimg_ceph_record_save(image, record, &error);
    g_assert_no_error(error);
    rbd_close(image);
    writer = writer_at(fixture, uuid, 0);
    content_send(writer, second, 0, second->size);
    seal_raw(writer, second);
    assert_content(fixture, uuid, second, 0);
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 6);
    g_autofree char *uuid = image_create(fixture, "a");
    VimgWriteRequest request = {.size = sizeof(request), .offset = 6 * MIB + 1};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);

    g_assert_null(vimg_ceph_writer_open(fixture->store, uuid, &request, NULL, &error));
    assert_error(&error, VIMG_ERROR_BUSY, "open at");
    content_send(writer, content, 0, 6 * MIB);
    keep(writer, 6 * MIB);
    g_assert_null(vimg_ceph_writer_open(fixture->store, uuid, &request, NULL, &error));
    assert_error(&error, VIMG_ERROR_INVALID_ARG, "6291456 bytes");
    writer = writer_at(fixture, uuid, 0);
    content->data[5 * MIB + 3] ^= 1;
    g_assert_false(vimg_ceph_writer_write(writer, content, 0, 6 * MIB, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "offset 5242883");
    content->data[5 * MIB + 3] ^= 1;
    vimg_ceph_writer_abort(writer);
    writer = writer_at(fixture, uuid, 0);
    content_send(writer, content, 0, 5 * MIB);
    g_assert_false(content_seal(writer, "raw", 5 * MIB, &out, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "ends at offset 5242880");
    writer = writer_at(fixture, uuid, 6 * MIB);
    content_send(writer, content, 6 * MIB, SIZE);
    seal_raw(writer, content);
    request.offset = 0;
    g_assert_null(vimg_ceph_writer_open(fixture->store, uuid, &request, NULL, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "never changes");
}

/* Other tools know nothing of claims: the rename finds out, and nothing is lost. */
static void
test_name_taken(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 8);
    g_autofree char *uuid = image_create(fixture, "a");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);

    content_send(writer, content, 0, SIZE);
    foreign_create(fixture, "a", MIB);
    g_assert_false(content_seal(writer, "raw", SIZE, &out, &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'a'");
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "a"), ==, 0);
    writer = writer_at(fixture, uuid, SIZE);
    seal_raw(writer, content);
    assert_content(fixture, uuid, content, 0);
    assert_exported("a", content);
}

/* ---- clones and checks ------------------------------------------------------------------ */

static char *
clone_of(Fixture *fixture, const char *source, const char *name, GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {.size = sizeof(image), .uuid = uuid, .name = (char *)name};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    if (!vimg_ceph_clone(fixture->store, source, &image, NULL, &out, error))
        return NULL;
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.parent, ==, source);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return g_steal_pointer(&uuid);
}

static void
test_clone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 9);
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *saving = image_create(fixture, "s");
    g_autofree char *foreign = NULL;
    g_autofree char *clone = NULL;
    g_autofree char *second = NULL;
    g_autofree char *children = NULL;
    g_autoptr(GError) error = NULL;

    clone = clone_of(fixture, source, "b", &error);
    g_assert_no_error(error);
    second = clone_of(fixture, clone, "c", &error);
    g_assert_no_error(error);
    children = cluster_run("rbd children " POOL "/a@image");
    g_assert_cmpstr(children, ==, POOL "/b");
    assert_content(fixture, clone, content, 0);
    assert_content(fixture, second, content, 12345);
    assert_exported("c", content);
    assert_digest(fixture, second, content);
    g_assert_null(clone_of(fixture, source, "b", &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'b'");
    g_assert_null(clone_of(fixture, saving, "d", &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "not complete");
    foreign_create(fixture, "theirs", MIB);
    foreign = image_uuid(fixture, "theirs");
    g_assert_null(clone_of(fixture, foreign, "d", &error));
    assert_error(&error, VIMG_ERROR_NO_SUPPORT, NULL);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

static void
assert_damaged(Fixture *fixture, const char *uuid, const char *wanted)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_ceph_verify(fixture->store, uuid, NULL, &error);

    g_assert_no_error(error);
    g_test_message("%s", report);
    if (wanted ? !strstr(report, wanted) : !strstr(report, "\"damaged\":[]"))
        g_error("%s", report);
}

/* Somebody writes to an image and takes the snapshot anew: RBD has no digest that would tell. */
static void
test_verify(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 10);
    g_autofree char *good = content_upload(fixture, "good", content);
    g_autofree char *bad = content_upload(fixture, "bad", content);

    assert_damaged(fixture, NULL, NULL);
    g_free(cluster_run("rbd snap rm --no-progress " POOL "/bad@image"));
    image_write(fixture, "bad");
    g_free(cluster_run("rbd snap create --no-progress " POOL "/bad@image"));
    assert_damaged(fixture, good, NULL);
    assert_damaged(fixture, NULL, bad);
    g_assert_cmpint(image_state(fixture, bad), ==, VIMG_IMAGE_ERROR);
    g_assert_cmpint(image_state(fixture, good), ==, VIMG_IMAGE_ACTIVE);
}

/* ---- formats ---------------------------------------------------------------------------- */

/* Returns: (transfer full) what is in the file that @command makes of the file %s. */
static VimgBuffer *
made_by(const char *dir, const char *from, const char *format, const char *to)
{
    g_autofree char *out = g_build_filename(dir, to, NULL);
    g_autofree char *command =
        g_strdup_printf("qemu-img convert -O %s %s/%s %s", format, dir, from, out);
    g_autofree char *bytes = NULL;
    VimgBuffer *made;
    gsize size = 0;

    g_free(cluster_run(command));
    g_assert_true(g_file_get_contents(out, &bytes, &size, NULL));
    made = vimg_buffer_new(size);
    memcpy(made->data, bytes, size);
    return made;
}

/* A file of @format with @content in it, and what qemu-img reads from that again. */
static VimgBuffer *
make_file(const char *format, const VimgBuffer *content, VimgBuffer **raw)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-XXXXXX", NULL);
    g_autofree char *source = g_build_filename(dir, "source", NULL);
    g_autofree char *command = g_strdup_printf("rm -r %s", dir);
    VimgBuffer *file;

    g_assert_true(
        g_file_set_contents(source, (const char *)content->data, (gssize)content->size, NULL));
    file = made_by(dir, "source -f raw", format, "file");
    *raw = made_by(dir, "file", "raw", "raw");
    g_free(cluster_run(command));
    return file;
}

/* What was uploaded, and is gone, is still known. */
static void
assert_uploaded(const VimgPluginImage *image, const char *format, const VimgBuffer *file)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, file->data, file->size);

    g_assert_cmpstr(image->uploaded_format, ==, format);
    g_assert_cmpuint(image->uploaded_size, ==, file->size);
    g_assert_cmpstr(image->checksum_type, ==, "sha256");
    g_assert_cmpstr(image->checksum, ==, sum);
}

static void
convert(Fixture *fixture, const char *format)
{
    g_autoptr(VimgBuffer) content = content_new(20 * MIB, 7);
    g_autoptr(VimgBuffer) raw = NULL;
    g_autoptr(VimgBuffer) file = make_file(format, content, &raw);
    g_autofree char *uuid = image_create(fixture, format);
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;

    content_send(writer, file, 0, file->size);
    content_seal(writer, format, content->size, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, format);
    g_assert_cmpstr(out.format, ==, "raw");
    g_assert_cmpuint(out.physical, ==, raw->size);
    g_assert_cmpuint(out.capacity, ==, raw->size);
    g_assert_cmpint(memcmp(raw->data, content->data, content->size), ==, 0);
    assert_uploaded(&out, format, file);
    assert_content(fixture, uuid, raw, 0);
    assert_exported(format, raw);
    names = cluster_run("rbd ls " POOL);
    g_assert_null(strstr(names, VIMG_CEPH_STAGED));
}

static void
test_convert(Fixture *fixture, gconstpointer data)
{
    static const char *const formats[] = {"qcow2", "vmdk", "vpc", "vhdx", "vdi"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(formats); i++)
        convert(fixture, formats[i]);
}

/* What passes is no reason to throw away what was uploaded. */
static void
test_blame(void)
{
    static const struct {
        const char *words;
        gboolean converting;
        gboolean blamed;
    } cases[] = {
        {"error while reading at byte 65536: Input/output error", TRUE, TRUE},
        {"error while reading at byte 65536: Invalid argument", TRUE, TRUE},
        {"error while reading at byte 65536: Connection timed out", TRUE, FALSE},
        {"error while writing at byte 65536: Input/output error", TRUE, FALSE},
        {"error while writing at byte 65536: Connection timed out", TRUE, FALSE},
        {"Cannot allocate memory", TRUE, FALSE},
        {"error opening image x: Device or resource busy", TRUE, FALSE},
        {"", TRUE, FALSE},
        {"", FALSE, FALSE},
        {"Image is not in qcow2 format", FALSE, TRUE},
        {"L1 size too small", FALSE, TRUE},
        {"error reading header from x: Connection timed out", FALSE, FALSE},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (vimg_qemu_blames_image(cases[i].words, cases[i].converting) != cases[i].blamed)
            g_error("%s", cases[i].words);
    }
}

/* What only looks like one is an error for the reason that qemu-img gives. */
static void
test_no_image(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(MIB, 12);
    g_autofree char *uuid = image_create(fixture, "a");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_autoptr(VimgCephRecord) record = NULL;
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    memcpy(content->data, "QFI\xfb\0\0\0\3", 8);
    content_send(writer, content, 0, MIB);
    g_assert_false(content_seal(writer, "qcow2", MIB, &out, &error));
    assert_error(&error, VIMG_ERROR_DAMAGED, "qemu-img cannot convert");
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ERROR);
    record = record_of(fixture, uuid);
    g_assert_nonnull(strstr(record->info.reason, "qemu-img cannot convert"));
    g_assert_null(record->info.uploaded_format);
    names = cluster_run("rbd ls " POOL);
    g_assert_null(strstr(names, ".raw"));
}

/* A crash behind the commit leaves what was uploaded: only the active image counts. */
static void
test_superseded(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(MIB, 13);
    g_autofree char *uuid = content_upload(fixture, "a", content);
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *names = NULL;
    g_autoptr(VimgCephRecord) record = record_of(fixture, uuid);
    g_autoptr(GError) error = NULL;
    rbd_image_t image;

    foreign_create(fixture, staged, MIB);
    g_clear_pointer(&record->digest, g_free);
    g_free(record->info.uploaded_format);
    record->info.uploaded_format = g_strdup("qcow2");
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &image, NULL), ==, 0);
    vimg_ceph_record_save(image, record, &error);
    g_assert_no_error(error);
    rbd_close(image);
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "a");
    /* also for who has never listed them */
    thread_must(pthread_mutex_lock(&fixture->store->lock));
    g_clear_pointer(&fixture->store->ids, g_hash_table_unref);
    thread_must(pthread_mutex_unlock(&fixture->store->lock));
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ACTIVE);
    assert_content(fixture, uuid, content, 0);
}

static const ImageTest tests[] = {
    {"/ceph/content/digest", .alone = test_digest},
    {"/ceph/content/round-trip", test_round_trip},
    {"/ceph/content/holes", test_holes},
    {"/ceph/content/resume", test_resume},
    {"/ceph/content/abort", test_abort},
    {"/ceph/content/refused", test_refused},
    {"/ceph/content/name-taken", test_name_taken},
    {"/ceph/content/clone", test_clone},
    {"/ceph/content/verify", test_verify},
    {"/ceph/content/convert", test_convert},
    {"/ceph/content/blame", .alone = test_blame},
    {"/ceph/content/no-image", test_no_image},
    {"/ceph/content/superseded", test_superseded},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
