/*
 * dialect.h: how a control endpoint is spoken to
 *
 * The endpoint named in a pool is that of an Ocean server, whose own API is not public.  What is
 * spoken is the public ECS API of the vendor, in one of its two request forms; none of it was ever
 * tried on an Ocean server.  Pure functions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_DIALECT_H
#define VIMG_ALIYUNEBS_DIALECT_H

#include "crypt.h"
#include "pairs.h"

/* A call, all borrowed, and the request that it becomes. */
typedef struct {
    const char *url;  /* of the endpoint, as in the definition */
    const char *host; /* of it, with a port that is not the scheme's */
    const char *path; /* of it, encoded, with a '/' first */
    const char *action;
    const char *version;
    const GPtrArray *parameters; /* of VimgPair */
    const char *nonce;           /* another one each time */
    gint64 now;                  /* seconds since 1970 */

    /* made; freed by vimg_call_clear() */
    char *target; /* URL */
    GPtrArray *headers;
    char *body; /* NULL: none */
} VimgCall;

typedef struct {
    const char *name; /* value of <image:control dialect=> */
    void (*prepare)(const VimgCredential *credential, VimgCall *call);
} VimgDialect;

extern const VimgDialect vimg_dialect_rpc;  /* "ecs-rpc" */
extern const VimgDialect vimg_dialect_acs3; /* "ecs-acs3" */

/* NULL: there is none of that name. */
const VimgDialect *vimg_dialect_find(const char *name);
void vimg_call_clear(VimgCall *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCall, vimg_call_clear)

/* The signature of RPC requests, for tests too.  Returns: base64. */
char *vimg_rpc_signature(const VimgCredential *credential, const char *method,
                         const GPtrArray *parameters);

#endif
