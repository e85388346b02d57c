/*
 * record.h: what the bucket keeps about an image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_RECORD_H
#define VIMG_ALIYUNEBS_RECORD_H

#include "store.h"

#define VIMG_EBS_RECORD_MAX ((gsize)256 * 1024) /* bytes of its document */

typedef struct {
    VimgPluginImage info;
    char *key;         /* of the content; NULL: there is none */
    char *etag;        /* of it; NULL: it is not complete */
    char *version;     /* of it; NULL: the bucket keeps none */
    char *crc;         /* of it, decimal; NULL: not known */
    char *upload;      /* id of the upload that brings it; NULL: none runs or waits */
    guint64 part_size; /* bytes; of that upload */
    char *attempt;     /* token of the upload that has the image; NULL: none ever had */
    char *image_id;    /* at the control endpoint; NULL: not registered there */
    char *kept;        /* "ID UNTIL" and so on, whom it is promised to; NULL: nobody */
} VimgEbsRecord;

/* Returns: (transfer full) of what @image says. */
VimgEbsRecord *vimg_ebs_record_new(const VimgPluginImage *image);
VimgEbsRecord *vimg_ebs_record_copy(const VimgEbsRecord *record);
/* Accepts NULL. */
void vimg_ebs_record_free(VimgEbsRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsRecord, vimg_ebs_record_free)

/* The JSON document of it and back; VIMG_ERROR_DAMAGED. */
char *vimg_ebs_record_format(const VimgEbsRecord *record);
VimgEbsRecord *vimg_ebs_record_parse(const void *data, gsize size, GError **error);

/* That of image @uuid, deleted or not; NULL with VIMG_ERROR_NO_VOL. */
VimgEbsRecord *vimg_ebs_record_load(VimgEbsSite *site, const char *uuid,
                                    const VimgPatience *patience, GError **error);
gboolean vimg_ebs_record_save(VimgEbsSite *site, const VimgEbsRecord *record,
                              const VimgPatience *patience, GError **error);
/*
 * As that, in place of the one of attempt @former that is not complete; VIMG_ERROR_BUSY if there is
 * another one by now: another host took the image.
 */
gboolean vimg_ebs_record_update(VimgEbsSite *site, VimgEbsRecord *record, const char *former,
                                const VimgPatience *patience, GError **error);
/* Whether its content is not complete. */
gboolean vimg_ebs_record_is_staged(const VimgEbsRecord *record);
/* It has no content any more, and an upload of it begins at the first byte. */
void vimg_ebs_record_empty(VimgEbsRecord *record);
/* Hands what is known of the image over to @out. */
void vimg_ebs_record_give(VimgEbsRecord *record, VimgPluginImage *out);
/* *@field becomes a copy of @value. */
void vimg_ebs_set(char **field, const char *value);

#endif
