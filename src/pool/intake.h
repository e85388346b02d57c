/*
 * intake.h: content on its way into an image, looked at as it passes
 *
 * All content that comes into an image here goes through an intake, which finds its format and
 * makes its checksum.  What it judges wrong is never sealed.  A clone inside of a storage moves
 * none, and is as good as its source.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_INTAKE_H
#define VIMG_POOL_INTAKE_H

#include "pool/backend.h"
#include "pool/job.h"

typedef struct _VimgIntake VimgIntake;

/*
 * @image is what was declared; it, @writer and @job outlive the intake.  @writer NULL: content is
 * looked at and goes nowhere.  The first byte to come is that at @offset; what lies below is read
 * from @writer when the first comes, which may take long.  @whole: nothing is missing behind the
 * last byte, so that vimg_intake_judge() may follow.
 */
VimgIntake *vimg_intake_new(const VimgPluginImage *image, VimgWriter *writer, VimgJob *job,
                            guint64 offset, gboolean whole, GError **error);
void vimg_intake_free(VimgIntake *intake); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgIntake, vimg_intake_free)

/* @size bytes of @buffer from @offset on come next; NULL: a hole.  More than a raw image has room
 * for is an error after which vimg_intake_has_refused(). */
gboolean vimg_intake_put(VimgIntake *intake, VimgBuffer *buffer, gsize offset, guint64 size,
                         GError **error);
/* All came: nothing is held back any more. */
gboolean vimg_intake_end(VimgIntake *intake, GError **error);
/* Whether the content itself was the reason of a failure: the image can never be used. */
gboolean vimg_intake_has_refused(const VimgIntake *intake);
/* Offset of the next byte. */
guint64 vimg_intake_at(const VimgIntake *intake);
/* How many of the next bytes nobody looks at: vimg_inspector_idle(). */
guint64 vimg_intake_idle(const VimgIntake *intake);
/* The format declared, else what the first bytes look like; NULL: too few came. */
const char *vimg_intake_format(const VimgIntake *intake);

/*
 * Whether the whole content is what was declared, and safe.  Fills format, capacity and physical of
 * @image.  An error is the reason why the image must never become active.
 */
gboolean vimg_intake_judge(VimgIntake *intake, const VimgType *type, VimgPluginImage *image,
                           GError **error);
/* Writes the zeros that a raw @image, as judged, has behind what came. */
gboolean vimg_intake_pad(VimgIntake *intake, const VimgPluginImage *image, GError **error);

#endif
