/*
 * transport.c: single file operations, made of batches of one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "transport.h"

#define STATS 256 /* at once */

static __thread VimgPluginJob *worked_for;

VimgPluginJob *
vimg_transport_patience(VimgPluginJob *job)
{
    VimgPluginJob *before = worked_for;

    worked_for = job;
    return before;
}

VimgPluginJob *
vimg_transport_job(void)
{
    return worked_for;
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

static char *
path_in(const char *dir, const char *name)
{
    return strcmp(dir, ".") == 0 ? g_strdup(name) : g_strconcat(dir, "/", name, NULL);
}

/* STATs @n names from @first on.  What cannot be looked at is not there. */
static void
stat_names(VimgTransport *transport, VimgOp *list, guint first, guint n, GPtrArray *seen)
{
    VimgOp ops[STATS];
    guint i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT,
                          .path = path_in(list->path, list->names->pdata[first + i])};
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result == 0) {
            g_ptr_array_add(seen, g_steal_pointer(&list->names->pdata[first + i]));
            g_array_append_val(list->infos, ops[i].info);
        }
        g_free((char *)ops[i].path);
    }
}

void
vimg_transport_complete(VimgTransport *transport, VimgOp *list)
{
    GPtrArray *seen;
    guint i;

    if (list->infos)
        return;
    list->infos = g_array_new(FALSE, FALSE, sizeof(VimgFileInfo));
    seen = g_ptr_array_new_full(list->names->len, g_free);
    for (i = 0; i < list->names->len; i += STATS)
        stat_names(transport, list, i, MIN(STATS, list->names->len - i), seen);
    g_ptr_array_unref(list->names);
    list->names = seen;
}

int
vimg_transport_list_infos(VimgTransport *transport, const char *path, GPtrArray **names,
                          GArray **infos)
{
    VimgOp op = {.kind = VIMG_OP_LIST, .path = path, .with_infos = TRUE};
    int result = run_one(transport, &op);

    if (result == 0)
        vimg_transport_complete(transport, &op);
    *names = op.names;
    *infos = op.infos;
    return result;
}

void
vimg_op_clear(VimgOp *op)
{
    g_clear_pointer(&op->content, vimg_buffer_unref);
    g_clear_pointer(&op->names, g_ptr_array_unref);
    g_clear_pointer(&op->infos, g_array_unref);
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
vimg_transport_free(VimgTransport *transport)
{
    if (transport)
        transport->ops->free(transport);
}
