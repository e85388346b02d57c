/*
 * primary-entry.h: what a file of the journal says, and which volume that means
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_ENTRY_H
#define VIMG_HOST_PRIMARY_ENTRY_H

#include "host/primary-private.h"

#define VIMG_HOST_ENTRY_GROUP "clone"
#define VIMG_HOST_ENTRY_SUFFIX ".clone"
#define VIMG_HOST_ENTRY_BESIDE "beside" /* a key: the name of what takes the volume's place */

/* Returns: (transfer full) the id of the entry in file @base */
char *vimg_host_entry_id(const char *base);
/* Durable when it returns; mode 0600. */
gboolean vimg_host_entry_store(const char *path, GKeyFile *file, GError **error);
/* @key happens now; "made": nobody waits for it any more, but it is being made at this moment. */
void vimg_host_entry_stamp(GKeyFile *file, const char *key);
/* Whether libvirt said that it has made the volume. */
gboolean vimg_host_entry_is_answered(GKeyFile *file);
/* Whether libvirt may still make a volume that is not there now: nobody heard its answer. */
gboolean vimg_host_entry_may_come(GKeyFile *file);
/* It is looked at: the first to do so notes when, where a daemon was killed that could not. */
void vimg_host_entry_set_seen(GKeyFile *file);
/*
 * *@it: whether @vol is the one that entry @id means, and unfinished, by what is stored.  FALSE:
 * nobody can tell; VIMG_ERROR_OPERATION_INVALID: libvirt is at it at this moment
 */
gboolean vimg_host_entry_is_it(GKeyFile *file, const char *id, virConnectPtr connect,
                               const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                               GError **error);

#endif
