/*
 * sftp-helper.h: SFTP requests and servers for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_SFTP_HELPER_H
#define TESTS_IMAGESTORE_SFTP_HELPER_H

#include "sftp/session-private.h"

#define HELPER_LOST G_MAXUINT32 /* in the place of a status */

/* A request and what came of it; zeroed but for the request. */
typedef struct {
    VimgSftpRequest request;
    guint times; /* how often it was done */
    guint32 status;
    GBytes *data;
    GPtrArray *names; /* of char */
    VimgSftpAttrs attrs;
    VimgSftpSpace space;
} HelperCall;

void helper_call_clear(HelperCall *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HelperCall, helper_call_clear)

void helper_submit(VimgSftpSession *session, HelperCall *call);
/* Until it was done once.  Returns: its status, or HELPER_LOST. */
guint32 helper_wait(HelperCall *call);
guint32 helper_run(VimgSftpSession *session, HelperCall *call);
/* A request of @type with paths and a handle, which may be NULL. */
guint32 helper_simple(VimgSftpSession *session, VimgSftpType type, const char *path, const char *to,
                      GBytes *handle);
/* Opens it, which must succeed. */
GBytes *helper_open(VimgSftpSession *session, const char *path, guint32 flags);

/* OpenSSH's sftp-server with @args up to NULL.  @pid: NULL: nobody reaps it.  Returns: a socket. */
int helper_sftp_server(const char *const *args, GPid *pid);
/* Waits until it ended; its socket must be closed. */
void helper_sftp_reap(GPid pid);

#endif
