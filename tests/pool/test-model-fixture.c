/*
 * test-model-fixture.c: a model in a temporary directory, on storages in memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <ftw.h>
#include <gmodule.h>
#include <stdio.h>
#include <unistd.h>

#include "test-model-fixture.h"
#include "util/error.h"
#include "util/file.h"

/* ---- events ----------------------------------------------------------------------------- */

static const char *const lifecycle[] = {
    [VIR_STORAGE_POOL_EVENT_DEFINED] = "defined", [VIR_STORAGE_POOL_EVENT_UNDEFINED] = "undefined",
    [VIR_STORAGE_POOL_EVENT_STARTED] = "started", [VIR_STORAGE_POOL_EVENT_STOPPED] = "stopped",
    [VIR_STORAGE_POOL_EVENT_CREATED] = "created", [VIR_STORAGE_POOL_EVENT_DELETED] = "deleted",
};

static void
hear(const VimgEvent *event, gpointer data)
{
    Fixture *fixture = data;
    const char *what = "refreshed";

    if (event->kind == VIMG_EVENT_POOL_LIFECYCLE)
        what = lifecycle[event->event];
    else if (event->kind != VIMG_EVENT_POOL_REFRESH)
        return;
    VIMG_LOCK_GUARD(&fixture->lock);
    g_string_append_printf(fixture->events, "%s%s:%s", fixture->events->len > 0 ? " " : "",
                           event->pool.name, what);
    vimg_cond_broadcast(&fixture->changed);
}

char *
fixture_events(Fixture *fixture)
{
    char *heard;

    VIMG_LOCK_GUARD(&fixture->lock);
    heard = g_strdup(fixture->events->str);
    g_string_truncate(fixture->events, 0);
    return heard;
}

void
fixture_wait_event(Fixture *fixture, const char *event)
{
    VIMG_LOCK_GUARD(&fixture->lock);
    while (!strstr(fixture->events->str, event))
        vimg_cond_wait(&fixture->changed, &fixture->lock);
}

void
fixture_assert_events(Fixture *fixture, const char *expected)
{
    g_autofree char *heard = fixture_events(fixture);

    g_assert_cmpstr(heard, ==, expected);
}

/* ---- life ------------------------------------------------------------------------------- */

char *
fixture_path(Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->root, name, NULL);
}

gboolean
fixture_exists(Fixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);

    return g_file_test(path, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK);
}

void
fixture_write(Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = fixture_path(fixture, name);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(path, text, -1, &error));
    g_assert_no_error(error);
}

void
fixture_start(Fixture *fixture)
{
    g_autofree char *config_dir = fixture_path(fixture, "config");
    g_autofree char *state_dir = fixture_path(fixture, "state");
    g_autofree char *run_dir = fixture_path(fixture, "run");
    const VimgModelConfig config = {
        .config_dir = config_dir,
        .state_dir = state_dir,
        .run_dir = run_dir,
        .plugin_dir = TEST_MODEL_PLUGINS,
        .zones = fixture->zones,
        .search_paths = fixture->search_paths,
        .metrics_file = fixture->metrics_file,
        .metrics_interval = 1,
    };
    g_autoptr(GError) error = NULL;

    fixture->model = vimg_model_new(&config, &error);
    g_assert_no_error(error);
    vimg_model_set_event_sink(fixture->model, hear, fixture);
    vimg_model_start(fixture->model, &error);
    g_assert_no_error(error);
}

void
fixture_stop(Fixture *fixture)
{
    g_clear_pointer(&fixture->model, vimg_model_free);
}

void
fixture_restart(Fixture *fixture)
{
    fixture_stop(fixture);
    fixture_start(fixture);
}

/* The module of the tests is the one the model loads: modules are never loaded twice. */
static const MemoryControl *
find_control(const char *type)
{
    g_autofree char *file = g_strdup_printf("%s/vimg-%s.so", TEST_MODEL_PLUGINS, type);
    GModule *module = g_module_open(file, G_MODULE_BIND_LOCAL);
    gpointer control = NULL;

    g_assert_nonnull(module);
    g_module_make_resident(module);
    g_assert_true(g_module_symbol(module, MEMORY_CONTROL, &control));
    return control;
}

void
fixture_set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->root = g_dir_make_tmp(NULL, &error);
    g_assert_no_error(error);
    vimg_mutex_init(&fixture->lock);
    vimg_cond_init(&fixture->changed);
    fixture->events = g_string_new(NULL);
    fixture->memory = find_control("memory");
    fixture->memcopy = find_control("memcopy");
    fixture->memory->reset();
    fixture->memcopy->reset();
    fixture_start(fixture);
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void
fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    fixture_stop(fixture);
    nftw(fixture->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    g_string_free(fixture->events, TRUE);
    vimg_cond_clear(&fixture->changed);
    vimg_mutex_clear(&fixture->lock);
    g_free(fixture->root);
}

/* ---- pools ------------------------------------------------------------------------------ */

char *
pool_xml_full(const char *type, const char *name, const char *uuid, const char *dir,
              const char *options)
{
    GString *xml = g_string_new(NULL);

    g_string_append_printf(
        xml, "<pool type='%s' xmlns:image='urn:virtimage:pool:1'><name>%s</name>", type, name);
    if (uuid)
        g_string_append_printf(xml, "<uuid>%s</uuid>", uuid);
    g_string_append_printf(xml, "<source><dir path='%s'/></source>", dir);
    if (options)
        g_string_append_printf(xml, "<image:options>%s</image:options>", options);
    g_string_append(xml, "</pool>");
    return g_string_free(xml, FALSE);
}

char *
pool_xml(const char *name, const char *uuid, const char *options)
{
    g_autofree char *dir = g_strdup_printf("/mem/%s", name);

    return pool_xml_full("memory", name, uuid, dir, options);
}

gboolean
fixture_define(Fixture *fixture, const char *xml, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_define(fixture->model, xml, 0, &id, error);
}

gboolean
fixture_create(Fixture *fixture, const char *xml, guint flags, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_create_xml(fixture->model, xml, flags, &id, error);
}

/* The name is lost with @fixture's answer; a uuid is enough. */
VimgPoolId
pool_id(Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    VimgPoolId id = {0};

    vimg_model_pool_by_name(fixture->model, name, &id, &error);
    g_assert_no_error(error);
    g_clear_pointer(&id.name, g_free);
    return id;
}

void
define_pool(Fixture *fixture, const char *name)
{
    g_autofree char *xml = pool_xml(name, NULL, NULL);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_pool_define(fixture->model, xml, 0, &id, &error);
    g_assert_no_error(error);
}

void
start_pool(Fixture *fixture, const char *name)
{
    VimgPoolId id = pool_id(fixture, name);
    g_autoptr(GError) error = NULL;

    vimg_model_pool_create(fixture->model, &id, 0, &error);
    g_assert_no_error(error);
}

void
define_and_start(Fixture *fixture, const char *name)
{
    define_pool(fixture, name);
    start_pool(fixture, name);
}

gboolean
destroy_pool(Fixture *fixture, const char *name, GError **error)
{
    VimgPoolId id = pool_id(fixture, name);

    return vimg_model_pool_destroy(fixture->model, &id, error);
}

guint8
pool_state(Fixture *fixture, const char *name)
{
    VimgPoolId id = pool_id(fixture, name);
    g_autoptr(GError) error = NULL;
    VimgPoolInfo info = {0};

    vimg_model_pool_info(fixture->model, &id, &info, &error);
    g_assert_no_error(error);
    return info.state;
}

/* Opening goes on in other threads; what is waited for is a state that must come. */
void
fixture_wait_state(Fixture *fixture, const char *pool, guint8 state)
{
    while (pool_state(fixture, pool) != state)
        g_usleep(1000);
}

void
fixture_wait_active(Fixture *fixture, const char *pool)
{
    fixture_wait_state(fixture, pool, VIR_STORAGE_POOL_RUNNING);
}

/* ---- volumes ---------------------------------------------------------------------------- */

VimgVolId
vol_id(const char *pool, const char *name)
{
    return (VimgVolId){.pool = (char *)pool, .name = (char *)name};
}

char *
vol_xml(const char *name, const char *format, guint64 capacity)
{
    g_autofree char *target = format ? g_strdup_printf("<format type='%s'/>", format) : NULL;

    return g_strdup_printf("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT
                           "</capacity><target>%s</target></volume>",
                           name, capacity, target ? target : "");
}

void
create_vol(Fixture *fixture, const char *pool, const char *name, const char *format,
           guint64 capacity)
{
    g_autofree char *xml = vol_xml(name, format, capacity);
    VimgPoolId id = pool_id(fixture, pool);
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_vol_create(fixture->model, &id, xml, 0, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.pool, ==, pool);
    g_assert_cmpstr(out.name, ==, name);
}

gboolean
push_bytes(VimgTransfer *transfer, const char *bytes, gsize size, GError **error)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(size);

    memcpy(buffer->data, bytes, size);
    return vimg_transfer_write(transfer, buffer, 0, size, error);
}

gboolean
push(VimgTransfer *transfer, gsize size, char byte, GError **error)
{
    g_autofree char *bytes = g_strnfill(size, byte);

    return push_bytes(transfer, bytes, size, error);
}

static const struct {
    guint offset;
    guint32 value; /* big-endian */
} qcow2_words[] = {
    {4, 3},  /* version */
    {20, 9}, /* clusters of 512 bytes */
    {28, 65536},
    {36, 2},     /* entries of the L1 table */
    {44, 1536},  /* where it is */
    {52, 512},   /* the refcount table */
    {56, 1},     /* its clusters */
    {96, 4},     /* refcounts of 16 bits */
    {100, 104},  /* length of the header */
    {516, 1024}, /* the refcount block: four clusters in use */
    {1024, 0x00010001},
    {1028, 0x00010001},
};

const char *
qcow2_image(void)
{
    static char image[QCOW2_SIZE] = "QFI\xfb";
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(qcow2_words); i++) {
        guint32 value = GUINT32_TO_BE(qcow2_words[i].value);

        memcpy(image + qcow2_words[i].offset, &value, sizeof(value));
    }
    return image;
}

const char *
iso_image(void)
{
    static char image[ISO_SIZE];
    guint8 *volume = (guint8 *)image + 16 * 2048;

    memcpy(volume, "\001CD001\001", 7);
    memcpy(volume + 2048, "\377CD001\001", 7);
    volume[80] = volume[87] = ISO_SIZE / 2048; /* blocks, in both byte orders */
    volume[129] = volume[130] = 2048 >> 8;     /* bytes of each */
    return image;
}

void
upload_all(Fixture *fixture, const char *pool, const char *name, guint64 size, char byte)
{
    VimgVolId id = vol_id(pool, name);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgTransfer) transfer = vimg_model_upload(fixture->model, &id, 0, 0, FALSE, &error);

    g_assert_no_error(error);
    push(transfer, size, byte, &error);
    g_assert_no_error(error);
    vimg_transfer_finish(transfer, &error);
    g_assert_no_error(error);
}

char *
download_all(Fixture *fixture, const char *pool, const char *name, guint64 offset, guint64 length)
{
    VimgVolId id = vol_id(pool, name);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgTransfer) transfer =
        vimg_model_download(fixture->model, &id, offset, length, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    g_assert_no_error(error);
    for (;;) {
        VimgExtent extent = {0};

        vimg_transfer_next(transfer, &extent, &error);
        g_assert_no_error(error);
        if (extent.length == 0)
            break;
        g_string_append_printf(text, "%s%c%" G_GUINT64_FORMAT, text->len > 0 ? " " : "",
                               extent.data ? 'd' : 'h', extent.length);
        vimg_buffer_unref(extent.data);
    }
    vimg_transfer_finish(transfer, &error);
    g_assert_no_error(error);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *
vol_names(Fixture *fixture, const char *pool)
{
    VimgPoolId id = pool_id(fixture, pool);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = vimg_model_pool_volumes(fixture->model, &id, &error);
    GString *text = g_string_new(NULL);
    guint i;

    g_assert_no_error(error);
    for (i = 0; i < list->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
                               ((VimgVolId *)g_ptr_array_index(list, i))->name);
    return g_string_free(text, FALSE);
}

char *
vol_state(Fixture *fixture, const char *pool, const char *name)
{
    VimgVolId id = vol_id(pool, name);
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = vimg_model_vol_xml(fixture->model, &id, 0, &error);
    const char *state;

    g_assert_no_error(error);
    state = strstr(xml, "<image:state");
    g_assert_nonnull(state);
    state = strchr(state, '>') + 1;
    return g_strndup(state, strcspn(state, "<"));
}

gboolean
clone_vol(Fixture *fixture, const char *pool, const char *xml, const char *from_pool,
          const char *from, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);
    VimgVolId source = vol_id(from_pool, from);
    g_auto(VimgVolId) out = {0};

    return vimg_model_vol_create_from(fixture->model, &id, xml, &source, 0, &out, error);
}

gboolean
delete_vol(Fixture *fixture, const char *pool, const char *name, GError **error)
{
    VimgVolId id = vol_id(pool, name);

    return vimg_model_vol_delete(fixture->model, &id, 0, error);
}

void
assert_error_text(GError **error, VimgErrorCode code, const char *text)
{
    g_autofree char *whole = NULL;

    g_assert_error(*error, VIMG_ERROR, (gint)code);
    whole = vimg_error_text(*error);
    g_assert_cmpstr(whole, ==, text);
    g_clear_error(error);
}
