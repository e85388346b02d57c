/*
 * reach.h: from a definition to the files of its store, on this host or another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_REACH_H
#define VIMG_IMAGESTORE_REACH_H

#include "transport.h"

/* How a transport connects to another machine. */
typedef struct _VimgLink VimgLink;

/*
 * Returns: (transfer full) the directory of @pool; one on another machine after a first connection,
 * by which that was seen to be no place that is not allowed.  NULL with @error, which says what
 * step of the way failed.  @host: who hears that the storage is lost or back; NULL: nobody.
 * @link: the transport's, as long as that lives, or NULL on this host; may be NULL.
 */
VimgTransport *vimg_reach(const VimgPluginPool *pool, VimgPluginHost *host, VimgLink **link,
                          GError **error);
/*
 * A second one to the same directory that keeps to @network, a CIDR, for data between two storages.
 * It is there until the transport of @link ends, so that not each image logs in anew, or, with
 * *@owned set to it, the caller's.  Returns: NULL with VIMG_ERROR_CONFIG_UNSUPPORTED if a side has
 * no address there.
 */
VimgTransport *vimg_reach_via(VimgLink *link, const char *network, VimgTransport **owned,
                              GError **error);
/* The same of /, to make the directory or to remove it. */
VimgTransport *vimg_reach_root(const VimgPluginPool *pool, GError **error);

/* From now on connections after a loss are to find the store @uuid. */
void vimg_link_expect(VimgLink *link, const char *uuid);
/*
 * From now on @pool says how @transport connects, which it does at once if it is not connected so.
 * FALSE: it cannot, and all is as before.
 */
gboolean vimg_link_update(VimgLink *link, VimgTransport *transport, const VimgPluginPool *pool,
                          GError **error);

#endif
