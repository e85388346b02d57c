/*
 * test-model-export-fixture.c: an image that can be exported, and what is read of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-export-fixture.h"
#include "pool/export.h"
#include "util/error.h"

void
export_made_clear(ExportMade *made)
{
    vimg_export_info_free(made->info);
    g_free(made->url);
}

void
export_set_up(Fixture *fixture)
{
    define_and_start(fixture, "images");
    create_vol(fixture, "images", "a.raw", "raw", EXPORT_SIZE);
    upload_all(fixture, "images", "a.raw", EXPORT_SIZE, 'a');
    vimg_model_set_export_url(fixture->model, EXPORT_URL);
}

GByteArray *
export_read_all(Fixture *fixture, const ExportMade *made, gsize most)
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

GError *
export_read_error(Fixture *fixture, const ExportMade *made, guint64 offset, guint64 length)
{
    const VimgExportPart part = {.offset = offset, .length = length, .most = 4096};
    GError *error = NULL;
    VimgExtent extent;

    if (vimg_model_export_read(fixture->model, made->hash, &part, &extent, &error))
        vimg_buffer_unref(extent.data);
    return error;
}

const char *
export_state(Fixture *fixture, const ExportMade *made)
{
    static const char *const names[] = {"live", "away", "ended", "absent"};
    g_autoptr(VimgExportInfo) info = NULL;

    return names[vimg_model_export_find(fixture->model, made->hash, &info)];
}
