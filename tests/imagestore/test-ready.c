/*
 * test-ready.c: the lease of a create, kept for the upload that follows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect.h"
#include "lease.h"
#include "memory-transport.h"
#include "sign.h"
#include "slow-transport.h"
#include "store-helper.h"

#define SLICE (64 * KIB)
#define LONG (600 * G_USEC_PER_SEC)
#define PATIENCE (60 * G_USEC_PER_SEC)

/* A disk, a host far away from it whose creates keep their leases for long, and another one. */
typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
    VimgSliceStore *other;
    VimgBuffer *content;
    char *uuid; /* of an image made by the first host */
} Place;

static void
set_up(Place *place, gconstpointer data)
{
    place->disk = memory_disk_new();
    place->store = helper_store(slow_transport_new(memory_transport_new(place->disk, FALSE), 1000));
    place->store->ready = LONG;
    place->other = helper_reopen(memory_transport_new(place->disk, FALSE));
    place->content = helper_content(7, 3 * SLICE, 0);
    place->uuid = helper_create_format(place->store, "a", "raw");
}

static void
tear_down(Place *place, gconstpointer data)
{
    vimg_slice_store_free(place->store);
    vimg_slice_store_free(place->other);
    memory_disk_free(place->disk);
    vimg_buffer_unref(place->content);
    g_free(place->uuid);
}

static guint
count_leases(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &names), ==, 0);
    return names->len;
}

/* Until no lease is left, which somebody else has to end. */
static void
await_none(VimgSliceStore *store)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    while (count_leases(store) > 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(1000);
    }
}

/* ---- who has it in the end -------------------------------------------------------------- */

static void
test_taken(Place *place, gconstpointer data)
{
    VimgTransport *far = place->store->transport;
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(count_leases(place->other), ==, 1);
    slow_transport_reset(far);
    helper_upload(place->store, place->uuid, place->content, &error);
    g_assert_no_error(error);
    /* no more than the directories of slices */
    g_assert_cmpuint(slow_transport_ops(far, VIMG_OP_MKDIR), <=, 3);
    g_assert_cmpuint(count_leases(place->other), ==, 0);
    helper_assert_content(place->other, place->uuid, place->content);
}

/* Of another image it is not. */
static void
test_others(Place *place, gconstpointer data)
{
    g_autofree char *second = helper_create_format(place->store, "b", "raw");
    g_autoptr(GError) error = NULL;

    /* the last one is kept */
    g_assert_cmpuint(count_leases(place->other), ==, 1);
    helper_upload(place->store, place->uuid, place->content, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_leases(place->other), ==, 1);
    helper_upload(place->store, second, place->content, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_leases(place->other), ==, 0);
}

static void
test_in_time(Place *place, gconstpointer data)
{
    g_autofree char *second = NULL;
    g_autoptr(GError) error = NULL;

    place->store->ready = 1;
    second = helper_create_format(place->store, "b", "raw");
    await_none(place->other);
    helper_upload(place->store, second, place->content, &error);
    g_assert_no_error(error);
    helper_assert_content(place->other, second, place->content);
}

/* Nobody waits for the end of what is gone. */
static void
test_removed(Place *place, gconstpointer data)
{
    g_assert_true(vimg_image_remove(place->store, place->uuid, NULL));
    g_assert_cmpuint(count_leases(place->other), ==, 0);
}

static void
test_at_close(Place *place, gconstpointer data)
{
    g_clear_pointer(&place->store, vimg_slice_store_free);
    g_assert_cmpuint(count_leases(place->other), ==, 0);
}

/* Nothing is there to be waited for. */
static void
test_collected(Place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(place->store, FALSE, 0, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(report);
    g_assert_cmpuint(count_leases(place->other), ==, 0);
    helper_upload(place->store, place->uuid, place->content, &error);
    g_assert_no_error(error);
}

/* ---- what happens meanwhile ------------------------------------------------------------- */

static void
describe(Place *place)
{
    g_auto(VimgPluginImage) change = VIMG_PLUGIN_IMAGE_INIT;

    change.uuid = g_strdup(place->uuid);
    change.description = g_strdup("other");
    g_assert_true(vimg_image_set_metadata(place->other, &change, NULL));
}

static void
resize(Place *place)
{
    g_assert_true(vimg_image_resize(place->other, place->uuid, 5 * SLICE, NULL));
}

static void
upload_part(Place *place)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(VimgBuffer) part = helper_content(7, SLICE, 0);
    VimgSliceWriter *writer =
        vimg_slice_writer_open(place->other, place->uuid, &request, NULL, NULL);

    g_assert_true(helper_feed(writer, part, 0, SLICE, FALSE, NULL));
    g_assert_true(helper_finish(writer, FALSE, 0, NULL));
}

static void
upload_all(Place *place)
{
    g_assert_true(helper_upload(place->other, place->uuid, place->content, NULL));
}

static void
discard(Place *place)
{
    g_assert_true(vimg_image_remove(place->other, place->uuid, NULL));
}

static void
spoil(Place *place)
{
    g_assert_true(vimg_image_set_error(place->other, place->uuid, "spoiled", NULL));
}

static void
fence(Place *place)
{
    helper_fence_all(place->other);
}

/* What another host does between the create and the upload; 0: that goes on all the same. */
static const struct {
    const char *name;
    void (*meanwhile)(Place *place);
    int code;
    guint leaves; /* slices stored by the other host */
} meetings[] = {
    {"described", describe, 0, 0},
    {"resized", resize, 0, 0},
    {"continued", upload_part, VIMG_ERROR_BUSY, 1},
    {"completed", upload_all, VIMG_ERROR_OPERATION_INVALID, 3},
    {"removed", discard, VIMG_ERROR_NO_VOL, 0},
    {"spoiled", spoil, VIMG_ERROR_OPERATION_INVALID, 0},
    {"fenced", fence, VIMG_ERROR_FAILED, 0},
};

/* Whatever fails leaves no slice outside of the lease. */
static void
assert_refused(Place *place, int code, guint slices)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(helper_upload(place->store, place->uuid, place->content, &error));
    g_assert_error(error, VIMG_ERROR, code);
    g_assert_cmpuint(helper_count_slices(place->other), ==, slices);
    await_none(place->other);
}

static void
test_meanwhile(Place *place, gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    guint before = helper_count_slices(place->other);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    meetings[i].meanwhile(place);
    if (meetings[i].code != 0)
        return assert_refused(place, meetings[i].code, before + meetings[i].leaves);
    helper_upload(place->store, place->uuid, place->content, &error);
    g_assert_no_error(error);
    helper_assert_content(place->other, place->uuid, place->content);
    g_assert_true(vimg_image_stat(place->other, place->uuid, &out, NULL));
    g_assert_true(meetings[i].meanwhile != describe || g_str_equal(out.description, "other"));
}

/* Another host writes just now, and goes on when we gave up. */
static void
test_written(Place *place, gconstpointer data)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    guint before = helper_count_slices(place->other);
    VimgSliceWriter *writer =
        vimg_slice_writer_open(place->other, place->uuid, &request, NULL, NULL);
    g_autoptr(GError) error = NULL;

    place->store->pause = 1;
    g_assert_false(helper_upload(place->store, place->uuid, place->content, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_cmpuint(helper_count_slices(place->other), ==, before);
    g_clear_error(&error);
    g_assert_true(helper_feed(writer, place->content, 0, SLICE, FALSE, &error));
    helper_finish(writer, TRUE, place->content->size, &error);
    g_assert_no_error(error);
    helper_assert_content(place->store, place->uuid, place->content);
}

/* An upload that was refused goes on by the next one, which is told what there is. */
static void
test_again(Place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    upload_part(place);
    g_assert_false(helper_upload(place->store, place->uuid, place->content, &error));
    g_clear_error(&error);
    helper_upload(place->store, place->uuid, place->content, &error);
    g_assert_no_error(error);
    helper_assert_content(place->other, place->uuid, place->content);
}

static void
add(const char *name, guint data, void (*test)(Place *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/imagestore/ready/", name, NULL);

    g_test_add(path, Place, GUINT_TO_POINTER(data), set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    guint i;

    g_test_init(&argc, &argv, NULL);
    add("taken", 0, test_taken);
    add("others", 0, test_others);
    add("in-time", 0, test_in_time);
    add("gone", 0, test_removed);
    add("at-close", 0, test_at_close);
    add("collected", 0, test_collected);
    for (i = 0; i < G_N_ELEMENTS(meetings); i++)
        add(meetings[i].name, i, test_meanwhile);
    add("written", 0, test_written);
    add("again", 0, test_again);
    return g_test_run();
}
