/*
 * inspect.c: an inspector: which format it is, and the verdict
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define NAME_SHOWN_MAX 128 /* characters of a file name out of a header */

/* The last one takes everything. */
static const VimgImageFormat *const formats[] = {
    &vimg_image_qcow2, &vimg_image_vmdk, &vimg_image_vhdx, &vimg_image_vdi,
    &vimg_image_vpc,   &vimg_image_iso,  &vimg_image_raw,
};

VimgInspector *
vimg_inspector_new(void)
{
    VimgInspector *inspector = g_malloc(sizeof(*inspector));

    memset(inspector, 0, G_STRUCT_OFFSET(VimgInspector, head));
    return inspector;
}

void
vimg_inspector_free(VimgInspector *inspector)
{
    g_free(inspector);
}

/* ---- what comes ------------------------------------------------------------------------- */

static void
keep_head(VimgInspector *inspector, const guint8 *data, gsize size)
{
    if (data)
        memcpy(inspector->head + inspector->length, data, size);
    else
        memset(inspector->head + inspector->length, 0, size);
}

static void
keep_tail(VimgInspector *inspector, const guint8 *data, guint64 size)
{
    gsize n = MIN(size, VIMG_IMAGE_TAIL);
    gsize at = (inspector->length + size - n) % VIMG_IMAGE_TAIL;
    gsize first = MIN(n, VIMG_IMAGE_TAIL - at);

    if (data) {
        data += size - n;
        memcpy(inspector->tail + at, data, first);
        memcpy(inspector->tail, data + first, n - first);
    } else {
        memset(inspector->tail + at, 0, first);
        memset(inspector->tail, 0, n - first);
    }
}

gboolean
vimg_image_tail(const VimgInspector *inspector, guint64 back, guint8 *out, gsize size)
{
    gsize i;

    if (back > inspector->length)
        return FALSE;
    for (i = 0; i < size; i++)
        out[i] = inspector->tail[(inspector->length - back + i) % VIMG_IMAGE_TAIL];
    return TRUE;
}

static const VimgImageFormat *
match(const guint8 *head)
{
    gsize i = 0;

    while (!formats[i]->matches(head))
        i++;
    return formats[i];
}

/* The head is complete, or all there is: only now it passes what the format asks for. */
static void
begin(VimgInspector *inspector)
{
    gsize size = MIN(inspector->length, VIMG_INSPECT_HEAD);

    memset(inspector->head + size, 0, VIMG_INSPECT_HEAD - size);
    inspector->format = match(inspector->head);
    if (inspector->format->begin && inspector->format->check(inspector, NULL))
        inspector->format->begin(inspector);
    vimg_image_pass(inspector, inspector->head, size);
}

void
vimg_inspector_feed(VimgInspector *inspector, const guint8 *data, guint64 size)
{
    size = MIN(size, G_MAXINT64 - inspector->length);
    if (inspector->length < VIMG_INSPECT_HEAD) {
        gsize n = MIN(size, VIMG_INSPECT_HEAD - inspector->length);

        keep_head(inspector, data, n);
        keep_tail(inspector, data, n);
        inspector->length += n;
        size -= n;
        if (data)
            data += n;
        if (inspector->length == VIMG_INSPECT_HEAD)
            begin(inspector);
    }
    if (size == 0)
        return;
    keep_tail(inspector, data, size);
    inspector->length += size;
    vimg_image_pass(inspector, data, size);
}

guint64
vimg_inspector_idle(const VimgInspector *inspector)
{
    return inspector->format ? vimg_image_idle(inspector) : 0;
}

/* ---- the verdict ------------------------------------------------------------------------ */

const char *
vimg_inspector_sniff(const VimgInspector *inspector)
{
    gsize size = MIN(inspector->length, VIMG_INSPECT_HEAD);
    guint8 head[VIMG_INSPECT_HEAD];

    if (inspector->format)
        return inspector->format->name;
    memcpy(head, inspector->head, size);
    memset(head + size, 0, sizeof(head) - size);
    return match(head)->name;
}

/* What nothing at its start tells, or nothing that counts for who declared it raw. */
static gboolean
identify(VimgInspector *inspector, const char *declared, GError **error)
{
    gsize i;

    if (!inspector->format)
        begin(inspector);
    if (inspector->format != &vimg_image_raw)
        return TRUE;
    if (!vimg_image_check_foreign(inspector, error))
        return FALSE;
    for (i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i]->found && formats[i]->found(inspector))
            break;
    if (i == G_N_ELEMENTS(formats) ||
        (formats[i] == &vimg_image_iso && g_strcmp0(declared, "raw") == 0))
        return TRUE;
    inspector->format = formats[i];
    return TRUE;
}

static gboolean
check_declared(const VimgInspector *inspector, const char *declared, GError **error)
{
    const char *found = inspector->format->name;

    if (!declared || g_str_equal(declared, found))
        return TRUE;
    if (g_str_equal(declared, "vpc") && g_str_equal(found, "raw"))
        return vimg_throw(
            error, VIMG_ERROR_PROBE,
            _("the last sector is no vpc footer: the image is cut off, or of another format"));
    return vimg_throw(
        error, VIMG_ERROR_PROBE,
        _("the content is %1$s, declared was %2$s; create the volume with --format %1$s"), found,
        declared);
}

gboolean
vimg_inspector_finish(VimgInspector *inspector, const char *declared, VimgInspection *out,
                      GError **error)
{
    const VimgImageFormat *format;

    inspector->is_declared = declared != NULL;
    if (!identify(inspector, declared, error) || !check_declared(inspector, declared, error))
        return FALSE;
    format = inspector->format;
    if (inspector->length < format->header)
        return vimg_image_cut(inspector, format->header, error);
    if (!format->check(inspector, error))
        return FALSE;
    if (inspector->length < inspector->needed)
        return vimg_image_cut(inspector, inspector->needed, error);
    out->format = format->name;
    return format->finish(inspector, &out->capacity, error);
}

/* ---- what is found ---------------------------------------------------------------------- */

gboolean
vimg_image_cut(const VimgInspector *inspector, guint64 needed, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      _("the %1$s image is cut off: it has %2$llu of at least %3$llu bytes"),
                      inspector->format->name, (unsigned long long)inspector->length,
                      (unsigned long long)needed);
}

gboolean
vimg_image_unended(const VimgInspector *inspector, const char *what, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      _("the %1$s image is cut off: it does not end in its %2$s"),
                      inspector->format->name, what);
}

gboolean
vimg_image_broken(const VimgInspector *inspector, const char *what, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_PROBE, _("the %1$s image is damaged: %2$s is impossible"),
                      inspector->format->name, what);
}

gboolean
vimg_image_unsupported(const VimgInspector *inspector, const char *what, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("the %1$s image has an unsupported %2$s; convert it with qemu-img convert"),
                      inspector->format->name, what);
}

/* A name as it can be shown: printable, one line, not endless. */
static char *
shown(const guint8 *name, gsize size)
{
    g_autofree char *valid =
        g_utf8_make_valid((const char *)name, (gssize)strnlen((const char *)name, size));
    GString *out = g_string_new(NULL);
    const char *at;
    guint n = 0;

    for (at = valid; *at && n < NAME_SHOWN_MAX; at = g_utf8_next_char(at), n++) {
        gunichar c = g_utf8_get_char(at);

        g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    if (*at)
        g_string_append(out, "...");
    return g_string_free(out, FALSE);
}

gboolean
vimg_image_backed(const VimgInspector *inspector, const guint8 *name, gsize size, GError **error)
{
    g_autofree char *text = NULL;

    if (!name)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the %s image needs its parent image; flatten it with qemu-img convert"),
            inspector->format->name);
    text = shown(name, size);
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("the image needs the backing file '%s'; flatten it with qemu-img convert"),
                      text);
}

gboolean
vimg_image_split(const VimgInspector *inspector, const guint8 *name, gsize size, GError **error)
{
    g_autofree char *text = shown(name, size);

    return vimg_throw(
        error, VIMG_ERROR_CONFIG_UNSUPPORTED,
        _("the data of the %1$s image is in the file '%2$s'; make one file of both with qemu-img convert"),
        inspector->format->name, text);
}
