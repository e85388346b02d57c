/*
 * volume-def.h: a <volume> document as plain data
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_VOLUME_DEF_H
#define VIMG_CONF_VOLUME_DEF_H

#include "util/error.h"

#define VIMG_VOLUME_NAMESPACE "urn:virtimage:volume:1"

/* What a client may say of a new image; <key>, <target><path> and read-only info are ignored. */
typedef struct {
    char *name;
    guint64 capacity; /* bytes */
    gboolean has_capacity;
    guint64 allocation; /* bytes; 0 if not given */
    gboolean has_allocation;
    char *format;        /* NULL: not given */
    char *backing_path;  /* <backingStore><path>; taken as the parent */
    char *parent;        /* <image:parent>: uuid of an image */
    char *checksum_type; /* sha256 | sha512 */
    char *checksum;      /* lower-case hex of the right length */
    char *os;
    char *arch;
    char *description;
    char *machine;    /* <image:machine>: "UUID/DISK/SNAPSHOT/NAME", the third may be empty */
    gboolean flatten; /* a clone shall not need its source */
    gboolean passing; /* it is but the way to something else */
} VimgVolumeDef;

void vimg_volume_def_free(VimgVolumeDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgVolumeDef, vimg_volume_def_free)

/* Units as in libvirt (bytes, KiB, k, M, GB, …).  Errors as vimg_pool_def_parse(). */
VimgVolumeDef *vimg_volume_def_parse(const char *xml, gboolean validate, GError **error);

/* Everything a volume document shows; @image is the backend's account of it. */
typedef struct {
    const VimgPluginImage *image;
    const char *key;
    const char *path;
    guint64 unique; /* bytes that it alone needs in the storage, and those that others need too */
    guint64 shared;
    gint64 as_of; /* when they were counted, in seconds since 1970; 0: never */
} VimgVolumeView;

/* Returns: (transfer full) a document that validates. */
char *vimg_volume_format(const VimgVolumeView *view);

/*
 * Bytes of @text in @unit (NULL: bytes).  Returns: FALSE with VIMG_ERROR_XML (no number, too large)
 * or, as libvirt has it, VIMG_ERROR_INVALID_ARG (no such unit).
 */
gboolean vimg_size_parse(const char *text, const char *unit, guint64 *bytes, GError **error);

#endif
