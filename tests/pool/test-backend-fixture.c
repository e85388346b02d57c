/*
 * test-backend-fixture.c: the plugins of the tests, and the one that lies on demand
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/services.h"
#include "test-backend-fixture.h"

VimgBackends *backends;

const VimgType *
get(const char *type)
{
    g_autoptr(GError) error = NULL;
    const VimgType *found = vimg_backends_get(backends, type, &error);

    g_assert_no_error(error);
    g_assert_nonnull(found);
    return found;
}

void
pool_clear(Pool *pool)
{
    vimg_pool_view_free(pool->view);
    vimg_pool_def_free(pool->def);
}

Pool
pool_new(const char *type, const char *source, const char *options)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='%s' xmlns:image='urn:virtimage:pool:1'><name>p</name><source>%s</source>"
        "<image:options>%s</image:options></pool>",
        type, source, options);
    g_autoptr(GError) error = NULL;
    Pool pool;

    pool.def = vimg_pool_def_parse(xml, FALSE, &error);
    g_assert_no_error(error);
    pool.view = vimg_pool_view_new(pool.def, NULL, "/nowhere");
    return pool;
}

Pool
liar_pool(const char *lie)
{
    g_autofree char *source = g_strdup_printf("<name>%s</name>", lie);

    return pool_new("liar", source, "");
}

VimgStore *
liar_open(const char *lie)
{
    g_auto(Pool) pool = liar_pool(lie);
    g_autoptr(GError) error = NULL;
    VimgStore *store = vimg_store_open(get("liar"), pool.view, 0, NULL, NULL, &error);

    g_assert_no_error(error);
    return store;
}

VimgPluginImage
named(char *uuid, char *name)
{
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = uuid;
    image.name = name;
    image.format = (char *)"raw";
    return image;
}

void
assert_refused(gboolean ok, GError **thrown, VimgErrorCode code, const char *text)
{
    const GError *error = *thrown;

    g_assert_false(ok);
    g_assert_error(error, VIMG_ERROR, (gint)code);
    if (!strstr(error->message, text))
        g_error("'%s' does not say '%s'", error->message, text);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

void
add_rows(const char *prefix, gsize n, GTestDataFunc func)
{
    gsize i;

    for (i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/backend/%s/%zu", prefix, i);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), func);
    }
}

void
backends_set_up(void)
{
    backends = vimg_backends_new(TEST_PLUGIN_DIR, vimg_services_get());
}

int
backends_run(void)
{
    int result = g_test_run();

    vimg_backends_free(backends);
    return result;
}
