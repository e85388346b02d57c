/*
 * page.h: what people see of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_PAGE_H
#define VIMG_EXPORTER_PAGE_H

#include "exporter/protocol.h"

/* Nothing comes from elsewhere, and the page goes nowhere else. */
#define VIMG_EXPORTER_PAGE_POLICY                                                                  \
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'"

/* Returns: (transfer full) a page in English, or in Chinese if @languages (NULL: none) prefers
 * that.
 */
char *vimg_exporter_page(const VimgExporterInfo *info, const char *languages);

#endif
