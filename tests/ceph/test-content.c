/*
 * test-content.c: content into images and out of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "content-helper.h"
#include "digest.h"
#include "throw.h"
#include "zero.h"

#define SIZE (37 * MIB + 12345)

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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    image_helper_init();
    g_test_add_func("/ceph/content/digest", test_digest);
    image_helper_add("/ceph/content/round-trip", test_round_trip);
    image_helper_add("/ceph/content/convert", test_convert);
    return g_test_run();
}
