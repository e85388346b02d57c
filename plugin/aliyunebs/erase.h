/*
 * erase.h: removing images for good
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_ERASE_H
#define VIMG_ALIYUNEBS_ERASE_H

#include "record.h"

/*
 * All that is of @record's content: its image at the control endpoint, its object, its uploads.
 * Each step may be repeated.  VIMG_ERROR_OPERATION_INVALID: the image there is in use.  An object
 * that is another one now stays.  The image is held.
 */
gboolean vimg_ebs_erase_content(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsRecord *record,
                                const VimgPatience *patience, GError **error);
/* The same, with name and record, which goes last. */
gboolean vimg_ebs_erase(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsRecord *record,
                        const VimgPatience *patience, GError **error);

/* For image @image_id there, if there is no endpoint.  Returns: FALSE. */
gboolean vimg_ebs_throw_no_control(const char *image_id, GError **error);

#endif
