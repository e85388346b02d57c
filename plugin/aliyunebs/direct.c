/*
 * direct.c: URLs of the storage itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "direct.h"
#include "image.h"
#include "reader.h"
#include "throw.h"

#define LONGEST ((gint64)7 * 86400) /* seconds that the service takes a signature for */

char *
vimg_ebs_direct_url(VimgEbsStore *store, const char *uuid, gint64 until, VimgPluginJob *job,
                    GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(job);
    g_autoptr(VimgEbsReader) reader = NULL;
    g_autoptr(VimgEbsRecord) record = NULL;
    gint64 seconds = until - g_get_real_time() / G_USEC_PER_SEC;

    if (seconds < 1 || seconds > LONGEST) {
        throw_error(error, VIMG_ERROR_INVALID_ARG,
                    _("the storage gives out URLs for 7 days at most: say --expires=7d or less"));
        return NULL;
    }
    /* that it can be read: an object that is gone is made again */
    reader = vimg_ebs_reader_open(store, uuid, 0, 1, job, error);
    record = reader ? vimg_ebs_image_find(site, uuid, &patience, error) : NULL;
    return record ? vimg_oss_url(site->oss, record->key, (guint)seconds, error) : NULL;
}
