/*
 * test-backend-store.c: what becomes of plugins that lie of storages and images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-backend-fixture.h"

/* ---- storages --------------------------------------------------------------------------- */

static const struct {
    const char *lie;
    VimgErrorCode code;
    const char *text;
} open_lies[] = {
    {"open-quiet", VIMG_ERROR_INTERNAL, "liar: failed without an error"},
    {"probe-quiet", VIMG_ERROR_INTERNAL, "liar: failed without an error"},
    {"probe-no-id", VIMG_ERROR_INTERNAL, "no proper id"},
    {"probe-bad-id", VIMG_ERROR_INTERNAL, "no proper id"},
    {"probe-huge", VIMG_ERROR_INTERNAL, "impossible size"},
};

static void
test_open_lie(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_auto(Pool) pool = liar_pool(open_lies[i].lie);
    g_autoptr(GError) error = NULL;
    VimgStore *store = vimg_store_open(get("liar"), pool.view, 0, NULL, NULL, &error);

    assert_refused(store != NULL, &error, open_lies[i].code, open_lies[i].text);
}

static void
test_success_with_error(void)
{
    g_autoptr(VimgStore) store = liar_open("probe-error");
    VimgPluginStore sizes = {.size = sizeof(sizes)};
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_probe(store, &sizes, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(sizes.store_id, ==, "plain-store");
    g_assert_cmpuint(sizes.available, ==, 600);
    g_free(sizes.store_id);
}

static void
test_store_changes(void)
{
    g_autoptr(VimgStore) store = liar_open("probe-moves");
    VimgPluginStore sizes = {.size = sizeof(sizes)};
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_probe(store, &sizes, &error), &error, VIMG_ERROR_DISCONNECTED,
                   "no longer");
    g_assert_null(sizes.store_id);
}

static gboolean
collect(const VimgPluginImage *image, gpointer data)
{
    g_ptr_array_add(data, g_strdup(image->name));
    if (image->state == VIMG_IMAGE_ERROR)
        g_assert_cmpstr(image->reason, ==, "no reason given");
    return TRUE;
}

/* Of 27 entries two can be believed; each of the others is logged once. */
static void
test_lying_list(void)
{
    g_autoptr(VimgStore) store = liar_open("list");
    GHashTable *seen = get("liar")->complaints->seen;
    guint before = g_hash_table_size(seen);
    guint complaints = 0;
    guint round;

    for (round = 0; round < 2; round++) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_store_list(store, collect, names, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(names->len, ==, 2);
        g_assert_cmpstr(names->pdata[0], ==, "one");
        g_assert_cmpstr(names->pdata[1], ==, "two");
        if (round == 0)
            complaints = g_hash_table_size(seen);
    }
    g_assert_cmpuint(complaints, >=, before + 23);
    g_assert_cmpuint(g_hash_table_size(seen), ==, complaints);
}

static gboolean
collect_one(const VimgPluginImage *image, gpointer data)
{
    collect(image, data);
    return FALSE;
}

static void
test_deaf_list(void)
{
    g_autoptr(VimgStore) store = liar_open("list-deaf");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_list(store, collect_one, names, &error));
    g_assert_cmpuint(names->len, ==, 1);
}

static gboolean
collect_file(const VimgPluginFile *file, gpointer data)
{
    g_ptr_array_add(data, g_strdup(file->name));
    return TRUE;
}

static gboolean
collect_one_file(const VimgPluginFile *file, gpointer data)
{
    collect_file(file, data);
    return FALSE;
}

static void
test_lying_files(void)
{
    g_autoptr(VimgStore) store = liar_open("files");
    GHashTable *seen = get("liar")->complaints->seen;
    guint before = g_hash_table_size(seen);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_list_files(store, collect_file, names, NULL, &error));
    g_assert_cmpuint(names->len, ==, 2);
    g_assert_cmpstr(names->pdata[0], ==, "a.img");
    g_assert_cmpstr(names->pdata[1], ==, "c.img");
    g_assert_cmpuint(g_hash_table_size(seen), >=, before + 6);
}

static void
test_deaf_files(void)
{
    g_autoptr(VimgStore) store = liar_open("files-deaf");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_list_files(store, collect_one_file, names, NULL, &error));
    g_assert_cmpuint(names->len, ==, 1);
}

static void
test_quiet_files(void)
{
    g_autoptr(VimgStore) store = liar_open("files-quiet");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_list_files(store, collect_file, names, NULL, &error), &error,
                   VIMG_ERROR_INTERNAL, "liar: failed without an error");
}

/* ---- images ----------------------------------------------------------------------------- */

static const struct {
    const char *lie;
    VimgErrorCode code;
    const char *text;
} create_lies[] = {
    {"create-quiet", VIMG_ERROR_INTERNAL, "volume 'new': liar: failed without an error"},
    {"create-exists", VIMG_ERROR_VOL_EXISTS, "'new'"},
    {"other-uuid", VIMG_ERROR_INTERNAL, "volume 'new': liar: uuid"},
    {"other-name", VIMG_ERROR_INTERNAL, "volume 'new': liar: another name"},
    {"other-size", VIMG_ERROR_INTERNAL, "image of 8 bytes"},
};

static void
test_create_lie(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(create_lies[i].lie);
    VimgPluginImage image = named((char *)"33333333-3333-4333-8333-333333333333", (char *)"new");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_create(store, &image, &out, &error), &error, create_lies[i].code,
                   create_lies[i].text);
    g_assert_null(out.uuid);
    if (create_lies[i].code == VIMG_ERROR_VOL_EXISTS)
        g_assert_cmpstr(error->message, ==, "'new'");
}

static void
test_create(void)
{
    g_autoptr(VimgStore) store = liar_open("create-error");
    VimgPluginImage image = named((char *)TWO_UUID, (char *)"two");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_create(store, &image, &out, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(out.name, ==, "two");
    name = vimg_store_image_name(store, TWO_UUID);
    g_assert_cmpstr(name, ==, "two");
    g_assert_true(vimg_store_remove_image(store, TWO_UUID, &error));
}

/* A failure names the image once its name is known, and stays UTF-8. */
static void
test_names_in_errors(void)
{
    g_autoptr(VimgStore) store = liar_open("stat-babble");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_stat(store, ONE_UUID, &out, &error), &error, VIMG_ERROR_DAMAGED,
                   "volume '" ONE_UUID "': bl");
    g_clear_error(&error);
    g_assert_true(vimg_store_list(store, collect, names, NULL));
    assert_refused(vimg_store_stat(store, ONE_UUID, &out, &error), &error, VIMG_ERROR_DAMAGED,
                   "volume 'one': bl");
}

static void
test_stat_lie(void)
{
    g_autoptr(VimgStore) store = liar_open("other-uuid");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_stat(store, ONE_UUID, &out, &error), &error, VIMG_ERROR_INTERNAL,
                   "uuid " TWO_UUID);
}

static void
test_clone(void)
{
    g_autoptr(VimgStore) store = liar_open("saving");
    g_autoptr(VimgStore) other = liar_open("");
    g_autoptr(VimgStore) third = liar_open("probe-moves");
    VimgPluginImage image = named((char *)TWO_UUID, (char *)"two");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_can_clone(store, other));
    g_assert_false(vimg_store_can_clone(store, third)); /* another storage */
    assert_refused(vimg_store_clone(store, store, ONE_UUID, &image, NULL, &out, &error), &error,
                   VIMG_ERROR_INTERNAL, "a clone that is not active");
    g_assert_null(out.uuid);
    g_clear_error(&error);
    g_assert_true(vimg_store_clone(other, other, ONE_UUID, &image, NULL, &out, &error));
    g_assert_no_error(error);
}

/* A judge() of a backend that asks and shows nothing. */
static gboolean
judge(gpointer content, const VimgPluginImage *image, gpointer data, GError **error)
{
    g_assert_null(vimg_reader_open_pulled(data, content, "two", 0, 1, NULL, error));
    return FALSE;
}

static void
test_pull(void)
{
    static const struct {
        const char *lie;
        const char *text;
    } lies[] = {
        {"saving", "a copy that is not active"},
        {"other-uuid", "uuid " TWO_UUID},
        {"pull-quiet", "failed without an error"},
    };
    const VimgPullRequest request = {.size = sizeof(request)};
    g_autoptr(VimgStore) source = liar_open("probe-moves");
    g_autoptr(VimgStore) here = liar_open("");
    const VimgPullRequest judged = {.size = sizeof(judged), .judge = judge, .judge_data = here};
    g_autoptr(VimgStore) same = liar_open("");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    gboolean alike;
    guint64 sent;
    gsize i;

    g_assert_true(vimg_store_can_pull(here, source));
    g_assert_false(vimg_store_can_pull(here, same)); /* of one storage: a clone */
    for (i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(VimgStore) liar = liar_open(lies[i].lie);

        assert_refused(
            vimg_store_pull(liar, ONE_UUID, source, ONE_UUID, &request, NULL, &sent, &out, &error),
            &error, VIMG_ERROR_INTERNAL, lies[i].text);
        g_assert_null(out.uuid);
        g_clear_error(&error);
    }
    g_assert_true(
        vimg_store_pull(here, ONE_UUID, source, ONE_UUID, &request, NULL, &sent, &out, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(sent, ==, 7);
    vimg_plugin_image_clear(&out);
    assert_refused(
        vimg_store_pull(here, ONE_UUID, source, ONE_UUID, &judged, NULL, &sent, &out, &error),
        &error, VIMG_ERROR_INTERNAL, "a copy that cannot be read");
    g_clear_error(&error);
    assert_refused(vimg_store_same(here, ONE_UUID, source, ONE_UUID, &alike, &error), &error,
                   VIMG_ERROR_NO_SUPPORT, "cannot be compared");
}

/* A list with lies in it is not whole. */
static void
test_list_whole(void)
{
    g_autoptr(VimgStore) store = liar_open("");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_list_whole(store, collect, names, &error), &error, VIMG_ERROR_FAILED,
                   "cannot be listed");
}

/* ---- the trash, and reports -------------------------------------------------------------- */

/* Of five entries, which may share a name, one was never deleted, one comes twice, one has no uuid.
 */
static void
test_lying_trash(void)
{
    g_autoptr(VimgStore) store = liar_open("");
    g_autoptr(VimgStore) quiet = liar_open("trash-quiet");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_list_trash(store, collect, names, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(names->len, ==, 2);
    g_assert_cmpstr(names->pdata[1], ==, "one");
    assert_refused(vimg_store_list_trash(quiet, collect, names, &error), &error,
                   VIMG_ERROR_INTERNAL, "failed without an error");
}

static const struct {
    const char *lie;
    VimgErrorCode code;
    const char *text;
} restore_lies[] = {
    {"restore-quiet", VIMG_ERROR_INTERNAL, "volume 'new': liar: failed without an error"},
    {"restore-exists", VIMG_ERROR_VOL_EXISTS, "'new'"},
    {"other-uuid", VIMG_ERROR_INTERNAL, "volume 'new': liar: uuid"},
    {"other-name", VIMG_ERROR_INTERNAL, "volume 'new': liar: another name"},
};

static void
test_restore_lie(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(restore_lies[i].lie);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_store_restore(store, ONE_UUID, "new", &out, &error), &error,
                   restore_lies[i].code, restore_lies[i].text);
    g_assert_null(out.uuid);
}

static void
test_purge(void)
{
    g_autoptr(VimgStore) honest = liar_open("");
    g_autoptr(VimgStore) quiet = liar_open("purge-quiet");
    g_autoptr(VimgStore) babbler = liar_open("purge-babble");
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_purge(honest, ONE_UUID, &error));
    assert_refused(vimg_store_purge(quiet, ONE_UUID, &error), &error, VIMG_ERROR_INTERNAL,
                   "volume '" ONE_UUID "': liar: failed without an error");
    g_clear_error(&error);
    assert_refused(vimg_store_purge(babbler, ONE_UUID, &error), &error, VIMG_ERROR_NO_VOL,
                   "volume '" ONE_UUID "': bl");
}

static const struct {
    const char *report; /* what the liar is told to say */
    const char *text;   /* of the error; NULL: fine */
    const char *summary;
} reports[] = {
    {"{}", NULL, ""},
    {"{\"kept\": [{}], \"freed\": 12, \"more\": {}, \"removed\": [1, 2]}", NULL,
     "freed 12 bytes, removed 2, kept 1"},
    {"{\"checked\": 7, \"damaged\": []}", NULL, "checked 7 bytes, damaged 0"},
    {"{\"slices\": {\"count\": 3, \"bytes\": 9}, \"names\": {\"count\": 0}}", NULL,
     "slices 3 (9 bytes)"},
    {"{\"freed\": 1, \"names\": {\"count\": 2}}", NULL, "freed 1 bytes, names 2"},
    {"", "a report that is none", NULL},
    {"[]", "a report that is none", NULL},
    {"null", "a report that is none", NULL},
    {"{\"freed\": 1", "a report that is none", NULL},
    {"{\"freed\": \"1\"}", "a report that is none", NULL},
    {"{\"removed\": 3}", "a report that is none", NULL},
    {"report-bytes", "a report that is none", NULL},
    {"report-long", "a report that is none", NULL},
    {"report-deep", "a report that is none", NULL},
    {"report-hidden", "a report that is none", NULL},
    {"{\"a\": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "a report that is none", NULL},
    {"{\"a\": [[[[[[[[[[[[[[[\"]\\\"[[[[[[/*\"]]]]]]]]]]]]]]]}", NULL, ""},
    {"report-quiet", "failed without an error", NULL},
};

static void
check_report(char *given, guint i, GError **error)
{
    g_autofree char *report = given;
    g_autofree char *summary = NULL;

    if (reports[i].text) {
        assert_refused(report != NULL, error, VIMG_ERROR_INTERNAL, reports[i].text);
        g_clear_error(error);
        return;
    }
    g_assert_no_error(*error);
    g_assert_cmpstr(report, ==, reports[i].report);
    summary = vimg_report_summary(report);
    g_assert_cmpstr(summary, ==, reports[i].summary);
}

static void
test_report(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(reports[i].report);
    g_autoptr(GError) error = NULL;

    check_report(vimg_store_cleanup(store, FALSE, NULL, &error), i, &error);
    check_report(vimg_store_verify(store, NULL, NULL, &error), i, &error);
    check_report(vimg_store_verify(store, ONE_UUID, NULL, &error), i, &error);
}

static void
test_absent(void)
{
    g_auto(Pool) pool = pool_new("shorter", "", "");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgStore) store = vimg_store_open(get("shorter"), pool.view, 0, NULL, NULL, &error);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    g_assert_no_error(error);
    assert_refused(vimg_store_list_trash(store, collect, NULL, &error), &error,
                   VIMG_ERROR_NO_SUPPORT, "does not keep deleted volumes");
    g_clear_error(&error);
    assert_refused(vimg_store_restore(store, ONE_UUID, "one", &out, &error), &error,
                   VIMG_ERROR_NO_SUPPORT, "does not keep deleted volumes");
    g_clear_error(&error);
    assert_refused(vimg_store_purge(store, ONE_UUID, &error), &error, VIMG_ERROR_NO_SUPPORT,
                   "does not keep deleted volumes");
    g_clear_error(&error);
    assert_refused(vimg_store_cleanup(store, FALSE, NULL, &error) != NULL, &error,
                   VIMG_ERROR_NO_SUPPORT, "does not support cleanup");
    g_clear_error(&error);
    assert_refused(vimg_store_verify(store, NULL, NULL, &error) != NULL, &error,
                   VIMG_ERROR_NO_SUPPORT, "does not support verification");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backends_set_up();
    add_rows("open", G_N_ELEMENTS(open_lies), test_open_lie);
    g_test_add_func("/backend/success-with-error", test_success_with_error);
    g_test_add_func("/backend/store-changes", test_store_changes);
    g_test_add_func("/backend/lying-list", test_lying_list);
    g_test_add_func("/backend/deaf-list", test_deaf_list);
    g_test_add_func("/backend/lying-files", test_lying_files);
    g_test_add_func("/backend/deaf-files", test_deaf_files);
    g_test_add_func("/backend/quiet-files", test_quiet_files);
    add_rows("create", G_N_ELEMENTS(create_lies), test_create_lie);
    g_test_add_func("/backend/create-honest", test_create);
    g_test_add_func("/backend/names-in-errors", test_names_in_errors);
    g_test_add_func("/backend/stat", test_stat_lie);
    g_test_add_func("/backend/clone", test_clone);
    g_test_add_func("/backend/pull", test_pull);
    g_test_add_func("/backend/list-whole", test_list_whole);
    g_test_add_func("/backend/lying-trash", test_lying_trash);
    add_rows("restore", G_N_ELEMENTS(restore_lies), test_restore_lie);
    g_test_add_func("/backend/purge", test_purge);
    add_rows("report", G_N_ELEMENTS(reports), test_report);
    g_test_add_func("/backend/absent", test_absent);
    return backends_run();
}
