/*
 * store-helper.c: stores and images for the tests of the slice store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <ftw.h>
#include <stdio.h>

#include "cut-stream.h"
#include "gc-lock.h"
#include "sftp-helper.h"
#include "sftp/transport-sftp.h"
#include "slice.h"
#include "slicer.h"
#include "spare.h"
#include "store-helper.h"
#include "survey.h"

/*
 * The first error makes a lock of GLib that ThreadSanitizer cannot see: not in two threads at once.
 * The daemon does the same as it starts.
 */
__attribute__((constructor)) static void
make_first_error(void)
{
    g_error_free(g_error_new_literal(VIMG_ERROR, (gint)VIMG_ERROR_FAILED, ""));
}

char *
helper_dir(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("imagestore-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void
helper_remove_dir(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void
helper_copy_dir(const char *from, const char *to)
{
    g_autofree char *content = g_strconcat(from, "/.", NULL);
    const char *const argv[] = {"cp", "-a", "--", content, to, NULL};
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
}

static void
set_up(HelperHome *home, gconstpointer data)
{
    home->dir = helper_dir();
}

static void
tear_down(HelperHome *home, gconstpointer data)
{
    helper_remove_dir(home->dir);
    g_free(home->dir);
}

void
helper_add(const char *path, void (*test)(HelperHome *, gconstpointer), gconstpointer data)
{
    g_test_add(path, HelperHome, data, set_up, test, tear_down);
}

/* ---- transports -------------------------------------------------------------------------- */

static VimgSftpStream *
connect_server(gpointer data, GError **error)
{
    return vimg_sftp_stream_new_fd(helper_sftp_server(data, NULL));
}

VimgTransport *
helper_transport(const char *dir)
{
    const char *kind = g_getenv("VIMG_TEST_TRANSPORT");
    VimgSftpTransportConfig config = {.root = dir, .connect = connect_server, .connections = 4};

    if (!kind)
        return vimg_transport_local_new(dir);
    if (strcmp(kind, "sftp-plain") == 0)
        config.data = (gpointer)cut_no_extensions;
    else
        g_assert_cmpstr(kind, ==, "sftp");
    return vimg_transport_sftp_new(&config);
}

/* ---- stores ------------------------------------------------------------------------------ */

VimgSliceStore *
helper_store(VimgTransport *transport)
{
    g_autoptr(GError) error = NULL;

    vimg_slice_store_make(transport, &(VimgStoreParams){.slice_size = 64 * KIB}, &error);
    g_assert_no_error(error);
    return helper_reopen(transport);
}

VimgSliceStore *
helper_local_store(const HelperHome *home)
{
    return helper_store(helper_transport(home->dir));
}

VimgSliceStore *
helper_reopen(VimgTransport *transport)
{
    g_autoptr(GError) error = NULL;
    VimgSliceStore *store = vimg_slice_store_new(transport, &error);

    g_assert_no_error(error);
    return store;
}

guint
helper_stride(void)
{
    const char *text = g_getenv("VIMG_TEST_STRIDE");
    guint64 value = 1;

    if (text)
        g_assert_true(g_ascii_string_to_unsigned(text, 10, 1, 100, &value, NULL));
    return (guint)value;
}

/* ---- the daemon's side ------------------------------------------------------------------ */

guint helper_cancel_after;
gint64 helper_cancel_at;
guint helper_whole;

static gboolean
job_cancelled(VimgPluginJob *job)
{
    if (helper_cancel_at > 0 && g_get_monotonic_time() >= helper_cancel_at)
        return TRUE;
    return __atomic_load_n(&helper_cancel_after, __ATOMIC_RELAXED) > 0 &&
           __atomic_sub_fetch(&helper_cancel_after, 1, __ATOMIC_RELAXED) == 0;
}

static void
job_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    g_assert_true(total == 0 || done <= total);
    if (done > 0 && done == total)
        __atomic_add_fetch(&helper_whole, 1, __ATOMIC_RELAXED);
}

static void
ignore_log(VimgLogLevel level, const char *message)
{
}

static guint
no_timer(guint seconds, void (*func)(gpointer data), gpointer data)
{
    return 0;
}

void
helper_serve(void)
{
    static const VimgServices services = {
        .abi = VIMG_PLUGIN_ABI,
        .size = sizeof(services),
        .log = ignore_log,
        .job_progress = job_progress,
        .job_cancelled = job_cancelled,
        .timer_add = no_timer,
    };

    vimg_services = &services;
}

static guint questions; /* until the job is cancelled */

static gboolean
count_question(VimgPluginJob *job)
{
    questions -= questions > 0;
    return questions == 0;
}

void
helper_cancel(gboolean (*run)(VimgPluginJob *job, gpointer data, GError **error), gpointer data)
{
    static const VimgServices services = {
        .abi = VIMG_PLUGIN_ABI,
        .size = sizeof(services),
        .log = ignore_log,
        .job_progress = job_progress,
        .job_cancelled = count_question,
    };
    gboolean done = FALSE;
    guint at;

    vimg_services = &services;
    for (at = 1; !done; at++) {
        g_autoptr(GError) error = NULL;

        questions = at;
        done = run((VimgPluginJob *)&questions, data, &error);
        if (!done)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
        else
            g_assert_cmpuint(questions, >, 0);
    }
    g_assert_cmpuint(at, >, 3);
    vimg_services = NULL;
}

/* ---- what a store holds ------------------------------------------------------------------ */

void
helper_fence_all(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) names = NULL;
    guint i;

    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &names), ==, 0);
    for (i = 0; i < names->len; i++) {
        g_autofree char *from = g_strconcat("pending/", g_ptr_array_index(names, i), NULL);
        g_autofree char *to = g_strconcat("gc/fenced-", g_ptr_array_index(names, i), NULL);

        g_assert_cmpint(vimg_transport_rename(store->transport, from, to), ==, 0);
    }
}

void
helper_let_time_pass(VimgSliceStore *store)
{
    gint64 now = g_get_monotonic_time();
    guint i;

    for (i = 0; i < 40; i++) {
        GPtrArray *alive = vimg_survey_leases(store, now, NULL);

        g_clear_pointer(&alive, g_ptr_array_unref);
        now += 30 * G_USEC_PER_SEC;
        vimg_gc_survey(store, now);
    }
}

VimgBuffer *
helper_content(guint32 seed, gsize size, guint zero_every)
{
    VimgBuffer *content = vimg_buffer_new(size);
    guint64 x = ((guint64)seed << 32) | 0x9e3779b9;
    gsize i;

    for (i = 0; i < size; i++) {
        /* half of it compresses */
        if (i % 16 == 0)
            x = x * G_GUINT64_CONSTANT(6364136223846793005) + 1442695040888963407;
        content->data[i] = i % 16 < 8 ? (guint8)(x >> (8 * (i % 8))) : 'v';
    }
    for (i = 0; zero_every && i < size; i += 64 * KIB) {
        if (i / (64 * KIB) % zero_every == zero_every - 1)
            memset(content->data + i, 0, MIN(64 * KIB, size - i));
    }
    return content;
}

static gboolean
try_create(VimgSliceStore *store, const char *name, const char *format, char **uuid, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    image.format = g_strdup(format);
    *uuid = g_strdup(image.uuid);
    return vimg_image_create(store, &image, &out, error);
}

gboolean
helper_try_create(VimgSliceStore *store, const char *name, char **uuid, GError **error)
{
    return try_create(store, name, "raw", uuid, error);
}

char *
helper_create_format(VimgSliceStore *store, const char *name, const char *format)
{
    g_autoptr(GError) error = NULL;
    char *uuid = NULL;

    try_create(store, name, format, &uuid, &error);
    g_assert_no_error(error);
    return uuid;
}

char *
helper_create(VimgSliceStore *store, const char *name, guint64 capacity)
{
    g_autoptr(GError) error = NULL;
    char *uuid = NULL;

    helper_try_create(store, name, &uuid, &error);
    g_assert_no_error(error);
    vimg_image_resize(store, uuid, capacity, &error);
    g_assert_no_error(error);
    return uuid;
}

gboolean
helper_feed(VimgSliceWriter *writer, const VimgBuffer *content, gsize offset, gsize piece,
            gboolean sparse, GError **error)
{
    while (offset < content->size) {
        gsize n = MIN(piece, content->size - offset);
        g_autoptr(VimgBuffer) buffer = NULL;

        if (sparse && vimg_is_zero(content->data + offset, n)) {
            if (!vimg_slice_writer_hole(writer, n, error))
                return FALSE;
        } else {
            buffer = vimg_buffer_new(n + 3);
            memcpy(buffer->data + 3, content->data + offset, n);
            if (!vimg_slice_writer_write(writer, buffer, 3, n, error))
                return FALSE;
        }
        offset += n;
    }
    return TRUE;
}

gboolean
helper_finish(VimgSliceWriter *writer, gboolean seal, guint64 capacity, GError **error)
{
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.capacity = capacity;
    return vimg_slice_writer_finish(writer, seal, &image, &out, error);
}

gboolean
helper_upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *content, GError **error)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, error);

    if (!writer)
        return FALSE;
    if (!helper_feed(writer, content, 0, 262120, FALSE, error)) {
        vimg_slice_writer_abort(writer);
        return FALSE;
    }
    return helper_finish(writer, TRUE, content->size, error);
}

VimgBuffer *
helper_download(VimgSliceStore *store, const char *uuid, guint64 offset, guint64 length,
                GError **error)
{
    VimgSliceReader *reader = vimg_slice_reader_open(store, uuid, offset, length, NULL, error);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    VimgBuffer *out;

    if (!reader)
        return NULL;
    for (;;) {
        VimgExtent extent;
        guint at = bytes->len;

        if (!vimg_slice_reader_next(reader, &extent, error)) {
            vimg_slice_reader_close(reader);
            return NULL;
        }
        if (extent.length == 0)
            break;
        g_byte_array_set_size(bytes, at + (guint)extent.length);
        if (extent.data)
            memcpy(bytes->data + at, extent.data->data + extent.offset, extent.length);
        else
            memset(bytes->data + at, 0, extent.length);
        vimg_buffer_unref(extent.data);
    }
    vimg_slice_reader_close(reader);
    out = vimg_buffer_new(bytes->len);
    if (bytes->len > 0)
        memcpy(out->data, bytes->data, bytes->len);
    return out;
}

void
helper_assert_content(VimgSliceStore *store, const char *uuid, const VimgBuffer *content)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) found = helper_download(store, uuid, 0, 0, &error);

    g_assert_no_error(error);
    g_assert_cmpmem(found->data, found->size, content->data, content->size);
}

VimgBuffer *
helper_index(VimgSliceStore *store, const char *uuid)
{
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    VimgBuffer *content = NULL;

    g_assert_cmpint(vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content), ==,
                    0);
    return content;
}

gboolean
helper_exists(VimgSliceStore *store, const char *path)
{
    VimgFileInfo info;

    return vimg_transport_stat(store->transport, path, &info) == 0;
}

guint
helper_count_gc(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, "gc", &names), ==, 0);
    return names->len - (guint)helper_exists(store, VIMG_SPARE_FILE);
}

guint
helper_count_slices(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) prefixes = NULL;
    guint count = 0;
    guint i;

    g_assert_cmpint(vimg_transport_list(store->transport, VIMG_SLICES_DIR, &prefixes), ==, 0);
    for (i = 0; i < prefixes->len; i++) {
        g_autofree char *dir =
            g_strconcat(VIMG_SLICES_DIR "/", g_ptr_array_index(prefixes, i), NULL);
        g_autoptr(GPtrArray) names = NULL;

        g_assert_cmpint(vimg_transport_list(store->transport, dir, &names), ==, 0);
        count += names->len;
    }
    return count;
}

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    g_assert_nonnull(image->name);
    (*(guint *)data)++;
    return TRUE;
}

guint
helper_count_images(VimgSliceStore *store)
{
    guint count = 0;

    g_assert_true(vimg_image_list(store, count_image, &count, NULL));
    return count;
}

VimgImageState
helper_state(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    vimg_image_stat(store, uuid, &image, &error);
    g_assert_no_error(error);
    return image.state;
}
