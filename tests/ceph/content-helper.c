/*
 * content-helper.c: content that is uploaded and looked for again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "content-helper.h"
#include "zero.h"

VimgBuffer *
content_new(gsize size, guint32 seed)
{
    static const gsize lengths[] = {1,       511,     4096,    65536,         100000,
                                    1 << 20, 3 << 20, 4 << 20, (4 << 20) + 1, 9 << 20};
    VimgBuffer *content = vimg_buffer_new(size);
    GRand *rand = g_rand_new_with_seed(seed);
    gsize at = 0;

    while (at < size) {
        gsize n = lengths[g_rand_int_range(rand, 0, G_N_ELEMENTS(lengths))];
        gboolean zeros = g_rand_boolean(rand);
        gsize i;

        n = MIN(n, size - at);
        for (i = 0; i < n; i++)
            content->data[at + i] = zeros ? 0 : (guint8)g_rand_int(rand);
        at += n;
    }
    g_rand_free(rand);
    return content;
}

VimgCephWriter *
writer_at(Fixture *fixture, const char *uuid, guint64 offset)
{
    VimgWriteRequest request = {.size = sizeof(request), .offset = offset};
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = vimg_ceph_writer_open(fixture->store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    return writer;
}

void
content_send(VimgCephWriter *writer, const VimgBuffer *content, gsize from, gsize to)
{
    static const gsize packets[] = {262120, 65536, 1, 1000003};
    g_autoptr(GError) error = NULL;
    guint i = 0;

    while (from < to) {
        gsize packet = packets[i++ % G_N_ELEMENTS(packets)];
        gsize n = MIN(packet, to - from);
        const guint8 *data = content->data + from;

        vimg_ceph_writer_write(writer, is_zero(data, n) && i % 2 ? NULL : data, n, &error);
        g_assert_no_error(error);
        from += n;
    }
}

gboolean
content_seal(VimgCephWriter *writer, const char *format, guint64 capacity, VimgPluginImage *out,
             GError **error)
{
    VimgPluginImage image = {.size = sizeof(image), .format = (char *)format, .capacity = capacity};

    if (!vimg_ceph_writer_finish(writer, TRUE, &image, out, error))
        return FALSE;
    g_assert_cmpint(out->state, ==, VIMG_IMAGE_ACTIVE);
    return TRUE;
}

char *
content_upload(Fixture *fixture, const char *name, const VimgBuffer *content)
{
    g_autofree char *uuid = image_create(fixture, name);
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    content_send(writer, content, 0, content->size);
    content_seal(writer, "raw", content->size, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpuint(out.physical, ==, content->size);
    return g_steal_pointer(&uuid);
}

void
assert_content(Fixture *fixture, const char *uuid, const VimgBuffer *content, guint64 offset)
{
    g_autoptr(GError) error = NULL;
    VimgCephReader *reader = vimg_ceph_reader_open(fixture->store, uuid, offset, 0, NULL, &error);
    VimgExtent extent;

    g_assert_no_error(error);
    while (vimg_ceph_reader_next(reader, &extent, &error) && extent.length > 0) {
        g_autoptr(VimgBuffer) data = extent.data;

        g_assert_cmpuint(extent.length, <=, content->size - offset);
        if (data)
            g_assert_true(
                memcmp(data->data + extent.offset, content->data + offset, extent.length) == 0);
        else
            g_assert_true(is_zero(content->data + offset, extent.length));
        offset += extent.length;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(offset, ==, content->size);
    vimg_ceph_reader_close(reader);
}

void
assert_exported(const char *name, const VimgBuffer *content)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "image", NULL);
    g_autofree char *command =
        g_strdup_printf("rbd export --no-progress -p " POOL " --image '%s' %s", name, path);
    g_autofree char *bytes = NULL;
    gsize size = 0;

    g_free(cluster_run(command));
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpuint(size, ==, content->size);
    g_assert_true(memcmp(bytes, content->data, size) == 0);
    g_unlink(path);
    g_rmdir(dir);
}
