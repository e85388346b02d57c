/*
 * fetch.h: the bytes that lie at a URL, one piece after the other
 *
 * A fetch is bound by rules that no redirect and no name server can go round: every hop is checked
 * again, and every connection by the address it goes to.  What was cut off goes on where it was,
 * as long as the server can tell that it still has the same.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_FETCH_H
#define VIMG_FETCH_FETCH_H

#include "util/error.h"

/* What may be fetched, and how.  All of it is borrowed; lists end with NULL. */
typedef struct {
    const char *const *schemes;     /* of "https", "http" and "file" */
    const char *const *hosts;       /* patterns with * and ?; none: every host */
    const char *const *addresses;   /* networks; none: see vimg_address_check() */
    const char *const *directories; /* below which files may be read */
    const char *ca_file;            /* trusted instead of the host's authorities; NULL: those */
    const char *proxy;              /* NULL: none, whatever the environment says */
    guint timeout;                  /* seconds without a byte until it is tried again */
} VimgFetchRules;

typedef struct _VimgFetch VimgFetch;

/* Asked every fraction of a second. */
typedef gboolean (*VimgFetchCancelled)(gpointer data);

/*
 * Connects, follows redirects and waits for the answer.  @rules outlive the fetch, which is used by
 * one thread at a time.  Errors name the URL without what may be secret in it.
 */
VimgFetch *vimg_fetch_open(const VimgFetchRules *rules, const char *url,
                           VimgFetchCancelled cancelled, gpointer data, GError **error);
void vimg_fetch_close(VimgFetch *fetch); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgFetch, vimg_fetch_close)

/* The URL as it was given, without query and fragment. */
const char *vimg_fetch_url(const VimgFetch *fetch);
/* FALSE: nobody knows.  @allocation: how much of it is no holes, as far as that is known. */
gboolean vimg_fetch_length(const VimgFetch *fetch, guint64 *length, guint64 *allocation);
/*
 * A short text that is another one once the bytes are others.  Returns: (transfer full); NULL: the
 * server does not say.
 */
char *vimg_fetch_identity(const VimgFetch *fetch);
/*
 * The next byte is that at @offset, less than the length; of a server that cannot begin there, the
 * first.  @at says which.
 */
gboolean vimg_fetch_seek(VimgFetch *fetch, guint64 offset, guint64 *at, GError **error);
/*
 * TRUE with @out->length 0 at the end.  The first piece has VIMG_FETCH_HEAD bytes, or all there
 * are.  @out->data: (transfer full); NULL: a hole.
 */
#define VIMG_FETCH_HEAD 4096
gboolean vimg_fetch_next(VimgFetch *fetch, VimgExtent *out, GError **error);

#endif
