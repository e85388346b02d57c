/*
 * test-page.c: what people see of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "exporter/page.h"

#define TOKEN "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"

static const struct {
    const char *header;
    const char *lang;
} languages[] = {
    {NULL, "en"},
    {"", "en"},
    {"en-GB,en;q=0.9", "en"},
    {"zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"},
    {"ZH", "zh-CN"},
    {"en;q=0.5, zh;q=0.6", "zh-CN"},
    {"en;q=0.6, zh;q=0.5", "en"},
    {"en;q=0.85, zh;q=0.9", "zh-CN"},
    {"en;q=0.9, zh;q=0.895", "en"},
    {"zh;q=0", "en"},
    {"zh;q=", "en"},
    {"de, fr", "en"},
    {"zh;q=99999999999999999999", "en"},
};

static void
test_languages(void)
{
    const VimgExporterInfo info = {.file = "a.raw", .format = "raw"};

    for (gsize i = 0; i < G_N_ELEMENTS(languages); i++) {
        g_autofree char *page = vimg_exporter_page(&info, TOKEN, languages[i].header);
        g_autofree char *begin = g_strdup_printf("<html lang=\"%s\">", languages[i].lang);

        g_test_message("%s", languages[i].header);
        g_assert_nonnull(strstr(page, begin));
    }
}

static void
test_names(void)
{
    const VimgExporterInfo info = {
        .file = "<script>alert(1)</script>\"'&.raw", .format = "<b>", .size = 1536};
    g_autofree char *page = vimg_exporter_page(&info, TOKEN, NULL);

    g_assert_null(strstr(page, "<script>alert"));
    g_assert_null(strstr(page, "<b>"));
    g_assert_nonnull(strstr(page, "&lt;script&gt;alert(1)"));
    g_assert_nonnull(
        strstr(page, "href=\"" TOKEN "/%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%26.raw\""));
    g_assert_nonnull(strstr(page, "(1536 bytes)"));
}

static void
test_checksum(void)
{
    VimgExporterInfo info = {.file = "a", .format = "raw"};
    g_autofree char *before = vimg_exporter_page(&info, TOKEN, NULL);
    g_autofree char *after = NULL;
    g_autofree char *packed = NULL;

    g_strlcpy(info.sha256, "0123abcd", sizeof(info.sha256));
    after = vimg_exporter_page(&info, TOKEN, NULL);
    info.compress = 1;
    packed = vimg_exporter_page(&info, TOKEN, NULL);
    g_assert_nonnull(strstr(before, "being summed up"));
    g_assert_nonnull(strstr(after, "0123abcd"));
    g_assert_nonnull(strstr(packed, "packed by zstd"));
    g_assert_null(strstr(packed, "0123abcd"));
}

/* Whatever is in a page has the hash that its policy names. */
static void
test_policy(void)
{
    static const char *const tags[] = {"style", "script"};
    const VimgExporterInfo info = {.file = "a", .format = "raw"};
    g_autofree char *page = vimg_exporter_page(&info, TOKEN, NULL);
    g_autofree char *policy = vimg_exporter_page_policy();

    g_assert_true(g_str_has_prefix(policy, "default-src 'none';"));
    g_assert_null(strstr(policy, "unsafe"));
    for (gsize i = 0; i < G_N_ELEMENTS(tags); i++) {
        g_autofree char *open = g_strdup_printf("<%s>", tags[i]);
        g_autofree char *shut = g_strdup_printf("</%s>", tags[i]);
        const char *text = strstr(page, open) + strlen(open);
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_autofree char *encoded = NULL;
        guint8 hash[32];
        gsize size = sizeof(hash);

        g_checksum_update(sum, (const guchar *)text, strstr(text, shut) - text);
        g_checksum_get_digest(sum, hash, &size);
        encoded = g_base64_encode(hash, size);
        g_assert_nonnull(strstr(policy, encoded));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/page/languages", test_languages);
    g_test_add_func("/page/names", test_names);
    g_test_add_func("/page/checksum", test_checksum);
    g_test_add_func("/page/policy", test_policy);
    return g_test_run();
}
