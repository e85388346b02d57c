/*
 * task.h: one file operation as a conversation with an SFTP server
 *
 * A task asks what it has to on one session and ends when nothing it asked is under way any more.
 * Where version 3 of the protocol says only "failure", it looks what was meant.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_TASK_H
#define VIMG_IMAGESTORE_SFTP_TASK_H

#include "../transport.h"
#include "session.h"

typedef struct _VimgSftpTask VimgSftpTask;
typedef struct _VimgSftpCall VimgSftpCall;

/* What goes on with the task once @call was answered; never for a lost connection. */
typedef void (*VimgSftpNext)(VimgSftpCall *call, const VimgSftpReply *reply);

struct _VimgSftpCall {
    VimgSftpRequest request;
    VimgSftpTask *task;
    VimgSftpNext next;
};

/* Besides the operations of a transport; for op.kind. */
enum {
    VIMG_SFTP_TASK_SPACE = VIMG_OP_SYNC + 1,
    VIMG_SFTP_TASK_RESOLVE,
    VIMG_SFTP_N_TASKS
};

/* An operation and where the answers of the two above go. */
typedef struct {
    VimgOp op;
    VimgSpace space;
    char *resolved; /* (transfer full) */
} VimgSftpQuery;

/* All of them the session's thread's from vimg_sftp_task_start() until ended(). */
struct _VimgSftpTask {
    /* the owner's */
    VimgOp *op;
    const char *root;
    gboolean replace;     /* CREATE: what is there is ours, and half done */
    const gboolean *stop; /* atomic; what takes many requests makes no more; NULL: never */
    /*
     * The last thing that happens to a task, in any thread; may free it.  Then @lost says whether
     * the connection was lost, and nobody knows whether the operation was done; else op->result
     * and the other answers are there.
     */
    void (*ended)(VimgSftpTask *task);
    gpointer owner;
    gboolean lost;
    gboolean stopped; /* for that reason it failed */
    gboolean mine;    /* CREATE: it made the file */

    /* its own */
    char *path, *to; /* on the server */
    char *inside;    /* SYNC: @path as a directory only; PUBLISH: that of @to */
    VimgSftpSession *session;
    const VimgSftpServer *server;
    guint under_way; /* atomic */
    VimgSftpCall call;
    guint8 handle[VIMG_SFTP_HANDLE_MAX];
    guint32 handle_size;
    void (*then)(VimgSftpTask *task); /* after the look at a failure */

    /* data.c and list.c: requests on one handle */
    VimgSftpCall *window;
    guint window_size;
    guint active;
    guint rounds;
    guint64 offset; /* the next to be asked for; LIST: bytes of the names so far */
    guint64 target; /* where to end */
    guint64 end;    /* READ, READ_AT: where the server says that the file ends */
    gboolean directory;
    gboolean closing;
    guint32 status; /* the first that was not OK */
    VimgSftpCall last[2];
};

/* @op: a VimgSftpQuery for the kinds of our own.  Both are borrowed. */
VimgSftpTask *vimg_sftp_task_new(VimgOp *op, const char *root);
void vimg_sftp_task_start(VimgSftpTask *task, VimgSftpSession *session);
void vimg_sftp_task_free(VimgSftpTask *task);

/* ---- for the operations ----------------------------------------------------------------- */

/* How each kind begins. */
void vimg_sftp_create(VimgSftpTask *task);
void vimg_sftp_overwrite(VimgSftpTask *task);
void vimg_sftp_read(VimgSftpTask *task);
void vimg_sftp_read_at(VimgSftpTask *task);
void vimg_sftp_sync(VimgSftpTask *task);
void vimg_sftp_list(VimgSftpTask *task);

/* Fills and submits @call; request fields other than these are set before. */
void vimg_sftp_ask(VimgSftpTask *task, VimgSftpCall *call, VimgSftpType type, VimgSftpNext next);
/* The same about a path, as the only thing that goes on. */
void vimg_sftp_ask_path(VimgSftpTask *task, VimgSftpType type, const char *path, VimgSftpNext next);
/* The same with the handle of the task. */
void vimg_sftp_ask_handle(VimgSftpTask *task, VimgSftpCall *call, VimgSftpType type,
                          VimgSftpNext next);
/* Keeps the handle that @reply gives. */
void vimg_sftp_keep_handle(VimgSftpTask *task, const VimgSftpReply *reply);
/* Closes the handle without waiting for the answer. */
void vimg_sftp_close(VimgSftpTask *task);
/* Whether there may be more requests; else the status is no more OK. */
gboolean vimg_sftp_goes_on(VimgSftpTask *task);
int vimg_sftp_errno(guint32 status);
VimgFileType vimg_sftp_file_type(guint32 mode);
/* FALSE: the server did not tell all of it. */
gboolean vimg_sftp_fill_info(const VimgSftpAttrs *attrs, VimgFileInfo *out);
/*
 * The task fails with @status.  If that says nothing, something at @blamed (NULL: no such thing)
 * or else the state of the file system tells.  task->then is called at the end, if it is set.
 */
void vimg_sftp_fail(VimgSftpTask *task, guint32 status, const char *blamed);

#endif
