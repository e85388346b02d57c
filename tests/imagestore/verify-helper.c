/*
 * verify-helper.c: a store to be verified, and how its slices break
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "json.h"
#include "verify-helper.h"
#include "verify.h"

VimgBuffer *verify_content;
VimgBuffer *verify_foreign;

/* ---- a transport that lets something happen --------------------------------------------- */

/* Those that take most of the time of a verification. */
static gboolean
is_large_zeros(const char *path)
{
    guint64 length;

    for (length = 2 * MIB; length <= VIMG_ZERO_MAX; length *= 2) {
        g_autofree char *zeros = vimg_slice_path(vimg_zero_id(length));

        if (strcmp(path, zeros) == 0)
            return TRUE;
    }
    return FALSE;
}

static void
watch_read(VerifyWatch *watch, VimgOp *op)
{
    gboolean slice = strstr(op->path, ".cacnk") != NULL;

    if (watch->broken && strstr(op->path, watch->broken)) {
        op->result = EIO;
        return;
    }
    if (slice && !watch->zeros && is_large_zeros(op->path)) {
        op->result = ENOENT;
        return;
    }
    if (slice)
        __atomic_add_fetch(&watch->reads, 1, __ATOMIC_RELAXED);
    vimg_transport_run(watch->pass.inner, op, 1);
}

/* Returns: N_EVENTS for most. */
static VerifyEvent
event_of(const VimgOp *op)
{
    if (op->kind == VIMG_OP_RENAME && g_str_has_prefix(op->path, "slices.castr/"))
        return AT_LIFT;
    if (op->kind == VIMG_OP_READ && g_str_has_prefix(op->path, "gc/"))
        return AT_LOOK;
    return op->kind == VIMG_OP_CREATE && strstr(op->path, "/turn.") ? AT_TURN : N_EVENTS;
}

static void
watch_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    VerifyWatch *watch = (VerifyWatch *)transport;
    gsize i;

    for (i = 0; i < n; i++) {
        VerifyEvent event = event_of(&ops[i]);
        void (*happen)(VerifyFixture * fixture) = NULL;

        if (event < N_EVENTS)
            happen = __atomic_exchange_n(&watch->happen[event], NULL, __ATOMIC_ACQ_REL);
        if (happen)
            happen(watch->fixture);
        if (ops[i].kind == VIMG_OP_READ)
            watch_read(watch, &ops[i]);
        else
            vimg_transport_run(watch->pass.inner, &ops[i], 1);
    }
}

static const VimgTransportOps watch_ops = {
    .run = watch_run,
    .sync_all = pass_sync_all,
    .space = pass_space,
    .free = pass_free,
};

void
verify_upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *bytes)
{
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, bytes, &error);
    g_assert_no_error(error);
}

VerifyWatch *
verify_watch_new(MemoryDisk *disk, gboolean whole)
{
    VerifyWatch *watch = g_new0(VerifyWatch, 1);

    watch->pass.parent.ops = &watch_ops;
    watch->pass.inner = memory_transport_new(disk, whole);
    return watch;
}

VimgSliceStore *
verify_connect(MemoryDisk *disk, gboolean whole)
{
    return helper_reopen(&verify_watch_new(disk, whole)->pass.parent);
}

static void
set_up(VerifyFixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->watch = verify_watch_new(fixture->disk, TRUE);
    fixture->watch->fixture = fixture;
    fixture->store = helper_store(&fixture->watch->pass.parent);
    fixture->other = verify_connect(fixture->disk, TRUE);
    fixture->dir = helper_dir();
    fixture->store->state_dir = g_build_filename(fixture->dir, "state", NULL);
    fixture->uuid = helper_create(fixture->store, "a", 0);
    verify_upload(fixture->store, fixture->uuid, verify_content);
    helper_cancel_after = 0;
    helper_cancel_at = 0;
}

static void
tear_down(VerifyFixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    vimg_slice_store_free(fixture->other);
    memory_disk_free(fixture->disk);
    helper_remove_dir(fixture->dir);
    g_free(fixture->dir);
    g_free(fixture->uuid);
}

/* ---- what there is ---------------------------------------------------------------------- */

VimgSliceId
verify_id(const VimgBuffer *bytes, gsize slice)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id;

    vimg_slice_hash(tools, bytes->data + slice * 65536, 65536, &id);
    return id;
}

void
verify_replace(VerifyFixture *fixture, const VimgSliceId *id, gconstpointer data, gsize size)
{
    VimgTransport *transport = fixture->other->transport;
    g_autofree char *path = vimg_slice_path(id);

    vimg_transport_unlink(transport, path);
    if (data)
        g_assert_cmpint(vimg_transport_create(transport, path, data, size, TRUE), ==, 0);
}

void
verify_spoil(VerifyFixture *fixture, gsize slice)
{
    VimgSliceId id = verify_id(verify_content, slice);

    verify_replace(fixture, &id, "no slice", 8);
}

void
verify_put_good(VerifyFixture *fixture, gsize slice)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id = verify_id(verify_content, slice);
    gsize size;
    const guint8 *frame =
        vimg_slice_compress(tools, verify_content->data + slice * 65536, 65536, 1, &size, NULL);

    verify_replace(fixture, &id, frame, size);
}

gboolean
verify_in_place(VerifyFixture *fixture, gsize slice)
{
    VimgSliceId id = verify_id(verify_content, slice);
    g_autofree char *path = vimg_slice_path(&id);

    return helper_exists(fixture->other, path);
}

guint
verify_count(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, dir, &names), ==, 0);
    return names->len;
}

void
verify_spoil_index(VerifyFixture *fixture)
{
    g_autofree char *path = vimg_image_path(fixture->uuid, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) index = helper_index(fixture->store, fixture->uuid);

    index->data[64 + 8] ^= 1;
    vimg_transport_unlink(fixture->store->transport, path);
    vimg_transport_create(fixture->store->transport, path, index->data, index->size, FALSE);
}

/* ---- reports ---------------------------------------------------------------------------- */

VerifyReport
verify_run(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_verify(store, uuid, HELPER_JOB, &error);
    g_autoptr(JsonObject) root = NULL;
    JsonObject *slices;
    VerifyReport report;

    g_assert_no_error(error);
    root = vimg_json_parse((const guint8 *)text, strlen(text), NULL);
    slices = vimg_json_object(root, "slices");
    vimg_json_number(slices, "checked", &report.checked);
    vimg_json_number(slices, "bad", &report.bad);
    vimg_json_number(slices, "missing", &report.missing);
    vimg_json_number(slices, "foreign", &report.foreign);
    vimg_json_number(root, "checked", &report.bytes);
    report.damaged = json_array_get_length(json_object_get_array_member(root, "damaged"));
    return report;
}

void
verify_assert_damaged(VimgSliceStore *store, const char *uuid, const VimgSliceId *first)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    char hex[VIMG_ID_HEX];

    vimg_image_stat(store, uuid, &image, &error);
    g_assert_no_error(error);
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    vimg_id_to_hex(first, hex);
    g_assert_nonnull(strstr(image.reason, hex));
}

/* ---- tests ------------------------------------------------------------------------------ */

void
verify_add(const char *path, void (*test)(VerifyFixture *, gconstpointer), gconstpointer data)
{
    g_test_add(path, VerifyFixture, data, set_up, test, tear_down);
}

int
verify_main(void)
{
    int status;

    helper_serve();
    verify_content = helper_content(1, VERIFY_SLICES * 65536, 5);
    verify_foreign = helper_content(2, VERIFY_SLICES * 65536, 0);
    status = g_test_run();
    vimg_buffer_unref(verify_content);
    vimg_buffer_unref(verify_foreign);
    return status;
}
