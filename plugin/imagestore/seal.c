/*
 * seal.c: making an image active
 *
 * Far away, what does not depend on one another is asked at the same time: while slices are looked
 * at, and index and manifest made durable, the turn is taken.  Where there are many slices it is
 * not taken before all were looked at, which takes long: whoever else wants it is told that it is
 * busy.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"
#include "claim.h"
#include "publish.h"
#include "seal.h"
#include "slice.h"
#include "../throw.h"
#include "turn.h"

#define STAGED_INDEX "image.caibx"
#define WAITS 1000 /* of about a second each: longer than it takes until a host counts as dead */

static gboolean
throw_active(GError **error)
{
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("another host made the image active meanwhile"));
}

static gboolean
throw_unpublished(GError **error, int result)
{
    return throw_result(error, result, _("cannot publish the index"));
}

/* Somebody published: the same as we would, as after an answer of the storage was lost, is done. */
static gboolean
settle_active(VimgTransport *transport, const VimgManifest *sealed, GError **error)
{
    const char *uuid = sealed->image.uuid;
    g_autofree char *place = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autofree char *dir = vimg_image_dir(uuid);
    g_autofree char *digest = NULL;
    g_autoptr(VimgBuffer) content = NULL;
    int result = vimg_transport_read(transport, place, sealed->index_size, &content);

    if (result == 0)
        digest = vimg_sha256_hex(content->data, content->size);
    if (!digest || strcmp(digest, sealed->index_digest) != 0)
        return throw_active(error);
    result = vimg_transport_sync(transport, dir);
    return result == 0 || throw_unpublished(error, result);
}

/*
 * The commit.  A failure after it takes it back, so that the image is saving as the caller says; if
 * that fails too, the caller has to look.
 */
static gboolean
commit_index(VimgLease *lease, const char *staged, const VimgManifest *sealed, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    const char *uuid = sealed->image.uuid;
    g_autofree char *place = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    int synced;
    int result = vimg_transport_publish_durable(transport, staged, place, dir, &synced);

    if (result == ENOENT)
        return vimg_publish_throw_missing(lease, uuid, error);
    if (result == EEXIST)
        return settle_active(transport, sealed, error);
    if (result != 0)
        return throw_unpublished(error, result);
    if (synced == 0)
        return TRUE;
    if (vimg_transport_rename(transport, place, staged) == 0)
        return throw_unpublished(error, synced);
    throw_unpublished(error, synced);
    g_prefix_error(error, "%s: ", _("the image may be active, refresh the pool to see"));
    return FALSE;
}

/* What describes the content, and nothing else, from @from. */
static void
copy_sealed(VimgManifest *manifest, const VimgManifest *from)
{
    g_free(manifest->image.parent);
    manifest->image.parent = g_strdup(from->image.parent);
    g_free(manifest->image.copy_of);
    manifest->image.copy_of = g_strdup(from->image.copy_of);
    g_free(manifest->sealed_format);
    manifest->sealed_format = g_strdup(from->sealed_format);
    g_free(manifest->index_digest);
    manifest->index_digest = g_strdup(from->index_digest);
    manifest->sealed = TRUE;
    manifest->sealed_capacity = from->sealed_capacity;
    manifest->sealed_allocation = from->sealed_allocation;
    manifest->sealed_length = from->sealed_length;
    manifest->index_size = from->index_size;
}

/* The image in our turn; what another host changed until now is in it. */
typedef struct {
    const VimgSeal *seal;
    VimgSeen seen;
    gint needless; /* atomic: nothing will be published */
    VimgTurn *turn;
    VimgStoredImage image;
    GError *error;
} Entry;

static void
entry_clear(Entry *entry)
{
    vimg_turn_free(entry->turn);
    vimg_manifest_free(entry->seen.manifest);
    vimg_stored_image_clear(&entry->image);
    g_clear_error(&entry->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Entry, entry_clear)

/* After a long upload a dead host's turn is waited for as long as it takes to be sure. */
static VimgTurn *
wait_for_turn(Entry *entry, GError **error)
{
    const VimgSeal *seal = entry->seal;
    guint round;

    for (round = 1;; round++) {
        g_autoptr(GError) local = NULL;
        VimgTurn *turn =
            vimg_turn_new_in(seal->lease, seal->manifest->image.uuid, &entry->seen, &local);

        if (turn)
            return turn;
        if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY) || round == WAITS ||
            __atomic_load_n(&entry->needless, __ATOMIC_RELAXED)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        if (!vimg_slice_store_check_job(seal->job, error))
            return NULL;
    }
}

static void
enter(gpointer data)
{
    Entry *entry = data;
    const VimgSeal *seal = entry->seal;
    const char *uuid = seal->manifest->image.uuid;
    VimgStoredImage *image = &entry->image;

    entry->turn = wait_for_turn(entry, &entry->error);
    if (!entry->turn)
        return;
    if (entry->seen.still) {
        image->manifest = g_steal_pointer(&entry->seen.manifest);
        image->durable = entry->seen.durable;
        image->present = image->claimed = TRUE;
        return;
    }
    vimg_image_load(seal->lease->store, uuid, image, &entry->error);
}

static void
find_parent(const VimgSeal *seal)
{
    g_autofree char *found = vimg_parents_find(seal->parents, seal->index);

    if (!seal->manifest->image.parent)
        seal->manifest->image.parent = g_steal_pointer(&found);
}

/* At every slice. */
static gboolean
look(const VimgSeal *seal, GError **error)
{
    VimgLease *lease = seal->lease;
    VimgManifest *manifest = seal->manifest;

    if (!vimg_publish_check(lease->store, seal->index, seal->job, &manifest->sealed_allocation,
                            error))
        return vimg_lease_blame(lease, error);
    manifest->sealed_length = vimg_index_length(seal->index);
    if (seal->parents)
        find_parent(seal);
    return TRUE;
}

/* What needs no turn: index and manifest durable in the lease, as are the slices. */
typedef struct {
    const VimgSeal *seal;
    char *path; /* of the index */
    VimgBuffer *content;
    char *text; /* of the manifest */
    VimgAside indexing;
    GError *index_error;
    VimgAside condemning;
    GError *condemned_error;
} Staged;

static void
staged_clear(Staged *staged)
{
    vimg_aside_drop(&staged->indexing);
    vimg_aside_drop(&staged->condemning);
    g_clear_error(&staged->index_error);
    g_clear_error(&staged->condemned_error);
    vimg_buffer_unref(staged->content);
    g_free(staged->path);
    g_free(staged->text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Staged, staged_clear)

static void
stage_index(gpointer data)
{
    Staged *staged = data;
    const VimgSeal *seal = staged->seal;

    vimg_publish_stage_index(seal->lease, staged->path, seal->index, staged->content, 0,
                             &staged->index_error);
}

static void
sync_condemned(gpointer data)
{
    Staged *staged = data;

    vimg_publish_sync_condemned(staged->seal->lease, &staged->condemned_error);
}

/* Waits for @aside, whose error is @from. */
static gboolean
end_aside(VimgAside *aside, GError **from, GError **error)
{
    vimg_aside_end(aside);
    if (!*from)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(from));
    return FALSE;
}

/* After all slices were looked at: what moved one back until then is made durable by that too. */
static gboolean
stage(Staged *staged, GError **error)
{
    const VimgSeal *seal = staged->seal;
    VimgManifest *manifest = seal->manifest;
    const VimgTransport *transport = seal->lease->store->transport;
    VimgBuffer *content = vimg_index_encode(seal->index);

    g_free(manifest->index_digest);
    manifest->index_digest = vimg_sha256_hex(content->data, content->size);
    manifest->index_size = content->size;
    manifest->sealed = TRUE;
    staged->path = vimg_lease_path(seal->lease, STAGED_INDEX);
    staged->content = content;
    vimg_aside_begin(&staged->indexing, transport, stage_index, staged);
    if (!vimg_manifest_stage(manifest, seal->lease, &staged->text, error) ||
        !end_aside(&staged->indexing, &staged->index_error, error))
        return FALSE;
    g_clear_pointer(&staged->content, vimg_buffer_unref);
    vimg_aside_begin(&staged->condemning, transport, sync_condemned, staged);
    return TRUE;
}

/* All is staged.  @ours: whether it is active by our doing. */
static gboolean
publish(const VimgSeal *seal, Entry *entry, Staged *staged, gboolean *ours, GError **error)
{
    VimgLease *lease = seal->lease;
    const VimgManifest *sealed = seal->manifest;
    VimgStoredImage *image = &entry->image;

    if (image->published && !image->manifest->image.reason &&
        g_strcmp0(image->manifest->index_digest, sealed->index_digest) == 0)
        return settle_active(lease->store->transport, sealed, error);
    if (image->published)
        return throw_active(error);
    copy_sealed(image->manifest, sealed);
    *ours = TRUE;
    return vimg_manifest_write_staged(image->manifest, lease, staged->text, error) &&
           end_aside(&staged->condemning, &staged->condemned_error, error) &&
           commit_index(lease, staged->path, sealed, error);
}

/* It is active: the turn ends, and in the same trip it is looked whether it has its name still. */
static gboolean
leave(const VimgSeal *seal, Entry *entry, GError **error)
{
    VimgLease *lease = seal->lease;
    const VimgPluginImage *image = &seal->manifest->image;
    guint64 durable = entry->image.durable;
    g_autofree char *claim = vimg_claim_path(image->name, image->uuid);
    g_autofree char *partial = vimg_image_partial_path(image->uuid, durable);
    gboolean only = durable > 0 && durable == lease->partial;
    VimgOp ops[4] = {{.kind = VIMG_OP_STAT, .path = claim},
                     {.kind = VIMG_OP_UNLINK, .path = partial}};
    gsize n = only ? 2 : 1;
    VimgOp *end = seal->sign ? &ops[n] : NULL;

    if (end)
        n += vimg_lease_end_ops(lease, seal->sign, end);
    vimg_turn_end(g_steal_pointer(&entry->turn), ops, n);
    if (end)
        vimg_lease_note_end(lease, end);
    if (ops[0].result != 0 && !vimg_claim_holds(lease->store, image->name, image->uuid, error)) {
        if (error && !*error)
            throw_error(error, VIMG_ERROR_NO_VOL, _("the image was deleted meanwhile"));
        else
            g_prefix_error(error, "%s: ", _("the image may be active, refresh the pool to see"));
        return FALSE;
    }
    if (durable > 0 && !only)
        vimg_publish_remove_partials(lease->store->transport, image->uuid, G_MAXUINT64);
    return TRUE;
}

/* Looks at what is to be sealed and stages it; @entering, of @entry, begins meanwhile. */
static gboolean
prepare(Staged *staged, Entry *entry, VimgAside *entering, GError **error)
{
    const VimgSeal *seal = staged->seal;
    const VimgTransport *transport = seal->lease->store->transport;
    gboolean few = vimg_index_count(seal->index) <= VIMG_PUBLISH_BATCH;

    if (few)
        vimg_aside_begin(entering, transport, enter, entry);
    if (!look(seal, error))
        return FALSE;
    if (!few)
        vimg_aside_begin(entering, transport, enter, entry);
    return stage(staged, error);
}

gboolean
vimg_seal(const VimgSeal *seal, VimgStoredImage *out, GError **error)
{
    VimgManifest *seen = seal->seen ? vimg_manifest_copy(seal->manifest) : NULL;
    g_auto(Entry) entry = {.seal = seal, .seen = {.manifest = seen}};
    g_auto(Staged) staged = {.seal = seal};
    g_auto(VimgAside) entering = {0};
    gboolean ours = FALSE;

    if (!prepare(&staged, &entry, &entering, error)) {
        __atomic_store_n(&entry.needless, TRUE, __ATOMIC_RELAXED);
        return FALSE;
    }
    vimg_aside_end(&entering);
    if (entry.error)
        g_propagate_error(error, g_steal_pointer(&entry.error));
    if (!entry.image.manifest)
        return FALSE;
    if (!publish(seal, &entry, &staged, &ours, error) || !leave(seal, &entry, error))
        return FALSE;
    vimg_parent_note_new(seal->lease->store, seal->manifest->image.uuid);
    if (ours) {
        *out = entry.image;
        memset(&entry.image, 0, sizeof(entry.image));
        out->published = TRUE;
        out->index_size = seal->manifest->index_size;
    }
    return TRUE;
}

gboolean
vimg_publish_image(VimgLease *lease, VimgManifest *manifest, const VimgIndex *index,
                   VimgPluginJob *job, GError **error)
{
    const VimgSeal seal = {.lease = lease, .manifest = manifest, .index = index, .job = job};
    g_auto(VimgStoredImage) image = {0};

    return vimg_seal(&seal, &image, error);
}
