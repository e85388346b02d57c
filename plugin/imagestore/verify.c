/*
 * verify.c: reading everything again
 *
 * First the slices, prefix directory by prefix directory; how far it got is kept in the state
 * directory of the pool, since several hosts may verify one store.  Then the images: after a slice
 * was set aside, whatever index names it lacks it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "damage.h"
#include "image.h"
#include "json.h"
#include "lease.h"
#include "scrub.h"
#include "slice.h"
#include "../throw.h"
#include "turn.h"
#include "verify.h"

#define BATCH 256  /* slices between two records of how far it got, at least */
#define LISTED 256 /* prefix directories at once */
#define RECORD_EVERY (5 * G_USEC_PER_SEC)
#define IMAGES 256 /* at once */
#define INDEX_BYTES ((guint64)32 * 1024 * 1024)
#define MISSING_MAX (1 << 20) /* ids counted once each; beyond, it is too late to be exact */

typedef struct {
    VimgSliceStore *store;
    VimgPluginJob *job;
    VimgLease *lease; /* NULL on a store that cannot be written */
    VimgScrub *scrub;
    VimgScrubSums sums;
    char *record; /* path of the file that says how far it got; NULL: none */
    gint64 recorded;
    GHashTable *missing; /* of VimgSliceId */
    JsonArray *damaged;
} Verify;

static void
verify_clear(Verify *verify)
{
    vimg_scrub_free(verify->scrub);
    vimg_lease_free(verify->lease);
    g_free(verify->record);
    g_hash_table_unref(verify->missing);
    json_array_unref(verify->damaged);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Verify, verify_clear)

static gboolean
begin(Verify *verify, GError **error)
{
    verify->missing = g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, g_free, NULL);
    verify->damaged = json_array_new();
    if (!verify->store->read_only && !(verify->lease = vimg_lease_new(verify->store, error)))
        return FALSE;
    verify->scrub = vimg_scrub_new(verify->store, verify->job, &verify->sums, error);
    return verify->scrub != NULL;
}

/* ---- how far it got --------------------------------------------------------------------- */

/* A number of the sums, by its name in the record. */
static const struct {
    const char *name;
    gsize offset;
} numbers[] = {
    {"slices", G_STRUCT_OFFSET(VimgScrubSums, slices)},
    {"bytes", G_STRUCT_OFFSET(VimgScrubSums, bytes)},
    {"plain", G_STRUCT_OFFSET(VimgScrubSums, plain)},
    {"bad", G_STRUCT_OFFSET(VimgScrubSums, bad)},
    {"foreign", G_STRUCT_OFFSET(VimgScrubSums, foreign)},
};

/* The next prefix; 0 with empty sums if there is no record. */
static guint
read_record(Verify *verify)
{
    g_autoptr(JsonObject) root = NULL;
    g_autofree char *text = NULL;
    guint64 next = 0;
    gsize size;
    gsize i;

    if (!verify->record || !g_file_get_contents(verify->record, &text, &size, NULL))
        return 0;
    root = vimg_json_parse((const guint8 *)text, size, NULL);
    if (!root || g_strcmp0(vimg_json_string(root, "store"), verify->store->uuid) != 0 ||
        !vimg_json_number(root, "next", &next) || next > VIMG_SLICE_PREFIXES)
        return 0;
    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (vimg_json_number(root, numbers[i].name,
                             (guint64 *)G_STRUCT_MEMBER_P(&verify->sums, numbers[i].offset)))
            continue;
        verify->sums = (VimgScrubSums){0};
        return 0;
    }
    return (guint)next;
}

static void
write_record(Verify *verify, guint next)
{
    g_autoptr(JsonObject) root = json_object_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gsize i;

    /* of slices that are bad and lie where they lay a record would know nothing */
    if (!verify->record || g_hash_table_size(vimg_scrub_left(verify->scrub)) > 0)
        return;
    json_object_set_string_member(root, "store", verify->store->uuid);
    json_object_set_int_member(root, "next", next);
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_set_int_member(
            root, numbers[i].name,
            (gint64)G_STRUCT_MEMBER(guint64, &verify->sums, numbers[i].offset));
    text = vimg_json_format(root);
    verify->recorded = g_get_monotonic_time();
    g_mkdir_with_parents(verify->store->state_dir, 0700);
    if (!g_file_set_contents_full(verify->record, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  &error))
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot keep how far the verification got: %s",
                             error->message);
}

/* ---- all slices ------------------------------------------------------------------------- */

/* Which prefix directories there are. */
static gboolean
list_prefixes(Verify *verify, guint8 *there, guint64 *foreign, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(verify->store->transport, VIMG_SLICES_DIR, &names);
    guint i;

    if (result != 0)
        return throw_result(error, result, _("cannot list the slices"));
    for (i = 0; i < names->len; i++) {
        guint prefix;

        if (vimg_slice_parse_prefix(g_ptr_array_index(names, i), &prefix))
            there[prefix] = TRUE;
        else
            ++*foreign;
    }
    return TRUE;
}

static void
take_slices(guint prefix, const GPtrArray *names, GArray *ids, guint64 *foreign)
{
    guint i;

    for (i = 0; i < names->len; i++) {
        VimgSliceId id;

        if (vimg_slice_parse(names->pdata[i], &id) && vimg_slice_prefix(&id) == prefix)
            g_array_append_val(ids, id);
        else
            ++*foreign;
    }
}

/* What is in the next @n prefix directories that are @there; @at moves behind them. */
static gboolean
list_slices(Verify *verify, const guint8 *there, guint *at, guint n, GArray *ids, guint64 *foreign,
            GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    guint prefixes[LISTED];
    gboolean good = TRUE;
    guint count = 0;
    guint i;

    for (; *at < VIMG_SLICE_PREFIXES && count < n; ++*at) {
        if (!there[*at])
            continue;
        ops[count] =
            (VimgOp){.kind = VIMG_OP_LIST, .path = g_strdup_printf(VIMG_SLICES_DIR "/%04x", *at)};
        prefixes[count++] = *at;
    }
    vimg_transport_run(verify->store->transport, ops, count);
    for (i = 0; good && i < count; i++) {
        if (ops[i].result == 0)
            take_slices(prefixes[i], ops[i].names, ids, foreign);
        else if (ops[i].result != ENOENT)
            good = throw_result(error, ops[i].result, _("cannot list the slices"));
    }
    vimg_transport_clear_ops(ops, count, TRUE);
    return good && vimg_slice_store_check_job(verify->job, error);
}

/* Reads from prefix *@next on and moves it behind what was read. */
static gboolean
check_batch(Verify *verify, const guint8 *there, guint64 total, guint *next, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    guint64 foreign = 0;
    guint at = *next;

    while (at < VIMG_SLICE_PREFIXES && ids->len < BATCH) {
        /* about as many as are missing, by what there was in those before */
        guint64 each = verify->sums.slices / MAX(at, 1) + 1;
        guint n = (guint)CLAMP((BATCH - ids->len) / each, 1, LISTED);

        if (!list_slices(verify, there, &at, n, ids, &foreign, error))
            return FALSE;
    }
    if (!vimg_scrub_run(verify->scrub, ids, total, error))
        return FALSE;
    verify->sums.foreign += foreign;
    *next = at;
    return TRUE;
}

static gboolean
check_slices(Verify *verify, GError **error)
{
    g_autofree guint8 *there = g_new0(guint8, VIMG_SLICE_PREFIXES);
    guint next = read_record(verify);
    guint64 foreign = 0;
    guint64 total = 0;
    gboolean good = TRUE;

    if (!list_prefixes(verify, there, &foreign, error))
        return FALSE;
    if (next == 0)
        verify->sums.foreign = foreign;
    while (good && next < VIMG_SLICE_PREFIXES) {
        /* digests are spread evenly */
        if (next > 0)
            total = verify->sums.bytes / next * VIMG_SLICE_PREFIXES;
        good = check_batch(verify, there, total, &next, error);
        if (!good || next == VIMG_SLICE_PREFIXES ||
            g_get_monotonic_time() - verify->recorded > RECORD_EVERY)
            write_record(verify, next);
    }
    return good;
}

/* ---- the slices of one image ------------------------------------------------------------ */

static gboolean
check_index(Verify *verify, const VimgIndex *index, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(vimg_id_hash, vimg_id_equal_func);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    gsize n = vimg_index_count(index);
    guint64 length;
    gsize i;

    for (length = verify->store->slice_size; length <= VIMG_ZERO_MAX; length *= 2)
        g_array_append_vals(ids, vimg_zero_id(length), 1);
    for (i = 0; i < n; i++) {
        const VimgSliceId *id = vimg_index_id(index, i);

        if (!vimg_index_is_zero(index, i) && g_hash_table_add(seen, (gpointer)id))
            g_array_append_vals(ids, id, 1);
        if (ids->len < BATCH)
            continue;
        if (!vimg_scrub_run(verify->scrub, ids, verify->sums.bytes / (i + 1) * n, error))
            return FALSE;
        g_array_set_size(ids, 0);
    }
    return vimg_scrub_run(verify->scrub, ids, 0, error);
}

static gboolean
check_image_slices(Verify *verify, const char *uuid, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(GError) local = NULL;

    if (!vimg_image_load(verify->store, uuid, &image, error))
        return FALSE;
    if (!image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete yet"));
    index = vimg_image_index(verify->store, &image, &local);
    /* an index that cannot be read is a finding */
    return !index || check_index(verify, index, error);
}

/* ---- images ----------------------------------------------------------------------------- */

static void
add_damaged(Verify *verify, const char *uuid, const VimgStoredImage *image, const char *reason)
{
    JsonObject *entry = json_object_new();

    json_object_set_string_member(entry, "uuid", uuid);
    json_object_set_string_member(entry, "name",
                                  image->manifest ? image->manifest->image.name : uuid);
    json_object_set_string_member(entry, "reason", reason);
    json_array_add_object_element(verify->damaged, entry);
}

static void
count_missing(Verify *verify, const VimgDamage *damage)
{
    guint i;

    for (i = 0; i < damage->ids->len && g_hash_table_size(verify->missing) < MISSING_MAX; i++)
        g_hash_table_add(verify->missing, g_memdup2(&g_array_index(damage->ids, VimgSliceId, i),
                                                    sizeof(VimgSliceId)));
}

/* What became of a mark, @owned if it was not made: somebody else may change the image just now. */
static gboolean
settle_mark(const char *uuid, GError *owned, GError **error)
{
    g_autoptr(GError) local = owned;

    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL)) {
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot mark image %s as damaged: %s", uuid,
                             local->message);
        return TRUE;
    }
    if (!local)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
is_gone(Verify *verify, const char *uuid)
{
    g_auto(VimgStoredImage) image = {0};

    return vimg_image_look(verify->store, uuid, &image) == 0 && !image.published;
}

/* What was condemned, or interrupted in being looked at, nobody has read: it is when it is back. */
static gboolean
find_damage(Verify *verify, const VimgIndex *index, VimgDamage *out, GError **error)
{
    /* a look at each again is cheap but far away */
    const VimgMarks *good =
        verify->store->transport->remote ? vimg_scrub_good(verify->scrub) : NULL;
    g_autoptr(GArray) rescued = NULL;

    do {
        g_clear_pointer(&rescued, g_array_unref);
        vimg_damage_clear(out);
        if (!vimg_damage_find(verify->store, index, verify->lease, vimg_scrub_left(verify->scrub),
                              good, verify->job, out, error))
            return FALSE;
        rescued = g_steal_pointer(&out->rescued);
        if (rescued && !vimg_scrub_run(verify->scrub, rescued, 0, error))
            return FALSE;
    } while (rescued);
    return TRUE;
}

/*
 * Nothing heals an index: it is an error until the image is wiped or deleted.  What we read may
 * have been wiped and uploaded again meanwhile.
 */
static gboolean
mark_index(Verify *verify, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = vimg_turn_new(verify->store, uuid, error);
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(GError) fault = NULL;

    if (!turn || !vimg_image_load(verify->store, uuid, &image, error))
        return FALSE;
    if (image.published)
        index = vimg_image_index(verify->store, &image, &fault);
    if (!g_error_matches(fault, VIMG_ERROR, VIMG_ERROR_DAMAGED))
        return TRUE;
    g_free(image.manifest->image.reason);
    image.manifest->image.reason = g_strdup(fault->message);
    return vimg_manifest_write(image.manifest, turn->lease, error);
}

static gboolean
check_image(Verify *verify, const char *uuid, const VimgStoredImage *image, const VimgIndex *index,
            GError **error)
{
    g_auto(VimgDamage) damage = {0};
    g_autofree char *reason = NULL;
    GError *local = NULL;

    if (!find_damage(verify, index, &damage, error))
        return FALSE;
    /* without our lease, what nobody needs any more goes while we look */
    if (damage.count == 0 || is_gone(verify, uuid))
        return TRUE;
    count_missing(verify, &damage);
    reason = vimg_damage_describe(&damage);
    add_damaged(verify, uuid, image, reason);
    if (verify->lease)
        vimg_damage_write(verify->store, uuid, &damage, &local);
    return settle_mark(uuid, local, error);
}

/* @fault: NULL: of no index */
static gboolean
tell_fault(Verify *verify, const char *uuid, const VimgStoredImage *image, const char *reason,
           const GError *fault, GError **error)
{
    GError *local = NULL;

    add_damaged(verify, uuid, image, reason);
    if (verify->lease && !image->deleted && g_error_matches(fault, VIMG_ERROR, VIMG_ERROR_DAMAGED))
        mark_index(verify, uuid, &local);
    return settle_mark(uuid, local, error);
}

/* What seemed wrong may have been wiped and uploaded again since it was looked at, or be gone. */
static gboolean
judge_again(Verify *verify, const char *uuid, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(GError) fault = NULL;
    g_autofree char *reason = NULL;
    int result = vimg_image_look(verify->store, uuid, &image);

    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), uuid);
    if (!image.published)
        return TRUE;
    if (!image.manifest)
        return tell_fault(verify, uuid, &image, _("the manifest cannot be read"), NULL, error);
    /* what is neither there nor in the trash is for the collector */
    if (!image.claimed && !image.deleted)
        return TRUE;
    reason = vimg_image_find_fault(&image);
    if (reason)
        return tell_fault(verify, uuid, &image, reason, NULL, error);
    index = vimg_image_index(verify->store, &image, &fault);
    if (index)
        return check_image(verify, uuid, &image, index, error);
    if (g_error_matches(fault, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) ||
        g_error_matches(fault, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&fault));
        return FALSE;
    }
    return is_gone(verify, uuid) || tell_fault(verify, uuid, &image, fault->message, fault, error);
}

/* @read: of its index; not run if that is not worth a look */
static gboolean
judge_image(Verify *verify, const VimgImageLook *look, const VimgOp *read, GError **error)
{
    const VimgStoredImage *image = &look->stored;
    g_autoptr(VimgIndex) index = NULL;
    g_autofree char *fault = NULL;

    if (look->result != 0)
        return throw_result(error, look->result, _("cannot read image %s"), look->uuid);
    if (!image->published)
        return TRUE;
    if (image->manifest && !image->claimed && !image->deleted)
        return TRUE;
    if (image->manifest)
        fault = vimg_image_find_fault(image);
    if (image->manifest && !fault)
        index = vimg_image_check_index(image, read->result, read->content, NULL);
    return index ? check_image(verify, look->uuid, image, index, error)
                 : judge_again(verify, look->uuid, error);
}

/* All of @looks; as many indexes are read at once as there is memory for. */
static gboolean
judge_images(Verify *verify, const GArray *looks, GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, looks->len);
    gboolean good = TRUE;
    gsize done = 0;
    gsize i;

    for (i = 0; i < looks->len; i++) {
        const VimgImageLook *look = &g_array_index(looks, VimgImageLook, i);

        /* one that is longer than it was, or not whole, is known by that already */
        ops[i] = (VimgOp){.kind = VIMG_OP_READ,
                          .path = vimg_image_path(look->uuid, VIMG_IMAGE_INDEX),
                          .size = MIN(look->stored.index_size, VIMG_INDEX_MAX_SIZE)};
    }
    while (good && done < looks->len) {
        gsize n = vimg_transport_read_some(verify->store->transport, ops + done, looks->len - done,
                                           INDEX_BYTES);

        for (i = done; i < done + n; i++) {
            good = good && vimg_slice_store_check_job(verify->job, error) &&
                   judge_image(verify, &g_array_index(looks, VimgImageLook, i), &ops[i], error);
            g_clear_pointer(&ops[i].content, vimg_buffer_unref);
        }
        done += n;
    }
    vimg_transport_clear_ops(ops, looks->len, TRUE);
    return good;
}

static gboolean
look_at_image(Verify *verify, const char *uuid, GError **error)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    g_autoptr(GArray) looks = NULL;

    g_ptr_array_add(uuids, (gpointer)uuid);
    looks = vimg_image_look_some(verify->store, uuids, 0, 1);
    return judge_images(verify, looks, error);
}

static gboolean
look_at_all(Verify *verify, GError **error)
{
    g_autoptr(GPtrArray) uuids = vimg_image_uuids(verify->store, error);
    guint i;

    for (i = 0; uuids && i < uuids->len; i += IMAGES) {
        g_autoptr(GArray) looks = vimg_image_look_some(verify->store, uuids, i, IMAGES);

        vimg_slice_store_progress(verify->job, "checking images", i, uuids->len);
        if (!judge_images(verify, looks, error))
            return FALSE;
    }
    return uuids != NULL;
}

/* @uuid: NULL: at all of them; what is bad in one image may be so in others. */
static gboolean
look_at_images(Verify *verify, const char *uuid, GError **error)
{
    if (uuid && !look_at_image(verify, uuid, error))
        return FALSE;
    if (uuid && verify->sums.bad == 0)
        return TRUE;
    json_array_unref(verify->damaged);
    verify->damaged = json_array_new();
    return look_at_all(verify, error);
}

/* ---- all of it -------------------------------------------------------------------------- */

static void
set_totals(JsonObject *root, Verify *verify)
{
    json_object_set_int_member(root, "stored", (gint64)verify->sums.bytes);
    json_object_set_int_member(root, "plain", (gint64)verify->sums.plain);
    /* what was moved aside is missing now */
    json_object_set_int_member(root, "bad",
                               (gint64)MAX(verify->sums.bad, g_hash_table_size(verify->missing)));
}

static char *
format_report(Verify *verify, gboolean all)
{
    g_autoptr(JsonObject) root = json_object_new();
    JsonObject *slices = json_object_new();

    json_object_set_int_member(slices, "checked", (gint64)verify->sums.slices);
    json_object_set_int_member(slices, "bad", (gint64)verify->sums.bad);
    json_object_set_int_member(slices, "missing", g_hash_table_size(verify->missing));
    json_object_set_int_member(slices, "foreign", (gint64)verify->sums.foreign);
    json_object_set_int_member(root, "freed", 0);
    json_object_set_array_member(root, "removed", json_array_new());
    json_object_set_array_member(root, "kept", json_array_new());
    json_object_set_int_member(root, "checked", (gint64)verify->sums.bytes);
    json_object_set_array_member(root, "damaged", json_array_ref(verify->damaged));
    json_object_set_object_member(root, "slices", slices);
    if (all)
        set_totals(root, verify);
    return vimg_json_format(root);
}

char *
vimg_verify(VimgSliceStore *store, const char *uuid, VimgPluginJob *job, GError **error)
{
    g_auto(Verify) verify = {.store = store, .job = job};

    if (!uuid && store->state_dir)
        verify.record = g_build_filename(store->state_dir, "verify.json", NULL);
    if (!begin(&verify, error) ||
        !(uuid ? check_image_slices(&verify, uuid, error) : check_slices(&verify, error)))
        return NULL;
    if (verify.lease &&
        (!vimg_slice_store_mend_zeros(store, error) || !vimg_scrub_rescue(store, job, error)))
        return NULL;
    if (!look_at_images(&verify, uuid, error))
        return NULL;
    if (verify.record)
        g_unlink(verify.record);
    return format_report(&verify, !uuid);
}
