/*
 * iso.c: images of optical discs: ISO 9660 and UDF
 *
 * Both have a row of volume descriptors, a sector each, from the seventeenth sector on.  What is
 * before them is anybody's: a boot sector makes a disk of the same bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define SECTOR 2048
#define FIRST 16 /* sector of the first volume descriptor */
#define TYPE_PRIMARY 1

void
vimg_image_iso_want(VimgInspector *inspector)
{
    guint64 i;

    for (i = 0; i < VIMG_IMAGE_WINDOWS; i++)
        vimg_image_want(inspector, (FIRST + i) * SECTOR, SECTOR);
}

static gboolean
is_descriptor(const guint8 *sector, const char *id)
{
    return sector && memcmp(sector + 1, id, strlen(id)) == 0;
}

/* Returns: the first volume descriptor of ISO 9660 of that kind; NULL: there is none. */
static const guint8 *
find_primary(const VimgInspector *inspector)
{
    guint i;

    for (i = 0; i < VIMG_IMAGE_WINDOWS; i++) {
        const guint8 *sector = vimg_image_window(inspector, i);

        if (is_descriptor(sector, "CD001") && sector[0] == TYPE_PRIMARY)
            return sector;
    }
    return NULL;
}

static gboolean
has_udf(const VimgInspector *inspector)
{
    gboolean begun = FALSE;
    guint i;

    for (i = 0; i < VIMG_IMAGE_WINDOWS; i++) {
        const guint8 *sector = vimg_image_window(inspector, i);

        if (begun && is_descriptor(sector, "NSR0"))
            return TRUE;
        begun |= is_descriptor(sector, "BEA01");
    }
    return FALSE;
}

static gboolean
matches(const guint8 *head)
{
    return FALSE;
}

static gboolean
found(const VimgInspector *inspector)
{
    return find_primary(inspector) || has_udf(inspector);
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    return TRUE;
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    const guint8 *primary = find_primary(inspector);
    guint32 block;
    guint64 size;

    *capacity = inspector->length;
    if (!primary)
        return TRUE;
    block = get_le16(primary, 128);
    size = (guint64)get_le32(primary, 80) * block;
    if (block < VIMG_IMAGE_SECTOR || block > SECTOR || !vimg_image_is_power(block))
        return vimg_image_broken(inspector, "block size", error);
    if (size <= inspector->length)
        return TRUE;
    if (inspector->is_declared)
        return vimg_image_cut(inspector, size, error);
    return vimg_throw(
        error, VIMG_ERROR_PROBE,
        _("the iso image is cut off: it has %1$llu of at least %2$llu bytes; a disk with the rest of a disc on it is created with --format raw"),
        (unsigned long long)inspector->length, (unsigned long long)size);
}

const VimgImageFormat vimg_image_iso = {
    .name = "iso",
    .matches = matches,
    .found = found,
    .check = check,
    .finish = finish,
};
