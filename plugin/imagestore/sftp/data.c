/*
 * data.c: the operations on the content of a file
 *
 * Requests on one file are executed in their order, as the protocol says, so FSYNC and CLOSE follow
 * the last WRITE without waiting for its answer.
 *
 * Opening a FIFO that somebody put in the place of a file would hang the server, hence the look
 * before files are opened that we did not just make.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "task.h"

#define WINDOW_BYTES ((guint64)4 * 1024 * 1024) /* of one file under way */
#define ROUNDS 8                                /* of reading a file that grows meanwhile */

/* ---- looking first ------------------------------------------------------------------------ */

/* Whether LSTAT answered that a regular file is there, or, with @directory, a directory. */
static gboolean
seen_well(VimgSftpCall *call, const VimgSftpReply *reply, gboolean directory)
{
    const VimgSftpAttrs *attrs = &reply->attrs;
    VimgOp *op = call->task->op;
    VimgFileType type;

    op->result = vimg_sftp_errno(reply->status);
    if (op->result == 0 && !(attrs->has_mode && attrs->has_size))
        op->result = EIO;
    if (op->result != 0)
        return FALSE;
    type = vimg_sftp_file_type(attrs->mode);
    if (S_ISLNK(attrs->mode))
        op->result = ELOOP;
    else if (type != VIMG_FILE_REGULAR && !(directory && type == VIMG_FILE_DIRECTORY))
        op->result = EINVAL;
    return op->result == 0;
}

static void
open_file(VimgSftpTask *task, guint32 flags, VimgSftpNext next)
{
    task->call.request.open_flags = flags;
    vimg_sftp_ask_path(task, VIMG_SFTP_OPEN, task->path, next);
}

/* Requests of @chunk bytes each for all from @offset until @target. */
static void
make_window(VimgSftpTask *task, guint64 offset, guint64 target, guint64 chunk)
{
    guint64 n = (target - offset + chunk - 1) / chunk;

    g_free(task->window);
    task->window_size = (guint)CLAMP(n, 1, MAX(WINDOW_BYTES / chunk, 1));
    task->window = g_new0(VimgSftpCall, task->window_size);
    task->offset = offset;
    task->target = target;
}

/* The first failure is the one that counts. */
static void
note_status(VimgSftpTask *task, guint32 status)
{
    if (task->status == VIMG_SFTP_OK)
        task->status = status;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void
removed_again(VimgSftpCall *call, const VimgSftpReply *reply)
{
}

static void
remove_again(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_REMOVE, task->path, removed_again);
}

static void
end_write(VimgSftpTask *task)
{
    if (task->mine && task->status != VIMG_SFTP_OK)
        task->then = remove_again;
    vimg_sftp_fail(task, task->status, NULL);
}

/* Any answer to what followed the OPEN. */
static void
write_answered(VimgSftpTask *task, const VimgSftpReply *reply)
{
    task->active--;
    note_status(task, reply->status);
}

static void
write_ended(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    write_answered(task, reply);
    if (task->active == 0)
        end_write(task);
}

/* All was sent, or something failed. */
static void
end_writing(VimgSftpTask *task)
{
    task->closing = TRUE;
    if (task->op->durable && task->server->fsync && task->status == VIMG_SFTP_OK) {
        task->active++;
        vimg_sftp_ask_handle(task, &task->last[0], VIMG_SFTP_FSYNC, write_ended);
    }
    task->active++;
    vimg_sftp_ask_handle(task, &task->last[1], VIMG_SFTP_CLOSE, write_ended);
}

static void write_done(VimgSftpCall *call, const VimgSftpReply *reply);

static void
write_next(VimgSftpTask *task, VimgSftpCall *call)
{
    call->request.offset = task->offset;
    call->request.data = (const guint8 *)task->op->data + task->offset;
    call->request.size = (guint32)MIN(task->target - task->offset, task->server->write_max);
    task->offset += call->request.size;
    task->active++;
    vimg_sftp_ask_handle(task, call, VIMG_SFTP_WRITE, write_done);
}

static void
write_done(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    write_answered(task, reply);
    if (task->offset < task->target && vimg_sftp_goes_on(task))
        write_next(task, call);
    if (!task->closing && (task->status != VIMG_SFTP_OK || task->offset == task->target))
        end_writing(task);
    if (task->active == 0)
        end_write(task);
}

static void
begin_writing(VimgSftpTask *task, const VimgSftpReply *reply)
{
    guint i;

    vimg_sftp_keep_handle(task, reply);
    make_window(task, 0, task->op->size, task->server->write_max);
    for (i = 0; i < task->window_size && task->offset < task->target; i++)
        write_next(task, &task->window[i]);
    if (task->offset == task->target)
        end_writing(task);
}

static void
created(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type != VIMG_SFTP_HANDLE) {
        vimg_sftp_fail(task, reply->status, task->path);
        return;
    }
    task->mine = TRUE;
    if (task->op->size > 0 || task->op->durable) {
        begin_writing(task, reply);
        return;
    }
    /* an empty one, such as a sign, is there with all that it says */
    vimg_sftp_keep_handle(task, reply);
    vimg_sftp_close(task);
}

static void
create_file(VimgSftpTask *task)
{
    task->call.request.mode = task->op->sealed ? 0444 : 0644;
    open_file(task, VIMG_SFTP_FLAG_WRITE | VIMG_SFTP_FLAG_CREATE | VIMG_SFTP_FLAG_EXCLUSIVE,
              created);
}

/* Not written over: whatever is still on its way for the old file goes to one without a name. */
static void
half_removed(VimgSftpCall *call, const VimgSftpReply *reply)
{
    create_file(call->task);
}

void
vimg_sftp_create(VimgSftpTask *task)
{
    if (task->replace)
        vimg_sftp_ask_path(task, VIMG_SFTP_REMOVE, task->path, half_removed);
    else
        create_file(task);
}

static void
overwrite_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_HANDLE)
        begin_writing(task, reply);
    else
        vimg_sftp_fail(task, reply->status, NULL);
}

static void
overwrite_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    if (seen_well(call, reply, FALSE))
        open_file(call->task, VIMG_SFTP_FLAG_WRITE | VIMG_SFTP_FLAG_TRUNCATE, overwrite_opened);
}

void
vimg_sftp_overwrite(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->path, overwrite_seen);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Where the content that is read begins in its file. */
static guint64
content_start(const VimgOp *op)
{
    return op->kind == VIMG_OP_READ_AT ? op->offset : 0;
}

static void
part_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    VimgOp *op = task->op;

    vimg_sftp_close(task);
    op->result = vimg_sftp_errno(reply->status);
    if (op->result == 0 && !vimg_sftp_fill_info(&reply->attrs, &op->info))
        op->result = EIO;
    if (op->result != 0)
        g_clear_pointer(&op->content, vimg_buffer_unref);
}

/* Of a part it is enough to say what file it was. */
static void
end_part(VimgSftpTask *task)
{
    task->op->content->size = (gsize)(task->end - task->op->offset);
    vimg_sftp_ask_handle(task, &task->last[0], VIMG_SFTP_FSTAT, part_seen);
}

/* The byte after the last one is asked for too: whether it comes tells whether the file grew. */
static void
end_whole(VimgSftpTask *task)
{
    VimgOp *op = task->op;
    gboolean grew = task->status == VIMG_SFTP_OK && task->end > op->content->size;

    vimg_sftp_close(task);
    op->result = vimg_sftp_errno(task->status);
    if (op->result == 0 && !grew) {
        op->content->size = (gsize)task->end;
        return;
    }
    g_clear_pointer(&op->content, vimg_buffer_unref);
    if (grew && ++task->rounds < ROUNDS)
        vimg_sftp_read(task);
    else if (grew)
        op->result = EBUSY;
}

static void
end_read(VimgSftpTask *task)
{
    if (task->op->kind == VIMG_OP_READ_AT && task->status == VIMG_SFTP_OK)
        end_part(task);
    else
        end_whole(task);
}

static void read_done(VimgSftpCall *call, const VimgSftpReply *reply);

static void
read_next(VimgSftpTask *task, VimgSftpCall *call)
{
    call->request.offset = task->offset;
    call->request.size = (guint32)MIN(task->target - task->offset, task->server->read_max);
    task->offset += call->request.size;
    task->active++;
    vimg_sftp_ask_handle(task, call, VIMG_SFTP_READ, read_done);
}

static void
note_end(VimgSftpTask *task, guint64 offset)
{
    task->end = MIN(task->end, offset);
}

/* A server may give less than it was asked for at any time, but never nothing. */
static void
take_data(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    VimgBuffer *content = task->op->content;
    guint64 start = content_start(task->op);
    guint64 limit = start + content->size;
    guint64 offset = call->request.offset;
    guint64 end = MIN(offset + reply->size, limit);

    if (reply->size == 0 || reply->size > call->request.size) {
        task->status = VIMG_SFTP_FAILURE;
        return;
    }
    if (end > offset)
        memcpy(content->data + (offset - start), reply->data, (gsize)(end - offset));
    call->request.offset += reply->size;
    call->request.size -= reply->size;
    if (call->request.size > 0 && call->request.offset < limit) {
        task->active++;
        vimg_sftp_ask_handle(task, call, VIMG_SFTP_READ, read_done);
    } else if (call->request.size > 0) {
        note_end(task, limit);
    }
}

static void
read_done(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    guint active = --task->active;

    if (reply->type == VIMG_SFTP_DATA)
        take_data(call, reply);
    else if (reply->status == VIMG_SFTP_EOF)
        note_end(task, call->request.offset);
    else
        note_status(task, reply->status);
    if (task->active == active && task->offset < task->target && vimg_sftp_goes_on(task))
        read_next(task, call);
    if (task->active == 0)
        end_read(task);
}

static void
read_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;
    const VimgOp *op = task->op;
    guint64 start = content_start(op);
    guint i;

    if (reply->type != VIMG_SFTP_HANDLE) {
        vimg_sftp_fail(task, reply->status, NULL);
        g_clear_pointer(&task->op->content, vimg_buffer_unref);
        return;
    }
    vimg_sftp_keep_handle(task, reply);
    make_window(task, start, start + op->content->size + (op->kind == VIMG_OP_READ),
                task->server->read_max);
    task->end = task->target;
    for (i = 0; i < task->window_size && task->offset < task->target; i++)
        read_next(task, &task->window[i]);
}

static void
read_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgOp *op = call->task->op;

    if (!seen_well(call, reply, FALSE))
        return;
    if (reply->attrs.size > op->size) {
        op->result = EFBIG;
        return;
    }
    op->content = vimg_buffer_new((gsize)reply->attrs.size);
    open_file(call->task, VIMG_SFTP_FLAG_READ, read_opened);
}

/* Once it was found to be another file than was seen, it is looked at after all. */
void
vimg_sftp_read(VimgSftpTask *task)
{
    VimgOp *op = task->op;
    const VimgFileInfo *seen = task->rounds == 0 ? op->seen : NULL;

    if (!seen || seen->type != VIMG_FILE_REGULAR || seen->size > op->size) {
        vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->path, read_seen);
        return;
    }
    op->content = vimg_buffer_new((gsize)seen->size);
    open_file(task, VIMG_SFTP_FLAG_READ, read_opened);
}

static void
part_file_seen(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgOp *op = call->task->op;
    guint64 there;

    if (!seen_well(call, reply, FALSE))
        return;
    if (!vimg_sftp_fill_info(&reply->attrs, &op->info)) {
        op->result = EIO;
        return;
    }
    there = op->info.size - MIN(op->info.size, op->offset);
    op->content = vimg_buffer_new((gsize)MIN(op->size, there));
    if (op->content->size > 0)
        open_file(call->task, VIMG_SFTP_FLAG_READ, read_opened);
}

void
vimg_sftp_read_at(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->path, part_file_seen);
}

/* ---- making durable ----------------------------------------------------------------------- */

static void
synced(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    vimg_sftp_close(task);
    /* EINVAL: a file system whose directories have no fsync */
    if (task->directory && reply->status == VIMG_SFTP_BAD_MESSAGE)
        return;
    vimg_sftp_fail(task, reply->status, NULL);
}

/* Whether it can open a directory at all, seen at the root, as it did not open this one. */
static void
root_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_HANDLE) {
        vimg_sftp_session_note_directories(task->session, TRUE);
        vimg_sftp_keep_handle(task, reply);
        vimg_sftp_close(task);
        vimg_sftp_fail(task, task->status, NULL);
    } else {
        vimg_sftp_session_note_directories(task->session, FALSE);
    }
}

static void
sync_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_HANDLE) {
        if (task->directory)
            vimg_sftp_session_note_directories(task->session, TRUE);
        vimg_sftp_keep_handle(task, reply);
        vimg_sftp_ask_handle(task, call, VIMG_SFTP_FSYNC, synced);
    } else if (!task->directory || reply->status == VIMG_SFTP_NO_SUCH_FILE ||
               task->server->directories == VIMG_SFTP_YES) {
        vimg_sftp_fail(task, reply->status, NULL);
    } else if (task->server->directories == VIMG_SFTP_UNKNOWN) {
        task->status = reply->status;
        vimg_sftp_ask_path(task, VIMG_SFTP_OPEN, task->root, root_opened);
    }
}

/* Both answers are there: what it is, and, if that is a directory and can be had, its handle. */
static void
sync_seen(VimgSftpTask *task)
{
    gboolean opened = task->handle_size > 0;

    if (opened)
        vimg_sftp_session_note_directories(task->session, TRUE);
    if (opened && task->directory)
        vimg_sftp_ask_handle(task, &task->call, VIMG_SFTP_FSYNC, synced);
    else if (opened)
        vimg_sftp_close(task);
    else if (task->op->result == 0)
        open_file(task, VIMG_SFTP_FLAG_READ, sync_opened);
}

static void
sync_looked(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    task->directory = seen_well(call, reply, TRUE) &&
                      vimg_sftp_file_type(reply->attrs.mode) == VIMG_FILE_DIRECTORY;
    if (--task->active == 0)
        sync_seen(task);
}

static void
sync_entered(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type == VIMG_SFTP_HANDLE)
        vimg_sftp_keep_handle(task, reply);
    if (--task->active == 0)
        sync_seen(task);
}

static void
sync_looked_only(VimgSftpCall *call, const VimgSftpReply *reply)
{
    seen_well(call, reply, TRUE);
}

/*
 * What a server cannot make durable is as durable as it is; nearly only OpenSSH opens
 * directories.  Mostly it is one, and "/." opens nothing else, so the look need not come first.
 */
void
vimg_sftp_sync(VimgSftpTask *task)
{
    if (!task->server->fsync) {
        vimg_sftp_ask_path(task, VIMG_SFTP_LSTAT, task->path, sync_looked_only);
        return;
    }
    task->inside = g_strconcat(task->path, "/.", NULL);
    task->active = 2;
    task->last[0].request.path = task->path;
    task->last[1].request.path = task->inside;
    task->last[1].request.open_flags = VIMG_SFTP_FLAG_READ;
    vimg_sftp_ask(task, &task->last[0], VIMG_SFTP_LSTAT, sync_looked);
    vimg_sftp_ask(task, &task->last[1], VIMG_SFTP_OPEN, sync_entered);
}
