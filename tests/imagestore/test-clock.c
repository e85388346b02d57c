/*
 * test-clock.c: storages whose clock is not ours, or has whole seconds only
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "clock.h"
#include "coarse-transport.h"
#include "collect.h"
#include "json.h"
#include "memory-transport.h"
#include "roots.h"
#include "store-helper.h"

#define DAY ((gint64)86400)

static VimgSliceStore *
skewed_store(const HelperHome *home, gint64 skew)
{
    return helper_store(coarse_transport_new(vimg_transport_local_new(home->dir), skew));
}

static const gint64 skews[] = {-10 * DAY, 0, 10 * DAY};

static void
test_now(HelperHome *home, gconstpointer data)
{
    gint64 skew = *(const gint64 *)data;
    g_autoptr(VimgSliceStore) store = skewed_store(home, skew);
    gint64 ours = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(GPtrArray) leases = NULL;
    g_autoptr(GError) error = NULL;
    gint64 found;

    g_assert_true(vimg_clock_now(store, &found, &error));
    g_assert_cmpint(found, >=, ours + skew - 1);
    g_assert_cmpint(found, <=, g_get_real_time() / G_USEC_PER_SEC + skew);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &leases), ==, 0);
    g_assert_cmpuint(leases->len, ==, 0);
}

/* By our clock what another host writes just now might seem old. */
static void
test_unknown(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    g_autoptr(GError) error = NULL;
    gint64 found;

    memory_disk_set_fault(disk, &(Fault){.kind = FAULT_ERROR, .at = 1, .result = ENOTCONN});
    g_assert_false(vimg_clock_now(store, &found, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

static gint64
expired(VimgSliceStore *store, gboolean dry_run)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_collect(store, dry_run, 0, NULL, &error);
    g_autoptr(JsonObject) report = NULL;

    g_assert_no_error(error);
    report = vimg_json_parse((const guint8 *)text, strlen(text), &error);
    g_assert_no_error(error);
    return json_object_get_int_member(json_object_get_object_member(report, "expired"), "count");
}

/* The trash is kept as long as it says, be the storage in the past or the future. */
static void
test_trash(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = skewed_store(home, *(const gint64 *)data);
    g_autoptr(VimgBuffer) content = helper_content(1, 64 * KIB, 0);
    g_autofree char *uuid = helper_create(store, "a", content->size);
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_image_remove(store, uuid, &error));
    store->keep_deleted = (guint64)DAY;
    g_assert_cmpint(expired(store, TRUE), ==, 0);
    g_assert_cmpint(expired(store, FALSE), ==, 0);
    store->keep_deleted = 0;
    g_assert_cmpint(expired(store, TRUE), ==, 1);
    g_assert_cmpint(expired(store, FALSE), ==, 1);
}

/* Leaves an unfinished image with one slice. */
static void
begin_image(VimgSliceStore *store, const char *uuid, guint32 seed)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(VimgBuffer) content = helper_content(seed, 2 * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, 64 * KIB, FALSE, &error);
    g_assert_no_error(error);
    vimg_slice_writer_abort(writer);
}

static gboolean
go_on(gpointer data, GError **error)
{
    return TRUE;
}

/* An unfinished image that was begun anew is read again, though nothing but its content differs. */
static void
test_partial(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = skewed_store(home, 0);
    g_autofree char *uuid = helper_create(store, "a", 2 * 64 * KIB);
    g_auto(VimgRoots) roots = {0};
    g_autoptr(GError) error = NULL;
    guint round;

    /* one of them at least is over within a second */
    for (round = 0; round < 3; round++) {
        vimg_roots_init(&roots, store, go_on, NULL);
        begin_image(store, uuid, 1);
        g_assert_true(vimg_roots_read(&roots, &error));
        g_assert_cmpuint(roots.indexes, ==, 1);
        g_assert_true(vimg_roots_read(&roots, &error));
        g_assert_cmpuint(roots.indexes, ==, 1);
        g_assert_true(vimg_image_wipe(store, uuid, &error));
        begin_image(store, uuid, 2);
        g_assert_true(vimg_roots_read(&roots, &error));
        g_assert_cmpuint(roots.indexes, ==, 2);
        g_assert_true(vimg_image_wipe(store, uuid, &error));
        vimg_roots_clear(&roots);
    }
}

static void
set_time(const char *path, const struct stat *as)
{
    struct timespec times[2] = {as->st_mtim, as->st_mtim};

    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

/* An index that was written a moment ago may be another one of the same time. */
static void
test_moment(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = skewed_store(home, 0);
    g_autoptr(VimgBuffer) content = helper_content(1, 64 * KIB, 0);
    g_autofree char *uuid = helper_create(store, "a", content->size);
    g_autofree char *name = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autofree char *path = g_build_filename(home->dir, name, NULL);
    g_auto(VimgRoots) roots = {0};
    g_autoptr(VimgBuffer) index = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;

    g_assert_true(helper_upload(store, uuid, content, &error));
    index = helper_index(store, uuid);
    g_assert_cmpint(stat(path, &st), ==, 0);
    vimg_roots_init(&roots, store, go_on, NULL);
    roots.now = st.st_mtim.tv_sec + 2;
    g_assert_true(vimg_roots_read(&roots, &error));
    index->data[index->size - 60] ^= 1;
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_assert_cmpint(vimg_transport_overwrite(store->transport, name, index->data, index->size), ==,
                    0);
    set_time(path, &st);
    g_assert_true(vimg_roots_read(&roots, &error));
    g_assert_cmpuint(roots.indexes, ==, 1);
    roots.now--;
    g_assert_false(vimg_roots_read(&roots, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(skews); i++) {
        g_autofree char *now =
            g_strdup_printf("/imagestore/clock/now/%" G_GINT64_FORMAT, skews[i] / DAY);
        g_autofree char *trash =
            g_strdup_printf("/imagestore/clock/trash/%" G_GINT64_FORMAT, skews[i] / DAY);

        helper_add(now, test_now, &skews[i]);
        helper_add(trash, test_trash, &skews[i]);
    }
    helper_add("/imagestore/clock/partial", test_partial, NULL);
    helper_add("/imagestore/clock/moment", test_moment, NULL);
    helper_add("/imagestore/clock/unknown", test_unknown, NULL);
    return g_test_run();
}
