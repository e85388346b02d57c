/*
 * test-url.c: which URLs may be fetched
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/fetch-private.h"

#define OK_CODE (-1)
#define ARG VIMG_ERROR_INVALID_ARG
#define DENIED VIMG_ERROR_ACCESS_DENIED

static const char *const none[] = {NULL};
static const char *const all_schemes[] = {"https", "http", "file", NULL};
static const char *const some_schemes[] = {"https", NULL};
static const char *const some_hosts[] = {"*.Example.com", "mirror?.org", "192.0.2.1", NULL};
static const VimgFetchRules open_rules = {all_schemes, none, none, none, NULL, NULL, 1};
static const VimgFetchRules bound_rules = {some_schemes, some_hosts, none, none, NULL, NULL, 1};

static const struct {
    const char *path;
    const VimgFetchRules *rules;
    const char *base; /* NULL: nobody redirects */
    const char *text;
    int code;          /* OK_CODE or VimgErrorCode */
    const char *shown; /* else what the message does not have */
    const char *host;  /* NULL: a file */
} cases[] = {
    {"plain", &open_rules, NULL, "https://h/a", OK_CODE, "https://h/a", "h"},
    {"case", &open_rules, NULL, "HTTPS://H.Example/A", OK_CODE, "https://H.Example/A", "h.example"},
    {"port", &open_rules, NULL, "http://h:81/a", OK_CODE, "http://h:81/a", "h"},
    {"query", &open_rules, NULL, "http://h/a?b=secret#c", OK_CODE, "http://h/a", "h"},
    {"dot", &open_rules, NULL, "http://h./a", OK_CODE, "http://h./a", "h"},
    {"ipv6", &open_rules, NULL, "http://[2001:db8::1]/a", OK_CODE, "http://[2001:db8::1]/a",
     "2001:db8::1"},
    {"number", &open_rules, NULL, "http://0x7f.1/", OK_CODE, "http://127.0.0.1/", "127.0.0.1"},
    {"space", &open_rules, NULL, "http://h/a b", OK_CODE, "http://h/a%20b", "h"},
    {"file", &open_rules, NULL, "file:///srv/a%20b", OK_CODE, "file:///srv/a%20b", NULL},
    {"file-local", &open_rules, NULL, "file://localhost/srv/a", OK_CODE, "file:///srv/a", NULL},
    {"file-host", &open_rules, NULL, "file://other/srv/a", ARG, NULL, NULL},
    {"file-nul", &open_rules, NULL, "file:///srv/a%00b", ARG, NULL, NULL},
    {"no-scheme", &open_rules, NULL, "h/a", ARG, NULL, NULL},
    {"no-host", &open_rules, NULL, "http://", ARG, NULL, NULL},
    {"empty", &open_rules, NULL, "", ARG, NULL, NULL},
    {"newline", &open_rules, NULL, "http://h/\r\nX: y", ARG, NULL, NULL},
    {"bytes", &open_rules, NULL, "http://\xff/", ARG, NULL, NULL},
    {"user", &open_rules, NULL, "http://u@h/", ARG, NULL, NULL},
    {"password", &open_rules, NULL, "http://u:secret@h/?secret", ARG, "secret", NULL},
    {"ftp", &open_rules, NULL, "ftp://h/a", DENIED, NULL, NULL},
    {"gopher", &open_rules, NULL, "gopher://h/a", DENIED, NULL, NULL},
    {"unknown", &open_rules, NULL, "nothing://h/a", ARG, NULL, NULL},
    {"scheme", &bound_rules, NULL, "http://a.example.com/", DENIED, NULL, NULL},
    {"pattern", &bound_rules, NULL, "https://a.b.EXAMPLE.com/", OK_CODE, "https://a.b.EXAMPLE.com/",
     "a.b.example.com"},
    {"pattern-one", &bound_rules, NULL, "https://mirror1.org/", OK_CODE, "https://mirror1.org/",
     "mirror1.org"},
    {"pattern-dot", &bound_rules, NULL, "https://a.example.com./", OK_CODE,
     "https://a.example.com./", "a.example.com"},
    {"pattern-not", &bound_rules, NULL, "https://example.com/", DENIED, NULL, NULL},
    {"pattern-behind", &bound_rules, NULL, "https://a.example.com.evil.org/", DENIED, NULL, NULL},
    {"pattern-user", &bound_rules, NULL, "https://a.example.com@evil.org/", ARG, NULL, NULL},
    {"pattern-slash", &bound_rules, NULL, "https://evil.org\\@a.example.com/", ARG, NULL, NULL},
    {"pattern-address", &bound_rules, NULL, "https://192.0.2.1/", OK_CODE, "https://192.0.2.1/",
     "192.0.2.1"},
    {"move-relative", &open_rules, "http://h:81/a/b?c", "../d?e", OK_CODE, "http://h:81/d", "h"},
    {"move-path", &open_rules, "http://h:81/a/b?c", "/d", OK_CODE, "http://h:81/d", "h"},
    {"move-scheme", &open_rules, "http://h/a", "//g/d", OK_CODE, "http://g/d", "g"},
    {"move-up", &open_rules, "http://h/a", "https://h/a", OK_CODE, "https://h/a", "h"},
    {"move-down", &open_rules, "https://h/a", "http://h/a?secret", DENIED, "secret", NULL},
    {"move-file", &open_rules, "http://h/a", "file:///etc/passwd", DENIED, NULL, NULL},
    {"move-user", &open_rules, "http://h/a", "http://u:p@h/", ARG, NULL, NULL},
    {"move-host", &bound_rules, "https://a.example.com/", "https://evil.org/", DENIED, NULL, NULL},
};

static void
test_case(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_auto(VimgUrl) base = {0};
    g_auto(VimgUrl) url = {0};
    g_autoptr(GError) error = NULL;

    if (cases[i].base)
        g_assert_true(vimg_url_parse(cases[i].rules, NULL, cases[i].base, &base, NULL));
    g_assert_cmpint(
        vimg_url_parse(cases[i].rules, cases[i].base ? &base : NULL, cases[i].text, &url, &error),
        ==, cases[i].code == OK_CODE);
    if (cases[i].code != OK_CODE) {
        g_assert_error(error, VIMG_ERROR, cases[i].code);
        g_assert_true(!cases[i].shown || !strstr(error->message, cases[i].shown));
        g_assert_null(url.parsed);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpstr(url.shown, ==, cases[i].shown);
    g_assert_cmpstr(url.host, ==, cases[i].host);
    g_assert_true(cases[i].host || strcmp(url.path, "/srv/a b") == 0 ||
                  strcmp(url.path, "/srv/a") == 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/url/", cases[i].path, NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_case);
    }
    return g_test_run();
}
