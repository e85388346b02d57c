/*
 * test-diff.c: in what images differ, and where they are zeros, against their bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "diff.h"
#include "differences.h"
#include "json.h"
#include "lease.h"
#include "memory-fixture.h"
#include "reader.h"
#include "slice.h"

#define SLICE (64 * KIB)

/* The same as helper_content() with some slices of @seed instead, or zeros for 0. */
static VimgBuffer *
content_with(gsize size, const guint *slices, gsize n, guint32 seed)
{
    VimgBuffer *content = helper_content(1, size, 5);
    g_autoptr(VimgBuffer) other = helper_content(seed, size, 0);

    for (gsize i = 0; i < n; i++) {
        gsize at = slices[i] * SLICE;

        if (seed == 0)
            memset(other->data + at, 0, MIN(SLICE, size - at));
        memcpy(content->data + at, other->data + at, MIN(SLICE, size - at));
    }
    return content;
}

static char *
upload(MemoryFixture *fixture, const char *name, const char *format, const VimgBuffer *content)
{
    char *uuid = helper_create_format(fixture->store, name, format);
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, SLICE, FALSE, &error);
    g_assert_no_error(error);
    image.capacity = content->size;
    image.format = (char *)format;
    vimg_slice_writer_finish(writer, TRUE, &image, &out, &error);
    g_assert_no_error(error);
    return uuid;
}

static JsonObject *
diff(MemoryFixture *fixture, const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_diff(fixture->store, from, to, NULL, &error);
    JsonObject *root;

    g_assert_no_error(error);
    root = vimg_json_parse((const guint8 *)report, strlen(report), &error);
    g_assert_no_error(error);
    return root;
}

static gint64
number(JsonObject *object, const char *name)
{
    return json_object_get_int_member(object, name);
}

/*
 * Slices of unlike length are not the same, whatever is in them.
 * Returns: (transfer full) for each slice of @to: 's'ame, 'c'hanged, 'z'eroed or 'g'rown.
 */
static char *
expect(const VimgBuffer *from, const VimgBuffer *to)
{
    GString *kinds = g_string_new(NULL);

    for (gsize at = 0; at < to->size; at += SLICE) {
        gsize n = MIN(SLICE, to->size - at);
        gboolean zero = n == SLICE;

        for (gsize i = 0; i < n; i++)
            zero &= to->data[at + i] == 0;
        if (at >= from->size)
            g_string_append_c(kinds, 'g');
        else if (n == MIN(SLICE, from->size - at) && memcmp(from->data + at, to->data + at, n) == 0)
            g_string_append_c(kinds, 's');
        else
            g_string_append_c(kinds, zero ? 'z' : 'c');
    }
    return g_string_free(kinds, FALSE);
}

/* The same of a report, whose extents are in order and do not touch unless of another kind. */
static char *
read_kinds(JsonObject *report)
{
    JsonArray *extents = json_object_get_array_member(report, "extents");
    guint64 length = (guint64)number(report, "to_length");
    char *kinds = g_strnfill((length + SLICE - 1) / SLICE, 's');
    guint64 end = 0;
    char last = 's';

    for (guint i = 0; i < json_array_get_length(extents); i++) {
        JsonObject *extent = json_array_get_object_element(extents, i);
        guint64 offset = (guint64)number(extent, "offset");
        guint64 size = (guint64)number(extent, "length");
        char kind = vimg_json_string(extent, "kind")[0];

        g_assert_cmpuint(size, >, 0);
        g_assert_cmpuint(offset, >=, end);
        g_assert_true(offset > end || kind != last || i == 0);
        end = offset + size;
        last = kind;
        g_assert_cmpuint(end, <=, length);
        for (guint64 slice = (offset + SLICE - 1) / SLICE; slice * SLICE < end; slice++)
            kinds[slice] = kind;
    }
    return kinds;
}

static void
check(MemoryFixture *fixture, const VimgBuffer *from, const VimgBuffer *to)
{
    g_autofree char *old = upload(fixture, "old", "raw", from);
    g_autofree char *new = upload(fixture, "new", "raw", to);
    g_autoptr(JsonObject) report = diff(fixture, old, new);
    g_autofree char *expected = expect(from, to);
    g_autofree char *kinds = read_kinds(report);
    gint64 changed = 0;

    g_assert_cmpstr(kinds, ==, expected);
    for (gsize i = 0; kinds[i]; i++)
        changed += kinds[i] == 'c' || kinds[i] == 'z'
                       ? (gint64)(MIN(SLICE, MIN(from->size, to->size) - i * SLICE))
                       : 0;
    g_assert_cmpint(number(report, "changed"), ==, changed);
    g_assert_cmpint(number(report, "from_length"), ==, from->size);
    g_assert_cmpint(number(report, "to_length"), ==, to->size);
    g_assert_cmpstr(vimg_json_string(report, "from"), ==, "old");
    g_assert_cmpstr(vimg_json_string(report, "to"), ==, "new");
    g_assert_true(json_object_get_boolean_member(report, "aligned"));
    g_assert_false(json_object_get_boolean_member(report, "truncated"));
}

typedef struct {
    const char *path;
    gsize from_size;
    gsize to_size;
    guint slices[8];
    gsize n;
    guint32 seed; /* of what is in their place; 0: zeros */
} Case;

static const Case cases[] = {
    {"same", 20 * SLICE, 20 * SLICE, {0}, 0, 0},
    {"first", 20 * SLICE, 20 * SLICE, {0}, 1, 2},
    {"last", 20 * SLICE, 20 * SLICE, {19}, 1, 2},
    {"some", 20 * SLICE, 20 * SLICE, {3, 4, 5, 9, 14}, 5, 2},
    {"zeroed", 20 * SLICE, 20 * SLICE, {0, 1, 2, 7}, 4, 0},
    {"tail", 20 * SLICE - 1000, 20 * SLICE - 1000, {19}, 1, 2},
    {"grown", 10 * SLICE, 20 * SLICE, {3}, 1, 2},
    {"grown-odd", 20 * SLICE - 1000, 23 * SLICE + 7, {3}, 1, 2},
    {"shrunk", 20 * SLICE, 10 * SLICE, {3}, 1, 2},
    {"shrunk-odd", 20 * SLICE, 10 * SLICE - 1, {3}, 1, 2},
};

static void
test_case(MemoryFixture *fixture, gconstpointer data)
{
    const Case *c = data;
    g_autoptr(VimgBuffer) from = helper_content(1, c->from_size, 5);
    g_autoptr(VimgBuffer) to = content_with(c->to_size, c->slices, c->n, c->seed);

    check(fixture, from, to);
}

/* Runs of zeros are cut into other slices than what lies beside them. */
static void
test_random(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(GRand) chance = g_rand_new_with_seed(GPOINTER_TO_UINT(data));
    const gsize n = 90;
    g_autoptr(VimgBuffer) from = vimg_buffer_new(n * SLICE);
    g_autoptr(VimgBuffer) to = vimg_buffer_new(n * SLICE);
    VimgBuffer *const buffers[] = {from, to};
    gboolean zeros[2] = {TRUE, TRUE};

    for (gsize i = 0; i < n; i++) {
        for (guint k = 0; k < 2; k++) {
            guint8 *at = buffers[k]->data + i * SLICE;

            if (g_rand_int_range(chance, 0, 6) == 0)
                zeros[k] = !zeros[k];
            memset(at, 0, SLICE);
            at[5] = zeros[k] ? 0 : (guint8)g_rand_int_range(chance, 1, 3);
        }
    }
    check(fixture, from, to);
}

/* What only one has, and what both do. */
static void
test_slices(MemoryFixture *fixture, gconstpointer data)
{
    const guint slices[] = {1, 2, 3};
    g_autoptr(VimgBuffer) from = helper_content(1, 10 * SLICE, 0);
    g_autoptr(VimgBuffer) to = vimg_buffer_new(8 * SLICE);
    g_autoptr(VimgBuffer) changed = helper_content(9, 10 * SLICE, 0);
    g_autofree char *old = upload(fixture, "old", "raw", from);
    g_autofree char *new = NULL;
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(JsonObject) same = NULL;
    g_autoptr(JsonObject) back = NULL;

    memcpy(to->data, from->data, to->size);
    for (gsize i = 0; i < G_N_ELEMENTS(slices); i++)
        memcpy(to->data + slices[i] * SLICE, changed->data, SLICE); /* thrice the same */
    new = upload(fixture, "new", "raw", to);
    report = diff(fixture, old, new);
    back = diff(fixture, new, old);
    same = diff(fixture, old, old);
    g_assert_cmpint(number(report, "added"), >, SLICE / 3);
    g_assert_cmpint(number(report, "added"), <, SLICE);
    g_assert_cmpint(number(report, "removed"), >, 4 * number(report, "added"));
    g_assert_cmpint(number(report, "removed"), <, 6 * number(report, "added"));
    g_assert_cmpint(number(report, "shared"), >, 4 * number(report, "added"));
    g_assert_cmpint(number(back, "added"), ==, number(report, "removed"));
    g_assert_cmpint(number(back, "removed"), ==, number(report, "added"));
    g_assert_cmpint(number(back, "shared"), ==, number(report, "shared"));
    g_assert_cmpint(number(same, "added") + number(same, "removed"), ==, 0);
    g_assert_cmpint(number(same, "shared"), ==,
                    number(report, "shared") + number(report, "removed"));
}

/* Images that were cut by different rules have nothing in common, which is said. */
static void
test_formats(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 20 * SLICE, 0);
    g_autofree char *raw = upload(fixture, "raw", "raw", content);
    g_autofree char *other = upload(fixture, "other", "vmdk", content);
    g_autoptr(JsonObject) report = diff(fixture, raw, other);

    g_assert_false(json_object_get_boolean_member(report, "aligned"));
    g_assert_cmpint(number(report, "changed"), ==, content->size);
}

typedef struct {
    VimgSliceStore *store;
    const char *from;
    const char *to;
} Pair;

static gboolean
try_diff(VimgPluginJob *job, gpointer data, GError **error)
{
    const Pair *pair = data;
    g_autofree char *report = vimg_diff(pair->store, pair->from, pair->to, job, error);

    return report != NULL;
}

static void
test_cancelled(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 4 * SLICE, 0);
    g_autofree char *from = upload(fixture, "from", "raw", content);
    g_autofree char *to = upload(fixture, "to", "raw", content);
    Pair pair = {fixture->store, from, to};

    helper_cancel(try_diff, &pair);
}

static void
test_refused(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 2 * SLICE, 0);
    g_autofree char *whole = upload(fixture, "whole", "raw", content);
    g_autofree char *saving = helper_create(fixture->store, "saving", SLICE);
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_diff(fixture->store, whole, saving, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    g_assert_null(vimg_diff(fixture->store, saving, whole, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    g_assert_null(
        vimg_diff(fixture->store, whole, "00000000-0000-0000-0000-000000000000", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* Puts an index of @n slices, of which each other one is another in @odd, in the place of one. */
static void
forge(MemoryFixture *fixture, const char *uuid, gsize n, gboolean odd)
{
    const VimgIndexSizes sizes = {SLICE, SLICE, VIMG_ZERO_MAX};
    g_autoptr(VimgIndex) index = vimg_index_new(&sizes);
    g_autoptr(VimgBuffer) content = NULL;
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(GError) error = NULL;
    VimgLease *lease = vimg_lease_new(fixture->store, &error);

    for (gsize i = 0; i < n; i++) {
        VimgSliceId id = {{(guint8)(odd && i % 2), 1}};

        g_assert_true(vimg_index_append(index, SLICE, &id, NULL));
    }
    content = vimg_index_encode(index);
    vimg_transport_unlink(fixture->store->transport, path);
    vimg_transport_create(fixture->store->transport, path, content->data, content->size, FALSE);
    vimg_image_load(fixture->store, uuid, &image, &error);
    g_free(image.manifest->index_digest);
    image.manifest->index_digest = vimg_sha256_hex(content->data, content->size);
    image.manifest->index_size = content->size;
    vimg_manifest_write(image.manifest, lease, &error);
    g_assert_no_error(error);
    vimg_lease_free(lease);
}

static void
test_truncated(MemoryFixture *fixture, gconstpointer data)
{
    const gsize n = 2 * DIFFERENCES_MAX + 2;
    g_autoptr(VimgBuffer) content = helper_content(1, SLICE, 0);
    g_autofree char *from = upload(fixture, "from", "raw", content);
    g_autofree char *to = upload(fixture, "to", "raw", content);
    g_autofree char *report = NULL;
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GError) error = NULL;
    JsonObject *root;

    forge(fixture, from, n, FALSE);
    forge(fixture, to, n, TRUE);
    report = vimg_diff(fixture->store, from, to, NULL, &error);
    g_assert_no_error(error);
    node = json_from_string(report, &error);
    g_assert_no_error(error);
    root = json_node_get_object(node);
    g_assert_true(json_object_get_boolean_member(root, "truncated"));
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "extents")), ==,
                     DIFFERENCES_MAX);
    g_assert_cmpint(number(root, "changed"), ==, (DIFFERENCES_MAX + 1) * SLICE);
}

/* ---- zeros ------------------------------------------------------------------------------- */

typedef struct {
    const VimgBuffer *content;
    guint64 end;
    guint calls;
    guint most;
} Zeros;

static gboolean
take_zeros(guint64 offset, guint64 length, gpointer data)
{
    Zeros *zeros = data;

    g_assert_cmpuint(length, >, 0);
    g_assert_true(zeros->calls == 0 || offset > zeros->end); /* runs are told as one */
    for (guint64 i = offset; i < offset + length; i++)
        g_assert_cmpuint(zeros->content->data[i], ==, 0);
    zeros->end = offset + length;
    return ++zeros->calls < zeros->most;
}

static void
test_zeros(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 20 * SLICE + 77, 5);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;
    Zeros zeros = {content, 0, 0, 99};
    Zeros first = {content, 0, 0, 1};

    memset(content->data, 0, 2 * SLICE);
    memset(content->data + 10 * SLICE, 0, 2 * SLICE);
    uuid = upload(fixture, "a", "raw", content);
    g_assert_true(vimg_slice_reader_zeros(fixture->store, uuid, take_zeros, &zeros, &error));
    g_assert_cmpuint(zeros.calls, ==, 5); /* 0-1, 4, 9-11, 14, 19 */
    g_assert_cmpuint(zeros.end, ==, 20 * SLICE);
    g_assert_true(vimg_slice_reader_zeros(fixture->store, uuid, take_zeros, &first, &error));
    g_assert_cmpuint(first.end, ==, 2 * SLICE);
    g_assert_false(vimg_slice_reader_zeros(fixture->store, "none", take_zeros, &zeros, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/diff/", cases[i].path, NULL);

        memory_fixture_add(path, &cases[i], test_case);
    }
    for (guint i = 1; i <= 8; i++) {
        g_autofree char *path = g_strdup_printf("/diff/random/%u", i);

        memory_fixture_add(path, GUINT_TO_POINTER(i), test_random);
    }
    memory_fixture_add("/diff/slices", NULL, test_slices);
    memory_fixture_add("/diff/formats", NULL, test_formats);
    memory_fixture_add("/diff/cancelled", NULL, test_cancelled);
    memory_fixture_add("/diff/refused", NULL, test_refused);
    memory_fixture_add("/diff/truncated", NULL, test_truncated);
    memory_fixture_add("/diff/zeros", NULL, test_zeros);
    return g_test_run();
}
