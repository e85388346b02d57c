/*
 * answer.h: requests for exports, and what is answered
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_ANSWER_H
#define VIMG_EXPORTER_ANSWER_H

#include "exporter/clients.h"
#include "exporter/link.h"

typedef struct {
    int listen_fd;
    VimgClientLimits limits;
    guint timeout;     /* seconds for which a client may take nothing, or make a request */
    char *certificate; /* PEM, with its key; NULL: no TLS */
    char *key;
} VimgExporterOptions;

/* Serves until the process ends, in threads of its own.  FALSE with @error. */
gboolean vimg_exporter_serve(VimgExporterLink *link, const VimgExporterOptions *options,
                             GError **error);

#endif
