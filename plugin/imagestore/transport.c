/*
 * transport.c: single file operations, made of batches of one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "store.h"
#include "../thread.h"
#include "transport.h"

#define BATCH 16384 /* STATs at once, of many lists */

/*
 * The jobs that a thread works for.  Keys, not __thread: LeakSanitizer of clang 14 cannot read such
 * variables of modules that were loaded later.
 */
static pthread_key_t patient;
static pthread_key_t hasty;
static pthread_once_t keys_once = PTHREAD_ONCE_INIT;

static void
make_keys(void)
{
    thread_must(pthread_key_create(&patient, NULL));
    thread_must(pthread_key_create(&hasty, NULL));
}

static VimgPluginJob *
exchange_job(const pthread_key_t *key, VimgPluginJob *job)
{
    VimgPluginJob *before;

    thread_must(pthread_once(&keys_once, make_keys));
    before = pthread_getspecific(*key);
    thread_must(pthread_setspecific(*key, job));
    return before;
}

/* ---- which job is which ----------------------------------------------------------------- */

/* As long as somebody works for it; the next one at its address is another one. */
typedef struct {
    guint holders;
    guint64 number;
} Work;

static pthread_mutex_t works_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *works; /* VimgPluginJob to Work; guarded by works_lock, as is the next */
static guint64 works_made;

void
vimg_transport_hold_job(VimgPluginJob *job)
{
    Work *work;
    LOCK_GUARD(&works_lock);

    if (!job)
        return;
    if (!works)
        works = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    work = g_hash_table_lookup(works, job);
    if (!work) {
        work = g_new0(Work, 1);
        work->number = ++works_made;
        g_hash_table_insert(works, job, work);
    }
    work->holders++;
}

void
vimg_transport_drop_job(VimgPluginJob *job)
{
    Work *work;
    LOCK_GUARD(&works_lock);

    if (!job)
        return;
    work = g_hash_table_lookup(works, job);
    if (--work->holders == 0)
        g_hash_table_remove(works, job);
    if (g_hash_table_size(works) == 0)
        g_clear_pointer(&works, g_hash_table_unref);
}

/* A job of several calls is one and the same in all of them only if the daemon says so. */
static gboolean
is_told(void)
{
    const gsize needed = G_STRUCT_OFFSET(VimgServices, job_number) + sizeof(gpointer);

    return vimg_services && vimg_services->size >= needed && vimg_services->job_number;
}

guint64
vimg_transport_job_number(void)
{
    VimgPluginJob *job = vimg_transport_is_patient() ? vimg_transport_job() : NULL;

    if (!job)
        return 0;
    if (is_told())
        return vimg_services->job_number(job);
    LOCK_GUARD(&works_lock);

    return ((const Work *)g_hash_table_lookup(works, job))->number;
}

VimgPluginJob *
vimg_transport_patience(VimgPluginJob *job)
{
    vimg_transport_hold_job(job);
    return exchange_job(&patient, job);
}

void
vimg_transport_patience_end(VimgPluginJob *before)
{
    vimg_transport_drop_job(exchange_job(&patient, before));
}

VimgPluginJob *
vimg_transport_haste(VimgPluginJob *job)
{
    return exchange_job(&hasty, job);
}

gboolean
vimg_transport_is_patient(void)
{
    thread_must(pthread_once(&keys_once, make_keys));
    return pthread_getspecific(patient) != NULL;
}

VimgPluginJob *
vimg_transport_job(void)
{
    return vimg_transport_is_patient() ? pthread_getspecific(patient) : pthread_getspecific(hasty);
}

static char *
path_in(const char *dir, const char *name)
{
    return strcmp(dir, ".") == 0 ? g_strdup(name) : g_strconcat(dir, "/", name, NULL);
}

static int
run_one(VimgTransport *transport, VimgOp *op)
{
    transport->ops->run(transport, op, 1);
    return op->result;
}

int
vimg_transport_mkdir(VimgTransport *transport, const char *path)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_MKDIR, .path = path});
}

int
vimg_transport_rmdir(VimgTransport *transport, const char *path)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_RMDIR, .path = path});
}

int
vimg_transport_create(VimgTransport *transport, const char *path, gconstpointer data, gsize size,
                      gboolean sealed)
{
    return run_one(
        transport,
        &(VimgOp){
            .kind = VIMG_OP_CREATE, .path = path, .data = data, .size = size, .sealed = sealed});
}

int
vimg_transport_create_durable(VimgTransport *transport, const char *path, gconstpointer data,
                              gsize size, gboolean sealed)
{
    VimgOp op = {
        .kind = VIMG_OP_CREATE,
        .path = path,
        .data = data,
        .size = size,
        .sealed = sealed,
        .durable = TRUE,
    };
    int result;

    if (transport->remote)
        return run_one(transport, &op);
    result = vimg_transport_create(transport, path, data, size, sealed);
    return result ? result : vimg_transport_sync(transport, path);
}

int
vimg_transport_overwrite(VimgTransport *transport, const char *path, gconstpointer data, gsize size)
{
    return run_one(transport,
                   &(VimgOp){.kind = VIMG_OP_OVERWRITE, .path = path, .data = data, .size = size});
}

int
vimg_transport_read(VimgTransport *transport, const char *path, gsize max, VimgBuffer **out)
{
    VimgOp op = {.kind = VIMG_OP_READ, .path = path, .size = max};
    int result = run_one(transport, &op);

    *out = op.content;
    return result;
}

int
vimg_transport_rename(VimgTransport *transport, const char *from, const char *to)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_RENAME, .path = from, .to = to});
}

int
vimg_transport_publish(VimgTransport *transport, const char *from, const char *to)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_PUBLISH, .path = from, .to = to});
}

int
vimg_transport_publish_durable(VimgTransport *transport, const char *from, const char *to,
                               const char *dir, int *synced)
{
    VimgOp op = {.kind = VIMG_OP_PUBLISH, .path = from, .to = to, .dir = dir};
    int result = run_one(transport, &op);

    *synced = result == 0 && !op.synced ? vimg_transport_sync(transport, dir) : 0;
    return result;
}

int
vimg_transport_unlink(VimgTransport *transport, const char *path)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_UNLINK, .path = path});
}

int
vimg_transport_stat(VimgTransport *transport, const char *path, VimgFileInfo *out)
{
    VimgOp op = {.kind = VIMG_OP_STAT, .path = path};
    int result = run_one(transport, &op);

    *out = op.info;
    return result;
}

int
vimg_transport_list(VimgTransport *transport, const char *path, GPtrArray **out)
{
    VimgOp op = {.kind = VIMG_OP_LIST, .path = path};
    int result = run_one(transport, &op);

    *out = op.names;
    return result;
}

int
vimg_transport_list_infos(VimgTransport *transport, const char *path, GPtrArray **names,
                          GArray **infos)
{
    VimgOp op = {.kind = VIMG_OP_LIST, .path = path};

    vimg_transport_list_detailed(transport, &op, 1);
    *names = op.names;
    *infos = op.infos;
    return op.result;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
vimg_transport_sort(GPtrArray *names)
{
    g_ptr_array_sort(names, compare_names);
}

int
vimg_transport_sync(VimgTransport *transport, const char *path)
{
    return run_one(transport, &(VimgOp){.kind = VIMG_OP_SYNC, .path = path});
}

int
vimg_transport_sync_files(VimgTransport *transport, char *const *paths, gsize n)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_SYNC, .path = paths[i]};
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result != 0)
            return ops[i].result;
    }
    return 0;
}

void
vimg_transport_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    if (n > 0)
        transport->ops->run(transport, ops, n);
}

int
vimg_transport_sync_all(VimgTransport *transport)
{
    return transport->ops->sync_all(transport);
}

int
vimg_transport_space(VimgTransport *transport, VimgSpace *out)
{
    memset(out, 0, sizeof(*out));
    return transport->ops->space(transport, out);
}

void
vimg_transport_clear_ops(VimgOp *ops, gsize n, gboolean paths)
{
    gsize i;

    for (i = 0; i < n; i++) {
        g_clear_pointer(&ops[i].names, g_ptr_array_unref);
        g_clear_pointer(&ops[i].infos, g_array_unref);
        if (!paths)
            continue;
        g_free((char *)ops[i].path);
        g_free((char *)ops[i].to);
    }
}

/* A name that a LIST answered without saying more. */
typedef struct {
    VimgOp *list;
    guint i;
} Bare;

static void
stat_bare(VimgTransport *transport, const Bare *bare, gsize n)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){
            .kind = VIMG_OP_STAT,
            .path = path_in(bare[i].list->path, bare[i].list->names->pdata[bare[i].i]),
        };
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result == 0)
            g_array_index(bare[i].list->infos, VimgFileInfo, bare[i].i) = ops[i].info;
        else if (ops[i].result != ENOENT && ops[i].result != ENOTDIR)
            bare[i].list->result = ops[i].result;
    }
    vimg_transport_clear_ops(ops, n, TRUE);
}

void
vimg_transport_list_detailed(VimgTransport *transport, VimgOp *ops, gsize n)
{
    g_autoptr(GArray) bare = g_array_new(FALSE, FALSE, sizeof(Bare));
    const VimgFileInfo none = {.type = VIMG_FILE_OTHER};
    gsize i;
    guint k;

    for (i = 0; i < n; i++)
        ops[i].with_infos = ops[i].kind == VIMG_OP_LIST;
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result != 0 || !ops[i].with_infos || ops[i].infos)
            continue;
        ops[i].infos = g_array_new(FALSE, FALSE, sizeof(VimgFileInfo));
        for (k = 0; k < ops[i].names->len; k++) {
            Bare one = {&ops[i], k};

            g_array_append_val(ops[i].infos, none);
            g_array_append_val(bare, one);
        }
    }
    for (i = 0; i < bare->len; i += BATCH)
        stat_bare(transport, &g_array_index(bare, Bare, i), MIN(BATCH, bare->len - i));
    for (i = 0; i < n; i++) {
        if (ops[i].result != 0)
            vimg_transport_clear_ops(&ops[i], 1, FALSE);
    }
}

gsize
vimg_transport_read_some(VimgTransport *transport, VimgOp *ops, gsize n, guint64 max)
{
    guint64 sum = 0;
    gsize count = 0;

    while (count < n && (count == 0 || sum + ops[count].size <= max))
        sum += ops[count++].size;
    vimg_transport_run(transport, ops, count);
    return count;
}

/* One operation of @kind for each file of @dir.  @sum: of their sizes, for STAT. */
static void
run_on_files(VimgTransport *transport, const char *dir, VimgOpKind kind, guint64 *sum)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autofree VimgOp *ops = NULL;
    guint i;

    if (vimg_transport_list(transport, dir, &names) != 0)
        return;
    ops = g_new0(VimgOp, names->len);
    for (i = 0; i < names->len; i++)
        ops[i] = (VimgOp){.kind = kind,
                          .path = g_strconcat(dir, "/", g_ptr_array_index(names, i), NULL)};
    vimg_transport_run(transport, ops, names->len);
    for (i = 0; i < names->len; i++) {
        *sum += ops[i].info.size;
        g_free((char *)ops[i].path);
    }
}

guint64
vimg_transport_measure(VimgTransport *transport, const char *dir)
{
    guint64 sum = 0;

    run_on_files(transport, dir, VIMG_OP_STAT, &sum);
    return sum;
}

void
vimg_transport_remove_files(VimgTransport *transport, const char *dir)
{
    guint64 none = 0;

    run_on_files(transport, dir, VIMG_OP_UNLINK, &none);
    vimg_transport_rmdir(transport, dir);
}

char *
vimg_transport_reason(VimgTransport *transport)
{
    return transport->ops->reason ? transport->ops->reason(transport) : NULL;
}

char *
vimg_transport_resolve(VimgTransport *transport, int *result)
{
    *result = ENOSYS;
    return transport->ops->resolve ? transport->ops->resolve(transport, result) : NULL;
}

void
vimg_transport_expect(VimgTransport *transport)
{
    if (transport->ops->expect)
        transport->ops->expect(transport);
}

void
vimg_transport_free(VimgTransport *transport)
{
    if (transport)
        transport->ops->free(transport);
}
