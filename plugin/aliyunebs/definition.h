/*
 * definition.h: what the definition of a pool in an object storage says
 *
 * Nobody is asked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_DEFINITION_H
#define VIMG_ALIYUNEBS_DEFINITION_H

#include "control.h"
#include "oss.h"

#define VIMG_EBS_AUTH "aliyun"
#define VIMG_EBS_PREFIX "virtimage"

/* Who signs; borrowed from the definition. */
typedef struct {
    const char *user;
    const char *usage; /* one of the two */
    const char *uuid;
} VimgEbsKey;

extern const VimgPluginOption vimg_ebs_options[];

/* For the table of callbacks. */
gboolean vimg_ebs_check(const VimgPluginPool *pool, GError **error);
char *vimg_ebs_identity(const VimgPluginPool *pool);

/* Returns: (transfer full) all of it but secrets and limits: whether it leads elsewhere now. */
char *vimg_ebs_origin(const VimgPluginPool *pool);
const char *vimg_ebs_prefix(const VimgPluginPool *pool);
/* NULL: the bucket alone is the storage. */
const VimgDialect *vimg_ebs_dialect(const VimgPluginPool *pool);
gboolean vimg_ebs_rollback_wanted(const VimgPluginPool *pool);
/* Returns: (transfer full) NULL: it is neither given nor part of the host's name. */
char *vimg_ebs_region(const VimgPluginPool *pool, gboolean control);
VimgEbsKey vimg_ebs_key_of(const VimgPluginPool *pool, gboolean control);
/* All but the region, which is the caller's, and the local address.  Borrowed from the definition.
 */
void vimg_ebs_oss_rules(const VimgPluginPool *pool, VimgOssRules *out);
void vimg_ebs_control_rules(const VimgPluginPool *pool, VimgControlRules *out);

#endif
