/*
 * image.h: images of a store as they lie on it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_IMAGE_H
#define VIMG_IMAGESTORE_IMAGE_H

#include "manifest.h"
#include "store.h"

/* What the directory of an image holds. */
typedef struct {
    gboolean present;       /* the directory is there; else nothing of the rest is set */
    VimgManifest *manifest; /* NULL: none that is whole */
    gboolean illegible;     /* there are some nevertheless */
    gboolean published;     /* image.caibx is there */
    guint64 index_size;     /* of it */
    VimgFileType index_type;
    gint64 stored;  /* when it became so, by the storage's clock, in nanoseconds */
    gint64 removed; /* when it was deleted, likewise */
    char *damage; /* which slices a published image lacks, in words; NULL: none, as far as known */
    gboolean deleted;
    gboolean claimed;
    gint64 kept;     /* until when it is promised to somebody, in seconds; 0: it is not */
    guint64 durable; /* of the longest partial index */
} VimgStoredImage;

void vimg_stored_image_clear(VimgStoredImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgStoredImage, vimg_stored_image_clear)

/* One of many that are looked at together; the lower half is the answer. */
typedef struct {
    const char *uuid;

    VimgStoredImage stored;
    int result; /* 0 or a value of errno */
} VimgImageLook;

#define VIMG_IMAGE_LOOKS 4096 /* at once, at most */

/* Names of images are uuids as we write them; nothing else is an image. */
gboolean vimg_image_is_uuid(const char *name);
/* Returns: (transfer full) of char: the uuids of all images, in the trash too; NULL with @error. */
GPtrArray *vimg_image_uuids(VimgSliceStore *store, GError **error);
/*
 * Whether an image that was saving when @seen was its newest manifest is so still, by the @names
 * that its directory holds now; whether it has its name they do not tell.  @durable: of its longest
 * partial index.
 */
gboolean vimg_image_is_still(const VimgManifest *seen, const GPtrArray *names, guint64 *durable);
/* Whatever there is of an image, in the trash too.  Returns: 0 or a value of errno. */
int vimg_image_look(VimgSliceStore *store, const char *uuid, VimgStoredImage *out);
/* The same of @n images, in about as many trips as of one. */
void vimg_image_look_all(VimgSliceStore *store, VimgImageLook *looks, gsize n);
/* The @n of @uuids from @from on, or those that there are.  Returns: (transfer full) */
GArray *vimg_image_look_some(VimgSliceStore *store, const GPtrArray *uuids, guint from, guint n);
/* An image is there for clients if it has a manifest and its name and is not in the trash. */
gboolean vimg_image_is_present(const VimgStoredImage *image);
/* Its name cannot be known, nor whether it has it. */
gboolean vimg_image_is_doubtful(const VimgStoredImage *image);
/* VIMG_ERROR_NO_VOL: no such image, or it is in the trash. */
gboolean vimg_image_load(VimgSliceStore *store, const char *uuid, VimgStoredImage *out,
                         GError **error);
/* The same, but one in the trash is taken that is promised to somebody on this host. */
gboolean vimg_image_load_kept(VimgSliceStore *store, const char *uuid, VimgStoredImage *out,
                              GError **error);
/* Why a published image cannot be read, as far as can be seen without reading its index; NULL. */
char *vimg_image_find_fault(const VimgStoredImage *image);
/* (transfer full) the index of a published image with a manifest, checked against it. */
VimgIndex *vimg_image_index(VimgSliceStore *store, const VimgStoredImage *image, GError **error);
/* The same of what was read already: the @result of that, and @content. */
VimgIndex *vimg_image_check_index(const VimgStoredImage *image, int result,
                                  const VimgBuffer *content, GError **error);
/* What the contract calls an image; adds to @out, which is empty. */
void vimg_image_describe(VimgSliceStore *store, const VimgStoredImage *image, VimgPluginImage *out);

/* Where an upload may be taken up: at least one slice before @durable, which is compared again. */
guint64 vimg_image_position(const VimgSliceStore *store, guint64 durable);

/* See catalog.h. */
gboolean vimg_image_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error);
/* The same, but an error if one cannot be read, which is left out otherwise. */
gboolean vimg_image_list_whole(VimgSliceStore *store, VimgImageSink sink, gpointer data,
                               GError **error);
gboolean vimg_image_stat(VimgSliceStore *store, const char *uuid, VimgPluginImage *out,
                         GError **error);
gboolean vimg_image_create(VimgSliceStore *store, const VimgPluginImage *image,
                           VimgPluginImage *out, GError **error);
gboolean vimg_image_remove(VimgSliceStore *store, const char *uuid, GError **error);
/* As vimg_image_remove(); VIMG_ERROR_OPERATION_INVALID if it is complete, also by another host. */
gboolean vimg_image_discard(VimgSliceStore *store, const char *uuid, GError **error);
gboolean vimg_image_resize(VimgSliceStore *store, const char *uuid, guint64 capacity,
                           GError **error);
gboolean vimg_image_wipe(VimgSliceStore *store, const char *uuid, GError **error);
gboolean vimg_image_set_error(VimgSliceStore *store, const char *uuid, const char *reason,
                              GError **error);
gboolean vimg_image_set_metadata(VimgSliceStore *store, const VimgPluginImage *image,
                                 GError **error);

/* Makes directory, manifest and claim of a new image; a failure leaves nothing. */
gboolean vimg_image_make(VimgManifest *manifest, VimgLease *lease, GError **error);

/*
 * Removes the directory of an image that nobody can see any more; the index first, durably, by way
 * of @lease (may be NULL).  Returns: 0 or a value of errno; ESTALE: the lease was taken away, and
 * somebody else may have the image.
 */
int vimg_image_remove_files(VimgSliceStore *store, const VimgLease *lease, const char *uuid);

/* Returns: (transfer full) "images/<uuid>/<name>" */
char *vimg_image_path(const char *uuid, const char *name);
/* Returns: (transfer full) "images/<uuid>" */
char *vimg_image_dir(const char *uuid);
char *vimg_image_partial_path(const char *uuid, guint64 durable);

#define VIMG_IMAGE_INDEX "image.caibx"
#define VIMG_IMAGE_DELETED "deleted"
#define VIMG_IMAGE_DAMAGED "damaged"
#define VIMG_IMAGE_PARTIAL "partial."

#endif
