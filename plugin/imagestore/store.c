/*
 * store.c: making, opening and probing a slice store
 *
 * store.json is written last and never changed: a root without it holds no store, whatever
 * directories an interrupted making left there.
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
#include "slice.h"
#include "slicer.h"
#include "spare.h"
#include "store.h"
#include "survey.h"
#include "../throw.h"
#include "../kept.h"

#define STORE_FILE "store.json"
#define SPACE_LASTS (5 * G_USEC_PER_SEC)
#define HEARTBEAT_SECONDS 30

const VimgServices *vimg_services;

static const char *const directories[] = {
    VIMG_SLICES_DIR, "names", "images", "pending", "gc", "bad", NULL,
};

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

/* ---- what lies at the root -------------------------------------------------------------- */

/* A directory of ours that holds no image yet: what an interrupted making leaves. */
static gboolean
is_remnant(VimgTransport *transport, const char *name)
{
    g_autoptr(GPtrArray) names = NULL;

    if (!g_strv_contains(directories, name))
        return FALSE;
    if (strcmp(name, "images") != 0 && strcmp(name, "names") != 0)
        return TRUE;
    return vimg_transport_list(transport, name, &names) == 0 && names->len == 0;
}

gboolean
vimg_slice_store_survey(VimgTransport *transport, VimgPlace *out, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    VimgFileInfo info;
    int result;
    guint i;

    *out = VIMG_PLACE_STORE;
    if (vimg_transport_stat(transport, STORE_FILE, &info) == 0)
        return TRUE;
    result = vimg_transport_list(transport, ".", &names);
    *out = VIMG_PLACE_MISSING;
    if (result == ENOENT)
        return TRUE;
    if (result != 0)
        return throw_result(error, result, _("cannot read the directory of the store"));
    *out = VIMG_PLACE_EMPTY;
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (strcmp(name, STORE_FILE) == 0) {
            *out = VIMG_PLACE_STORE;
            return TRUE;
        }
        /* every fresh ext4 file system has a lost+found */
        if (strcmp(name, "lost+found") != 0 && !is_remnant(transport, name))
            *out = VIMG_PLACE_FOREIGN;
    }
    return TRUE;
}

/* ---- making ----------------------------------------------------------------------------- */

static gboolean
make_directory(VimgTransport *transport, const char *path, GError **error)
{
    int result = vimg_transport_mkdir(transport, path);

    if (result != 0 && result != EEXIST)
        return throw_result(error, result, _("cannot create directory '%s'"), path);
    return TRUE;
}

/*
 * A durable file, whole from the moment it is there.  One that is there already came the same way,
 * from an interrupted making or from another host that makes a store here now: it stays.
 */
static gboolean
make_file(VimgTransport *transport, const char *path, gconstpointer data, gsize size,
          GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *staged = g_strconcat("pending/new-", uuid, NULL);
    int result = vimg_transport_create(transport, staged, data, size, TRUE);

    if (result == 0)
        result = vimg_transport_sync(transport, staged);
    if (result == 0)
        result = vimg_transport_publish(transport, staged, path);
    if (result != 0)
        vimg_transport_unlink(transport, staged);
    if (result != 0 && result != EEXIST)
        return throw_result(error, result, _("cannot create '%s'"), path);
    return TRUE;
}

static gboolean
make_zero_slice(VimgTransport *transport, VimgSliceTools *tools, const guint8 *zeros,
                guint64 length, GError **error)
{
    const VimgSliceId *id = vimg_zero_id(length);
    g_autofree char *dir = vimg_slice_dir(id);
    g_autofree char *path = vimg_slice_path(id);
    const guint8 *frame;
    gsize size;
    int result;

    frame = vimg_slice_compress(tools, zeros, length, VIMG_COMPRESSION_DEFAULT, &size, error);
    if (!frame || !make_directory(transport, dir, error) ||
        !make_file(transport, path, frame, size, error))
        return FALSE;
    result = vimg_transport_sync(transport, dir);
    if (result != 0)
        return throw_result(error, result, _("cannot create directory '%s'"), dir);
    return TRUE;
}

static gboolean
make_zero_slices(VimgTransport *transport, guint64 slice_size, GError **error)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autofree guint8 *zeros = g_malloc0(VIMG_ZERO_MAX);
    guint64 length;

    for (length = slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        if (!make_zero_slice(transport, tools, zeros, length, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_slice_store_mend_zeros(VimgSliceStore *store, GError **error)
{
    g_autoptr(VimgSliceTools) tools = NULL;
    g_autofree guint8 *zeros = NULL;
    guint64 length;

    for (length = store->slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        g_autofree char *path = vimg_slice_path(vimg_zero_id(length));
        VimgFileInfo info;
        int result = vimg_transport_stat(store->transport, path, &info);

        if (result != 0 && result != ENOENT)
            return throw_result(error, result, _("cannot look up slices"));
        if (result == 0)
            continue;
        if (!zeros) {
            tools = vimg_slice_tools_new();
            zeros = g_malloc0(VIMG_ZERO_MAX);
        }
        if (!make_zero_slice(store->transport, tools, zeros, length, error))
            return FALSE;
    }
    return TRUE;
}

static char *
format_store_file(const VimgStoreParams *params)
{
    g_autoptr(JsonObject) root = json_object_new();
    JsonObject *slicer = json_object_new();
    JsonObject *content = json_object_new();
    g_autofree char *uuid = g_uuid_string_random();

    json_object_set_string_member(slicer, "kind", "fixed");
    json_object_set_int_member(slicer, "size", (gint64)params->slice_size);
    json_object_set_int_member(slicer, "zeroMax", (gint64)VIMG_ZERO_MAX);
    json_object_set_int_member(root, "format", VIMG_STORE_FORMAT);
    json_object_set_string_member(root, "uuid", uuid);
    json_object_set_string_member(root, "digest", "sha256");
    json_object_set_object_member(root, "slicer", slicer);
    json_object_set_string_member(content, "kind", "gear");
    json_object_set_object_member(root, "contentSlicer", content);
    json_object_set_string_member(root, "creator", "virtimage " VIMG_VERSION);
    return vimg_json_format(root);
}

static gboolean
sync_directories(VimgTransport *transport, GError **error)
{
    gsize i;
    int result = vimg_transport_sync(transport, ".");

    for (i = 0; result == 0 && directories[i]; i++)
        result = vimg_transport_sync(transport, directories[i]);
    if (result != 0)
        return throw_result(error, result, _("cannot make the store durable"));
    return TRUE;
}

static gboolean
make_all(VimgTransport *transport, const VimgStoreParams *params, GError **error)
{
    g_autofree char *text = format_store_file(params);
    gsize i;
    int result;

    for (i = 0; directories[i]; i++) {
        if (!make_directory(transport, directories[i], error))
            return FALSE;
    }
    vimg_spare_make(transport);
    if (!make_zero_slices(transport, params->slice_size, error) ||
        !sync_directories(transport, error) ||
        !make_file(transport, STORE_FILE, text, strlen(text), error))
        return FALSE;
    result = vimg_transport_sync(transport, ".");
    if (result != 0)
        return throw_result(error, result, _("cannot create '%s'"), STORE_FILE);
    return TRUE;
}

/*
 * Takes back what make_all() did; whatever else lies there stays, and so does all of it once there
 * is a store: it is as good as ours if another host made it.
 */
static void
unmake(VimgTransport *transport, guint64 slice_size)
{
    VimgFileInfo info;
    guint64 length;
    gsize i;

    if (vimg_transport_stat(transport, STORE_FILE, &info) != ENOENT)
        return;
    for (length = slice_size; length <= VIMG_ZERO_MAX; length *= 2) {
        g_autofree char *dir = vimg_slice_dir(vimg_zero_id(length));
        g_autofree char *path = vimg_slice_path(vimg_zero_id(length));

        vimg_transport_unlink(transport, path);
        vimg_transport_rmdir(transport, dir);
    }
    vimg_transport_unlink(transport, VIMG_SPARE_FILE);
    for (i = 0; directories[i]; i++)
        vimg_transport_rmdir(transport, directories[i]);
}

gboolean
vimg_slice_store_make(VimgTransport *transport, const VimgStoreParams *params, GError **error)
{
    if (make_all(transport, params, error))
        return TRUE;
    unmake(transport, params->slice_size);
    return FALSE;
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
        return throw_error(error, VIMG_ERROR_DAMAGED, _("%s has no format version"), STORE_FILE);
    if (format > VIMG_STORE_FORMAT)
        return throw_error(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the store has format version %1$llu, this program knows versions up to %2$d"),
            ULL(format), VIMG_STORE_FORMAT);
    uuid = vimg_json_string(root, "uuid");
    if (!uuid || !g_uuid_string_is_valid(uuid))
        return throw_error(error, VIMG_ERROR_DAMAGED, _("%s has no valid uuid"), STORE_FILE);
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
    result = vimg_transport_read(transport, STORE_FILE, VIMG_JSON_MAX_SIZE, &content);
    if (result != 0) {
        throw_result(error, result, _("cannot read '%s'"), STORE_FILE);
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
    int result = vimg_transport_read(transport, STORE_FILE, VIMG_JSON_MAX_SIZE, &content);

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
        g_autofree char *what = g_strdup_printf(_("cannot read '%s'"), STORE_FILE);

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
