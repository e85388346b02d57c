/*
 * collect-helper.c: a store in memory, and collections of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect-helper.h"
#include "collect.h"
#include "trash.h"

void
collect_set_up(CollectFixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
    /* nothing expires but where a test says so */
    fixture->store->keep_deleted = G_MAXINT32;
    fixture->store->keep_temporary = G_MAXINT32;
}

void
collect_tear_down(CollectFixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
}

guint
collect_count_names(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    return vimg_transport_list(store->transport, dir, &names) == 0 ? names->len : 0;
}

JsonObject *
collect_run(VimgSliceStore *store, gboolean dry_run)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(store, dry_run, 0, NULL, &error);
    JsonObject *root;

    g_assert_no_error(error);
    root = vimg_json_parse((const guint8 *)report, strlen(report), &error);
    g_assert_no_error(error);
    return root;
}

gint64
collect_tally(JsonObject *report, const char *name)
{
    return json_object_get_int_member(vimg_json_object(report, name), "count");
}

char *
collect_upload(VimgSliceStore *store, const char *name, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    char *uuid = helper_create(store, name, content->size);

    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    return uuid;
}

void
collect_assert_whole(VimgSliceStore *store, const char *uuid, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);

    helper_assert_content(store, uuid, content);
}

void
collect_remove(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_image_remove(store, uuid, &error);
    g_assert_no_error(error);
}

VimgSliceWriter *
collect_begin_upload(VimgSliceStore *store, const char *uuid, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, 64 * KIB, FALSE, &error);
    g_assert_no_error(error);
    return writer;
}
