/*
 * test-sftp-links.c: connections to a server that are opened, lost, waited for and shared
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
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
    /* patience without a job would end before the second attempt */
    server.failures = 4;
    transport = cut_transport_new(&server, 1, 1);
    {
        VIMG_TRANSPORT_PATIENCE(HELPER_JOB);

        g_assert_cmpint(vimg_transport_stat(transport, ".", &info), ==, 0);
    }
    vimg_transport_free(transport);
    helper_remove_dir(dir);
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

/* A server that dies of an operation is not killed for ever. */
static VimgSftpStream *
connect_fatal(gpointer data, GError **error)
{
    Cut *cuts = data;
    Cut *next = cuts;

    while (next->kind != CUT_NEVER)
        next++;
    g_assert_cmpuint(next - cuts, <, 7);
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
    g_test_add_func("/imagestore/sftp-links/patience", test_patience);
    g_test_add_func("/imagestore/sftp-links/refused", test_refused);
    g_test_add_func("/imagestore/sftp-links/job", test_job);
    g_test_add_func("/imagestore/sftp-links/status", test_status);
    g_test_add_func("/imagestore/sftp-links/fatal", test_fatal);
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
