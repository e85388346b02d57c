/*
 * peers.h: the way to each monitor and OSD
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_PEERS_H
#define VIMG_CEPH_PEERS_H

#include "answer.h"

/*
 * Whether the way to every one of them begins at an address of this host in @network, where the
 * monitors must be themselves, as librados uses all that there are; names the first one for which
 * it does not: VIMG_ERROR_CONFIG_UNSUPPORTED.
 */
gboolean vimg_peers_check_routes(rados_t rados, const char *network, GError **error);
/* The same of @peers alone; @inside: they must be in it. */
gboolean vimg_peers_check(const GPtrArray *peers, const char *network, gboolean inside,
                          GError **error);

#endif
