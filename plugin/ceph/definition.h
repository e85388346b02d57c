/*
 * definition.h: what the definition of a pool in a Ceph cluster says
 *
 * Nobody is asked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_DEFINITION_H
#define VIMG_CEPH_DEFINITION_H

#include "vimg-plugin.h"

#define VIMG_CEPH_AUTH "ceph"
#define VIMG_CEPH_SSH_AUTH "ssh"
#define VIMG_CEPH_USER "admin"

/* A monitor whose host tells address and key over SSH; all borrowed from the definition. */
typedef struct {
    VimgPluginAddress address;
    const char *user;         /* NULL: root */
    const char *host_key;     /* "SHA256:…"; NULL: by known hosts */
    const char *secret_usage; /* one of the two, or neither */
    const char *secret_uuid;
} VimgCephSshHost;

extern const VimgPluginOption vimg_ceph_options[];

/* For the table of callbacks. */
gboolean vimg_ceph_check(const VimgPluginPool *pool, GError **error);
char *vimg_ceph_identity(const VimgPluginPool *pool);

/* Returns: (transfer full) name of the RADOS pool: the given one, or one of our own. */
char *vimg_ceph_pool_name(const VimgPluginPool *pool);
/* "admin", without "client." */
const char *vimg_ceph_user(const VimgPluginPool *pool);
/* Returns: the value of an option's attribute, NULL: it is not there. */
const char *vimg_ceph_option(const VimgPluginPool *pool, const char *path, const char *attribute);
/* Bytes a second that a verification reads; 0: no limit. */
guint64 vimg_ceph_verify_rate(const VimgPluginPool *pool);
/* Returns: (transfer full) of VimgCephSshHost; empty: the definition has addresses and the key. */
GArray *vimg_ceph_ssh_hosts(const VimgPluginPool *pool);

#endif
