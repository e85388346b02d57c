/*
 * raw.c: disks as they are: everything that is nothing else
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

typedef struct {
    const char *name;
    guint64 back; /* bytes before the end; 0: at the start */
    gsize size;
    const char *magic;
} Foreign;

/*
 * Formats that some program would open by their content, though we do not store them.  LUKS is none
 * of them: to libvirt too an encrypted disk is a raw one.
 */
static const Foreign foreign[] = {
    {"bochs", 0, 22, "Bochs Virtual HD Image"},
    {"cloop", 0, 25, "#!/bin/sh\n#V2.0 Format\nmo"},
    {"cow", 0, 8, "OOOM\0\0\0\2"},
    {"dmg", 512, 4, "koly"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"qed", 0, 4, "QED\0"},
};

gboolean
vimg_image_check_foreign(const VimgInspector *inspector, GError **error)
{
    const Foreign *f;

    for (f = foreign; f < foreign + G_N_ELEMENTS(foreign); f++) {
        guint8 magic[32];

        if (f->back == 0)
            memcpy(magic, inspector->head, f->size);
        else if (!vimg_image_tail(inspector, f->back, magic, f->size))
            continue;
        if (memcmp(magic, f->magic, f->size) == 0)
            return vimg_throw(
                error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                _("the content is a %s image, which is not supported; convert it with qemu-img convert"),
                f->name);
    }
    return TRUE;
}

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
    .begin = vimg_image_iso_want,
    .finish = finish,
};
