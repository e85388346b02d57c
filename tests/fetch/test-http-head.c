/*
 * test-http-head.c: what the head of an answer says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/http-head.h"

#define NONE VIMG_HTTP_UNKNOWN
#define THEN "Wed, 01 Jan 2025 00:00:00 GMT"
#define LATER "Wed, 01 Jan 2025 00:00:01 GMT"
#define MODIFIED "Last-Modified: " THEN "|"

static const struct {
    const char *path;
    const char *lines; /* without the ends of lines; "|" between them, and behind the last */
    gboolean ok;
    guint status;
    gboolean whole;
    guint64 length, first, last, total;
    const char *validator;
} cases[] = {
    {"plain", "HTTP/1.1 200 OK|Content-Length: 5|ETag: \"a\"||", TRUE, 200, TRUE, 5, NONE, NONE,
     NONE, "\"a\""},
    {"case", "HTTP/1.0 200|CONTENT-LENGTH:5 |etag:\t\"a\"||", TRUE, 200, TRUE, 5, NONE, NONE, NONE,
     "\"a\""},
    {"half", "HTTP/1.1 200 OK|Content-Length: 5|", TRUE, 200, FALSE, 5, NONE, NONE, NONE, NULL},
    {"continue", "HTTP/1.1 100 Continue|ETag: \"a\"||HTTP/1.1 200 OK||", TRUE, 200, TRUE, NONE,
     NONE, NONE, NONE, NULL},
    {"continue-only", "HTTP/1.1 100 Continue||", TRUE, 100, FALSE, NONE, NONE, NONE, NONE, NULL},
    {"trailer", "HTTP/1.1 200 OK||ETag: \"a\"|", TRUE, 200, TRUE, NONE, NONE, NONE, NONE, NULL},
    {"weak", "HTTP/1.1 200 OK|ETag: W/\"a\"||", TRUE, 200, TRUE, NONE, NONE, NONE, NONE, NULL},
    {"weak-and-date", "HTTP/1.1 200 OK|ETag: W/\"a\"|" MODIFIED "Date: " LATER "||", TRUE, 200,
     TRUE, NONE, NONE, NONE, NONE, THEN},
    {"date", "HTTP/1.1 200 OK|Date: " LATER "|" MODIFIED "|", TRUE, 200, TRUE, NONE, NONE, NONE,
     NONE, THEN},
    {"date-same", "HTTP/1.1 200 OK|" MODIFIED "Date: " THEN "||", TRUE, 200, TRUE, NONE, NONE, NONE,
     NONE, NULL},
    {"date-none", "HTTP/1.1 200 OK|" MODIFIED "|", TRUE, 200, TRUE, NONE, NONE, NONE, NONE, NULL},
    {"date-nonsense", "HTTP/1.1 200 OK|" MODIFIED "Date: later||", TRUE, 200, TRUE, NONE, NONE,
     NONE, NONE, NULL},
    {"modified-nonsense", "HTTP/1.1 200 OK|Last-Modified: then|Date: " LATER "||", TRUE, 200, TRUE,
     NONE, NONE, NONE, NONE, NULL},
    {"chunked", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 5||", TRUE, 200, TRUE,
     NONE, NONE, NONE, NONE, NULL},
    {"chunked-case", "HTTP/1.1 200 OK|transfer-encoding:\tCHUNKED ||", TRUE, 200, TRUE, NONE, NONE,
     NONE, NONE, NULL},
    {"range", "HTTP/1.1 206 P|Content-Range: bytes 2-4/10|Content-Length: 3||", TRUE, 206, TRUE, 3,
     2, 4, 10, NULL},
    {"range-open", "HTTP/1.1 206 P|Content-Range: bytes 2-4/*||", TRUE, 206, TRUE, NONE, 2, 4, NONE,
     NULL},
    {"range-none", "HTTP/1.1 416 R|Content-Range: bytes */10||", TRUE, 416, TRUE, NONE, NONE, NONE,
     10, NULL},
    {"length-twice", "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 5||", TRUE, 200, TRUE, 5,
     NONE, NONE, NONE, NULL},
    {"nonsense-line", "HTTP/1.1 200 OK|nothing||", TRUE, 200, TRUE, NONE, NONE, NONE, NONE, NULL},
    {"length-other", "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6|", FALSE},
    {"length-sign", "HTTP/1.1 200 OK|Content-Length: -5|", FALSE},
    {"length-word", "HTTP/1.1 200 OK|Content-Length: 5x|", FALSE},
    {"length-list", "HTTP/1.1 200 OK|Content-Length: 5, 5|", FALSE},
    {"length-empty", "HTTP/1.1 200 OK|Content-Length:|", FALSE},
    {"length-huge", "HTTP/1.1 200 OK|Content-Length: 9223372036854775808|", FALSE},
    {"coding-identity", "HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: identity|", FALSE},
    {"coding-gzip", "HTTP/1.1 200 OK|Transfer-Encoding: gzip|", FALSE},
    {"coding-list", "HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked|", FALSE},
    {"coding-twice", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: gzip|", FALSE},
    {"coding-empty", "HTTP/1.1 200 OK|Transfer-Encoding:|", FALSE},
    {"range-unit", "HTTP/1.1 206 P|Content-Range: lines 2-4/10|", FALSE},
    {"range-reversed", "HTTP/1.1 206 P|Content-Range: bytes 4-2/10|", FALSE},
    {"range-beyond", "HTTP/1.1 206 P|Content-Range: bytes 2-10/10|", FALSE},
    {"range-twice", "HTTP/1.1 206 P|Content-Range: bytes 2-4/10|Content-Range: bytes */3|", FALSE},
    {"range-half", "HTTP/1.1 206 P|Content-Range: bytes 2-|", FALSE},
    {"range-signed", "HTTP/1.1 206 P|Content-Range: bytes -2-4/10|", FALSE},
    {"status", "HTTP/1.1 2x0 OK|", FALSE},
    {"status-none", "HTTP/1.1|", FALSE},
    {"status-small", "HTTP/1.1 20 OK|", FALSE},
};

static gboolean
feed(VimgHttpHead *head, const char *lines, GError **error)
{
    g_auto(GStrv) split = g_strsplit(lines, "|", -1);

    for (guint i = 0; split[i] && split[i + 1]; i++) {
        g_autofree char *line = g_strconcat(split[i], "\r\n", NULL);

        if (!vimg_http_head_add(head, line, strlen(line), error))
            return FALSE;
    }
    return TRUE;
}

static void
test_case(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    VimgHttpHead head;
    g_autoptr(GError) error = NULL;

    vimg_http_head_init(&head);
    g_assert_cmpint(feed(&head, cases[i].lines, &error), ==, cases[i].ok);
    if (!cases[i].ok) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    } else {
        g_assert_no_error(error);
        g_assert_cmpuint(head.status, ==, cases[i].status);
        g_assert_cmpint(head.whole, ==, cases[i].whole);
        g_assert_cmpuint(head.length, ==, cases[i].length);
        g_assert_cmpuint(head.first, ==, cases[i].first);
        g_assert_cmpuint(head.last, ==, cases[i].last);
        g_assert_cmpuint(head.total, ==, cases[i].total);
        g_assert_cmpstr(vimg_http_head_validator(&head), ==, cases[i].validator);
    }
    vimg_http_head_clear(&head);
}

static void
test_same(void)
{
    VimgHttpHead a = {.etag = (char *)"\"a\"", .modified = (char *)"then"};
    VimgHttpHead b = {.etag = (char *)"\"a\"", .modified = (char *)"then"};

    g_assert_true(vimg_http_head_same(&a, &b));
    b.modified = NULL;
    g_assert_true(vimg_http_head_same(&a, &b));
    b.modified = (char *)"now";
    g_assert_false(vimg_http_head_same(&a, &b));
    b.modified = NULL;
    b.etag = (char *)"W/\"a\"";
    g_assert_false(vimg_http_head_same(&a, &b));
    b.etag = NULL;
    g_assert_true(vimg_http_head_same(&a, &b));
    b.status = 206; /* it repeats a strong tag */
    g_assert_false(vimg_http_head_same(&a, &b));
    a.etag = (char *)"W/\"a\"";
    g_assert_true(vimg_http_head_same(&a, &b));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/http-head/", cases[i].path, NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_case);
    }
    g_test_add_func("/http-head/same", test_same);
    return g_test_run();
}
