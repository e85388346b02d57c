/*
 * list.c: the names in a directory
 *
 * A reply holds a hundred names or so: many are asked for at once, lest a large directory take as
 * many round trips.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "task.h"

#define WINDOW 32
#define NAMES_MAX (4 * 1024 * 1024)
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

static void
list_next(VimgSftpTask *task, VimgSftpCall *call)
{
    task->active++;
    vimg_sftp_ask_handle(task, call, VIMG_SFTP_READDIR, listed);
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

static void
take_names(VimgSftpTask *task, GPtrArray *found)
{
    VimgOp *op = task->op;
    guint i;

    if (++task->rounds > REPLIES_MAX || op->names->len + found->len > NAMES_MAX) {
        task->status = VIMG_SFTP_FAILURE;
        op->result = E2BIG;
        return;
    }
    for (i = 0; i < found->len; i++) {
        VimgSftpName *name = g_ptr_array_index(found, i);

        take_info(op, &name->attrs);
        g_ptr_array_add(op->names, g_steal_pointer(&name->name));
    }
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
    if (task->status == VIMG_SFTP_OK) {
        list_next(task, call);
        /* the more there is, the more is asked for */
        if (task->window_size < WINDOW)
            list_next(task, &task->window[task->window_size++]);
    }
    if (task->active == 0)
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
    task->window = g_new0(VimgSftpCall, WINDOW);
    while (task->window_size < 2)
        list_next(task, &task->window[task->window_size++]);
}

void
vimg_sftp_list(VimgSftpTask *task)
{
    vimg_sftp_ask_path(task, VIMG_SFTP_OPENDIR, task->path, list_opened);
}
