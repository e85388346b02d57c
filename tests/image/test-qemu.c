/*
 * test-qemu.c: images as QEMU makes them, whole and cut off
 *
 * Needs qemu-img; is skipped without.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "image/inspect.h"

#define SIZE (6 * 1024 * 1024)
#define PIECE 65521 /* divides nothing */

typedef struct {
    const char *path;
    const char *format;
    const char *options; /* of qemu-img convert, separated by spaces */
} Case;

static const Case cases[] = {
    {"qcow2/plain", "qcow2", NULL},
    {"qcow2/old", "qcow2", "-o compat=0.10"},
    {"qcow2/small-clusters", "qcow2", "-o cluster_size=512"},
    {"qcow2/large-clusters", "qcow2", "-o cluster_size=2M"},
    {"qcow2/subclusters", "qcow2", "-o extended_l2=on"},
    {"qcow2/refcounts-64", "qcow2", "-o refcount_bits=64"},
    {"qcow2/metadata", "qcow2", "-o preallocation=metadata"},
    {"qcow2/falloc", "qcow2", "-o preallocation=falloc"},
    {"qcow2/full", "qcow2", "-o preallocation=full"},
    {"qcow2/compressed", "qcow2", "-c"},
    {"qcow2/compressed-zstd", "qcow2", "-c -o compression_type=zstd"},
    {"qcow2/compressed-small", "qcow2", "-c -o cluster_size=512"},
    {"vmdk/plain", "vmdk", NULL},
    {"vmdk/zeroed-grains", "vmdk", "-o zeroed_grain=on"},
    {"vmdk/old", "vmdk", "-o compat6=on"},
    {"vmdk/scsi", "vmdk", "-o adapter_type=lsilogic,hwversion=10"},
    {"vmdk/stream", "vmdk", "-o subformat=streamOptimized"},
    {"vdi/plain", "vdi", NULL},
    {"vdi/static", "vdi", "-o static=on"},
    {"vpc/plain", "vpc", "-o force_size=on"},
    {"vpc/fixed", "vpc", "-o subformat=fixed,force_size=on"},
    {"vhdx/plain", "vhdx", NULL},
    {"vhdx/fixed", "vhdx", "-o subformat=fixed"},
    {"vhdx/blocks", "vhdx", "-o block_size=1M"},
    {"raw/plain", "raw", NULL},
};

static char *directory;
static char *source; /* data at its start, in its middle and in its last sectors */

static gboolean
have_qemu_img(void)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");

    return program != NULL;
}

static void
make_source(void)
{
    g_autofree char *data = g_malloc0(SIZE);
    gsize i;

    for (i = 0; i < 100000; i++)
        data[i] = data[3000000 + i] = (char)g_random_int();
    for (i = SIZE - 70000; i < SIZE; i++)
        data[i] = (char)g_random_int();
    directory = g_dir_make_tmp("vimg-image-XXXXXX", NULL);
    source = g_build_filename(directory, "source", NULL);
    g_assert_true(g_file_set_contents(source, data, SIZE, NULL));
}

/* Returns: (transfer full) the content of @source in another format. */
static GBytes *
convert(const Case *c)
{
    g_autofree char *path = g_build_filename(directory, "image", NULL);
    g_autofree char *command = g_strdup_printf("qemu-img convert -f raw -O %s %s %s %s", c->format,
                                               c->options ? c->options : "", source, path);
    g_autoptr(GError) error = NULL;
    int status = -1;
    char *data = NULL;
    gsize size = 0;

    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, &error));
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(path, &data, &size, &error));
    g_assert_no_error(error);
    g_unlink(path);
    return g_bytes_new_take(data, size);
}

static gboolean
inspect(GBytes *image, gsize size, const char *declared, VimgInspection *found, GError **error)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    const guint8 *data = g_bytes_get_data(image, NULL);
    gsize at;

    for (at = 0; at < size; at += PIECE)
        vimg_inspector_feed(inspector, data + at, MIN(PIECE, size - at));
    return vimg_inspector_finish(inspector, declared, found, error);
}

static void
test_case(gconstpointer data)
{
    const Case *c = data;
    const char *declared[] = {NULL, c->format};
    g_autoptr(GBytes) image = NULL;
    g_autoptr(GError) error = NULL;
    VimgInspection found;
    gsize i;

    if (!have_qemu_img()) {
        g_test_skip("no qemu-img");
        return;
    }
    image = convert(c);
    for (i = 0; i < G_N_ELEMENTS(declared); i++) {
        g_assert_true(inspect(image, g_bytes_get_size(image), declared[i], &found, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(found.format, ==, c->format);
        g_assert_cmpuint(found.capacity, ==, SIZE);
    }
    if (g_str_equal(c->format, "raw"))
        return;
    /* nothing, a part of it, or all but the last of the data */
    for (i = 0; i <= 15; i++) {
        gsize size = g_bytes_get_size(image) / 16 * i;

        g_test_message("%zu of %zu bytes", size, g_bytes_get_size(image));
        g_assert_false(inspect(image, size, c->format, &found, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
        g_clear_error(&error);
    }
}

int
main(int argc, char **argv)
{
    gsize i;
    int failed;

    g_test_init(&argc, &argv, NULL);
    make_source();
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/qemu/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    failed = g_test_run();
    g_unlink(source);
    g_rmdir(directory);
    g_free(source);
    g_free(directory);
    return failed;
}
