/*
 * fetch-private.h: what the files of fetch/ share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_FETCH_PRIVATE_H
#define VIMG_FETCH_FETCH_PRIVATE_H

#include <sys/socket.h>
#include <curl/curl.h>

#include "fetch/fetch.h"

#define VIMG_ULL(number) ((unsigned long long)(number))

/* ---- url.c ------------------------------------------------------------------------------ */

typedef struct {
    CURLU *parsed;
    char *scheme;
    char *host;  /* lower case, no brackets; NULL: a file */
    char *path;  /* of a file, decoded */
    char *shown; /* without query and fragment */
} VimgUrl;

void vimg_url_clear(VimgUrl *url);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgUrl, vimg_url_clear)
/*
 * Checks scheme and host.  @base: what redirects to @text, which may be relative; NULL: nobody.
 * VIMG_ERROR_INVALID_ARG or VIMG_ERROR_ACCESS_DENIED.
 */
gboolean vimg_url_parse(const VimgFetchRules *rules, const VimgUrl *base, const char *text,
                        VimgUrl *out, GError **error);

/* ---- address.c -------------------------------------------------------------------------- */

/*
 * Whether a connection may go to @address.  Those that are special (loopback, link-local,
 * multicast, what asks a cloud for a machine's secrets, …) need a network of @networks that lies
 * inside of the special one; all others one that has them, or none at all.
 */
gboolean vimg_address_check(const char *const *networks, const struct sockaddr *address,
                            GError **error);

/* ---- kinds of sources ------------------------------------------------------------------- */

typedef struct {
    gpointer (*open)(VimgFetch *fetch, const VimgUrl *url, GError **error);
    gboolean (*length)(gpointer source, guint64 *length, guint64 *allocation);
    char *(*identity)(gpointer source); /* without the URL */
    gboolean (*seek)(gpointer source, guint64 offset, guint64 *at, GError **error);
    gboolean (*next)(gpointer source, VimgExtent *out, GError **error);
    void (*close)(gpointer source);
} VimgFetchKind;

struct _VimgFetch {
    const VimgFetchRules *rules;
    VimgFetchCancelled cancelled;
    gpointer data;
    VimgUrl url;
    const VimgFetchKind *kind;
    gpointer source;
};

extern const VimgFetchKind vimg_fetch_http; /* http.c */
extern const VimgFetchKind vimg_fetch_file; /* file.c */

/* VIMG_ERROR_ABORTED if it was cancelled. */
gboolean vimg_fetch_check(const VimgFetch *fetch, GError **error);

#endif
