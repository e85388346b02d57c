/*
 * test-trash.c: deleted images, restored and purged, by two hosts at once and with the power cut
 *
 * Whatever happens, an image is either in the trash or restored, with all its bytes, and no name
 * is taken by nobody.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>

#include "claim.h"
#include "collect.h"
#include "memory-transport.h"
#include "promise.h"
#include "slice.h"
#include "store-helper.h"
#include "trash.h"
#include "turn.h"

static VimgBuffer *content;

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
    VimgSliceStore *other; /* another host */
    char *uuid;            /* in the trash, once "a" */
} Fixture;

static VimgSliceStore *
connect(MemoryDisk *disk)
{
    return helper_reopen(memory_transport_new(disk, TRUE));
}

static void delete (VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_image_remove(store, uuid, &error);
    g_assert_no_error(error);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
    fixture->other = connect(fixture->disk);
    fixture->uuid = helper_create(fixture->store, "a", 0);
    helper_upload(fixture->store, fixture->uuid, content, &error);
    g_assert_no_error(error);
    delete (fixture->store, fixture->uuid);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    vimg_slice_store_free(fixture->other);
    memory_disk_free(fixture->disk);
    g_free(fixture->uuid);
}

static gboolean
restore(VimgSliceStore *store, const char *uuid, const char *name, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    if (!vimg_trash_restore(store, uuid, name, &out, error))
        return FALSE;
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return TRUE;
}

static gboolean
take_first(const VimgPluginImage *image, gpointer data)
{
    VimgPluginImage *out = data;

    out->uuid = g_strdup(image->uuid);
    out->name = g_strdup(image->name);
    out->reason = g_strdup(image->reason);
    out->state = image->state;
    out->deleted = image->deleted;
    return FALSE;
}

/* The first of the trash, or of the others; FALSE: there is none. */
static gboolean
first(VimgSliceStore *store, gboolean trash, VimgPluginImage *out)
{
    g_autoptr(GError) error = NULL;

    if (trash)
        vimg_trash_list(store, take_first, out, &error);
    else
        vimg_image_list(store, take_first, out, &error);
    g_assert_no_error(error);
    return out->uuid != NULL;
}

static gboolean
is_listed(VimgSliceStore *store, gboolean trash)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    return first(store, trash, &image);
}

static void
assert_free(VimgSliceStore *store, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;

    helper_try_create(store, name, &uuid, &error);
    g_assert_no_error(error);
    delete (store, uuid);
}

static guint
count(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, dir, &names), ==, 0);
    return names->len;
}

/* ---- one after the other ---------------------------------------------------------------- */

static void
test_restore(Fixture *fixture, gconstpointer data)
{
    const char *name = data;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_true(first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.uuid, ==, fixture->uuid);
    g_assert_cmpstr(image.name, ==, "a");
    g_assert_cmpint(image.deleted, >, 0);
    restore(fixture->other, fixture->uuid, name, &error);
    g_assert_no_error(error);
    g_assert_false(is_listed(fixture->store, TRUE));
    helper_assert_content(fixture->store, fixture->uuid, content);
    if (strcmp(name, "a") != 0)
        assert_free(fixture->store, "a");
    g_assert_false(restore(fixture->store, fixture->uuid, name, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);
    g_assert_false(vimg_trash_purge(fixture->store, fixture->uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    helper_assert_content(fixture->store, fixture->uuid, content);
    g_assert_cmpuint(count(fixture->store, "pending"), ==, 0);
    g_assert_cmpuint(count(fixture->store, "names"), ==, 1);
}

static void
test_restore_taken(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *uuid = helper_create(fixture->other, "b", 0);
    g_autoptr(GError) error = NULL;

    g_assert_false(restore(fixture->store, fixture->uuid, "b", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_true(first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.name, ==, "a");
    g_assert_cmpint(helper_state(fixture->store, uuid), ==, VIMG_IMAGE_SAVING);
    restore(fixture->store, fixture->uuid, "a", &error);
    g_assert_no_error(error);
}

static void
test_purge(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    vimg_trash_purge(fixture->other, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_false(is_listed(fixture->store, TRUE));
    g_assert_false(is_listed(fixture->store, FALSE));
    g_assert_cmpuint(count(fixture->store, "images"), ==, 0);
    g_assert_false(restore(fixture->store, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

#define PROMISE "11111111-1111-4111-8111-111111111111"

static void
keep(VimgSliceStore *store, const char *uuid, gint64 until)
{
    g_autoptr(GError) error = NULL;

    vimg_promise_keep(store, uuid, PROMISE, until, &error);
    g_assert_no_error(error);
}

/* As the other host cleans up or purges it at once.  Returns: whether it is gone. */
static gboolean
lose(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    fixture->other->keep_deleted = 0;
    report = vimg_collect(fixture->other, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    if (is_listed(fixture->store, TRUE)) {
        g_assert_false(vimg_trash_purge(fixture->other, fixture->uuid, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    }
    return !is_listed(fixture->store, TRUE);
}

/* What one host has promised no other removes: until then, or until that has ended. */
static void
test_kept(Fixture *fixture, gconstpointer data)
{
    const gint64 later = g_get_real_time() / G_USEC_PER_SEC + 3600;
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_promise_keep(fixture->store, fixture->uuid, PROMISE, later, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL); /* it is in the trash */
    restore(fixture->store, fixture->uuid, "a", NULL);
    keep(fixture->store, fixture->uuid, 5);
    keep(fixture->store, fixture->uuid, later);
    keep(fixture->store, fixture->uuid, later);
    delete (fixture->store, fixture->uuid);
    g_assert_false(lose(fixture));
    keep(fixture->store, fixture->uuid, 0);
    g_assert_true(lose(fixture));
    keep(fixture->store, fixture->uuid, 0); /* there is none, nor an image */
}

static void
test_kept_no_longer(Fixture *fixture, gconstpointer data)
{
    restore(fixture->store, fixture->uuid, "a", NULL);
    keep(fixture->store, fixture->uuid, g_get_real_time() / G_USEC_PER_SEC - 3600);
    delete (fixture->store, fixture->uuid);
    g_assert_true(lose(fixture));
}

static const struct {
    const char *name;
    gint64 until;
} promises[] = {
    {"kept." PROMISE ".7", 7},
    {"kept." PROMISE ".-7", 0},
    {"kept." PROMISE ".7x", 0},
    {"kept." PROMISE ".", 0},
    {"kept." PROMISE, 0},
    {"kept.", 0},
    {"skept." PROMISE ".7", 0},
    {"kept.1.7", 0},
    {"kept." PROMISE ".99999999999999999999", 0},
};

static void
test_promises(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(promises); i++) {
        g_test_message("%s", promises[i].name);
        g_assert_cmpint(vimg_promise_until(promises[i].name), ==, promises[i].until);
    }
}

/* Of an interrupted delete or restore the claim may be left. */
static void
test_left_claim(Fixture *fixture, gconstpointer data)
{
    const char *name = data;
    g_autofree char *path = vimg_claim_path("a", fixture->uuid);
    g_autoptr(GError) error = NULL;

    vimg_transport_mkdir(fixture->other->transport, "names/a");
    vimg_transport_create(fixture->other->transport, path, "", 0, FALSE);
    if (name) {
        restore(fixture->store, fixture->uuid, name, &error);
        helper_assert_content(fixture->store, fixture->uuid, content);
    } else {
        vimg_trash_purge(fixture->store, fixture->uuid, &error);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(count(fixture->store, "names"), ==, name ? 1 : 0);
}

/* Without a manifest it has no name, but can be seen and purged. */
static void
test_no_manifest(Fixture *fixture, gconstpointer data)
{
    g_autofree char *dir = g_strconcat("images/", fixture->uuid, NULL);
    g_autoptr(GPtrArray) names = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    guint i;

    vimg_transport_list(fixture->store->transport, dir, &names);
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = vimg_image_path(fixture->uuid, names->pdata[i]);

        if (g_str_has_prefix(names->pdata[i], "manifest."))
            g_assert_cmpint(vimg_transport_unlink(fixture->store->transport, path), ==, 0);
    }
    g_assert_true(first(fixture->store, TRUE, &image));
    g_assert_cmpstr(image.name, ==, fixture->uuid);
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_false(restore(fixture->store, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    vimg_trash_purge(fixture->store, fixture->uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count(fixture->store, "images"), ==, 0);
}

/* A slice that a collector took away comes back, durably; one that is nowhere is named. */
static void
test_condemned(Fixture *fixture, gconstpointer data)
{
    VimgTransport *transport = fixture->store->transport;
    VimgSliceTools *tools = vimg_slice_tools_new();
    g_autofree char *place = NULL;
    g_autofree char *condemned = NULL;
    g_autoptr(GError) error = NULL;
    char hex[VIMG_ID_HEX];
    VimgFileInfo info;
    VimgSliceId id;

    vimg_slice_hash(tools, content->data, 65536, &id);
    vimg_slice_tools_free(tools);
    vimg_id_to_hex(&id, hex);
    place = vimg_slice_path(&id);
    condemned = g_strdup_printf("gc/lock/run/condemned/%s.cacnk", hex);
    vimg_transport_mkdir(transport, "gc/lock");
    vimg_transport_mkdir(transport, "gc/lock/run");
    vimg_transport_mkdir(transport, "gc/lock/run/condemned");
    g_assert_cmpint(vimg_transport_rename(transport, place, condemned), ==, 0);
    g_assert_cmpint(vimg_transport_sync_all(transport), ==, 0);
    restore(fixture->other, fixture->uuid, "a", &error);
    g_assert_no_error(error);
    memory_disk_crash(fixture->disk, 0);
    helper_fence_all(fixture->store);
    g_assert_cmpint(vimg_transport_stat(transport, place, &info), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, content);
    delete (fixture->store, fixture->uuid);
    g_assert_cmpint(vimg_transport_unlink(transport, place), ==, 0);
    g_assert_false(restore(fixture->other, fixture->uuid, "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, hex));
    g_assert_true(is_listed(fixture->store, TRUE));
    assert_free(fixture->store, "a");
}

/* ---- in between ------------------------------------------------------------------------- */

/* Calls @happen right before the mark is taken. */
typedef struct {
    VimgTransport parent;
    VimgTransport *inner;
    Fixture *fixture;
    void (*happen)(Fixture *fixture);
} Between;

static void
between_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Between *between = (Between *)transport;
    void (*happen)(Fixture * fixture) = between->happen;

    if (happen && ops[0].kind == VIMG_OP_RENAME && g_str_has_suffix(ops[0].path, "/deleted")) {
        between->happen = NULL;
        happen(between->fixture);
    }
    vimg_transport_run(between->inner, ops, n);
}

static int
between_sync_all(VimgTransport *transport)
{
    return vimg_transport_sync_all(((Between *)transport)->inner);
}

static int
between_space(VimgTransport *transport, VimgSpace *out)
{
    return vimg_transport_space(((Between *)transport)->inner, out);
}

static void
between_free(VimgTransport *transport)
{
    vimg_transport_free(((Between *)transport)->inner);
    g_free(transport);
}

static const VimgTransportOps between_ops = {
    .run = between_run,
    .sync_all = between_sync_all,
    .space = between_space,
    .free = between_free,
};

static VimgSliceStore *
between_store(Fixture *fixture, void (*happen)(Fixture *fixture))
{
    Between *between = g_new0(Between, 1);

    between->parent.ops = &between_ops;
    between->inner = memory_transport_new(fixture->disk, TRUE);
    between->fixture = fixture;
    between->happen = happen;
    return helper_reopen(&between->parent);
}

static void
fence(Fixture *fixture)
{
    helper_fence_all(fixture->other);
}

static void
fence_and_restore(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    helper_fence_all(fixture->other);
    restore(fixture->other, fixture->uuid, "b", &error);
    g_assert_no_error(error);
}

/* What the collector does with an image that was deleted long ago. */
static void
expire(Fixture *fixture)
{
    g_autofree char *mark = vimg_image_path(fixture->uuid, VIMG_IMAGE_DELETED);

    g_assert_cmpint(vimg_transport_rename(fixture->other->transport, mark, "gc/expired"), ==, 0);
    g_assert_cmpint(vimg_image_remove_files(fixture->other, NULL, fixture->uuid), ==, 0);
}

static void
drop_claim(Fixture *fixture)
{
    g_autofree char *path = vimg_claim_path("b", fixture->uuid);

    vimg_transport_unlink(fixture->other->transport, path);
}

/* Another one tries while this one has the turn. */
static void
try_others(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;

    g_assert_false(restore(fixture->other, fixture->uuid, "c", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(vimg_trash_purge(fixture->other, fixture->uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(helper_try_create(fixture->other, "b", &uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
}

typedef struct {
    const char *path;
    void (*happen)(Fixture *fixture);
    int code;           /* of the restore as "b"; -1: it succeeds */
    gboolean there;     /* then the image is restored */
    gboolean deleted;   /* or in the trash */
    gboolean name_free; /* "b" */
} Case;

static const Case cases[] = {
    {"fenced", fence, VIMG_ERROR_FAILED, FALSE, TRUE, TRUE},
    {"fenced-restored", fence_and_restore, VIMG_ERROR_FAILED, TRUE, FALSE, FALSE},
    {"expired", expire, VIMG_ERROR_NO_VOL, FALSE, FALSE, TRUE},
    {"claim-lost", drop_claim, -1, TRUE, FALSE, FALSE},
    {"others", try_others, -1, TRUE, FALSE, FALSE},
};

static void
test_between(Fixture *fixture, gconstpointer data)
{
    const Case *c = data;
    VimgSliceStore *store = between_store(fixture, c->happen);
    g_autoptr(GError) error = NULL;

    if (restore(store, fixture->uuid, "b", &error))
        g_assert_cmpint(c->code, ==, -1);
    else
        g_assert_error(error, VIMG_ERROR, c->code);
    vimg_slice_store_free(store);
    g_assert_cmpint(is_listed(fixture->store, FALSE), ==, c->there);
    g_assert_cmpint(is_listed(fixture->store, TRUE), ==, c->deleted);
    if (c->there)
        helper_assert_content(fixture->store, fixture->uuid, content);
    if (c->name_free)
        assert_free(fixture->store, "b");
    assert_free(fixture->store, "a");
}

/* ---- at once ---------------------------------------------------------------------------- */

typedef struct {
    VimgSliceStore *store;
    const char *uuid;
    const char *name; /* NULL: purge */
    gboolean won;
} Racer;

static void *
race(void *data)
{
    Racer *racer = data;
    g_autoptr(GError) error = NULL;

    racer->won = racer->name ? restore(racer->store, racer->uuid, racer->name, &error)
                             : vimg_trash_purge(racer->store, racer->uuid, &error);
    if (!racer->won && !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY))
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    return NULL;
}

/* Exactly one of them gets the image, and the losers leave nothing behind. */
static void
test_race(Fixture *fixture, gconstpointer data)
{
    const char *const *names = data;
    guint round;

    for (round = 0; round < 60; round++) {
        MemoryDisk *disk = memory_disk_copy(fixture->disk);
        Racer racers[3] = {0};
        pthread_t threads[G_N_ELEMENTS(racers)];
        const Racer *winner = NULL;
        gsize i;

        for (i = 0; i < G_N_ELEMENTS(racers); i++) {
            racers[i] = (Racer){connect(disk), fixture->uuid, names[i], FALSE};
            g_assert_cmpint(pthread_create(&threads[i], NULL, race, &racers[i]), ==, 0);
        }
        for (i = 0; i < G_N_ELEMENTS(racers); i++) {
            g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
            g_assert_false(winner && racers[i].won);
            winner = racers[i].won ? &racers[i] : winner;
        }
        g_assert_nonnull(winner);
        g_assert_false(is_listed(winner->store, TRUE));
        g_assert_cmpuint(count(winner->store, "names"), ==, winner->name ? 1 : 0);
        g_assert_cmpuint(count(winner->store, "pending"), ==, 0);
        if (winner->name) {
            g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

            g_assert_true(first(winner->store, FALSE, &image));
            g_assert_cmpstr(image.name, ==, winner->name);
            helper_assert_content(winner->store, winner->uuid, content);
        } else {
            g_assert_false(is_listed(winner->store, FALSE));
        }
        for (i = 0; i < G_N_ELEMENTS(racers); i++)
            vimg_slice_store_free(racers[i].store);
        memory_disk_free(disk);
    }
}

/* ---- at every step ---------------------------------------------------------------------- */

typedef struct {
    gboolean restored; /* what was answered as done */
    gboolean deleted;
    gboolean purged;
} Told;

/* Restores as @name, deletes it again, and purges it; ends at the first failure. */
static gboolean
play(VimgSliceStore *store, const char *uuid, const char *name, Told *told)
{
    told->restored = restore(store, uuid, name, NULL);
    told->deleted = told->restored && vimg_image_remove(store, uuid, NULL);
    told->purged = told->deleted && vimg_trash_purge(store, uuid, NULL);
    return told->purged;
}

/* The image is in the trash or restored, and goes on from there; or it is purged for good. */
static void
check(VimgSliceStore *store, const char *uuid, const Told *told)
{
    gboolean there = is_listed(store, FALSE);
    gboolean deleted = is_listed(store, TRUE);
    g_autoptr(GError) error = NULL;

    g_assert_false(there && deleted);
    g_assert_false(told->purged && (there || deleted));
    g_assert_false(told->deleted && there);
    /* only a purge makes it vanish */
    g_assert_true(there || deleted || told->deleted);
    if (there) {
        helper_assert_content(store, uuid, content);
        delete (store, uuid);
    }
    assert_free(store, "a");
    assert_free(store, "b");
    if (!there && !deleted)
        return;
    restore(store, uuid, "c", &error);
    g_assert_no_error(error);
    helper_assert_content(store, uuid, content);
    assert_free(store, "a");
    assert_free(store, "b");
    delete (store, uuid);
    vimg_trash_purge(store, uuid, &error);
    g_assert_no_error(error);
    assert_free(store, "c");
    g_assert_false(is_listed(store, TRUE) || is_listed(store, FALSE));
}

static gboolean
step(Fixture *fixture, const char *name, const Fault *fault, guint32 fate)
{
    MemoryDisk *disk = memory_disk_copy(fixture->disk);
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, FALSE));
    Told told = {0};
    gboolean done;

    memory_disk_set_fault(disk, fault);
    done = play(store, fixture->uuid, name, &told);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    if (fault->kind == FAULT_CRASH) {
        vimg_slice_store_free(store);
        memory_disk_crash(disk, fate ? fate * 1000003 + fault->at : 0);
        store = connect(disk);
        helper_fence_all(store);
    }
    check(store, fixture->uuid, &told);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
    return done;
}

static void
test_crash(Fixture *fixture, gconstpointer data)
{
    gboolean done = FALSE;
    guint at;
    guint32 fate;

    for (at = 1; !done; at += helper_stride()) {
        for (fate = 0; fate < 8; fate++)
            done = step(fixture, data, &(Fault){.kind = FAULT_CRASH, .at = at}, fate);
    }
    g_assert_cmpuint(at, >, 30);
}

static void
test_errors(Fixture *fixture, gconstpointer data)
{
    guint at;

    for (at = 1; at < 120; at += helper_stride()) {
        step(fixture, data, &(Fault){.kind = FAULT_ERROR, .at = at, .result = EIO}, 0);
        step(fixture, data, &(Fault){.kind = FAULT_ERROR, .at = at, .result = ENOSPC}, 0);
    }
}

typedef gboolean (*List)(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error);

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

/* What the storage did not answer is not taken for an answer: @list fails, or shows its image. */
static void
check_lost(Fixture *fixture, List list, int result, gint code)
{
    gboolean through = FALSE;
    guint at;

    for (at = 1; !through; at++) {
        VimgSliceStore *fresh = connect(fixture->disk);
        g_autoptr(GError) error = NULL;
        gboolean good;
        guint seen = 0;

        memory_disk_set_fault(fixture->disk,
                              &(Fault){.kind = FAULT_LOOK, .at = at, .result = result});
        good = list(fresh, count_image, &seen, &error);
        through = memory_disk_count_looks(fixture->disk) < at;
        memory_disk_set_fault(fixture->disk, &(Fault){0});
        if (good)
            g_assert_cmpuint(seen, ==, 1);
        else
            g_assert_error(error, VIMG_ERROR, code);
        vimg_slice_store_free(fresh);
    }
    g_assert_cmpuint(at, >, 4);
}

static void
test_lost(Fixture *fixture, gconstpointer data)
{
    g_free(helper_create(fixture->store, "there", 0));
    check_lost(fixture, vimg_image_list, ENOTCONN, VIMG_ERROR_DISCONNECTED);
    check_lost(fixture, vimg_image_list, ECANCELED, VIMG_ERROR_ABORTED);
    check_lost(fixture, vimg_trash_list, ENOTCONN, VIMG_ERROR_DISCONNECTED);
    check_lost(fixture, vimg_trash_list, ECANCELED, VIMG_ERROR_ABORTED);
}

#define ADD(path, data, func) g_test_add(path, Fixture, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    static const char *const two_names[] = {"a", "b", NULL};
    static const char *const one_name[] = {"b", "b", NULL};
    static const char *const names[] = {"a", "b", "c"};
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    content = helper_content(1, 9 * 65536 + 17, 4);
    ADD("/imagestore/trash/restore/same-name", "a", test_restore);
    ADD("/imagestore/trash/restore/other-name", "b", test_restore);
    ADD("/imagestore/trash/restore/taken", NULL, test_restore_taken);
    if (memory_disk_is_memory())
        ADD("/imagestore/trash/restore/condemned", NULL, test_condemned);
    ADD("/imagestore/trash/purge", NULL, test_purge);
    ADD("/imagestore/trash/kept", NULL, test_kept);
    ADD("/imagestore/trash/kept/no-longer", NULL, test_kept_no_longer);
    g_test_add_func("/imagestore/trash/promises", test_promises);
    ADD("/imagestore/trash/left-claim/same-name", "a", test_left_claim);
    ADD("/imagestore/trash/left-claim/other-name", "b", test_left_claim);
    ADD("/imagestore/trash/left-claim/purge", NULL, test_left_claim);
    ADD("/imagestore/trash/no-manifest", NULL, test_no_manifest);
    ADD("/imagestore/trash/lost", NULL, test_lost);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/imagestore/trash/between/", cases[i].path, NULL);

        ADD(path, &cases[i], test_between);
    }
    ADD("/imagestore/trash/race/two-names", two_names, test_race);
    ADD("/imagestore/trash/race/one-name", one_name, test_race);
    ADD("/imagestore/trash/race/three-names", names, test_race);
    if (memory_disk_is_memory()) {
        ADD("/imagestore/trash/crash/same-name", "a", test_crash);
        ADD("/imagestore/trash/crash/other-name", "b", test_crash);
    }
    ADD("/imagestore/trash/errors/same-name", "a", test_errors);
    ADD("/imagestore/trash/errors/other-name", "b", test_errors);
    status = g_test_run();
    vimg_buffer_unref(content);
    return status;
}
