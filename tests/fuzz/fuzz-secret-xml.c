/*
 * fuzz-secret-xml.c: secret documents; what is taken must format to one that is taken as the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/secret-def.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *xml = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSecretDef) def = vimg_secret_def_parse(xml, FALSE, &error);
    g_autoptr(VimgSecretDef) copy = NULL;
    g_autoptr(VimgSecretDef) back = NULL;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;

    g_assert((def == NULL) == (error != NULL));
    if (!def)
        return 0;
    copy = vimg_secret_def_copy(def);
    once = vimg_secret_def_format(copy);
    back = vimg_secret_def_parse(once, TRUE, &error);
    g_assert_no_error(error);
    twice = vimg_secret_def_format(back);
    g_assert_cmpstr(once, ==, twice);
    return 0;
}
