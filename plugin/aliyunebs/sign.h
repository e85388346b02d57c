/*
 * sign.h: signatures of requests to an object storage
 *
 * Pure functions: what is signed comes in, headers come out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_SIGN_H
#define VIMG_ALIYUNEBS_SIGN_H

#include "crypt.h"
#include "pairs.h"

#define VIMG_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* A request; all borrowed. */
typedef struct {
    const char *method;
    const char *bucket;     /* NULL: the service itself */
    const char *key;        /* not encoded; NULL: the bucket itself */
    const char *path;       /* as sent: encoded, with a '/' first */
    const char *host;       /* as sent, with a port that is not the scheme's */
    const GPtrArray *query; /* of VimgPair, not encoded; NULL: none */
    GPtrArray *headers;     /* of VimgPair; those of the signature are added */
    const char *region;
    const char *product;           /* of V4: NULL is "oss" */
    const char *const *additional; /* of V4: names of further headers, in lower case; NULL: none */
    gint64 now;                    /* seconds since 1970 */
} VimgSigning;

typedef void (*VimgSigner)(const VimgCredential *credential, const VimgSigning *signing);

/* OSS4-HMAC-SHA256 */
void vimg_sign_v4(const VimgCredential *credential, const VimgSigning *signing);
/*
 * The same for a URL that whoever has it may GET for @seconds.  Returns: (transfer full) its query,
 * encoded; headers and query of @signing are not looked at.
 */
char *vimg_sign_v4_query(const VimgCredential *credential, const VimgSigning *signing,
                         guint seconds);
/* HMAC-SHA1, for storages that know no other */
void vimg_sign_v1(const VimgCredential *credential, const VimgSigning *signing);
/* AWS4-HMAC-SHA256, for storages that speak S3 */
void vimg_sign_s3(const VimgCredential *credential, const VimgSigning *signing);

/* ---- what they have in common */

/* @now as strftime() has it in UTC, in English whatever the locale. */
char *vimg_sign_date(gint64 now, const char *format);
/* Of VimgPair in lower case, stripped and sorted: the headers that @is_signed() names. */
GPtrArray *vimg_sign_headers(const VimgSigning *signing,
                             gboolean (*is_signed)(const char *name, const VimgSigning *signing));
/* Their names, with ";" between. */
char *vimg_sign_names(const GPtrArray *headers);
/* "name:value\n" for each. */
char *vimg_sign_lines(const GPtrArray *headers);
/* A key derived along @parts, which ends with NULL, signs @text.  Returns: hexadecimal. */
char *vimg_sign_chain(const char *prefix, const VimgCredential *credential,
                      const char *const *parts, const char *text);

#endif
