/*
 * secret.h: values of secrets that the host's own libvirt daemon keeps
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_SECRET_H
#define VIMG_HOST_SECRET_H

#include "host/host.h"

/*
 * @usage NULL: the one of @uuid, 16 bytes; else of @usage_type, a virSecretUsageType.  Asked with
 * the daemon's own rights; may wait for half a minute.  Returns: (transfer full) to be wiped; NULL
 * with VIMG_ERROR_NO_SECRET if there is none or no such daemon, VIMG_ERROR_INVALID_SECRET if it is
 * private, or why the daemon cannot be asked.
 */
VimgBuffer *vimg_host_secret(VimgHost *host, int usage_type, const char *usage, const guint8 *uuid,
                             GError **error);

#endif
