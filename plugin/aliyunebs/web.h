/*
 * web.h: HTTP requests, many at a time over connections that are kept
 *
 * One thread of a VimgWeb moves the bytes of all of its requests; whoever asks waits.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_WEB_H
#define VIMG_ALIYUNEBS_WEB_H

#include "pairs.h"
#include "patience.h"

typedef struct _VimgWeb VimgWeb;

/* How servers are reached; all copied. */
typedef struct {
    const char *ca_file; /* PEM; NULL: the authorities the system trusts */
    const char *proxy;   /* URL; NULL: none, whatever the environment says */
    const char *local;   /* address to connect from; NULL: any */
    guint stall;         /* seconds without a byte after which a request is lost; 0: 30 */
} VimgWebRules;

/* Gives @size bytes at @offset of a body, the same ones each time. */
typedef gboolean (*VimgWebSource)(gpointer data, guint64 offset, guint8 *out, gsize size,
                                  GError **error);

/* A request and what became of it. */
typedef struct {
    /* asked; borrowed */
    const char *method;
    const char *url;          /* encoded */
    const GPtrArray *headers; /* of VimgPair */
    const guint8 *body;       /* NULL: none, or from @source */
    guint64 size;             /* of the body */
    VimgWebSource source;     /* NULL: none */
    gpointer source_data;
    guint stall; /* seconds without a byte after which it is lost; 0: as the rules say */

    /* where an answer of 2xx goes; else, and all others, into @text */
    guint8 *into; /* borrowed; NULL: into @text */
    gsize room;   /* of @into: more is an error */
    gsize limit;  /* of @text: more is an error; 0: 64 KiB */

    /* answered; freed by vimg_exchange_clear() */
    guint status;
    GPtrArray *fields; /* of VimgPair */
    gsize got;         /* bytes in @into */
    GByteArray *text;
    gboolean passing; /* it failed, and may not fail again */
} VimgExchange;

/* Returns: (transfer full); NULL with VIMG_ERROR_CONFIG_UNSUPPORTED or VIMG_ERROR_BUSY. */
VimgWeb *vimg_web_new(const VimgWebRules *rules, GError **error);
/* No request may be running.  Accepts NULL. */
void vimg_web_free(VimgWeb *web);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgWeb, vimg_web_free)

/*
 * Any answer is a success.  FALSE with VIMG_ERROR_DISCONNECTED (no whole answer came; see
 * @passing), VIMG_ERROR_CONFIG_UNSUPPORTED (CA file, local address), VIMG_ERROR_INTERNAL (an answer
 * beyond its bounds), that of @source, or as vimg_patience_check().
 */
gboolean vimg_web_perform(VimgWeb *web, VimgExchange *exchange, const VimgPatience *patience,
                          GError **error);
/* For another attempt or the end; what was asked stays. */
void vimg_exchange_clear(VimgExchange *exchange);

/* Whether a server that answers @status may answer otherwise soon. */
gboolean vimg_web_is_passing(guint status);
/* Microseconds that the server asks to wait, by Retry-After; 0: it does not say. */
gint64 vimg_web_hint(const GPtrArray *fields);
/* Seconds since 1970 of the Date of an answer; 0: it has none that can be understood. */
gint64 vimg_web_date(const GPtrArray *fields);

#endif
