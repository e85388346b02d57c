/*
 * import-none.c: imports, where the libraries that fetch and unpack are missing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model.h"
#include "util/i18n.h"

char *
vimg_model_vol_import(VimgModel *model, const VimgPoolId *pool, const VimgImportRequest *request,
                      GError **error)
{
    vimg_throw(
        error, VIMG_ERROR_NO_SUPPORT, "%s",
        _("virtimaged was built without libcurl, zlib, liblzma or libzstd and imports nothing"));
    return NULL;
}
