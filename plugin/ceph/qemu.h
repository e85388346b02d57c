/*
 * qemu.h: qemu-img at work on RBD images, in a process of its own
 *
 * It reads what strangers uploaded, so it has bounds: memory, files, and a life no longer than
 * ours.  The key of the cluster reaches it through a file that has no name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_QEMU_H
#define VIMG_CEPH_QEMU_H

#include "cluster.h"

/* What an image of @format in RBD image @rbd is to its guest, in bytes. */
gboolean vimg_qemu_size(VimgCluster *cluster, const char *format, const char *rbd, guint64 *out,
                        VimgPluginJob *job, GError **error);
/*
 * Whether @words, its last ones, say that what it reads is no image, and never will be: it has no
 * codes, and in the language C it says what errno says.
 */
gboolean vimg_qemu_blames_image(const char *words, gboolean converting);
/*
 * Its content goes to RBD image @to, which is empty and of that size.  VIMG_ERROR_DAMAGED: it
 * cannot be what it claims to be.
 */
gboolean vimg_qemu_convert(VimgCluster *cluster, const char *format, const char *rbd,
                           const char *to, guint64 size, VimgPluginJob *job, GError **error);

#endif
