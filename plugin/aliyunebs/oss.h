/*
 * oss.h: a bucket of an object storage, and requests to it
 *
 * Everything blocks, and may be called from any thread and many at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_OSS_H
#define VIMG_ALIYUNEBS_OSS_H

#include "oss-xml.h"
#include "sign.h"
#include "web.h"

/* Where the bucket is named. */
typedef enum {
    VIMG_OSS_VIRTUAL, /* bucket.host */
    VIMG_OSS_PATH,    /* host/bucket */
    VIMG_OSS_CNAME,   /* nowhere: the host is the bucket's */
    VIMG_OSS_N_STYLES
} VimgOssStyle;

typedef enum {
    VIMG_OSS_V4,
    VIMG_OSS_V1,
    VIMG_OSS_S3, /* also the storage's other ways are those of S3 */
    VIMG_OSS_N_SIGNATURES
} VimgOssSignature;

/* All copied. */
typedef struct {
    gboolean plain; /* http */
    const char *host;
    guint16 port; /* 0: the scheme's */
    const char *bucket;
    const char *region;
    VimgOssStyle style;
    VimgOssSignature signature;
    VimgWebRules web;
} VimgOssRules;

typedef struct _VimgOss VimgOss;

/* Returns: (transfer full), without any I/O; NULL as vimg_web_new(). */
VimgOss *vimg_oss_new(const VimgOssRules *rules, VimgCredential *credential, GError **error);
/* No request may be running.  Accepts NULL. */
void vimg_oss_free(VimgOss *oss);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgOss, vimg_oss_free)
/* From the next attempt on requests are signed with @credential. */
void vimg_oss_set_credential(VimgOss *oss, VimgCredential *credential);
gboolean vimg_oss_is_s3(const VimgOss *oss);
const char *vimg_oss_bucket(const VimgOss *oss);
/* Seconds the storage's clock is ahead of ours, as far as it was ever looked at. */
gint64 vimg_oss_skew(VimgOss *oss);
/* "cn-hangzhou" of "oss-cn-hangzhou-internal.aliyuncs.com"; NULL: it cannot be read from it. */
char *vimg_oss_region_of(const char *host);

/* A request and its answer; zeroed but for what is asked, cleared by vimg_oss_request_clear(). */
typedef struct {
    const char *key;        /* NULL: the bucket itself */
    const GPtrArray *query; /* of VimgPair, not encoded; NULL: none */
    /* of VimgPair, as "x-oss-…", which is translated for other storages; NULL: none */
    const GPtrArray *headers;
    VimgExchange web; /* method, body and where the answer goes */

    char *fault; /* code of an error, as "NoSuchKey"; NULL: none */
} VimgOssRequest;

/*
 * Tries again what may pass.  TRUE: the answer is of 2xx and no error.  FALSE with
 * VIMG_ERROR_NO_VOL (no such object), _VOL_EXISTS (forbidden to overwrite), _AUTH, _ACCESS_DENIED,
 * _NO_SPACE, _CONFIG_UNSUPPORTED, _DISCONNECTED, _BUSY, _OPERATION_INVALID (no such upload),
 * _FAILED or as vimg_web_perform().
 */
gboolean vimg_oss_request(VimgOss *oss, VimgOssRequest *request, const VimgPatience *patience,
                          GError **error);
/*
 * Where whoever has it may GET the object @key for @seconds.  VIMG_ERROR_NO_SUPPORT: requests are
 * signed in another way there.  Returns: (transfer full)
 */
char *vimg_oss_url(VimgOss *oss, const char *key, guint seconds, GError **error);
void vimg_oss_request_clear(VimgOssRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgOssRequest, vimg_oss_request_clear)
/* Header "x-oss-NAME" of the answer, or what it is called there; NULL: there is none. */
const char *vimg_oss_field(const VimgOss *oss, const VimgOssRequest *request, const char *name);

#endif
