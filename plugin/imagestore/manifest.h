/*
 * manifest.h: what is known of an image beside its content
 *
 * images/<uuid>/manifest.<n>.json; a change writes the next n.  What describes the sealed content
 * counts only once the index is in its place, which alone makes an image active.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_MANIFEST_H
#define VIMG_IMAGESTORE_MANIFEST_H

#include "lease.h"
#include "store.h"

typedef struct {
    guint64 number; /* n; 0: not written yet */
    /*
     * name, format (NULL: not declared), capacity, created, parent, checksum, os, arch,
     * description, origin; reason if it is unusable; allocation of what was stored when the last
     * upload ended.
     */
    VimgPluginImage image;
    gboolean sealed; /* the rest is set */
    char *sealed_format;
    guint64 sealed_capacity;
    guint64 sealed_allocation;
    guint64 sealed_length;
    guint64 index_size;
    char *index_digest; /* SHA-256 of image.caibx */
} VimgManifest;

VimgManifest *vimg_manifest_new(const VimgPluginImage *image);
/* Without what describes the sealed content. */
VimgManifest *vimg_manifest_copy(const VimgManifest *manifest);
/* Accepts NULL. */
void vimg_manifest_free(VimgManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgManifest, vimg_manifest_free)

/* Returns: (transfer full); NULL with VIMG_ERROR_DAMAGED. */
VimgManifest *vimg_manifest_parse(const guint8 *data, gsize size, GError **error);
/* Returns: (transfer full) the JSON text. */
char *vimg_manifest_format(const VimgManifest *manifest);

/* Returns: (transfer full) where the manifest @number of an image lies. */
char *vimg_manifest_path(const char *uuid, guint64 number);
/*
 * Writes the next manifest of the image, durably.  Another host that did so at the same moment
 * makes it take a number behind.
 */
gboolean vimg_manifest_write(VimgManifest *manifest, VimgLease *lease, GError **error);
/* Makes what it would write durable in the lease, before it is sure.  @text: (transfer full) it. */
gboolean vimg_manifest_stage(const VimgManifest *manifest, VimgLease *lease, char **text,
                             GError **error);
/* The rest of the work if @staged is still what is to be written, else all of it. */
gboolean vimg_manifest_write_staged(VimgManifest *manifest, VimgLease *lease, const char *staged,
                                    GError **error);

/* N of "PREFIX<N>SUFFIX"; FALSE for any other name. */
gboolean vimg_manifest_number(const char *name, const char *prefix, const char *suffix,
                              guint64 *out);

#endif
