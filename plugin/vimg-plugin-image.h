/*
 * vimg-plugin-image.h: images, and what calls about them take and give
 *
 * Included by vimg-plugin.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_IMAGE_H
#define VIMG_PLUGIN_IMAGE_H

#include <string.h>
#include <glib.h>

#include "vimg-plugin-buffer.h"

G_BEGIN_DECLS

typedef enum {
    VIMG_IMAGE_SAVING, /* created or being uploaded */
    VIMG_IMAGE_ACTIVE, /* sealed: content never changes */
    VIMG_IMAGE_ERROR,  /* unusable, for @reason */
} VimgImageState;

/*
 * An image.  As a result it is zeroed but for @size by whoever asks, filled by the backend, cleared
 * by vimg_plugin_image_clear(); as an argument it is borrowed.
 */
typedef struct {
    gsize size;
    char *uuid; /* 36 characters; globally unique, never reused */
    char *name;
    char *format; /* raw, iso, qcow2, vmdk, vpc, vdi, vhdx; NULL: not known before it is active */
    VimgImageState state;
    char *reason;        /* VIMG_IMAGE_ERROR: why, in words */
    guint64 capacity;    /* virtual size in bytes */
    guint64 allocation;  /* bytes it alone would take in the storage */
    guint64 physical;    /* bytes a full download returns */
    guint64 position;    /* saving: durable offset an upload may be taken up at */
    gint64 created;      /* seconds since 1970 */
    char *parent;        /* uuid of the image this one was derived from */
    char *checksum_type; /* sha256 or sha512; kept by the backend, compared by the daemon */
    char *checksum;      /* of the bytes that were uploaded, lower-case hex */
    char *os;
    char *arch;
    char *description;
    gint64 deleted; /* in the trash since; 0: not deleted */
    char *origin;   /* the VimgPluginFile it was adopted from; kept as it is for ever, NULL: none */
    char *copy_of;  /* the image in another storage whose content it is to have, or has, as the
                       daemon  writes it; set by create() and writer_finish(), gone when it is wiped.
                       NULL:  of none */
    char *uploaded_format; /* what was uploaded, of which the backend made what it stores; @checksum
                              is of that.  NULL: just what is stored */
    guint64 uploaded_size; /* bytes */
    gboolean flatten;      /* argument of clone(): what it makes shall not need its source */
    char *needed_by;       /* in the trash: clones that keep it there, in words; NULL: none */
    char *machine; /* what machine's disk it was, as the daemon writes it; kept as it is, gone when
                      it is wiped: whatever comes then is of none.  NULL: of none */
    gboolean passing; /* it is but the way to something else: removed, it is not to be had back, and
                         goes for good once nothing needs it; kept as it is for ever */
    char *generation; /* a result: tells its content from every other that it had or will have, for
                         every host and release alike; stays as it is while the content does.
                         What vimg_plugin_generation_ok() takes; NULL: not known, as while saving */
} VimgPluginImage;

#define VIMG_GENERATION_MAX 255 /* bytes */

#define VIMG_PLUGIN_IMAGE_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(VimgPluginImage)                                                            \
    }

/* Whether @image, which the other side may have made, is long enough to have @field. */
#define VIMG_PLUGIN_IMAGE_HAS(image, field)                                                        \
    ((image)->size >= G_STRUCT_OFFSET(VimgPluginImage, field) + sizeof((image)->field))

/* Whether @text may be a generation: printable ASCII without spaces, not empty, and not too long.
 */
static inline gboolean
vimg_plugin_generation_ok(const char *text)
{
    gsize length = text ? strnlen(text, VIMG_GENERATION_MAX + 1) : 0;
    gsize i = 0;

    while (i < length && g_ascii_isgraph(text[i]))
        i++;
    return length > 0 && length <= VIMG_GENERATION_MAX && i == length;
}

/*
 * Says that the content of @image, which has none yet, is of generation @text, if that may be one.
 * An older daemon's @image has no place for it.
 */
static inline void
vimg_plugin_image_set_generation(VimgPluginImage *image, const char *text)
{
    if (VIMG_PLUGIN_IMAGE_HAS(image, generation))
        image->generation = vimg_plugin_generation_ok(text) ? g_strdup(text) : NULL;
}

/* Frees what @image owns and zeroes it but for its size. */
static inline void
vimg_plugin_image_clear(VimgPluginImage *image)
{
    gsize size = image->size;
    char *owned[] = {image->uuid,   image->name,       image->format,        image->reason,
                     image->parent, image->checksum,   image->checksum_type, image->os,
                     image->arch,   image->description};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(owned); i++)
        g_free(owned[i]);
    if (VIMG_PLUGIN_IMAGE_HAS(image, origin))
        g_free(image->origin);
    if (VIMG_PLUGIN_IMAGE_HAS(image, copy_of))
        g_free(image->copy_of);
    if (VIMG_PLUGIN_IMAGE_HAS(image, uploaded_format))
        g_free(image->uploaded_format);
    if (VIMG_PLUGIN_IMAGE_HAS(image, needed_by))
        g_free(image->needed_by);
    if (VIMG_PLUGIN_IMAGE_HAS(image, machine))
        g_free(image->machine);
    if (VIMG_PLUGIN_IMAGE_HAS(image, generation))
        g_free(image->generation);
    memset(image, 0, MIN(size, sizeof(*image)));
    image->size = size;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPluginImage, vimg_plugin_image_clear)

/* @image, a backend's own, is wiped: what was said of its content is said of it no more. */
static inline void
vimg_plugin_image_wipe(VimgPluginImage *image)
{
    g_clear_pointer(&image->reason, g_free);
    g_clear_pointer(&image->copy_of, g_free);
    g_clear_pointer(&image->machine, g_free);
    g_clear_pointer(&image->generation, g_free);
}

/* Moves what @image owns to @out, as far as the size of that goes; @image is empty then. */
static inline void
vimg_plugin_image_move(VimgPluginImage *out, VimgPluginImage *image)
{
    gsize size = out->size;

    memcpy(out, image, MIN(size, sizeof(*out)));
    out->size = size;
    memset(image, 0, sizeof(*image));
    image->size = sizeof(*image);
}

/* Takes one listed image, borrowed; FALSE: stop listing, which is not an error. */
typedef gboolean (*VimgImageSink)(const VimgPluginImage *image, gpointer data);

/* A piece of content: @data NULL is a hole that reads as zeros. */
typedef struct {
    guint64 length;   /* bytes, never 0 */
    VimgBuffer *data; /* (transfer full) */
    gsize offset;     /* of the piece in @data */
} VimgExtent;

typedef struct {
    gsize size;
    guint64 offset;  /* first byte that will come */
    guint64 length;  /* bytes that will come; 0: until finish */
    guint64 reserve; /* bytes to keep free for it: @length if no holes can be among them, else a
                        guess; 0: the backend's own */
} VimgWriteRequest;

typedef struct {
    gsize size;
    guint64 bandwidth;        /* bytes a second at most; 0: no limit */
    const char *sync_network; /* CIDR: what data shall pass, if a network is between; NULL: any */
    /*
     * NULL: nobody judges.  Called once all of the content is durable, before a saving image
     * becomes active as @image, of which format, capacity and physical are set: FALSE with @error,
     * which pull() passes on: it stays saving.  @content: for pulled_open()
     */
    gboolean (*judge)(gpointer content, const VimgPluginImage *image, gpointer data,
                      GError **error);
    gpointer judge_data;
} VimgPullRequest;

/* Whether @request, which an older daemon may have made, is long enough to have @field. */
#define VIMG_PULL_REQUEST_HAS(request, field)                                                      \
    ((request)->size >= G_STRUCT_OFFSET(VimgPullRequest, field) + sizeof((request)->field))

/* A plain file that lies where the storage is and may be an image; borrowed. */
typedef struct {
    gsize size;
    const char *name;   /* of the image to be */
    const char *origin; /* UTF-8 that tells it from every other one, and from itself once it
                           changed; the same on every host that sees it */
    guint64 length;     /* bytes */
    guint64 allocation; /* how many of them are no holes, or a guess; @length if nobody knows */
} VimgPluginFile;

/* FALSE: stop listing, which is not an error. */
typedef gboolean (*VimgFileSink)(const VimgPluginFile *file, gpointer data);

/*
 * @length bytes, at least one, at @offset, behind those of the call before, are zeros.  FALSE: stop
 * telling, which is not an error.
 */
typedef gboolean (*VimgZerosSink)(guint64 offset, guint64 length, gpointer data);

G_END_DECLS

#endif
