/*
 * test-faults.c: errors and power cuts at every step of a store's life
 *
 * One scenario of creates, uploads, a resume, a clone, a wipe and deletes runs again and again,
 * each time with the next changing operation failing, or being the last one before the power is
 * cut, or the last one after which anything can be made durable. What was answered as done must be
 * there afterwards, what is active must be byte-identical, and everything else must be as good as
 * new.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "memory-transport.h"
#include "store-helper.h"

/* What the client was told of an image. */
typedef struct {
    const char *name;
    char *uuid;
    const VimgBuffer *content; /* what it holds once it is active; borrowed */
    gboolean created;
    gboolean active;
    gboolean deleting; /* a delete began */
    gboolean deleted;
} Known;

enum {
    A,
    B,
    C,
    D,
    N_IMAGES
};

typedef struct {
    VimgSliceStore *store;
    gboolean quit; /* at the first failure */
    Known known[N_IMAGES];
} Scenario;

static MemoryDisk *fresh;
static VimgBuffer *contents[3];

static gboolean
step_create(Scenario *s, gsize i, const char *name, const VimgBuffer *content)
{
    g_autoptr(GError) error = NULL;
    Known *known = &s->known[i];

    known->name = name;
    known->content = content;
    known->created = helper_try_create(s->store, name, &known->uuid, &error);
    g_assert_true(known->created == !error);
    return known->created;
}

static gboolean
step_upload(Scenario *s, gsize i)
{
    g_autoptr(GError) error = NULL;
    Known *known = &s->known[i];

    known->active = helper_upload(s->store, known->uuid, known->content, &error);
    g_assert_true(known->active == !error);
    return known->active;
}

/* The first @size bytes, kept as a durable beginning. */
static gboolean
step_part(Scenario *s, gsize i, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) part = vimg_buffer_new(size);
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer =
        vimg_slice_writer_open(s->store, s->known[i].uuid, &request, NULL, &error);

    if (!writer)
        return FALSE;
    memcpy(part->data, s->known[i].content->data, size);
    if (!helper_feed(writer, part, 0, 100000, TRUE, &error)) {
        vimg_slice_writer_abort(writer);
        return FALSE;
    }
    return helper_finish(writer, FALSE, 0, &error);
}

static gboolean
step_clone(Scenario *s, gsize from, gsize to, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    Known *known = &s->known[to];

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    image.format = g_strdup("raw");
    known->name = name;
    known->uuid = g_strdup(image.uuid);
    known->content = s->known[from].content;
    known->active = vimg_clone(s->store, s->known[from].uuid, &image, NULL, &out, &error);
    known->created = known->active;
    g_assert_true(known->active == !error);
    return known->active;
}

static gboolean
step_delete(Scenario *s, gsize i)
{
    g_autoptr(GError) error = NULL;
    Known *known = &s->known[i];

    known->deleting = TRUE;
    known->deleted = vimg_image_remove(s->store, known->uuid, &error);
    return known->deleted;
}

static gboolean
step_wipe(Scenario *s, gsize i)
{
    g_autoptr(GError) error = NULL;

    return vimg_image_wipe(s->store, s->known[i].uuid, &error);
}

/* Each step is a request of a client; only what depends on a failed one is left out. */
static void
play(Scenario *s)
{
    gboolean a = step_create(s, A, "a", contents[0]) && step_upload(s, A);
    gboolean b = (a || !s->quit) && step_create(s, B, ".b", contents[1]);
    gboolean c;

    b = b && step_part(s, B, 5 * 65536 + 100) && step_upload(s, B);
    if (!b && s->quit)
        return;
    c = a && step_clone(s, A, C, "c");
    if (!c && s->quit)
        return;
    if (step_create(s, D, "d", contents[2]) && step_part(s, D, 3 * 65536) && step_wipe(s, D))
        step_upload(s, D);
    else if (s->quit)
        return;
    if (a)
        step_delete(s, A);
    if (c && (s->known[A].deleted || !s->quit))
        step_delete(s, C);
}

static void
scenario_clear(Scenario *s)
{
    gsize i;

    for (i = 0; i < N_IMAGES; i++)
        g_free(s->known[i].uuid);
}

/* What is there now against what the client was told; then everybody must be able to go on. */
static void
verify_one(VimgSliceStore *store, const Known *known)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    gboolean there = known->uuid && vimg_image_stat(store, known->uuid, &image, &error);

    if (!known->uuid)
        return;
    if (!there) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
        g_assert_true(!known->created || known->deleting);
        return;
    }
    g_assert_false(known->deleted);
    g_assert_cmpint(image.state, !=, VIMG_IMAGE_ERROR);
    g_assert_true(!known->active || known->deleting || image.state == VIMG_IMAGE_ACTIVE);
    if (image.state == VIMG_IMAGE_SAVING) {
        helper_upload(store, known->uuid, known->content, &error);
        g_assert_no_error(error);
    }
    helper_assert_content(store, known->uuid, known->content);
}

static void
verify(VimgSliceStore *store, const Scenario *s)
{
    gsize i;

    for (i = 0; i < N_IMAGES; i++)
        verify_one(store, &s->known[i]);
    /* a name that was released, or never got an image, is free */
    for (i = 0; i < N_IMAGES; i++) {
        const Known *known = &s->known[i];
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
        g_autoptr(GError) error = NULL;
        g_autofree char *uuid = NULL;

        if (!known->name || vimg_image_stat(store, known->uuid, &image, NULL))
            continue;
        helper_try_create(store, known->name, &uuid, &error);
        g_assert_no_error(error);
    }
}

/* How the storage is reached. */
typedef enum {
    SINGLE, /* files are made durable one by one */
    WHOLE,  /* all at once */
    FAR,    /* as they are made, by many threads */
} Way;

static VimgTransport *
way_to(MemoryDisk *disk, Way way)
{
    VimgTransport *transport = memory_transport_new(disk, way == WHOLE);

    transport->remote = way == FAR;
    return transport;
}

static guint
count_operations(Way way, gboolean looks)
{
    g_autoptr(VimgSliceStore) store = NULL;
    MemoryDisk *disk = memory_disk_copy(fresh);
    Scenario s = {0};
    guint count;
    gsize i;

    store = helper_reopen(way_to(disk, way));
    s.store = store;
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    play(&s);
    count = looks ? memory_disk_count_looks(disk) : memory_disk_count(disk);
    for (i = 0; i < N_IMAGES; i++)
        g_assert_true(s.known[i].active);
    verify(store, &s);
    scenario_clear(&s);
    g_clear_pointer(&store, vimg_slice_store_free);
    memory_disk_free(disk);
    return count;
}

static guint stride;

/* How often each step is tried: with other fates of what was not durable. */
static const guint32 fates[] = {0, 1, 2};

/* @kind FAULT_SYNC: the power is cut after all, with what was made durable before the fault. */
static void
crash_at(guint at, Way way, FaultKind kind, guint32 fate)
{
    MemoryDisk *disk = memory_disk_copy(fresh);
    VimgSliceStore *store = helper_reopen(way_to(disk, way));
    Scenario s = {0};

    s.store = store;
    s.quit = kind == FAULT_CRASH;
    memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at});
    play(&s);
    vimg_slice_store_free(store);
    memory_disk_crash(disk, fate ? fate * 1000003 + at : 0);
    store = helper_reopen(way_to(disk, way));
    helper_fence_all(store);
    verify(store, &s);
    vimg_slice_store_free(store);
    scenario_clear(&s);
    memory_disk_free(disk);
}

static void
crash_everywhere(Way way, FaultKind kind)
{
    guint count = count_operations(way, FALSE);
    guint at;
    gsize i;

    g_assert_cmpuint(count, >, 100);
    for (at = 1; at <= count + 1; at += stride) {
        for (i = 0; i < G_N_ELEMENTS(fates); i++)
            crash_at(at, way, kind, fates[i]);
    }
}

static void
test_crash(gconstpointer data)
{
    crash_everywhere((Way)GPOINTER_TO_INT(data), FAULT_CRASH);
}

static void
test_syncs(gconstpointer data)
{
    crash_everywhere((Way)GPOINTER_TO_INT(data), FAULT_SYNC);
}

static void
fail_at(FaultKind kind, guint at, Way way, int result)
{
    MemoryDisk *disk = memory_disk_copy(fresh);
    VimgSliceStore *store = helper_reopen(way_to(disk, way));
    Scenario s = {0};

    s.store = store;
    memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at, .result = result});
    play(&s);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    verify(store, &s);
    vimg_slice_store_free(store);
    scenario_clear(&s);
    memory_disk_free(disk);
}

static void
test_errors(gconstpointer data)
{
    Way way = (Way)GPOINTER_TO_INT(data);
    guint count = count_operations(way, FALSE);
    guint at;

    for (at = 1; at <= count; at += stride) {
        fail_at(FAULT_ERROR, at, way, EIO);
        fail_at(FAULT_ERROR, at, way, ENOSPC);
    }
}

/* What cannot be read is not taken for gone. */
static void
test_looks(void)
{
    guint count = count_operations(WHOLE, TRUE);
    guint at;

    for (at = 1; at <= count; at += stride)
        fail_at(FAULT_LOOK, at, WHOLE, EIO);
}

/* The disk fills up: the error says so, nothing is half done, and with space it goes on. */
static void
test_full(void)
{
    MemoryDisk *disk = memory_disk_copy(fresh);
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, TRUE));
    g_autoptr(VimgBuffer) content = helper_content(8, 20 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", content->size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) pending = NULL;

    memory_disk_set_fault(disk, &(Fault){.space = 30000});
    g_assert_false(helper_upload(store, uuid, content, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 0);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    g_clear_error(&error);
    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, uuid, content);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* A store whose making is cut at any step is no store, or a whole one. */
static void
test_making(void)
{
    guint at;

    for (at = 1;; at += stride) {
        MemoryDisk *disk = memory_disk_new();
        VimgTransport *transport = memory_transport_new(disk, TRUE);
        const VimgStoreParams params = {.slice_size = 1024 * 1024};
        VimgPlace place;
        gboolean made;

        memory_disk_set_fault(disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        made = vimg_slice_store_make(transport, &params, NULL);
        memory_disk_crash(disk, at);
        g_assert_true(vimg_slice_store_survey(transport, &place, NULL));
        g_assert_true(place == VIMG_PLACE_STORE || (place == VIMG_PLACE_EMPTY && !made));
        if (place == VIMG_PLACE_EMPTY)
            g_assert_true(vimg_slice_store_make(transport, &params, NULL));
        vimg_slice_store_free(helper_reopen(transport));
        memory_disk_free(disk);
        if (made)
            break;
    }
    g_assert_cmpuint(at, >, 30);
}

int
main(int argc, char **argv)
{
    VimgTransport *transport;
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    stride = helper_stride();
    contents[0] = helper_content(1, 9 * 65536 + 17, 4);
    contents[1] = helper_content(1, 11 * 65536 + 17, 5);
    contents[2] = helper_content(2, 7 * 65536, 0);
    fresh = memory_disk_new();
    transport = memory_transport_new(fresh, TRUE);
    vimg_slice_store_free(helper_store(transport));
    if (memory_disk_is_memory()) {
        g_test_add_data_func("/imagestore/faults/crash/whole", GINT_TO_POINTER(WHOLE), test_crash);
        g_test_add_data_func("/imagestore/faults/crash/single", GINT_TO_POINTER(SINGLE),
                             test_crash);
        g_test_add_data_func("/imagestore/faults/crash/far", GINT_TO_POINTER(FAR), test_crash);
        g_test_add_data_func("/imagestore/faults/syncs/whole", GINT_TO_POINTER(WHOLE), test_syncs);
        g_test_add_data_func("/imagestore/faults/syncs/single", GINT_TO_POINTER(SINGLE),
                             test_syncs);
        g_test_add_data_func("/imagestore/faults/syncs/far", GINT_TO_POINTER(FAR), test_syncs);
        g_test_add_data_func("/imagestore/faults/errors/far", GINT_TO_POINTER(FAR), test_errors);
        g_test_add_func("/imagestore/faults/making", test_making);
    }
    g_test_add_data_func("/imagestore/faults/errors/whole", GINT_TO_POINTER(WHOLE), test_errors);
    g_test_add_data_func("/imagestore/faults/errors/single", GINT_TO_POINTER(SINGLE), test_errors);
    g_test_add_func("/imagestore/faults/looks", test_looks);
    g_test_add_func("/imagestore/faults/full", test_full);
    status = g_test_run();
    memory_disk_free(fresh);
    for (i = 0; i < G_N_ELEMENTS(contents); i++)
        vimg_buffer_unref(contents[i]);
    return status;
}
