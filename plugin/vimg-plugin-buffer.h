/*
 * vimg-plugin-buffer.h: bytes that move between daemon and backend
 *
 * Included by vimg-plugin.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_BUFFER_H
#define VIMG_PLUGIN_BUFFER_H

#include <glib.h>

G_BEGIN_DECLS

/*
 * VimgBuffer: reference-counted bytes that move between threads without being copied.  Content must
 * not change once a second reference exists.
 */
typedef struct {
    gint refs;    /* through vimg_buffer_ref() and vimg_buffer_unref() only */
    gsize size;   /* bytes in use, at most what was allocated */
    guint8 *data; /* behind the struct itself, 64-byte aligned */
} VimgBuffer;

/* Returns: (transfer full) @size uninitialised bytes; aborts when memory is out, as GLib does. */
static inline VimgBuffer *
vimg_buffer_new(gsize size)
{
    const gsize head = (sizeof(VimgBuffer) + 63) / 64 * 64;
    VimgBuffer *buffer = (VimgBuffer *)g_malloc(head + 64 + size);

    buffer->refs = 1;
    buffer->size = size;
    buffer->data = (guint8 *)(((guintptr)buffer + head + 63) / 64 * 64);
    return buffer;
}

static inline VimgBuffer *
vimg_buffer_ref(VimgBuffer *buffer)
{
    __atomic_add_fetch(&buffer->refs, 1, __ATOMIC_RELAXED);
    return buffer;
}

/* Accepts NULL. */
static inline void
vimg_buffer_unref(VimgBuffer *buffer)
{
    if (buffer && __atomic_sub_fetch(&buffer->refs, 1, __ATOMIC_ACQ_REL) == 0)
        g_free(buffer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgBuffer, vimg_buffer_unref)

G_END_DECLS

#endif
