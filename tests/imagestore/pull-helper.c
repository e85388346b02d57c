/*
 * pull-helper.c: two stores in memory, and an image of one that is pulled into the other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pull-helper.h"

VimgBuffer *pull_content;
VimgBuffer *pull_shared;

VimgSliceStore *
pull_open(MemoryDisk *disk, gboolean whole)
{
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, whole));

    store->keep_deleted = store->keep_temporary = 0;
    store->pause = 1;
    return store;
}

char *
pull_put(VimgSliceStore *store, const char *name, const VimgBuffer *bytes)
{
    g_autofree char *uuid = helper_create(store, name, bytes->size);
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, bytes, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&uuid);
}

World
world_new(gboolean whole)
{
    World world = {0};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(world.disks); i++) {
        world.disks[i] = memory_disk_new();
        vimg_slice_store_free(helper_store(memory_transport_new(world.disks[i], TRUE)));
    }
    world.source = pull_open(world.disks[0], whole);
    world.here = pull_open(world.disks[1], whole);
    world.from = pull_put(world.source, "a", pull_content);
    return world;
}

World
world_copy(const World *from, gboolean whole)
{
    World world = {.from = g_strdup(from->from), .uuid = g_strdup(from->uuid)};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(world.disks); i++)
        world.disks[i] = memory_disk_copy(from->disks[i]);
    world.source = pull_open(world.disks[0], whole);
    world.here = pull_open(world.disks[1], whole);
    return world;
}

void
world_clear(World *world)
{
    vimg_slice_store_free(world->source);
    vimg_slice_store_free(world->here);
    memory_disk_free(world->disks[0]);
    memory_disk_free(world->disks[1]);
    g_free(world->from);
    g_free(world->uuid);
}

gboolean
pull_make(World *world, GError **error)
{
    g_free(world->uuid);
    return helper_try_create(world->here, "a", &world->uuid, error);
}

gboolean
pull_job(World *world, guint64 bandwidth, VimgPluginJob *job, GError **error)
{
    const VimgPullRequest request = {.size = sizeof(request), .bandwidth = bandwidth};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    gboolean done = vimg_pull(world->here, world->uuid, world->source, world->from, &request, job,
                              &world->sent, &out, error);

    if (done)
        g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return done;
}

gboolean
pull_now(World *world, GError **error)
{
    return pull_job(world, 0, NULL, error);
}

void
pull_again(World *world)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    if (!world->uuid || !vimg_image_stat(world->here, world->uuid, &now, NULL))
        pull_make(world, &error);
    g_assert_no_error(error);
    if (now.state != VIMG_IMAGE_ACTIVE)
        pull_now(world, &error);
    g_assert_no_error(error);
    helper_assert_content(world->here, world->uuid, pull_content);
    helper_assert_content(world->source, world->from, pull_content);
}

VimgSliceId
pull_slice(const VimgBuffer *bytes, gsize i)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id;

    vimg_slice_hash(tools, bytes->data + i * PULL_SLICE, PULL_SLICE, &id);
    return id;
}

guint64
pull_frames(VimgSliceStore *store, gsize first, gsize last)
{
    guint64 sum = 0;
    gsize i;

    for (i = first; i <= last; i++) {
        VimgSliceId id = pull_slice(pull_content, i);
        g_autofree char *path = vimg_slice_path(&id);
        VimgFileInfo info;

        g_assert_cmpint(vimg_transport_stat(store->transport, path, &info), ==, 0);
        if (i % 3 != 2)
            sum += info.size;
    }
    return sum;
}

void
pull_init(void)
{
    pull_content = helper_content(1, PULL_SLICES * PULL_SLICE, 3);
    pull_shared = helper_content(1, PULL_SLICES * PULL_SLICE, 3);
    memset(pull_shared->data + 6 * PULL_SLICE, 'x', 3 * PULL_SLICE + 17);
    memset(pull_shared->data + 9 * PULL_SLICE + 17, 'y', 3 * PULL_SLICE - 17);
}

int
pull_run(void)
{
    int status = g_test_run();

    vimg_buffer_unref(pull_content);
    vimg_buffer_unref(pull_shared);
    return status;
}
