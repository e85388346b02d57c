/*
 * test-source.c: files as runs of data and of zeros
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/checksum.h"
#include "cli/source.h"
#include "util/error.h"

#define KIB 1024
#define MIB (1024 * KIB)

typedef struct {
    gsize offset, size;
    guint8 byte; /* zeros are written, too */
} Extent;

typedef struct {
    const char *path;
    Extent extents[4];
    gsize size;
    const char *runs; /* KiB; holes in brackets */
} RunCase;

static const RunCase runs[] = {
    {"/source/empty", {{0}}, 0, ""},
    {"/source/hole", {{0}}, 5 * MIB, "[5120]"},
    {"/source/data", {{0, 2 * MIB, 1}}, 2 * MIB, "1024 1024"},
    {"/source/zeros", {{0, 3 * MIB, 0}}, 3 * MIB, "[1024] [1024] [1024]"},
    {"/source/zeros-inside",
     {{0, MIB, 1}, {MIB, MIB, 0}, {2 * MIB, MIB / 2, 1}},
     2 * MIB + MIB / 2,
     "1024 [1024] 512"},
    {"/source/few-zeros", {{0, 4 * KIB, 0}, {4 * KIB, MIB, 1}}, MIB, "1024"},
    {"/source/behind-a-hole", {{MIB + 64 * KIB, MIB, 1}}, 4 * MIB, "[1088] 960 64 [1984]"},
    {"/source/unaligned",
     {{64 * KIB, 192 * KIB, 1}, {256 * KIB, 256 * KIB, 0}, {512 * KIB, 512 * KIB, 1}},
     MIB,
     "[64] 192 [256] 512"},
    {"/source/half-a-block", {{0, 300 * KIB, 1}}, 300 * KIB, "300"},
    {"/source/one-byte-of-it", {{0, 512 * KIB, 0}, {300 * KIB, 1, 1}}, 512 * KIB, "[256] 256"},
};

static char *
make(const RunCase *c)
{
    char *path = g_strdup("/var/tmp/vimg-source-XXXXXX");
    int fd = g_mkstemp(path);

    g_assert_cmpint(ftruncate(fd, (off_t)c->size), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(c->extents); i++) {
        g_autofree guint8 *bytes = g_malloc(c->extents[i].size + 1);

        memset(bytes, c->extents[i].byte, c->extents[i].size);
        g_assert_cmpint(pwrite(fd, bytes, c->extents[i].size, (off_t)c->extents[i].offset), ==,
                        c->extents[i].size);
    }
    g_assert_cmpint(ftruncate(fd, (off_t)c->size), ==, 0);
    close(fd);
    return path;
}

static void
test_runs(gconstpointer data)
{
    const RunCase *c = data;
    g_autofree char *path = make(c);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSource) source = vimg_source_open(path, &error);
    g_autoptr(GString) seen = g_string_new(NULL);
    guint64 at = 0;

    g_assert_no_error(error);
    while (at < source->size) {
        gboolean hole;
        guint64 size = vimg_source_next(source, at, MIB, &hole, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(size, >, 0);
        g_string_append_printf(seen, hole ? "[%u] " : "%u ", (guint)(size / KIB));
        at += size;
    }
    g_assert_cmpuint(at, ==, c->size);
    g_strchomp(seen->str);
    g_assert_cmpstr(seen->str, ==, c->runs);
    g_unlink(path);
}

static void
test_change(void)
{
    g_autofree char *path = make(&runs[2]);
    g_autoptr(VimgSource) source = vimg_source_open(path, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_source_check(source, NULL));
    g_assert_cmpint(truncate(path, 5), ==, 0);
    g_assert_false(vimg_source_check(source, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_unlink(path);
}

static void
identify(const char *path, guint64 *identity)
{
    g_autoptr(VimgSource) source = vimg_source_open(path, NULL);

    g_assert_true(vimg_source_identify(source, identity));
    source->first.st_mode = S_IFBLK | 0600; /* nothing tells when what is on a disk was changed */
    g_assert_false(vimg_source_identify(source, identity));
}

static void
test_identity(void)
{
    g_autofree char *path = make(&runs[2]);
    g_autofree char *other = make(&runs[2]);
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    guint64 first[VIMG_SOURCE_IDENTITY], second[VIMG_SOURCE_IDENTITY];

    g_assert_cmpint(utimensat(AT_FDCWD, path, old, 0), ==, 0);
    g_assert_cmpint(utimensat(AT_FDCWD, other, old, 0), ==, 0);
    identify(path, first);
    identify(path, second);
    g_assert_cmpmem(first, sizeof(first), second, sizeof(second));
    identify(other, second);
    g_assert_cmpint(memcmp(first, second, sizeof(first)), !=, 0);
    g_assert_cmpint(rename(other, path), ==, 0);
    identify(path, second);
    g_assert_cmpint(memcmp(first, second, sizeof(first)), !=, 0);
    g_unlink(path);
}

static void
test_what_is_no_file(void)
{
    static const char *const paths[] = {"/dev/null", "/dev", "-", "/nowhere/at/all"};
    static const gint codes[] = {VIMG_ERROR_INVALID_ARG, VIMG_ERROR_INVALID_ARG,
                                 VIMG_ERROR_INVALID_ARG, VIMG_ERROR_SYSTEM};

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vimg_source_open(paths[i], &error));
        g_assert_error(error, VIMG_ERROR, codes[i]);
    }
}

/* ---- checksums -------------------------------------------------------------------------- */

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static gboolean
always(gpointer data)
{
    return TRUE;
}

static void
test_checksum(void)
{
    static const char *const bad[] = {"",
                                      EMPTY,
                                      "md5:0",
                                      "sha256:",
                                      "sha256",
                                      "sha256:"
                                      "0",
                                      "sha512:" EMPTY,
                                      "sha256:" EMPTY "0"};
    VimgChecksum checksum = {0};
    g_autoptr(GError) error = NULL;
    int fd = g_open("/dev/null", O_RDONLY, 0);

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(vimg_checksum_parse(bad[i], &checksum));
    g_assert_true(vimg_checksum_parse("sha256:" EMPTY, &checksum));
    g_assert_true(vimg_checksum_verify(&checksum, fd, always, NULL, &error));
    checksum.hex[0] = '0';
    g_assert_false(vimg_checksum_verify(&checksum, fd, always, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    vimg_checksum_clear(&checksum);
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(runs); i++)
        g_test_add_data_func(runs[i].path, &runs[i], test_runs);
    g_test_add_func("/source/change", test_change);
    g_test_add_func("/source/identity", test_identity);
    g_test_add_func("/source/no-file", test_what_is_no_file);
    g_test_add_func("/checksum", test_checksum);
    return g_test_run();
}
