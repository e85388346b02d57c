/*
 * multipart.h: an object sent in parts, many at a time, that can be taken up again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_MULTIPART_H
#define VIMG_ALIYUNEBS_MULTIPART_H

#include "object.h"

#define VIMG_OSS_WORKERS 8
#define VIMG_OSS_WORKERS_MAX 64
#define VIMG_OSS_PART_MIN ((guint64)100 * 1024)
#define VIMG_OSS_PART_MIN_S3 ((guint64)5 * 1024 * 1024)

typedef struct _VimgOssUpload VimgOssUpload;

/* Borrowed for as long as the upload is open, with what they name. */
typedef struct {
    const char *key;
    const char *id;    /* the upload to take up; NULL: a new one */
    guint64 part_size; /* bytes; of all parts but the last, and the same when taken up again */
    guint64 offset;    /* of the first byte that will come: a multiple of it, all of whose bytes
                          before are there; 0 for a new one */
    guint workers;     /* parts in flight; 0: VIMG_OSS_WORKERS.  One more is held in memory, and as
                          many as 16 MiB have room for, at most 4 */
    gboolean exclusive;
    const char *content_type;  /* NULL: application/octet-stream */
    const GPtrArray *metadata; /* of VimgPair; NULL: none */
    const VimgPatience *patience;
} VimgOssUploadRules;

/* For an object of @total bytes (0: not known). */
guint64 vimg_oss_part_size(guint64 total);

/*
 * A new one is only announced, so that its id can be noted down before there is anything to lose;
 * one to take up is looked at.  Returns: (transfer full); NULL with VIMG_ERROR_OPERATION_INVALID if
 * there is no such upload, or it does not have the bytes before the offset.
 */
VimgOssUpload *vimg_oss_upload_begin(VimgOss *oss, const VimgOssUploadRules *rules, GError **error);
/* Waits for the parts in flight; what was sent stays.  Accepts NULL. */
void vimg_oss_upload_free(VimgOssUpload *upload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgOssUpload, vimg_oss_upload_free)

const char *vimg_oss_upload_id(const VimgOssUpload *upload);
/* Waits until what was sent is compared, and so counts; for no part that is on its way. */
void vimg_oss_upload_settle(VimgOssUpload *upload);
/* Bytes from the first on that the storage has in whole parts. */
guint64 vimg_oss_upload_position(VimgOssUpload *upload);
/*
 * The next bytes; @data NULL: zeros.  A part that is there already is compared by its digest, not
 * sent: VIMG_ERROR_OPERATION_INVALID if it differs.  After a failure nothing but free() works.
 */
gboolean vimg_oss_upload_write(VimgOssUpload *upload, const guint8 *data, guint64 size,
                               GError **error);
/* Waits until all whole parts are there. */
gboolean vimg_oss_upload_flush(VimgOssUpload *upload, GError **error);
/*
 * Makes the object of what came, and compares its sum with that of all parts: VIMG_ERROR_DAMAGED if
 * they differ.  @out->has_crc FALSE: the storage gave none, nothing was compared as a whole.
 */
gboolean vimg_oss_upload_finish(VimgOssUpload *upload, VimgOssObject *out, GError **error);

/* Takes back upload @id, with all its parts; no part may be in flight.  One that is gone is a
 * success. */
gboolean vimg_oss_upload_abort(VimgOss *oss, const char *key, const char *id,
                               const VimgPatience *patience, GError **error);

#endif
