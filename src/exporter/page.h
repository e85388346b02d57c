/*
 * page.h: what people see of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_PAGE_H
#define VIMG_EXPORTER_PAGE_H

#include "exporter/protocol.h"

/*
 * Returns: (transfer full) the page at /TOKEN, in English, or in Chinese if @languages (NULL: none)
 * prefers that.
 */
char *vimg_exporter_page(const VimgExporterInfo *info, const char *token, const char *languages);
/*
 * Returns: (transfer full) its Content-Security-Policy: nothing comes from elsewhere, no script
 * runs but the page's own, and the page goes nowhere.
 */
char *vimg_exporter_page_policy(void);

#endif
