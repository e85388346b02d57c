/*
 * test-request.c: what requests for exports ask for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "exporter/request.h"

#define TOKEN "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"
#define ETAG "0123456789abcdef"

/* ---- paths ------------------------------------------------------------------------------ */

static const struct {
    const char *path;
    gboolean ok;
    const char *name;
} paths[] = {
    {"/" TOKEN, TRUE, NULL},
    {"/" TOKEN "/a.raw", TRUE, "a.raw"},
    {"/" TOKEN "/%e5%9b%be%E5%83%8F%20%22", TRUE, "图像 \""},
    {"/" TOKEN "/..", TRUE, ".."}, /* that no export is called */
    {"/" TOKEN "/a%2Eraw", TRUE, "a.raw"},
    {"/" TOKEN "/", FALSE, NULL},
    {"/" TOKEN "/a%2Fb", FALSE, NULL},
    {"/" TOKEN "/a%00b", FALSE, NULL},
    {"/" TOKEN "/a%", FALSE, NULL},
    {"/" TOKEN "/a%4", FALSE, NULL},
    {"/" TOKEN "/a%zz", FALSE, NULL},
    {"/" TOKEN "/%ff", FALSE, NULL},
    {"/" TOKEN "x", FALSE, NULL},
    {"/" TOKEN ".sha256", FALSE, NULL},
    {"/" TOKEN "\\a", FALSE, NULL},
    {"//" TOKEN, FALSE, NULL},
    {"/" TOKEN "//a", TRUE, "/a"}, /* the same */
    {"http://a:80/" TOKEN "/a.raw", TRUE, "a.raw"},
    {"HTTPS://a/" TOKEN, TRUE, NULL},
    {"http://" TOKEN, FALSE, NULL},
    {"ftp://a/" TOKEN, FALSE, NULL},
    {TOKEN, FALSE, NULL},
    {"/short", FALSE, NULL},
    {"/", FALSE, NULL},
    {"", FALSE, NULL},
    {"*", FALSE, NULL},
    {"/abcdefghijklmnopqrstuvwxyz0123456789+/ABCDE", FALSE, NULL},
};

static void
test_paths(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_auto(VimgExporterPath) path = {0};

        g_test_message("%s", paths[i].path);
        g_assert_cmpint(vimg_exporter_path_parse(paths[i].path, &path), ==, paths[i].ok);
        if (!paths[i].ok)
            continue;
        g_assert_cmpstr(path.token, ==, TOKEN);
        g_assert_cmpstr(path.name, ==, paths[i].name);
    }
}

static void
test_long_path(void)
{
    g_autofree char *name = g_strnfill(1 << 20, 'a');
    g_autofree char *text = g_strconcat("/" TOKEN "/", name, NULL);
    g_auto(VimgExporterPath) path = {0};

    g_assert_false(vimg_exporter_path_parse(text, &path));
}

static void
test_targets(void)
{
    static const struct {
        const char *name;
        VimgExporterTarget target;
    } cases[] = {
        {NULL, VIMG_EXPORTER_IMAGE},
        {"a.raw", VIMG_EXPORTER_IMAGE},
        {"a.raw.sha256", VIMG_EXPORTER_CHECKSUM},
        {"a.raw.sha25", VIMG_EXPORTER_NOTHING},
        {"a.raw.sha2567", VIMG_EXPORTER_NOTHING},
        {"a.ra", VIMG_EXPORTER_NOTHING},
        {"A.raw", VIMG_EXPORTER_NOTHING},
        {".sha256", VIMG_EXPORTER_NOTHING},
        {"..", VIMG_EXPORTER_NOTHING},
    };
    VimgExporterInfo info = {.file = "a.raw"};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VimgExporterPath path = {.name = (char *)cases[i].name};

        g_assert_cmpint(vimg_exporter_target(&path, &info), ==, cases[i].target);
    }
}

/* As sha256sum has it. */
static void
test_hash(void)
{
    static const guint8 expected[] = {0x88, 0xd4, 0x26, 0x6f, 0xd4, 0xe6, 0x33, 0x8d};
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];

    vimg_exporter_token_hash("abcd", hash);
    g_assert_cmpmem(hash, sizeof(expected), expected, sizeof(expected));
}

/* ---- ranges ----------------------------------------------------------------------------- */

static const struct {
    const char *range, *if_range;
    guint64 size;
    VimgExporterRange result;
    guint64 offset, length; /* of a part */
} ranges[] = {
    {NULL, NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=0-", NULL, 100, VIMG_EXPORTER_PART, 0, 100},
    {"bytes=10-19", NULL, 100, VIMG_EXPORTER_PART, 10, 10},
    {"Bytes=10-19", NULL, 100, VIMG_EXPORTER_PART, 10, 10},
    {"bytes=99-99", NULL, 100, VIMG_EXPORTER_PART, 99, 1},
    {"bytes=10-1000", NULL, 100, VIMG_EXPORTER_PART, 10, 90},
    {"bytes=10-99999999999999999999999999", NULL, 100, VIMG_EXPORTER_PART, 10, 90},
    {"bytes=-1", NULL, 100, VIMG_EXPORTER_PART, 99, 1},
    {"bytes=-1000", NULL, 100, VIMG_EXPORTER_PART, 0, 100},
    {"bytes=100-", NULL, 100, VIMG_EXPORTER_NO_RANGE},
    {"bytes=100-200", NULL, 100, VIMG_EXPORTER_NO_RANGE},
    {"bytes=99999999999999999999999999-", NULL, 100, VIMG_EXPORTER_NO_RANGE},
    {"bytes=-0", NULL, 100, VIMG_EXPORTER_NO_RANGE},
    {"bytes=0-", NULL, 0, VIMG_EXPORTER_NO_RANGE},
    {"bytes=-5", NULL, 0, VIMG_EXPORTER_NO_RANGE},
    {"bytes=19-10", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=-", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=a-b", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=1-2-3", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=+1-2", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=--2", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=0x1-2", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes= 1-2", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=1-2,4-5", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"items=1-2", NULL, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=10-", "\"" ETAG "\"", 100, VIMG_EXPORTER_PART, 10, 90},
    {"bytes=10-", "\"other\"", 100, VIMG_EXPORTER_WHOLE},
    {"bytes=10-", "W/\"" ETAG "\"", 100, VIMG_EXPORTER_WHOLE},
    {"bytes=10-", ETAG, 100, VIMG_EXPORTER_WHOLE},
    {"bytes=10-", "Thu, 26 Nov 2026 14:57:15 GMT", 100, VIMG_EXPORTER_WHOLE},
    {"bytes=200-", "\"other\"", 100, VIMG_EXPORTER_WHOLE},
};

static void
test_ranges(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(ranges); i++) {
        gboolean part = ranges[i].result == VIMG_EXPORTER_PART;
        guint64 offset = 77, length = 77;

        g_test_message("%s of %d", ranges[i].range, (int)ranges[i].size);
        g_assert_cmpint(vimg_exporter_range(ranges[i].range, ranges[i].if_range, ETAG,
                                            ranges[i].size, &offset, &length),
                        ==, ranges[i].result);
        if (ranges[i].result == VIMG_EXPORTER_NO_RANGE)
            continue;
        g_assert_cmpuint(offset, ==, part ? ranges[i].offset : 0);
        g_assert_cmpuint(length, ==, part ? ranges[i].length : ranges[i].size);
    }
}

static void
test_etags(void)
{
    g_assert_false(vimg_exporter_has_etag(NULL, ETAG));
    g_assert_false(vimg_exporter_has_etag("", ETAG));
    g_assert_true(vimg_exporter_has_etag("*", ETAG));
    g_assert_true(vimg_exporter_has_etag("\"" ETAG "\"", ETAG));
    g_assert_true(vimg_exporter_has_etag("\"a\", W/\"" ETAG "\"", ETAG));
    g_assert_false(vimg_exporter_has_etag(ETAG, ETAG));
    g_assert_false(vimg_exporter_has_etag("\"" ETAG "x\"", ETAG));
}

/* ---- the rest --------------------------------------------------------------------------- */

static void
test_disposition(void)
{
    g_autofree char *plain = vimg_exporter_disposition("a-1.raw");
    g_autofree char *odd = vimg_exporter_disposition("图 \";\\a");

    g_assert_cmpstr(plain, ==, "attachment; filename=\"a-1.raw\"; filename*=UTF-8''a-1.raw");
    g_assert_cmpstr(odd, ==,
                    "attachment; filename=\"___ ___a\"; filename*=UTF-8''%E5%9B%BE%20%22%3B%5Ca");
}

static void
test_page(void)
{
    g_assert_true(vimg_exporter_wants_page("text/html,application/xhtml+xml,*/*;q=0.8"));
    g_assert_false(vimg_exporter_wants_page("*/*"));
    g_assert_false(vimg_exporter_wants_page(NULL));
}

#define NOWHERE VIMG_EXPORTER_NOWHERE
#define PIECE VIMG_EXPORTER_PIECE

/* What the daemon takes from whoever may have been taken over, and what it may answer. */
static void
test_protocol(void)
{
    static const struct {
        VimgExporterQuestion question;
        gboolean ok;
    } questions[] = {
        {{1, VIMG_EXPORTER_LOOK, {0}, 0, 0, 0, NOWHERE, 0}, TRUE},
        {{1, VIMG_EXPORTER_LOOK, {0}, 1, 0, 0, NOWHERE, 0}, FALSE},
        {{1, VIMG_EXPORTER_LOOK, {0}, 0, 0, 0, 0, 0}, FALSE},
        {{1, VIMG_EXPORTER_LOOK, {0}, 0, 0, 0, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_MAP, {0}, 1, 0, 0, NOWHERE, 0}, TRUE},
        {{1, VIMG_EXPORTER_MAP, {0}, 0, 1, 1, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 0, 1, 1, NOWHERE, 1}, TRUE},
        {{1, VIMG_EXPORTER_READ, {0}, G_MAXINT64 - 1, 1, PIECE, NOWHERE, G_MAXINT64}, TRUE},
        {{1, VIMG_EXPORTER_READ, {0}, G_MAXINT64, 1, 1, NOWHERE, G_MAXINT64}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, G_MAXUINT64, 2, 1, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 0, 0, 1, NOWHERE, 0}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 0, 1, 0, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 0, 1, PIECE + 1, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 5, 2, 1, NOWHERE, 6}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 5, 2, 1, NOWHERE, G_MAXUINT64}, FALSE},
        {{1, VIMG_EXPORTER_READ, {0}, 5, 2, 1, G_MAXINT64 - 1, 7}, TRUE},
        {{1, VIMG_EXPORTER_READ, {0}, 5, 2, 1, G_MAXINT64, 7}, FALSE},
        {{1, 0}, FALSE},
        {{1, 5, {0}, 0, 1, 1, NOWHERE, 1}, FALSE},
        {{1, VIMG_EXPORTER_BEGIN, {0}, 0, 0, 0, NOWHERE, 0}, TRUE},
        {{1, VIMG_EXPORTER_BEGIN, {0}, 0, VIMG_EXPORTER_REASON_MAX, 0, NOWHERE, 0}, TRUE},
        {{1, VIMG_EXPORTER_BEGIN, {0}, 0, VIMG_EXPORTER_REASON_MAX + 1, 0, NOWHERE, 0}, FALSE},
        {{1, VIMG_EXPORTER_BEGIN, {0}, 1, 0, 0, NOWHERE, 0}, FALSE},
    };
    static const struct {
        VimgExporterAnswer answer;
        gboolean ok;
    } answers[] = {
        {{1, VIMG_EXPORTER_OK, 0, 0, 1}, TRUE},
        {{1, VIMG_EXPORTER_OK, VIMG_EXPORTER_SENT, 0, PIECE + 1}, FALSE},
        {{1, VIMG_EXPORTER_OK, VIMG_EXPORTER_ZEROS, 0, G_MAXINT64}, TRUE},
        {{1, VIMG_EXPORTER_OK, VIMG_EXPORTER_PLACED, 0, PIECE}, TRUE},
        {{1, VIMG_EXPORTER_OK, VIMG_EXPORTER_PLACED, 0, PIECE + 1}, FALSE},
        {{1, VIMG_EXPORTER_OK, VIMG_EXPORTER_N_WAYS, 0, 1}, FALSE},
        {{1, VIMG_EXPORTER_ABSENT, VIMG_EXPORTER_ZEROS, 0, 0}, FALSE},
        {{1, VIMG_EXPORTER_OK, 0, 0, 0}, FALSE},
        {{1, VIMG_EXPORTER_ABSENT, 0, 0, 0}, TRUE},
        {{1, VIMG_EXPORTER_ABSENT, 0, 0, 1}, FALSE},
        {{1, VIMG_EXPORTER_N_STATUSES, 0, 0, 0}, FALSE},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(questions); i++)
        g_assert_cmpint(vimg_exporter_question_check(&questions[i].question), ==, questions[i].ok);
    for (i = 0; i < G_N_ELEMENTS(answers); i++)
        g_assert_cmpint(vimg_exporter_answer_check(&answers[i].answer), ==, answers[i].ok);
}

static void
test_info(void)
{
    VimgExporterInfo info = {.file = "a"};

    g_assert_true(vimg_exporter_info_check(&info));
    memset(info.format, 'x', sizeof(info.format));
    g_assert_false(vimg_exporter_info_check(&info));
    info.format[0] = '\0';
    info.file[0] = '/';
    g_assert_false(vimg_exporter_info_check(&info));
    info.file[0] = '\xff';
    g_assert_false(vimg_exporter_info_check(&info));
    info.file[0] = '\0';
    g_assert_false(vimg_exporter_info_check(&info));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/request/paths", test_paths);
    g_test_add_func("/request/long-path", test_long_path);
    g_test_add_func("/request/targets", test_targets);
    g_test_add_func("/request/hash", test_hash);
    g_test_add_func("/request/ranges", test_ranges);
    g_test_add_func("/request/etags", test_etags);
    g_test_add_func("/request/disposition", test_disposition);
    g_test_add_func("/request/page", test_page);
    g_test_add_func("/request/protocol", test_protocol);
    g_test_add_func("/request/info", test_info);
    return g_test_run();
}
