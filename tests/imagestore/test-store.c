/*
 * test-store.c: names, lists, damage, and two hosts on one store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claim.h"
#include "memory-transport.h"
#include "slice.h"
#include "store-helper.h"

/* ---- names ------------------------------------------------------------------------------ */

static void
test_names(HelperHome *home, gconstpointer data)
{
    g_autofree char *longest = g_strnfill(255, 'n');
    const char *names[] = {"a", ".hidden", "..a", "...", "-rf", "a b", "ä%s\\", "~", longest};
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgBuffer) content = helper_content((guint32)i, 1000, 0);
        g_autofree char *uuid = helper_create(store, names[i], 0);
        g_autofree char *other = NULL;
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

        g_assert_true(helper_upload(store, uuid, content, &error));
        helper_assert_content(store, uuid, content);
        g_assert_true(vimg_image_stat(store, uuid, &image, &error));
        g_assert_cmpstr(image.name, ==, names[i]);
        g_assert_false(helper_try_create(store, names[i], &other, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    }
}

/* Two hosts see each other's images, and one name has one owner. */
static void
test_two_hosts(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) one = helper_local_store(home);
    g_autoptr(VimgSliceStore) two = helper_reopen(helper_transport(home->dir));
    g_autoptr(VimgBuffer) content = helper_content(1, 200000, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = helper_create(one, "a", 0);
    g_autofree char *other = NULL;

    g_assert_false(helper_try_create(two, "a", &other, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_true(helper_upload(one, uuid, content, &error));
    helper_assert_content(two, uuid, content);
    g_assert_cmpuint(helper_count_images(two), ==, 1);
    g_assert_true(vimg_image_remove(two, uuid, &error));
    g_assert_cmpuint(helper_count_images(one), ==, 0);
    g_clear_pointer(&other, g_free);
    g_assert_true(helper_try_create(one, "a", &other, &error));
}

typedef struct {
    VimgSliceStore *store;
    guint won;
} Claimant;

static void *
claim_all(void *data)
{
    Claimant *claimant = data;
    guint i;

    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);
        g_autofree char *uuid = g_uuid_string_random();
        g_autofree char *dir = g_strconcat("images/", uuid, NULL);
        g_autoptr(GError) error = NULL;

        /* a claim is worth something as long as there is an image */
        g_assert_cmpint(vimg_transport_mkdir(claimant->store->transport, dir), ==, 0);
        if (vimg_claim_take(claimant->store, name, uuid, &error))
            claimant->won++;
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    }
    return NULL;
}

static void
test_claim_race(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *one = helper_store(memory_transport_new(disk, TRUE));
    VimgSliceStore *two = helper_reopen(memory_transport_new(disk, TRUE));
    Claimant claimants[] = {{one, 0}, {two, 0}};
    pthread_t threads[2];
    guint i;

    for (i = 0; i < 2; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, claim_all, &claimants[i]), ==, 0);
    for (i = 0; i < 2; i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    g_assert_cmpuint(claimants[0].won + claimants[1].won, ==, 100);
    for (i = 0; i < 100; i++) {
        g_autofree char *dir = g_strdup_printf("names/n%u", i);
        g_autoptr(GPtrArray) names = NULL;

        g_assert_cmpint(vimg_transport_list(one->transport, dir, &names), ==, 0);
        g_assert_cmpuint(names->len, ==, 1);
    }
    vimg_slice_store_free(one);
    vimg_slice_store_free(two);
    memory_disk_free(disk);
}

static void
test_many_images(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    guint i;

    for (i = 0; i < 2000; i++) {
        g_autofree char *name = g_strdup_printf("image-%u", i);

        g_free(helper_create(store, name, i));
    }
    g_assert_cmpuint(helper_count_images(store), ==, 2000);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void
replace_slice(VimgSliceStore *store, const VimgSliceId *id, gconstpointer data, gsize size)
{
    g_autofree char *path = vimg_slice_path(id);

    g_assert_cmpint(vimg_transport_unlink(store->transport, path), ==, 0);
    if (data)
        g_assert_cmpint(vimg_transport_create(store->transport, path, data, size, TRUE), ==, 0);
}

static void
test_damaged_slice(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree guint8 *other = g_malloc0(65536);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *second = helper_create(store, "b", 0);
    g_autoptr(GError) error = NULL;
    const guint8 *frame;
    VimgSliceId id;
    char hex[VIMG_ID_HEX];
    gsize size;
    gint way;

    g_assert_true(helper_upload(store, uuid, content, &error));
    vimg_slice_hash(tools, content->data + 2 * 65536, 65536, &id);
    vimg_id_to_hex(&id, hex);
    other[7] = 7;
    for (way = 0; way < 5; way++) {
        g_autoptr(VimgBuffer) found = NULL;

        if (way == 0)
            frame = vimg_slice_compress(tools, other, 65536, 1, &size, &error);
        else if (way == 1)
            frame = vimg_slice_compress(tools, content->data + 2 * 65536, 65535, 1, &size, &error);
        else
            frame = way == 2 ? (const guint8 *)"junk" : way == 3 ? (const guint8 *)"" : NULL;
        if (way >= 2)
            size = way == 2 ? 4 : 0;
        replace_slice(store, &id, frame, size);
        found = helper_download(store, uuid, 0, 0, &error);
        g_assert_null(found);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_nonnull(strstr(error->message, hex));
        g_clear_error(&error);
        /* the rest still reads */
        found = helper_download(store, uuid, 3 * 65536, 0, &error);
        g_assert_no_error(error);
        g_clear_pointer(&found, vimg_buffer_unref);
    }
    /* who stores the same data again heals it */
    g_assert_true(helper_upload(store, second, content, &error));
    helper_assert_content(store, uuid, content);
}

static void
test_truncated_index(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *good = helper_create(store, "b", 0);
    g_autofree char *path = g_strdup_printf("%s/images/%s/image.caibx", home->dir, uuid);
    g_autoptr(VimgBuffer) found = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_true(helper_upload(store, uuid, content, &error));
    g_assert_true(helper_upload(store, good, content, &error));
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_assert_cmpint(truncate(path, 150), ==, 0);
    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_nonnull(strstr(image.reason, "truncated"));
    found = helper_download(store, uuid, 0, 0, &error);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    g_assert_cmpuint(helper_count_images(store), ==, 2);
    helper_assert_content(store, good, content);
    g_assert_true(vimg_image_remove(store, uuid, &error));
    g_assert_cmpuint(helper_count_images(store), ==, 1);
}

static void
test_error_state(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autofree char *uuid = helper_create(store, "a", 1000);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) change = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    change.uuid = g_strdup(uuid);
    change.os = g_strdup("debian");
    g_assert_true(vimg_image_set_metadata(store, &change, &error));
    g_assert_true(vimg_image_set_error(store, uuid, "it is no qcow2", &error));
    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_cmpstr(image.reason, ==, "it is no qcow2");
    g_assert_cmpstr(image.os, ==, "debian");
    g_assert_cmpuint(image.capacity, ==, 1000);
    g_assert_true(vimg_image_wipe(store, uuid, &error));
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_true(vimg_image_remove(store, uuid, &error));
    g_assert_false(vimg_image_remove(store, uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

static gboolean
take_generation(const VimgPluginImage *image, gpointer data)
{
    *(char **)data = g_strdup(image->generation);
    return TRUE;
}

/* Returns: (transfer full) what an image holds, as its stat and a listing of it alone say */
static char *
find_generation(VimgSliceStore *store, const char *uuid)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *listed = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_true(vimg_image_list(store, take_generation, &listed, &error));
    g_assert_cmpstr(image.generation, ==, listed);
    return g_steal_pointer(&image.generation);
}

static void
test_generation(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 64 * KIB, 0);
    g_autoptr(VimgBuffer) other = helper_content(2, 5 * 64 * KIB, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *path = g_strdup_printf("%s/images/%s/image.caibx", home->dir, uuid);
    VimgPluginImage change = {.size = sizeof(change), .uuid = uuid, .description = (char *)"it"};
    g_autofree char *none = find_generation(store, uuid);
    g_autofree char *first = NULL, *then = NULL, *wiped = NULL, *second = NULL;
    g_autoptr(VimgSliceStore) again = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(none);
    g_assert_true(helper_upload(store, uuid, content, &error));
    first = find_generation(store, uuid);
    g_assert_true(vimg_plugin_generation_ok(first));
    g_assert_true(vimg_image_set_metadata(store, &change, &error));
    again = helper_reopen(helper_transport(home->dir));
    then = find_generation(again, uuid);
    g_assert_cmpstr(then, ==, first);
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_assert_cmpint(truncate(path, 150), ==, 0);
    g_assert_true(vimg_image_wipe(store, uuid, &error));
    wiped = find_generation(store, uuid);
    g_assert_null(wiped);
    g_assert_true(helper_upload(store, uuid, other, &error));
    second = find_generation(store, uuid);
    g_assert_true(vimg_plugin_generation_ok(second));
    g_assert_cmpstr(second, !=, first);
}

/* What others change of an image while it is written stays. */
static void
test_change_while_writing(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = helper_local_store(home);
    g_autoptr(VimgSliceStore) other = helper_reopen(helper_transport(home->dir));
    g_autoptr(VimgBuffer) content = helper_content(1, 3 * 64 * KIB, 0);
    g_autofree char *uuid = helper_create(store, "a", content->size);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;
    gint seal;

    for (seal = FALSE; seal <= TRUE; seal++) {
        VimgPluginImage change = VIMG_PLUGIN_IMAGE_INIT;
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
        VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

        g_assert_no_error(error);
        helper_feed(writer, content, 0, 64 * KIB, FALSE, &error);
        g_assert_no_error(error);
        change.uuid = uuid;
        change.description = seal ? "second" : "first";
        g_assert_true(vimg_image_set_metadata(other, &change, &error));
        helper_finish(writer, seal, content->size, &error);
        g_assert_no_error(error);
        g_assert_true(vimg_image_stat(store, uuid, &image, &error));
        g_assert_cmpstr(image.description, ==, change.description);
        g_assert_cmpuint(image.allocation, >, 0);
    }
    helper_assert_content(store, uuid, content);
}

/* Without a rename that never replaces, what one host published stays all the same. */
static void
test_plain_renames(HelperHome *home, gconstpointer data)
{
    VimgTransport *transport = vimg_transport_local_new(home->dir);
    g_autoptr(VimgBuffer) content = helper_content(1, 3 * 64 * KIB, 0);
    g_autoptr(VimgSliceStore) store = NULL;
    g_autoptr(VimgBuffer) found = NULL;
    g_autofree char *uuid = NULL;
    g_autofree char *index = NULL;
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    vimg_transport_local_set_plain(transport);
    store = helper_store(transport);
    vimg_slice_store_make(transport, &(VimgStoreParams){.slice_size = 64 * KIB}, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vimg_transport_read(transport, "store.json", 4096, &found), ==, 0);
    g_assert_nonnull(g_strstr_len((char *)found->data, (gssize)found->size, store->uuid));
    uuid = helper_create(store, "a", content->size);
    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    index = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_assert_cmpint(vimg_transport_create(transport, "pending/x", "x", 1, FALSE), ==, 0);
    g_assert_cmpint(vimg_transport_publish(transport, "pending/x", index), ==, EEXIST);
    g_assert_cmpint(vimg_transport_publish(transport, "pending/x", "pending/y"), ==, 0);
    g_assert_cmpint(vimg_transport_stat(transport, "pending/x", &info), ==, ENOENT);
    g_assert_cmpint(vimg_transport_publish(transport, "pending/x", "pending/z"), ==, ENOENT);
    helper_assert_content(store, uuid, content);
}

/* ---- out of reach ----------------------------------------------------------------------- */

static void
lost_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++)
        ops[i].result = ENOTCONN;
}

static char *
lost_reason(VimgTransport *transport)
{
    return g_strdup("connect to 10.0.0.5 port 22: no route");
}

static gboolean
ignore_image(const VimgPluginImage *image, gpointer data)
{
    return TRUE;
}

/* Whoever asks is told at which step, and of which host. */
static void
test_explain(HelperHome *home, gconstpointer data)
{
    VimgSliceStore *store = helper_local_store(home);
    const VimgTransportOps *whole = store->transport->ops;
    VimgTransportOps lost = *whole;
    g_autoptr(GError) error = NULL;
    gboolean done;

    lost.run = lost_run;
    store->transport->ops = &lost;
    done = vimg_image_list(store, ignore_image, NULL, &error);
    g_assert_false(vimg_slice_store_explain(store, done, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_true(g_str_has_suffix(error->message, g_strerror(ENOTCONN))); /* nobody knows more */
    lost.reason = lost_reason;
    g_assert_false(vimg_slice_store_explain(store, done, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_cmpstr(error->message, ==,
                    "cannot list the images: connect to 10.0.0.5 port 22: no route");
    g_clear_error(&error);
    g_assert_true(vimg_slice_store_explain(store, TRUE, &error));
    g_assert_no_error(error);
    store->transport->ops = whole;
    vimg_slice_store_free(store);
}

/* Whoever looks round in directories of others does not look at each file, nor at all of them. */
static void
test_types(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgTransport) transport = vimg_transport_local_new(home->dir);
    VimgOp some = {.kind = VIMG_OP_LIST, .path = ".", .types_only = TRUE, .most = 3};
    VimgOp all = {.kind = VIMG_OP_LIST, .path = ".", .types_only = TRUE};
    guint directories = 0;
    guint i;

    for (i = 0; i < 5; i++) {
        g_autofree char *file = g_strdup_printf("f%u", i);
        g_autofree char *dir = g_strdup_printf("d%u", i);

        g_assert_cmpint(vimg_transport_create(transport, file, "xx", 2, FALSE), ==, 0);
        g_assert_cmpint(vimg_transport_mkdir(transport, dir), ==, 0);
    }
    vimg_transport_list_detailed(transport, &some, 1);
    g_assert_cmpint(some.result, ==, 0);
    g_assert_cmpuint(some.names->len, ==, 3);
    vimg_transport_list_detailed(transport, &all, 1);
    g_assert_cmpuint(all.names->len, ==, 10);
    for (i = 0; i < 10; i++) {
        const VimgFileInfo *info = &g_array_index(all.infos, VimgFileInfo, i);

        directories += info->type == VIMG_FILE_DIRECTORY;
        g_assert_cmpuint(info->size, ==, 0);
        g_assert_cmpint(info->type, !=, VIMG_FILE_OTHER);
    }
    g_assert_cmpuint(directories, ==, 5);
    vimg_transport_clear_ops(&some, 1, FALSE);
    vimg_transport_clear_ops(&all, 1, FALSE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/imagestore/names/any", test_names, NULL);
    helper_add("/imagestore/names/two-hosts", test_two_hosts, NULL);
    helper_add("/imagestore/names/race", test_claim_race, NULL);
    helper_add("/imagestore/list/many", test_many_images, NULL);
    helper_add("/imagestore/damage/slice", test_damaged_slice, NULL);
    helper_add("/imagestore/damage/index", test_truncated_index, NULL);
    helper_add("/imagestore/store/plain-renames", test_plain_renames, NULL);
    helper_add("/imagestore/store/types", test_types, NULL);
    helper_add("/imagestore/image/change-while-writing", test_change_while_writing, NULL);
    helper_add("/imagestore/image/error-state", test_error_state, NULL);
    helper_add("/imagestore/image/generation", test_generation, NULL);
    helper_add("/imagestore/store/explain", test_explain, NULL);
    return g_test_run();
}
