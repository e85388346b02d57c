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

static VimgBuffer *large; /* of many requests */

/* ---- each operation, cut everywhere -------------------------------------------------------- */

/* What is there before and after, by names of files: "d/" is a directory, "f" a small file. */
typedef struct {
    const char *name;
    VimgOp op;
    const char *before[6];
    const char *after[6];
    int result;
} Case;

static const VimgFileInfo seen_f = {VIMG_FILE_REGULAR, 7};
static const VimgFileInfo seen_short = {VIMG_FILE_REGULAR, 3};
static const VimgFileInfo seen_long = {VIMG_FILE_REGULAR, 50};
static const VimgFileInfo seen_other = {VIMG_FILE_OTHER, 7};

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
    {"read-seen", {VIMG_OP_READ, "f", .size = 100, .seen = &seen_f}, {"f"}, {"f"}, 0},
    /* believed: a look would find that it is none */
    {"read-seen-link", {VIMG_OP_READ, "l", .size = 9, .seen = &seen_f}, {"f", "l"}, {"f", "l"}, 0},
    {"read-seen-grown", {VIMG_OP_READ, "f", .size = 100, .seen = &seen_short}, {"f"}, {"f"}, 0},
    {"read-seen-huge", {VIMG_OP_READ, "f", .size = 3, .seen = &seen_short}, {"f"}, {"f"}, EFBIG},
    {"read-seen-shrunk", {VIMG_OP_READ, "f", .size = 100, .seen = &seen_long}, {"f"}, {"f"}, 0},
    {"read-seen-long", {VIMG_OP_READ, "f", .size = 10, .seen = &seen_long}, {"f"}, {"f"}, 0},
    {"read-seen-gone", {VIMG_OP_READ, "f", .size = 100, .seen = &seen_f}, {NULL}, {NULL}, ENOENT},
    {"read-seen-fifo", {VIMG_OP_READ, "p", .size = 100, .seen = &seen_other}, {"p"}, {"p"}, EINVAL},
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
    {"publish-durable", {VIMG_OP_PUBLISH, "f", "d/g", "d"}, {"f", "d/"}, {"d/", "d/g"}, 0},
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
    {"sync-link", {VIMG_OP_SYNC, "l"}, {"f", "l"}, {"f", "l"}, ELOOP},
    {"sync-link-directory", {VIMG_OP_SYNC, "l"}, {"f/", "l"}, {"f/", "l"}, ELOOP},
    {"sync-fifo", {VIMG_OP_SYNC, "p"}, {"p"}, {"p"}, EINVAL},
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
    CutServer server = {.dir = dir, .args = args, .cut = cut};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
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
    g_assert_true(op.synced == (op.dir && !args) || cut->cut);
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
    cut_everywhere(data, NULL, CUT_GREETING);
    cut_everywhere(data, cut_no_extensions, CUT_GREETING - 1);
}

/* A server may give less than it was asked for.  That a file grew cannot be seen then. */
static void
test_short_reads(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint32 most = cases[i].op.size > 100 ? 10000 : 1;

        if (cases[i].op.kind == VIMG_OP_READ && cases[i].op.seen != &seen_short)
            run_case(&cases[i], &(Cut){.most = most}, NULL);
    }
}

/* ---- what others do meanwhile -------------------------------------------------------------- */

static void
move(const char *dir, const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(dir, from, NULL);
    g_autofree char *fresh = g_build_filename(dir, to, NULL);

    g_assert_cmpint(rename(old, fresh), ==, 0);
}

static void
fence(const char *dir)
{
    move(dir, "d", "e");
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
    Cut cut = {c->kind, CUT_GREETING + 1};
    CutServer server = {.dir = dir, .cut = &cut, .meanwhile = c->meanwhile};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
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

/* ---- what the server did late --------------------------------------------------------------- */

static void
rename_late(const char *dir)
{
    move(dir, "f", "g");
}

static void
create_late(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "f", NULL);

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
}

static void
mkdir_late(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "d", NULL);

    g_assert_cmpint(mkdir(path, 0755), ==, 0);
}

/* All of them succeed in the end. */
static const struct {
    const char *name;
    VimgOp op;
    const char *before[2];
    const char *after[2];
    void (*late)(const char *dir);
} lates[] = {
    {"rename", {VIMG_OP_RENAME, "f", "g"}, {"f"}, {"g"}, rename_late},
    {"publish", {VIMG_OP_PUBLISH, "f", "g"}, {"f"}, {"g"}, rename_late},
    {"publish-link", {VIMG_OP_PUBLISH, "f", "g"}, {"f"}, {"g"}, make_link},
    {"create", {VIMG_OP_CREATE, "f"}, {NULL}, {"f"}, create_late},
    {"mkdir", {VIMG_OP_MKDIR, "d"}, {NULL}, {"d/"}, mkdir_late},
};

static VimgSftpStream *
connect_late(gpointer data, GError **error)
{
    Cut *cut = data;

    return cut_stream_new(helper_sftp_server(NULL, NULL), cut->cut ? cut + 1 : cut);
}

/* What was sent on a lost connection is done after it was looked for, and before it is repeated. */
static void
test_late(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autofree char *dir = helper_dir();
    Cut cuts[] = {
        {CUT_REQUEST, CUT_GREETING + 1},
        {CUT_LATE, CUT_GREETING + 4, .late = lates[i].late, .dir = dir},
    };
    VimgTransport *transport = vimg_transport_sftp_new(&(VimgSftpTransportConfig){
        .root = dir, .connect = connect_late, .data = cuts, .connections = 1, .patience = 1000});
    VimgOp op = lates[i].op;

    if (lates[i].before[0])
        make(dir, lates[i].before[0]);
    op.data = op.kind == VIMG_OP_CREATE ? content_of("f")->data : NULL;
    op.size = op.data ? content_of("f")->size : 0;
    vimg_transport_run(transport, &op, 1);
    vimg_transport_free(transport);
    g_assert_cmpint(op.result, ==, 0);
    g_assert_true(cuts[1].cut);
    assert_holds(dir, lates[i].after);
    helper_remove_dir(dir);
}

static void
make_socket(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "d", NULL);

    g_assert_cmpint(rmdir(path), ==, 0);
    g_assert_cmpint(mknod(path, S_IFSOCK | 0600, 0), ==, 0);
}

/* A server that opens directories, but not this one, did not make it durable. */
static void
test_sync_not_opened(void)
{
    g_autofree char *dir = helper_dir();
    Cut cut = {CUT_LATE, CUT_GREETING + 2, .late = make_socket, .dir = dir};
    CutServer server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);

    make(dir, "d/");
    g_assert_cmpint(vimg_transport_sync(transport, "d"), ==, EIO);
    g_assert_true(cut.cut);
    vimg_transport_free(transport);
    helper_remove_dir(dir);
}

/* ---- servers ------------------------------------------------------------------------------- */

static void
test_read_only(void)
{
    static const char *const args[] = {"-R", NULL};
    g_autofree char *dir = helper_dir();
    CutServer server = {.dir = dir, .args = args};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);

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
    CutServer server = {.dir = link};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
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
    server.args = cut_no_extensions;
    transport = cut_transport_new(&server, 1, 1000);
    g_assert_cmpint(vimg_transport_space(transport, &space), ==, 0);
    g_assert_cmpuint(space.total, ==, 0);
    g_assert_cmpuint(space.available, ==, G_MAXINT64);
    vimg_transport_free(transport);
    helper_remove_dir(dir);
}

/* OPENDIR, two READDIR, CLOSE: a small directory is not asked once more for its names. */
static void
test_list_small(void)
{
    g_autofree char *dir = helper_dir();
    Cut cut = {CUT_REQUEST, CUT_GREETING + 5};
    CutServer server = {.dir = dir, .cut = &cut};
    VimgTransport *transport = cut_transport_new(&server, 1, 1000);
    g_autoptr(GPtrArray) names = NULL;

    make(dir, "f");
    g_assert_cmpint(vimg_transport_list(transport, ".", &names), ==, 0);
    g_assert_cmpuint(names->len, ==, 1);
    vimg_transport_free(transport);
    g_assert_false(cut.cut);
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
    for (i = 0; i < G_N_ELEMENTS(lates); i++) {
        g_autofree char *path = g_strconcat("/imagestore/sftp/late/", lates[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_late);
    }
    g_test_add_func("/imagestore/sftp/sync-not-opened", test_sync_not_opened);
    for (i = 0; i < G_N_ELEMENTS(meanwhiles); i++) {
        g_autofree char *path =
            g_strconcat("/imagestore/sftp/meanwhile/", meanwhiles[i].name, NULL);

        g_test_add_data_func(path, &meanwhiles[i], test_meanwhile);
    }
    g_test_add_func("/imagestore/sftp/short-reads", test_short_reads);
    g_test_add_func("/imagestore/sftp/list-small", test_list_small);
    g_test_add_func("/imagestore/sftp/read-only", test_read_only);
    g_test_add_func("/imagestore/sftp/space", test_space);
    status = g_test_run();
    vimg_buffer_unref(large);
    return status;
}
