/*
 * test-record.c: records of images, journals of uploads, and what definitions mean
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "definition.h"
#include "journal.h"

#define UUID "0f3c0a7e-7a06-4a51-9a3c-8f5c3f0f9d11"
#define OTHER "1f3c0a7e-7a06-4a51-9a3c-8f5c3f0f9d12"
#define NUMBERS                                                                                    \
    "\"partSize\":1,\"capacity\":2,\"allocation\":3,\"physical\":4,\"position\":5,\"created\":6,"  \
    "\"deleted\":0"

/* ---- records */

static void
test_record(void)
{
    VimgPluginImage image = {.size = sizeof(image),
                             .uuid = (char *)UUID,
                             .name = (char *)"a \"b\" \xc3\xa9",
                             .capacity = G_MAXINT64,
                             .created = 7,
                             .origin = (char *)"not kept",
                             .copy_of = (char *)"key",
                             .generation = (char *)"of another"};
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_new(&image);
    g_autoptr(VimgEbsRecord) back = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autoptr(VimgEbsRecord) copy = NULL;

    g_assert_null(record->info.generation); /* not that of what it is made of */
    vimg_ebs_set(&record->key, "p/k");
    vimg_ebs_set(&record->etag, "E");
    record->part_size = 8;
    text = vimg_ebs_record_format(record);
    back = vimg_ebs_record_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_cmpstr(back->info.name, ==, image.name);
    g_assert_cmpuint(back->info.capacity, ==, G_MAXINT64);
    g_assert_cmpint(back->info.state, ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpstr(back->info.copy_of, ==, "key");
    g_assert_null(back->info.origin);
    g_assert_cmpuint(back->part_size, ==, 8);
    g_assert_cmpstr(back->info.generation, ==, "E");
    copy = vimg_ebs_record_copy(back);
    g_assert_cmpstr(copy->info.generation, ==, "E");
    g_assert_true(copy->info.generation != back->info.generation);
    vimg_ebs_record_empty(back);
    g_assert_null(back->info.generation);
    g_assert_true(vimg_ebs_record_is_staged(back));
    g_assert_null(back->key);
}

static const struct {
    const char *name;
    const char *text;
    int state; /* -1: it is none */
} records[] = {
    {"saving", "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\"," NUMBERS "}",
     VIMG_IMAGE_SAVING},
    {"active",
     "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\",\"key\":\"k\",\"etag\":\"e\"," NUMBERS
     "}",
     VIMG_IMAGE_ACTIVE},
    {"error", "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\",\"error\":\"e\"," NUMBERS "}",
     VIMG_IMAGE_ERROR},
    {"nothing", "", -1},
    {"no-object", "[1]", -1},
    {"version", "{\"version\":2,\"uuid\":\"" UUID "\",\"name\":\"a\"," NUMBERS "}", -1},
    {"uuid", "{\"version\":1,\"uuid\":\"../x\",\"name\":\"a\"," NUMBERS "}", -1},
    {"no-name", "{\"version\":1,\"uuid\":\"" UUID "\"," NUMBERS "}", -1},
    {"kind", "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":[\"a\"]," NUMBERS "}", -1},
    {"etag-without-key",
     "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\",\"etag\":\"e\"," NUMBERS "}", -1},
    {"no-numbers", "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\"}", -1},
    {"negative",
     "{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\",\"partSize\":-1,\"capacity\":2,"
     "\"allocation\":3,\"physical\":4,\"position\":5,\"created\":6,\"deleted\":0}",
     -1},
};

static void
test_text(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgEbsRecord) record =
        vimg_ebs_record_parse(records[i].text, strlen(records[i].text), &error);

    if (records[i].state < 0) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_null(record);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpint(record->info.state, ==, records[i].state);
}

/* ---- journals */

static void
test_journal(void)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-journal-XXXXXX", NULL);
    VimgEbsStore store = {.state_dir = dir};
    g_autofree char *inner = g_build_filename(dir, "journal", NULL);
    g_autofree char *path = g_build_filename(inner, UUID, NULL);
    g_autofree char *foreign = g_build_filename(inner, OTHER, NULL);
    g_autoptr(VimgEbsJournal) journal = NULL;
    g_autoptr(VimgEbsJournal) back = NULL;
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GError) error = NULL;

    journal = vimg_ebs_journal_load(&store, UUID, &error);
    g_assert_no_error(error);
    g_assert_null(journal->uuid);
    vimg_ebs_set(&journal->uuid, UUID);
    vimg_ebs_set(&journal->name, "a");
    vimg_ebs_set(&journal->key, "k");
    journal->clone = TRUE;
    g_assert_true(vimg_ebs_journal_note(&store, journal, VIMG_EBS_IMPORTING, &error));
    back = vimg_ebs_journal_load(&store, UUID, &error);
    g_assert_no_error(error);
    g_assert_cmpint(back->step, ==, VIMG_EBS_IMPORTING);
    g_assert_true(back->clone);
    g_assert_cmpstr(back->key, ==, "k");
    all = vimg_ebs_journal_list(&store);
    g_assert_cmpuint(all->len, ==, 1);
    /* of another image, as a mistake of an administrator */
    g_assert_cmpint(g_rename(path, foreign), ==, 0);
    g_assert_null(vimg_ebs_journal_load(&store, OTHER, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    vimg_ebs_journal_drop(&store, OTHER);
    vimg_ebs_journal_drop(&store, OTHER);
    g_assert_cmpint(g_rmdir(inner), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void
test_host(void)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-host-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "host", NULL);
    g_autofree char *first = vimg_ebs_journal_host(dir, NULL);
    g_autofree char *again = vimg_ebs_journal_host(dir, NULL);

    g_assert_cmpstr(first, ==, again);
    g_assert_true(g_uuid_string_is_valid(first));
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* ---- definitions */

static void
test_definition(void)
{
    static const char *const oss[] = {"style", "path", "signature", "s3", "tls", "no", NULL};
    static const char *const auth[] = {"type", "aliyun", "username", "bucket", NULL};
    static const char *const secret[] = {"usage", "bucket-key", NULL};
    static const VimgPluginElement elements[] = {
        {"oss", oss, ""}, {"oss/auth", auth, ""}, {"oss/auth/secret", secret, ""}};
    static const VimgPluginAddress host = {"oss-cn-hangzhou-internal.aliyuncs.com", 0};
    VimgPluginPool pool = {.size = sizeof(pool),
                           .hosts = &host,
                           .n_hosts = 1,
                           .source_name = "images",
                           .auth_user = "AK",
                           .secret_usage = "oss",
                           .elements = elements,
                           .n_elements = G_N_ELEMENTS(elements)};
    g_autofree char *region = vimg_ebs_region(&pool, TRUE);
    g_autofree char *before = vimg_ebs_origin(&pool);
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;
    VimgOssRules rules;

    g_assert_true(vimg_ebs_check(&pool, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(region, ==, "cn-hangzhou");
    vimg_ebs_oss_rules(&pool, &rules);
    g_assert_cmpint(rules.style, ==, VIMG_OSS_PATH);
    g_assert_cmpint(rules.signature, ==, VIMG_OSS_S3);
    g_assert_true(rules.plain);
    g_assert_cmpstr(vimg_ebs_key_of(&pool, FALSE).user, ==, "bucket");
    g_assert_cmpstr(vimg_ebs_key_of(&pool, TRUE).user, ==, "AK");
    g_assert_null(vimg_ebs_dialect(&pool));
    g_assert_true(vimg_ebs_rollback_wanted(&pool));
    pool.device = "http://ocean.example:8080/ocean/api";
    g_assert_true(vimg_ebs_dialect(&pool) == &vimg_dialect_rpc);
    after = vimg_ebs_origin(&pool);
    g_assert_cmpstr(before, !=, after);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/round", test_record);
    for (i = 0; i < G_N_ELEMENTS(records); i++) {
        g_autofree char *path = g_strconcat("/record/text/", records[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_text);
    }
    g_test_add_func("/record/journal", test_journal);
    g_test_add_func("/record/host", test_host);
    g_test_add_func("/record/definition", test_definition);
    return g_test_run();
}
