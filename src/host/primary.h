/*
 * primary.h: the host's pools as primary storage, served to the model
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_H
#define VIMG_HOST_PRIMARY_H

#include "host/host.h"
#include "pool/model.h"

typedef struct _VimgHostPrimary VimgHostPrimary;

typedef struct {
    const VimgHost *host;     /* lives longer */
    const char *state_dir;    /* what is unfinished is noted below it */
    const char *reader;       /* user who opens images of strangers; NULL: nobody */
    guint keepalive_interval; /* seconds between questions to a silent daemon; 0: the default */
    guint keepalive_count;    /* of those, how many may stay unanswered */
} VimgHostPrimaryConfig;

/*
 * Serves @model, which must live longer.  What an earlier daemon left unfinished is removed in a
 * thread of its own, once the host's daemon answers.  Strings of @config are copied.
 */
VimgHostPrimary *vimg_host_primary_new(const VimgHostPrimaryConfig *config, VimgModel *model,
                                       GError **error);
/* No clone runs any more.  Accepts NULL. */
void vimg_host_primary_free(VimgHostPrimary *primary);

#endif
