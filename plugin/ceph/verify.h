/*
 * verify.h: reading images again, to see whether they are what was uploaded
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_VERIFY_H
#define VIMG_CEPH_VERIFY_H

#include "record.h"

/* For the table of callbacks; @uuid NULL: all that have a digest. */
char *vimg_ceph_verify(VimgCephStore *store, const char *uuid, VimgPluginJob *job, GError **error);

#endif
