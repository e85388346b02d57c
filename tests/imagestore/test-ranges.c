/*
 * test-ranges.c: parts of files, and directories with what is known of each file
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory-transport.h"
#include "store-helper.h"

typedef struct {
    guint64 offset;
    gsize size;
    const char *content; /* "" at the end */
} Range;

static const Range ranges[] = {
    {0, 4, "0123"}, {0, 10, "0123456789"}, {0, 99, "0123456789"},
    {9, 4, "9"},    {10, 4, ""},           {99, 4, ""},
    {4, 0, ""},     {G_MAXINT64, 1, ""},
};

static void
check_ranges(VimgTransport *transport)
{
    VimgFileInfo info;
    gsize i;

    g_assert_cmpint(vimg_transport_create(transport, "file", "0123456789", 10, FALSE), ==, 0);
    g_assert_cmpint(vimg_transport_stat(transport, "file", &info), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(ranges); i++) {
        VimgOp op = {.kind = VIMG_OP_READ_AT,
                     .path = "file",
                     .offset = ranges[i].offset,
                     .size = ranges[i].size};

        vimg_transport_run(transport, &op, 1);
        g_assert_cmpint(op.result, ==, 0);
        g_assert_cmpuint(op.hole, ==, 0);
        g_assert_cmpmem(op.content->data, op.content->size, ranges[i].content,
                        strlen(ranges[i].content));
        g_assert_cmpint(op.info.type, ==, VIMG_FILE_REGULAR);
        g_assert_cmpuint(op.info.size, ==, 10);
        g_assert_cmpint(op.info.mtime, ==, info.mtime);
        g_assert_cmpuint(op.info.inode, ==, info.inode);
        vimg_buffer_unref(op.content);
    }
}

static int
read_at(VimgTransport *transport, const char *path, guint64 offset)
{
    VimgOp op = {.kind = VIMG_OP_READ_AT, .path = path, .offset = offset, .size = 1};

    vimg_transport_run(transport, &op, 1);
    if (op.result != 0)
        g_assert_null(op.content);
    vimg_buffer_unref(op.content);
    return op.result;
}

static void
check_infos(VimgTransport *transport)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GArray) infos = NULL;
    guint i;

    g_assert_cmpint(vimg_transport_mkdir(transport, "many"), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(transport, "many/dir"), ==, 0);
    g_assert_cmpint(vimg_transport_create(transport, "many/one", "1", 1, FALSE), ==, 0);
    g_assert_cmpint(vimg_transport_create(transport, "many/two", "22", 2, FALSE), ==, 0);
    g_assert_cmpint(vimg_transport_list_infos(transport, "many", &names, &infos), ==, 0);
    g_assert_cmpuint(names->len, ==, 3);
    g_assert_cmpuint(infos->len, ==, 3);
    for (i = 0; i < names->len; i++) {
        g_autofree char *path = g_strconcat("many/", names->pdata[i], NULL);
        const VimgFileInfo *found = &g_array_index(infos, VimgFileInfo, i);
        VimgFileInfo info;

        g_assert_cmpint(vimg_transport_stat(transport, path, &info), ==, 0);
        g_assert_cmpint(found->type, ==, info.type);
        g_assert_cmpuint(found->size, ==, info.size);
        g_assert_cmpint(found->mtime, ==, info.mtime);
    }
}

static void
check_failures(VimgTransport *transport)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GArray) infos = NULL;

    g_assert_cmpint(read_at(transport, "none", 0), ==, ENOENT);
    g_assert_cmpint(read_at(transport, "many", 0), ==, EINVAL);
    g_assert_cmpint(vimg_transport_list_infos(transport, "none", &names, &infos), ==, ENOENT);
    g_assert_null(names);
    g_assert_null(infos);
}

static void
check(VimgTransport *transport)
{
    check_ranges(transport);
    check_infos(transport);
    check_failures(transport);
}

/* On this host or behind a server. */
static void
test_files(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgTransport) transport = helper_transport(home->dir);
    g_autofree char *fifo = g_build_filename(home->dir, "fifo", NULL);
    g_autofree char *link = g_build_filename(home->dir, "link", NULL);

    check(transport);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("file", link), ==, 0);
    g_assert_cmpint(read_at(transport, "fifo", 0), ==, EINVAL);
    g_assert_cmpint(read_at(transport, "link", 0), ==, ELOOP);
}

static void
test_memory(HelperHome *home, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgTransport *transport = memory_transport_new(disk, TRUE);

    check(transport);
    vimg_transport_free(transport);
    memory_disk_free(disk);
}

/* More than a server gives at once, and than is asked for at once. */
static void
test_large(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgTransport) transport = helper_transport(home->dir);
    g_autoptr(VimgBuffer) content = helper_content(3, 9 * MIB + 1, 0);
    VimgOp ops[] = {
        {.kind = VIMG_OP_READ_AT, .path = "large", .offset = 0, .size = 2 * MIB},
        {.kind = VIMG_OP_READ_AT, .path = "large", .offset = 12345, .size = 9 * MIB},
        {.kind = VIMG_OP_READ_AT, .path = "large", .offset = 9 * MIB, .size = MIB},
    };
    gsize i;

    g_assert_cmpint(vimg_transport_create(transport, "large", content->data, content->size, FALSE),
                    ==, 0);
    vimg_transport_run(transport, ops, G_N_ELEMENTS(ops));
    for (i = 0; i < G_N_ELEMENTS(ops); i++) {
        g_assert_cmpint(ops[i].result, ==, 0);
        g_assert_cmpmem(ops[i].content->data, ops[i].content->size, content->data + ops[i].offset,
                        MIN(ops[i].size, content->size - ops[i].offset));
        g_assert_cmpuint(ops[i].info.size, ==, content->size);
        vimg_buffer_unref(ops[i].content);
    }
}

/* Holes are told, never read, and what is read ends where one begins. */
static void
test_holes(HelperHome *home, gconstpointer data)
{
    g_autoptr(VimgTransport) transport = vimg_transport_local_new(home->dir);
    g_autofree char *path = g_build_filename(home->dir, "sparse", NULL);
    VimgOp ops[] = {
        {.kind = VIMG_OP_READ_AT, .path = "sparse", .offset = MIB, .size = MIB},
        {.kind = VIMG_OP_READ_AT, .path = "sparse", .offset = 5 * MIB, .size = MIB},
        {.kind = VIMG_OP_READ_AT, .path = "sparse", .offset = 6 * MIB, .size = MIB},
    };
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(pwrite(fd, "data", 4, (off_t)(5 * MIB)), ==, 4);
    g_assert_cmpint(ftruncate(fd, (off_t)(64 * MIB)), ==, 0);
    close(fd);
    vimg_transport_run(transport, ops, G_N_ELEMENTS(ops));
    g_assert_cmpuint(ops[0].hole, ==, 4 * MIB);
    g_assert_cmpuint(ops[0].content->size, ==, 0);
    g_assert_cmpuint(ops[0].info.size, ==, 64 * MIB);
    g_assert_cmpuint(ops[1].hole, ==, 0);
    g_assert_cmpuint(ops[1].content->size, ==, 4096);
    g_assert_cmpuint(ops[2].hole, ==, 58 * MIB);
    g_assert_cmpint(read_at(transport, "sparse", G_MAXUINT64), ==, EINVAL);
    vimg_buffer_unref(ops[0].content);
    vimg_buffer_unref(ops[1].content);
    vimg_buffer_unref(ops[2].content);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/imagestore/ranges/files", test_files, NULL);
    helper_add("/imagestore/ranges/large", test_large, NULL);
    helper_add("/imagestore/ranges/memory", test_memory, NULL);
    helper_add("/imagestore/ranges/holes", test_holes, NULL);
    return g_test_run();
}
