/*
 * primary-moment.h: what volumes held when images were made of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_MOMENT_H
#define VIMG_HOST_PRIMARY_MOMENT_H

#include "host/primary-private.h"

/* As the callbacks of VimgPrimary. */
gboolean vimg_host_hold(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
                        const VimgVolId *source, GError **error);
gboolean vimg_host_fill(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
                        const VimgVolId *source, VimgFilled *out, GError **error);
/* Moments whose images are gone from our pool @uuid, or were followed by others, are dropped. */
void vimg_host_moments_tidy(VimgHostPrimary *primary, const char *uuid);
/* That of image @uuid is, if there is one. */
void vimg_host_moment_gone(VimgHostPrimary *primary, const char *uuid);
/* Those of pools that are undefined go.  @connect may be NULL.  Returns: whether none of them is
 * left */
gboolean vimg_host_moments_reap(VimgHostPrimary *primary, virConnectPtr connect);
/* Whether there are any. */
gboolean vimg_host_moments_are_over(VimgHostPrimary *primary);

#endif
