/*
 * backend-check.c: whether what a backend says of an image or a storage can be true
 *
 * Everything here ends up in documents, keys and file names, so it is checked like any input.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stddef.h>

#include "pool/backend-private.h"

/* Longest text of an image (a reason, a description) in bytes. */
#define TEXT_MAX 65536

#define STORE_ID_MAX 255

/* What a backend of the first contract knows of an image; never less. */
#define IMAGE_SIZE_MIN (offsetof(VimgPluginImage, deleted) + sizeof(gint64))

static gboolean
uuid_ok(const char *text)
{
    guint8 uuid[VIMG_UUID_SIZE];
    char canonical[VIMG_UUID_TEXT_SIZE];

    if (!text || strlen(text) != VIMG_UUID_TEXT_SIZE - 1 || !vimg_uuid_parse(text, uuid))
        return FALSE;
    vimg_uuid_format(uuid, canonical);
    return strcmp(text, canonical) == 0;
}

static gboolean
hex_ok(const char *text, gsize length)
{
    gsize i;

    for (i = 0; text[i]; i++) {
        if (!g_ascii_isdigit(text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return FALSE;
    }
    return i == length;
}

static const struct {
    const char *type;
    gsize length; /* in hexadecimal digits */
} digests[] = {
    {"sha256", 64},
    {"sha512", 128},
};

static gboolean
checksum_ok(const VimgPluginImage *image)
{
    gsize i;

    if (!image->checksum || !image->checksum_type)
        return !image->checksum && !image->checksum_type;
    for (i = 0; i < G_N_ELEMENTS(digests); i++) {
        if (strcmp(image->checksum_type, digests[i].type) == 0)
            return hex_ok(image->checksum, digests[i].length);
    }
    return FALSE;
}

gboolean
vimg_text_check(const char *text)
{
    const char *c;

    if (!text)
        return TRUE;
    if (strnlen(text, TEXT_MAX + 1) > TEXT_MAX || !g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (c = text; *c; c = g_utf8_next_char(c)) {
        gunichar ch = g_utf8_get_char(c);

        if ((ch < ' ' && !strchr("\t\n\r", (int)ch)) || ch == 0xfffe || ch == 0xffff)
            return FALSE;
    }
    return TRUE;
}

static char *
numbers_lie(const VimgPluginImage *image)
{
    const struct {
        const char *name;
        guint64 value;
    } numbers[] = {
        {"capacity", image->capacity},
        {"allocation", image->allocation},
        {"physical", image->physical},
        {"position", image->position},
        {"time of creation", (guint64)image->created},
        {"time of deletion", (guint64)image->deleted},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (numbers[i].value > G_MAXINT64)
            return g_strdup_printf("impossible %s %" G_GUINT64_FORMAT, numbers[i].name,
                                   numbers[i].value);
    }
    return NULL;
}

/* Only what is not complete yet may be of any format. */
static gboolean
format_ok(const VimgType *type, const VimgPluginImage *image)
{
    return image->format ? vimg_type_has_format(type, image->format)
                         : image->state != VIMG_IMAGE_ACTIVE;
}

char *
vimg_image_lie(const VimgType *type, const VimgPluginImage *image)
{
    const char *const texts[] = {image->reason, image->os, image->arch, image->description};
    g_autoptr(GError) error = NULL;
    gsize i;

    if (image->size < IMAGE_SIZE_MIN)
        return g_strdup_printf("image of %zu bytes", image->size);
    if (!uuid_ok(image->uuid))
        return g_strdup("no proper uuid");
    if (!image->name)
        return g_strdup_printf("image %s without a name", image->uuid);
    if (!vimg_name_check("volume", image->name, &error)) {
        g_autofree char *name = g_strescape(image->name, NULL);

        return g_strdup_printf("bad name \"%s\" of image %s", name, image->uuid);
    }
    if (!format_ok(type, image))
        return g_strdup_printf("unknown format of image %s", image->uuid);
    if ((guint)image->state > VIMG_IMAGE_ERROR)
        return g_strdup_printf("unknown state of image %s", image->uuid);
    if (image->parent && !uuid_ok(image->parent))
        return g_strdup_printf("bad parent of image %s", image->uuid);
    if (!checksum_ok(image))
        return g_strdup_printf("bad checksum of image %s", image->uuid);
    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (!vimg_text_check(texts[i]))
            return g_strdup_printf("bad text in image %s", image->uuid);
    }
    if (VIMG_PLUGIN_IMAGE_HAS(image, origin) && !vimg_text_check(image->origin))
        return g_strdup_printf("bad origin of image %s", image->uuid);
    if (VIMG_PLUGIN_IMAGE_HAS(image, copy_of) && !vimg_text_check(image->copy_of))
        return g_strdup_printf("bad source of image %s", image->uuid);
    if (VIMG_PLUGIN_IMAGE_HAS(image, uploaded_size) && image->uploaded_format &&
        (!vimg_type_has_format(type, image->uploaded_format) || image->uploaded_size > G_MAXINT64))
        return g_strdup_printf("bad upload of image %s", image->uuid);
    if (VIMG_PLUGIN_IMAGE_HAS(image, needed_by) && !vimg_text_check(image->needed_by))
        return g_strdup_printf("bad clones of image %s", image->uuid);
    if (VIMG_PLUGIN_IMAGE_HAS(image, machine) && !vimg_text_check(image->machine))
        return g_strdup_printf("bad machine of image %s", image->uuid);
    if (VIMG_PLUGIN_IMAGE_HAS(image, generation) && image->generation &&
        !vimg_plugin_generation_ok(image->generation))
        return g_strdup_printf("bad generation of image %s", image->uuid);
    return numbers_lie(image);
}

char *
vimg_store_lie(const VimgPluginStore *store)
{
    const char *c;

    if (!store->store_id || !*store->store_id ||
        strnlen(store->store_id, STORE_ID_MAX + 1) > STORE_ID_MAX)
        return g_strdup("no proper id of the storage");
    for (c = store->store_id; *c; c++) {
        if (!g_ascii_isgraph(*c) || *c == '/')
            return g_strdup("no proper id of the storage");
    }
    if (store->capacity > G_MAXINT64 || store->allocation > G_MAXINT64 ||
        store->available > G_MAXINT64)
        return g_strdup("impossible size of the storage");
    return NULL;
}
