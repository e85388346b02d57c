/*
 * test-cut-short.c: what was cut short at a bad moment, and goes on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "content-helper.h"

#define SIZE (9 * MIB)

/* ---- uploads ---------------------------------------------------------------------------- */

static void
finish(Fixture *fixture, const char *uuid, const VimgBuffer *content, guint64 from)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = writer_at(fixture, uuid, from);

    content_send(writer, content, from, content->size);
    content_seal(writer, "raw", content->size, &out, &error);
    g_assert_no_error(error);
}

static guint64
position_of(Fixture *fixture, const char *uuid)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_image_stat(fixture->store, uuid, &out, &error);
    g_assert_no_error(error);
    return out.position;
}

/* Whenever a client cancels: nothing is taken for stored that is not. */
static void
test_cancelled_upload(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = vimg_buffer_new(SIZE);
    VimgWriteRequest request = {.size = sizeof(request)};
    gboolean whole = FALSE;
    guint times;

    memset(content->data, 1, SIZE);
    for (times = 0; !whole; times++) {
        g_autofree char *name = g_strdup_printf("i%u", times);
        g_autofree char *uuid = image_create(fixture, name);
        VimgPluginJob *job = job_cancelled_after(times);
        g_autoptr(GError) error = NULL;
        VimgCephWriter *writer = vimg_ceph_writer_open(fixture->store, uuid, &request, job, &error);

        if (writer)
            whole = vimg_ceph_writer_write(writer, content->data, SIZE, &error);
        if (!whole)
            assert_error(&error, VIMG_ERROR_ABORTED, "cancelled");
        if (writer)
            vimg_ceph_writer_abort(writer);
        finish(fixture, uuid, content, position_of(fixture, uuid));
        assert_content(fixture, uuid, content, 0);
    }
    g_assert_cmpuint(times, >, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    image_helper_init();
    image_helper_add("/ceph/cut-short/upload", test_cancelled_upload);
    return g_test_run();
}
