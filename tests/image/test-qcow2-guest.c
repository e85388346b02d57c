/*
 * test-qcow2-guest.c: the disk in a qcow2 file, against QEMU, and in files that were tampered with
 *
 * Needs qemu-img; is skipped without.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <glib/gstdio.h>

#include "image/inspect.h"
#include "image/qcow2-guest.h"
#include "util/error.h"

#define SIZE ((gsize)9 * 1024 * 1024 + 512)
#define TAMPERED 64 /* times that a file is tampered with and read through */

typedef struct {
    const char *path;
    const char *options; /* of qemu-img convert, separated by spaces */
} Case;

static const Case cases[] = {
    {"plain", ""},
    {"version-2", "-o compat=0.10"},
    {"small-clusters", "-o cluster_size=512"},
    {"large-clusters", "-o cluster_size=2M"},
    {"subclusters", "-o extended_l2=on"},
    {"allocated", "-S 0"},
    {"metadata", "-o preallocation=metadata"},
    {"deflate", "-c"},
    {"zstd", "-c -o compression_type=zstd"},
    {"deflate-small", "-c -o cluster_size=512"},
    {"zstd-large", "-c -o compression_type=zstd,cluster_size=2M"},
    {"deflate-subclusters", "-c -o extended_l2=on"},
};

static char *directory;
static char *source;
static guint8 *disk;

static void
make_source(void)
{
    disk = g_malloc0(SIZE);
    for (gsize i = 0; i < 700000; i++)
        disk[i] = disk[3000000 + i] = (guint8)g_random_int();
    memset(disk + 5000000, 'a', 900000);
    for (gsize i = SIZE - 3000; i < SIZE; i++)
        disk[i] = (guint8)g_random_int();
    directory = g_dir_make_tmp("vimg-guest-XXXXXX", NULL);
    source = g_build_filename(directory, "source", NULL);
    g_assert_true(g_file_set_contents(source, (const char *)disk, SIZE, NULL));
}

static gsize
convert(const char *options, char **file)
{
    g_autofree char *path = g_build_filename(directory, "image", NULL);
    g_autofree char *line =
        g_strdup_printf("qemu-img convert -q -f raw -O qcow2 %s %s %s", options, source, path);
    gsize size;
    int status;

    g_assert_true(g_spawn_command_line_sync(line, NULL, NULL, &status, NULL));
    g_assert_true(g_spawn_check_wait_status(status, NULL));
    g_assert_true(g_file_get_contents(path, file, &size, NULL));
    g_unlink(path);
    return size;
}

static gboolean
look(const VimgQcow2Guest *guest, const guint8 *file, guint64 offset, VimgQcow2Found *found,
     GError **error)
{
    guint64 first = vimg_qcow2_guest_first(guest, offset), at;

    g_assert_cmpuint(first + VIMG_QCOW2_FIRST, <=, guest->stored);
    if (!vimg_qcow2_guest_second(guest, file + first, offset, &at, found, error))
        return FALSE;
    if (at == 0)
        return TRUE;
    g_assert_cmpuint(at + vimg_qcow2_guest_entry(guest), <=, guest->stored);
    return vimg_qcow2_guest_look(guest, file + at, offset, found, error);
}

/* All of the disk goes to @out.  FALSE: it cannot be read, for a reason that says so. */
static gboolean
read_disk(const VimgQcow2Guest *guest, const guint8 *file, guint8 *out, GError **error)
{
    g_autofree guint8 *cluster = g_malloc(VIMG_QCOW2_CLUSTER_MAX);
    VimgQcow2Found found;

    for (guint64 at = 0; at < guest->size; at += found.length) {
        if (!look(guest, file, at, &found, error))
            return FALSE;
        g_assert_cmpuint(found.length, >, 0);
        g_assert_cmpuint(found.length, <=, guest->size - at);
        memset(out + at, 0, found.length);
        if (found.kind == VIMG_QCOW2_IS_DATA) {
            g_assert_cmpuint(found.source + found.length, <=, guest->stored);
            memcpy(out + at, file + found.source, found.length);
        } else if (found.kind == VIMG_QCOW2_IS_PACKED) {
            g_assert_cmpuint(found.source + found.packed, <=, guest->stored);
            g_assert_cmpuint(found.packed, <=, VIMG_QCOW2_PACKED_MAX);
            if (!vimg_qcow2_guest_unpack(guest, file + found.source, found.packed, cluster, error))
                return FALSE;
            memcpy(out + at, cluster + found.skip, found.length);
        }
    }
    return TRUE;
}

static void
test_read(gconstpointer data)
{
    const Case *c = data;
    g_autofree guint8 *out = g_malloc(SIZE);
    g_autofree char *file = NULL;
    g_autoptr(GError) error = NULL;
    gsize size = convert(c->options, &file);
    VimgQcow2Guest guest;

    vimg_qcow2_guest_read(&guest, (guint8 *)file, MIN(size, VIMG_INSPECT_HEAD), size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(guest.size, ==, SIZE);
    read_disk(&guest, (guint8 *)file, out, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(out, SIZE, disk, SIZE);
}

/* Where the entry of the first table, or of the second, for any cluster is. */
static guint64
any_entry(const VimgQcow2Guest *guest, const guint8 *file)
{
    guint64 offset = (guint64)g_random_int_range(0, (gint)guest->size), at;
    guint64 first = vimg_qcow2_guest_first(guest, offset);
    VimgQcow2Found found;

    g_assert_true(vimg_qcow2_guest_second(guest, file + first, offset, &at, &found, NULL));
    return at == 0 || g_random_int_range(0, 8) == 0 ? first : at;
}

/* Returns: FALSE: it was refused; else all that was read is within it. */
static gboolean
read_bad(const guint8 *file, guint64 stored, guint8 *out)
{
    g_autoptr(GError) error = NULL;
    VimgQcow2Guest guest;
    gboolean ok =
        vimg_qcow2_guest_read(&guest, file, MIN(stored, VIMG_INSPECT_HEAD), stored, &error) &&
        (guest.size != SIZE || read_disk(&guest, file, out, &error));

    g_assert_true(ok == !error && (ok || error->domain == VIMG_ERROR));
    return ok;
}

/* Entries, and bytes anywhere, are changed: most of these tables lead out of the file. */
static void
read_changed(const VimgQcow2Guest *guest, const guint8 *file, gsize size, guint8 *out)
{
    guint refused = 0;

    for (guint i = 0; i < TAMPERED; i++) {
        g_autofree guint8 *bad = g_memdup2(file, size);

        for (guint n = 0; n < 4 + i; n++)
            bad[(gsize)g_random_int_range(32, (gint)MIN(size, 400000))] = (guint8)g_random_int();
        for (guint n = 0; n < 1 + i / 8; n++)
            bad[any_entry(guest, file) + (gsize)g_random_int_range(1, 7)] ^=
                (guint8)g_random_int_range(1, 256);
        refused += !read_bad(bad, size, out);
    }
    g_assert_cmpuint(refused, >, TAMPERED / 4);
}

/* Of either table, an entry names what is 2^32 bytes away. */
static void
read_beyond(const VimgQcow2Guest *guest, const guint8 *file, gsize size, guint8 *out)
{
    guint64 entries[2] = {vimg_qcow2_guest_first(guest, 0)};
    VimgQcow2Found found;

    g_assert_true(vimg_qcow2_guest_second(guest, file + entries[0], 0, &entries[1], &found, NULL));
    g_assert_cmpuint(entries[1], >, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(entries); i++) {
        g_autofree guint8 *bad = g_memdup2(file, size);

        bad[entries[i] + 3] ^= 1;
        g_assert_false(read_bad(bad, size, out));
    }
}

static void
test_tampered(gconstpointer data)
{
    const Case *c = data;
    g_autofree guint8 *out = g_malloc(SIZE);
    g_autofree char *file = NULL;
    gsize size = convert(c->options, &file);
    const guint8 *bytes = (guint8 *)file;
    VimgQcow2Guest guest;
    guint refused = 0;

    g_assert_true(vimg_qcow2_guest_read(&guest, bytes, MIN(size, VIMG_INSPECT_HEAD), size, NULL));
    read_changed(&guest, bytes, size, out);
    read_beyond(&guest, bytes, size, out);
    for (guint i = 0; i < 16; i++) /* the end is missing */
        refused += !read_bad(bytes, size * i / 16, out);
    g_assert_cmpuint(refused, >, 0);
}

static void
test_refused(void)
{
    static const struct {
        const char *options;
        guint offset; /* of a byte that is set */
        guint8 byte;
        VimgErrorCode code;
    } rows[] = {
        {"", 0, 'R', VIMG_ERROR_PROBE},
        {"", 7, 9, VIMG_ERROR_CONFIG_UNSUPPORTED},       /* version */
        {"", 15, 1, VIMG_ERROR_CONFIG_UNSUPPORTED},      /* backing file */
        {"", 35, 1, VIMG_ERROR_OPERATION_UNSUPPORTED},   /* encrypted */
        {"", 72, 1, VIMG_ERROR_CONFIG_UNSUPPORTED},      /* a feature of tomorrow */
        {"", 40, 1, VIMG_ERROR_PROBE},                   /* the first table is beyond the end */
        {"", 79, 4, VIMG_ERROR_CONFIG_UNSUPPORTED},      /* its data is in another file */
        {"", 104, 1, VIMG_ERROR_PROBE},                  /* zstd, without the feature */
        {"-o extended_l2=on", 23, 12, VIMG_ERROR_PROBE}, /* clusters too small for that */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *file = NULL;
        g_autoptr(GError) error = NULL;
        gsize size = convert(rows[i].options, &file);
        VimgQcow2Guest guest;

        file[rows[i].offset] = (char)rows[i].byte;
        g_assert_false(
            vimg_qcow2_guest_read(&guest, (guint8 *)file, VIMG_INSPECT_HEAD, size, &error));
        g_assert_error(error, VIMG_ERROR, (gint)rows[i].code);
    }
}

int
main(int argc, char **argv)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    int result;

    g_test_init(&argc, &argv, NULL);
    if (!program) {
        g_print("1..0 # SKIP qemu-img is missing\n");
        return 0;
    }
    make_source();
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *read = g_strconcat("/qcow2-guest/read/", cases[i].path, NULL);
        g_autofree char *tampered = g_strconcat("/qcow2-guest/tampered/", cases[i].path, NULL);

        g_test_add_data_func(read, &cases[i], test_read);
        g_test_add_data_func(tampered, &cases[i], test_tampered);
    }
    g_test_add_func("/qcow2-guest/refused", test_refused);
    result = g_test_run();
    g_unlink(source);
    g_rmdir(directory);
    g_free(source);
    g_free(directory);
    g_free(disk);
    return result;
}
