/*
 * fuzz-export-request.c: requests for exports, a line each: path, Range, If-Range, If-None-Match,
 * size, Accept-Language
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "exporter/page.h"
#include "exporter/request.h"
#include "fuzz.h"

#define LINES 6

static void
check_path(const char *text)
{
    VimgExporterInfo info = {.file = "a.raw"};
    g_auto(VimgExporterPath) path = {0};
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];

    if (!vimg_exporter_path_parse(text, &path))
        return;
    g_assert_cmpuint(strlen(path.token), ==, VIMG_EXPORTER_TOKEN_SIZE);
    vimg_exporter_token_hash(path.token, hash);
    if (vimg_exporter_target(&path, &info) != VIMG_EXPORTER_NOTHING)
        g_assert_true(!path.name || g_str_has_prefix(path.name, info.file));
    if (path.name && !strchr(path.name, '/') && strlen(path.name) < sizeof(info.file)) {
        g_autofree char *disposition = vimg_exporter_disposition(path.name);

        g_assert_null(strpbrk(disposition, "\r\n"));
    }
}

static void
check_range(const char *range, const char *if_range, guint64 size)
{
    guint64 offset = 0, length = 0;

    switch (vimg_exporter_range(*range ? range : NULL, *if_range ? if_range : NULL, "etag", size,
                                &offset, &length)) {
    case VIMG_EXPORTER_PART:
        g_assert_cmpuint(length, >, 0);
        g_assert_cmpuint(offset, <, size);
        g_assert_cmpuint(length, <=, size - offset);
        break;
    case VIMG_EXPORTER_WHOLE:
        g_assert_cmpuint(offset, ==, 0);
        g_assert_cmpuint(length, ==, size);
        break;
    case VIMG_EXPORTER_NO_RANGE:
        break;
    }
}

static void
check_page(const char *file, const char *languages)
{
    VimgExporterInfo info = {.format = "raw", .expires = G_MAXINT64};
    g_autofree char *page = NULL;

    if (!g_utf8_validate(file, -1, NULL) || strlen(file) >= sizeof(info.file))
        return;
    g_strlcpy(info.file, file, sizeof(info.file));
    page = vimg_exporter_page(&info, "token", languages);
    /* of the tags that it has itself */
    g_assert_cmpint(strstr(page, "<script>") - page, >, 0);
    g_assert_null(strstr(strstr(page, "<script>") + 1, "<script>"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) split = g_strsplit(text, "\n", LINES);
    const char *lines[LINES] = {"", "", "", "", "", ""};
    guint64 number = 0;

    for (gsize i = 0; split[i]; i++)
        lines[i] = split[i];
    check_path(lines[0]);
    g_ascii_string_to_unsigned(lines[4], 10, 0, G_MAXINT64, &number, NULL);
    check_range(lines[1], lines[2], number);
    check_page(lines[0], lines[5]);
    vimg_exporter_has_etag(lines[3], "etag");
    vimg_exporter_wants_page(lines[3]);
    return 0;
}
