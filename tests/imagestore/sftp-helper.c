/*
 * sftp-helper.c: SFTP requests and servers for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sftp-helper.h"
#include "thread.h"

#define SFTP_SERVER "/usr/lib/openssh/sftp-server"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void
helper_call_clear(HelperCall *call)
{
    g_clear_pointer(&call->data, g_bytes_unref);
    g_clear_pointer(&call->names, g_ptr_array_unref);
}

static GPtrArray *
take_names(GPtrArray *found)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    guint i;

    for (i = 0; i < found->len; i++) {
        VimgSftpName *name = g_ptr_array_index(found, i);

        g_ptr_array_add(names, g_steal_pointer(&name->name));
    }
    return names;
}

static void
call_done(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    HelperCall *call = request->owner;
    LOCK_GUARD(&lock);

    call->times++;
    call->status = reply ? reply->status : HELPER_LOST;
    if (reply && reply->data)
        call->data = g_bytes_new(reply->data, reply->size);
    if (reply && reply->names)
        call->names = take_names(reply->names);
    if (reply && reply->type == VIMG_SFTP_EXTENDED_REPLY)
        g_assert_true(vimg_sftp_space_parse(reply, &call->space));
    if (reply)
        call->attrs = reply->attrs;
    pthread_cond_broadcast(&changed);
}

void
helper_submit(VimgSftpSession *session, HelperCall *call)
{
    call->request.done = call_done;
    call->request.owner = call;
    vimg_sftp_session_submit(session, &call->request);
}

guint32
helper_wait(HelperCall *call)
{
    LOCK_GUARD(&lock);

    while (call->times == 0)
        thread_must(pthread_cond_wait(&changed, &lock));
    return call->status;
}

guint32
helper_run(VimgSftpSession *session, HelperCall *call)
{
    helper_submit(session, call);
    return helper_wait(call);
}

guint32
helper_simple(VimgSftpSession *session, VimgSftpType type, const char *path, const char *to,
              GBytes *handle)
{
    g_auto(HelperCall) call = {.request = {.type = type, .path = path, .to = to}};
    gsize size = 0;

    if (handle)
        call.request.handle = g_bytes_get_data(handle, &size);
    call.request.handle_size = (guint32)size;
    return helper_run(session, &call);
}

GBytes *
helper_open(VimgSftpSession *session, const char *path, guint32 flags)
{
    g_auto(HelperCall) call = {
        .request = {.type = VIMG_SFTP_OPEN, .path = path, .open_flags = flags, .mode = 0640}};

    g_assert_cmpuint(helper_run(session, &call), ==, VIMG_SFTP_OK);
    return g_steal_pointer(&call.data);
}

int
helper_sftp_server(const char *const *args, GPid *pid)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    int fds[2];

    g_ptr_array_add(argv, (gpointer)SFTP_SERVER);
    for (; args && *args; args++)
        g_ptr_array_add(argv, (gpointer)*args);
    g_ptr_array_add(argv, NULL);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv->pdata, NULL,
                                     pid ? G_SPAWN_DO_NOT_REAP_CHILD : 0, NULL, NULL, fds[1],
                                     fds[1], -1, NULL, NULL, 0, pid, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    close(fds[1]);
    return fds[0];
}

void
helper_sftp_reap(GPid pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
}
