/*
 * test-export-record.c: what is kept of an export, and what is not taken for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <glib/gstdio.h>

#include "pool/export-record.h"
#include "util/error.h"

#define ID "11111111-1111-4111-8111-111111111111"
#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static VimgExportRecord *
make_record(void)
{
    VimgExportRecord *record = g_new0(VimgExportRecord, 1);

    g_strlcpy(record->id, ID, sizeof(record->id));
    g_strlcpy(record->pool, "22222222-2222-4222-8222-222222222222", sizeof(record->pool));
    g_strlcpy(record->image, "33333333-3333-4333-8333-333333333333", sizeof(record->image));
    for (guint i = 0; i < VIMG_EXPORT_HASH_SIZE; i++)
        record->hash[i] = (guint8)((i % 16) * 17);
    record->pool_name = g_strdup("images");
    record->name = g_strdup("Debian \"12\" 图像.raw");
    record->file = g_strdup("Debian \"12\" 图像.qcow2");
    record->format = g_strdup("qcow2");
    record->convert = TRUE;
    record->released = TRUE;
    record->capacity = record->stored = 65536;
    record->size = 6 * 65536;
    record->sha256 = g_strdup(HEX);
    record->generation = g_strdup("g-1");
    record->created = 1000;
    record->expires = 2000;
    record->revoked = 1500;
    return record;
}

static void
test_round(void)
{
    g_autoptr(VimgExportRecord) record = make_record();
    g_autofree char *text = vimg_export_record_format(record);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgExportRecord) other = vimg_export_record_parse(text, &error);
    g_autofree char *again = NULL;

    g_assert_no_error(error);
    again = vimg_export_record_format(other);
    g_assert_cmpstr(text, ==, again);
    g_assert_nonnull(strstr(text, "\"hash\" : \"" HEX "\""));
    g_assert_cmpmem(other->hash, sizeof(other->hash), record->hash, sizeof(record->hash));
    g_assert_cmpstr(other->name, ==, record->name);
    g_assert_cmpstr(other->generation, ==, "g-1");
    g_assert_cmpint(other->revoked, ==, 1500);
    g_assert_true(other->released);
    g_assert_false(other->direct);
}

static const struct {
    const char *path;
    const char *from, *to; /* what is put where */
} bad[] = {
    {"id", ID, "1"},
    {"no-hash", "\"hash\"", "\"hush\""},
    {"short-hash", HEX, "0011"},
    {"upper-hash", "ff\"", "FF\""},
    {"negative", "\"expires\" : 2000", "\"expires\" : -1"},
    {"huge", "\"size\" : 393216", "\"size\" : 99999999999999999999"},
    {"text-size", "\"size\" : 393216", "\"size\" : \"393216\""},
    {"fraction", "\"size\" : 393216", "\"size\" : 3.5"},
    {"slash", "图像.qcow2", "../../etc/passwd"},
    {"empty", "\"qcow2\"", "\"\""},
    {"long-format", "\"qcow2\"", "\"qcow2qcow2qcow2q\""},
    {"truth", "\"convert\" : true", "\"convert\" : 1"},
    {"other-size", "\"convert\" : true", "\"convert\" : false"},
    {"null", "\"images\"", "null"},
    {"generation", "\"g-1\"", "\"g 1\""},
    {"no-generation", "\"g-1\"", "\"\""},
    {"array", "{", "[{"},
};

static void
test_bad(gconstpointer data)
{
    const gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(VimgExportRecord) record = make_record();
    g_autofree char *text = vimg_export_record_format(record);
    g_autoptr(GString) changed = g_string_new(text);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(g_string_replace(changed, bad[i].from, bad[i].to, 1), ==, 1);
    g_assert_null(vimg_export_record_parse(changed->str, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

static void
test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-export-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, ID ".json", NULL);
    g_autofree char *wrong =
        g_build_filename(dir, "44444444-4444-4444-8444-444444444444.json", NULL);
    g_autofree char *copy = g_build_filename(dir, ID ".old.json", NULL);
    g_autofree char *orphan =
        g_build_filename(dir, "55555555-5555-4555-8555-555555555555.map", NULL);
    g_autofree char *half = g_build_filename(dir, ID ".json.0.new", NULL);
    g_autoptr(VimgQcow2Layout) layout = vimg_qcow2_layout_new(65536, NULL);
    g_autoptr(VimgQcow2Layout) loaded = NULL;
    g_autoptr(VimgExportRecord) record = make_record();
    g_autofree char *text = vimg_export_record_format(record);
    g_autoptr(GPtrArray) records = NULL;
    g_autoptr(GError) error = NULL;
    struct stat info;

    vimg_qcow2_layout_add(layout, 0, (const guint8 *)"x", 1);
    vimg_qcow2_layout_settle(layout);
    g_assert_cmpuint(vimg_qcow2_layout_size(layout), ==, record->size);
    g_assert_true(vimg_export_map_save(dir, record, layout, &error));
    g_assert_true(vimg_export_record_save(dir, record->id, text, &error));
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0600);
    g_assert_true(g_file_set_contents(wrong, text, -1, NULL)); /* another's */
    g_assert_true(g_file_set_contents(copy, text, -1, NULL));  /* of before it was revoked */
    g_assert_true(g_file_set_contents(orphan, "", -1, NULL));
    g_assert_true(g_file_set_contents(half, "{", -1, NULL));
    records = vimg_export_records_load(dir, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(records->len, ==, 1);
    loaded = vimg_export_map_load(dir, record, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vimg_qcow2_layout_size(loaded), ==, record->size);
    record->size += 65536;
    g_assert_null(vimg_export_map_load(dir, record, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    vimg_export_record_remove(dir, record->id);
    g_unlink(wrong);
    g_unlink(copy);
    g_assert_cmpint(g_rmdir(dir), ==, 0); /* nothing is left */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    g_test_add_func("/export-record/round", test_round);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_strconcat("/export-record/bad/", bad[i].path, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_bad);
    }
    g_test_add_func("/export-record/files", test_files);
    return g_test_run();
}
