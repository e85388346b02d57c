/*
 * object.h: the objects in a bucket
 *
 * All of it fails as vimg_oss_request() does.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_OBJECT_H
#define VIMG_ALIYUNEBS_OBJECT_H

#include "oss.h"

/* Cleared by vimg_oss_object_clear(). */
typedef struct {
    guint64 size;
    char *etag;      /* without quotes */
    char *version;   /* NULL: the bucket keeps none */
    gint64 modified; /* seconds since 1970; 0: not said */
    gint64 date;     /* of the answer, by the storage's clock; 0: not said */
    guint64 crc;     /* of all its bytes */
    gboolean has_crc;
    GPtrArray *metadata; /* of VimgPair, names in lower case; of vimg_oss_head() alone */
} VimgOssObject;

void vimg_oss_object_clear(VimgOssObject *object);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgOssObject, vimg_oss_object_clear)

/* What is put, from memory; borrowed. */
typedef struct {
    const char *key;
    const void *data;
    gsize size;
    const char *content_type;  /* NULL: application/octet-stream */
    const GPtrArray *metadata; /* of VimgPair; NULL: none */
    gboolean exclusive;        /* VIMG_ERROR_VOL_EXISTS if there is one with other bytes already */
} VimgOssPut;

gboolean vimg_oss_head(VimgOss *oss, const char *key, VimgOssObject *out,
                       const VimgPatience *patience, GError **error);
/* All of a small object.  Returns: (transfer full); NULL also with _INTERNAL: over @limit. */
VimgBuffer *vimg_oss_get(VimgOss *oss, const char *key, gsize limit, const VimgPatience *patience,
                         GError **error);
/*
 * @size bytes at @offset, which must be there.  VIMG_ERROR_FAILED if the object no longer is the
 * one with @etag, which may be NULL.
 */
gboolean vimg_oss_get_range(VimgOss *oss, const char *key, const char *etag, guint64 offset,
                            guint8 *out, gsize size, const VimgPatience *patience, GError **error);
/* @out may be NULL. */
gboolean vimg_oss_put(VimgOss *oss, const VimgOssPut *put, VimgOssObject *out,
                      const VimgPatience *patience, GError **error);
/* @version NULL: the latest.  What is not there is a success. */
gboolean vimg_oss_delete(VimgOss *oss, const char *key, const char *version,
                         const VimgPatience *patience, GError **error);
/* Only if it has @etag; VIMG_ERROR_OPERATION_INVALID if it is another one now. */
gboolean vimg_oss_delete_same(VimgOss *oss, const char *key, const char *etag, const char *version,
                              const VimgPatience *patience, GError **error);

/*
 * A page of the objects below @prefix, behind @token (NULL: the first).  @delimiter NULL: all of
 * them.  Returns: (transfer full)
 */
VimgOssPage *vimg_oss_list(VimgOss *oss, const char *prefix, const char *delimiter,
                           const char *token, const VimgPatience *patience, GError **error);
/* A page of the unfinished uploads below @prefix, behind those markers (NULL: the first). */
VimgOssPage *vimg_oss_list_uploads(VimgOss *oss, const char *prefix, const char *key_marker,
                                   const char *id_marker, const VimgPatience *patience,
                                   GError **error);
/*
 * Whether the bucket keeps versions: then nothing is exclusive there.  VIMG_ERROR_NO_SUPPORT where
 * the storage cannot say.
 */
gboolean vimg_oss_has_versions(VimgOss *oss, gboolean *out, const VimgPatience *patience,
                               GError **error);

/* Bytes in the bucket, as of some time ago.  VIMG_ERROR_NO_SUPPORT as before. */
gboolean vimg_oss_used(VimgOss *oss, guint64 *out, const VimgPatience *patience, GError **error);

/* ---- for the files beside it */

/* What the header of an answer says of an object. */
void vimg_oss_object_read(const VimgOss *oss, const VimgOssRequest *request, VimgOssObject *out);
/* Adds "x-oss-meta-…". */
void vimg_oss_add_metadata(GPtrArray *headers, const GPtrArray *metadata);

#endif
