/*
 * test-sftp-listing.c: directories of a server that have no end, or names that are none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sftp-helper.h"
#include "sftp-peer.h"
#include "sftp/task.h"
#include "thread.h"

#define NAME_AROUND 12 /* bytes of a name in a reply that are not its own */

typedef struct {
    const char *path;
    guint size;  /* bytes of each name */
    guint names; /* of each reply */
    guint most;  /* see VimgOp */
    int result;
} ListCase;

static const ListCase list_cases[] = {
    {"longest", 255, 3, 3, 0},       {"too-long", 256, 3, 3, ENAMETOOLONG},
    {"most", 10, 100, 250, 0},       {"most-of-one", 10, 1000, 1, 0},
    {"endless", 255, 900, 0, E2BIG},
};

typedef struct {
    const ListCase *c;
    SftpPeer peer;
} ListPeer;

static void
append32(GByteArray *out, gsize number)
{
    guint32 value = GUINT32_TO_BE((guint32)number);

    g_byte_array_append(out, (const guint8 *)&value, sizeof(value));
}

/* A reply to READDIR, but for its id. */
static GByteArray *
list_reply(const ListCase *c)
{
    GByteArray *out = g_byte_array_new();
    g_autofree char *name = g_strnfill(c->size, 'n');
    guint i;

    append32(out, 9 + c->names * (NAME_AROUND + (gsize)c->size));
    g_byte_array_append(out, (const guint8 *)"\150", 1);
    append32(out, 0);
    append32(out, c->names);
    for (i = 0; i < c->names; i++) {
        append32(out, c->size);
        g_byte_array_append(out, (const guint8 *)name, c->size);
        append32(out, 0);
        append32(out, 0);
    }
    return out;
}

static void *
list_main(void *data)
{
    ListPeer *self = data;
    g_autoptr(GByteArray) names = list_reply(self->c);
    VimgSftpType type;
    guint32 id;

    if (sftp_peer_hear_request(&self->peer, &type, &id))
        sftp_peer_say_packet(&self->peer, "02 00000003", 0);
    while (sftp_peer_hear_request(&self->peer, &type, &id)) {
        guint32 number = GUINT32_TO_BE(id);

        if (type == VIMG_SFTP_OPENDIR) {
            sftp_peer_say_packet(&self->peer, "66 * 00000001 68", id);
        } else if (type == VIMG_SFTP_READDIR) {
            memcpy(names->data + 5, &number, sizeof(number));
            sftp_peer_say(&self->peer, names->data, names->len);
        } else if (type == VIMG_SFTP_LSTAT) {
            sftp_peer_say_packet(&self->peer, "69 * 00000005 0000000000000007 000081a4", id);
        } else {
            sftp_peer_say_packet(&self->peer, "65 * 00000000 00000000 00000000", id);
        }
    }
    close(self->peer.fd);
    return NULL;
}

static void
list_ended(VimgSftpTask *task)
{
    sem_post(task->owner);
}

/* Whatever a server tells, a listing is bounded, and its end is no end of the session. */
static void
test_list(gconstpointer data)
{
    const ListCase *c = data;
    ListPeer self = {.c = c, .peer = {.allowed = G_MAXSIZE}};
    VimgOp op = {.kind = VIMG_OP_LIST, .path = ".", .most = c->most};
    HelperCall late = {.request = {.type = VIMG_SFTP_LSTAT, .path = "/"}};
    g_autoptr(GError) error = NULL;
    VimgSftpSession *session;
    VimgSftpTask *task = vimg_sftp_task_new(&op, "/");
    sem_t ended;
    pthread_t thread;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    self.peer.fd = fds[1];
    g_assert_cmpint(thread_start(&thread, list_main, &self), ==, 0);
    session = vimg_sftp_session_new(vimg_sftp_stream_new_fd(fds[0]), &error);
    g_assert_no_error(error);
    sem_init(&ended, 0, 0);
    task->owner = &ended;
    task->ended = list_ended;
    vimg_sftp_task_start(task, session);
    while (sem_wait(&ended) < 0)
        g_assert_cmpint(errno, ==, EINTR);
    g_assert_false(task->lost);
    g_assert_cmpint(op.result, ==, c->result);
    g_assert_cmpint(op.names != NULL, ==, c->result == 0);
    if (op.names)
        g_assert_cmpuint(op.names->len, ==, c->most);
    g_assert_cmpuint(helper_run(session, &late), ==, VIMG_SFTP_OK);
    vimg_sftp_task_free(task);
    vimg_sftp_session_free(session);
    pthread_join(thread, NULL);
    sem_destroy(&ended);
    g_clear_pointer(&op.names, g_ptr_array_unref);
    helper_call_clear(&late);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(list_cases); i++) {
        g_autofree char *path = g_strdup_printf("/sftp-listing/%s", list_cases[i].path);

        g_test_add_data_func(path, &list_cases[i], test_list);
    }
    return g_test_run();
}
