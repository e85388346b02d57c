/*
 * login.h: the monitors' names and the key, from the definition or over SSH
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_LOGIN_H
#define VIMG_CEPH_LOGIN_H

#include "vimg-plugin.h"

typedef struct {
    GArray *hosts; /* of VimgPluginAddress, whose names are its own */
    char *user;
    VimgBuffer *key; /* base64 text; wiped at the end */
    char *fsid;      /* of the cluster that the hosts belong to; NULL: nobody was asked */
} VimgCephLogin;

/* Returns: (transfer full); NULL with @error, of any kind that vimg_cluster_connect() has. */
VimgCephLogin *vimg_ceph_login_new(const VimgPluginPool *pool, gint64 deadline, GError **error);
/* Accepts NULL. */
void vimg_ceph_login_free(VimgCephLogin *login);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephLogin, vimg_ceph_login_free)

/* For those who fill a login: one with nothing but its user. */
VimgCephLogin *vimg_ceph_login_alloc(const char *user);
/* Returns: (transfer full) to secret_free() of the services. */
VimgBuffer *vimg_ceph_login_secret(const char *auth_type, const char *usage, const char *uuid,
                                   GError **error);
/*
 * Returns: (transfer full) the key that @value is, either as the base64 text that Ceph shows or as
 * the bytes that it stands for, which is what virsh secret-set-value --base64 makes of it.
 */
VimgBuffer *vimg_ceph_login_key(const VimgBuffer *value, const char *user, GError **error);

/* Takes @buffer; wipes its bytes if nobody else needs them.  Accepts NULL. */
void vimg_ceph_secret_free(VimgBuffer *buffer);

#endif
