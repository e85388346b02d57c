/*
 * image-private.h: what the formats see of an inspector
 *
 * A format is a table of functions over the first bytes of an image.  What lies elsewhere is asked
 * for before it passes: windows, which are kept, and tables, whose entries are shown one by one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_PRIVATE_H
#define VIMG_IMAGE_PRIVATE_H

#include "image/inspect.h"
#include "util/error.h"
#include "util/i18n.h"

#define VIMG_IMAGE_SECTOR 512
#define VIMG_IMAGE_TAIL VIMG_INSPECT_END /* last bytes that are kept */
#define VIMG_IMAGE_WINDOWS 8             /* ranges one format may ask for */
#define VIMG_IMAGE_ARENA (80 << 10)      /* bytes of all of them */
#define VIMG_IMAGE_LEAVES (8 << 10)      /* second-level tables ahead; of more, the last ones */

typedef struct {
    const char *name; /* libvirt's */
    guint64 header;   /* bytes that no image of the format can lack */
    gboolean (*matches)(const guint8 *head);
    /* optional: is it this, where nothing matched?  Asked when everything came */
    gboolean (*found)(const VimgInspector *inspector);
    /* required: judge by the head alone, before and after everything came */
    gboolean (*check)(const VimgInspector *inspector, GError **error);
    /* optional: the head is good; want windows and tables, need bytes */
    void (*begin)(VimgInspector *inspector);
    /* optional: window number @window is complete */
    void (*arrived)(VimgInspector *inspector, guint window);
    /* optional: one entry of the root table or of a leaf; zeros may be shown once for many */
    void (*entry)(VimgInspector *inspector, gboolean leaf, const guint8 *entry);
    /* required: everything came, head and needs are checked */
    gboolean (*finish)(VimgInspector *inspector, guint64 *capacity, GError **error);
} VimgImageFormat;

extern const VimgImageFormat vimg_image_iso;
extern const VimgImageFormat vimg_image_qcow2;
extern const VimgImageFormat vimg_image_raw;
extern const VimgImageFormat vimg_image_vdi;
extern const VimgImageFormat vimg_image_vhdx;
extern const VimgImageFormat vimg_image_vmdk;
extern const VimgImageFormat vimg_image_vpc;

/* A table in the image: @end - @start bytes in entries of @entry bytes, at most 16. */
typedef struct {
    guint64 start;
    guint64 end; /* start: there is none */
    guint entry;
    guint held; /* bytes of an entry that came in pieces */
    guint8 piece[16];
} VimgImageTable;

typedef struct {
    guint64 offset;
    gsize size;
    gsize at; /* in the arena */
} VimgImageWindow;

struct _VimgInspector {
    const VimgImageFormat *format; /* NULL: the head has not come */
    gboolean is_declared;          /* a format was; known when everything came */
    guint64 length;                /* bytes received */
    guint64 position;              /* bytes that passed windows and tables */
    guint64 needed;                /* bytes the image must have, as far as known */
    guint64 last;                  /* of the format's own use */

    guint n_windows;
    gsize arena_used;
    VimgImageWindow windows[VIMG_IMAGE_WINDOWS];

    VimgImageTable root;
    VimgImageTable leaf; /* the one that passes */
    guint leaf_bits;     /* unit of leaves: 1 << leaf_bits bytes */
    gsize leaf_size;     /* bytes of each */
    guint leaf_entry;
    guint n_leaves;

    /* never cleared as a whole: what was not received is not read */
    guint8 head[VIMG_INSPECT_HEAD]; /* zeros behind the end */
    guint8 tail[VIMG_IMAGE_TAIL];   /* a ring: byte n is at n modulo its size */
    guint8 arena[VIMG_IMAGE_ARENA];
    guint32 leaves[VIMG_IMAGE_LEAVES]; /* a heap, the first one on top */
};

/* ---- what a format asks for ------------------------------------------------------------- */

/*
 * Keeps @size bytes at @offset.  Windows are numbered in the order they are asked for, from 0; one
 * that has begun to pass, or for which there is no room, stays empty.
 */
void vimg_image_want(VimgInspector *inspector, guint64 offset, gsize size);

/* From entry(): moves a window to @offset, which must be behind the table. */
void vimg_image_want_instead(VimgInspector *inspector, guint window, guint64 offset);

/* Returns: the bytes of a window; NULL: it is not complete. */
const guint8 *vimg_image_window(const VimgInspector *inspector, guint window);

/* Returns: the bytes of a window that came; *@size: how many. */
const guint8 *vimg_image_window_part(const VimgInspector *inspector, guint window, gsize *size);

/* The windows that tell whether an image without a header is one of a disc. */
void vimg_image_iso_want(VimgInspector *inspector);

/* Shows the entries of a table at @offset; one that has begun to pass is let pass. */
void vimg_image_walk(VimgInspector *inspector, guint64 offset, guint64 n, guint entry);

/* From entry(): one of the tables of leaf_size bytes is at @offset. */
void vimg_image_walk_leaf(VimgInspector *inspector, guint64 offset);

/* The image has @size bytes at @offset, or it is cut off. */
void vimg_image_need(VimgInspector *inspector, guint64 offset, guint64 size);

/* From the inspector: the next @size bytes pass windows and tables; @data NULL: zeros. */
void vimg_image_pass(VimgInspector *inspector, const guint8 *data, guint64 size);

/* Returns: how many of the next bytes pass no window and no table. */
guint64 vimg_image_idle(const VimgInspector *inspector);

/* Copies @size bytes that begin @back bytes before the end.  Returns: are there so many? */
gboolean vimg_image_tail(const VimgInspector *inspector, guint64 back, guint8 *out, gsize size);

/* ---- what a format finds: each sets @error and returns FALSE ---------------------------- */

/* VIMG_ERROR_CONFIG_UNSUPPORTED: it is of a format we do not store. */
gboolean vimg_image_check_foreign(const VimgInspector *inspector, GError **error);

/* VIMG_ERROR_PROBE: less than @needed bytes came. */
gboolean vimg_image_cut(const VimgInspector *inspector, guint64 needed, GError **error);

/* VIMG_ERROR_PROBE: its last bytes are no @what (untranslated, a term of the format). */
gboolean vimg_image_unended(const VimgInspector *inspector, const char *what, GError **error);

/* VIMG_ERROR_PROBE: @what (untranslated, a term of the format) cannot be as it is. */
gboolean vimg_image_broken(const VimgInspector *inspector, const char *what, GError **error);

/* VIMG_ERROR_CONFIG_UNSUPPORTED: @what is as good tools make it, but not for us. */
gboolean vimg_image_unsupported(const VimgInspector *inspector, const char *what, GError **error);

/* VIMG_ERROR_CONFIG_UNSUPPORTED: it builds on the file @name, of @size bytes; NULL: nobody knows */
gboolean vimg_image_backed(const VimgInspector *inspector, const guint8 *name, gsize size,
                           GError **error);

/* VIMG_ERROR_CONFIG_UNSUPPORTED: its data is in the file @name. */
gboolean vimg_image_split(const VimgInspector *inspector, const guint8 *name, gsize size,
                          GError **error);

/* ---- numbers ---------------------------------------------------------------------------- */

#define VIMG_IMAGE_GETTER(bits, name, from)                                                        \
    static inline guint##bits get_##name##bits(const guint8 *data, gsize offset)                   \
    {                                                                                              \
        guint##bits value;                                                                         \
                                                                                                   \
        memcpy(&value, data + offset, sizeof(value));                                              \
        return from(value);                                                                        \
    }

VIMG_IMAGE_GETTER(16, le, GUINT16_FROM_LE)
VIMG_IMAGE_GETTER(32, le, GUINT32_FROM_LE)
VIMG_IMAGE_GETTER(64, le, GUINT64_FROM_LE)
VIMG_IMAGE_GETTER(32, be, GUINT32_FROM_BE)
VIMG_IMAGE_GETTER(64, be, GUINT64_FROM_BE)

static inline gboolean
vimg_image_is_power(guint64 n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static inline guint64
vimg_image_chunks(guint64 size, guint64 chunk)
{
    return size / chunk + (size % chunk != 0);
}

#endif
