/*
 * transfer-digest.h: the checksum a client announced, against the content that came
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_TRANSFER_DIGEST_H
#define VIMG_POOL_TRANSFER_DIGEST_H

#include "pool/job.h"

typedef struct _VimgDigest VimgDigest;

/*
 * @text: "sha256:" or "sha512:" and hexadecimal digits; NULL: none, and both are NULL.  @type,
 * @expected: (transfer full) as below.
 */
gboolean vimg_digest_parse(const char *text, char **type, char **expected, GError **error);
/* @type as in VimgPluginImage.checksum_type. */
VimgDigest *vimg_digest_new(const char *type, GError **error);
void vimg_digest_free(VimgDigest *digest); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgDigest, vimg_digest_free)

/* @data NULL: zeros, as many as terabytes; ends early if @job is cancelled. */
gboolean vimg_digest_add(VimgDigest *digest, const guint8 *data, guint64 size, VimgJob *job,
                         GError **error);
/* Once, at the end.  VIMG_ERROR_DAMAGED naming both if it is not @expected, lower-case hex. */
gboolean vimg_digest_check(VimgDigest *digest, const char *expected, GError **error);

#endif
