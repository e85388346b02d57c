/*
 * pool-private.h: the parts of the pool parser
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_POOL_PRIVATE_H
#define VIMG_CONF_POOL_PRIVATE_H

#include "conf/pool-def.h"
#include "conf/xml.h"

/* What one definition may hold of each; far more than any storage needs. */
#define VIMG_POOL_HOSTS_MAX 64
#define VIMG_POOL_ZONES_MAX 256
#define VIMG_POOL_ELEMENTS_MAX 1024

#define VIMG_RECONNECT_INTERVAL 30     /* seconds */
#define VIMG_KEEP_DELETED 259200       /* seconds */
#define VIMG_KEEP_TEMPORARY 86400      /* seconds */
#define VIMG_SPACE_DEFAULT G_MAXUINT64 /* bytes */

/* An empty definition with the defaults. */
VimgPoolDef *vimg_pool_def_new(void);

/* The address(es) of one <host> element, which virsh writes all into its name. */
gboolean vimg_pool_parse_host(VimgPoolDef *def, const xmlNode *node, GError **error);

/* <image:options>; @node NULL: there is none. */
gboolean vimg_pool_parse_options(VimgPoolDef *def, const xmlNode *node, GError **error);

void vimg_host_def_free(VimgHostDef *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostDef, vimg_host_def_free)
void vimg_element_def_free(VimgElementDef *element);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgElementDef, vimg_element_def_free)

#endif
