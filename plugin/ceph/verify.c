/*
 * verify.c: reading images again, to see whether they are what was uploaded
 *
 * An image that is not becomes an error, so that nobody starts from it.  What other tools made has
 * no digest: that it can be read is all that can be said of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "closing.h"
#include "digest.h"
#include "reader.h"
#include "../throw.h"
#include "verify.h"

#define NAP (G_USEC_PER_SEC / 2)

typedef struct {
    VimgCephStore *store;
    VimgPluginJob *job;
    guint64 total; /* bytes */
    guint64 checked;
    gdouble debt;   /* bytes read beyond the rate */
    gint64 drained; /* when it was last made less */
    JsonArray *damaged;
} Verify;

/* Waits off what was read faster than the rate of the moment allows, which is never saved up. */
static gboolean
keep_rate(Verify *verify, guint64 bytes, GError **error)
{
    verify->debt += (gdouble)bytes;
    for (;;) {
        gdouble rate = (gdouble)__atomic_load_n(&verify->store->verify_rate, __ATOMIC_RELAXED);
        gint64 now = g_get_monotonic_time();

        verify->debt -= (gdouble)(now - verify->drained) * rate / G_USEC_PER_SEC;
        verify->drained = now;
        if (rate <= 0 || verify->debt <= 0) {
            verify->debt = 0;
            return TRUE;
        }
        if (!vimg_ceph_check_job(verify->job, error))
            return FALSE;
        g_usleep((gulong)MIN(verify->debt / rate * G_USEC_PER_SEC + 1, (gdouble)NAP));
    }
}

/* Hours later: it may be described otherwise, or be another upload's. */
static gboolean
mark_open(VimgCluster *cluster, rbd_image_t image, const VimgCephRecord *record, const char *reason,
          GError **error)
{
    g_autoptr(VimgCephRecord) now = vimg_ceph_record_again(cluster, record, error);

    if (!now)
        return FALSE;
    if (g_strcmp0(now->digest, record->digest) != 0)
        return TRUE;
    g_free(now->info.reason);
    now->info.reason = g_strdup(reason);
    return vimg_ceph_record_save(image, now, error);
}

static gboolean
mark(Verify *verify, const VimgCephRecord *record, const char *reason, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(verify->store, error);
    rbd_image_t image;
    gboolean ok;
    int result;

    if (!cluster)
        return FALSE;
    result = rbd_open_by_id(cluster->io, record->id, &image, NULL);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = mark_open(cluster, image, record, reason, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

static void
note_damage(Verify *verify, const VimgCephRecord *record, const char *reason)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "uuid", record->info.uuid);
    json_object_set_string_member(object, "name", record->info.name);
    json_object_set_string_member(object, "reason", reason);
    json_array_add_object_element(verify->damaged, object);
}

/* Returns: (transfer full) the digest of all of it; NULL with @error. */
static char *
read_again(Verify *verify, VimgCephReader *reader, GError **error)
{
    g_autoptr(VimgCephDigest) digest = vimg_ceph_digest_new();

    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        vimg_ceph_progress(verify->job, "verifying", verify->checked, verify->total);
        if (!vimg_ceph_reader_next(reader, &extent, error))
            return NULL;
        data = extent.data;
        if (extent.length == 0)
            return vimg_ceph_digest_finish(digest);
        vimg_ceph_digest_add(digest, data ? data->data + extent.offset : NULL, extent.length);
        verify->checked += extent.length;
        if (data && !keep_rate(verify, extent.length, error))
            return NULL;
    }
}

static gboolean
check(Verify *verify, const VimgCephRecord *record, GError **error)
{
    g_autoptr(VimgCephReader) reader =
        vimg_ceph_reader_open(verify->store, record->info.uuid, 0, 0, verify->job, error);
    g_autofree char *now = reader ? read_again(verify, reader, error) : NULL;

    if (!now)
        return FALSE;
    if (!record->digest || strcmp(now, record->digest) == 0)
        return TRUE;
    note_damage(verify, record, _("its content is not what was uploaded"));
    return mark(verify, record, _("its content is not what was uploaded"), error);
}

/* Whether the next one may be looked at: one that cannot be read may be the only one. */
static gboolean
settle(Verify *verify, const VimgCephRecord *record, GError *why, GError **error)
{
    g_autoptr(GError) local = why;

    if (vimg_ceph_is_lost(local) || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    /* one that was removed meanwhile needs no look */
    if (local && !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        note_damage(verify, record, local->message);
    return TRUE;
}

static gboolean
has_digest(const VimgCephRecord *record)
{
    return record->ours && record->digest && record->info.state == VIMG_IMAGE_ACTIVE;
}

static gboolean
check_all(Verify *verify, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_record_list(verify->store, FALSE, error);
    guint i;

    for (i = 0; records && i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];

        verify->total += has_digest(record) ? record->info.physical : 0;
    }
    for (i = 0; records && i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];
        GError *local = NULL;

        if (has_digest(record) && !check(verify, record, &local) &&
            !settle(verify, record, local, error))
            return FALSE;
    }
    return records != NULL;
}

static gboolean
check_one(Verify *verify, const char *uuid, GError **error)
{
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(verify->store, uuid, error);

    if (!record)
        return FALSE;
    verify->total = record->info.physical;
    return check(verify, record, error);
}

static char *
format_report(const Verify *verify)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_int_member(object, "freed", 0);
    json_object_set_array_member(object, "removed", json_array_new());
    json_object_set_array_member(object, "kept", json_array_new());
    json_object_set_int_member(object, "checked", (gint64)MIN(verify->checked, G_MAXINT64));
    json_object_set_array_member(object, "damaged", json_array_ref(verify->damaged));
    json_node_set_object(root, object);
    return json_to_string(root, FALSE);
}

char *
vimg_ceph_verify(VimgCephStore *store, const char *uuid, VimgPluginJob *job, GError **error)
{
    g_autoptr(JsonArray) damaged = json_array_new();
    Verify verify = {.store = store, .job = job, .damaged = damaged};

    return (uuid ? check_one(&verify, uuid, error) : check_all(&verify, error))
               ? format_report(&verify)
               : NULL;
}
