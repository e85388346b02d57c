/*
 * test-qcow2-layout.c: the qcow2 that a raw image would be, against QEMU
 *
 * Needs qemu-img; what compares with it is skipped without.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "image/qcow2-layout.h"
#include "util/error.h"
#include "util/file.h"

#define MIB ((guint64)1048576)
#define TIB (MIB * 1048576)
#define PIECE 65521 /* divides nothing */

/* Bytes of noise at @offset. */
typedef struct {
    guint64 offset;
    gsize size;
} Run;

typedef struct {
    const char *path;
    guint64 capacity;
    Run runs[6];
} Case;

static const Case cases[] = {
    {"nothing", 5 * MIB, {{0}}},
    {"all", 3 * MIB, {{0, 3 * MIB}}},
    {"first-and-last", 70 * MIB, {{0, 512}, {70 * MIB - 512, 512}}},
    {"odd-end", 3 * MIB + 4608, {{3 * MIB - 100, 4708}}},
    {"no-whole-sector", MIB + 77, {{MIB, 77}}},
    {"across-clusters", 4 * MIB, {{65535, 2}, {MIB + 1, 200000}, {3 * MIB - 1, 1}}},
    {"across-tables", 1200 * MIB, {{512 * MIB - 70000, 140000}, {1100 * MIB, 1}}},
    {"a-table-left-out", 1700 * MIB, {{1, 1}, {1536 * MIB, 3 * 65536}}},
    {"bits-18", 3 * TIB, {{0, 100}, {TIB + 5, MIB}, {3 * TIB - 1, 1}}},
    {"bits-20", 12 * TIB, {{0, 100}, {6 * TIB - 50, 100}, {12 * TIB - 9 * MIB, 9 * MIB}}},
};

static char *directory;

static guint8 *
make_noise(const Run *run)
{
    guint8 *noise = g_malloc(run->size);
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)run->offset + 1);

    for (gsize i = 0; i < run->size; i++)
        noise[i] = (guint8)g_rand_int_range(rand, 1, 256);
    return noise;
}

static VimgQcow2Layout *
make_layout(const Case *c)
{
    VimgQcow2Layout *layout = vimg_qcow2_layout_new(c->capacity, NULL);

    g_assert_nonnull(layout);
    for (gsize i = 0; i < G_N_ELEMENTS(c->runs); i++) {
        g_autofree guint8 *noise = make_noise(&c->runs[i]);

        vimg_qcow2_layout_add(layout, c->runs[i].offset, noise, c->runs[i].size);
    }
    vimg_qcow2_layout_settle(layout);
    return layout;
}

static void
make_raw(const Case *c, const char *path)
{
    vimg_autofd int fd = g_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, (off_t)c->capacity), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(c->runs); i++) {
        g_autofree guint8 *noise = make_noise(&c->runs[i]);

        g_assert_cmpint(vimg_pwrite_all(fd, noise, c->runs[i].size, c->runs[i].offset), ==, 0);
    }
}

/* What a download would be, in pieces of odd sizes. */
static void
make_qcow2(const VimgQcow2Layout *layout, const char *raw, const char *path)
{
    vimg_autofd int in = g_open(raw, O_RDONLY | O_CLOEXEC, 0);
    vimg_autofd int out = g_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    guint64 size = vimg_qcow2_layout_size(layout);
    g_autofree guint8 *buffer = g_malloc(PIECE);

    for (guint64 at = 0; at < size;) {
        VimgQcow2Piece piece;
        gsize n;

        vimg_qcow2_layout_look(layout, at, &piece);
        g_assert_cmpuint(piece.length, >, 0);
        n = (gsize)MIN(MIN(piece.length, PIECE), size - at);
        memset(buffer, 0, n);
        if (piece.data)
            g_assert_cmpint(pread(in, buffer, n, (off_t)piece.source), >=, 0);
        else
            vimg_qcow2_layout_fill(layout, at, buffer, n);
        g_assert_cmpint(vimg_pwrite_all(out, buffer, n, at), ==, 0);
        at += n;
    }
}

static void
run_qemu_img(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int status = -1;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, &status,
                 &error);
    g_assert_no_error(error);
    if (status != 0)
        g_error("%s %s: %s", argv[0], argv[1], text);
}

static void
test_qemu(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(VimgQcow2Layout) layout = make_layout(c);
    g_autofree char *program = g_find_program_in_path("qemu-img");
    g_autofree char *raw = g_build_filename(directory, "raw", NULL);
    g_autofree char *made = g_build_filename(directory, "qcow2", NULL);

    if (!program) {
        g_test_skip("no qemu-img");
        return;
    }
    make_raw(c, raw);
    make_qcow2(layout, raw, made);
    run_qemu_img((const char *[]){program, "check", "-q", "-f", "qcow2", made, NULL});
    if (c->capacity < TIB) /* a map of holes would take it an hour */
        run_qemu_img((const char *[]){program, "compare", "-q", "-f", "raw", "-F", "qcow2", raw,
                                      made, NULL});
    g_unlink(raw);
    g_unlink(made);
}

/* What is known of a layout is in its map. */
static void
test_map(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(VimgQcow2Layout) layout = make_layout(c);
    g_autoptr(VimgQcow2Layout) other = NULL;
    g_autoptr(GError) error = NULL;
    const guint8 *map;
    gsize size;
    guint64 end = vimg_qcow2_layout_size(layout);

    map = vimg_qcow2_layout_map(layout, &size);
    g_assert_cmpuint(size, <=, VIMG_QCOW2_MAP_MAX);
    other = vimg_qcow2_layout_from_map(c->capacity, map, size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vimg_qcow2_layout_size(other), ==, end);
    for (guint64 at = 0; at < end;) {
        VimgQcow2Piece one, two;

        vimg_qcow2_layout_look(layout, at, &one);
        vimg_qcow2_layout_look(other, at, &two);
        g_assert_cmpint(one.data, ==, two.data);
        g_assert_cmpuint(one.length, ==, two.length);
        g_assert_cmpuint(one.source, ==, two.source);
        at += one.length;
    }
    g_assert_cmpuint(size, >, 0);
    g_assert_null(vimg_qcow2_layout_from_map(c->capacity, map, size - 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

/* A map with bits of clusters that the image does not have. */
static void
test_map_too_long(void)
{
    g_autoptr(GError) error = NULL;
    guint8 map[8] = {0};

    map[1] = 0x20; /* 13 clusters are bits 0 to 12 */
    g_assert_null(vimg_qcow2_layout_from_map(13 * 65536, map, sizeof(map), &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    map[1] = 0x10;
    g_clear_error(&error);
    vimg_qcow2_layout_free(vimg_qcow2_layout_from_map(13 * 65536, map, sizeof(map), &error));
    g_assert_no_error(error);
}

static void
test_too_large(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgQcow2Layout) layout = vimg_qcow2_layout_new(32 * TIB, &error);

    g_assert_no_error(error);
    g_assert_nonnull(layout);
    g_assert_null(vimg_qcow2_layout_new(32 * TIB + 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_UNSUPPORTED);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("vimg-layout-XXXXXX", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *qemu = g_strdup_printf("/qcow2-layout/qemu/%s", cases[i].path);
        g_autofree char *map = g_strdup_printf("/qcow2-layout/map/%s", cases[i].path);

        g_test_add_data_func(qemu, &cases[i], test_qemu);
        g_test_add_data_func(map, &cases[i], test_map);
    }
    g_test_add_func("/qcow2-layout/map-too-long", test_map_too_long);
    g_test_add_func("/qcow2-layout/too-large", test_too_large);
    status = g_test_run();
    g_rmdir(directory);
    g_free(directory);
    return status;
}
