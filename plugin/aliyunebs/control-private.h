/*
 * control-private.h: what the files of a control endpoint's client share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CONTROL_PRIVATE_H
#define VIMG_ALIYUNEBS_CONTROL_PRIVATE_H

#include <pthread.h>

#include "control.h"

struct _VimgControl {
    VimgWeb *web;
    const VimgDialect *dialect;
    char *url;
    char *host;
    char *path;
    char *region;
    char *version;
    gint64 skew; /* through __atomic builtins */
    pthread_mutex_t lock;
    VimgCredential *credential; /* under the lock */
};

/* Returns: (transfer full) the answer to @action. */
JsonObject *vimg_control_call(VimgControl *control, const char *action, const GPtrArray *parameters,
                              const VimgPatience *patience, GError **error);

#endif
