/*
 * collect.c: stores with very many slices, and the collector on them, for the benchmarks
 *
 * collect images DIR IMAGES SLICES   new images of so many random slices each, without the slices
 * collect live DIR IMAGES SLICES     the same with the slices
 * collect slices DIR SLICES          slices that nobody needs
 * collect mark DIR                   reads all indexes; prints slices, seconds and bytes of memory
 * collect account DIR                what images take; prints seconds and bytes of memory
 * collect clean DIR                  cleans up once; prints the report
 * collect clean-on DIR               cleans up until it is killed
 *
 * DIR is made a store if it is none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "account.h"
#include "collect.h"
#include "image.h"
#include "manifest.h"
#include "roots.h"
#include "slice.h"

#define SLICE_MIN 4096
#define SLICE_MAX 65536

static void
must(gboolean good, const GError *error)
{
    if (good)
        return;
    fprintf(stderr, "collect: %s\n", error ? error->message : g_strerror(errno));
    exit(1);
}

static VimgSliceStore *
open_store(const char *dir)
{
    g_autoptr(GError) error = NULL;
    VimgTransport *transport = vimg_transport_local_new(dir);
    VimgSliceStore *store;
    VimgPlace place;

    must(vimg_slice_store_survey(transport, &place, &error), error);
    if (place == VIMG_PLACE_EMPTY) {
        const VimgStoreParams params = {.slice_size = VIMG_SLICE_SIZE_DEFAULT};

        must(vimg_slice_store_make(transport, &params, &error), error);
    }
    store = vimg_slice_store_new(transport, &error);
    must(store != NULL, error);
    return store;
}

static guint64
number(const char *text)
{
    g_autoptr(GError) error = NULL;
    guint64 value = 0;

    must(g_ascii_string_to_unsigned(text, 10, 1, VIMG_INDEX_MAX_SLICES, &value, &error), error);
    return value;
}

/* Other ones in each process. */
static void
random_id(VimgSliceId *out)
{
    static GRand *chance;
    gsize i;

    if (!chance)
        chance = g_rand_new();
    for (i = 0; i < VIMG_ID_SIZE; i += sizeof(guint32)) {
        guint32 word = g_rand_int(chance);

        memcpy(out->bytes + i, &word, sizeof(word));
    }
}

/* ---- making ----------------------------------------------------------------------------- */

/* Space of its own, and nothing in it. */
static void
make_slice(VimgSliceStore *store, const char *root, const VimgSliceId *id)
{
    g_autofree char *dir = vimg_slice_dir(id);
    g_autofree char *place = vimg_slice_path(id);
    g_autofree char *path = g_build_filename(root, place, NULL);
    int fd;

    errno = vimg_transport_mkdir(store->transport, dir);
    must(errno == 0 || errno == EEXIST, NULL);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    must(fd >= 0, NULL);
    errno = posix_fallocate(fd, 0, g_random_int_range(SLICE_MIN, SLICE_MAX + 1));
    must(errno == 0, NULL);
    close(fd);
}

/* What a whole upload would leave; without @root but for the slices. */
static void
make_image(VimgSliceStore *store, const char *root, guint64 slices)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {.size = sizeof(image), .uuid = uuid, .name = uuid};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgStoredImage) stored = {0};
    g_autoptr(VimgIndex) index =
        vimg_index_new(&(VimgIndexSizes){1, store->slice_size, VIMG_ZERO_MAX});
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgLease) lease = vimg_lease_new(store, &error);
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    VimgManifest *manifest;

    must(lease && vimg_image_create(store, &image, &out, &error) &&
             vimg_image_load(store, uuid, &stored, &error),
         error);
    while (slices-- > 0) {
        VimgSliceId id;

        random_id(&id);
        must(vimg_index_append(index, store->slice_size, &id, &error), error);
        if (root)
            make_slice(store, root, &id);
    }
    content = vimg_index_encode(index);
    manifest = stored.manifest;
    manifest->sealed = TRUE;
    manifest->sealed_format = g_strdup("raw");
    manifest->sealed_capacity = manifest->sealed_length = vimg_index_length(index);
    manifest->index_size = content->size;
    manifest->index_digest = vimg_sha256_hex(content->data, content->size);
    must(vimg_manifest_write(manifest, lease, &error), error);
    errno = vimg_transport_create(store->transport, path, content->data, content->size, TRUE);
    must(errno == 0, NULL);
}

/* ---- measuring -------------------------------------------------------------------------- */

static gboolean
go_on(gpointer data, GError **error)
{
    return TRUE;
}

static guint64
peak_memory(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (guint64)usage.ru_maxrss * 1024;
}

static void
mark(VimgSliceStore *store)
{
    g_auto(VimgRoots) roots = {0};
    g_autoptr(GError) error = NULL;
    guint64 before = peak_memory();
    gint64 began = g_get_monotonic_time();

    vimg_roots_init(&roots, store, go_on, NULL);
    must(vimg_roots_read(&roots, &error), error);
    printf("%" G_GUINT64_FORMAT " %.6f %zu %" G_GUINT64_FORMAT "\n", roots.slices,
           (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC,
           vimg_slots_memory(roots.marks), peak_memory() - before);
}

static void
account(VimgSliceStore *store)
{
    g_autoptr(GError) error = NULL;
    guint64 before = peak_memory();
    gint64 began = g_get_monotonic_time();
    g_autofree char *report = vimg_account(store, NULL, &error);

    must(report != NULL, error);
    printf("%.6f %" G_GUINT64_FORMAT "\n",
           (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC, peak_memory() - before);
}

static void
clean(VimgSliceStore *store)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(store, FALSE, 0, NULL, &error);

    must(report != NULL, error);
    puts(report);
}

static gboolean
play(VimgSliceStore *store, const char *what, const char *dir, char **numbers, int n)
{
    gboolean live = strcmp(what, "live") == 0;
    VimgSliceId id;
    guint64 i;

    if ((live || strcmp(what, "images") == 0) && n == 2) {
        for (i = number(numbers[0]); i > 0; i--)
            make_image(store, live ? dir : NULL, number(numbers[1]));
    } else if (strcmp(what, "slices") == 0 && n == 1) {
        for (i = number(numbers[0]); i > 0; i--) {
            random_id(&id);
            make_slice(store, dir, &id);
        }
    } else if (strcmp(what, "mark") == 0 && n == 0) {
        mark(store);
    } else if (strcmp(what, "account") == 0 && n == 0) {
        account(store);
    } else if (strcmp(what, "clean") == 0 && n == 0) {
        clean(store);
    } else {
        return FALSE;
    }
    return TRUE;
}

int
main(int argc, char **argv)
{
    g_autoptr(VimgSliceStore) store = argc > 2 ? open_store(argv[2]) : NULL;

    if (store && strcmp(argv[1], "clean-on") == 0) {
        for (;;)
            clean(store);
    }
    if (store && play(store, argv[1], argv[2], argv + 3, argc - 3))
        return 0;
    fprintf(stderr,
            "usage: collect images|live|slices|mark|account|clean|clean-on DIR [NUMBER…]\n");
    return 2;
}
