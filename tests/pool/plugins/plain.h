/*
 * plain.h: the least a backend must have, for test plugins to build on
 *
 * One image, ONE_UUID "one": 8 bytes of data and a hole of 8.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "vimg-plugin.h"

#define ONE_UUID "11111111-1111-4111-8111-111111111111"
#define ONE_SIZE 16

/* The handle is the pool's source name: which lie to tell. */
static inline gpointer
plain_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    return g_strdup(pool->source_name ? pool->source_name : "");
}

static inline char *
plain_identity(const VimgPluginPool *pool)
{
    return g_strconcat("plain:", pool->source_name, NULL);
}

static inline gboolean
plain_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    out->store_id = g_strdup("plain-store");
    out->capacity = 1000;
    out->allocation = 400;
    out->available = 600;
    return TRUE;
}

static inline void
plain_fill(VimgPluginImage *out)
{
    vimg_plugin_image_clear(out);
    out->uuid = g_strdup(ONE_UUID);
    out->name = g_strdup("one");
    out->format = g_strdup("raw");
    out->state = VIMG_IMAGE_ACTIVE;
    out->capacity = ONE_SIZE;
    out->physical = ONE_SIZE;
}

static inline gboolean
plain_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    plain_fill(&image);
    sink(&image, data);
    return TRUE;
}

static inline gboolean
plain_stat(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    if (strcmp(uuid, ONE_UUID) != 0) {
        g_set_error_literal(error, VIMG_ERROR, VIMG_ERROR_NO_VOL, "it is gone");
        return FALSE;
    }
    plain_fill(out);
    return TRUE;
}

typedef struct {
    const char *lie;
    guint step;
} PlainReader;

static inline gpointer
plain_reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                  VimgPluginJob *job, GError **error)
{
    PlainReader *reader = g_new0(PlainReader, 1);

    reader->lie = handle;
    return reader;
}

static inline gboolean
plain_reader_next(gpointer data, VimgExtent *out, GError **error)
{
    PlainReader *reader = data;

    if (reader->step < 2)
        out->length = ONE_SIZE / 2;
    if (reader->step++ == 0) {
        out->data = vimg_buffer_new(ONE_SIZE);
        memset(out->data->data, 'x', ONE_SIZE);
        out->offset = ONE_SIZE / 2;
    }
    return TRUE;
}

#define PLAIN_REQUIRED                                                                             \
    .identity = plain_identity, .open = plain_open, .close = g_free, .probe = plain_probe,         \
    .list = plain_list, .stat = plain_stat, .reader_open = plain_reader_open,                      \
    .reader_next = plain_reader_next, .reader_close = g_free

#endif
