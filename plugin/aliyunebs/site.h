/*
 * site.h: keys of bucket and control endpoint
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_SITE_H
#define VIMG_ALIYUNEBS_SITE_H

#include "store.h"

/* Returns: (transfer full) as the secret has it now. */
VimgCredential *vimg_ebs_credential(const VimgPluginPool *pool, gboolean control, GError **error);

/* Whether its data goes from the address that this host has in the data network now. */
gboolean vimg_ebs_site_is_here(const VimgEbsSite *site, const VimgPluginPool *pool);

#endif
