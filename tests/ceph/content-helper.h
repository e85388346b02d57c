/*
 * content-helper.h: content that is uploaded and looked for again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_CEPH_CONTENT_HELPER_H
#define VIMG_TESTS_CEPH_CONTENT_HELPER_H

#include "image-helper.h"
#include "reader.h"
#include "writer.h"

/* Returns: (transfer full) @size bytes with runs of zeros of many lengths; @seed: which ones. */
VimgBuffer *content_new(gsize size, guint32 seed);

VimgCephWriter *writer_at(Fixture *fixture, const char *uuid, guint64 offset);
/* Bytes @from to @to of @content, in packets of odd sizes; runs of zeros come as holes. */
void content_send(VimgCephWriter *writer, const VimgBuffer *content, gsize from, gsize to);
/* Completes an image of @format whose virtual size is @capacity. */
gboolean content_seal(VimgCephWriter *writer, const char *format, guint64 capacity,
                      VimgPluginImage *out, GError **error);
/* Returns: (transfer full) uuid of a new active raw image. */
char *content_upload(Fixture *fixture, const char *name, const VimgBuffer *content);

/* What @uuid holds, from @offset on, is all of @content from there. */
void assert_content(Fixture *fixture, const char *uuid, const VimgBuffer *content, guint64 offset);
/* So does stock rbd see it. */
void assert_exported(const char *name, const VimgBuffer *content);

#endif
