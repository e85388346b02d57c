/*
 * fuzz-export-record.c: records of exports; what is taken is written the same again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fuzz.h"
#include "pool/export-record.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(VimgExportRecord) record = vimg_export_record_parse(text, NULL);
    g_autoptr(VimgExportRecord) again = NULL;
    g_autofree char *first = record ? vimg_export_record_format(record) : NULL;
    g_autofree char *second = NULL;

    if (!record)
        return 0;
    again = vimg_export_record_parse(first, NULL);
    g_assert_nonnull(again);
    second = vimg_export_record_format(again);
    g_assert_cmpstr(first, ==, second);
    return 0;
}
