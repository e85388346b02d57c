/*
 * test-loss.c: uploads and downloads in a cluster that stalls or goes away
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "content-helper.h"
#include "throw.h"

#define SIZE (400 * MIB)

/* From then on no OSD gets anything of what clients want, though all are well. */
static void
pause_osd(void)
{
    g_free(cluster_run("ceph osd pause"));
}

static void
wake_osd(void)
{
    g_free(cluster_run("ceph osd unpause"));
}

static VimgBuffer *
random_block(void)
{
    VimgBuffer *block = vimg_buffer_new(MIB);
    gsize i;

    for (i = 0; i < block->size; i++)
        block->data[i] = (guint8)(i * 2654435761u >> 13) | 1;
    return block;
}

/* As long as the upload takes it. */
static guint64
send_until_refused(VimgCephWriter *writer, guint64 most, GError **error)
{
    g_autoptr(VimgBuffer) block = random_block();
    guint64 sent = 0;

    while (sent < most && vimg_ceph_writer_write(writer, block, 0, block->size, error))
        sent += block->size;
    return sent;
}

/* What was open when the OSD stalled is closed behind our back. */
static VimgCephWriter *
writer_when_free(Fixture *fixture, const char *uuid, guint64 offset)
{
    VimgWriteRequest request = {.size = sizeof(request), .offset = offset};

    for (;;) {
        g_autoptr(GError) error = NULL;
        VimgCephWriter *writer =
            vimg_ceph_writer_open(fixture->store, uuid, &request, NULL, &error);

        if (writer)
            return writer;
        if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY))
            g_error("%s", error->message);
        g_usleep(G_USEC_PER_SEC / 5);
    }
}

/* ---- a stalled OSD ---------------------------------------------------------------------- */

static void
test_upload_stalls(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a");
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    guint64 position;

    g_assert_cmpuint(send_until_refused(writer, SIZE, &error), ==, SIZE);
    pause_osd();
    g_assert_cmpuint(send_until_refused(writer, SIZE, &error), <, SIZE);
    assert_error(&error, VIMG_ERROR_DISCONNECTED, NULL);
    vimg_ceph_writer_abort(writer);
    wake_osd();
    vimg_ceph_image_stat(fixture->store, uuid, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_SAVING);
    /* noted before it stalled */
    position = out.position;
    g_assert_cmpuint(position, >=, 200 * MIB);
    vimg_ceph_writer_abort(writer_when_free(fixture, uuid, position));
}

static void
test_download_stalls(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(100 * MIB, 1);
    g_autofree char *uuid = content_upload(fixture, "a", content);
    g_autoptr(GError) error = NULL;
    VimgCephReader *reader = vimg_ceph_reader_open(fixture->store, uuid, 0, 0, NULL, &error);
    VimgExtent extent = {0};

    g_assert_no_error(error);
    pause_osd();
    while (vimg_ceph_reader_next(reader, &extent, &error) && extent.length > 0)
        g_clear_pointer(&extent.data, vimg_buffer_unref);
    assert_error(&error, VIMG_ERROR_DISCONNECTED, NULL);
    vimg_ceph_reader_close(reader);
    wake_osd();
    assert_content(fixture, uuid, content, 0);
}

static const ImageTest tests[] = {
    {"/ceph/loss/upload-stalls", test_upload_stalls},
    {"/ceph/loss/download-stalls", test_download_stalls},
};

int
main(int argc, char **argv)
{
    vimg_cluster_osd_seconds = 4;
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
