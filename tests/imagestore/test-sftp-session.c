/*
 * test-sftp-session.c: SFTP sessions with OpenSSH's own server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "sftp-helper.h"
#include "store-helper.h"
#include "thread.h"

#define CREATE (VIMG_SFTP_FLAG_WRITE | VIMG_SFTP_FLAG_CREATE | VIMG_SFTP_FLAG_EXCLUSIVE)

/* ---- a stream that gives and takes little at a time ------------------------------------------ */

typedef struct {
    VimgSftpStream stream;
    VimgSftpStream *inner;
    GRand *chance;
    gconstpointer data; /* of a write to be repeated; NULL: none */
    gsize size;
} Shy;

static gboolean
is_shy(Shy *shy)
{
    return g_rand_int_range(shy->chance, 0, 4) == 0;
}

static gssize
shy_read(VimgSftpStream *stream, gpointer data, gsize size)
{
    Shy *shy = (Shy *)stream;
    gsize most = (gsize)g_rand_int_range(shy->chance, 1, 9000);

    return is_shy(shy) ? -EAGAIN : shy->inner->ops->read(shy->inner, data, MIN(size, most));
}

static gssize
shy_write(VimgSftpStream *stream, gconstpointer data, gsize size)
{
    Shy *shy = (Shy *)stream;
    gsize most = (gsize)g_rand_int_range(shy->chance, 1, 9000);
    gssize n = -EAGAIN;

    if (shy->data) {
        g_assert_true(shy->data == data);
        g_assert_cmpuint(shy->size, ==, size);
    }
    if (!is_shy(shy))
        n = shy->inner->ops->write(shy->inner, data, MIN(size, most));
    shy->data = n == -EAGAIN ? data : NULL;
    shy->size = size;
    return n;
}

static short
shy_events(VimgSftpStream *stream, gboolean writing)
{
    Shy *shy = (Shy *)stream;

    return shy->inner->ops->events(shy->inner, writing);
}

static int
shy_keep_alive(VimgSftpStream *stream)
{
    g_assert_null(((Shy *)stream)->data);
    /* what it kept back is had by asking again */
    return 1;
}

static void
shy_free(VimgSftpStream *stream)
{
    Shy *shy = (Shy *)stream;

    shy->inner->ops->free(shy->inner);
    g_rand_free(shy->chance);
    g_free(shy);
}

static const VimgSftpStreamOps shy_ops = {
    .read = shy_read,
    .write = shy_write,
    .events = shy_events,
    .keep_alive = shy_keep_alive,
    .free = shy_free,
};

static VimgSftpStream *
shy_new(int fd)
{
    Shy *shy = g_new0(Shy, 1);

    shy->inner = vimg_sftp_stream_new_fd(fd);
    shy->stream.ops = &shy_ops;
    shy->stream.fd = fd;
    shy->chance = g_rand_new_with_seed(1);
    return &shy->stream;
}

/* ---- sessions ------------------------------------------------------------------------------ */

typedef struct {
    gboolean shy;
    const char *args[4];
} Case;

typedef struct {
    VimgSftpSession *session;
    GPid pid;
} Fixture;

static void
begin(Fixture *fixture, const Case *c)
{
    g_autoptr(GError) error = NULL;
    int fd = helper_sftp_server(c->args, &fixture->pid);

    fixture->session =
        vimg_sftp_session_new(c->shy ? shy_new(fd) : vimg_sftp_stream_new_fd(fd), &error);
    g_assert_no_error(error);
}

static void
end(Fixture *fixture)
{
    g_assert_false(vimg_sftp_session_is_lost(fixture->session, NULL));
    g_assert_cmpuint(vimg_sftp_session_load(fixture->session), ==, 0);
    vimg_sftp_session_free(fixture->session);
    helper_sftp_reap(fixture->pid);
}

/* Sends @size bytes of a pattern or fetches and compares them, all requests at once. */
static void
transfer(VimgSftpSession *session, VimgSftpType type, GBytes *handle, guint8 *pattern, gsize size)
{
    const VimgSftpServer *server = vimg_sftp_session_server(session);
    gsize piece = type == VIMG_SFTP_READ ? server->read_max : server->write_max;
    gsize n = (size + piece - 1) / piece;
    g_autofree HelperCall *calls = g_new0(HelperCall, n);
    gsize i;

    for (i = 0; i < n; i++) {
        VimgSftpRequest *request = &calls[i].request;

        request->type = type;
        request->handle = g_bytes_get_data(handle, NULL);
        request->handle_size = (guint32)g_bytes_get_size(handle);
        request->offset = i * piece;
        request->data = pattern + i * piece;
        request->size = (guint32)MIN(piece, size - i * piece);
        helper_submit(session, &calls[i]);
    }
    for (i = 0; i < n; i++) {
        g_assert_cmpuint(helper_wait(&calls[i]), ==, VIMG_SFTP_OK);
        if (type == VIMG_SFTP_READ)
            g_assert_cmpmem(g_bytes_get_data(calls[i].data, NULL), g_bytes_get_size(calls[i].data),
                            pattern + i * piece, calls[i].request.size);
    }
    for (i = 0; i < n; i++) {
        g_assert_cmpuint(calls[i].times, ==, 1);
        helper_call_clear(&calls[i]);
    }
}

static void
test_data(HelperHome *home, gconstpointer data)
{
    const Case *c = data;
    gsize size = c->shy ? 300 * KIB + 1 : 20 * MIB + 1;
    g_autofree guint8 *pattern = g_malloc(size);
    g_autofree char *path = g_build_filename(home->dir, "file", NULL);
    g_autoptr(GBytes) writer = NULL;
    g_autoptr(GBytes) reader = NULL;
    Fixture fixture;
    gsize i;

    for (i = 0; i < size; i++)
        pattern[i] = (guint8)(i * 7 + i / 251);
    begin(&fixture, c);
    writer = helper_open(fixture.session, path, CREATE);
    transfer(fixture.session, VIMG_SFTP_WRITE, writer, pattern, size);
    g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_CLOSE, NULL, NULL, writer), ==, 0);
    reader = helper_open(fixture.session, path, VIMG_SFTP_FLAG_READ);
    transfer(fixture.session, VIMG_SFTP_READ, reader, pattern, size);
    {
        g_auto(HelperCall) past = {.request = {.type = VIMG_SFTP_READ, .offset = size, .size = 1}};

        past.request.handle = g_bytes_get_data(reader, NULL);
        past.request.handle_size = (guint32)g_bytes_get_size(reader);
        g_assert_cmpuint(helper_run(fixture.session, &past), ==, VIMG_SFTP_EOF);
    }
    end(&fixture);
}

static guint
count_names(VimgSftpSession *session, const char *dir)
{
    g_auto(HelperCall) open = {.request = {.type = VIMG_SFTP_OPENDIR, .path = dir}};
    guint32 status = VIMG_SFTP_OK;
    guint n = 0;

    g_assert_cmpuint(helper_run(session, &open), ==, VIMG_SFTP_OK);
    while (status == VIMG_SFTP_OK) {
        g_auto(HelperCall) read = {.request = {.type = VIMG_SFTP_READDIR}};

        read.request.handle = g_bytes_get_data(open.data, NULL);
        read.request.handle_size = (guint32)g_bytes_get_size(open.data);
        status = helper_run(session, &read);
        n += read.names ? read.names->len : 0;
    }
    g_assert_cmpuint(status, ==, VIMG_SFTP_EOF);
    g_assert_cmpuint(helper_simple(session, VIMG_SFTP_CLOSE, NULL, NULL, open.data), ==, 0);
    return n;
}

static void
test_names(HelperHome *home, gconstpointer data)
{
    g_autofree char *dir = g_build_filename(home->dir, "dir", NULL);
    g_autofree char *a = g_build_filename(dir, "a", NULL);
    g_autofree char *b = g_build_filename(dir, "b", NULL);
    g_autofree char *c = g_build_filename(dir, "c", NULL);
    g_autofree char *winding = g_strdup_printf("%s/../dir/./a", dir);
    g_autoptr(GBytes) handle = NULL;
    g_autoptr(GBytes) other = NULL;
    g_auto(HelperCall) stat = {.request = {.type = VIMG_SFTP_LSTAT, .path = b}};
    g_auto(HelperCall) real = {.request = {.type = VIMG_SFTP_REALPATH, .path = winding}};
    g_auto(HelperCall) space = {.request = {.type = VIMG_SFTP_STATVFS, .path = dir}};
    const struct {
        VimgSftpType type;
        const char *path;
        const char *to;
        guint32 status;
    } steps[] = {
        {VIMG_SFTP_HARDLINK, a, c, VIMG_SFTP_OK},
        {VIMG_SFTP_HARDLINK, a, c, VIMG_SFTP_FAILURE},
        {VIMG_SFTP_RENAME, a, b, VIMG_SFTP_FAILURE},
        {VIMG_SFTP_POSIX_RENAME, b, c, VIMG_SFTP_OK},
        {VIMG_SFTP_RENAME, b, c, VIMG_SFTP_NO_SUCH_FILE},
        {VIMG_SFTP_RENAME, a, b, VIMG_SFTP_OK},
        {VIMG_SFTP_REMOVE, b, NULL, VIMG_SFTP_OK},
        {VIMG_SFTP_RMDIR, dir, NULL, VIMG_SFTP_FAILURE},
        {VIMG_SFTP_MKDIR, dir, NULL, VIMG_SFTP_FAILURE},
        {VIMG_SFTP_REMOVE, c, NULL, VIMG_SFTP_OK},
        {VIMG_SFTP_REMOVE, c, NULL, VIMG_SFTP_NO_SUCH_FILE},
        {VIMG_SFTP_RMDIR, dir, NULL, VIMG_SFTP_OK},
        {VIMG_SFTP_STAT, dir, NULL, VIMG_SFTP_NO_SUCH_FILE},
    };
    Fixture fixture;
    gsize i;

    begin(&fixture, data);
    g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_MKDIR, dir, NULL, NULL), ==, 0);
    handle = helper_open(fixture.session, a, CREATE);
    other = helper_open(fixture.session, b, CREATE);
    g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_FSYNC, NULL, NULL, handle), ==, 0);
    g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_FSTAT, NULL, NULL, handle), ==, 0);
    g_assert_cmpuint(helper_run(fixture.session, &real), ==, VIMG_SFTP_OK);
    g_assert_cmpstr(g_ptr_array_index(real.names, 0), ==, a);
    g_assert_cmpuint(helper_run(fixture.session, &space), ==, VIMG_SFTP_OK);
    g_assert_cmpuint(space.space.total, >, space.space.available);
    g_assert_cmpuint(helper_run(fixture.session, &stat), ==, VIMG_SFTP_OK);
    g_assert_true(stat.attrs.has_mode && stat.attrs.has_size && stat.attrs.has_times);
    g_assert_cmpuint(stat.attrs.mode, ==, S_IFREG | 0640);
    g_assert_cmpuint(count_names(fixture.session, dir), ==, 2);
    for (i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_assert_cmpuint(
            helper_simple(fixture.session, steps[i].type, steps[i].path, steps[i].to, NULL), ==,
            steps[i].status);
    }
    end(&fixture);
}

static void
test_many_names(HelperHome *home, gconstpointer data)
{
    Fixture fixture;
    gsize i;

    begin(&fixture, data);
    for (i = 0; i < 250; i++) {
        g_autofree char *path = g_strdup_printf("%s/%03zu", home->dir, i);
        g_autoptr(GBytes) handle = helper_open(fixture.session, path, CREATE);

        g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_CLOSE, NULL, NULL, handle), ==,
                         0);
    }
    g_assert_cmpuint(count_names(fixture.session, home->dir), ==, 250);
    end(&fixture);
}

/* ---- what a server offers ------------------------------------------------------------------ */

static void
test_offers(HelperHome *home, gconstpointer data)
{
    const Case *c = data;
    gboolean all = c->args[0] == NULL;
    const VimgSftpServer *server;
    Fixture fixture;

    (void)home;
    begin(&fixture, c);
    server = vimg_sftp_session_server(fixture.session);
    g_assert_cmpint(server->fsync, ==, all);
    g_assert_cmpint(server->posix_rename, ==, all);
    g_assert_cmpint(server->limits, ==, all);
    g_assert_true(server->statvfs && server->hardlink);
    g_assert_cmpuint(server->write_max, ==, (all ? 255 : 32) * KIB);
    g_assert_cmpuint(server->read_max, ==, (all ? 255 : 32) * KIB);
    g_assert_cmpint(server->handles_max > 0, ==, all);
    end(&fixture);
}

static void
test_read_only(HelperHome *home, gconstpointer data)
{
    g_autofree char *path = g_build_filename(home->dir, "file", NULL);
    g_auto(HelperCall)
        open = {.request = {.type = VIMG_SFTP_OPEN, .path = path, .open_flags = CREATE}};
    Fixture fixture;

    begin(&fixture, data);
    g_assert_cmpuint(helper_run(fixture.session, &open), ==, VIMG_SFTP_PERMISSION_DENIED);
    g_assert_cmpuint(helper_simple(fixture.session, VIMG_SFTP_MKDIR, path, NULL, NULL), ==,
                     VIMG_SFTP_PERMISSION_DENIED);
    g_assert_cmpuint(count_names(fixture.session, home->dir), ==, 0);
    end(&fixture);
}

/* ---- many at once -------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_CALLS 3000

typedef struct {
    VimgSftpSession *session;
    HelperCall calls[N_CALLS];
} Crowd;

static void *
crowd_main(void *data)
{
    Crowd *crowd = data;
    gsize i;

    for (i = 0; i < N_CALLS; i++) {
        crowd->calls[i].request.type = VIMG_SFTP_LSTAT;
        crowd->calls[i].request.path = i % 2 ? "/nowhere" : "/";
        helper_submit(crowd->session, &crowd->calls[i]);
    }
    return NULL;
}

static void
check_crowd(Crowd *crowd, gboolean may_be_lost)
{
    gsize i;

    for (i = 0; i < N_CALLS; i++) {
        guint32 status = helper_wait(&crowd->calls[i]);

        g_assert_cmpuint(crowd->calls[i].times, ==, 1);
        if (status != HELPER_LOST || !may_be_lost)
            g_assert_cmpuint(status, ==, i % 2 ? VIMG_SFTP_NO_SUCH_FILE : VIMG_SFTP_OK);
    }
}

static void
run_crowds(const Case *c, gboolean break_off)
{
    g_autofree Crowd *crowds = g_new0(Crowd, N_THREADS);
    pthread_t threads[N_THREADS];
    Fixture fixture;
    gsize i;

    begin(&fixture, c);
    for (i = 0; i < N_THREADS; i++) {
        crowds[i].session = fixture.session;
        g_assert_cmpint(thread_start(&threads[i], crowd_main, &crowds[i]), ==, 0);
    }
    for (i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    if (break_off) {
        vimg_sftp_session_free(fixture.session);
        helper_sftp_reap(fixture.pid);
    }
    for (i = 0; i < N_THREADS; i++)
        check_crowd(&crowds[i], break_off);
    if (!break_off)
        end(&fixture);
}

static void
test_crowd(HelperHome *home, gconstpointer data)
{
    (void)home;
    run_crowds(data, FALSE);
}

static void
test_break_off(HelperHome *home, gconstpointer data)
{
    (void)home;
    run_crowds(data, TRUE);
}

/* What fits no packet is refused, and all else goes on. */
static void
test_too_long(HelperHome *home, gconstpointer data)
{
    g_autofree char *path = g_strnfill(VIMG_SFTP_PACKET_MAX, 'x');
    HelperCall calls[3] = {0};
    Fixture fixture;
    gsize i;

    (void)home;
    begin(&fixture, data);
    for (i = 0; i < 3; i++) {
        calls[i].request.type = VIMG_SFTP_LSTAT;
        calls[i].request.path = i == 1 ? path : "/";
        helper_submit(fixture.session, &calls[i]);
    }
    for (i = 0; i < 3; i++)
        g_assert_cmpuint(helper_wait(&calls[i]), ==, i == 1 ? VIMG_SFTP_BAD_MESSAGE : 0);
    end(&fixture);
}

static const Case plain = {FALSE, {NULL}};
static const Case shy = {TRUE, {NULL}};
static const Case degraded = {FALSE, {"-P", "fsync,posix-rename,limits", NULL}};
static const Case shy_degraded = {TRUE, {"-P", "fsync,posix-rename,limits", NULL}};
static const Case read_only = {FALSE, {"-R", NULL}};

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/sftp/data", test_data, &plain);
    helper_add("/sftp/data-shy", test_data, &shy);
    helper_add("/sftp/data-small", test_data, &degraded);
    helper_add("/sftp/data-small-shy", test_data, &shy_degraded);
    helper_add("/sftp/names", test_names, &plain);
    helper_add("/sftp/names-shy", test_names, &shy);
    helper_add("/sftp/many-names", test_many_names, &plain);
    helper_add("/sftp/offers-all", test_offers, &plain);
    helper_add("/sftp/offers-less", test_offers, &degraded);
    helper_add("/sftp/read-only", test_read_only, &read_only);
    helper_add("/sftp/crowd", test_crowd, &plain);
    helper_add("/sftp/crowd-shy", test_crowd, &shy);
    helper_add("/sftp/break-off", test_break_off, &plain);
    helper_add("/sftp/too-long", test_too_long, &plain);
    return g_test_run();
}
