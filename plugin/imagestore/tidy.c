/*
 * tidy.c: images and names that nobody will ask for again
 *
 * The rules are those of the states: an image in the trash goes after keepDeleted, one whose upload
 * nobody took up again after keepTemporary.  Whatever cannot be explained by the files alone waits
 * until those who hold leases now have ended, and is looked at again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clock.h"
#include "collect-private.h"
#include "image.h"
#include "promise.h"
#include "slice.h"
#include "../throw.h"
#include "trash.h"
#include "turn.h"
#include "writing.h"

#define BATCH 256      /* images or names that are looked at together */
#define NAMES_MAX 1000 /* in a report */

typedef struct {
    const char *uuid;
    VimgStoredImage stored;
} Found;

static void
found_clear(Found *found)
{
    vimg_stored_image_clear(&found->stored);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

static gboolean
look(VimgCollection *collection, Found *found, GError **error)
{
    int result = vimg_image_look(collection->store, found->uuid, &found->stored);

    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), found->uuid);
    return TRUE;
}

static const char *
name_of(const Found *found)
{
    return found->stored.manifest ? found->stored.manifest->image.name : found->uuid;
}

/* A line "NAME<tab>REASON": a name has neither tabs nor line ends. */
static void
note_removed(VimgCollection *collection, VimgTally *tally, const char *reason, const Found *found)
{
    GString *removed = collection->report.removed;

    tally->count++;
    if (tally->count > NAMES_MAX)
        return;
    if (removed->len > 0)
        g_string_append_c(removed, '\n');
    g_string_append_printf(removed, "%s\t%s", name_of(found), reason);
}

/* When the storage says @path was written, in seconds; -1: it is not there. */
static gint64
written(VimgCollection *collection, const char *path)
{
    VimgFileInfo info;

    if (vimg_transport_stat(collection->store->transport, path, &info) != 0)
        return -1;
    return vimg_clock_seconds(info.mtime);
}

/* @at: seconds; @keep: seconds, an option of the store. */
static gboolean
was_before(VimgCollection *collection, gint64 at, const guint64 *keep)
{
    guint64 seconds = __atomic_load_n(keep, __ATOMIC_RELAXED);

    return at >= 0 && collection->now >= at && (guint64)(collection->now - at) >= seconds;
}

static gboolean
is_older(VimgCollection *collection, const char *path, const guint64 *keep)
{
    return was_before(collection, written(collection, path), keep);
}

/* If nobody has it. */
static void
remove_name(VimgCollection *collection, const char *name)
{
    g_autofree char *dir = g_strconcat("names/", name, NULL);

    vimg_transport_rmdir(collection->store->transport, dir);
}

static gboolean
remove_files(VimgCollection *collection, const VimgLease *lease, const Found *found, GError **error)
{
    int result = vimg_image_remove_files(collection->store, lease, found->uuid);

    /* somebody leaves a sign there just now, for an image that is gone: rubbish, later */
    if (result == 0 || result == ENOTEMPTY || result == EEXIST)
        return TRUE;
    if (result == ESTALE)
        return vimg_lease_throw_fenced(error);
    return throw_result(error, result, _("cannot remove image %s"), found->uuid);
}

/* ---- the trash -------------------------------------------------------------------------- */

static void
note_expired(VimgCollection *collection, const Found *found)
{
    note_removed(collection, &collection->report.expired, _("deleted"), found);
    collection->report.expired.bytes += found->stored.index_size;
}

/* Whoever moves the mark decides: a restore that came first has it, one that comes later fails. */
static gboolean
expire(VimgCollection *collection, const VimgTurn *turn, const Found *found, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (vimg_trash_remove(turn, &found->stored, &local)) {
        note_expired(collection, found);
        return TRUE;
    }
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
has_expired(VimgCollection *collection, const Found *found)
{
    return found->stored.deleted && found->stored.removed > 0 &&
           !vimg_promise_holds(found->stored.kept) &&
           was_before(collection, vimg_clock_seconds(found->stored.removed),
                      &collection->store->keep_deleted) &&
           !vimg_slice_store_keeps(collection->store, found->uuid);
}

static void
tell_crowded(const char *uuid, const GError *why)
{
    if (g_error_matches(why, VIMG_ERROR, VIMG_ERROR_NO_SPACE))
        vimg_slice_store_log(VIMG_LOG_WARNING, "image %s is not cleaned up: %s", uuid,
                             why->message);
}

/* NULL: another time. */
static VimgTurn *
try_turn(VimgCollection *collection, const char *uuid)
{
    g_autoptr(GError) local = NULL;
    VimgTurn *turn = vimg_turn_try(collection->store, uuid, &local);

    if (!turn && vimg_collect_find_room(collection, &local))
        turn = vimg_turn_try(collection->store, uuid, &local);
    if (!turn)
        tell_crowded(uuid, local);
    return turn;
}

/* In its turn, and looked at again: whatever was seen before may have been undone. */
static gboolean
tidy_in_turn(VimgCollection *collection, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = try_turn(collection, uuid);
    g_auto(Found) found = {.uuid = uuid};

    if (!turn)
        return TRUE;
    if (!look(collection, &found, error))
        return FALSE;
    if (has_expired(collection, &found))
        return expire(collection, turn, &found, error);
    /* what an interrupted delete or restore left */
    return !found.stored.deleted || !found.stored.claimed ||
           vimg_claim_withdraw(turn->lease, name_of(&found), uuid, error);
}

static gboolean
tidy_deleted(VimgCollection *collection, const Found *found, GError **error)
{
    gboolean expired = has_expired(collection, found);

    if (!collection->dry_run)
        return (!expired && !found->stored.claimed) || tidy_in_turn(collection, found->uuid, error);
    if (!expired)
        return TRUE;
    g_hash_table_add(collection->going, g_strdup(found->uuid));
    note_expired(collection, found);
    return TRUE;
}

/* ---- abandoned uploads ------------------------------------------------------------------ */

static gboolean
is_abandoned(VimgCollection *collection, const Found *found)
{
    const VimgStoredImage *stored = &found->stored;
    g_autofree char *path = NULL;

    if (stored->published || !(stored->durable > 0 || stored->manifest->image.reason))
        return FALSE;
    if (stored->manifest->image.reason)
        path = g_strdup_printf("images/%s/manifest.%" G_GUINT64_FORMAT ".json", found->uuid,
                               stored->manifest->number);
    else
        path = vimg_image_partial_path(found->uuid, stored->durable);
    return is_older(collection, path, &collection->store->keep_temporary);
}

/* As somebody who writes the image himself: nobody else begins to, and whoever did is seen. */
static gboolean
take_abandoned(VimgCollection *collection, VimgLease *lease, const Found *found, GError **error)
{
    g_auto(Found) now = {.uuid = found->uuid};

    if (!look(collection, &now, error))
        return FALSE;
    if (!now.stored.claimed || now.stored.deleted || !is_abandoned(collection, &now)) {
        vimg_writing_end(lease, found->uuid);
        return TRUE;
    }
    /* by way of the lease: if it was fenced, somebody else may write the image by now */
    if (!vimg_claim_withdraw(lease, name_of(&now), found->uuid, error))
        return FALSE;
    note_removed(collection, &collection->report.abandoned, _("its upload was abandoned"), &now);
    return remove_files(collection, lease, &now, error);
}

static VimgLease *
begin_writing(VimgCollection *collection, const Found *found, GError **error)
{
    g_autoptr(VimgLease) lease = vimg_lease_new(collection->store, error);

    if (!lease || !vimg_writing_begin(lease, found->uuid, name_of(found), NULL, error))
        return NULL;
    return g_steal_pointer(&lease);
}

static gboolean
drop_abandoned(VimgCollection *collection, const Found *found, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgLease) lease = begin_writing(collection, found, &local);

    if (!lease && vimg_collect_find_room(collection, &local))
        lease = begin_writing(collection, found, &local);
    if (lease)
        return take_abandoned(collection, lease, found, error);
    tell_crowded(found->uuid, local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
tidy_saving(VimgCollection *collection, const Found *found, GError **error)
{
    if (!is_abandoned(collection, found))
        return TRUE;
    if (!collection->dry_run)
        return drop_abandoned(collection, found, error);
    if (vimg_writing_check(collection->store, found->uuid, NULL)) {
        g_hash_table_add(collection->going, g_strdup(found->uuid));
        note_removed(collection, &collection->report.abandoned, _("its upload was abandoned"),
                     found);
    }
    return TRUE;
}

/* ---- all images ------------------------------------------------------------------------- */

/* @look: some time ago; whatever is changed is looked at again. */
static gboolean
tidy_image(VimgCollection *collection, VimgImageLook *look, GError **error)
{
    const char *uuid = look->uuid;
    Found found = {.uuid = uuid, .stored = look->stored};

    if (look->result != 0)
        return throw_result(error, look->result, _("cannot read image %s"), uuid);
    if (found.stored.manifest && !found.stored.deleted)
        g_hash_table_insert(collection->named, g_strdup(uuid), g_strdup(name_of(&found)));
    if (found.stored.deleted)
        return tidy_deleted(collection, &found, error);
    if (!found.stored.claimed) {
        if (vimg_image_is_doubtful(&found.stored))
            vimg_slice_store_log(VIMG_LOG_WARNING,
                                 "image %s has no manifest that is whole; it stays", uuid);
        else /* being created, or being removed, or rubbish */
            g_ptr_array_add(collection->suspects, g_strdup(uuid));
        return TRUE;
    }
    return tidy_saving(collection, &found, error);
}

/* A name without claims, and a claim that its image does not know of, may be remains. */
static int
tidy_name(VimgCollection *collection, const char *name, const VimgOp *list)
{
    int result = list->result;
    guint i;

    if (result == ENOENT || result == ENOTDIR)
        return 0;
    if (result == 0 && list->names->len == 0 && !collection->dry_run)
        remove_name(collection, name);
    for (i = 0; result == 0 && i < list->names->len; i++) {
        const char *uuid = g_ptr_array_index(list->names, i);

        if (g_strcmp0(g_hash_table_lookup(collection->named, uuid), name) != 0 &&
            !collection->dry_run && vimg_claim_drop(collection->store, name, uuid))
            collection->report.names.count++;
    }
    return result;
}

/* The @n of @names from @from on. */
static gboolean
tidy_some_names(VimgCollection *collection, const GPtrArray *names, guint from, guint n,
                GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gboolean good = TRUE;
    guint i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST,
                          .path = g_strconcat("names/", names->pdata[from + i], NULL)};
    vimg_transport_run(collection->store->transport, ops, n);
    for (i = 0; good && i < n; i++) {
        int result;

        good = vimg_collect_go_on(collection, error);
        result = good ? tidy_name(collection, names->pdata[from + i], &ops[i]) : 0;
        if (result != 0)
            good = throw_result(error, result, _("cannot list the names"));
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    return good;
}

static gboolean
tidy_names(VimgCollection *collection, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(collection->store->transport, "names", &names);
    guint i;

    if (result != 0)
        return throw_result(error, result, _("cannot list the names"));
    for (i = 0; i < names->len; i += BATCH) {
        if (!tidy_some_names(collection, names, i, MIN(BATCH, names->len - i), error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_tidy_images(VimgCollection *collection, GError **error)
{
    g_autoptr(GPtrArray) uuids = vimg_image_uuids(collection->store, error);
    guint i;
    guint k;

    if (!uuids)
        return FALSE;
    for (i = 0; i < uuids->len; i += BATCH) {
        g_autoptr(GArray) looks = vimg_image_look_some(collection->store, uuids, i, BATCH);

        for (k = 0; k < looks->len; k++) {
            vimg_collect_progress(collection, "images", i + k, uuids->len);
            if (!vimg_collect_go_on(collection, error) ||
                !tidy_image(collection, &g_array_index(looks, VimgImageLook, k), error))
                return FALSE;
        }
    }
    return tidy_names(collection, error);
}

/* ---- suspects --------------------------------------------------------------------------- */

static gboolean
look_again(VimgCollection *collection, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = NULL;
    g_auto(Found) found = {.uuid = uuid};

    /* deleted and restored meanwhile, it may seem to be neither there nor in the trash */
    if (!collection->dry_run && !(turn = try_turn(collection, uuid)))
        return TRUE;
    if (!look(collection, &found, error))
        return FALSE;
    if (found.stored.claimed || found.stored.deleted || vimg_image_is_doubtful(&found.stored))
        return TRUE;
    collection->report.rubbish.count++;
    if (!collection->dry_run)
        return remove_files(collection, turn->lease, &found, error);
    g_hash_table_add(collection->going, g_strdup(uuid));
    return TRUE;
}

gboolean
vimg_tidy_suspects(VimgCollection *collection, const GPtrArray *uuids, GError **error)
{
    guint i;

    for (i = 0; i < uuids->len; i++) {
        const char *uuid = g_ptr_array_index(uuids, i);

        if (!vimg_collect_go_on(collection, error) ||
            (vimg_image_is_uuid(uuid) && !look_again(collection, uuid, error)))
            return FALSE;
    }
    return TRUE;
}

/* ---- damaged slices --------------------------------------------------------------------- */

/* "<id>.<n>" below bad/: of no use once its good copy is back, or once nobody needs it. */
gboolean
vimg_tidy_bad(VimgCollection *collection, GError **error)
{
    VimgTransport *transport = collection->store->transport;
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, "bad", &names);
    guint i;

    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot list the damaged slices"));
    for (i = 0; names && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_strconcat("bad/", name, NULL);
        g_autofree char *place = NULL;
        VimgSliceId id;
        VimgFileInfo good;
        VimgFileInfo bad;

        if (!vimg_collect_go_on(collection, error))
            return FALSE;
        if (!vimg_id_parse(name, &id) || vimg_transport_stat(transport, path, &bad) != 0)
            continue;
        place = vimg_slice_path(&id);
        if (vimg_marks_has(collection->roots.marks, &id) &&
            (vimg_transport_stat(transport, place, &good) != 0 || good.size == 0))
            continue;
        if (!collection->dry_run && vimg_transport_unlink(transport, path) != 0)
            continue;
        collection->report.bad.count++;
        collection->report.bad.bytes += bad.size;
    }
    return TRUE;
}
