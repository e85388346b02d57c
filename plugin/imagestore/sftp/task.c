/*
 * task.c: one file operation as a conversation with an SFTP server
 *
 * The operations here ask one thing after the other; data.c and list.c have many requests in
 * flight.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "task.h"

/* A file system with less than that left was full a moment ago, when something failed. */
#define TIGHT ((guint64)64 * 1024 * 1024)

/* ---- asking ------------------------------------------------------------------------------ */

/* Whoever holds the last part of a task ends it. */
static void
release(VimgSftpTask *task)
{
    if (__atomic_sub_fetch(&task->under_way, 1, __ATOMIC_ACQ_REL) == 0)
        task->ended(task);
}

static void
call_done(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    VimgSftpCall *call = request->owner;
    VimgSftpTask *task = call->task;

    /* of two that were asked at once one may be answered where it was asked */
    if (!reply)
        __atomic_store_n(&task->lost, TRUE, __ATOMIC_RELAXED);
    else if (!__atomic_load_n(&task->lost, __ATOMIC_RELAXED))
        call->next(call, reply);
    release(task);
}

void
vimg_sftp_ask(VimgSftpTask *task, VimgSftpCall *call, VimgSftpType type, VimgSftpNext next)
{
    call->task = task;
    call->next = next;
    call->request.type = type;
    call->request.done = call_done;
    call->request.owner = call;
    __atomic_add_fetch(&task->under_way, 1, __ATOMIC_RELAXED);
    vimg_sftp_session_submit(task->session, &call->request);
}

void
vimg_sftp_ask_path(VimgSftpTask *task, VimgSftpType type, const char *path, VimgSftpNext next)
{
    task->call.request.path = path;
    vimg_sftp_ask(task, &task->call, type, next);
}

void
vimg_sftp_ask_handle(VimgSftpTask *task, VimgSftpCall *call, VimgSftpType type, VimgSftpNext next)
{
    call->request.handle = task->handle;
    call->request.handle_size = task->handle_size;
    vimg_sftp_ask(task, call, type, next);
}

void
vimg_sftp_keep_handle(VimgSftpTask *task, const VimgSftpReply *reply)
{
    task->handle_size = MIN(reply->size, VIMG_SFTP_HANDLE_MAX);
    memcpy(task->handle, reply->data, task->handle_size);
}

typedef struct {
    VimgSftpRequest request;
    guint8 handle[VIMG_SFTP_HANDLE_MAX];
} Close;

static void
close_done(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    g_free(request->owner);
}

void
vimg_sftp_close(VimgSftpTask *task)
{
    Close *end = g_new0(Close, 1);

    memcpy(end->handle, task->handle, task->handle_size);
    end->request = (VimgSftpRequest){.type = VIMG_SFTP_CLOSE,
                                     .handle = end->handle,
                                     .handle_size = task->handle_size,
                                     .done = close_done,
                                     .owner = end};
    vimg_sftp_session_submit(task->session, &end->request);
}

gboolean
vimg_sftp_goes_on(VimgSftpTask *task)
{
    if (task->status == VIMG_SFTP_OK && task->stop &&
        __atomic_load_n(task->stop, __ATOMIC_RELAXED)) {
        task->stopped = TRUE;
        task->status = VIMG_SFTP_CONNECTION_LOST; /* nobody is to blame */
    }
    return task->status == VIMG_SFTP_OK;
}

/* ---- what went wrong --------------------------------------------------------------------- */

/* Those above 8 are of later versions; there are servers that send them all the same. */
static const int errnos[] = {
    [VIMG_SFTP_OK] = 0,
    [VIMG_SFTP_EOF] = EIO,
    [VIMG_SFTP_NO_SUCH_FILE] = ENOENT,
    [VIMG_SFTP_PERMISSION_DENIED] = EACCES,
    [VIMG_SFTP_FAILURE] = EIO,
    [VIMG_SFTP_BAD_MESSAGE] = EINVAL,
    [VIMG_SFTP_NO_CONNECTION] = EIO,
    [VIMG_SFTP_CONNECTION_LOST] = EIO,
    [VIMG_SFTP_OP_UNSUPPORTED] = ENOSYS,
    [9] = EINVAL,     /* INVALID_HANDLE */
    [10] = ENOENT,    /* NO_SUCH_PATH */
    [11] = EEXIST,    /* FILE_ALREADY_EXISTS */
    [12] = EROFS,     /* WRITE_PROTECT */
    [13] = EIO,       /* NO_MEDIA */
    [14] = ENOSPC,    /* NO_SPACE_ON_FILESYSTEM */
    [15] = EDQUOT,    /* QUOTA_EXCEEDED */
    [16] = EIO,       /* UNKNOWN_PRINCIPAL */
    [17] = EBUSY,     /* LOCK_CONFLICT */
    [18] = ENOTEMPTY, /* DIR_NOT_EMPTY */
    [19] = ENOTDIR,   /* NOT_A_DIRECTORY */
    [20] = EINVAL,    /* INVALID_FILENAME */
    [21] = ELOOP,     /* LINK_LOOP */
};

int
vimg_sftp_errno(guint32 status)
{
    return status < G_N_ELEMENTS(errnos) ? errnos[status] : EIO;
}

static void
end_fail(VimgSftpTask *task)
{
    if (task->then)
        task->then(task);
}

/* Whether it takes space, so that its lack can be what failed. */
static gboolean
takes_space(const VimgOp *op)
{
    return op->kind == VIMG_OP_CREATE || op->kind == VIMG_OP_OVERWRITE ||
           op->kind == VIMG_OP_MKDIR || op->kind == VIMG_OP_RENAME || op->kind == VIMG_OP_PUBLISH;
}

/* A user's quota cannot be seen from here: it stays EIO unless the server says more. */
static void
space_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpSpace space;

    if (reply->type == VIMG_SFTP_EXTENDED_REPLY && vimg_sftp_space_parse(reply, &space)) {
        const VimgOp *op = call->task->op;
        gboolean writes = op->kind == VIMG_OP_CREATE || op->kind == VIMG_OP_OVERWRITE;

        if (space.read_only)
            call->task->op->result = EROFS;
        else if (takes_space(op) && space.available < TIGHT + (writes ? op->size : 0))
            call->task->op->result = ENOSPC;
    }
    end_fail(call->task);
}

static void
blame_space(VimgSftpTask *task)
{
    gboolean changes = takes_space(task->op) || task->op->kind == VIMG_OP_UNLINK ||
                       task->op->kind == VIMG_OP_RMDIR;

    if (task->server->statvfs && changes)
        vimg_sftp_ask_path(task, VIMG_SFTP_STATVFS, task->root, space_seen);
    else
        end_fail(task);
}

static void
blamed_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    gboolean found = reply->type == VIMG_SFTP_ATTRS;
    gboolean directory = found && vimg_sftp_file_type(reply->attrs.mode) == VIMG_FILE_DIRECTORY;

    if (!found || (task->op->kind == VIMG_OP_UNLINK && !directory)) {
        blame_space(task);
        return;
    }
    task->op->result = task->op->kind == VIMG_OP_UNLINK ? EISDIR : EEXIST;
    end_fail(task);
}

void
vimg_sftp_fail(VimgSftpTask *task, guint32 status, const char *blamed)
{
    task->op->result = vimg_sftp_errno(status);
    if (status != VIMG_SFTP_FAILURE)
        end_fail(task);
    else if (blamed)
        vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, blamed, blamed_seen);
    else
        blame_space(task);
}

/* ---- operations of one step --------------------------------------------------------------- */

/* @call was the whole of it. */
static void
finished(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    const char *blamed = task->to ? task->to : task->path;

    vimg_sftp_fail(task, reply->status, blamed);
}

static void
make_directory(VimgSftpTask *task)
{
    task->call.request.mode = 0777;
    vimg_sftp_ask_path(task, VIMG_SFTP_MKDIR, task->path, finished);
}

static void
unlink_file(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_REMOVE, task->path, finished);
}

/* Where it can be had, the rename(2) of the server: the file has one name at any time. */
static void
rename_path(VimgSftpTask *task)
{
    task->call.request.to = task->to;
    vimg_sftp_ask_path(task, task->server->posix_rename ? VIMG_SFTP_POSIX_RENAME : VIMG_SFTP_RENAME,
                       task->path, finished);
}

VimgFileType
vimg_sftp_file_type(guint32 mode)
{
    return S_ISREG(mode)   ? VIMG_FILE_REGULAR
           : S_ISDIR(mode) ? VIMG_FILE_DIRECTORY
                           : VIMG_FILE_OTHER;
}

gboolean
vimg_sftp_fill_info(const VimgSftpAttrs *attrs, VimgFileInfo *out)
{
    if (!attrs->has_mode || !attrs->has_size || !attrs->has_times)
        return FALSE;
    *out = (VimgFileInfo){.type = vimg_sftp_file_type(attrs->mode),
                          .size = attrs->size,
                          .mtime = (gint64)attrs->mtime * G_GINT64_CONSTANT(1000000000)};
    return TRUE;
}

static void
stat_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgOp *op = call->task->op;

    op->result = vimg_sftp_errno(reply->status);
    if (op->result == 0 && !vimg_sftp_fill_info(&reply->attrs, &op->info))
        op->result = EIO;
}

static void
stat_path(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->path, stat_seen);
}

static void
space_answered(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpQuery *query = (VimgSftpQuery *)call->task->op;
    VimgSftpSpace space;

    query->op.result = vimg_sftp_errno(reply->status);
    if (query->op.result == 0 && !vimg_sftp_space_parse(reply, &space))
        query->op.result = EIO;
    if (query->op.result == 0)
        query->space = (VimgSpace){space.total, space.available, space.read_only};
}

/* Without the extension there is no limit but the one the server runs into. */
static void
ask_space(VimgSftpTask *task)
{
    if (task->server->statvfs)
        vimg_sftp_ask_path(task, VIMG_SFTP_STATVFS, task->path, space_answered);
    else
        ((VimgSftpQuery *)task->op)->space.available = G_MAXINT64;
}

static void
resolved(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpQuery *query = (VimgSftpQuery *)call->task->op;

    query->op.result = vimg_sftp_errno(reply->status);
    if (query->op.result == 0)
        query->resolved = g_strdup(((VimgSftpName *)g_ptr_array_index(reply->names, 0))->name);
}

static void
resolve(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_REALPATH, task->path, resolved);
}

/* ---- removing a directory ---------------------------------------------------------------- */

static void
remaining_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    vimg_sftp_close(task);
    if (reply->type == VIMG_SFTP_NAME && reply->names->len > 0)
        task->op->result = ENOTEMPTY;
    else
        blame_space(task);
}

static void
remaining_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type != VIMG_SFTP_HANDLE) {
        task->op->result = vimg_sftp_errno(reply->status);
        return;
    }
    vimg_sftp_keep_handle(task, reply);
    vimg_sftp_ask_handle(task, call, VIMG_SFTP_READDIR, remaining_seen);
}

static void
directory_removed(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    task->op->result = vimg_sftp_errno(reply->status);
    if (reply->status == VIMG_SFTP_FAILURE)
        vimg_sftp_ask_path(task, VIMG_SFTP_OPENDIR, task->path, remaining_opened);
}

static void
remove_directory(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_RMDIR, task->path, directory_removed);
}

/* ---- publishing --------------------------------------------------------------------------- */

/* Version 3 refuses to replace, but not every server does: this is for what one owner moves. */
static void
place_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_ATTRS)
        task->op->result = EEXIST;
    else
        vimg_sftp_ask_path(task, VIMG_SFTP_RENAME, task->path, finished);
}

static void
unlinked(VimgSftpCall *call, const VimgSftpReply *reply)
{
    call->task->op->result = 0;
}

/* What cannot be made durable so is left to whoever asked. */
static void
dir_synced(VimgSftpCall *call, const VimgSftpReply *reply)
{
    vimg_sftp_close(call->task);
    call->task->op->synced = reply->status == VIMG_SFTP_OK;
}

/*
 * Both answers are there: of the link, and, if it was asked for and can be had, the handle of the
 * directory.  The first of two steps decides, so a lease that is fenced then is no failure.
 */
static void
link_seen(VimgSftpTask *task)
{
    gboolean linked = task->status == VIMG_SFTP_OK;

    if (linked && task->handle_size > 0)
        vimg_sftp_ask_handle(task, &task->last[0], VIMG_SFTP_FSYNC, dir_synced);
    else if (task->handle_size > 0)
        vimg_sftp_close(task);
    if (linked)
        vimg_sftp_ask_path(task, VIMG_SFTP_REMOVE, task->path, unlinked);
    else if (task->status == VIMG_SFTP_NO_SUCH_FILE)
        task->op->result = ENOENT;
    else /* something is there, or the file system has no links */
        vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->to, place_seen);
}

static void
dir_entered(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_HANDLE)
        vimg_sftp_keep_handle(task, reply);
    if (--task->active == 0)
        link_seen(task);
}

static void
linked(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    task->status = reply->status;
    if (--task->active == 0)
        link_seen(task);
}

/* "/." opens nothing but a directory. */
static void
enter_dir(VimgSftpTask *task)
{
    g_autofree char *dir = g_path_get_dirname(task->to);

    task->inside = g_strconcat(dir, "/.", NULL);
    task->active++;
    task->last[1].request.path = task->inside;
    task->last[1].request.open_flags = VIMG_SFTP_FLAG_READ;
    vimg_sftp_ask(task, &task->last[1], VIMG_SFTP_OPEN, dir_entered);
}

static void
publish(VimgSftpTask *task)
{
    task->call.request.to = task->to;
    if (!task->server->hardlink) {
        vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->to, place_seen);
        return;
    }
    /* both counted before the first answer may come */
    task->active = 1;
    if (task->op->dir && task->server->fsync)
        enter_dir(task);
    vimg_sftp_ask_path(task, VIMG_SFTP_HARDLINK, task->path, linked);
}

/* ---- tasks -------------------------------------------------------------------------------- */

static void (*const begins[])(VimgSftpTask *task) = {
    [VIMG_OP_MKDIR] = make_directory,    [VIMG_OP_RMDIR] = remove_directory,
    [VIMG_OP_CREATE] = vimg_sftp_create, [VIMG_OP_OVERWRITE] = vimg_sftp_overwrite,
    [VIMG_OP_READ] = vimg_sftp_read,     [VIMG_OP_READ_AT] = vimg_sftp_read_at,
    [VIMG_OP_RENAME] = rename_path,      [VIMG_OP_PUBLISH] = publish,
    [VIMG_OP_UNLINK] = unlink_file,      [VIMG_OP_STAT] = stat_path,
    [VIMG_OP_LIST] = vimg_sftp_list,     [VIMG_OP_SYNC] = vimg_sftp_sync,
    [VIMG_SFTP_TASK_SPACE] = ask_space,  [VIMG_SFTP_TASK_RESOLVE] = resolve,
};
G_STATIC_ASSERT(G_N_ELEMENTS(begins) == VIMG_SFTP_N_TASKS);

static char *
on_server(const char *root, const char *path)
{
    if (strcmp(path, ".") == 0)
        return g_strdup(root);
    return g_strconcat(strcmp(root, "/") == 0 ? "" : root, "/", path, NULL);
}

VimgSftpTask *
vimg_sftp_task_new(VimgOp *op, const char *root)
{
    VimgSftpTask *task = g_new0(VimgSftpTask, 1);

    task->op = op;
    task->root = root;
    task->path = on_server(root, op->path);
    task->to = op->to ? on_server(root, op->to) : NULL;
    return task;
}

void
vimg_sftp_task_start(VimgSftpTask *task, VimgSftpSession *session)
{
    task->session = session;
    task->server = vimg_sftp_session_server(session);
    task->op->result = 0;
    /* a part of ours, as answers may come before this returns */
    task->under_way = 1;
    begins[(guint)task->op->kind](task);
    release(task);
}

void
vimg_sftp_task_free(VimgSftpTask *task)
{
    g_free(task->window);
    g_free(task->path);
    g_free(task->to);
    g_free(task->inside);
    g_free(task);
}
