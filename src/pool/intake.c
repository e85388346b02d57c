/*
 * intake.c: content on its way into an image, looked at as it passes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/inspect.h"
#include "pool/intake.h"
#include "pool/transfer-digest.h"
#include "util/error.h"
#include "util/i18n.h"

#define ULL(number) ((unsigned long long)(number))

struct _VimgIntake {
    const VimgPluginImage *image;
    VimgWriter *writer; /* may be NULL */
    VimgJob *job;
    guint64 offset; /* of the first byte that comes */
    gboolean whole;
    VimgInspector *inspector;
    VimgDigest *digest; /* NULL: no checksum is expected */
    guint64 seen;       /* bytes the inspector was shown */
    guint64 at;         /* offset of the next byte to come */
    gboolean ended;
    gboolean refused; /* for what it is, not for what a storage said */
    VimgBuffer *head; /* of an undeclared image, until its writer was told what it looks like */
};

VimgIntake *
vimg_intake_new(const VimgPluginImage *image, VimgWriter *writer, VimgJob *job, guint64 offset,
                gboolean whole, GError **error)
{
    g_autoptr(VimgIntake) intake = g_new0(VimgIntake, 1);

    intake->image = image;
    intake->writer = writer;
    intake->job = job;
    intake->offset = offset;
    intake->at = offset;
    intake->whole = whole;
    intake->inspector = vimg_inspector_new();
    if (whole && image->checksum) {
        intake->digest = vimg_digest_new(image->checksum_type, error);
        if (!intake->digest)
            return NULL;
    }
    if (!image->format && writer) {
        intake->head = vimg_buffer_new(VIMG_INSPECT_HEAD);
        intake->head->size = 0;
    }
    return g_steal_pointer(&intake);
}

void
vimg_intake_free(VimgIntake *intake)
{
    if (!intake)
        return;
    vimg_inspector_free(intake->inspector);
    vimg_digest_free(intake->digest);
    vimg_buffer_unref(intake->head);
    g_free(intake);
}

gboolean
vimg_intake_has_refused(const VimgIntake *intake)
{
    return intake->refused;
}

guint64
vimg_intake_at(const VimgIntake *intake)
{
    return intake->at;
}

guint64
vimg_intake_idle(const VimgIntake *intake)
{
    return intake->digest ? 0 : vimg_inspector_idle(intake->inspector);
}

const char *
vimg_intake_format(const VimgIntake *intake)
{
    if (intake->image->format)
        return intake->image->format;
    if (intake->seen < VIMG_INSPECT_HEAD && !intake->ended)
        return NULL;
    return vimg_inspector_sniff(intake->inspector);
}

/* ---- looking ---------------------------------------------------------------------------- */

/* Of what will not be judged, only the first bytes tell something. */
static void
inspect(VimgIntake *intake, const guint8 *data, guint64 size)
{
    if (intake->whole || intake->seen < VIMG_INSPECT_HEAD)
        vimg_inspector_feed(intake->inspector, data, size);
    intake->seen += size;
}

static gboolean
sum_up(VimgIntake *intake, const guint8 *data, guint64 size, GError **error)
{
    return !intake->digest || vimg_digest_add(intake->digest, data, size, intake->job, error);
}

/* How much of what an earlier upload left must be looked at. */
static guint64
left_before(const VimgIntake *intake)
{
    if (intake->whole)
        return intake->offset;
    return intake->head ? MIN(intake->offset, VIMG_INSPECT_HEAD) : 0;
}

/* Looks at what lies below the first byte that comes. */
static gboolean
look_back(VimgIntake *intake, GError **error)
{
    guint64 end = left_before(intake);

    while (intake->seen < end) {
        g_autoptr(VimgBuffer) data = NULL;
        const guint8 *bytes;
        VimgExtent extent;

        if (vimg_job_cancelled(intake->job))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
        if (!vimg_writer_read(intake->writer, intake->seen, end - intake->seen, &extent, error))
            return FALSE;
        data = extent.data;
        bytes = data ? data->data + extent.offset : NULL;
        inspect(intake, bytes, extent.length);
        if (!sum_up(intake, bytes, extent.length, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- passing on ------------------------------------------------------------------------- */

/* A raw image has room for its capacity. */
static gboolean
check_room(VimgIntake *intake, const char *format, guint64 end, GError **error)
{
    if (g_strcmp0(format, "raw") != 0 || end <= intake->image->capacity)
        return TRUE;
    intake->refused = TRUE;
    return vimg_throw(
        error, VIMG_ERROR_INVALID_ARG,
        _("the stream reaches byte %1$llu, beyond the capacity of %2$llu bytes of volume '%3$s'"),
        ULL(end), ULL(intake->image->capacity), intake->image->name);
}

static void
hold_back(VimgBuffer *head, const guint8 *data, gsize size)
{
    if (data)
        memcpy(head->data + head->size, data, size);
    else
        memset(head->data + head->size, 0, size);
    head->size += size;
}

/* What was held back goes on, now that it is known what it looks like. */
static gboolean
let_go(VimgIntake *intake, GError **error)
{
    g_autoptr(VimgBuffer) head = g_steal_pointer(&intake->head);

    return !head || (vimg_writer_format(intake->writer, vimg_intake_format(intake), error) &&
                     vimg_writer_write(intake->writer, head, 0, head->size, error));
}

static gboolean
pass_on(VimgIntake *intake, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    if (!intake->writer)
        return TRUE;
    if (!let_go(intake, error))
        return FALSE;
    return buffer ? vimg_writer_write(intake->writer, buffer, offset, size, error)
                  : vimg_writer_hole(intake->writer, size, error);
}

gboolean
vimg_intake_put(VimgIntake *intake, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    const guint8 *data = buffer ? buffer->data + offset : NULL;
    const char *format;

    if (!look_back(intake, error))
        return FALSE;
    /* what only looks raw so far may end as an iso or a vpc, which has no such limit */
    if (!check_room(intake, intake->image->format, intake->at + size, error))
        return FALSE;
    inspect(intake, data, size);
    format = vimg_intake_format(intake);
    if (!sum_up(intake, data, size, error))
        return FALSE;
    intake->at += size;
    if (format)
        return pass_on(intake, buffer, offset, size, error);
    if (intake->head)
        hold_back(intake->head, data, size);
    return TRUE;
}

gboolean
vimg_intake_end(VimgIntake *intake, GError **error)
{
    if (!look_back(intake, error))
        return FALSE;
    intake->ended = TRUE;
    return let_go(intake, error);
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Formats with a header say their size themselves; an iso is the bytes it has. */
static void
settle(const VimgIntake *intake, const VimgInspection *found, VimgPluginImage *image)
{
    if (!image->format)
        image->format = g_strdup(found->format);
    image->physical = intake->at;
    if (strcmp(found->format, "raw") == 0)
        image->physical = image->capacity;
    else if (strcmp(found->format, "iso") == 0)
        image->capacity = intake->at;
    else
        image->capacity = found->capacity;
}

gboolean
vimg_intake_judge(VimgIntake *intake, const VimgType *type, VimgPluginImage *image, GError **error)
{
    VimgInspection found = {0};

    if (!intake->whole || !intake->ended)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "%s",
                          _("the content was not looked at whole"));
    if (!vimg_inspector_finish(intake->inspector, intake->image->format, &found, error))
        return FALSE;
    if (!vimg_type_has_format(type, found.format))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown volume format type %s"),
                          found.format);
    if (!check_room(intake, found.format, intake->at, error) ||
        (intake->digest && !vimg_digest_check(intake->digest, intake->image->checksum, error)))
        return FALSE;
    settle(intake, &found, image);
    return TRUE;
}

gboolean
vimg_intake_pad(VimgIntake *intake, const VimgPluginImage *image, GError **error)
{
    guint64 size = image->physical - intake->at;

    intake->at = image->physical;
    return vimg_writer_hole(intake->writer, size, error);
}
