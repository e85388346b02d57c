/*
 * promise.h: images that no host removes before a time, though they be deleted
 *
 * All are in one object of the RADOS pool, as keys "UUID/ID" whose value is the time.  One is made
 * while its image is there: whoever finds that in the trash finds the promise too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_PROMISE_H
#define VIMG_CEPH_PROMISE_H

#include "store.h"

/* As keep() of the contract. */
gboolean vimg_ceph_keep(VimgCephStore *store, const char *uuid, const char *id, gint64 until,
                        GError **error);
/* Whether this host has promised the deleted image @uuid to somebody. */
gboolean vimg_ceph_is_kept(const VimgCephStore *store, const char *uuid);
/* VIMG_ERROR_OPERATION_INVALID: image @uuid is promised to somebody. */
gboolean vimg_ceph_promise_check(VimgCluster *cluster, const char *uuid, GError **error);
/* Removes the object of all. */
gboolean vimg_ceph_promise_forget(VimgCluster *cluster, GError **error);

#endif
