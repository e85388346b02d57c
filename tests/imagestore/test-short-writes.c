/*
 * test-short-writes.c: files that the system writes a part of and no more
 *
 * A limit of the size of files cuts a write short and fails the next one, like a full disk.  Each
 * test runs in a process of its own, whose limit it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "store-helper.h"

static void
set_limit(rlim_t size)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = MIN(size, limit.rlim_max);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* TRUE in the process of the test's own; elsewhere starts it. */
static gboolean
in_subprocess(void)
{
    if (g_test_subprocess()) {
        signal(SIGXFSZ, SIG_IGN);
        return TRUE;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    return FALSE;
}

static guint
count_names(VimgTransport *transport, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(transport, dir, &names), ==, 0);
    return names->len;
}

static void
test_create(void)
{
    static const gsize sizes[] = {1001, 2000, 64 * 1024, 1024 * 1024};
    g_autofree char *dir = NULL;
    g_autofree guint8 *data = g_malloc0(1024 * 1024);
    g_autoptr(VimgTransport) transport = NULL;
    gsize i;

    if (!in_subprocess())
        return;
    dir = helper_dir();
    transport = vimg_transport_local_new(dir);
    set_limit(1000);
    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_assert_cmpint(vimg_transport_create(transport, "file", data, sizes[i], TRUE), ==, EFBIG);
        g_assert_cmpuint(count_names(transport, "."), ==, 0);
    }
    g_assert_cmpint(vimg_transport_create(transport, "file", data, 1000, FALSE), ==, 0);
    g_assert_cmpint(vimg_transport_overwrite(transport, "file", data, 1001), ==, EFBIG);
    g_assert_cmpuint(count_names(transport, "."), ==, 1);
    helper_remove_dir(dir);
}

/* An upload that fails under @limit leaves a saving image, and goes on without it. */
static void
fail_upload(VimgSliceStore *store, const char *name, const VimgBuffer *content, rlim_t limit)
{
    g_autofree char *uuid = helper_create(store, name, content->size);
    g_autofree char *index = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    set_limit(limit);
    g_assert_false(helper_upload(store, uuid, content, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    set_limit(RLIM_INFINITY);
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpint(vimg_transport_stat(store->transport, index, &info), ==, ENOENT);
    g_assert_cmpuint(count_names(store->transport, "pending"), ==, 0);
    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, uuid, content);
}

static void
test_upload(void)
{
    g_autofree char *dir = NULL;
    g_autoptr(VimgSliceStore) store = NULL;
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgBuffer) more = NULL;
    gsize i;

    if (!in_subprocess())
        return;
    dir = helper_dir();
    store = helper_store(vimg_transport_local_new(dir));
    /* half of it compresses, but for one slice in the middle */
    content = helper_content(1, 60 * 64 * KIB, 0);
    for (i = 30 * 64 * KIB; i < 31 * 64 * KIB; i++)
        content->data[i] = (guint8)g_test_rand_int();
    fail_upload(store, "slice", content, 50000);
    /* all slices are known, and the index is cut */
    fail_upload(store, "index", content, 2000);
    /* the same where its last slice is another one, which is small */
    more = helper_content(1, 60 * 64 * KIB, 0);
    memcpy(more->data, content->data, 59 * 64 * KIB);
    memset(more->data + 59 * 64 * KIB, 'x', 64 * KIB);
    fail_upload(store, "again", more, 2000);
    g_clear_pointer(&store, vimg_slice_store_free);
    helper_remove_dir(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imagestore/short-writes/create", test_create);
    g_test_add_func("/imagestore/short-writes/upload", test_upload);
    return g_test_run();
}
