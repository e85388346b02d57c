/*
 * test-control.c: calls of a control endpoint, in each dialect, and when it fails
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "control.h"
#include "server-helper.h"

#define TOLD(server, ...) g_free(server_tell(server, __VA_ARGS__))

static const char *const dialects[] = {"ecs-rpc", "ecs-acs3"};

static VimgControl *
new_control(Server *server, const char *dialect, const char *path)
{
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u%s", server->port, path);
    g_autoptr(VimgCredential) credential = server_credential();
    g_autoptr(GError) error = NULL;
    VimgControlRules rules = {
        .url = url, .dialect = vimg_dialect_find(dialect), .region = "cn-hangzhou"};
    VimgControl *control = vimg_control_new(&rules, credential, &error);

    g_assert_no_error(error);
    return control;
}

static const VimgImport import = {
    .token = "token-1",
    .name = "debian 12+x&y=z%",
    .description = "größe ~*'()!",
    .bucket = "images",
    .key = "p/u/debian 12.qcow2",
    .format = "qcow2",
    .size = 3221225473,
    .tag = "virtimage",
    .tag_value = "1234",
};

static void
test_import(gconstpointer data)
{
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, data, "/ocean/api");
    g_auto(VimgCloudImage) image = {0};
    g_auto(VimgTask) task = {0};
    g_autofree char *image_id = NULL;
    g_autofree char *task_id = NULL;
    g_autofree char *again_id = NULL;
    g_autofree char *again_task = NULL;
    g_autoptr(GError) error = NULL;

    TOLD(server, "set step 40");
    TOLD(server, "fault ImportImage lost");
    vimg_control_import(control, &import, &image_id, &task_id, NULL, &error);
    g_assert_no_error(error);
    vimg_control_import(control, &import, &again_id, &again_task, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(image_id, ==, again_id);
    g_assert_cmpuint(server_number(server, "number images"), ==, 1);
    vimg_control_describe_image(control, NULL, import.name, &image, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(image.state, ==, VIMG_CLOUD_IMAGE_WAITING);
    g_assert_cmpstr(image.id, ==, image_id);
    g_assert_cmpstr(g_hash_table_lookup(image.tags, "virtimage"), ==, "1234");
    do {
        vimg_task_clear(&task);
        vimg_control_describe_task(control, task_id, &task, NULL, &error);
        g_assert_no_error(error);
    } while (task.state == VIMG_TASK_RUNNING);
    g_assert_cmpint(task.state, ==, VIMG_TASK_FINISHED);
    g_assert_cmpuint(task.percent, ==, 100);
    vimg_cloud_image_clear(&image);
    vimg_control_describe_image(control, image_id, NULL, &image, NULL, &error);
    g_assert_cmpint(image.state, ==, VIMG_CLOUD_IMAGE_AVAILABLE);
    g_assert_false(vimg_control_cancel_task(control, task_id, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    vimg_control_delete_image(control, image_id, NULL, &error);
    g_assert_no_error(error);
    vimg_control_delete_image(control, image_id, NULL, &error);
    g_assert_no_error(error);
    vimg_cloud_image_clear(&image);
    vimg_control_describe_image(control, image_id, NULL, &image, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(image.state, ==, VIMG_CLOUD_IMAGE_ABSENT);
}

static void
test_others(gconstpointer data)
{
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, data, "/ocean/api/");
    g_auto(VimgTask) task = {0};
    g_autofree char *image_id = NULL;
    g_autofree char *task_id = NULL;
    g_autofree char *export_id = NULL;
    g_autofree char *copy_id = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_control_probe(control, NULL, &error));
    vimg_control_import(control, &import, &image_id, &task_id, NULL, &error);
    g_assert_no_error(error);
    vimg_control_copy(control, image_id, "copy", "token-2", &copy_id, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(copy_id, !=, image_id);
    vimg_control_export(control, image_id, "images", "x", "raw", &export_id, NULL, &error);
    g_assert_no_error(error);
    vimg_control_describe_task(control, export_id, &task, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(task.objects);
    g_assert_true(g_str_has_prefix(task.objects[0], "x_m-"));
    vimg_control_cancel_task(control, task_id, NULL, &error);
    g_assert_no_error(error);
    vimg_task_clear(&task);
    vimg_control_describe_task(control, task_id, &task, NULL, &error);
    g_assert_cmpint(task.state, ==, VIMG_TASK_FAILED);
    g_assert_false(vimg_control_describe_task(control, "t-none", &task, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* An endpoint that shows whatever it has must not have us wait for, or delete, that. */
static void
test_another_image(void)
{
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, dialects[0], "/ocean/api");
    g_auto(VimgCloudImage) image = {0};
    g_autofree char *image_id = NULL;
    g_autofree char *task_id = NULL;
    g_autoptr(GError) error = NULL;

    vimg_control_import(control, &import, &image_id, &task_id, NULL, &error);
    g_assert_no_error(error);
    TOLD(server, "set blind true");
    g_assert_false(vimg_control_describe_image(control, "m-other", NULL, &image, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_false(vimg_control_describe_image(control, NULL, "other", &image, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_true(vimg_control_describe_image(control, image_id, NULL, &image, NULL, &error));
}

static void
test_import_fails(void)
{
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, dialects[0], "/ocean/api");
    g_auto(VimgTask) task = {0};
    g_autofree char *image_id = NULL;
    g_autofree char *task_id = NULL;
    g_autoptr(GError) error = NULL;

    TOLD(server, "set fail_imports true");
    vimg_control_import(control, &import, &image_id, &task_id, NULL, &error);
    vimg_control_describe_task(control, task_id, &task, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(task.state, ==, VIMG_TASK_FAILED);
    g_assert_cmpstr(task.reason, ==, "InvalidImageFormat: the image cannot be read");
}

typedef struct {
    const char *path;
    const char *told; /* to the server; NULL: nothing */
    gint code;        /* of a probe; -1: it works in the end */
    guint calls;
    const char *within; /* the message has it */
} Failure;

static const Failure failures[] = {
    {"/control/fault/500", "fault * status 2 500:InternalError", -1, 3, NULL},
    {"/control/fault/throttled", "fault * throttle 1 1", -1, 2, NULL},
    {"/control/fault/throttled-400", "fault * status 1 400:Throttling.User", -1, 2, NULL},
    {"/control/fault/drop", "fault * drop 1", -1, 2, NULL},
    {"/control/fault/nonce", "fault * status 1 400:SignatureNonceUsed", -1, 2, NULL},
    {"/control/fault/skew", "set skew -9000", -1, 2, NULL},
    {"/control/fault/key", "set keys {\"ak\":\"other\"}", VIMG_ERROR_AUTH, 1,
     "SignatureDoesNotMatch: no (request id R-"},
    {"/control/fault/unknown-key", "set keys {}", VIMG_ERROR_AUTH, 1, "InvalidAccessKeyId"},
    {"/control/fault/role", "fault * status 9 403:NoSetRoletoECSServiceAcount",
     VIMG_ERROR_ACCESS_DENIED, 1, "NoSetRoletoECSServiceAcount"},
    {"/control/fault/region", "set region \"x\"", VIMG_ERROR_FAILED, 1, "InvalidRegionId"},
    {"/control/fault/html", "fault * html 9", VIMG_ERROR_NO_SUPPORT, 1, NULL},
    {"/control/fault/garbage", "fault * garbage 9", VIMG_ERROR_NO_SUPPORT, 1, NULL},
    {"/control/fault/huge", "fault * huge 9", VIMG_ERROR_INTERNAL, 1, NULL},
};

static void
test_failure(gconstpointer data)
{
    const Failure *c = data;
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, dialects[0], "/ocean/api");
    g_autoptr(GError) error = NULL;

    TOLD(server, "%s", c->told);
    vimg_control_probe(control, NULL, &error);
    if (c->code < 0)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIMG_ERROR, c->code);
    if (c->within)
        g_assert_nonnull(strstr(error->message, c->within));
    g_assert_cmpuint(server_number(server, "count DescribeImages"), ==, c->calls);
}

static void
test_elsewhere(void)
{
    g_autoptr(Server) server = server_new("ecsserver.py", NULL);
    g_autoptr(VimgControl) control = new_control(server, dialects[0], "/other");
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_control_probe(control, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
}

static void
test_url(void)
{
    static const struct {
        const char *url;
        gboolean good;
    } urls[] = {
        {"http://ocean.example:8080/ocean/api", TRUE},
        {"https://ocean.example/ocean/api/", TRUE},
        {"http://10.0.0.1", TRUE},
        {"http://[fd00::1]:8080/x", TRUE},
        {"ocean.example/ocean/api", FALSE},
        {"ftp://ocean.example/ocean/api", FALSE},
        {"http://user@ocean.example/ocean/api", FALSE},
        {"http://u:p@ocean.example/ocean/api", FALSE},
        {"http://ocean.example/ocean/api?x=1", FALSE},
        {"http://ocean.example/ocean/api#x", FALSE},
        {"http://ocean.example:99999/ocean/api", FALSE},
        {"http:///ocean/api", FALSE},
        {"http://a b/", FALSE},
        {"http://ocean.example/a\nb", FALSE},
        {"", FALSE},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autoptr(GError) error = NULL;

        if (vimg_control_check_url(urls[i].url, &error) != urls[i].good)
            g_error("'%s'", urls[i].url);
        if (!urls[i].good) {
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
            g_assert_nonnull(strstr(error->message, urls[i].url));
        }
    }
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(dialects); i++) {
        g_autofree char *imports = g_strdup_printf("/control/import/%s", dialects[i]);
        g_autofree char *others = g_strdup_printf("/control/others/%s", dialects[i]);

        g_test_add_data_func(imports, dialects[i], test_import);
        g_test_add_data_func(others, dialects[i], test_others);
    }
    for (i = 0; i < G_N_ELEMENTS(failures); i++)
        g_test_add_data_func(failures[i].path, &failures[i], test_failure);
    g_test_add_func("/control/another-image", test_another_image);
    g_test_add_func("/control/import-fails", test_import_fails);
    g_test_add_func("/control/elsewhere", test_elsewhere);
    g_test_add_func("/control/url", test_url);
    return g_test_run();
}
