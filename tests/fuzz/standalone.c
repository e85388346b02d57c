/*
 * standalone.c: replays inputs through a fuzz target without libFuzzer
 *
 * Arguments are files, and directories whose files are taken, in order of their names.  Fails if
 * there was nothing to replay.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <glib.h>

#include "fuzz.h"

static guint
replay_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree uint8_t *data = NULL;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, &error))
        g_error("%s", error->message);
    /* exactly as large as the input, so that a sanitizer sees the first byte read behind it */
    data = g_memdup2(text, size);
    fprintf(stderr, "%s: %zu bytes\n", path, size);
    LLVMFuzzerTestOneInput(data, size);
    return 1;
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static guint
replay(const char *path)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = NULL;
    const char *name;
    guint n = 0;
    guint i;

    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return replay_file(path);
    if (!(dir = g_dir_open(path, 0, NULL)))
        g_error("cannot read %s", path);
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_build_filename(path, name, NULL));
    g_ptr_array_sort(names, by_name);
    for (i = 0; i < names->len; i++)
        n += replay(g_ptr_array_index(names, i));
    return n;
}

int
main(int argc, char **argv)
{
    guint n = 0;
    int i;

    LLVMFuzzerInitialize(&argc, &argv);
    for (i = 1; i < argc; i++)
        n += replay(argv[i]);
    fprintf(stderr, "%u inputs replayed\n", n);
    return n > 0 ? 0 : 1;
}
