/*
 * lease.c: the sign that somebody works on a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "json.h"
#include "lease.h"
#include "throw.h"

#define OWNER "owner"
#define HEARTBEAT "heartbeat"
#define RESERVATION "reservation"
#define HOLDS "writes-"
#define FENCED "gc/fenced-"
#define SMALL_FILE ((gsize)64 * 1024)

/* ---- who we are ------------------------------------------------------------------------- */

/* Field 22 of /proc/PID/stat, clock ticks after boot; 0: there is no such process. */
static guint64
process_start(guint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GUINT64_FORMAT "/stat", pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    const char *after;
    guint64 start = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    /* the name in parentheses may hold anything */
    after = strrchr(text, ')');
    if (!after)
        return 0;
    fields = g_strsplit(after + 1, " ", 0);
    if (g_strv_length(fields) <= 20 ||
        !g_ascii_string_to_unsigned(fields[20], 10, 0, G_MAXINT64, &start, NULL))
        return 0;
    return start;
}

static char *
boot_id(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        return g_strdup("");
    return g_strdup(g_strstrip(text));
}

/* Process ids mean something only within one of these. */
static char *
pid_namespace(void)
{
    char *link = g_file_read_link("/proc/self/ns/pid", NULL);

    return link ? link : g_strdup("");
}

static char *
format_owner(void)
{
    g_autoptr(JsonObject) root = json_object_new();
    g_autofree char *boot = boot_id();
    g_autofree char *space = pid_namespace();

    json_object_set_string_member(root, "host", g_get_host_name());
    json_object_set_string_member(root, "boot", boot);
    json_object_set_string_member(root, "pidNamespace", space);
    json_object_set_int_member(root, "pid", getpid());
    json_object_set_int_member(root, "start", (gint64)process_start((guint64)getpid()));
    return vimg_json_format(root);
}

/* ---- making and ending ------------------------------------------------------------------ */

/* Removes a directory of plain files. */
static void
remove_directory(VimgTransport *transport, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    if (vimg_transport_list(transport, dir, &names) == 0) {
        g_autofree VimgOp *ops = g_new0(VimgOp, names->len);

        for (i = 0; i < names->len; i++)
            ops[i] = (VimgOp){.kind = VIMG_OP_UNLINK,
                              .path = g_strconcat(dir, "/", g_ptr_array_index(names, i), NULL)};
        vimg_transport_run(transport, ops, names->len);
        for (i = 0; i < names->len; i++)
            g_free((char *)ops[i].path);
    }
    vimg_transport_rmdir(transport, dir);
}

VimgLease *
vimg_lease_new(VimgSliceStore *store, GError **error)
{
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *dir = g_strconcat("pending/", id, NULL);
    g_autofree char *owner_path = g_strconcat(dir, "/" OWNER, NULL);
    g_autofree char *heartbeat = g_strconcat(dir, "/" HEARTBEAT, NULL);
    g_autofree char *owner = format_owner();
    VimgLease *lease;
    VimgOp files[] = {
        {.kind = VIMG_OP_CREATE, .path = owner_path, .data = owner, .size = strlen(owner)},
        {.kind = VIMG_OP_CREATE, .path = heartbeat, .data = "0\n", .size = 2},
    };
    int result;

    if (!vimg_slice_store_need_writable(store, error))
        return NULL;
    result = vimg_transport_mkdir(store->transport, dir);
    if (result == 0) {
        vimg_transport_run(store->transport, files, G_N_ELEMENTS(files));
        result = files[0].result ? files[0].result : files[1].result;
        if (result != 0)
            remove_directory(store->transport, dir);
    }
    if (result != 0) {
        throw_result(error, result, _("cannot make a lease in the store"));
        return NULL;
    }
    lease = g_new0(VimgLease, 1);
    lease->store = store;
    lease->dir = g_steal_pointer(&dir);
    lease->heartbeat = g_steal_pointer(&heartbeat);
    {
        LOCK_GUARD(&store->lock);

        g_queue_push_tail(&store->leases, lease->heartbeat);
    }
    return lease;
}

void
vimg_lease_free(VimgLease *lease)
{
    if (!lease)
        return;
    {
        LOCK_GUARD(&lease->store->lock);

        g_queue_remove(&lease->store->leases, lease->heartbeat);
    }
    remove_directory(lease->store->transport, lease->dir);
    g_free(lease->dir);
    g_free(lease->heartbeat);
    g_free(lease);
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
    guint i;

    {
        LOCK_GUARD(&store->lock);
        GList *l;

        for (l = store->leases.head; l; l = l->next)
            g_ptr_array_add(paths, g_strdup(l->data));
    }
    /* one that ended meanwhile has no file, and overwriting makes none */
    for (i = 0; i < paths->len; i++)
        vimg_transport_overwrite(store->transport, g_ptr_array_index(paths, i), now, strlen(now));
}

/* ---- reservations ----------------------------------------------------------------------- */

static guint64
read_number(VimgTransport *transport, const char *path)
{
    g_autoptr(VimgBuffer) content = NULL;
    g_autofree char *text = NULL;
    guint64 value = 0;

    if (vimg_transport_read(transport, path, 64, &content) != 0)
        return 0;
    text = g_strndup((const char *)content->data, content->size);
    if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXINT64, &value, NULL))
        return 0;
    return value;
}

static guint64
reserved_by_others(const VimgLease *lease)
{
    VimgTransport *transport = lease->store->transport;
    g_autoptr(GPtrArray) names = NULL;
    guint64 sum = 0;
    guint i;

    if (vimg_transport_list(transport, "pending", &names) != 0)
        return 0;
    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("pending/", g_ptr_array_index(names, i), NULL);
        g_autofree char *path = g_strconcat(dir, "/" RESERVATION, NULL);
        guint64 bytes = strcmp(dir, lease->dir) == 0 ? 0 : read_number(transport, path);

        sum += MIN(bytes, G_MAXINT64 - sum);
    }
    return sum;
}

static gboolean
check_space(const VimgLease *lease, guint64 bytes, guint64 reserved, gboolean must, GError **error)
{
    guint64 keep = __atomic_load_n(&lease->store->space_reserve, __ATOMIC_RELAXED);
    guint64 taken = keep + MIN(reserved, G_MAXINT64);
    VimgSpace space;

    if (vimg_transport_space(lease->store->transport, &space) != 0)
        return TRUE;
    if (space.available > keep && (!must || bytes <= space.available - MIN(space.available, taken)))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_NO_SPACE,
        _("not enough space in the store: %1$llu bytes needed, %2$llu free, %3$llu of them kept or reserved"),
        ULL(bytes), ULL(space.available), ULL(MIN(taken, space.available)));
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

gboolean
vimg_lease_reserve(VimgLease *lease, guint64 bytes, gboolean must, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *path = vimg_lease_path(lease, RESERVATION);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", bytes);
    guint64 reserved = reserved_by_others(lease);
    int result;

    if (!check_space(lease, bytes, reserved, must, error) ||
        (must && !check_quota(lease, bytes, reserved, error)))
        return FALSE;
    result = lease->reserved == 0
                 ? vimg_transport_create(transport, path, text, strlen(text), FALSE)
                 : vimg_transport_overwrite(transport, path, text, strlen(text));
    if (result != 0)
        return throw_result(error, result, _("cannot reserve space in the store"));
    lease->reserved = MAX(bytes, 1);
    return TRUE;
}

/* ---- images ----------------------------------------------------------------------------- */

/* Whether a lease other than @lease has the file @name. */
static gboolean
others_have(const VimgLease *lease, const char *name, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, "pending", &names);
    guint i;

    if (result != 0)
        return !throw_result(error, result, _("cannot read the leases of the store"));
    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("pending/", g_ptr_array_index(names, i), NULL);
        g_autofree char *path = g_strconcat(dir, "/", name, NULL);
        VimgFileInfo info;

        if (strcmp(dir, lease->dir) != 0 && vimg_transport_stat(transport, path, &info) == 0)
            return !throw_error(error, VIMG_ERROR_BUSY,
                                _("another host, or another daemon, writes this image"));
    }
    return FALSE;
}

gboolean
vimg_lease_hold(VimgLease *lease, const char *uuid, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *name = g_strconcat(HOLDS, uuid, NULL);
    g_autofree char *path = vimg_lease_path(lease, name);
    int result = vimg_transport_create(transport, path, "", 0, FALSE);

    if (result != 0)
        return throw_result(error, result, _("cannot make a lease in the store"));
    if (!others_have(lease, name, error))
        return TRUE;
    vimg_transport_unlink(transport, path);
    return FALSE;
}

/* ---- other leases ----------------------------------------------------------------------- */

static JsonObject *
read_owner(VimgTransport *transport, const char *dir)
{
    g_autofree char *path = g_strconcat(dir, "/" OWNER, NULL);
    g_autoptr(VimgBuffer) content = NULL;

    if (vimg_transport_read(transport, path, SMALL_FILE, &content) != 0)
        return NULL;
    return vimg_json_parse(content->data, content->size, NULL);
}

/* Whether the owner was a process we could see, and it is gone. */
static gboolean
is_dead(JsonObject *owner)
{
    g_autofree char *boot = boot_id();
    g_autofree char *space = pid_namespace();
    guint64 pid;
    guint64 start;

    if (!*boot || !*space || g_strcmp0(vimg_json_string(owner, "boot"), boot) != 0 ||
        g_strcmp0(vimg_json_string(owner, "pidNamespace"), space) != 0)
        return FALSE;
    if (!vimg_json_number(owner, "pid", &pid) || !vimg_json_number(owner, "start", &start))
        return FALSE;
    return process_start(pid) != start;
}

static void
fence(VimgTransport *transport, const char *name)
{
    g_autofree char *from = g_strconcat("pending/", name, NULL);
    g_autofree char *to = g_strconcat(FENCED, name, NULL);

    if (vimg_transport_rename(transport, from, to) != 0)
        return;
    vimg_slice_store_log(VIMG_LOG_INFO, "fenced the lease %s of a dead process", name);
    remove_directory(transport, to);
}

/* What an interrupted fencing left. */
static void
remove_fenced(VimgTransport *transport)
{
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    if (vimg_transport_list(transport, "gc", &names) != 0)
        return;
    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("gc/", g_ptr_array_index(names, i), NULL);

        if (g_str_has_prefix(dir, FENCED))
            remove_directory(transport, dir);
    }
}

void
vimg_lease_fence_own(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    remove_fenced(store->transport);
    if (vimg_transport_list(store->transport, "pending", &names) != 0)
        return;
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *dir = g_strconcat("pending/", name, NULL);
        g_autoptr(JsonObject) owner = read_owner(store->transport, dir);

        if (owner && is_dead(owner))
            fence(store->transport, name);
    }
}

GPtrArray *
vimg_lease_holders(VimgSliceStore *store)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    if (vimg_transport_list(store->transport, "pending", &names) != 0)
        return holders;
    for (i = 0; i < names->len; i++) {
        g_autofree char *dir = g_strconcat("pending/", g_ptr_array_index(names, i), NULL);
        g_autoptr(JsonObject) owner = read_owner(store->transport, dir);
        const char *host = owner ? vimg_json_string(owner, "host") : NULL;
        guint64 pid = 0;

        if (!host)
            continue;
        vimg_json_number(owner, "pid", &pid);
        g_ptr_array_add(holders, g_strdup_printf("%s (%" G_GUINT64_FORMAT ")", host, pid));
    }
    return holders;
}
