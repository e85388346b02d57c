/*
 * raw.c: disks as they are, and what else has no header at its start
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

static gboolean
matches(const guint8 *head)
{
    return TRUE;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    return TRUE;
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    *capacity = inspector->length;
    return TRUE;
}

const VimgImageFormat vimg_image_raw = {
    .name = "raw",
    .matches = matches,
    .check = check,
    .finish = finish,
};
