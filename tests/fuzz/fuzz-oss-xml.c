/*
 * fuzz-oss-xml.c: answers of an object storage; what is taken is within the bounds that were said
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "oss-xml.h"

static void
check_refusal(const GError *error)
{
    g_assert_true(error && error->domain == VIMG_ERROR && error->code == VIMG_ERROR_INTERNAL);
}

static void
check_page(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssPage) page = vimg_oss_xml_page(data, size, &error);
    guint i;

    if (!page) {
        check_refusal(error);
        return;
    }
    g_assert_cmpuint(page->entries->len + page->prefixes->len + page->pending->len, <=,
                     VIMG_OSS_PAGE_MAX);
    g_assert_true(!page->truncated || (page->next && *page->next));
    for (i = 0; i < page->entries->len; i++) {
        const VimgOssEntry *entry = g_ptr_array_index(page->entries, i);

        g_assert_true(g_utf8_validate(entry->key, -1, NULL));
        g_assert_cmpuint(entry->size, <=, G_MAXINT64);
    }
    for (i = 0; i < page->pending->len; i++) {
        const VimgOssPending *pending = g_ptr_array_index(page->pending, i);

        g_assert_true(pending->key && *pending->id);
    }
}

static void
check_parts(const uint8_t *data, size_t size)
{
    g_autoptr(GArray) parts = g_array_new(FALSE, TRUE, sizeof(VimgOssPart));
    g_autoptr(GError) error = NULL;
    guint next = 0;
    guint last = 0;
    guint i;

    if (!vimg_oss_xml_parts(data, size, parts, &next, &error)) {
        check_refusal(error);
        return;
    }
    for (i = 0; i < parts->len; i++) {
        const VimgOssPart *part = &g_array_index(parts, VimgOssPart, i);

        g_assert_cmpuint(part->number, >, last);
        g_assert_cmpuint(part->number, <=, VIMG_OSS_PARTS_MAX);
        g_assert_cmpuint(strlen(part->etag), <, sizeof(part->etag));
        last = part->number;
    }
    g_assert_true(next == 0 || next == last);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_auto(VimgOssFault) fault = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    if (vimg_oss_xml_fault(data, size, &fault) && fault.message)
        g_assert_cmpint(g_utf8_strlen(fault.message, -1), <=, 512);
    check_page(data, size);
    check_parts(data, size);
    text = vimg_oss_xml_text(data, size, "BucketInfo", "Bucket/Versioning", &error);
    g_assert_true((text == NULL) == (error != NULL));
    return 0;
}
