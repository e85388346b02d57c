/*
 * test-model-export-nbd.c: images served over NBD: begun, read, ended
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-export-fixture.h"
#include "pool/export.h"
#include "util/error.h"

typedef struct {
    char *id; /* of what was started last */
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
    guint stopped;
    gboolean fails;
} Server;

static char *
start_server(const char *id, const guint8 *hash, uid_t uid, gpointer data, GError **error)
{
    Server *server = data;

    g_assert_cmpuint(uid, ==, 1234);
    g_free(server->id);
    server->id = g_strdup(id);
    memcpy(server->hash, hash, sizeof(server->hash));
    if (!server->fails)
        return g_strdup("/socket");
    vimg_throw(error, VIMG_ERROR_FAILED, "no");
    return NULL;
}

static void
stop_server(const char *id, gpointer data)
{
    Server *server = data;

    g_assert_cmpstr(id, ==, server->id);
    server->stopped++;
}

static const VimgNbdServer nbd_server = {.start = start_server, .stop = stop_server};

static gboolean
serve(Fixture *fixture, Server *server, ExportMade *out, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autofree char *path = NULL;

    out->info = vimg_model_nbd_start(fixture->model, &id, "a.raw", 1234, &path, error);
    g_assert_cmpstr(path, ==, out->info ? "/socket" : NULL);
    memcpy(out->hash, server->hash, sizeof(out->hash));
    return out->info != NULL;
}

static guint
count_exports(Fixture *fixture)
{
    g_autoptr(GPtrArray) list = vimg_model_export_list(fixture->model, NULL, 1024);

    return list->len;
}

static void
test_nbd(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(ExportMade) made = {0};
    Server server = {0};
    VimgExportExtent extent;

    export_set_up(fixture);
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_true(serve(fixture, &server, &made, &error));
    g_assert_cmpstr(made.info->state, ==, "served");
    g_assert_cmpint(made.info->expires, ==, 0);
    g_assert_cmpuint(made.info->size, ==, EXPORT_SIZE);
    g_assert_cmpstr(export_state(fixture, &made), ==, "live");
    bytes = export_read_all(fixture, &made, 4096);
    g_assert_cmpuint(bytes->len, ==, EXPORT_SIZE);
    for (guint64 at = 0; at < EXPORT_SIZE; at += extent.length) {
        g_assert_true(vimg_model_export_map(fixture->model, made.hash, at, &extent, &error));
        g_assert_cmpuint(extent.length, >, 0);
        for (guint64 i = at; extent.zeros && i < at + extent.length; i++)
            g_assert_cmpuint(bytes->data[i], ==, 0);
    }
    g_assert_false(vimg_model_export_map(fixture->model, made.hash, EXPORT_SIZE, &extent, &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: there is nothing at this place of the export");
    vimg_model_nbd_ended(fixture->model, "no id");
    vimg_model_nbd_ended(fixture->model, server.id);
    g_assert_cmpuint(server.stopped, ==, 0);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_cmpstr(export_state(fixture, &made), ==, "absent");
    g_free(server.id);
}

/* By either name, and never twice. */
static void
test_nbd_stopped(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) first = {0};
    g_auto(ExportMade) second = {0};
    Server server = {0};
    GError *error = NULL;

    export_set_up(fixture);
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_true(serve(fixture, &server, &first, NULL));
    g_assert_no_error(export_read_error(fixture, &first, 0, 4096));
    g_assert_true(vimg_model_nbd_stop(fixture->model, server.id, NULL));
    error = export_read_error(fixture, &first, 4096, 4096);
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: the export has ended");
    g_assert_true(serve(fixture, &server, &second, NULL));
    g_assert_true(vimg_model_export_revoke(fixture->model, server.id, NULL));
    g_assert_cmpuint(server.stopped, ==, 2);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_false(vimg_model_nbd_stop(fixture->model, "x", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: no image is served over NBD by id 'x'");
    g_free(server.id);
}

static void
test_nbd_refused(Fixture *fixture, gconstpointer data)
{
    g_auto(ExportMade) made = {0};
    Server server = {.fails = TRUE};
    GError *error = NULL;

    export_set_up(fixture);
    g_assert_false(serve(fixture, &server, &made, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                      "Operation not supported: images are not served over NBD here: nbdkit or "
                      "virtimage's plugin for it is not installed");
    vimg_model_set_nbd(fixture->model, &nbd_server, &server);
    g_assert_false(serve(fixture, &server, &made, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_cmpuint(count_exports(fixture), ==, 0);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1); /* the pool: no job is left */
    g_free(server.id);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model-export/nbd", NULL, test_nbd);
    FIXTURE_ADD("/model-export/nbd/stopped", NULL, test_nbd_stopped);
    FIXTURE_ADD("/model-export/nbd/refused", NULL, test_nbd_refused);
    return g_test_run();
}
