/*
 * test-account.c: what each image takes, against a slow count of the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "account.h"
#include "clone.h"
#include "collect.h"
#include "json.h"
#include "memory-transport.h"
#include "shares.h"
#include "slice.h"
#include "store-helper.h"
#include "trash.h"

#define SLICE (64 * KIB)
#define IMAGES_MAX 32

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
    GRand *chance;
    char *uuids[IMAGES_MAX];
    gboolean deleted[IMAGES_MAX];
    guint n;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
    fixture->store->keep_deleted = G_MAXINT32;
    fixture->store->keep_temporary = G_MAXINT32;
    fixture->chance = g_rand_new_with_seed(GPOINTER_TO_UINT(data));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < fixture->n; i++)
        g_free(fixture->uuids[i]);
    g_rand_free(fixture->chance);
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
}

static JsonObject *
account(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_account(fixture->store, NULL, &error);
    JsonObject *root;

    g_assert_no_error(error);
    root = vimg_json_parse((const guint8 *)report, strlen(report), &error);
    g_assert_no_error(error);
    return root;
}

/* ---- random stores ---------------------------------------------------------------------- */

/* Each of @slices is one of few, or zeros; the last one is shorter. */
static VimgBuffer *
random_content(Fixture *fixture, guint slices)
{
    VimgBuffer *content = vimg_buffer_new(slices * SLICE - 1000);

    for (guint i = 0; i < slices; i++) {
        guint32 seed = (guint32)g_rand_int_range(fixture->chance, 0, 24);
        g_autoptr(VimgBuffer) slice = helper_content(seed, SLICE, seed == 0);

        memcpy(content->data + i * SLICE, slice->data, MIN(SLICE, content->size - i * SLICE));
    }
    return content;
}

static char *
store_image(Fixture *fixture, const char *name, gboolean seal)
{
    g_autoptr(VimgBuffer) content =
        random_content(fixture, (guint)g_rand_int_range(fixture->chance, 1, 12));
    VimgWriteRequest request = {.size = sizeof(request)};
    char *uuid = helper_create(fixture->store, name, content->size);
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, SLICE, FALSE, &error);
    g_assert_no_error(error);
    helper_finish(writer, seal, content->size, &error);
    g_assert_no_error(error);
    return uuid;
}

static char *
clone_image(Fixture *fixture, const char *source, const char *name)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    image.format = g_strdup("raw");
    vimg_clone(fixture->store, source, &image, NULL, &out, &error);
    g_assert_no_error(error);
    return g_strdup(image.uuid);
}

static void
delete_image(Fixture *fixture, guint i)
{
    g_autoptr(GError) error = NULL;

    vimg_image_remove(fixture->store, fixture->uuids[i], &error);
    g_assert_no_error(error);
    fixture->deleted[i] = TRUE;
}

/* Whole images, clones, half of an upload, and some of all that deleted. */
static void
fill(Fixture *fixture)
{
    guint n = (guint)g_rand_int_range(fixture->chance, 1, 12);

    for (guint i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("image-%u", i);
        gboolean clone =
            i > 0 && !fixture->deleted[0] && g_rand_int_range(fixture->chance, 0, 4) == 0;

        fixture->uuids[i] = clone ? clone_image(fixture, fixture->uuids[0], name)
                                  : store_image(fixture, name, i == 0 || i % 5 != 4);
        fixture->n++;
        if (i % 5 != 4 && g_rand_int_range(fixture->chance, 0, 4) == 0)
            delete_image(fixture, i);
    }
}

/* ---- the oracle ------------------------------------------------------------------------- */

/* Returns: (transfer full) of VimgSliceId: what an image names, each once, but zero slices. */
static GArray *
slices_of(Fixture *fixture, guint number)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    g_autofree char *dir = g_strconcat("images/", fixture->uuids[number], NULL);
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(fixture->store->transport, dir, &names), ==, 0);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_strconcat(dir, "/", names->pdata[i], NULL);
        g_autoptr(VimgBuffer) content = NULL;
        g_autoptr(VimgIndex) index = NULL;

        if (!strstr(path, VIMG_IMAGE_INDEX) && !strstr(path, VIMG_IMAGE_PARTIAL))
            continue;
        vimg_transport_read(fixture->store->transport, path, VIMG_INDEX_MAX_SIZE, &content);
        index = vimg_index_decode(content->data, content->size, NULL);
        for (gsize k = 0; k < vimg_index_count(index); k++) {
            gboolean known = vimg_index_is_zero(index, k);

            for (guint j = 0; j < ids->len; j++)
                known |=
                    vimg_id_equal(&g_array_index(ids, VimgSliceId, j), vimg_index_id(index, k));
            if (!known)
                g_array_append_vals(ids, vimg_index_id(index, k), 1);
        }
    }
    return ids;
}

static guint64
size_of(Fixture *fixture, const VimgSliceId *id)
{
    g_autofree char *path = vimg_slice_path(id);
    VimgFileInfo info;

    return vimg_transport_stat(fixture->store->transport, path, &info) == 0 ? info.size : 0;
}

/* How many images but @number need @id. */
static guint
count_others(GArray **slices, guint n, guint number, const VimgSliceId *id)
{
    guint count = 0;

    for (guint i = 0; i < n; i++) {
        for (guint k = 0; i != number && k < slices[i]->len; k++)
            count += vimg_id_equal(&g_array_index(slices[i], VimgSliceId, k), id);
    }
    return count;
}

static JsonObject *
find_entry(JsonArray *entries, const char *uuid)
{
    for (guint i = 0; i < json_array_get_length(entries); i++) {
        JsonObject *entry = json_array_get_object_element(entries, i);

        if (strcmp(vimg_json_string(entry, "uuid"), uuid) == 0)
            return entry;
    }
    return NULL;
}

static void
check_image(Fixture *fixture, JsonObject *report, GArray **slices, guint number)
{
    JsonObject *trash = vimg_json_object(report, "trash");
    JsonObject *entry = find_entry(
        json_object_get_array_member(fixture->deleted[number] ? trash : report, "images"),
        fixture->uuids[number]);
    g_autofree char *dir = g_strconcat("images/", fixture->uuids[number], NULL);
    guint64 unique = 0;
    guint64 shared = 0;

    g_assert_nonnull(entry);
    for (guint i = 0; i < slices[number]->len; i++) {
        const VimgSliceId *id = &g_array_index(slices[number], VimgSliceId, i);

        *(count_others(slices, fixture->n, number, id) > 0 ? &shared : &unique) +=
            size_of(fixture, id);
    }
    g_assert_cmpint(json_object_get_int_member(entry, "unique"), ==, unique);
    g_assert_cmpint(json_object_get_int_member(entry, "shared"), ==, shared);
    g_assert_cmpint(json_object_get_int_member(entry, "freed"), ==,
                    unique + vimg_transport_measure(fixture->store->transport, dir));
}

/* Whoever is the first to need a slice counts it. */
static void
check_totals(Fixture *fixture, JsonObject *report, GArray **slices)
{
    JsonObject *total = vimg_json_object(report, "total");
    guint64 stored = 0;
    guint64 shared = 0;

    for (guint i = 0; i < fixture->n; i++) {
        for (guint k = 0; k < slices[i]->len; k++) {
            const VimgSliceId *id = &g_array_index(slices[i], VimgSliceId, k);

            if (count_others(slices, i, i, id) > 0)
                continue;
            stored += size_of(fixture, id);
            shared += count_others(slices, fixture->n, i, id) > 0 ? size_of(fixture, id) : 0;
        }
    }
    g_assert_cmpint(json_object_get_int_member(total, "stored"), ==, stored);
    g_assert_cmpint(json_object_get_int_member(total, "shared"), ==, shared);
}

static void
check_all(Fixture *fixture, JsonObject *report)
{
    GArray *slices[IMAGES_MAX];

    for (guint i = 0; i < fixture->n; i++)
        slices[i] = slices_of(fixture, i);
    for (guint i = 0; i < fixture->n; i++)
        check_image(fixture, report, slices, i);
    check_totals(fixture, report, slices);
    for (guint i = 0; i < fixture->n; i++)
        g_array_unref(slices[i]);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void
test_random(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JsonObject) report = NULL;

    fill(fixture);
    report = account(fixture);
    check_all(fixture, report);
    g_assert_true(json_object_get_boolean_member(report, "complete"));
    g_assert_false(json_object_get_boolean_member(report, "truncated"));
}

/* Bytes of all files below @path. */
static guint64
weigh(Fixture *fixture, const char *path)
{
    g_autoptr(GPtrArray) names = NULL;
    VimgFileInfo info;
    guint64 sum = 0;

    if (vimg_transport_list(fixture->store->transport, path, &names) != 0)
        return vimg_transport_stat(fixture->store->transport, path, &info) == 0 ? info.size : 0;
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *child = g_strconcat(path, "/", names->pdata[i], NULL);

        sum += weigh(fixture, child);
    }
    return sum;
}

static guint64
weigh_all(Fixture *fixture)
{
    static const char *const dirs[] = {VIMG_SLICES_DIR, "images", "names", "gc", "bad", "pending"};
    guint64 sum = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(dirs); i++)
        sum += weigh(fixture, dirs[i]);
    return sum;
}

static void
collect(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(fixture->store, FALSE, 0, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(report);
}

/* Each of them in turn really frees what was said, and nothing else. */
static void
test_freed(Fixture *fixture, gconstpointer data)
{
    fill(fixture);
    collect(fixture);
    for (guint i = 0; i < fixture->n; i++) {
        g_autoptr(JsonObject) report = account(fixture);
        JsonObject *entry =
            find_entry(json_object_get_array_member(report, "images"), fixture->uuids[i]);
        g_autoptr(GError) error = NULL;
        guint64 before = weigh_all(fixture);
        gint64 freed;

        if (!entry)
            entry = find_entry(
                json_object_get_array_member(vimg_json_object(report, "trash"), "images"),
                fixture->uuids[i]);
        freed = json_object_get_int_member(entry, "freed");
        g_assert_cmpint(json_object_get_int_member(vimg_json_object(report, "total"), "orphans"),
                        ==, 0);
        if (!fixture->deleted[i])
            delete_image(fixture, i);
        if (strcmp(vimg_json_string(entry, "state"), "saving") != 0)
            vimg_trash_purge(fixture->store, fixture->uuids[i], &error);
        g_assert_no_error(error);
        collect(fixture);
        g_assert_cmpint(before - weigh_all(fixture), ==, freed);
    }
}

/* The sums of all, and of the trash alone. */
static void
test_totals(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) a = helper_content(1, 2 * SLICE, 0);
    g_autoptr(VimgBuffer) b = helper_content(2, SLICE, 0);
    g_autoptr(VimgBuffer) both = vimg_buffer_new(3 * SLICE);
    g_autofree char *one = helper_create(fixture->store, "one", a->size);
    g_autofree char *two = helper_create(fixture->store, "two", both->size);
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(JsonObject) later = NULL;
    g_autoptr(GError) error = NULL;
    JsonObject *total;
    gint64 alone;

    memcpy(both->data, a->data, a->size);
    memcpy(both->data + a->size, b->data, b->size);
    helper_upload(fixture->store, one, a, &error);
    helper_upload(fixture->store, two, both, &error);
    g_assert_no_error(error);
    report = account(fixture);
    total = vimg_json_object(report, "total");
    g_assert_cmpint(json_object_get_int_member(total, "logical"), ==, 5 * SLICE);
    g_assert_cmpint(json_object_get_int_member(total, "plain"), ==, 3 * SLICE);
    alone =
        json_object_get_int_member(total, "stored") - json_object_get_int_member(total, "shared");
    g_assert_cmpint(alone, >, SLICE / 3);
    g_assert_cmpint(alone, <, SLICE);
    g_assert_cmpint(json_object_get_int_member(vimg_json_object(report, "trash"), "freed"), ==, 0);

    vimg_image_remove(fixture->store, two, &error);
    vimg_image_remove(fixture->store, one, &error);
    g_assert_no_error(error);
    later = account(fixture);
    total = vimg_json_object(later, "total");
    g_assert_cmpint(json_object_get_int_member(total, "logical"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(vimg_json_object(later, "trash"), "freed"), >,
                    json_object_get_int_member(total, "stored"));
    vimg_trash_purge(fixture->store, one, &error);
    vimg_trash_purge(fixture->store, two, &error);
    g_assert_no_error(error);
    json_object_unref(later);
    later = account(fixture);
    total = vimg_json_object(later, "total");
    g_assert_cmpint(json_object_get_int_member(total, "stored"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(total, "orphans"), ==,
                    json_object_get_int_member(vimg_json_object(report, "total"), "stored"));
}

static void
overwrite(Fixture *fixture, const char *path, const char *text)
{
    vimg_transport_unlink(fixture->store->transport, path);
    g_assert_cmpint(
        vimg_transport_create(fixture->store->transport, path, text, strlen(text), FALSE), ==, 0);
}

/* One bad index is named, and the others are counted. */
static void
test_unreadable(Fixture *fixture, gconstpointer data)
{
    g_autofree char *good = store_image(fixture, "good", TRUE);
    g_autofree char *bad = store_image(fixture, "bad", TRUE);
    g_autofree char *index = vimg_image_path(bad, VIMG_IMAGE_INDEX);
    g_autoptr(JsonObject) report = NULL;
    JsonArray *unreadable;
    JsonObject *entry;

    overwrite(fixture, index, "no index");
    report = account(fixture);
    g_assert_false(json_object_get_boolean_member(report, "complete"));
    unreadable = json_object_get_array_member(report, "unreadable");
    g_assert_cmpuint(json_array_get_length(unreadable), ==, 1);
    entry = json_array_get_object_element(unreadable, 0);
    g_assert_cmpstr(vimg_json_string(entry, "name"), ==, "bad");
    g_assert_cmpstr(vimg_json_string(entry, "uuid"), ==, bad);
    g_assert_nonnull(strstr(vimg_json_string(entry, "reason"), index));
    entry = find_entry(json_object_get_array_member(report, "images"), good);
    g_assert_cmpint(json_object_get_int_member(entry, "unique"), >, 0);
    entry = find_entry(json_object_get_array_member(report, "images"), bad);
    g_assert_cmpint(json_object_get_int_member(entry, "unique"), ==, 0);
    g_assert_cmpstr(vimg_json_string(entry, "state"), ==, "error");
}

/* Whatever cannot be looked at is an error or is named; nothing is left wrong without a word. */
static void
test_faults(Fixture *fixture, gconstpointer data)
{
    guint total;

    fill(fixture);
    memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_NONE});
    json_object_unref(account(fixture));
    total = memory_disk_count_looks(fixture->disk);
    g_assert_cmpuint(total, >, 10);
    for (guint at = 1; at <= total; at += helper_stride()) {
        g_autofree char *report = NULL;
        g_autoptr(GError) error = NULL;

        memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_LOOK, .at = at, .result = EIO});
        report = vimg_account(fixture->store, NULL, &error);
        if (report)
            g_assert_no_error(error);
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    }
}

static gboolean
try_account(VimgPluginJob *job, gpointer data, GError **error)
{
    g_autofree char *report = vimg_account(data, job, error);

    return report != NULL;
}

static void
test_cancelled(Fixture *fixture, gconstpointer data)
{
    fill(fixture);
    helper_cancel(try_account, fixture->store);
}

/* ---- beside others ---------------------------------------------------------------------- */

typedef struct {
    VimgSliceStore *store; /* another host's */
    const char *uuid;
    gboolean met;
} Other;

/* Deletes, purges and frees all of an image. */
static void
take_away(gpointer data)
{
    Other *other = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    other->met = TRUE;
    vimg_image_remove(other->store, other->uuid, &error);
    g_assert_no_error(error);
    vimg_trash_purge(other->store, other->uuid, &error);
    g_assert_no_error(error);
    report = vimg_collect(other->store, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(report);
}

/* TRUE: so many operations are not needed. */
static gboolean
meet(guint at)
{
    Fixture fixture = {0};
    g_autofree char *stays = NULL;
    g_autofree char *goes = NULL;
    g_autoptr(JsonObject) report = NULL;
    Other other = {0};
    JsonObject *entry;

    set_up(&fixture, GUINT_TO_POINTER(3));
    stays = store_image(&fixture, "stays", TRUE);
    goes = store_image(&fixture, "goes", TRUE);
    other.store = helper_reopen(memory_transport_new(fixture.disk, TRUE));
    other.uuid = goes;
    memory_transport_meet(fixture.store->transport, at, take_away, &other);
    report = account(&fixture);
    memory_transport_meet(fixture.store->transport, 0, NULL, NULL);
    g_assert_true(json_object_get_boolean_member(report, "complete"));
    entry = find_entry(json_object_get_array_member(report, "images"), stays);
    g_assert_cmpint(json_object_get_int_member(entry, "unique") +
                        json_object_get_int_member(entry, "shared"),
                    >, 0);
    vimg_slice_store_free(other.store);
    tear_down(&fixture, NULL);
    return !other.met;
}

/* An image that goes meanwhile, slices and all, is no failure whenever that happens. */
static void
test_meet(void)
{
    guint at = 1;

    while (!meet(at))
        at += helper_stride();
    g_assert_cmpuint(at, >, 10);
}

/* A table of many slices stays within its bound, however full it is. */
static void
test_memory(void)
{
    const VimgIndexSizes sizes = {SLICE, SLICE, SLICE};
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    g_autoptr(VimgShares) shares = vimg_shares_new(store, NULL);
    g_autoptr(GRand) chance = g_rand_new_with_seed(1);
    gsize n = 0;

    vimg_shares_begin(shares, FALSE);
    while (n < 400000) {
        g_autoptr(VimgIndex) index = vimg_index_new(&sizes);

        for (guint i = 0; i < 20000; i++, n++) {
            VimgSliceId id;

            for (guint k = 0; k < VIMG_ID_SIZE; k++)
                id.bytes[k] = (guint8)g_rand_int(chance);
            vimg_index_append(index, SLICE, &id, NULL);
        }
        g_assert_true(vimg_shares_add(shares, index, NULL));
        g_assert_cmpuint(vimg_shares_count(shares), ==, n);
        g_assert_cmpuint(vimg_shares_memory(shares), <, 48 * n + 64 * KIB);
    }
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

#define ADD(path, seed, test)                                                                      \
    g_test_add(path, Fixture, GUINT_TO_POINTER(seed), set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 1; i <= 20; i++) {
        g_autofree char *random = g_strdup_printf("/account/random/%u", i);
        g_autofree char *freed = g_strdup_printf("/account/freed/%u", i);

        ADD(random, i, test_random);
        if (i % 4 == 0)
            ADD(freed, i, test_freed);
    }
    ADD("/account/totals", 1, test_totals);
    ADD("/account/unreadable", 1, test_unreadable);
    ADD("/account/faults", 7, test_faults);
    ADD("/account/cancelled", 7, test_cancelled);
    g_test_add_func("/account/meet", test_meet);
    g_test_add_func("/account/memory", test_memory);
    return g_test_run();
}
