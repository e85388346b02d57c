/*
 * test-collect-races.c: what another host does at every moment of an operation
 *
 * One host does something, and before each of its accesses to the storage in turn another one does
 * something else as a whole.  Neither may fail for it, and afterwards two collections must leave
 * every image that somebody was told is there, byte for byte, and no slice beyond.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "collect.h"
#include "gc-lock.h"
#include "memory-transport.h"
#include "roots.h"
#include "slice.h"
#include "store-helper.h"
#include "trash.h"
#include "verify.h"

#define SLICES 5

static MemoryDisk *full; /* the store before each race */
static char *live;       /* active; shares slices with what goes */
static char *half;       /* an upload that was abandoned */
static char *gone;       /* in the trash */

/* Contents, by seed. */
enum {
    LIVE = 1,
    DEAD,
    HALF,
    GONE
};

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *stores[2];
    GPtrArray *kept; /* of char: "uuid seed" that must be whole at the end */
    gboolean met;
    const struct _Act *other;
} World;

typedef struct _Act {
    const char *name;
    gboolean (*run)(World *world, VimgSliceStore *store, GError **error);
    VimgErrorCode refused; /* what it may be told instead; 0: nothing */
    gboolean fenced;       /* or that its lease was taken away */
    guint every;           /* how many moments apart, what takes long; 0: each */
} Act;

/* ---- the world -------------------------------------------------------------------------- */

static VimgSliceStore *
reopen(MemoryDisk *disk)
{
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, TRUE));

    store->keep_deleted = 0;
    store->keep_temporary = 0;
    store->pause = 1; /* who is met stands still: waiting would not help */
    return store;
}

static VimgBuffer *
content_of(guint32 seed)
{
    return helper_content(seed, SLICES * 64 * KIB, seed == LIVE ? 3 : 0);
}

static gboolean
upload(VimgSliceStore *store, const char *uuid, guint32 seed, GError **error)
{
    g_autoptr(VimgBuffer) content = content_of(seed);

    return helper_upload(store, uuid, content, error);
}

/* Slices without an image, an image in the trash, and part of an upload. */
static void
fill(VimgSliceStore *store)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autofree char *dead = helper_create(store, "dead", 0);
    g_autoptr(VimgBuffer) part = helper_content(HALF, 3 * 64 * KIB, 0);
    VimgSliceWriter *writer;

    live = helper_create(store, "live", 0);
    half = helper_create(store, "half", SLICES * 64 * KIB);
    gone = helper_create(store, "gone", 0);
    g_assert_true(upload(store, gone, GONE, NULL));
    g_assert_true(vimg_image_remove(store, gone, NULL));
    g_assert_true(upload(store, live, LIVE, NULL));
    g_assert_true(upload(store, dead, DEAD, NULL));
    g_assert_true(vimg_image_remove(store, dead, NULL));
    g_assert_cmpint(vimg_image_remove_files(store, NULL, dead), ==, 0);
    writer = vimg_slice_writer_open(store, half, &request, NULL, NULL);
    g_assert_true(helper_feed(writer, part, 0, 64 * KIB, FALSE, NULL));
    g_assert_true(helper_finish(writer, FALSE, 0, NULL));
}

static void
keep(World *world, const char *uuid, guint32 seed)
{
    g_ptr_array_add(world->kept, g_strdup_printf("%s %u", uuid, seed));
}

/* ---- what hosts do ---------------------------------------------------------------------- */

static gboolean
act_collect(World *world, VimgSliceStore *store, GError **error)
{
    g_autofree char *report = vimg_collect(store, FALSE, 0, NULL, error);

    return report != NULL;
}

static gboolean
act_rest(World *world, VimgSliceStore *store, GError **error)
{
    vimg_collect_rest(store);
    return TRUE;
}

static gboolean
act_upload(World *world, VimgSliceStore *store, GError **error)
{
    g_autofree char *uuid = NULL;

    if (!helper_try_create(store, "new", &uuid, error) || !upload(store, uuid, DEAD, error))
        return FALSE;
    keep(world, uuid, DEAD);
    return TRUE;
}

/* Whether the image is one that a collector just takes away, which stands still in these tests. */
static gboolean
is_stopped(GError **local, GError **error)
{
    if (g_error_matches(*local, VIMG_ERROR, VIMG_ERROR_BUSY))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(local));
    return FALSE;
}

static gboolean
act_resume(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (upload(store, half, HALF, &local)) {
        keep(world, half, HALF);
        return TRUE;
    }
    return is_stopped(&local, error);
}

static gboolean
act_clone(World *world, VimgSliceStore *store, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup("clone");
    image.format = g_strdup("raw");
    if (!vimg_clone(store, live, &image, NULL, &out, error))
        return FALSE;
    keep(world, image.uuid, LIVE);
    return TRUE;
}

static gboolean
act_read(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(VimgBuffer) content = content_of(LIVE);
    g_autoptr(VimgBuffer) read = helper_download(store, live, 0, 0, error);

    if (!read)
        return FALSE;
    g_assert_cmpmem(read->data, read->size, content->data, content->size);
    return TRUE;
}

static gboolean
see(const VimgPluginImage *image, gpointer data)
{
    const char **missing = data;

    if (g_strcmp0(image->uuid, *missing) == 0)
        *missing = NULL;
    return TRUE;
}

/* An image that somebody else is at shows all the time. */
static gboolean
act_list(World *world, VimgSliceStore *store, GError **error)
{
    const char *missing = half;

    if (!vimg_image_list(store, see, &missing, error))
        return FALSE;
    g_assert_null(missing);
    return TRUE;
}

static gboolean
act_delete(World *world, VimgSliceStore *store, GError **error)
{
    return vimg_image_remove(store, live, error);
}

static gboolean
act_restore(World *world, VimgSliceStore *store, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) local = NULL;

    if (vimg_trash_restore(store, gone, "back", &out, &local)) {
        keep(world, gone, GONE);
        return TRUE;
    }
    return is_stopped(&local, error);
}

static gboolean
act_purge(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(GError) local = NULL;

    return vimg_trash_purge(store, gone, &local) || is_stopped(&local, error);
}

static gboolean
act_verify(World *world, VimgSliceStore *store, GError **error)
{
    g_autofree char *report = vimg_verify(store, NULL, NULL, error);

    if (report && !strstr(report, "\"damaged\" : []"))
        g_error("%s", report);
    return report != NULL;
}

/* What a collector does that finds the other one dead, which is only slow. */
static gboolean
act_take_over(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(GPtrArray) runs = NULL;
    guint i;

    vimg_transport_list(store->transport, "gc/lock", &runs);
    for (i = 0; runs && i < runs->len; i++) {
        const char *run = g_ptr_array_index(runs, i);
        g_autofree char *from = g_strconcat("gc/lock/", run, NULL);
        g_autofree char *to = g_strconcat("gc/old-x/", run, NULL);

        vimg_transport_mkdir(store->transport, "gc/old-x");
        vimg_transport_rename(store->transport, from, to);
        vimg_transport_rmdir(store->transport, "gc/lock");
    }
    return act_collect(world, store, error);
}

/* And by the options of whose pool uploads are kept for longer. */
static gboolean
act_take_over_and_resume(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(GError) local = NULL;

    store->keep_temporary = G_MAXINT32;
    return act_take_over(world, store, error) &&
           (act_resume(world, store, &local) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL));
}

/* Takes away what all others hold. */
static gboolean
act_fence(World *world, VimgSliceStore *store, GError **error)
{
    g_autoptr(GPtrArray) leases = NULL;
    guint i;

    vimg_transport_list(store->transport, "pending", &leases);
    for (i = 0; leases && i < leases->len; i++) {
        const char *lease = g_ptr_array_index(leases, i);
        g_autofree char *from = g_strconcat("pending/", lease, NULL);
        g_autofree char *to = g_strconcat("gc/fenced-", lease, NULL);

        vimg_transport_rename(store->transport, from, to);
    }
    return act_collect(world, store, error);
}

static const Act collectors[] = {
    {"collect", act_collect, VIMG_ERROR_BUSY},
    {"rest", act_rest, 0},
};

static const Act clients[] = {
    {"upload", act_upload, 0},
    {"resume", act_resume, VIMG_ERROR_NO_VOL},
    {"clone", act_clone, 0},
    {"read", act_read, 0},
    {"delete", act_delete, 0},
    {"restore", act_restore, VIMG_ERROR_NO_VOL},
    {"purge", act_purge, VIMG_ERROR_NO_VOL},
    {"verify", act_verify, 0, FALSE, 11},
};

static const Act rivals[] = {
    {"take-over", act_take_over, 0},
    {"take-over-and-resume", act_take_over_and_resume, 0},
};

/* ---- races ------------------------------------------------------------------------------ */

static void
run_act(World *world, guint host, const Act *act)
{
    g_autoptr(GError) error = NULL;

    if (act->run(world, world->stores[host], &error) ||
        (act->refused && g_error_matches(error, VIMG_ERROR, (gint)act->refused)) ||
        (act->fenced && strstr(error->message, "lease of this job was taken away")))
        return;
    g_error("%s was told: %s", act->name, error->message);
}

static void
meet(gpointer data)
{
    World *world = data;

    world->met = TRUE;
    run_act(world, 1, world->other);
}

static guint
count(VimgSliceStore *store, const char *dir, guint depth)
{
    g_autoptr(GPtrArray) names = NULL;
    guint n = 0;
    guint i;

    if (vimg_transport_list(store->transport, dir, &names) != 0)
        return 0;
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = g_strconcat(dir, "/", g_ptr_array_index(names, i), NULL);

        n += depth > 1 ? count(store, path, depth - 1) : 1;
    }
    return n;
}

static gboolean
go_on(gpointer data, GError **error)
{
    return TRUE;
}

static void
verify(World *world)
{
    VimgSliceStore *store = reopen(world->disk);
    VimgRoots roots;
    guint i;

    for (i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;

        act_collect(world, store, &error);
        g_assert_no_error(error);
    }
    for (i = 0; i < world->kept->len; i++) {
        g_auto(GStrv) words = g_strsplit(g_ptr_array_index(world->kept, i), " ", 2);
        g_autoptr(VimgBuffer) content = content_of((guint32)atoi(words[1]));

        helper_assert_content(store, words[0], content);
    }
    vimg_roots_init(&roots, store, go_on, NULL);
    g_assert_true(vimg_roots_read(&roots, NULL));
    g_assert_cmpuint(vimg_slots_count(roots.marks), ==, count(store, VIMG_SLICES_DIR, 2));
    vimg_roots_clear(&roots);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    g_assert_cmpuint(count(store, "pending", 1), ==, 0);
    g_assert_cmpuint(count(store, "names", 2), ==, count(store, "images", 1));
    vimg_slice_store_free(store);
}

/* FALSE: @one has fewer than @at accesses. */
static gboolean
race(const Act *one, const Act *other, guint at)
{
    World world = {.disk = memory_disk_copy(full), .other = other};

    world.stores[0] = reopen(world.disk);
    world.stores[1] = reopen(world.disk);
    world.kept = g_ptr_array_new_with_free_func(g_free);
    if (one->run != act_delete && other->run != act_delete)
        keep(&world, live, LIVE);
    g_test_message("%s, at %u %s", one->name, at, other->name);
    memory_transport_meet(world.stores[0]->transport, at, meet, &world);
    run_act(&world, 0, one);
    vimg_slice_store_free(world.stores[0]);
    vimg_slice_store_free(world.stores[1]);
    verify(&world);
    g_ptr_array_unref(world.kept);
    memory_disk_free(world.disk);
    return world.met;
}

static void
race_all(const Act *ones, gsize n_ones, const Act *others, gsize n_others)
{
    gsize i;
    gsize j;

    for (i = 0; i < n_ones; i++) {
        for (j = 0; j < n_others; j++) {
            guint at = 1;

            while (race(&ones[i], &others[j], at))
                at += helper_stride() * MAX(1, MAX(ones[i].every, others[j].every));
            g_assert_cmpuint(at, >, 1);
        }
    }
}

#define RACE(ONES, OTHERS) race_all(ONES, G_N_ELEMENTS(ONES), OTHERS, G_N_ELEMENTS(OTHERS))

/* Whatever clients do while a collection is anywhere. */
static void
test_clients(void)
{
    RACE(collectors, clients);
}

/* A whole collection anywhere in what clients do. */
static void
test_collections(void)
{
    RACE(clients, collectors);
}

/* What others change while images are listed. */
static void
test_lists(void)
{
    static const Act lists[] = {{"list", act_list, 0, FALSE, 0}};

    RACE(lists, clients);
}

/* A collector that stalls anywhere, is taken for dead, and goes on. */
static void
test_stalled(void)
{
    static const Act stalled[] = {{"stalled", act_collect, VIMG_ERROR_FAILED}};

    RACE(stalled, rivals);
}

/* Clients that stall anywhere and are taken for dead: they fail, or had done it before. */
static void
test_fenced(void)
{
    static const Act fence[] = {{"fence", act_fence, 0}};
    Act fenced[G_N_ELEMENTS(clients)];
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(clients); i++) {
        fenced[i] = clients[i];
        fenced[i].fenced = TRUE;
    }
    RACE(fenced, fence);
}

int
main(int argc, char **argv)
{
    VimgSliceStore *store;
    int result;

    g_test_init(&argc, &argv, NULL);
    full = memory_disk_new();
    store = helper_store(memory_transport_new(full, TRUE));
    fill(store);
    vimg_slice_store_free(store);
    g_test_add_func("/imagestore/collect-races/clients", test_clients);
    g_test_add_func("/imagestore/collect-races/collections", test_collections);
    g_test_add_func("/imagestore/collect-races/lists", test_lists);
    g_test_add_func("/imagestore/collect-races/stalled", test_stalled);
    g_test_add_func("/imagestore/collect-races/fenced", test_fenced);
    result = g_test_run();
    g_free(live);
    g_free(half);
    g_free(gone);
    memory_disk_free(full);
    return result;
}
