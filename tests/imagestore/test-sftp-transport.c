/*
 * test-sftp-transport.c: file operations over SFTP, and what becomes of them on lost connections
 *
 * Each operation runs again and again with its connection cut at the next request, before the
 * server got it or after it executed it.  What is answered is what it would have been without, and
 * so is what lies there then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cut-stream.h"
#include "sftp-helper.h"
#include "sftp/transport-sftp.h"
#include "store-helper.h"
#include "thread.h"
#include "throw.h"

#define GREETING 2 /* requests: INIT and LIMITS */

static VimgBuffer *large; /* of many requests */

/* ---- a server ------------------------------------------------------------------------------ */

typedef struct {
    const char *dir;
    const char *const *args;
    Cut *cut;                           /* of the first connection; NULL: none */
    void (*meanwhile)(const char *dir); /* after it was lost */
    int code;                           /* of the failure to connect */
    guint failures;                     /* that many times */
    guint connections;                  /* made; atomic */
    guint lost, back;                   /* told; atomic */
} Server;

static VimgSftpStream *
connect_server(gpointer data, GError **error)
{
    Server *server = data;
    guint number = __atomic_add_fetch(&server->connections, 1, __ATOMIC_RELAXED);

    if (server->failures > 0) {
        server->failures--;
        throw_error(error, (VimgErrorCode)server->code, "no way %s", "there");
        return NULL;
    }
    if (number == 1 && server->cut)
        return cut_stream_new(helper_sftp_server(server->args, NULL), server->cut);
    if (number == 2 && server->meanwhile)
        server->meanwhile(server->dir);
    return vimg_sftp_stream_new_fd(helper_sftp_server(server->args, NULL));
}

static void
note_status(gboolean connected, const char *reason, gpointer data)
{
    Server *server = data;

    g_assert_true(connected == !reason);
    __atomic_add_fetch(connected ? &server->back : &server->lost, 1, __ATOMIC_RELEASE);
}

static VimgTransport *
transport_new(Server *server, guint connections, guint patience)
{
    const VimgSftpTransportConfig config = {
        .root = server->dir,
        .connect = connect_server,
        .status = note_status,
        .data = server,
        .connections = connections,
        .patience = patience,
    };

    return vimg_transport_sftp_new(&config);
}

/* ---- each operation, cut everywhere -------------------------------------------------------- */

/* What is there before and after, by names of files: "d/" is a directory, "f" a small file. */
typedef struct {
    const char *name;
    VimgOp op;
    const char *before[6];
    const char *after[6];
    int result;
} Case;

static const Case cases[] = {
    {"mkdir", {VIMG_OP_MKDIR, "d"}, {NULL}, {"d/"}, 0},
    {"mkdir-there", {VIMG_OP_MKDIR, "d"}, {"d/", "d/f"}, {"d/", "d/f"}, EEXIST},
    {"mkdir-file", {VIMG_OP_MKDIR, "f"}, {"f"}, {"f"}, EEXIST},
    {"mkdir-nowhere", {VIMG_OP_MKDIR, "d/e"}, {NULL}, {NULL}, ENOENT},
    {"rmdir", {VIMG_OP_RMDIR, "d"}, {"d/"}, {NULL}, 0},
    {"rmdir-full", {VIMG_OP_RMDIR, "d"}, {"d/", "d/f"}, {"d/", "d/f"}, ENOTEMPTY},
    {"create", {VIMG_OP_CREATE, "f", .durable = TRUE}, {NULL}, {"f"}, 0},
    {"create-sealed", {VIMG_OP_CREATE, "f", .sealed = TRUE}, {NULL}, {"f"}, 0},
    {"create-there", {VIMG_OP_CREATE, "f"}, {"f"}, {"f"}, EEXIST},
    {"create-nowhere", {VIMG_OP_CREATE, "d/f"}, {NULL}, {NULL}, ENOENT},
    {"create-large", {VIMG_OP_CREATE, "L", .durable = TRUE}, {NULL}, {"L"}, 0},
    {"create-empty", {VIMG_OP_CREATE, "0", .durable = TRUE}, {NULL}, {"0"}, 0},
    {"overwrite", {VIMG_OP_OVERWRITE, "f"}, {"f"}, {"f"}, 0},
    {"overwrite-nothing", {VIMG_OP_OVERWRITE, "f"}, {NULL}, {NULL}, ENOENT},
    {"overwrite-link", {VIMG_OP_OVERWRITE, "l"}, {"f", "l"}, {"f", "l"}, ELOOP},
    {"read", {VIMG_OP_READ, "f", .size = 100}, {"f"}, {"f"}, 0},
    {"read-large", {VIMG_OP_READ, "L", .size = 64 * 1024 * 1024}, {"L"}, {"L"}, 0},
    {"read-empty", {VIMG_OP_READ, "0"}, {"0"}, {"0"}, 0},
    {"read-too-large", {VIMG_OP_READ, "f", .size = 1}, {"f"}, {"f"}, EFBIG},
    {"read-nothing", {VIMG_OP_READ, "f", .size = 100}, {NULL}, {NULL}, ENOENT},
    {"read-directory", {VIMG_OP_READ, "d", .size = 9999}, {"d/"}, {"d/"}, EINVAL},
    {"read-link", {VIMG_OP_READ, "l", .size = 100}, {"f", "l"}, {"f", "l"}, ELOOP},
    {"read-fifo", {VIMG_OP_READ, "p", .size = 100}, {"p"}, {"p"}, EINVAL},
    {"rename", {VIMG_OP_RENAME, "f", "d/g"}, {"f", "d/"}, {"d/", "d/g"}, 0},
    {"rename-nothing", {VIMG_OP_RENAME, "f", "g"}, {NULL}, {NULL}, ENOENT},
    {"rename-nowhere", {VIMG_OP_RENAME, "f", "d/f"}, {"f"}, {"f"}, ENOENT},
    {"rename-directory", {VIMG_OP_RENAME, "d", "e"}, {"d/", "d/f"}, {"e/", "e/f"}, 0},
    {"rename-full",
     {VIMG_OP_RENAME, "d", "e"},
     {"d/", "d/f", "e/", "e/f"},
     {"d/", "d/f", "e/", "e/f"},
     EEXIST},
    {"publish", {VIMG_OP_PUBLISH, "f", "d/g"}, {"f", "d/"}, {"d/", "d/g"}, 0},
    {"publish-there", {VIMG_OP_PUBLISH, "f", "L"}, {"f", "L"}, {"f", "L"}, EEXIST},
    {"publish-nothing", {VIMG_OP_PUBLISH, "f", "g"}, {NULL}, {NULL}, ENOENT},
    {"publish-nowhere", {VIMG_OP_PUBLISH, "f", "d/g"}, {"f"}, {"f"}, ENOENT},
    {"unlink", {VIMG_OP_UNLINK, "f"}, {"f"}, {NULL}, 0},
    {"unlink-directory", {VIMG_OP_UNLINK, "d"}, {"d/"}, {"d/"}, EISDIR},
    {"stat", {VIMG_OP_STAT, "f"}, {"f"}, {"f"}, 0},
    {"stat-nothing", {VIMG_OP_STAT, "f"}, {NULL}, {NULL}, ENOENT},
    {"list", {VIMG_OP_LIST, "d"}, {"d/", "d/f", "d/g", "d/L"}, {"d/", "d/f", "d/g", "d/L"}, 0},
    {"list-nothing", {VIMG_OP_LIST, "d"}, {NULL}, {NULL}, ENOENT},
    {"sync", {VIMG_OP_SYNC, "f"}, {"f"}, {"f"}, 0},
    {"sync-directory", {VIMG_OP_SYNC, "."}, {"f"}, {"f"}, 0},
    {"sync-nothing", {VIMG_OP_SYNC, "f"}, {NULL}, {NULL}, ENOENT},
};

/* What a file holds, by its name. */
static const VimgBuffer *
content_of(const char *name)
{
    static const struct {
        const char *name;
        gsize size;
    } sizes[] = {{"L", 3 * 1024 * 1024 + 5}, {"0", 0}};
    static VimgBuffer parts[3];
    const char *last = strrchr(name, '/');
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (strcmp(last ? last + 1 : name, sizes[i].name) == 0)
            break;
    }
    parts[i].data = large->data;
    parts[i].size = i < G_N_ELEMENTS(sizes) ? sizes[i].size : 7;
    return &parts[i];
}

static void
make(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    const VimgBuffer *content = content_of(name);
    g_autoptr(GError) error = NULL;

    if (g_str_has_suffix(name, "/"))
        g_assert_cmpint(mkdir(path, 0755), ==, 0);
    else if (strcmp(name, "l") == 0)
        g_assert_cmpint(symlink("f", path), ==, 0);
    else if (strcmp(name, "p") == 0)
        g_assert_cmpint(mkfifo(path, 0644), ==, 0);
    else
        g_assert_true(
            g_file_set_contents(path, (const char *)content->data, (gssize)content->size, &error));
    g_assert_no_error(error);
}

static void
count_entries(const char *dir, guint *count)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    g_assert_nonnull(entries);
    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct stat st;

        (*count)++;
        g_assert_cmpint(lstat(path, &st), ==, 0);
        if (S_ISDIR(st.st_mode))
            count_entries(path, count);
    }
}

static void
assert_holds(const char *dir, const char *const *names)
{
    guint found = 0;
    guint n;

    for (n = 0; names[n]; n++) {
        g_autofree char *path = g_build_filename(dir, names[n], NULL);
        g_autofree char *text = NULL;
        const VimgBuffer *content = content_of(names[n]);
        struct stat st;
        gsize size;

        g_assert_cmpint(lstat(path, &st), ==, 0);
        if (!S_ISREG(st.st_mode))
            continue;
        g_assert_true(g_file_get_contents(path, &text, &size, NULL));
        g_assert_cmpmem(text, size, content->data, content->size);
    }
    count_entries(dir, &found);
    g_assert_cmpuint(found, ==, n);
}

static void
assert_answer(const Case *c, const VimgOp *op)
{
    const VimgBuffer *content = content_of(op->path);

    g_assert_cmpint(op->result, ==, c->result);
    g_assert_true((op->content != NULL) == (op->kind == VIMG_OP_READ && op->result == 0));
    g_assert_true((op->names != NULL) == (op->kind == VIMG_OP_LIST && op->result == 0));
    if (op->content)
        g_assert_cmpmem(op->content->data, op->content->size, content->data, content->size);
    if (op->names)
        g_assert_cmpuint(op->names->len, ==, 3);
    if (op->kind == VIMG_OP_STAT && op->result == 0)
        g_assert_cmpuint(op->info.size, ==, content->size);
}

/* Returns: whether the connection was cut. */
static gboolean
run_case(const Case *c, Cut *cut, const char *const *args)
{
    g_autofree char *dir = helper_dir();
    Server server = {.dir = dir, .args = args, .cut = cut};
    VimgTransport *transport = transport_new(&server, 1, 1000);
    VimgOp op = c->op;
    gsize i;

    for (i = 0; c->before[i]; i++)
        make(dir, c->before[i]);
    if (op.kind == VIMG_OP_CREATE || op.kind == VIMG_OP_OVERWRITE) {
        op.data = content_of(op.path)->data;
        op.size = content_of(op.path)->size;
    }
    vimg_transport_run(transport, &op, 1);
    vimg_transport_free(transport);
    assert_answer(c, &op);
    assert_holds(dir, c->after);
    if (op.sealed) {
        g_autofree char *path = g_build_filename(dir, op.path, NULL);
        struct stat st;

        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0444);
    }
    g_clear_pointer(&op.content, vimg_buffer_unref);
    g_clear_pointer(&op.names, g_ptr_array_unref);
    helper_remove_dir(dir);
    return cut->cut;
}

static const char *const no_extensions[] = {"-P", "posix-rename,fsync,statvfs,hardlink,limits",
                                            NULL};

static void
cut_everywhere(const Case *c, const char *const *args, guint greeting)
{
    CutKind kind;

    run_case(c, &(Cut){CUT_NEVER}, args);
    for (kind = CUT_REQUEST; kind <= CUT_REPLY; kind++) {
        guint at = greeting;

        while (run_case(c, &(Cut){kind, ++at}, args))
            ;
        g_assert_cmpuint(at, >, greeting + 1);
    }
}

static void
test_case(gconstpointer data)
{
    cut_everywhere(data, NULL, GREETING);
    cut_everywhere(data, no_extensions, GREETING - 1);
}

/* A server may give less than it was asked for. */
static void
test_short_reads(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint32 most = cases[i].op.size > 100 ? 10000 : 1;

        if (cases[i].op.kind == VIMG_OP_READ)
            run_case(&cases[i], &(Cut){.most = most}, NULL);
    }
}

/* ---- what others do meanwhile -------------------------------------------------------------- */

static void
fence(const char *dir)
{
    g_autofree char *lease = g_build_filename(dir, "d", NULL);
    g_autofree char *fenced = g_build_filename(dir, "e", NULL);

    g_assert_cmpint(rename(lease, fenced), ==, 0);
}

static void
make_other(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "g", NULL);

    g_assert_true(g_file_set_contents(path, "others'", 7, NULL));
}

/* As if the server was killed between the two steps of publishing. */
static void
make_link(const char *dir)
{
    g_autofree char *from = g_build_filename(dir, "f", NULL);
    g_autofree char *to = g_build_filename(dir, "g", NULL);

    g_assert_cmpint(link(from, to), ==, 0);
}

static void
make_claim(const char *dir)
{
    g_autofree char *claimed = g_build_filename(dir, "g", NULL);

    g_assert_cmpint(mkdir(claimed, 0755), ==, 0);
    make(claimed, "f");
}

typedef struct {
    const char *name;
    VimgOp op;
    const char *before[4];
    void (*meanwhile)(const char *dir);
    CutKind kind;
    int result;
    const char *gone; /* a name that is there no more */
} Meanwhile;

static const Meanwhile meanwhiles[] = {
    {"fenced", {VIMG_OP_RENAME, "d/f", "g"}, {"d/", "d/f"}, fence, CUT_REQUEST, ENOENT, "g"},
    {"fenced-after", {VIMG_OP_RENAME, "d/f", "g"}, {"d/", "d/f"}, fence, CUT_REPLY, ENOENT, "d"},
    {"fenced-create", {VIMG_OP_CREATE, "d/f"}, {"d/"}, fence, CUT_REQUEST, ENOENT, "d"},
    {"linked", {VIMG_OP_PUBLISH, "f", "g"}, {"f"}, make_link, CUT_REQUEST, 0, "f"},
    {"others-publish", {VIMG_OP_PUBLISH, "f", "g"}, {"f"}, make_other, CUT_REQUEST, EEXIST, NULL},
    {"others-create", {VIMG_OP_CREATE, "g"}, {NULL}, make_other, CUT_REQUEST, EEXIST, NULL},
    {"others-claim", {VIMG_OP_MKDIR, "g"}, {NULL}, make_claim, CUT_REQUEST, EEXIST, NULL},
};

static void
test_meanwhile(gconstpointer data)
{
    const Meanwhile *c = data;
    g_autofree char *dir = helper_dir();
    Cut cut = {c->kind, GREETING + 1};
    Server server = {.dir = dir, .cut = &cut, .meanwhile = c->meanwhile};
    VimgTransport *transport = transport_new(&server, 1, 1000);
    VimgOp op = c->op;
    struct stat st;
    gsize i;

    for (i = 0; c->before[i]; i++)
        make(dir, c->before[i]);
    op.data = op.kind == VIMG_OP_CREATE ? "ours" : NULL;
    op.size = op.data ? 4 : 0;
    vimg_transport_run(transport, &op, 1);
    vimg_transport_free(transport);
    g_assert_cmpint(op.result, ==, c->result);
    g_assert_true(cut.cut);
    if (c->gone) {
        g_autofree char *path = g_build_filename(dir, c->gone, NULL);

        g_assert_cmpint(lstat(path, &st), <, 0);
    }
    if (c->meanwhile == make_other) {
        g_autofree char *path = g_build_filename(dir, "g", NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "others'");
    }
    helper_remove_dir(dir);
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* Whoever comes after patience ended does not have as much of it again. */
static void
test_patience(void)
{
    Server server = {.dir = "/", .code = (int)VIMG_ERROR_DISCONNECTED, .failures = G_MAXUINT};
    VimgTransport *transport = transport_new(&server, 1, 1);
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
    Server server = {.dir = "/", .code = (int)VIMG_ERROR_AUTH, .failures = G_MAXUINT};
    VimgTransport *transport = transport_new(&server, 1, 1000);
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
    Server server = {.dir = dir, .code = (int)VIMG_ERROR_AUTH, .failures = G_MAXUINT};
    VimgTransport *transport = transport_new(&server, 1, 1);
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
    transport = transport_new(&server, 1, 1);
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
    Cut cut = {CUT_REPLY, GREETING + 1};
    Server server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = transport_new(&server, 1, 1000);
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
    *next = (Cut){CUT_REQUEST, GREETING + 1};
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

/* ---- servers ------------------------------------------------------------------------------- */

static void
test_read_only(void)
{
    static const char *const args[] = {"-R", NULL};
    g_autofree char *dir = helper_dir();
    Server server = {.dir = dir, .args = args};
    VimgTransport *transport = transport_new(&server, 1, 1000);

    make(dir, "f");
    g_assert_cmpint(vimg_transport_create(transport, "g", "x", 1, FALSE), ==, EACCES);
    g_assert_cmpint(vimg_transport_overwrite(transport, "f", "x", 1), ==, EACCES);
    g_assert_cmpint(vimg_transport_mkdir(transport, "d"), ==, EACCES);
    g_assert_cmpint(vimg_transport_rename(transport, "f", "g"), ==, EACCES);
    g_assert_cmpint(vimg_transport_publish(transport, "f", "g"), ==, EACCES);
    g_assert_cmpint(vimg_transport_unlink(transport, "f"), ==, EACCES);
    g_assert_cmpint(vimg_transport_sync(transport, "f"), ==, 0);
    vimg_transport_free(transport);
    assert_holds(dir, (const char *const[]){"f", NULL});
    helper_remove_dir(dir);
}

static void
test_space(void)
{
    g_autofree char *dir = helper_dir();
    g_autofree char *link = g_strconcat(dir, "/l", NULL);
    g_autofree char *real = realpath(dir, NULL);
    Server server = {.dir = link};
    VimgTransport *transport = transport_new(&server, 1, 1000);
    g_autofree char *resolved = NULL;
    VimgSpace space;
    int result;

    g_assert_cmpint(symlink(".", link), ==, 0);
    g_assert_cmpint(vimg_transport_space(transport, &space), ==, 0);
    g_assert_cmpuint(space.total, >, 0);
    resolved = vimg_transport_resolve(transport, &result);
    g_assert_cmpint(result, ==, 0);
    g_assert_cmpstr(resolved, ==, real);
    g_assert_cmpint(vimg_transport_sync_all(transport), ==, ENOSYS);
    vimg_transport_free(transport);
    server.args = no_extensions;
    transport = transport_new(&server, 1, 1000);
    g_assert_cmpint(vimg_transport_space(transport, &space), ==, 0);
    g_assert_cmpuint(space.total, ==, 0);
    g_assert_cmpuint(space.available, ==, G_MAXINT64);
    vimg_transport_free(transport);
    helper_remove_dir(dir);
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
    Server server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = transport_new(&server, 4, 1000);
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
    assert_holds(dir, (const char *const[]){NULL});
    helper_remove_dir(dir);
}

int
main(int argc, char **argv)
{
    int status;
    gsize i;

    g_test_init(&argc, &argv, NULL);
    large = helper_content(1, 4 * MIB, 0);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/imagestore/sftp/cut/", cases[i].name, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    for (i = 0; i < G_N_ELEMENTS(meanwhiles); i++) {
        g_autofree char *path =
            g_strconcat("/imagestore/sftp/meanwhile/", meanwhiles[i].name, NULL);

        g_test_add_data_func(path, &meanwhiles[i], test_meanwhile);
    }
    g_test_add_func("/imagestore/sftp/short-reads", test_short_reads);
    g_test_add_func("/imagestore/sftp/patience", test_patience);
    g_test_add_func("/imagestore/sftp/refused", test_refused);
    g_test_add_func("/imagestore/sftp/job", test_job);
    g_test_add_func("/imagestore/sftp/status", test_status);
    g_test_add_func("/imagestore/sftp/fatal", test_fatal);
    g_test_add_func("/imagestore/sftp/read-only", test_read_only);
    g_test_add_func("/imagestore/sftp/space", test_space);
    g_test_add_data_func("/imagestore/sftp/many", GINT_TO_POINTER(FALSE), test_many);
    g_test_add_data_func("/imagestore/sftp/many-cut", GINT_TO_POINTER(TRUE), test_many);
    status = g_test_run();
    vimg_buffer_unref(large);
    return status;
}
