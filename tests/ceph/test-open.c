/*
 * test-open.c: an open store whose connection is replaced, and what counts as lost
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <pthread.h>

#include "cluster-helper.h"
#include "definition.h"
#include "diagnose.h"
#include "open.h"

#define ROUNDS 4
#define PROBERS 2

static VimgCephStore *
opened(Definition *definition)
{
    g_autoptr(GError) error = NULL;
    VimgCephStore *store = vimg_ceph_open(&definition->pool, NULL, &error);

    g_assert_no_error(error);
    return store;
}

static void
test_probe(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCephStore) store = NULL;
    g_autoptr(VimgCluster) cluster = NULL;
    g_autofree char *id = NULL;
    VimgPluginStore info = {.size = sizeof(info)};
    g_autoptr(GError) error = NULL;

    definition->pool.keep_deleted = 7;
    definition->pool.space_reserve = 1 << 20;
    store = opened(definition);
    cluster = vimg_ceph_store_cluster(store, NULL);
    id = g_strdup_printf("%s.%" G_GINT64_FORMAT, cluster->fsid, cluster->pool_id);
    g_assert_cmpuint(store->keep_deleted, ==, 7);
    g_assert_true(vimg_ceph_probe(store, &info, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(info.store_id, ==, id);
    g_assert_cmpuint(info.capacity - info.allocation - info.available, ==, 1 << 20);
    g_assert_false(info.read_only);
    g_free(info.store_id);
}

/* Nothing changed: the connection stays.  A new monitor: another one, and the former still works.
 */
static void
test_update(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCephStore) store = opened(definition);
    g_autoptr(VimgCluster) before = vimg_ceph_store_cluster(store, NULL);
    g_autoptr(VimgCluster) same = NULL;
    g_autoptr(VimgCluster) after = NULL;
    g_autoptr(GError) error = NULL;

    definition->pool.keep_deleted = 8;
    g_assert_true(vimg_ceph_update(store, &definition->pool, &error));
    same = vimg_ceph_store_cluster(store, NULL);
    g_assert_true(same == before);
    g_assert_cmpuint(store->keep_deleted, ==, 8);
    definition_add_host(definition, "localhost", cluster_port());
    g_assert_true(vimg_ceph_update(store, &definition->pool, &error));
    g_assert_no_error(error);
    after = vimg_ceph_store_cluster(store, NULL);
    g_assert_true(after != before);
    g_assert_true(vimg_cluster_probe(before, &error));
    g_assert_no_error(error);
}

/* What cannot be connected to changes nothing. */
static void
test_update_refused(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCephStore) store = opened(definition);
    g_autoptr(VimgCluster) before = vimg_ceph_store_cluster(store, NULL);
    g_autoptr(VimgCluster) after = NULL;
    g_autoptr(GError) error = NULL;

    definition->pool.secret_usage = "absent";
    g_assert_false(vimg_ceph_update(store, &definition->pool, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET);
    g_clear_error(&error);
    definition->pool.secret_usage = SECRET;
    definition->pool.source_name = "device_health_metrics";
    g_assert_false(vimg_ceph_update(store, &definition->pool, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    after = vimg_ceph_store_cluster(store, NULL);
    g_assert_true(after == before);
}

static void *
probe_often(void *data)
{
    int i;

    for (i = 0; i < 2 * ROUNDS; i++) {
        VimgPluginStore info = {.size = sizeof(info)};
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_ceph_probe(data, &info, &error));
        g_assert_no_error(error);
        g_free(info.store_id);
    }
    return NULL;
}

static void
test_update_while_used(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCephStore) store = opened(definition);
    pthread_t threads[PROBERS];
    int i;

    for (i = 0; i < PROBERS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, probe_often, store), ==, 0);
    for (i = 0; i < ROUNDS; i++) {
        g_autoptr(GError) error = NULL;

        definition_add_host(definition, "localhost", cluster_port());
        g_assert_true(vimg_ceph_update(store, &definition->pool, &error));
        g_assert_no_error(error);
    }
    for (i = 0; i < PROBERS; i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
}

static void
note_step(const VimgPluginStep *step, gpointer data)
{
    static const char *const words[] = {"ok", "warning", "failed", "skipped"};

    g_string_append_printf(data, "%s:%s ", step->name, words[step->verdict]);
}

static void
test_diagnose(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(GString) good = g_string_new(NULL);
    g_autoptr(GString) absent = g_string_new(NULL);
    g_autoptr(GString) keyless = g_string_new(NULL);

    g_assert_true(vimg_ceph_diagnose(&definition->pool, note_step, good, NULL, NULL));
    g_assert_cmpstr(good->str, ==, "key:ok monitors:ok cluster:ok writing:ok space:ok ");
    definition->pool.source_name = "absent";
    definition_add_host(definition, "nowhere.invalid", 0);
    g_assert_true(vimg_ceph_diagnose(&definition->pool, note_step, absent, NULL, NULL));
    g_assert_cmpstr(absent->str, ==,
                    "key:ok monitors:warning cluster:failed writing:skipped space:skipped ");
    definition->pool.secret_usage = "absent";
    g_assert_true(vimg_ceph_diagnose(&definition->pool, note_step, keyless, NULL, NULL));
    g_assert_cmpstr(keyless->str, ==,
                    "key:failed monitors:skipped cluster:skipped writing:skipped space:skipped ");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    g_test_add_func("/ceph/open/probe", test_probe);
    g_test_add_func("/ceph/open/update", test_update);
    g_test_add_func("/ceph/open/update-refused", test_update_refused);
    g_test_add_func("/ceph/open/update-while-used", test_update_while_used);
    g_test_add_func("/ceph/open/diagnose", test_diagnose);
    return g_test_run();
}
