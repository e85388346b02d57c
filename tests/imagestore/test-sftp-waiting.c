/*
 * test-sftp-waiting.c: a server that does not answer, and who waits for it how long
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cut-stream.h"
#include "sftp-helper.h"
#include "sftp/transport-sftp.h"
#include "store-helper.h"
#include "thread.h"
#include "throw.h"

static VimgBuffer *large;

/* ---- waiting ------------------------------------------------------------------------------- */

/* Whoever comes after patience ended does not have as much of it again. */
static void
test_patience(void)
{
    CutServer server = {.dir = "/", .code = VIMG_ERROR_DISCONNECTED, .failures = G_MAXUINT};
    VimgTransport *transport = cut_transport_new(&server, 1, 1);
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;
    guint attempts;

    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ENOTCONN);
    attempts = __atomic_load_n(&server.connections, __ATOMIC_RELAXED);
    g_assert_cmpuint(attempts, >, 1);
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ENOTCONN);
    g_assert_cmpuint(__atomic_load_n(&server.connections, __ATOMIC_RELAXED), <=, attempts + 1);
    reason = vimg_transport_reason(transport);
    g_assert_cmpstr(reason, ==, "no way there");
    throw_result(&error, ENOTCONN, "x");
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    vimg_transport_free(transport);
    g_assert_cmpuint(server.lost, ==, 0);
}

/* A password that is refused is so a second later. */
static void
test_refused(void)
{
    CutServer server = {.dir = "/", .code = VIMG_ERROR_AUTH, .failures = G_MAXUINT};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ENOTCONN);
    g_assert_false(vimg_transport_sftp_connect(transport, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    vimg_transport_free(transport);
}

static void
test_job(void)
{
    g_autofree char *dir = helper_dir();
    CutServer server = {.dir = dir, .code = VIMG_ERROR_AUTH, .failures = G_MAXUINT};
    VimgTransport *transport = cut_transport_new(&server, 1, 1);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    helper_serve();
    helper_cancel_after = 4;
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ECANCELED);
    }
    g_assert_null(vimg_transport_job());
    throw_result(&error, ECANCELED, "x");
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    vimg_transport_free(transport);
    /* whoever is refused again and again gets locked out */
    g_assert_cmpuint(server.connections, ==, 1);
    /* patience without a job would end before the last attempt */
    server.failures = 4;
    server.code = VIMG_ERROR_DISCONNECTED;
    transport = cut_transport_new(&server, 1, 1);
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    }
    vimg_transport_free(transport);
    helper_remove_dir(dir);
}

static guint64
tell_number(VimgPluginJob *job)
{
    g_assert_true(job == HELPER_JOB);
    return 7;
}

/* One that the daemon knows is the same in its next call. */
static void
test_job_number_told(void)
{
    const VimgServices *before = vimg_services;
    const VimgServices services = {.size = sizeof(services), .job_number = tell_number};
    guint i;

    vimg_services = &services;
    g_assert_cmpuint(vimg_transport_job_number(), ==, 0);
    for (i = 0; i < 2; i++) {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpuint(vimg_transport_job_number(), ==, 7);
    }
    vimg_services = before;
}

/* Another job at the address of one that ended does not inherit how long that one waited. */
static void
test_job_number(void)
{
    guint64 first;

    vimg_transport_hold_job(HELPER_JOB);
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        first = vimg_transport_job_number();
        {
            VIMG_TRANSPORT_PATIENCE(NULL);

            g_assert_cmpuint(vimg_transport_job_number(), ==, 0);
        }
    }
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpuint(vimg_transport_job_number(), ==, first);
    }
    vimg_transport_drop_job(HELPER_JOB);
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpuint(vimg_transport_job_number(), >, first);
    }
    g_assert_cmpuint(first, >, 0);
}

static void
wait_for_question(const char *dir)
{
    while (__atomic_load_n(&helper_cancel_after, __ATOMIC_RELAXED) > 0)
        g_usleep(1000);
}

/* However slow the server is, a job that was cancelled asks it for no more. */
static void
test_cancel(void)
{
    g_autofree char *dir = helper_dir();
    g_autofree char *path = g_build_filename(dir, "f", NULL);
    Cut cut = {CUT_LATE, CUT_GREETING + 10, .late = wait_for_question, .dir = dir};
    CutServer server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    g_autoptr(VimgBuffer) content = NULL;

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_cmpint(truncate(path, 256 * MIB), ==, 0);
    g_assert_true(vimg_transport_sftp_connect(transport, NULL));
    helper_serve();
    helper_cancel_after = 1;
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpint(vimg_transport_read(transport, "f", 256 * MIB, &content), ==, ECANCELED);
    }
    g_assert_null(content);
    vimg_transport_free(transport);
    helper_remove_dir(dir);
}

static gint begun; /* atomic */

static VimgSftpStream *
connect_second(gpointer data, GError **error)
{
    if (__atomic_fetch_add(&begun, 1, __ATOMIC_ACQ_REL) > 0)
        return vimg_sftp_stream_new_fd(helper_sftp_server(NULL, NULL));
    g_usleep(200000);
    throw_error(error, VIMG_ERROR_AUTH, "no");
    return NULL;
}

static void *
ask_once(void *data)
{
    VimgFileInfo info;

    vimg_transport_stat(data, ".", &info);
    return NULL;
}

/* An attempt by the former one, which is under way, is not the answer. */
static void
test_connect_again(void)
{
    VimgTransport *transport = vimg_transport_sftp_new(&(VimgSftpTransportConfig){
        .root = "/", .connect = connect_second, .connections = 1, .patience = 1000});
    g_autoptr(GError) error = NULL;
    pthread_t thread;

    thread_must(thread_start(&thread, ask_once, transport));
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) == 0)
        g_usleep(100);
    g_assert_true(vimg_transport_sftp_connect(transport, &error));
    g_assert_no_error(error);
    pthread_join(thread, NULL);
    vimg_transport_free(transport);
}

/* The pool hears of a loss though nobody asks for anything, and of the connection after it. */
static void
test_status(void)
{
    g_autofree char *dir = helper_dir();
    Cut cut = {CUT_REPLY, CUT_GREETING + 1};
    CutServer server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    g_assert_true(vimg_transport_sftp_connect(transport, &error));
    g_assert_no_error(error);
    g_assert_true(vimg_transport_sftp_connect(transport, &error));
    g_assert_cmpuint(server.connections, ==, 1);
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    g_assert_null(vimg_transport_reason(transport));
    while (__atomic_load_n(&server.back, __ATOMIC_ACQUIRE) == 0)
        g_usleep(1000);
    vimg_transport_free(transport);
    g_assert_cmpuint(server.lost, ==, 1);
    g_assert_cmpuint(server.back, ==, 1);
    g_assert_cmpuint(server.connections, ==, 2);
    helper_remove_dir(dir);
}

#define WELL G_MAXUINT /* Cut.at: the connection that lasts */

/* A server that dies of an operation is not killed for ever. */
static VimgSftpStream *
connect_fatal(gpointer data, GError **error)
{
    Cut *cuts = data;
    Cut *next = cuts;

    while (next->kind != CUT_NEVER)
        next++;
    g_assert_true(next - cuts < 7 || next->at == WELL);
    if (next->at != WELL)
        *next = (Cut){CUT_REQUEST, CUT_GREETING + 1};
    return cut_stream_new(helper_sftp_server(NULL, NULL), next);
}

static void
test_fatal(void)
{
    Cut cuts[8] = {{CUT_NEVER}};
    VimgTransport *transport = vimg_transport_sftp_new(&(VimgSftpTransportConfig){
        .root = "/", .connect = connect_fatal, .data = cuts, .connections = 1, .patience = 1000});
    VimgFileInfo info;

    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ENOTCONN);
    vimg_transport_free(transport);
}

/* A job goes on, once the server does; nothing else shows that it is not the operation. */
static void
test_flapping(void)
{
    Cut cuts[8] = {[7] = {CUT_NEVER, WELL}};
    VimgTransport *transport = vimg_transport_sftp_new(&(VimgSftpTransportConfig){
        .root = "/", .connect = connect_fatal, .data = cuts, .connections = 1, .patience = 1000});
    VimgFileInfo info;

    helper_serve();
    helper_cancel_after = 0;
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    }
    vimg_transport_free(transport);
}

/* ---- given up ------------------------------------------------------------------------------ */

/* What is never there; a server whose process stands still may be. */
typedef struct {
    gint asked;    /* atomic: it is waited for */
    gint given_up; /* likewise */
    GPid pid;      /* 0: it is no process */
    int peer;      /* 0: likewise, no socket */
} Nowhere;

static gboolean
is_given_up(gpointer data)
{
    Nowhere *nowhere = data;

    __atomic_store_n(&nowhere->asked, TRUE, __ATOMIC_RELEASE);
    return __atomic_load_n(&nowhere->given_up, __ATOMIC_ACQUIRE);
}

static void
give_up(gpointer data)
{
    __atomic_store_n(&((Nowhere *)data)->given_up, TRUE, __ATOMIC_RELEASE);
}

static VimgSftpStream *
connect_nowhere(gpointer data, GError **error)
{
    while (!is_given_up(data))
        g_usleep(1000);
    throw_error(error, VIMG_ERROR_ABORTED, "no more");
    return NULL;
}

/* It takes what is said, and says nothing. */
static VimgSftpStream *
connect_silent(gpointer data, GError **error)
{
    VimgSftpStream *stream;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    stream = vimg_sftp_stream_new_fd(fds[0]);
    stream->given_up = is_given_up;
    stream->given_up_data = data;
    ((Nowhere *)data)->peer = fds[1];
    return stream;
}

static VimgSftpStream *
connect_stopped(gpointer data, GError **error)
{
    Nowhere *nowhere = data;
    VimgSftpStream *stream = vimg_sftp_stream_new_fd(helper_sftp_server(NULL, &nowhere->pid));

    stream->given_up = is_given_up;
    stream->given_up_data = nowhere;
    return stream;
}

static gboolean
check_stopped(VimgTransport *fresh, gpointer data, GError **error)
{
    Nowhere *nowhere = data;
    VimgFileInfo info;
    int result;

    g_assert_cmpint(kill(nowhere->pid, SIGSTOP), ==, 0);
    result = vimg_transport_stat(fresh, ".", &info);
    kill(nowhere->pid, SIGKILL);
    return throw_result(error, result, "%s", "stopped");
}

static const struct {
    const char *path;
    VimgSftpStream *(*connect)(gpointer data, GError **error);
    gboolean (*check)(VimgTransport *fresh, gpointer data, GError **error);
} nowheres[] = {
    {"connect", connect_nowhere, NULL},
    {"greeting", connect_silent, NULL},
    {"check", connect_stopped, check_stopped},
};

/* Who asked for it by a job that is cancelled goes, and so does the transport. */
static void
test_given_up(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    Nowhere nowhere = {.asked = FALSE};
    VimgTransport *transport =
        vimg_transport_sftp_new(&(VimgSftpTransportConfig){.root = "/",
                                                           .connect = nowheres[i].connect,
                                                           .check = nowheres[i].check,
                                                           .give_up = give_up,
                                                           .data = &nowhere,
                                                           .connections = 1,
                                                           .patience = 1000});
    g_autoptr(GError) error = NULL;

    helper_serve();
    helper_cancel_at = 1;
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_false(vimg_transport_sftp_connect(transport, &error));
    }
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_false(__atomic_load_n(&nowhere.given_up, __ATOMIC_ACQUIRE));
    while (!__atomic_load_n(&nowhere.asked, __ATOMIC_ACQUIRE))
        g_usleep(1000);
    vimg_transport_free(transport);
    g_assert_true(nowhere.given_up);
    if (nowhere.pid > 0)
        helper_sftp_reap(nowhere.pid);
    if (nowhere.peer > 0)
        close(nowhere.peer);
    helper_cancel_at = 0;
}

/* In haste, what is lost is waited for as without a job, which may be cancelled. */
static void
test_haste(void)
{
    CutServer server = {.dir = "/", .code = VIMG_ERROR_DISCONNECTED, .failures = G_MAXUINT};
    VimgTransport *transport = cut_transport_new(&server, 1, 1);
    VimgFileInfo info;

    helper_serve();
    helper_cancel_after = 0;
    g_assert_null(vimg_transport_haste(HELPER_JOB));
    g_assert_true(vimg_transport_job() == HELPER_JOB);
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ENOTCONN);
    helper_cancel_after = 1;
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, ECANCELED);
    g_assert_true(vimg_transport_haste(NULL) == HELPER_JOB);
    vimg_transport_free(transport);
}

int
main(int argc, char **argv)
{
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    large = helper_content(1, MIB, 0);
    g_test_add_func("/imagestore/sftp-waiting/patience", test_patience);
    g_test_add_func("/imagestore/sftp-waiting/refused", test_refused);
    g_test_add_func("/imagestore/sftp-waiting/job", test_job);
    g_test_add_func("/imagestore/sftp-waiting/job-number", test_job_number);
    g_test_add_func("/imagestore/sftp-waiting/job-number-told", test_job_number_told);
    g_test_add_func("/imagestore/sftp-waiting/cancel", test_cancel);
    g_test_add_func("/imagestore/sftp-waiting/connect-again", test_connect_again);
    g_test_add_func("/imagestore/sftp-waiting/status", test_status);
    g_test_add_func("/imagestore/sftp-waiting/fatal", test_fatal);
    g_test_add_func("/imagestore/sftp-waiting/flapping", test_flapping);
    for (i = 0; i < G_N_ELEMENTS(nowheres); i++) {
        g_autofree char *path =
            g_strconcat("/imagestore/sftp-waiting/given-up/", nowheres[i].path, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_given_up);
    }
    g_test_add_func("/imagestore/sftp-waiting/haste", test_haste);
    status = g_test_run();
    vimg_buffer_unref(large);
    return status;
}
