/*
 * page.c: what people see of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "exporter/page.h"

char *
vimg_exporter_page(const VimgExporterInfo *info, const char *languages)
{
    return g_markup_printf_escaped("<!DOCTYPE html><title>%s</title>", info->file);
}
