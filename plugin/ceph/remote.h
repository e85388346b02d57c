/*
 * remote.h: asking the monitors' hosts over SSH where the monitors are and what the key is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_REMOTE_H
#define VIMG_CEPH_REMOTE_H

#include "login.h"

/* Fills .hosts, .key and .fsid of @login from the hosts that <image:monitor> names. */
gboolean vimg_ceph_remote_ask(VimgCephLogin *login, const VimgPluginPool *pool, gint64 deadline,
                              GError **error);
/* Takes apart what 'ceph config generate-minimal-conf' wrote.  VIMG_ERROR_FAILED */
gboolean vimg_ceph_remote_parse(VimgCephLogin *login, const char *text, GError **error);
/* For the table of callbacks: the key of every monitor's host that shows just @fingerprint. */
gboolean vimg_ceph_host_key_accept(const VimgPluginPool *pool, const char *fingerprint,
                                   GError **error);

#endif
