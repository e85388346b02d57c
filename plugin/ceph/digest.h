/*
 * digest.h: one number for the content of an image
 *
 * SHA-256 of the SHA-256 of each block that is not all zeros, with its number, and of the length.
 * Zeros cost nothing, so that an image of terabytes with little in it is summed up at once; but in
 * a plain one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_DIGEST_H
#define VIMG_CEPH_DIGEST_H

#include <glib.h>

typedef struct _VimgCephDigest VimgCephDigest;

VimgCephDigest *vimg_ceph_digest_new(void);
/* Of one that is just the SHA-256 of all bytes, as others make it. */
VimgCephDigest *vimg_ceph_digest_new_plain(void);
gboolean vimg_ceph_digest_is_plain(const VimgCephDigest *digest);
/* Accepts NULL. */
void vimg_ceph_digest_free(VimgCephDigest *digest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephDigest, vimg_ceph_digest_free)

/* What comes next; @data NULL: zeros. */
void vimg_ceph_digest_add(VimgCephDigest *digest, const guint8 *data, guint64 size);
/* Returns: how much came. */
guint64 vimg_ceph_digest_at(const VimgCephDigest *digest);
/* All came.  Returns: (transfer full) lower-case hex. */
char *vimg_ceph_digest_finish(VimgCephDigest *digest);

#endif
