/*
 * trash-helper.c: an image in the trash of a store in memory, and two hosts that see it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "trash-helper.h"

VimgBuffer *trash_content;

VimgSliceStore *
trash_connect(MemoryDisk *disk)
{
    return helper_reopen(memory_transport_new(disk, TRUE));
}

void
trash_delete(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_image_remove(store, uuid, &error);
    g_assert_no_error(error);
}

static void
set_up(TrashFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
    fixture->other = trash_connect(fixture->disk);
    fixture->uuid = helper_create(fixture->store, "a", 0);
    helper_upload(fixture->store, fixture->uuid, trash_content, &error);
    g_assert_no_error(error);
    trash_delete(fixture->store, fixture->uuid);
}

static void
tear_down(TrashFixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    vimg_slice_store_free(fixture->other);
    memory_disk_free(fixture->disk);
    g_free(fixture->uuid);
}

gboolean
trash_restore(VimgSliceStore *store, const char *uuid, const char *name, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    if (!vimg_trash_restore(store, uuid, name, &out, error))
        return FALSE;
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return TRUE;
}

static gboolean
take_first(const VimgPluginImage *image, gpointer data)
{
    VimgPluginImage *out = data;

    out->uuid = g_strdup(image->uuid);
    out->name = g_strdup(image->name);
    out->reason = g_strdup(image->reason);
    out->state = image->state;
    out->deleted = image->deleted;
    return FALSE;
}

gboolean
trash_first(VimgSliceStore *store, gboolean trash, VimgPluginImage *out)
{
    g_autoptr(GError) error = NULL;

    if (trash)
        vimg_trash_list(store, take_first, out, &error);
    else
        vimg_image_list(store, take_first, out, &error);
    g_assert_no_error(error);
    return out->uuid != NULL;
}

gboolean
trash_is_listed(VimgSliceStore *store, gboolean trash)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    return trash_first(store, trash, &image);
}

void
trash_assert_free(VimgSliceStore *store, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;

    helper_try_create(store, name, &uuid, &error);
    g_assert_no_error(error);
    trash_delete(store, uuid);
}

guint
trash_count(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, dir, &names), ==, 0);
    return names->len;
}

void
trash_add(const char *path, gconstpointer data,
          void (*test)(TrashFixture *fixture, gconstpointer data))
{
    g_test_add(path, TrashFixture, data, set_up, test, tear_down);
}

void
trash_init(void)
{
    trash_content = helper_content(1, 9 * 65536 + 17, 4);
}

int
trash_run(void)
{
    int status = g_test_run();

    vimg_buffer_unref(trash_content);
    return status;
}
