/*
 * store.c: opening and probing a slice store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"
#include "catalog.h"
#include "collect.h"
#include "guess.h"
#include "json.h"
#include "lease.h"
#include "ready.h"
#include "store.h"
#include "survey.h"
#include "../throw.h"
#include "../kept.h"

#define SPACE_LASTS (5 * G_USEC_PER_SEC)
#define HEARTBEAT_SECONDS 30

const VimgServices *vimg_services;

void
vimg_slice_store_log(VimgLogLevel level, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    if (!vimg_services)
        return;
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    vimg_services->log(level, message);
}

gboolean
vimg_slice_store_keeps(const VimgSliceStore *store, const char *uuid)
{
    return host_keeps(vimg_services, __atomic_load_n(&store->host, __ATOMIC_RELAXED), uuid);
}

gboolean
vimg_slice_store_check_job(VimgPluginJob *job, GError **error)
{
    if (job && vimg_services && vimg_services->job_cancelled(job))
        return throw_error(error, VIMG_ERROR_ABORTED, _("cancelled by a client"));
    return TRUE;
}

void
vimg_slice_store_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    if (job && vimg_services)
        vimg_services->job_progress(job, phase, done, total);
}

/* ---- opening ---------------------------------------------------------------------------- */

static gboolean
parse_store_file(VimgSliceStore *store, const VimgBuffer *file, GError **error)
{
    g_autoptr(JsonObject) root = vimg_json_parse(file->data, file->size, error);
    JsonObject *slicer;
    JsonObject *content;
    const char *uuid;
    guint64 format;

    if (!root)
        return FALSE;
    if (!vimg_json_number(root, "format", &format) || format == 0)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("%s has no format version"),
                           VIMG_STORE_FILE);
    if (format > VIMG_STORE_FORMAT)
        return throw_error(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the store has format version %1$llu, this program knows versions up to %2$d"),
            ULL(format), VIMG_STORE_FORMAT);
    uuid = vimg_json_string(root, "uuid");
    if (!uuid || !g_uuid_string_is_valid(uuid))
        return throw_error(error, VIMG_ERROR_DAMAGED, _("%s has no valid uuid"), VIMG_STORE_FILE);
    if (g_strcmp0(vimg_json_string(root, "digest"), "sha256") != 0)
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("the store names slices by an unknown digest"));
    slicer = vimg_json_object(root, "slicer");
    content = vimg_json_object(root, "contentSlicer");
    if (!slicer || !content || g_strcmp0(vimg_json_string(content, "kind"), "gear") != 0 ||
        g_strcmp0(vimg_json_string(slicer, "kind"), "fixed") != 0 ||
        !vimg_json_number(slicer, "size", &store->slice_size) ||
        store->slice_size < VIMG_SLICE_SIZE_MIN || store->slice_size > VIMG_SLICE_SIZE_MAX ||
        (store->slice_size & (store->slice_size - 1)) != 0)
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("the store was cut by an unknown slicer"));
    store->uuid = g_strdup(uuid);
    return TRUE;
}

static void
beat(gpointer data)
{
    VimgSliceStore *store = data;
    g_autoptr(GPtrArray) alive = NULL;
    guint64 used;

    vimg_lease_beat_all(store);
    alive = vimg_survey_leases(store, g_get_monotonic_time(), NULL);
    if (__atomic_load_n(&store->quota, __ATOMIC_RELAXED) > 0)
        vimg_usage_count(store->usage, store->transport, &used);
}

/* A timer of its own: it may take long, and heartbeats must not wait for it. */
static void
collect_rest(gpointer data)
{
    vimg_collect_rest(data);
}

VimgSliceStore *
vimg_slice_store_peek(VimgTransport *transport, GError **error)
{
    g_autoptr(VimgSliceStore) store = g_new0(VimgSliceStore, 1);
    g_autoptr(VimgBuffer) content = NULL;
    int result;

    store->transport = transport;
    store->compression = VIMG_COMPRESSION_DEFAULT;
    store->verify_rate = VIMG_VERIFY_RATE_DEFAULT;
    thread_must(pthread_mutex_init(&store->lock, NULL));
    g_queue_init(&store->leases);
    g_queue_init(&store->guesses);
    store->pause = VIMG_PAUSE_MAX;
    store->ready = VIMG_READY_TIME;
    store->usage = vimg_usage_new();
    store->catalog = vimg_catalog_new();
    store->readies = vimg_readies_new();
    result = vimg_transport_read(transport, VIMG_STORE_FILE, VIMG_JSON_MAX_SIZE, &content);
    if (result != 0) {
        throw_result(error, result, _("cannot read '%s'"), VIMG_STORE_FILE);
        return NULL;
    }
    if (!parse_store_file(store, content, error))
        return NULL;
    store->watch = vimg_watch_get(store->uuid);
    store->read_only = TRUE;
    return g_steal_pointer(&store);
}

VimgSliceStore *
vimg_slice_store_new(VimgTransport *transport, GError **error)
{
    g_autoptr(VimgSliceStore) store = vimg_slice_store_peek(transport, error);
    int result;

    if (!store)
        return NULL;
    result = vimg_transport_space(transport, &store->space);
    if (result == 0)
        store->space_until = g_get_monotonic_time() + SPACE_LASTS;
    store->read_only = result == 0 && store->space.read_only;
    if (!store->read_only && !vimg_lease_try(store))
        store->read_only = TRUE;
    if (!store->read_only) {
        GPtrArray *alive = vimg_survey_leases(store, g_get_monotonic_time(), NULL);

        g_clear_pointer(&alive, g_ptr_array_unref);
        if (vimg_services) {
            store->timer = vimg_services->timer_add(HEARTBEAT_SECONDS, beat, store);
            store->collector = vimg_services->timer_add(HEARTBEAT_SECONDS, collect_rest, store);
        }
    }
    return g_steal_pointer(&store);
}

void
vimg_slice_store_free(VimgSliceStore *store)
{
    if (!store)
        return;
    __atomic_store_n(&store->closing, 1, __ATOMIC_RELAXED);
    if (store->collector)
        vimg_services->timer_remove(store->collector);
    if (store->timer)
        vimg_services->timer_remove(store->timer);
    vimg_readies_free(store->readies);
    vimg_lease_sweep_end(store);
    vimg_transport_free(store->transport);
    vimg_usage_free(store->usage);
    vimg_watch_put(store->watch);
    vimg_catalog_free(store->catalog);
    vimg_guess_clear(store);
    pthread_mutex_destroy(&store->lock);
    g_free(store->where);
    g_free(store->uuid);
    g_free(store->state_dir);
    g_free(store);
}

gboolean
vimg_slice_store_need_writable(VimgSliceStore *store, GError **error)
{
    if (store->read_only)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the storage is read-only"));
    return TRUE;
}

/* What is out of reach says itself why, and at which step. */
static gboolean
throw_gone(VimgSliceStore *store, GError **error, const char *what, int result)
{
    g_autofree char *reason = vimg_transport_reason(store->transport);

    if (reason)
        return throw_error(error, VIMG_ERROR_DISCONNECTED, "%s", reason);
    return throw_error(error, VIMG_ERROR_DISCONNECTED, "%s: %s", what, g_strerror(result));
}

int
vimg_slice_store_uuid(VimgTransport *transport, char **out)
{
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(JsonObject) root = NULL;
    int result = vimg_transport_read(transport, VIMG_STORE_FILE, VIMG_JSON_MAX_SIZE, &content);

    *out = NULL;
    if (result != 0)
        return result;
    root = vimg_json_parse(content->data, content->size, NULL);
    *out = root ? g_strdup(vimg_json_string(root, "uuid")) : NULL;
    return 0;
}

gboolean
vimg_slice_store_explain(VimgSliceStore *store, gboolean done, GError **error)
{
    const char *plain = g_strerror(ENOTCONN);
    g_autofree char *reason = NULL;
    g_autofree char *text = NULL;

    if (done || !error || !g_error_matches(*error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) ||
        !g_str_has_suffix((*error)->message, plain))
        return done;
    reason = vimg_transport_reason(store->transport);
    if (!reason)
        return done;
    text = g_strndup((*error)->message, strlen((*error)->message) - strlen(plain));
    g_clear_error(error);
    return throw_error(error, VIMG_ERROR_DISCONNECTED, "%s%s", text, reason);
}

/* The file is immutable: another content is another store. */
static gboolean
same_store(VimgSliceStore *store, GError **error)
{
    g_autofree char *uuid = NULL;
    int result = vimg_slice_store_uuid(store->transport, &uuid);

    if (result != 0) {
        g_autofree char *what = g_strdup_printf(_("cannot read '%s'"), VIMG_STORE_FILE);

        return throw_gone(store, error, what, result);
    }
    if (g_strcmp0(uuid, store->uuid) != 0)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("another store lies in place of store %s"), store->uuid);
    return TRUE;
}

gboolean
vimg_slice_store_take(VimgSliceStore *store, guint64 bytes, GError **error)
{
    guint64 quota = __atomic_load_n(&store->quota, __ATOMIC_RELAXED);
    guint64 used;

    if (vimg_usage_take(store->usage, bytes, quota, &used))
        return TRUE;
    return throw_error(error, VIMG_ERROR_NO_SPACE,
                       _("the quota of %1$llu bytes is used up: %2$llu bytes are stored"),
                       ULL(quota), ULL(used));
}

/* What a pool with a quota shows of itself; what cannot be counted is no reason to lose it. */
static void
apply_quota(VimgSliceStore *store, VimgPluginStore *out)
{
    guint64 quota = __atomic_load_n(&store->quota, __ATOMIC_RELAXED);
    guint64 used;
    int result;

    if (quota == 0)
        return;
    result = vimg_usage_count(store->usage, store->transport, &used);
    if (result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot count the bytes of store %s: %s",
                             store->uuid, g_strerror(result));
    out->capacity = MIN(out->capacity, quota);
    out->allocation = used;
    out->available = MIN(out->available, quota - MIN(quota, used));
}

/* Whether @out is what a look would tell. */
static gboolean
recall_space(VimgSliceStore *store, VimgSpace *out)
{
    LOCK_GUARD(&store->lock);

    *out = store->space;
    return g_get_monotonic_time() < store->space_until;
}

void
vimg_slice_store_doubt(VimgSliceStore *store)
{
    LOCK_GUARD(&store->lock);

    store->space_until = 0;
    store->doubts++;
}

static guint
count_doubts(VimgSliceStore *store)
{
    LOCK_GUARD(&store->lock);

    return store->doubts;
}

int
vimg_slice_store_space(VimgSliceStore *store, VimgSpace *out)
{
    return recall_space(store, out) ? 0 : vimg_transport_space(store->transport, out);
}

typedef struct {
    VimgTransport *transport;
    VimgSpace space;
    int result;
} Room;

static void
look_for_room(gpointer data)
{
    Room *room = data;

    room->result = vimg_transport_space(room->transport, &room->space);
}

/* Whether it is the store that it was; its room is asked for meanwhile. */
static gboolean
look_again(VimgSliceStore *store, Room *room, GError **error)
{
    VimgAside aside;
    gboolean same;

    vimg_aside_begin(&aside, store->transport, look_for_room, room);
    same = same_store(store, error);
    vimg_aside_end(&aside);
    return same;
}

void
vimg_slice_store_look_ahead(VimgSliceStore *store)
{
    Room room = {.transport = store->transport};
    guint doubts = count_doubts(store);

    if (!look_again(store, &room, NULL) || room.result != 0)
        return;
    {
        LOCK_GUARD(&store->lock);

        if (store->doubts != doubts)
            return;
        store->space = room.space;
        store->space_until = g_get_monotonic_time() + SPACE_LASTS;
    }
}

/* Whoever opened it, or stored an image, asks at once; and far away each question takes a while. */
gboolean
vimg_slice_store_probe(VimgSliceStore *store, VimgPluginStore *out, GError **error)
{
    Room room = {.transport = store->transport};
    gboolean known = recall_space(store, &room.space);

    vimg_slice_store_doubt(store);
    if (!known && !look_again(store, &room, error))
        return FALSE;
    if (room.result != 0)
        return throw_gone(store, error, _("cannot get the free space"), room.result);
    out->store_id = g_strdup(store->uuid);
    out->capacity = room.space.total;
    out->available = store->read_only ? 0 : room.space.available;
    out->allocation = room.space.total - MIN(room.space.total, room.space.available);
    out->read_only = store->read_only;
    apply_quota(store, out);
    return TRUE;
}
