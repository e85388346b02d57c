/*
 * test-trash-faults.c: deleted images, restored and purged by two hosts at once and with the power
 * cut
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
#include "pass-transport.h"
#include "trash-helper.h"

/* ---- in between ------------------------------------------------------------------------- */

/* Calls @happen right before the mark is taken. */
typedef struct {
    PassTransport pass;
    TrashFixture *fixture;
    void (*happen)(TrashFixture *fixture);
} Between;

static void
between_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Between *between = (Between *)transport;
    void (*happen)(TrashFixture * fixture) = between->happen;

    if (happen && ops[0].kind == VIMG_OP_RENAME && g_str_has_suffix(ops[0].path, "/deleted")) {
        between->happen = NULL;
        happen(between->fixture);
    }
    vimg_transport_run(between->pass.inner, ops, n);
}

static const VimgTransportOps between_ops = {
    .run = between_run,
    .sync_all = pass_sync_all,
    .space = pass_space,
    .free = pass_free,
};

static VimgSliceStore *
between_store(TrashFixture *fixture, void (*happen)(TrashFixture *fixture))
{
    Between *between = g_new0(Between, 1);

    between->pass.parent.ops = &between_ops;
    between->pass.inner = memory_transport_new(fixture->disk, TRUE);
    between->fixture = fixture;
    between->happen = happen;
    return helper_reopen(&between->pass.parent);
}

static void
fence(TrashFixture *fixture)
{
    helper_fence_all(fixture->other);
}

static void
fence_and_restore(TrashFixture *fixture)
{
    g_autoptr(GError) error = NULL;

    helper_fence_all(fixture->other);
    trash_restore(fixture->other, fixture->uuid, "b", &error);
    g_assert_no_error(error);
}

/* What the collector does with an image that was deleted long ago. */
static void
expire(TrashFixture *fixture)
{
    g_autofree char *mark = vimg_image_path(fixture->uuid, VIMG_IMAGE_DELETED);

    g_assert_cmpint(vimg_transport_rename(fixture->other->transport, mark, "gc/expired"), ==, 0);
    g_assert_cmpint(vimg_image_remove_files(fixture->other, NULL, fixture->uuid), ==, 0);
}

static void
drop_claim(TrashFixture *fixture)
{
    g_autofree char *path = vimg_claim_path("b", fixture->uuid);

    vimg_transport_unlink(fixture->other->transport, path);
}

/* Another one tries while this one has the turn. */
static void
try_others(TrashFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;

    g_assert_false(trash_restore(fixture->other, fixture->uuid, "c", &error));
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
    void (*happen)(TrashFixture *fixture);
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
test_between(TrashFixture *fixture, gconstpointer data)
{
    const Case *c = data;
    VimgSliceStore *store = between_store(fixture, c->happen);
    g_autoptr(GError) error = NULL;

    if (trash_restore(store, fixture->uuid, "b", &error))
        g_assert_cmpint(c->code, ==, -1);
    else
        g_assert_error(error, VIMG_ERROR, c->code);
    vimg_slice_store_free(store);
    g_assert_cmpint(trash_is_listed(fixture->store, FALSE), ==, c->there);
    g_assert_cmpint(trash_is_listed(fixture->store, TRUE), ==, c->deleted);
    if (c->there)
        helper_assert_content(fixture->store, fixture->uuid, trash_content);
    if (c->name_free)
        trash_assert_free(fixture->store, "b");
    trash_assert_free(fixture->store, "a");
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

    racer->won = racer->name ? trash_restore(racer->store, racer->uuid, racer->name, &error)
                             : vimg_trash_purge(racer->store, racer->uuid, &error);
    if (!racer->won && !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY))
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    return NULL;
}

/* Exactly one of them gets the image, and the losers leave nothing behind. */
static void
test_race(TrashFixture *fixture, gconstpointer data)
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
            racers[i] = (Racer){trash_connect(disk), fixture->uuid, names[i], FALSE};
            g_assert_cmpint(pthread_create(&threads[i], NULL, race, &racers[i]), ==, 0);
        }
        for (i = 0; i < G_N_ELEMENTS(racers); i++) {
            g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
            g_assert_false(winner && racers[i].won);
            winner = racers[i].won ? &racers[i] : winner;
        }
        g_assert_nonnull(winner);
        g_assert_false(trash_is_listed(winner->store, TRUE));
        g_assert_cmpuint(trash_count(winner->store, "names"), ==, winner->name ? 1 : 0);
        g_assert_cmpuint(trash_count(winner->store, "pending"), ==, 0);
        if (winner->name) {
            g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

            g_assert_true(trash_first(winner->store, FALSE, &image));
            g_assert_cmpstr(image.name, ==, winner->name);
            helper_assert_content(winner->store, winner->uuid, trash_content);
        } else {
            g_assert_false(trash_is_listed(winner->store, FALSE));
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
    told->restored = trash_restore(store, uuid, name, NULL);
    told->deleted = told->restored && vimg_image_remove(store, uuid, NULL);
    told->purged = told->deleted && vimg_trash_purge(store, uuid, NULL);
    return told->purged;
}

/* The image is in the trash or restored, and goes on from there; or it is purged for good. */
static void
check(VimgSliceStore *store, const char *uuid, const Told *told)
{
    gboolean there = trash_is_listed(store, FALSE);
    gboolean deleted = trash_is_listed(store, TRUE);
    g_autoptr(GError) error = NULL;

    g_assert_false(there && deleted);
    g_assert_false(told->purged && (there || deleted));
    g_assert_false(told->deleted && there);
    /* only a purge makes it vanish */
    g_assert_true(there || deleted || told->deleted);
    if (there) {
        helper_assert_content(store, uuid, trash_content);
        trash_delete(store, uuid);
    }
    trash_assert_free(store, "a");
    trash_assert_free(store, "b");
    if (!there && !deleted)
        return;
    trash_restore(store, uuid, "c", &error);
    g_assert_no_error(error);
    helper_assert_content(store, uuid, trash_content);
    trash_assert_free(store, "a");
    trash_assert_free(store, "b");
    trash_delete(store, uuid);
    vimg_trash_purge(store, uuid, &error);
    g_assert_no_error(error);
    trash_assert_free(store, "c");
    g_assert_false(trash_is_listed(store, TRUE) || trash_is_listed(store, FALSE));
}

static gboolean
step(TrashFixture *fixture, const char *name, const Fault *fault, guint32 fate)
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
        store = trash_connect(disk);
        helper_fence_all(store);
    }
    check(store, fixture->uuid, &told);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
    return done;
}

static void
test_crash(TrashFixture *fixture, gconstpointer data)
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
test_errors(TrashFixture *fixture, gconstpointer data)
{
    guint at;

    for (at = 1; at < 120; at += helper_stride()) {
        step(fixture, data, &(Fault){.kind = FAULT_ERROR, .at = at, .result = EIO}, 0);
        step(fixture, data, &(Fault){.kind = FAULT_ERROR, .at = at, .result = ENOSPC}, 0);
    }
}

int
main(int argc, char **argv)
{
    static const char *const two_names[] = {"a", "b", NULL};
    static const char *const one_name[] = {"b", "b", NULL};
    static const char *const names[] = {"a", "b", "c"};

    g_test_init(&argc, &argv, NULL);
    trash_init();
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/imagestore/trash/between/", cases[i].path, NULL);

        trash_add(path, &cases[i], test_between);
    }
    trash_add("/imagestore/trash/race/two-names", two_names, test_race);
    trash_add("/imagestore/trash/race/one-name", one_name, test_race);
    trash_add("/imagestore/trash/race/three-names", names, test_race);
    if (memory_disk_is_memory()) {
        trash_add("/imagestore/trash/crash/same-name", "a", test_crash);
        trash_add("/imagestore/trash/crash/other-name", "b", test_crash);
    }
    trash_add("/imagestore/trash/errors/same-name", "a", test_errors);
    trash_add("/imagestore/trash/errors/other-name", "b", test_errors);
    return trash_run();
}
