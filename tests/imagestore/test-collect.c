/*
 * test-collect.c: what a collection frees, and what it keeps
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "collect-helper.h"
#include "collect.h"
#include "pass-transport.h"
#include "slice.h"
#include "spare.h"
#include "trash.h"

static char *
abandon(VimgSliceStore *store, const char *name, guint32 seed, gsize slices)
{
    g_autoptr(GError) error = NULL;
    char *uuid = helper_create(store, name, slices * 64 * KIB);

    helper_finish(collect_begin_upload(store, uuid, seed, slices), FALSE, 0, &error);
    g_assert_no_error(error);
    return uuid;
}

static void
test_trash(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = collect_upload(store, "a", 1, 5);
    g_autofree char *b = collect_upload(store, "b", 2, 4);
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) dry = NULL;
    g_autoptr(JsonObject) second = NULL;

    collect_remove(store, a);
    first = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(first, "slices"), ==, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 9);

    store->keep_deleted = 0;
    dry = collect_run(store, TRUE);
    g_assert_cmpint(collect_tally(dry, "slices"), ==, 5);
    g_assert_cmpint(collect_tally(dry, "expired"), ==, 1);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 9);

    second = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(second, "slices"), ==, 5);
    g_assert_cmpint(collect_tally(second, "expired"), ==, 1);
    g_assert_cmpint(json_object_get_int_member(second, "freed"), ==,
                    json_object_get_int_member(dry, "freed"));
    g_assert_cmpint(json_object_get_int_member(second, "freed"), >, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 4);
    g_assert_cmpuint(collect_count_names(store, "images"), ==, 1);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    collect_assert_whole(store, b, 2, 4);
}

static void
test_shared(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = collect_upload(store, "a", 1, 5);
    g_autofree char *b = collect_upload(store, "b", 1, 3);
    g_autoptr(JsonObject) report = NULL;

    collect_remove(store, a);
    store->keep_deleted = 0;
    report = collect_run(store, FALSE);
    /* helper_content() gives the same beginning for the same seed */
    g_assert_cmpint(collect_tally(report, "slices"), ==, 2);
    collect_assert_whole(store, b, 1, 3);
}

static void
test_abandoned(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *untouched = helper_create(store, "never uploaded", 64 * KIB);
    g_autofree char *left = abandon(store, "left", 1, 3);
    VimgSliceWriter *writer;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) first = collect_run(store, FALSE);
    g_autoptr(JsonObject) second = NULL;
    g_autoptr(JsonObject) third = NULL;

    g_assert_cmpint(collect_tally(first, "abandoned"), ==, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 3);

    store->keep_temporary = 0;
    writer = collect_begin_upload(store, left, 1, 3);
    second = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(second, "abandoned"), ==, 0);
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);

    third = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(third, "abandoned"), ==, 1);
    g_assert_cmpint(collect_tally(third, "slices"), ==, 3);
    g_assert_false(vimg_claim_holds(store, "left", left, &error));
    g_assert_cmpint(helper_state(store, untouched), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
}

/* A disk without any space left can be emptied. */
static void
test_full(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = collect_upload(store, "a", 1, 5);
    g_autofree char *b = collect_upload(store, "b", 2, 4);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    /* nobody else has it */
    g_assert_null(vimg_lease_new(store, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    collect_remove(store, a);
    collect_remove(store, b);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    vimg_trash_purge(store, b, &error);
    g_assert_no_error(error);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    vimg_spare_make(store->transport);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    store->keep_deleted = 0;
    json_object_unref(collect_run(store, FALSE));
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    /* a store that has none gets it */
    g_assert_cmpint(vimg_transport_unlink(store->transport, VIMG_SPARE_FILE), ==, 0);
    json_object_unref(collect_run(store, FALSE));
    g_assert_cmpint(vimg_transport_stat(store->transport, VIMG_SPARE_FILE, &info), ==, 0);
    g_assert_cmpuint(info.size, ==, MIB);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* @n slices that nobody needs in each of @prefixes directories. */
static void
litter(VimgSliceStore *store, guint prefixes, guint n)
{
    guint i;
    guint k;

    for (i = 0; i < prefixes; i++) {
        VimgSliceId id = {.bytes = {i >> 8, i & 0xff, 1}};
        g_autofree char *dir = vimg_slice_dir(&id);

        vimg_transport_mkdir(store->transport, dir);
        for (k = 0; k < n; k++) {
            g_autofree char *path = NULL;

            id.bytes[4] = k;
            path = vimg_slice_path(&id);
            g_assert_cmpint(vimg_transport_create(store->transport, path, "x", 1, TRUE), ==, 0);
        }
    }
}

/* The names of what is condemned take room too, of which the spare has only so much. */
static void
test_spare(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autoptr(GError) error = NULL;
    VimgLease *lease = vimg_lease_new(store, &error);
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) second = NULL;
    gint64 waiting;

    g_assert_no_error(error);
    litter(store, 600, 10);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    first = collect_run(store, FALSE);
    waiting = json_object_get_int_member(first, "waiting");
    g_assert_cmpint(waiting, >=, 2048);
    g_assert_cmpint(waiting, <, 2048 + 1024);
    vimg_lease_free(lease);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    second = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(second, "slices"), ==, 6000);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
}

/* An index that cannot be read: nothing is freed, and the message names it. */
static void
test_doubt(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = collect_upload(store, "a", 1, 2);
    g_autofree char *b = collect_upload(store, "b", 2, 2);
    g_autofree char *path = vimg_image_path(a, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) index = helper_index(store, a);
    g_autofree guint8 *broken = g_memdup2(index->data, index->size);
    g_autoptr(GError) error = NULL;
    guint before;

    collect_remove(store, b);
    store->keep_deleted = 0;
    before = helper_count_slices(store);
    broken[index->size - 60] ^= 1; /* an id: only the digest tells */
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, broken, index->size), ==, 0);
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, a));
    g_clear_error(&error);
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, index->data, 50), ==, 0);
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_cmpuint(helper_count_slices(store), ==, before);
    g_assert_cmpuint(collect_count_names(store, "gc/lock"), ==, 0);
    /* it does not block the next one */
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, index->data, index->size), ==,
                    0);
    json_object_unref(collect_run(store, FALSE));
    g_assert_cmpuint(helper_count_slices(store), ==, before - 2);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* What no rule explains stays while somebody has a lease, and goes then. */
static void
test_rubbish(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    VimgLease *lease = vimg_lease_new(store, NULL);
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autofree char *gone = g_uuid_string_random();
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) second = NULL;

    g_assert_cmpint(vimg_transport_mkdir(store->transport, dir), ==, 0);
    vimg_claim_take(store, "left", gone, NULL);
    first = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(first, "rubbish"), ==, 0);
    /* an image is there before its claim: this one is nobody's */
    g_assert_cmpint(collect_tally(first, "names"), ==, 1);
    vimg_lease_free(lease);
    second = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(second, "rubbish"), ==, 1);
    g_assert_cmpuint(collect_count_names(store, "images"), ==, 0);
    g_assert_cmpuint(collect_count_names(store, "names"), ==, 0);
}

/* A server far away that lists @left images fewer than there are, and says that these are all. */
typedef struct {
    PassTransport pass;
    guint left;
} Short;

static void
short_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    const Short *self = (const Short *)transport;
    gsize i;

    vimg_transport_run(self->pass.inner, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].kind == VIMG_OP_LIST && ops[i].result == 0 &&
            strcmp(ops[i].path, "images") == 0 && !ops[i].infos)
            g_ptr_array_set_size(ops[i].names, (gint)(ops[i].names->len - self->left));
    }
}

static const VimgTransportOps short_ops = {
    .run = short_run,
    .sync_all = pass_sync_nothing,
    .space = pass_space,
    .free = pass_free,
};

/* What an image needs that is there, though not listed, is not freed. */
static void
test_unlisted(CollectFixture *fixture, gconstpointer data)
{
    Short *far = g_new0(Short, 1);
    VimgSliceStore *store;
    g_autofree char *a = collect_upload(fixture->store, "a", 1, 3);
    g_autofree char *b = collect_upload(fixture->store, "b", 2, 3);
    g_autoptr(GError) error = NULL;
    guint before = helper_count_slices(fixture->store);

    far->pass.parent.ops = &short_ops;
    far->pass.parent.remote = TRUE;
    far->pass.inner = memory_transport_new(fixture->disk, FALSE);
    store = helper_reopen(&far->pass.parent);
    store->keep_deleted = G_MAXINT32;
    json_object_unref(collect_run(store, FALSE));
    far->left = 1;
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_true(strstr(error->message, a) || strstr(error->message, b));
    g_assert_cmpuint(helper_count_slices(fixture->store), ==, before);
    collect_assert_whole(fixture->store, a, 1, 3);
    collect_assert_whole(fixture->store, b, 2, 3);
    vimg_slice_store_free(store);
}

#define ADD(NAME, FUNC)                                                                            \
    g_test_add("/imagestore/collect/" NAME, CollectFixture, NULL, collect_set_up, FUNC,            \
               collect_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("trash", test_trash);
    ADD("shared", test_shared);
    ADD("abandoned", test_abandoned);
    if (memory_disk_is_memory()) {
        ADD("full", test_full);
        ADD("spare", test_spare);
    }
    ADD("doubt", test_doubt);
    ADD("unlisted", test_unlisted);
    ADD("rubbish", test_rubbish);
    return g_test_run();
}
