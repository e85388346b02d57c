/*
 * test-handlers-connect.c: opening a connection, and what it says of itself and its host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "handler-call.h"

typedef struct {
    const char *path;
    const char *args;
    gboolean session;
    const char *uri; /* NULL: refused */
    gboolean read_only;
    int code;
    const char *text;
} OpenCase;

static const OpenCase open_cases[] = {
    {"null", "i:0 i:0", FALSE, "image:///system", FALSE},
    {"null-session", "i:0 i:0", TRUE, "image:///session", FALSE},
    {"empty", "i:1 s: i:0", FALSE, "image:///system", FALSE},
    {"no-path", "i:1 s:image:/// i:0", FALSE, "image:///system", FALSE},
    {"system", "i:1 s:image:///system i:0", FALSE, "image:///system", FALSE},
    {"other-true", "x:01000000 s:image:///system i:0", FALSE, "image:///system", FALSE},
    {"read-only", "i:1 s:image:///system i:1", FALSE, "image:///system", TRUE},
    {"private-flags", "i:1 s:image:///system i:6", FALSE, "image:///system", FALSE},
    {"query", "i:1 s:image:///system?socket=/s i:0", FALSE, "image:///system?socket=/s", FALSE},
    {"session", "i:1 s:image:///session i:6", TRUE, "image:///session", FALSE},
    {"system-of-session", "i:1 s:image:///system i:0", TRUE, "image:///system", FALSE},
    {"compat", "i:1 s:qemu:///system i:0", FALSE, "qemu:///system", FALSE},
    {"compat-query", "i:1 s:qemu:///system?no_verify=1 i:0", FALSE, "qemu:///system?no_verify=1",
     FALSE},
    {"session-of-root", "i:1 s:image:///session i:0", FALSE, "image:///session", FALSE},
    {"bad-path", "i:1 s:image:///x i:0", TRUE, NULL, FALSE, VIMG_ERROR_INTERNAL,
     "internal error: unexpected image URI path '/x', try image:///session"},
    {"bad-path-of-root", "i:1 s:image:///system/../x i:0", FALSE, NULL, FALSE, VIMG_ERROR_INTERNAL,
     "internal error: unexpected image URI path '/system/../x', try image:///system"},
    {"no-path-at-all", "i:1 s:image://?socket=/s i:0", FALSE, NULL, FALSE, VIMG_ERROR_INTERNAL,
     "internal error: unexpected image URI path '', try image:///system"},
    {"scheme-alone", "i:1 s:image: i:0", FALSE, NULL, FALSE, VIMG_ERROR_NO_CONNECT,
     "no connection driver available for image:"},
    {"not-compat", "i:1 s:qemu:///session i:0", FALSE, NULL, FALSE, VIMG_ERROR_NO_CONNECT,
     "no connection driver available for qemu:///session"},
    {"host", "i:1 s:image://far/system i:0", FALSE, NULL, FALSE, VIMG_ERROR_NO_CONNECT,
     "no connection driver available for image://far/system"},
    {"scheme", "i:1 s:imagery:///system i:0", FALSE, NULL, FALSE, VIMG_ERROR_NO_CONNECT, NULL},
    {"no-uri", "i:1 s:%% i:0", FALSE, NULL, FALSE, VIMG_ERROR_NO_CONNECT,
     "no connection driver available for %%"},
};

static void
test_open(gconstpointer data)
{
    static char *compat[] = {(char *)"xen:///", (char *)"qemu:///system", NULL};
    const OpenCase *c = data;
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *answer = NULL;

    client->server.privileged = !c->session;
    client->server.config.compat_uris = compat;
    answer = handler_call(client, 1, c->args, NULL, &error);
    g_assert_cmpstr(client->uri, ==, c->uri);
    g_assert_cmpint(client->read_only, ==, c->read_only);
    if (c->uri) {
        g_autofree char *again = NULL;

        g_assert_no_error(error);
        g_assert_cmpstr(answer, ==, "");
        again = handler_call(client, 1, c->args, NULL, &error);
        g_assert_null(again);
        handler_check_error(error, VIMG_ERROR_RPC_STATE, "internal error: connection already open");
    } else {
        handler_check_error(error, c->code, c->text);
    }
}

static void
test_uri(void)
{
    g_autoptr(VimgClient) client = fake_client_new();
    g_autofree char *opened = handler_call(client, 1, "i:0 i:0", NULL, NULL);
    g_autofree char *uri = handler_call(client, 110, "", NULL, NULL);
    g_autofree char *expected = handler_hex("s:image:///system");

    g_assert_nonnull(opened);
    g_assert_cmpstr(uri, ==, expected);
}

static void
test_auth_list(void)
{
    static const struct {
        gboolean privileged;
        uid_t uid;
        gboolean ok;
    } peers[] = {{TRUE, 0, TRUE}, {TRUE, 1000, TRUE}, {FALSE, 0, TRUE}, {FALSE, 4000000, FALSE}};

    for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
        g_autoptr(VimgClient) client = fake_client_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *answer = NULL;

        client->server.privileged = peers[i].privileged;
        client->uid = peers[i].uid;
        answer = handler_call(client, 66, "", NULL, &error);
        g_assert_cmpint(client->authenticated, ==, peers[i].ok);
        if (peers[i].ok)
            g_assert_cmpstr(answer, ==, "0000000100000000");
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    }
}

static void
test_features(void)
{
    static const int yes[] = {10, 14, 15};
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *keepalive = handler_call(client, 60, "i:10", NULL, NULL);
    g_autofree char *early = handler_call(client, 60, "i:14", NULL, &error);

    g_assert_cmpstr(keepalive, ==, "00000001");
    g_assert_true(client->keepalive);
    g_assert_null(early);
    handler_check_error(error, VIMG_ERROR_RPC_STATE, "internal error: connection not open");

    vimg_client_set_uri(client, "image:///system");
    client->keepalive = FALSE;
    for (int feature = -1; feature < 100; feature++) {
        g_autofree char *args = g_strdup_printf("i:%d", feature);
        g_autofree char *answer = handler_call(client, 60, args, NULL, NULL);
        gboolean known = FALSE;

        for (guint i = 0; i < G_N_ELEMENTS(yes); i++)
            known |= yes[i] == feature;
        g_assert_cmpstr(answer, ==, known ? "00000001" : "00000000");
        g_assert_cmpint(client->keepalive, ==, feature >= 10);
    }
}

static void
test_identity(void)
{
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *answer = NULL;

    client->uid = 1000;
    answer = handler_call(client, 419, "i:0 i:0", NULL, &error);
    g_assert_null(answer);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ACCESS_DENIED);
}

static void
test_host(void)
{
    g_autoptr(VimgClient) client = fake_client_new();
    g_autofree char *info = handler_call(client, 6, "", NULL, NULL);
    g_autofree char *name = handler_call(client, 59, "", NULL, NULL);
    g_autofree char *capabilities = handler_call(client, 7, "", NULL, NULL);
    g_autofree char *tokens = g_strdup_printf("s:%s", g_get_host_name());
    g_autofree char *expected = handler_hex(tokens);

    /* 32 characters of four bytes, one hyper, six integers */
    g_assert_cmpint(strlen(info), ==, 2 * (128 + 8 + 24));
    g_assert_cmpstr(name, ==, expected);
    g_assert_nonnull(strstr(capabilities, "3c6361706162696c69746965733e")); /* <capabilities> */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(open_cases); i++) {
        g_autofree char *path = g_strconcat("/handlers/open/", open_cases[i].path, NULL);

        g_test_add_data_func(path, &open_cases[i], test_open);
    }
    g_test_add_func("/handlers/uri", test_uri);
    g_test_add_func("/handlers/auth-list", test_auth_list);
    g_test_add_func("/handlers/features", test_features);
    g_test_add_func("/handlers/identity-of-nobody", test_identity);
    g_test_add_func("/handlers/host", test_host);
    return g_test_run();
}
