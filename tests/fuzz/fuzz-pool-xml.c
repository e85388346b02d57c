/*
 * fuzz-pool-xml.c: pool documents; what is taken must format to a document that is taken as the
 * same, and that is valid unless the check of what is taken refuses it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/pool-def.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *xml = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, FALSE, &error);
    g_autoptr(VimgPoolDef) copy = NULL;
    g_autoptr(VimgPoolDef) back = NULL;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;
    g_auto(VimgPoolPeek) peek = {0};

    g_assert(vimg_pool_peek(xml, &peek, NULL) || !def); /* it is less strict */
    g_assert((def == NULL) == (error != NULL));
    if (!def)
        return 0;
    copy = vimg_pool_def_copy(def);
    once = vimg_pool_def_format(copy, NULL);
    back = vimg_pool_def_parse(once, vimg_pool_def_check(def, NULL), &error);
    g_assert_no_error(error);
    twice = vimg_pool_def_format(back, NULL);
    g_assert_cmpstr(once, ==, twice);
    return 0;
}
