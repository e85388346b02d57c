/*
 * test-verify.c: what is found when everything is read again, and how it heals
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <zstd.h>

#include "collect.h"
#include "damage.h"
#include "json.h"
#include "memory-transport.h"
#include "slice.h"
#include "store-helper.h"
#include "trash.h"
#include "verify.h"

#define SLICES 12

static VimgBuffer *content; /* of all images; slices 4 and 9 are zeros */
static VimgBuffer *foreign; /* shares nothing with it */

/* ---- the daemon's side ------------------------------------------------------------------ */

static guint cancel_after; /* questions until a job is cancelled; 0: never */
static gint64 cancel_at;   /* when it is; 0: never */

static gboolean
job_cancelled(VimgPluginJob *job)
{
    if (cancel_at > 0 && g_get_monotonic_time() >= cancel_at)
        return TRUE;
    return cancel_after > 0 && --cancel_after == 0;
}

static void
job_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    g_assert_cmpuint(done, <=, total);
}

static void
ignore_log(VimgLogLevel level, const char *message)
{
}

static guint
no_timer(guint seconds, void (*func)(gpointer data), gpointer data)
{
    return 0;
}

static const VimgServices services = {
    .abi = VIMG_PLUGIN_ABI,
    .size = sizeof(services),
    .log = ignore_log,
    .job_progress = job_progress,
    .job_cancelled = job_cancelled,
    .timer_add = no_timer,
};

#define JOB ((VimgPluginJob *)&cancel_after)

/* ---- a transport that lets something happen --------------------------------------------- */

typedef struct _Fixture Fixture;

typedef enum {
    AT_LIFT, /* before a slice is taken out of its place */
    AT_LOOK, /* before it is read where it is then */
    AT_TURN, /* before the turn of an image is taken */
    N_EVENTS,
} Event;

typedef struct {
    VimgTransport parent;
    VimgTransport *inner;
    Fixture *fixture;
    void (*happen[N_EVENTS])(Fixture *fixture); /* once each; by __atomic builtins, as is: */
    guint reads;                                /* of slices */
    const char *broken;                         /* paths that have this cannot be read */
    gboolean zeros;                             /* large zero slices are read, too */
} Watch;

struct _Fixture {
    MemoryDisk *disk;
    Watch *watch;
    VimgSliceStore *store;
    VimgSliceStore *other; /* another host */
    char *uuid;
    char *dir; /* state */
};

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
watch_read(Watch *watch, VimgOp *op)
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
    vimg_transport_run(watch->inner, op, 1);
}

/* Returns: N_EVENTS for most. */
static Event
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
    Watch *watch = (Watch *)transport;
    gsize i;

    for (i = 0; i < n; i++) {
        Event event = event_of(&ops[i]);
        void (*happen)(Fixture * fixture) = NULL;

        if (event < N_EVENTS)
            happen = __atomic_exchange_n(&watch->happen[event], NULL, __ATOMIC_ACQ_REL);
        if (happen)
            happen(watch->fixture);
        if (ops[i].kind == VIMG_OP_READ)
            watch_read(watch, &ops[i]);
        else
            vimg_transport_run(watch->inner, &ops[i], 1);
    }
}

static int
watch_sync_all(VimgTransport *transport)
{
    return vimg_transport_sync_all(((Watch *)transport)->inner);
}

static int
watch_space(VimgTransport *transport, VimgSpace *out)
{
    return vimg_transport_space(((Watch *)transport)->inner, out);
}

static void
watch_free(VimgTransport *transport)
{
    vimg_transport_free(((Watch *)transport)->inner);
    g_free(transport);
}

static const VimgTransportOps watch_ops = {
    .run = watch_run,
    .sync_all = watch_sync_all,
    .space = watch_space,
    .free = watch_free,
};

static void
upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *bytes)
{
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, bytes, &error);
    g_assert_no_error(error);
}

static Watch *
watch_new(MemoryDisk *disk, gboolean whole)
{
    Watch *watch = g_new0(Watch, 1);

    watch->parent.ops = &watch_ops;
    watch->inner = memory_transport_new(disk, whole);
    return watch;
}

static VimgSliceStore *
connect(MemoryDisk *disk, gboolean whole)
{
    return helper_reopen(&watch_new(disk, whole)->parent);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->watch = watch_new(fixture->disk, TRUE);
    fixture->watch->fixture = fixture;
    fixture->store = helper_store(&fixture->watch->parent);
    fixture->other = connect(fixture->disk, TRUE);
    fixture->dir = helper_dir();
    fixture->store->state_dir = g_build_filename(fixture->dir, "state", NULL);
    fixture->uuid = helper_create(fixture->store, "a", 0);
    upload(fixture->store, fixture->uuid, content);
    cancel_after = 0;
    cancel_at = 0;
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    vimg_slice_store_free(fixture->other);
    memory_disk_free(fixture->disk);
    helper_remove_dir(fixture->dir);
    g_free(fixture->dir);
    g_free(fixture->uuid);
}

/* ---- what there is ---------------------------------------------------------------------- */

static VimgSliceId
id_of(const VimgBuffer *bytes, gsize slice)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id;

    vimg_slice_hash(tools, bytes->data + slice * 65536, 65536, &id);
    return id;
}

/* Another content for slice @id; NULL: none at all. */
static void
replace(Fixture *fixture, const VimgSliceId *id, gconstpointer data, gsize size)
{
    VimgTransport *transport = fixture->other->transport;
    g_autofree char *path = vimg_slice_path(id);

    vimg_transport_unlink(transport, path);
    if (data)
        g_assert_cmpint(vimg_transport_create(transport, path, data, size, TRUE), ==, 0);
}

static void
spoil(Fixture *fixture, gsize slice)
{
    VimgSliceId id = id_of(content, slice);

    replace(fixture, &id, "no slice", 8);
}

static void
put_good(Fixture *fixture, gsize slice)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id = id_of(content, slice);
    gsize size;
    const guint8 *frame =
        vimg_slice_compress(tools, content->data + slice * 65536, 65536, 1, &size, NULL);

    replace(fixture, &id, frame, size);
}

static gboolean
exists(VimgSliceStore *store, const char *path)
{
    VimgFileInfo info;

    return vimg_transport_stat(store->transport, path, &info) == 0;
}

static gboolean
in_place(Fixture *fixture, gsize slice)
{
    VimgSliceId id = id_of(content, slice);
    g_autofree char *path = vimg_slice_path(&id);

    return exists(fixture->other, path);
}

static guint
count(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, dir, &names), ==, 0);
    return names->len;
}

/* ---- reports ---------------------------------------------------------------------------- */

typedef struct {
    guint64 checked, bad, missing, foreign, bytes;
    guint damaged;
} Report;

static Report
verify(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_verify(store, uuid, JOB, &error);
    g_autoptr(JsonObject) root = NULL;
    JsonObject *slices;
    Report report;

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

static void
assert_damaged(VimgSliceStore *store, const char *uuid, const VimgSliceId *first)
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

/* ---- finding ---------------------------------------------------------------------------- */

static void
test_clean(Fixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    Report report;

    fixture->watch->zeros = TRUE;
    report = verify(fixture->store, uuid);
    /* the zero slices from 64 KiB to 64 MiB count too */
    g_assert_cmpuint(report.checked, ==, SLICES - 2 + 11);
    g_assert_cmpuint(report.bytes, >, 10 * 65536 / 4);
    g_assert_cmpuint(report.bad + report.missing + report.foreign + report.damaged, ==, 0);
    g_assert_cmpuint(count(fixture->store, "pending"), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, content);
}

/* Frames that other writers of the format make are as good. */
static void
test_other_frames(Fixture *fixture, gconstpointer data)
{
    gsize bound = ZSTD_compressBound(65536);
    g_autofree guint8 *frames = g_malloc(2 * bound);
    ZSTD_CCtx *tools = ZSTD_createCCtx();
    VimgSliceId id = id_of(content, 1);
    ZSTD_inBuffer in = {content->data + 65536, 65536, 0};
    ZSTD_outBuffer out = {frames, bound, 0};
    gsize n;

    /* one that does not say how long it is */
    g_assert_cmpuint(ZSTD_compressStream2(tools, &out, &in, ZSTD_e_flush), ==, 0);
    g_assert_cmpuint(ZSTD_compressStream2(tools, &out, &in, ZSTD_e_end), ==, 0);
    g_assert_cmpuint(ZSTD_getFrameContentSize(frames, out.pos), ==, ZSTD_CONTENTSIZE_UNKNOWN);
    replace(fixture, &id, frames, out.pos);
    /* two frames */
    id = id_of(content, 2);
    n = ZSTD_compress(frames, bound, content->data + 2 * 65536, 30000, 1);
    n += ZSTD_compress(frames + n, bound, content->data + 2 * 65536 + 30000, 35536, 1);
    replace(fixture, &id, frames, n);
    g_assert_cmpuint(verify(fixture->store, NULL).bad, ==, 0);
    /* cut short */
    replace(fixture, &id, frames, n - 1);
    id = id_of(content, 1);
    replace(fixture, &id, frames, 20);
    g_assert_cmpuint(verify(fixture->store, NULL).bad, ==, 2);
    ZSTD_freeCCtx(tools);
}

/* More zeros than any slice has. */
static void
test_bomb(Fixture *fixture, gconstpointer data)
{
    gsize size = 65 * MIB;
    g_autofree guint8 *zeros = g_malloc0(size);
    g_autofree guint8 *frame = g_malloc(ZSTD_compressBound(size));
    VimgSliceId id = id_of(content, 0);

    replace(fixture, &id, frame, ZSTD_compress(frame, ZSTD_compressBound(size), zeros, size, 1));
    g_assert_cmpuint(verify(fixture->store, NULL).bad, ==, 1);
}

static void
test_damage(Fixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autofree char *c = helper_create(fixture->store, "c", 0);
    VimgSliceId ids[] = {id_of(content, 0), id_of(content, 5), id_of(content, 7)};
    g_autoptr(GError) error = NULL;
    char hex[VIMG_ID_HEX];
    g_autofree char *aside = NULL;
    Report report;

    upload(fixture->store, b, content);
    upload(fixture->store, c, foreign);
    replace(fixture, &ids[0], "", 0);
    replace(fixture, &ids[1], "garbage", 7);
    replace(fixture, &ids[2], NULL, 0);
    vimg_transport_create(fixture->store->transport, "slices.castr/README", "?", 1, FALSE);
    vimg_id_to_hex(&ids[1], hex);
    aside = g_strdup_printf("slices.castr/%.4s/%s.tmp", hex, hex);
    vimg_transport_create(fixture->store->transport, aside, "?", 1, FALSE);
    report = verify(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 2);
    g_assert_cmpuint(report.missing, ==, 3);
    g_assert_cmpuint(report.foreign, ==, uuid ? 0 : 2);
    g_assert_cmpuint(report.damaged, ==, 2); /* b too, of which nobody asked */
    g_assert_true(exists(fixture->store, aside));
    assert_damaged(fixture->store, fixture->uuid, &ids[0]);
    assert_damaged(fixture->other, b, &ids[0]);
    g_assert_cmpint(helper_state(fixture->store, c), ==, VIMG_IMAGE_ACTIVE);
    g_assert_null(helper_download(fixture->store, b, 0, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_cmpuint(count(fixture->store, "bad"), ==, 2);
    /* it is no worse the second time, and another copy goes beside the first */
    report = verify(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 0);
    g_assert_cmpuint(report.missing, ==, 3);
    replace(fixture, &ids[1], "garbage again", 13);
    g_assert_cmpuint(verify(fixture->store, uuid).bad, ==, 1);
    g_free(aside);
    aside = g_strdup_printf("bad/%s.1", hex);
    g_assert_true(exists(fixture->store, aside));
}

/* Whatever is bad of another image is not read. */
static void
test_one(Fixture *fixture, gconstpointer data)
{
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    VimgSliceId id = id_of(foreign, 3);
    g_autoptr(GError) error = NULL;

    upload(fixture->store, b, foreign);
    replace(fixture, &id, "garbage", 7);
    g_assert_cmpuint(verify(fixture->store, fixture->uuid).bad, ==, 0);
    g_assert_cmpuint(count(fixture->store, "bad"), ==, 0);
    g_assert_cmpuint(verify(fixture->store, b).bad, ==, 1);
    assert_damaged(fixture->store, b, &id);
    g_assert_null(
        vimg_verify(fixture->store, "c0ffee00-0000-4000-8000-000000000000", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* Their content is known. */
static void
test_zeros(Fixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;

    replace(fixture, vimg_zero_id(65536), "garbage", 7);
    replace(fixture, vimg_zero_id(1048576), "", 0);
    replace(fixture, vimg_zero_id(VIMG_ZERO_MAX), NULL, 0);
    fixture->watch->zeros = TRUE;
    g_assert_cmpuint(verify(fixture->store, uuid).damaged, ==, 0);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    test_clean(fixture, data);
}

static void
spoil_index(Fixture *fixture)
{
    g_autofree char *path = vimg_image_path(fixture->uuid, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) index = helper_index(fixture->store, fixture->uuid);

    index->data[64 + 8] ^= 1;
    vimg_transport_unlink(fixture->store->transport, path);
    vimg_transport_create(fixture->store->transport, path, index->data, index->size, FALSE);
}

static void
test_index(Fixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;

    spoil_index(fixture);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpuint(verify(fixture->store, uuid).damaged, ==, 1);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    g_assert_cmpuint(verify(fixture->store, uuid).damaged, ==, 1);
}

/* It is reported, and nothing is changed. */
static void
test_read_only(Fixture *fixture, gconstpointer data)
{
    spoil(fixture, 3);
    fixture->store->read_only = TRUE;
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 1);
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 1);
    g_assert_cmpuint(memory_disk_count(fixture->disk), ==, 0);
    g_assert_true(in_place(fixture, 3));
}

/* A disk that cannot read a slice has a bad slice. */
static void
test_unreadable(Fixture *fixture, gconstpointer data)
{
    VimgSliceId id = id_of(content, 3);
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(&id, hex);
    fixture->watch->broken = hex;
    g_assert_cmpuint(verify(fixture->store, NULL).bad, ==, 1);
    assert_damaged(fixture->store, fixture->uuid, &id);
    /* and if it can, after all: the slice is back */
    fixture->watch->broken = NULL;
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, content);
    g_assert_cmpuint(count(fixture->store, "bad"), ==, 0);
}

/* A storage out of reach says of everything that it cannot be read: no slice is bad for that. */
static void
test_out_of_reach(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->watch->broken = data;
    g_assert_null(vimg_verify(fixture->store, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    /* up to so many may be bad indeed, if anything else can be read */
    g_assert_cmpuint(count(fixture->store, "bad"), <, *(const char *)data ? 8 : 1);
    fixture->watch->broken = NULL;
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, content);
}

/* A frame for which there is no memory is no bad one. */
static void
test_no_memory(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) frame = vimg_buffer_new(ZSTD_compressBound(65536));
    VimgSliceId id = id_of(content, 1);
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    ZSTD_inBuffer in = {content->data + 65536, 65536, 0};
    ZSTD_outBuffer out = {frame->data, frame->size, 0};
    struct rlimit whole;
    struct rlimit none = {0};
    gboolean good;
    int result;

    /* of unknown length, with a window of 128 MiB */
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog, 27);
    g_assert_cmpuint(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_flush), ==, 0);
    g_assert_cmpuint(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_end), ==, 0);
    ZSTD_freeCCtx(compressor);
    frame->size = out.pos;
    g_assert_cmpint(getrlimit(RLIMIT_AS, &whole), ==, 0);
    none.rlim_max = whole.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &none), ==, 0);
    result = vimg_slice_check(tools, &id, frame, &good);
    g_assert_cmpint(setrlimit(RLIMIT_AS, &whole), ==, 0);
    g_assert_cmpint(result, ==, ENOMEM);
    g_assert_cmpint(vimg_slice_check(tools, &id, frame, &good), ==, 0);
    g_assert_true(good);
}

/* ---- healing ---------------------------------------------------------------------------- */

static void
test_heal(Fixture *fixture, gconstpointer data)
{
    g_autofree char *mark = vimg_image_path(fixture->uuid, VIMG_IMAGE_DAMAGED);
    g_autofree char *b = helper_create(fixture->other, "b", 0);

    spoil(fixture, 0);
    spoil(fixture, 7);
    verify(fixture->store, NULL);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    g_assert_true(exists(fixture->store, mark));
    put_good(fixture, 0);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    upload(fixture->other, b, content);
    fixture->store->read_only = TRUE;
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_true(exists(fixture->store, mark));
    fixture->store->read_only = FALSE;
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_false(exists(fixture->store, mark));
    helper_assert_content(fixture->store, fixture->uuid, content);
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 0);
}

/* More slices than the mark has room for: what it does not list, the index does. */
static void
test_long_list(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgDamage) damage = {.ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId)), .count = 9};
    VimgSliceId listed = id_of(content, 0);
    VimgSliceId unlisted = id_of(content, 5);
    g_autoptr(GError) error = NULL;

    g_array_append_val(damage.ids, listed);
    replace(fixture, &unlisted, NULL, 0);
    vimg_damage_write(fixture->store, fixture->uuid, &damage, &error);
    g_assert_no_error(error);
    assert_damaged(fixture->store, fixture->uuid, &unlisted);
    replace(fixture, &listed, NULL, 0);
    assert_damaged(fixture->store, fixture->uuid, &listed);
    put_good(fixture, 0);
    put_good(fixture, 5);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
}

/* The slice of an upload under way is set aside: it fails at the end, and the next one heals it. */
static void
test_upload(Fixture *fixture, gconstpointer data)
{
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, b, &request, NULL, &error);
    VimgSliceId id = id_of(foreign, 1);
    g_autoptr(VimgBuffer) half = vimg_buffer_new(6 * 65536);

    g_assert_no_error(error);
    memcpy(half->data, foreign->data, half->size);
    helper_feed(writer, half, 0, 65536, FALSE, &error);
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);
    writer = vimg_slice_writer_open(fixture->store, b, &request, NULL, &error);
    helper_feed(writer, foreign, 0, 65536, FALSE, &error);
    g_assert_no_error(error);
    replace(fixture, &id, "garbage", 7);
    g_assert_cmpuint(verify(fixture->other, NULL).bad, ==, 1);
    if (!helper_finish(writer, TRUE, foreign->size, &error)) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_cmpint(helper_state(fixture->store, b), ==, VIMG_IMAGE_SAVING);
        upload(fixture->store, b, foreign);
    }
    helper_assert_content(fixture->store, b, foreign);
    g_assert_cmpuint(verify(fixture->store, NULL).damaged, ==, 0);
}

/* Deleted, it is in the trash: it may get its slices back. */
static void
test_delete(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) again = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    spoil(fixture, 0);
    verify(fixture->store, NULL);
    vimg_image_remove(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_false(vimg_trash_restore(fixture->store, fixture->uuid, "a", &image, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    put_good(fixture, 0);
    vimg_trash_restore(fixture->store, fixture->uuid, "a", &again, &error);
    g_assert_no_error(error);
    g_assert_cmpint(again.state, ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(fixture->store, fixture->uuid, content);
}

/* Wiped, it is as good as new. */
static void
test_wipe(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    spoil(fixture, 0);
    verify(fixture->store, NULL);
    vimg_image_wipe(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_SAVING);
    upload(fixture->store, fixture->uuid, foreign);
    helper_assert_content(fixture->store, fixture->uuid, foreign);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
}

/* ---- in between ------------------------------------------------------------------------- */

static void
store_again(Fixture *fixture)
{
    put_good(fixture, 3);
}

/* Another host was quicker, and somebody stored the slice again: it is not taken away. */
static void
test_healed_meanwhile(Fixture *fixture, gconstpointer data)
{
    Report report;

    spoil(fixture, 3);
    fixture->watch->happen[AT_LIFT] = store_again;
    report = verify(fixture->store, NULL);
    g_assert_cmpuint(report.bad + report.damaged, ==, 0);
    g_assert_true(in_place(fixture, 3));
    g_assert_cmpuint(count(fixture->store, "bad"), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, content);
}

/* What is looked at out of its place is there for everybody. */
static void
use_all(Fixture *fixture)
{
    g_autofree char *b = helper_create(fixture->other, "b", 0);

    helper_assert_content(fixture->other, fixture->uuid, content);
    upload(fixture->other, b, content);
    helper_assert_content(fixture->other, b, content);
}

static void
test_used_meanwhile(Fixture *fixture, gconstpointer data)
{
    spoil(fixture, 3);
    fixture->watch->happen[AT_LIFT] = store_again;
    fixture->watch->happen[AT_LOOK] = use_all;
    g_assert_cmpuint(verify(fixture->store, NULL).bad, ==, 0);
    g_assert_null(fixture->watch->happen[AT_LOOK]);
    g_assert_true(in_place(fixture, 3));
    g_assert_cmpuint(helper_count_gc(fixture->store), ==, 0);
}

static guint killed_after; /* steps of a verification */

static void
store_again_and_die(Fixture *fixture)
{
    put_good(fixture, 3);
    memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_CRASH, .at = killed_after});
}

static gboolean
kill_at_look(Fixture *fixture)
{
    MemoryDisk *disk = memory_disk_copy(fixture->disk);
    Watch *watch = watch_new(disk, TRUE);
    Fixture killed = {.disk = disk, .watch = watch, .uuid = fixture->uuid};
    g_autofree char *first = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    killed.store = helper_reopen(&watch->parent);
    killed.other = connect(disk, TRUE);
    watch->fixture = &killed;
    watch->happen[AT_LIFT] = store_again_and_die;
    first = vimg_verify(killed.store, NULL, NULL, NULL);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    helper_assert_content(killed.other, fixture->uuid, content);
    helper_fence_all(killed.other);
    report = vimg_collect(killed.other, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(in_place(&killed, 3));
    g_assert_cmpuint(helper_count_gc(killed.other), ==, 0);
    helper_assert_content(killed.other, fixture->uuid, content);
    vimg_slice_store_free(killed.store);
    vimg_slice_store_free(killed.other);
    memory_disk_free(disk);
    return first != NULL;
}

static void
test_killed(Fixture *fixture, gconstpointer data)
{
    spoil(fixture, 3);
    for (killed_after = 1; !kill_at_look(fixture); killed_after++)
        ;
    g_assert_cmpuint(killed_after, >, 4);
}

/* A bad slice that a collector has, or a verification that was killed, is found to be bad. */
static void
test_condemned(Fixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    VimgSliceId id = id_of(content, 3);
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autofree char *lifted = NULL;
    Report report;

    upload(fixture->store, b, content);
    spoil(fixture, 3);
    g_assert_cmpint(vimg_slice_lift(fixture->store->transport, &id, &lifted), ==, 0);
    report = verify(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 1);
    g_assert_cmpuint(report.damaged, ==, 2);
    assert_damaged(fixture->store, fixture->uuid, &id);
    g_assert_false(in_place(fixture, 3));
}

static void
upload_again(Fixture *fixture)
{
    g_autofree char *index = vimg_image_path(fixture->uuid, VIMG_IMAGE_INDEX);
    g_autoptr(GError) error = NULL;

    /* what is cut off may be wiped */
    g_assert_cmpint(vimg_transport_unlink(fixture->other->transport, index), ==, 0);
    g_assert_cmpint(vimg_transport_create(fixture->other->transport, index, "x", 1, FALSE), ==, 0);
    vimg_image_wipe(fixture->other, fixture->uuid, &error);
    g_assert_no_error(error);
    upload(fixture->other, fixture->uuid, foreign);
}

/* The image whose index was found broken is another one when it is to be marked. */
static void
test_index_meanwhile(Fixture *fixture, gconstpointer data)
{
    spoil_index(fixture);
    fixture->watch->happen[AT_TURN] = upload_again;
    verify(fixture->store, NULL);
    g_assert_null(fixture->watch->happen[AT_TURN]);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(fixture->store, fixture->uuid, foreign);
}

static void *
verify_all(void *data)
{
    guint i;

    for (i = 0; i < 6; i++)
        verify(data, NULL);
    return NULL;
}

/* Two hosts verify while a third stores and one spoils: what is good at the end is in its place. */
static void
test_race(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *third = connect(fixture->disk, TRUE);
    VimgSliceStore *stores[] = {fixture->store, fixture->other};
    pthread_t threads[G_N_ELEMENTS(stores)];
    g_autofree char *b = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(stores); i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, verify_all, stores[i]), ==, 0);
    for (i = 0; i < 200; i++) {
        VimgSliceId id = id_of(content, 3);
        g_autofree char *path = vimg_slice_path(&id);
        g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
        gsize size;
        const guint8 *frame;

        /* either may find the other's file; nobody but a verification takes a whole one away */
        if (i % 2 == 0) {
            vimg_transport_unlink(third->transport, path);
            vimg_transport_create(third->transport, path, "bad", 3, TRUE);
        } else {
            frame = vimg_slice_compress(tools, content->data + 3 * 65536, 65536, 1, &size, NULL);
            vimg_transport_create(third->transport, path, frame, size, TRUE);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(stores); i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    verify(third, NULL);
    b = helper_create(third, "b", 0);
    upload(third, b, content);
    g_assert_cmpuint(verify(third, NULL).damaged, ==, 0);
    helper_assert_content(third, fixture->uuid, content);
    vimg_slice_store_free(third);
}

/* ---- interrupted ------------------------------------------------------------------------ */

/* Cancelled here and there, it goes on: no slice is read twice but those of the last batch. */
static void
test_resume(Fixture *fixture, gconstpointer data)
{
    g_autofree char *record = g_build_filename(fixture->store->state_dir, "verify.json", NULL);
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autoptr(VimgBuffer) large = helper_content(7, 700 * 65536, 0);
    g_autoptr(GError) error = NULL;
    Report whole;
    Report report;

    upload(fixture->store, b, large);
    whole = verify(fixture->store, NULL);
    g_assert_cmpuint(whole.checked, >, 700);
    g_assert_false(g_file_test(record, G_FILE_TEST_EXISTS));
    cancel_after = 1200;
    g_assert_null(vimg_verify(fixture->store, NULL, JOB, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    g_assert_true(g_file_test(record, G_FILE_TEST_EXISTS));
    cancel_after = 0;
    fixture->watch->reads = 0;
    report = verify(fixture->store, NULL);
    g_assert_cmpuint(report.checked, ==, whole.checked);
    g_assert_cmpuint(report.bytes, ==, whole.bytes);
    g_assert_cmpuint(fixture->watch->reads, <, whole.checked - 200);
    /* what was finished starts afresh, and so does what another store's record says */
    fixture->watch->reads = 0;
    g_assert_true(g_file_set_contents(record, "{\"store\": \"x\", \"next\": 65536}", -1, NULL));
    verify(fixture->store, NULL);
    g_assert_cmpuint(fixture->watch->reads, ==, whole.checked);
}

static void
test_rate(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 began;
    Report report;

    fixture->store->verify_rate = 0;
    report = verify(fixture->store, NULL);
    fixture->store->verify_rate = report.bytes / 3;
    began = g_get_monotonic_time();
    verify(fixture->store, NULL);
    /* what is in flight is let through */
    g_assert_cmpint(g_get_monotonic_time() - began, >, G_USEC_PER_SEC);
    fixture->store->verify_rate = 1;
    cancel_at = g_get_monotonic_time() + G_USEC_PER_SEC;
    g_assert_null(vimg_verify(fixture->store, NULL, JOB, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_cmpint(g_get_monotonic_time() - cancel_at, <, 5 * G_USEC_PER_SEC);
}

/* ---- at every step ---------------------------------------------------------------------- */

/*
 * Whatever became of the verification, the next one finds the same, and good slices are there.
 * Returns: how many steps there were.
 */
static guint
step(Fixture *fixture, const Fault *fault, guint32 fate)
{
    MemoryDisk *disk = memory_disk_copy(fixture->disk);
    VimgSliceStore *store = connect(disk, FALSE);
    VimgSliceId id = id_of(content, 3);
    g_autofree char *b = NULL;
    g_autofree char *text = NULL;
    guint steps;

    memory_disk_set_fault(disk, fault);
    text = vimg_verify(store, NULL, NULL, NULL);
    steps = memory_disk_count(disk);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    if (fault->kind == FAULT_CRASH) {
        vimg_slice_store_free(store);
        memory_disk_crash(disk, fate ? fate * 1000003 + fault->at : 0);
        store = connect(disk, TRUE);
        helper_fence_all(store);
        if (text)
            assert_damaged(store, fixture->uuid, &id);
    }
    g_assert_cmpuint(verify(store, NULL).damaged, ==, 1);
    assert_damaged(store, fixture->uuid, &id);
    b = helper_create(store, "b", 0);
    upload(store, b, content);
    g_assert_cmpint(helper_state(store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(store, fixture->uuid, content);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
    return steps;
}

static void
test_faults(Fixture *fixture, gconstpointer data)
{
    const Fault *fault = data;
    guint steps;
    guint at;

    spoil(fixture, 3);
    replace(fixture, vimg_zero_id(65536), "garbage", 7);
    steps = step(fixture, &(Fault){FAULT_NONE}, 0);
    g_assert_cmpuint(steps, >, 20);
    for (at = 1; at <= steps + 1; at += helper_stride())
        step(fixture, &(Fault){.kind = fault->kind, .at = at, .result = EIO}, at % 3);
}

#define ADD(path, data, func) g_test_add(path, Fixture, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    static const Fault crash = {.kind = FAULT_CRASH};
    static const Fault failure = {.kind = FAULT_ERROR};
    int status;

    g_test_init(&argc, &argv, NULL);
    vimg_services = &services;
    content = helper_content(1, SLICES * 65536, 5);
    foreign = helper_content(2, SLICES * 65536, 0);
    ADD("/imagestore/verify/clean/all", NULL, test_clean);
    ADD("/imagestore/verify/clean/one", "one", test_clean);
    ADD("/imagestore/verify/other-frames", NULL, test_other_frames);
    ADD("/imagestore/verify/bomb", NULL, test_bomb);
    ADD("/imagestore/verify/damage/all", NULL, test_damage);
    ADD("/imagestore/verify/damage/one", "one", test_damage);
    ADD("/imagestore/verify/one", NULL, test_one);
    ADD("/imagestore/verify/zeros/all", NULL, test_zeros);
    ADD("/imagestore/verify/zeros/one", "one", test_zeros);
    ADD("/imagestore/verify/index/all", NULL, test_index);
    ADD("/imagestore/verify/index/one", "one", test_index);
    ADD("/imagestore/verify/read-only", NULL, test_read_only);
    ADD("/imagestore/verify/unreadable", NULL, test_unreadable);
    ADD("/imagestore/verify/out-of-reach/all", "", test_out_of_reach);
    ADD("/imagestore/verify/out-of-reach/slices", ".cacnk", test_out_of_reach);
    /* not where memory is the sanitizer's */
    if (helper_stride() == 1)
        ADD("/imagestore/verify/no-memory", NULL, test_no_memory);
    ADD("/imagestore/verify/heal", NULL, test_heal);
    ADD("/imagestore/verify/long-list", NULL, test_long_list);
    ADD("/imagestore/verify/upload", NULL, test_upload);
    ADD("/imagestore/verify/delete", NULL, test_delete);
    ADD("/imagestore/verify/wipe", NULL, test_wipe);
    ADD("/imagestore/verify/healed-meanwhile", NULL, test_healed_meanwhile);
    ADD("/imagestore/verify/used-meanwhile", NULL, test_used_meanwhile);
    ADD("/imagestore/verify/killed", NULL, test_killed);
    ADD("/imagestore/verify/condemned/all", NULL, test_condemned);
    ADD("/imagestore/verify/condemned/one", "one", test_condemned);
    ADD("/imagestore/verify/index-meanwhile", NULL, test_index_meanwhile);
    ADD("/imagestore/verify/race", NULL, test_race);
    ADD("/imagestore/verify/resume", NULL, test_resume);
    ADD("/imagestore/verify/rate", NULL, test_rate);
    ADD("/imagestore/verify/crash", &crash, test_faults);
    ADD("/imagestore/verify/errors", &failure, test_faults);
    status = g_test_run();
    vimg_buffer_unref(content);
    vimg_buffer_unref(foreign);
    return status;
}
