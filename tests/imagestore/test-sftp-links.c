/*
 * test-sftp-links.c: connections to a server that are opened, lost, shared and renewed
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

/* ---- which machine ------------------------------------------------------------------------- */

/* All have the same directory, and connections are counted. */
typedef struct {
    const char *dir;
    guint firsts, more, checks; /* atomic */
    Cut cut;
} Machines;

static VimgSftpStream *
connect_any(gpointer data, GError **error)
{
    Machines *machines = data;

    if (__atomic_fetch_add(&machines->firsts, 1, __ATOMIC_RELAXED) == 0)
        return cut_stream_new(helper_sftp_server(NULL, NULL), &machines->cut);
    return vimg_sftp_stream_new_fd(helper_sftp_server(NULL, NULL));
}

static VimgSftpStream *
connect_same(gpointer data, GError **error)
{
    __atomic_add_fetch(&((Machines *)data)->more, 1, __ATOMIC_RELAXED);
    return vimg_sftp_stream_new_fd(helper_sftp_server(NULL, NULL));
}

/* The second one that is met is another one. */
static gboolean
check_machine(VimgTransport *fresh, gpointer data, GError **error)
{
    Machines *machines = data;
    g_autoptr(VimgBuffer) mark = NULL;
    g_autofree char *resolved = NULL;
    int result;

    resolved = vimg_transport_resolve(fresh, &result);
    g_assert_cmpstr(resolved, ==, machines->dir);
    g_assert_cmpint(vimg_transport_read(fresh, "mark", 10, &mark), ==, 0);
    if (__atomic_add_fetch(&machines->checks, 1, __ATOMIC_RELAXED) == 2)
        return throw_error(error, VIMG_ERROR_DISCONNECTED, "another %s", "store");
    return TRUE;
}

/* To @dir, where a file says that it is the right one. */
static VimgTransport *
machines_transport(Machines *machines, const char *dir, guint connections)
{
    g_autofree char *mark = g_build_filename(dir, "mark", NULL);

    g_assert_true(g_file_set_contents(mark, "x", 1, NULL));
    return vimg_transport_sftp_new(&(VimgSftpTransportConfig){.root = dir,
                                                              .connect = connect_any,
                                                              .connect_more = connect_same,
                                                              .check = check_machine,
                                                              .data = machines,
                                                              .connections = connections,
                                                              .patience = 1000});
}

static void
test_machines(void)
{
    g_autofree char *dir = helper_dir();
    g_autofree char *real = realpath(dir, NULL);
    Machines machines = {.dir = real, .cut = {CUT_REQUEST, 100}};
    VimgTransport *transport = machines_transport(&machines, dir, 1);
    VimgFileInfo info;
    guint i;

    for (i = 0; i < 200; i++)
        g_assert_cmpint(vimg_transport_stat(transport, "mark", &info), ==, 0);
    vimg_transport_free(transport);
    g_assert_true(machines.cut.cut);
    g_assert_cmpuint(machines.firsts, ==, 3);
    g_assert_cmpuint(machines.checks, ==, 3);
    g_assert_cmpuint(machines.more, ==, 0);
    helper_remove_dir(dir);
}

/* While there is a connection the others go where it leads to, and are not asked again. */
static void
test_same_machine(void)
{
    g_autofree char *dir = helper_dir();
    g_autofree char *real = realpath(dir, NULL);
    Machines machines = {.dir = real};
    g_autofree VimgOp *ops = g_new0(VimgOp, 64);
    VimgTransport *transport = machines_transport(&machines, dir, 2);
    guint i;

    for (i = 0; i < 64; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_OVERWRITE, .path = "mark", .data = large->data};
    while (__atomic_load_n(&machines.more, __ATOMIC_RELAXED) == 0) {
        for (i = 0; i < 64; i++)
            ops[i].size = large->size;
        vimg_transport_run(transport, ops, 64);
    }
    vimg_transport_free(transport);
    g_assert_cmpuint(machines.more, ==, 1);
    g_assert_cmpuint(machines.firsts, ==, 1);
    g_assert_cmpuint(machines.checks, ==, 1);
    helper_remove_dir(dir);
}

#define MORE 3

/* Each takes until all of them are on their way. */
static VimgSftpStream *
connect_together(gpointer data, GError **error)
{
    Machines *machines = data;

    __atomic_add_fetch(&machines->more, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&machines->more, __ATOMIC_ACQUIRE) < MORE)
        g_usleep(100);
    return vimg_sftp_stream_new_fd(helper_sftp_server(NULL, NULL));
}

static void
test_together(void)
{
    g_autofree char *dir = helper_dir();
    Machines machines = {.dir = dir};
    VimgTransport *transport =
        vimg_transport_sftp_new(&(VimgSftpTransportConfig){.root = dir,
                                                           .connect = connect_any,
                                                           .connect_more = connect_together,
                                                           .data = &machines,
                                                           .connections = 1 + MORE,
                                                           .patience = 1000});
    VimgFileInfo info;

    vimg_transport_expect(transport);
    g_assert_cmpuint(machines.firsts, ==, 0);
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    vimg_transport_expect(transport);
    while (__atomic_load_n(&machines.more, __ATOMIC_ACQUIRE) < MORE)
        g_usleep(1000);
    vimg_transport_free(transport);
    g_assert_cmpuint(machines.more, ==, MORE);
    g_assert_cmpuint(machines.firsts, ==, 1);
    helper_remove_dir(dir);
}

/* A new way is gone at once, and the connections by the former one end; or all stays as it was. */
static void
test_renew(void)
{
    g_autofree char *dir = helper_dir();
    Cut cut = {CUT_NEVER, 0};
    CutServer server = {.dir = dir, .cut = &cut, .code = VIMG_ERROR_AUTH};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    g_assert_true(vimg_transport_sftp_connect(transport, &error));
    g_assert_no_error(error);
    server.failures = 1;
    g_assert_false(vimg_transport_sftp_renew(transport, 2, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_clear_error(&error);
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    g_assert_cmpuint(server.connections, ==, 2);
    g_assert_true(vimg_transport_sftp_renew(transport, 1, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(server.connections, ==, 3);
    while (!__atomic_load_n(&cut.freed, __ATOMIC_ACQUIRE))
        g_thread_yield();
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    g_assert_cmpuint(server.connections, ==, 3);
    vimg_transport_free(transport);
    g_assert_cmpuint(server.lost, ==, 0);
    helper_remove_dir(dir);
}

/* One that is there though its job was cancelled counts; else the former way is gone again. */
static void
test_renew_cancelled(void)
{
    CutServer server = {.dir = "/", .code = VIMG_ERROR_AUTH};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    gboolean renewed = FALSE;
    guint tries;
    VimgFileInfo info;

    helper_serve();
    g_assert_true(vimg_transport_sftp_connect(transport, NULL));
    helper_cancel_at = 1;
    /* a busy machine may take longer than is waited */
    for (tries = 0; !renewed && tries < 20; tries++) {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        renewed = vimg_transport_sftp_renew(transport, 1, NULL);
    }
    g_assert_true(renewed);
    helper_cancel_at = 0;
    tries = __atomic_load_n(&server.connections, __ATOMIC_RELAXED);
    vimg_transport_sftp_restore(transport);
    while (__atomic_load_n(&server.connections, __ATOMIC_RELAXED) == tries)
        g_thread_yield();
    g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    vimg_transport_free(transport);
    g_assert_cmpuint(server.lost, ==, 0);
}

/* ---- many at once -------------------------------------------------------------------------- */

#define THREADS 6
#define FILES 300

typedef struct {
    VimgTransport *transport;
    guint number;
} Worker;

static void *
worker_main(void *data)
{
    const Worker *worker = data;
    g_autofree VimgOp *ops = g_new0(VimgOp, FILES);
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *dir = g_strdup_printf("%u", worker->number);
    guint i;

    g_assert_cmpint(vimg_transport_mkdir(worker->transport, dir), ==, 0);
    for (i = 0; i < FILES; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_CREATE,
                          .path = g_strdup_printf("%s/%u", dir, i),
                          .data = large->data,
                          .size = i * 400};
    vimg_transport_run(worker->transport, ops, FILES);
    for (i = 0; i < FILES; i++) {
        g_assert_cmpint(ops[i].result, ==, 0);
        ops[i].kind = VIMG_OP_READ;
    }
    vimg_transport_run(worker->transport, ops, FILES);
    for (i = 0; i < FILES; i++) {
        g_assert_cmpint(ops[i].result, ==, 0);
        g_assert_cmpmem(ops[i].content->data, ops[i].content->size, large->data, i * 400);
        g_clear_pointer(&ops[i].content, vimg_buffer_unref);
    }
    g_assert_cmpint(vimg_transport_list(worker->transport, dir, &names), ==, 0);
    g_assert_cmpuint(names->len, ==, FILES);
    for (i = 0; i < FILES; i++)
        ops[i].kind = VIMG_OP_UNLINK;
    vimg_transport_run(worker->transport, ops, FILES);
    for (i = 0; i < FILES; i++) {
        g_assert_cmpint(ops[i].result, ==, 0);
        g_free((char *)ops[i].path);
    }
    g_assert_cmpint(vimg_transport_rmdir(worker->transport, dir), ==, 0);
    return NULL;
}

/* On as many connections as are allowed; the first of them is cut in the middle. */
static void
test_many(gconstpointer data)
{
    g_autofree char *dir = helper_dir();
    Cut cut = {GPOINTER_TO_INT(data) ? CUT_REQUEST : CUT_NEVER, 500};
    CutServer server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = cut_transport_new(&server, 4, 1000);
    pthread_t threads[THREADS];
    Worker workers[THREADS];
    guint i;

    for (i = 0; i < THREADS; i++) {
        workers[i] = (Worker){transport, i};
        thread_must(thread_start(&threads[i], worker_main, &workers[i]));
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    vimg_transport_free(transport);
    g_assert_true(cut.cut == (cut.kind != CUT_NEVER));
    g_assert_cmpuint(server.connections, ==, 4 + (guint)cut.cut);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

/* ---- a whole upload ------------------------------------------------------------------------ */

/* Returns: whether the connection was cut. */
static gboolean
upload_cut_at(Cut *cut)
{
    g_autofree char *dir = helper_dir();
    CutServer server = {.dir = dir, .cut = cut};
    g_autoptr(VimgSliceStore) store = helper_store(cut_transport_new(&server, 1, 1000));
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 64 * KIB + 100, 4);
    g_autofree char *uuid = helper_create(store, "a", content->size);
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, uuid, content);
    vimg_image_remove(store, uuid, &error);
    g_assert_no_error(error);
    g_clear_pointer(&uuid, g_free);
    uuid = helper_create(store, "a", 0);
    helper_remove_dir(dir);
    return cut->cut;
}

/* Nobody notices, whatever was under way. */
static void
test_upload(gconstpointer data)
{
    guint at = CUT_GREETING + 1;

    while (upload_cut_at(&(Cut){(CutKind)GPOINTER_TO_INT(data), at}))
        at += 23 * helper_stride();
    g_assert_cmpuint(at, >, 100);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    large = helper_content(1, MIB, 0);
    g_test_add_func("/imagestore/sftp-links/machines", test_machines);
    g_test_add_func("/imagestore/sftp-links/same-machine", test_same_machine);
    g_test_add_func("/imagestore/sftp-links/together", test_together);
    g_test_add_func("/imagestore/sftp-links/renew", test_renew);
    g_test_add_func("/imagestore/sftp-links/renew-cancelled", test_renew_cancelled);
    g_test_add_data_func("/imagestore/sftp-links/many", GINT_TO_POINTER(FALSE), test_many);
    g_test_add_data_func("/imagestore/sftp-links/many-cut", GINT_TO_POINTER(TRUE), test_many);
    g_test_add_data_func("/imagestore/sftp-links/upload/request", GINT_TO_POINTER(CUT_REQUEST),
                         test_upload);
    g_test_add_data_func("/imagestore/sftp-links/upload/reply", GINT_TO_POINTER(CUT_REPLY),
                         test_upload);
    status = g_test_run();
    vimg_buffer_unref(large);
    return status;
}
