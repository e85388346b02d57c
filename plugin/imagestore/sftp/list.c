/*
 * list.c: the names in a directory
 *
 * A reply holds a hundred names or so: many are asked for at once, lest a large directory take as
 * many round trips.  They go in waves: a small directory has ended with the first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "task.h"

#define FIRST 2 /* a reply with names, and the one that says that these are all */
#define WINDOW 64
#define NAMES_MAX (4 * 1024 * 1024)
#define NAMES_SIZE_MAX ((guint64)128 * 1024 * 1024) /* bytes of all of them */
#define NAME_SIZE_MAX 255
#define REPLIES_MAX (1024 * 1024)

static void
end_list(VimgSftpTask *task)
{
    VimgOp *op = task->op;

    vimg_sftp_close(task);
    if (task->status != VIMG_SFTP_EOF)
        op->result = op->result ? op->result : vimg_sftp_errno(task->status);
    if (op->result == 0)
        return;
    g_clear_pointer(&op->names, g_ptr_array_unref);
    g_clear_pointer(&op->infos, g_array_unref);
}

static void listed(VimgSftpCall *call, const VimgSftpReply *reply);

/* Nothing is under way. */
static void
list_next(VimgSftpTask *task, guint n)
{
    guint i;

    if (task->window_size != n) {
        g_free(task->window);
        task->window = g_new0(VimgSftpCall, n);
        task->window_size = n;
    }
    /* all of them first: an answer may come at once */
    task->active = n;
    for (i = 0; i < n; i++)
        vimg_sftp_ask_handle(task, &task->window[i], VIMG_SFTP_READDIR, listed);
}

/* What is not told of one is to be asked for of all. */
static void
take_info(VimgOp *op, const VimgSftpAttrs *attrs)
{
    VimgFileInfo info;

    if (op->infos && vimg_sftp_fill_info(attrs, &info))
        g_array_append_val(op->infos, info);
    else
        g_clear_pointer(&op->infos, g_array_unref);
}

/* The listing fails with @result: what is still answered is not looked at. */
static void
give_up(VimgSftpTask *task, int result)
{
    task->status = VIMG_SFTP_FAILURE;
    task->op->result = result;
}

static void
take_name(VimgSftpTask *task, VimgSftpName *name)
{
    VimgOp *op = task->op;
    gsize size = strlen(name->name);

    task->offset += size;
    if (size > NAME_SIZE_MAX) {
        give_up(task, ENAMETOOLONG);
    } else if (op->names->len >= NAMES_MAX || task->offset > NAMES_SIZE_MAX) {
        give_up(task, E2BIG);
    } else {
        take_info(op, &name->attrs);
        g_ptr_array_add(op->names, g_steal_pointer(&name->name));
    }
}

static gboolean
is_full(const VimgOp *op)
{
    return op->most > 0 && op->names->len >= op->most;
}

static void
take_names(VimgSftpTask *task, GPtrArray *found)
{
    guint i;

    if (++task->rounds > REPLIES_MAX)
        give_up(task, E2BIG);
    for (i = 0; i < found->len && task->op->result == 0 && !is_full(task->op); i++)
        take_name(task, g_ptr_array_index(found, i));
    if (task->status == VIMG_SFTP_OK && is_full(task->op))
        task->status = VIMG_SFTP_EOF;
}

static void
listed(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    task->active--;
    if (reply->type == VIMG_SFTP_NAME)
        take_names(task, reply->names);
    else if (task->status == VIMG_SFTP_OK)
        task->status = reply->status;
    if (task->active > 0)
        return;
    if (vimg_sftp_goes_on(task))
        list_next(task, WINDOW);
    else
        end_list(task);
}

static void
list_opened(VimgSftpCall *call, const VimgSftpReply *reply)
{
    VimgSftpTask *task = call->task;

    if (reply->type != VIMG_SFTP_HANDLE) {
        vimg_sftp_fail(task, reply->status, NULL);
        return;
    }
    vimg_sftp_keep_handle(task, reply);
    task->op->names = g_ptr_array_new_with_free_func(g_free);
    if (task->op->with_infos)
        task->op->infos = g_array_new(FALSE, FALSE, sizeof(VimgFileInfo));
    list_next(task, FIRST);
}

void
vimg_sftp_list(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_OPENDIR, task->path, list_opened);
}
