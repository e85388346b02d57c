/*
 * adopt-look.c: whether a plain file is an image, before all of it is stored
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/inspect.h"
#include "pool/adopt-look.h"
#include "util/error.h"

/* First bytes that tell a disc, and last ones that tell a vpc. */
#define DISC_HEAD (256 * 1024)
#define FOOTER 512

/* Content that says nothing of itself at its start is an image only under a name that does. */
static const char *const plain_names[] = {".img", ".raw", ".bin", ".dd", NULL};
static const char *const late_names[] = {".iso", ".vhd", ".vpc", NULL};

VimgAdoptFile *
vimg_adopt_file_new(const VimgPluginFile *listed)
{
    VimgAdoptFile *file = g_new0(VimgAdoptFile, 1);

    file->name = g_strdup(listed->name);
    file->origin = g_strdup(listed->origin);
    file->length = listed->length;
    file->allocation = listed->allocation;
    return file;
}

void
vimg_adopt_file_free(VimgAdoptFile *file)
{
    g_free(file->name);
    g_free(file->origin);
    g_free(file);
}

static gboolean
is_named(const VimgAdoptFile *file, const char *const *suffixes)
{
    g_autofree char *lower = g_ascii_strdown(file->name, -1);

    for (; *suffixes; suffixes++) {
        if (g_str_has_suffix(lower, *suffixes))
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_adopt_check(const VimgAdoptFile *file, const char *format, GError **error)
{
    if (strcmp(format, "raw") != 0 || (is_named(file, plain_names) && file->length % 512 == 0))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      "its content is raw, but its name or its size is not that of a disk");
}

/* Shows @inspector the bytes from *@at up to @end, or a little more; *@at is where that ended. */
static gboolean
show(VimgInspector *inspector, VimgStore *store, const VimgAdoptFile *file, VimgJob *job,
     guint64 *at, guint64 end, GError **error)
{
    g_autoptr(VimgReader) reader =
        vimg_reader_open_file(store, file->origin, file->name, *at, job, error);

    while (reader && *at < end) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            break;
        vimg_inspector_feed(inspector, data ? data->data + extent.offset : NULL, extent.length);
        *at += extent.length;
    }
    return reader != NULL;
}

/* What only its end or its descriptors tell; zeros stand for what lies between. */
static gboolean
look_late(VimgInspector *inspector, VimgStore *store, const VimgAdoptFile *file, VimgJob *job,
          guint64 at, GError **error)
{
    VimgInspection found = {0};

    if (!show(inspector, store, file, job, &at, MIN(DISC_HEAD, file->length), error))
        return FALSE;
    if (at + FOOTER < file->length) {
        vimg_inspector_feed(inspector, NULL, file->length - FOOTER - at);
        at = file->length - FOOTER;
    }
    if (!show(inspector, store, file, job, &at, file->length, error))
        return FALSE;
    /* one that is damaged may only lack what was not shown */
    return !vimg_inspector_finish(inspector, NULL, &found, NULL) ||
           vimg_adopt_check(file, found.format, error);
}

gboolean
vimg_adopt_look(VimgStore *store, const VimgAdoptFile *file, VimgJob *job, GError **error)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    guint64 at = 0;

    if (!show(inspector, store, file, job, &at, VIMG_INSPECT_HEAD, error))
        return FALSE;
    if (strcmp(vimg_inspector_sniff(inspector), "raw") != 0)
        return TRUE;
    if (is_named(file, plain_names))
        return vimg_adopt_check(file, "raw", error);
    if (is_named(file, late_names))
        return look_late(inspector, store, file, job, at, error);
    return vimg_throw(error, VIMG_ERROR_PROBE, "it does not look like an image");
}
