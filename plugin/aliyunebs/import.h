/*
 * import.h: objects that become images of the block storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_IMPORT_H
#define VIMG_ALIYUNEBS_IMPORT_H

#include "journal.h"

/* Whether the control endpoint takes images of @format; others stay objects alone. */
gboolean vimg_ebs_import_wanted(const VimgEbsSite *site, const char *format);
/* The object of @journal, of image @info, becomes an image that can be used. */
gboolean vimg_ebs_import(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                         const VimgPluginImage *info, VimgPluginJob *job, GError **error);
/* Asks for it, or, by the same token, what became of that: image and task in @journal. */
gboolean vimg_ebs_import_ask(VimgEbsSite *site, VimgEbsJournal *journal,
                             const VimgPluginImage *info, const VimgPatience *patience,
                             GError **error);
/* Image @source there is copied as that of @journal. */
gboolean vimg_ebs_import_copy(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                              const char *source, const VimgPluginImage *info, VimgPluginJob *job,
                              GError **error);
/* Returns: (transfer full) keys of the objects that the image of @record was exported to. */
char **vimg_ebs_import_export(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                              const VimgEbsRecord *record, VimgPluginJob *job, GError **error);

/* Whether @image was made of image @uuid by one of us: by its tag or, without one, its name. */
gboolean vimg_ebs_is_own_image(const VimgCloudImage *image, const char *uuid);

#endif
