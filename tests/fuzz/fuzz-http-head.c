/*
 * fuzz-http-head.c: heads of answers; what is taken is within what was said
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fetch/http-head.h"
#include "fuzz.h"

static void
check(const VimgHttpHead *head)
{
    g_assert_true(head->length == VIMG_HTTP_UNKNOWN || head->length <= G_MAXINT64);
    g_assert_true(head->total == VIMG_HTTP_UNKNOWN || head->total <= G_MAXINT64);
    g_assert_true(!head->whole || head->status >= 200);
    if (head->last == VIMG_HTTP_UNKNOWN)
        return;
    g_assert_cmpuint(head->first, <=, head->last);
    g_assert_cmpuint(head->last, <, head->total);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    const char *end = at + size;
    VimgHttpHead head;
    g_autoptr(GError) error = NULL;

    vimg_http_head_init(&head);
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t n = line ? (size_t)(line + 1 - at) : (size_t)(end - at);

        if (!vimg_http_head_add(&head, at, n, &error))
            break;
        check(&head);
        at += n;
    }
    g_assert_true(vimg_http_head_same(&head, &head));
    vimg_http_head_clear(&head);
    return 0;
}
