/*
 * lease.c: the sign that somebody works on a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"
#include "lease.h"
#include "owner.h"
#include "../throw.h"

#define RESERVATION "reservation"

/* ---- making and ending ------------------------------------------------------------------ */

void
vimg_lease_beat_add(VimgSliceStore *store, char *heartbeat)
{
    LOCK_GUARD(&store->lock);

    g_queue_push_tail(&store->leases, heartbeat);
}

void
vimg_lease_beat_remove(VimgSliceStore *store, const char *heartbeat)
{
    LOCK_GUARD(&store->lock);

    g_queue_remove(&store->leases, heartbeat);
}

/* Whole from the moment it is there: one that does not say whose it is holds others up for long. */
static int
make(VimgTransport *transport, const char *id, const char *dir)
{
    g_autofree char *staged = g_strconcat("pending/" VIMG_LEASE_NEW, id, NULL);
    int result = vimg_transport_mkdir(transport, staged);

    if (result != 0)
        return result;
    result = vimg_owner_write(transport, staged);
    if (result == 0)
        result = vimg_transport_rename(transport, staged, dir);
    if (result != 0)
        vimg_transport_remove_files(transport, staged);
    return result;
}

/* @dir: of a lease that nobody has any more.  Mostly there is nothing in it but what all have. */
static void
remove_ended(VimgTransport *transport, const char *dir)
{
    static const char *const names[] = {VIMG_OWNER_FILE, VIMG_HEARTBEAT_FILE, RESERVATION};
    VimgOp ops[G_N_ELEMENTS(names)];
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = g_strconcat(dir, "/", names[i], NULL)};
    vimg_transport_run(transport, ops, G_N_ELEMENTS(names));
    vimg_transport_clear_ops(ops, G_N_ELEMENTS(names), TRUE);
    if (vimg_transport_rmdir(transport, dir) != 0)
        vimg_transport_remove_files(transport, dir);
}

/* Nothing while the store is closed: that does not wait for a storage, and surveys find the rest.
 */
static char *
next_ended(VimgSliceStore *store)
{
    LOCK_GUARD(&store->lock);
    gboolean closing = __atomic_load_n(&store->closing, __ATOMIC_RELAXED);
    char *dir = closing ? NULL : g_queue_pop_head(&store->ended);

    store->sweeping = dir != NULL;
    return dir;
}

static void
sweep_all(VimgSliceStore *store)
{
    char *dir;

    while ((dir = next_ended(store))) {
        remove_ended(store->transport, dir);
        g_free(dir);
    }
}

static void *
sweep_main(void *data)
{
    pthread_setname_np(pthread_self(), "sweep");
    sweep_all(data);
    return NULL;
}

/* @dir, taken over, is that of a lease that ended: it is removed while nobody waits for it. */
static void
sweep(VimgSliceStore *store, char *dir)
{
    {
        LOCK_GUARD(&store->lock);

        g_queue_push_tail(&store->ended, dir);
        if (store->sweeping)
            return;
        /* the one before has nothing more to do */
        if (store->swept)
            thread_must(pthread_join(store->sweeper, NULL));
        store->sweeping = TRUE;
        store->swept = thread_start(&store->sweeper, sweep_main, store) == 0;
        if (store->swept)
            return;
    }
    sweep_all(store);
}

void
vimg_lease_sweep_end(VimgSliceStore *store)
{
    if (store->swept)
        thread_must(pthread_join(store->sweeper, NULL));
    store->swept = FALSE;
    g_queue_clear_full(&store->ended, g_free);
}

int
vimg_lease_end(VimgTransport *transport, const char *id)
{
    g_autofree char *from = g_strconcat("pending/", id, NULL);
    g_autofree char *to = g_strconcat(VIMG_LEASE_ENDED, id, NULL);
    int result = vimg_transport_rename(transport, from, to);

    if (result == 0)
        remove_ended(transport, to);
    return result;
}

VimgLease *
vimg_lease_new(VimgSliceStore *store, GError **error)
{
    g_autofree char *id = vimg_owner_new_id();
    g_autofree char *dir = g_strconcat("pending/", id, NULL);
    g_autofree char *heartbeat = g_strconcat(dir, "/" VIMG_HEARTBEAT_FILE, NULL);
    VimgLease *lease;
    int result;

    if (!vimg_slice_store_need_writable(store, error))
        return NULL;
    vimg_owner_hold(id);
    result = make(store->transport, id, dir);
    if (result != 0) {
        vimg_owner_drop(id);
        if (result == ENOENT)
            vimg_lease_throw_fenced(error);
        else
            throw_result(error, result, _("cannot make a lease in the store"));
        return NULL;
    }
    lease = g_new0(VimgLease, 1);
    lease->store = store;
    lease->dir = g_steal_pointer(&dir);
    lease->heartbeat = g_steal_pointer(&heartbeat);
    vimg_lease_beat_add(store, lease->heartbeat);
    return lease;
}

static const char *
id_of(const VimgLease *lease)
{
    return strrchr(lease->dir, '/') + 1;
}

static void
let_go(VimgLease *lease)
{
    vimg_owner_drop(id_of(lease));
    g_free(lease->dir);
    g_free(lease->heartbeat);
    g_free(lease);
}

void
vimg_lease_free(VimgLease *lease)
{
    if (!lease)
        return;
    vimg_lease_beat_remove(lease->store, lease->heartbeat);
    if (vimg_lease_end(lease->store->transport, id_of(lease)) != 0)
        vimg_transport_remove_files(lease->store->transport, lease->dir);
    let_go(lease);
}

static char *
ended_path(const VimgLease *lease)
{
    return g_strconcat(VIMG_LEASE_ENDED, id_of(lease), NULL);
}

gsize
vimg_lease_end_ops(const VimgLease *lease, const char *sign, VimgOp *ops)
{
    ops[0] = (VimgOp){.kind = VIMG_OP_RENAME, .path = lease->dir, .to = ended_path(lease)};
    ops[1] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = sign};
    return sign ? 2 : 1;
}

void
vimg_lease_note_end(VimgLease *lease, VimgOp *ops)
{
    lease->ended = ops[0].result == 0;
    g_free((char *)ops[0].to);
}

void
vimg_lease_abandon(VimgLease *lease)
{
    vimg_lease_beat_remove(lease->store, lease->heartbeat);
    let_go(lease);
}

void
vimg_lease_leave(VimgLease *lease, const char *sign)
{
    VimgSliceStore *store = lease->store;
    VimgOp ops[2];

    if (!store->transport->remote) {
        if (sign)
            vimg_transport_unlink(store->transport, sign);
        return vimg_lease_free(lease);
    }
    vimg_lease_beat_remove(store, lease->heartbeat);
    if (!lease->ended) {
        vimg_transport_run(store->transport, ops, vimg_lease_end_ops(lease, sign, ops));
        vimg_lease_note_end(lease, ops);
    }
    if (lease->ended)
        sweep(store, ended_path(lease));
    else
        vimg_transport_remove_files(store->transport, lease->dir);
    let_go(lease);
}

char *
vimg_lease_path(const VimgLease *lease, const char *name)
{
    return g_strconcat(lease->dir, "/", name, NULL);
}

gboolean
vimg_lease_throw_fenced(GError **error)
{
    return throw_error(
        error, VIMG_ERROR_FAILED,
        _("the lease of this job was taken away; the storage was out of reach too long"));
}

gboolean
vimg_lease_check(const VimgLease *lease, GError **error)
{
    VimgFileInfo info;

    return vimg_transport_stat(lease->store->transport, lease->dir, &info) != ENOENT ||
           vimg_lease_throw_fenced(error);
}

gboolean
vimg_lease_blame(const VimgLease *lease, GError **error)
{
    g_autoptr(GError) fenced = NULL;

    if (error && !vimg_lease_check(lease, &fenced)) {
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&fenced));
    }
    return FALSE;
}

gboolean
vimg_lease_throw(const VimgLease *lease, GError **error, int result, const char *what)
{
    return (result != ENOENT || vimg_lease_check(lease, error)) &&
           throw_result(error, result, "%s", what);
}

gboolean
vimg_lease_try(VimgSliceStore *store)
{
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *dir = g_strconcat("pending/", id, NULL);
    int result = vimg_transport_mkdir(store->transport, dir);

    if (result == 0)
        vimg_transport_rmdir(store->transport, dir);
    return result != EROFS && result != EACCES && result != EPERM;
}

void
vimg_lease_beat_all(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *now =
        g_strdup_printf("%" G_GINT64_FORMAT "\n", g_get_real_time() / G_USEC_PER_SEC);
    g_autofree VimgOp *ops = NULL;
    guint i;

    {
        LOCK_GUARD(&store->lock);
        GList *l;

        for (l = store->leases.head; l; l = l->next)
            g_ptr_array_add(paths, g_strdup(l->data));
    }
    /* one that ended meanwhile has no file, and overwriting makes none */
    ops = g_new0(VimgOp, paths->len);
    for (i = 0; i < paths->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_OVERWRITE,
                          .path = g_ptr_array_index(paths, i),
                          .data = now,
                          .size = strlen(now)};
    vimg_transport_run(store->transport, ops, paths->len);
}

/* ---- reservations ----------------------------------------------------------------------- */

static guint64
parse_number(const VimgBuffer *content)
{
    g_autofree char *text = g_strndup((const char *)content->data, content->size);
    guint64 value = 0;

    if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXINT64, &value, NULL))
        return 0;
    return value;
}

static guint64
reserved_by_others(VimgTransport *transport, const VimgLease *but)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autofree VimgOp *ops = NULL;
    guint64 sum = 0;
    gsize n = 0;
    gsize i;

    if (vimg_transport_list(transport, "pending", &names) != 0)
        return 0;
    ops = g_new0(VimgOp, names->len);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!but || strcmp(name, id_of(but)) != 0)
            ops[n++] = (VimgOp){.kind = VIMG_OP_READ,
                                .path = g_strconcat("pending/", name, "/" RESERVATION, NULL),
                                .size = 64};
    }
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        guint64 bytes = ops[i].result == 0 ? parse_number(ops[i].content) : 0;

        sum += MIN(bytes, G_MAXINT64 - sum);
        vimg_buffer_unref(ops[i].content);
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    return sum;
}

static gboolean
check_space(const VimgLease *lease, const VimgLeaseRoom *room, guint64 bytes, gboolean must,
            GError **error)
{
    guint64 keep = __atomic_load_n(&lease->store->space_reserve, __ATOMIC_RELAXED);
    guint64 taken = keep + MIN(room->reserved, G_MAXINT64);
    guint64 available = room->space.available;

    if (!room->has_space ||
        (available > keep && (!must || bytes <= available - MIN(available, taken))))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_NO_SPACE,
        _("not enough space in the store: %1$llu bytes needed, %2$llu free, %3$llu of them kept or reserved"),
        ULL(bytes), ULL(available), ULL(MIN(taken, available)));
}

/* What is only a guess is left to the slices themselves: many may be stored already. */
static gboolean
check_quota(const VimgLease *lease, guint64 bytes, guint64 reserved, GError **error)
{
    VimgSliceStore *store = lease->store;
    guint64 quota = __atomic_load_n(&store->quota, __ATOMIC_RELAXED);
    guint64 used;
    guint64 taken;
    int result;

    if (quota == 0)
        return TRUE;
    result = vimg_usage_count(store->usage, store->transport, &used);
    if (result != 0)
        return throw_result(error, result, _("cannot count the bytes stored"));
    taken = used + MIN(reserved, G_MAXINT64);
    if (bytes <= quota - MIN(quota, taken))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_NO_SPACE,
        _("not enough space in the pool: %1$llu bytes needed, %2$llu of its quota of %3$llu stored or reserved"),
        ULL(bytes), ULL(taken), ULL(quota));
}

typedef struct {
    VimgTransport *transport;
    VimgLeaseRoom *out;
} Measuring;

static void
measure(gpointer data)
{
    Measuring *measuring = data;
    VimgLeaseRoom *out = measuring->out;

    out->has_space = vimg_transport_space(measuring->transport, &out->space) == 0;
}

void
vimg_lease_look_for_room(VimgSliceStore *store, const VimgLease *but, VimgLeaseRoom *out)
{
    Measuring measuring = {store->transport, out};
    VimgAside aside;

    vimg_aside_begin(&aside, store->transport, measure, &measuring);
    out->reserved = reserved_by_others(store->transport, but);
    vimg_aside_end(&aside);
}

gboolean
vimg_lease_reserve_in(VimgLease *lease, const VimgLeaseRoom *room, guint64 bytes, gboolean must,
                      GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *path = vimg_lease_path(lease, RESERVATION);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", bytes);
    int result;

    if (!check_space(lease, room, bytes, must, error) ||
        (must && !check_quota(lease, bytes, room->reserved, error)))
        return FALSE;
    result = lease->reserved == 0
                 ? vimg_transport_create(transport, path, text, strlen(text), FALSE)
                 : vimg_transport_overwrite(transport, path, text, strlen(text));
    if (result != 0)
        return vimg_lease_throw(lease, error, result, _("cannot reserve space in the store"));
    __atomic_store_n(&lease->reserved, MAX(bytes, 1), __ATOMIC_RELAXED);
    return TRUE;
}

gboolean
vimg_lease_reserve(VimgLease *lease, guint64 bytes, gboolean must, GError **error)
{
    VimgLeaseRoom room;

    vimg_lease_look_for_room(lease->store, lease, &room);
    return vimg_lease_reserve_in(lease, &room, bytes, must, error);
}
