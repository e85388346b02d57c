/*
 * import-rules.h: what may be imported
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_IMPORT_RULES_H
#define VIMG_POOL_IMPORT_RULES_H

#include "fetch/fetch.h"

typedef struct _VimgImportRules {
    VimgFetchRules source;
    guint ratio;      /* as VimgUnpackLimits */
    guint64 max_size; /* bytes of an image */
} VimgImportRules;

#endif
