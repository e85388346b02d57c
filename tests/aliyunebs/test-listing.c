/*
 * test-listing.c: records listed by many threads, names and writers, in a bucket of a strict server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "find.h"
#include "listing.h"
#include "server-helper.h"
#include "thread.h"

#define RECORDS 60

typedef struct {
    Server *server;
    VimgEbsStore store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    VimgEbsSite *site = g_new0(VimgEbsSite, 1);

    fixture->server = server_new("ossserver.py", NULL);
    site->refs = 1;
    site->prefix = g_strdup("p");
    site->oss = server_client(fixture->server, VIMG_OSS_V4, 5);
    fixture->store.site = site;
    fixture->store.writer = g_strdup("host-a");
    fixture->store.busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fixture->store.known = g_hash_table_new(g_str_hash, g_str_equal);
    fixture->store.later = g_hash_table_new(g_str_hash, g_str_equal);
    thread_must(pthread_mutex_init(&fixture->store.lock, NULL));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_ebs_site_unref(fixture->store.site);
    g_hash_table_unref(fixture->store.busy);
    g_hash_table_unref(fixture->store.known);
    g_hash_table_unref(fixture->store.later);
    pthread_mutex_destroy(&fixture->store.lock);
    g_free(fixture->store.writer);
    server_free(fixture->server);
}

/* Returns: (transfer full) its uuid. */
static char *
make(Fixture *fixture, const char *name, gint64 created)
{
    VimgPatience patience = vimg_ebs_patience_for(60);
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {.size = sizeof(image),
                             .uuid = uuid,
                             .name = (char *)name,
                             .allocation = 10,
                             .created = created};
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_new(&image);
    g_autoptr(GError) error = NULL;

    vimg_ebs_record_save(fixture->store.site, record, &patience, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&uuid);
}

static GPtrArray *
list(Fixture *fixture, gboolean whole, GError **error)
{
    VimgPatience patience = vimg_ebs_patience_for(60);

    g_autoptr(GHashTable) unreadable = whole ? NULL : vimg_ebs_unreadable_new();

    return vimg_ebs_list_records(&fixture->store, fixture->store.site, unreadable, &patience,
                                 error);
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) first = NULL;
    g_autoptr(GPtrArray) second = NULL;
    g_autoptr(GError) error = NULL;
    guint64 read;
    guint i;

    for (i = 0; i < RECORDS; i++) {
        g_autofree char *name = g_strdup_printf("image-%u", i);

        g_free(make(fixture, name, 1));
    }
    first = list(fixture, TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(first->len, ==, RECORDS);
    g_assert_cmpuint(fixture->store.stored, ==, RECORDS * 10);
    read = server_number(fixture->server, "count Get");
    g_free(make(fixture, "one-more", 1));
    second = list(fixture, TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(second->len, ==, RECORDS + 1);
    g_assert_cmpuint(server_number(fixture->server, "count Get"), ==, read + 1);
}

static void
test_later(Fixture *fixture, gconstpointer data)
{
    g_autofree char *older = make(fixture, "a", 1);
    g_autofree char *newer = make(fixture, "a", 2);
    g_autoptr(GPtrArray) records = list(fixture, TRUE, NULL);
    guint i;

    g_assert_cmpuint(records->len, ==, 2);
    for (i = 0; i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];

        g_assert_cmpint(record->info.state == VIMG_IMAGE_ERROR, ==,
                        strcmp(record->info.uuid, newer) == 0);
    }
    g_assert_true(g_hash_table_contains(fixture->store.later, newer));
    g_assert_false(g_hash_table_contains(fixture->store.later, older));
}

static void
test_damaged(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *key = vimg_ebs_key(fixture->store.site, "records", uuid);
    VimgOssPut put = {.key = key, .data = "{}", .size = 2};
    g_autoptr(GPtrArray) records = NULL;
    g_autoptr(GError) error = NULL;

    g_free(make(fixture, "a", 1));
    g_assert_true(vimg_oss_put(fixture->store.site->oss, &put, NULL, NULL, NULL));
    g_assert_null(list(fixture, TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    records = list(fixture, FALSE, NULL);
    g_assert_cmpuint(records->len, ==, 1);
}

static void
test_names(Fixture *fixture, gconstpointer data)
{
    VimgPatience patience = vimg_ebs_patience_for(60);
    VimgEbsSite *site = fixture->store.site;
    g_autofree char *owner = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_ebs_claim_take(&fixture->store, site, "a b", "first", &patience, NULL));
    g_assert_true(vimg_ebs_claim_take(&fixture->store, site, "a b", "first", &patience, NULL));
    g_assert_false(vimg_ebs_claim_take(&fixture->store, site, "a b", "second", &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_assert_cmpstr(error->message, ==, "'a b'");
    g_assert_true(vimg_ebs_claim_release(site, "a b", "second", &patience, NULL));
    owner = vimg_ebs_claim_look(site, "a b", &patience, NULL);
    g_assert_cmpstr(owner, ==, "first");
    g_assert_true(vimg_ebs_claim_release(site, "a b", "first", &patience, NULL));
    g_assert_true(vimg_ebs_claim_release(site, "a b", "first", &patience, NULL));
    g_assert_true(vimg_ebs_claim_take(&fixture->store, site, "a b", "second", &patience, NULL));
}

static void
test_writers(Fixture *fixture, gconstpointer data)
{
    VimgPatience patience = vimg_ebs_patience_for(60);
    VimgEbsSite *site = fixture->store.site;
    VimgEbsStore other = {.writer = (char *)"host-b"};
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_ebs_live_check(&other, site, "u", &patience, NULL));
    g_assert_true(vimg_ebs_live_beat(&fixture->store, site, "u", &patience, NULL));
    g_assert_true(vimg_ebs_live_beat(&fixture->store, site, "u", &patience, NULL));
    g_assert_false(vimg_ebs_live_beat(&other, site, "u", &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    /* the storage's clock alone counts, however wrong it is */
    g_free(server_tell(fixture->server, "set skew %d", VIMG_EBS_DEAD_SECONDS + 60));
    g_assert_true(vimg_ebs_live_beat(&other, site, "u", &patience, NULL));
    vimg_ebs_live_end(&other, site, "u", &patience);
    g_assert_true(vimg_ebs_live_check(&fixture->store, site, "u", &patience, NULL));
}

/* Of two hosts that find nobody at one moment, one has the image. */
static void
test_hosts_at_once(Fixture *fixture, gconstpointer data)
{
    VimgEbsSite *site = fixture->store.site;
    VimgEbsStore other = {.writer = (char *)"host-b"};
    VimgPatience patience = vimg_ebs_patience_for(60);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_ebs_live_beat(&fixture->store, site, "u", &patience, &error));
    g_free(server_tell(fixture->server, "fault Get:live status 1 404:NoSuchKey"));
    g_assert_false(vimg_ebs_live_beat(&other, site, "u", &patience, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_true(vimg_ebs_live_check(&fixture->store, site, "u", &patience, NULL));
    /* whoever never had it ends nothing */
    vimg_ebs_live_end(&other, site, "u", &patience);
    g_assert_cmpuint(server_number(fixture->server, "number objects"), ==, 1);
    vimg_ebs_live_end(&fixture->store, site, "u", &patience);
    g_assert_cmpuint(server_number(fixture->server, "number objects"), ==, 0);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

static void
put(Fixture *fixture, const char *key, const char *text)
{
    VimgOssPut put = {.key = key, .data = text, .size = strlen(text)};
    g_autoptr(GError) error = NULL;

    vimg_oss_put(fixture->store.site->oss, &put, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* Storages lie beside others, below what is none, and not in one another. */
static void
test_find(Fixture *fixture, gconstpointer data)
{
    static const char *const ids[] = {"11111111-2222-4333-8444-555555555501",
                                      "11111111-2222-4333-8444-555555555502"};
    g_autoptr(GPtrArray) prefixes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    put(fixture, "a/b/id", ids[0]);
    put(fixture, "a/b/c/id", ids[1]); /* a storage's own */
    put(fixture, "a/b/names/x", "y");
    put(fixture, "d/id", ids[1]);
    put(fixture, "e/id", "no uuid");
    put(fixture, "e/f/other", "x");
    put(fixture, "id", ids[0]);         /* of no prefix */
    put(fixture, "a/g/h/i/id", ids[1]); /* too deep */
    g_free(server_tell(fixture->server, "set page 1"));
    vimg_ebs_find(fixture->store.site->oss, prefixes, found, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(prefixes->len, ==, 2);
    g_assert_cmpstr(prefixes->pdata[0], ==, "d");
    g_assert_cmpstr(prefixes->pdata[1], ==, "a/b");
    g_assert_cmpstr(found->pdata[0], ==, ids[1]);
    g_assert_cmpstr(found->pdata[1], ==, ids[0]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* registers the parser's class before threads do, as vimg_plugin_init does */
    g_assert_null(vimg_ebs_record_parse("", 0, NULL));
    ADD("/listing/list", test_list);
    ADD("/listing/later", test_later);
    ADD("/listing/damaged", test_damaged);
    ADD("/listing/hosts-at-once", test_hosts_at_once);
    ADD("/listing/names", test_names);
    ADD("/listing/writers", test_writers);
    ADD("/listing/find", test_find);
    return g_test_run();
}
