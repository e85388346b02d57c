/*
 * import-report.h: what a client is told of an import that succeeded
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_IMPORT_REPORT_H
#define VIMG_POOL_IMPORT_REPORT_H

#include "vimg-plugin.h"

/* Returns: (transfer full) as vimg_model_vol_import() has it; @packed may be NULL. */
char *vimg_import_report(const VimgPluginImage *image, const char *packed, guint64 resumed_at,
                         guint64 received);

#endif
