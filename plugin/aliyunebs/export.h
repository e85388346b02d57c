/*
 * export.h: an object that is gone, made again of the image at the control endpoint
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_EXPORT_H
#define VIMG_ALIYUNEBS_EXPORT_H

#include "journal.h"

/* The object of image @uuid is there again, and its record knows it. */
gboolean vimg_ebs_export(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                         VimgPluginJob *job, GError **error);
/* Whether an export made @object: if its record does not know it, that was cut off, and went on. */
gboolean vimg_ebs_is_exported(const VimgOssObject *object);
/* What an export of @journal left is gone.  The image is held. */
gboolean vimg_ebs_end_export(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                             const VimgPatience *patience, GError **error);

#endif
