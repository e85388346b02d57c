/*
 * host-uri.h: which of the host's own libvirt daemons is meant
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_HOST_URI_H
#define VIMG_CONF_HOST_URI_H

#include "util/error.h"

#define VIMG_HOST_URI_AUTO "auto"
#define VIMG_HOST_URI_NONE "none"

typedef struct {
    char *name;       /* the URI as that daemon is to be told: no transport, no parameters */
    char *driver;     /* "qemu" */
    gboolean session; /* a user's own daemon */
    char *socket;     /* absolute; NULL: where clients look */
} VimgHostUri;

/*
 * DRIVER[+unix]:///PATH[?socket=SOCKET].  Other machines are refused: their daemons know nothing of
 * this host.  VIMG_ERROR_CONFIG_UNSUPPORTED
 */
VimgHostUri *vimg_host_uri_parse(const char *text, GError **error);
void vimg_host_uri_free(VimgHostUri *uri);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostUri, vimg_host_uri_free)

#endif
