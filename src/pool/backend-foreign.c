/*
 * backend-foreign.c: pools of libvirt whose volumes a backend can fill and read, and libvirt cannot
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

struct _VimgForeign {
    const VimgType *type;
    gpointer handle;
};

struct _VimgForeignWriter {
    const VimgType *type;
    char *volume;
    gpointer handle;
};

struct _VimgForeignReader {
    const VimgType *type;
    char *volume;
    gpointer handle;
    gboolean moment; /* it is of one */
};

const VimgType *
vimg_backends_foreign(VimgBackends *backends, const char *type)
{
    g_autoptr(GPtrArray) all = vimg_backends_list(backends);

    for (guint i = 0; i < all->len; i++) {
        const VimgTypeStatus *status = all->pdata[i];

        if (status->loaded && status->loaded->table.foreign_type &&
            status->loaded->table.foreign_open &&
            strcmp(status->loaded->table.foreign_type, type) == 0)
            return status->loaded;
    }
    return NULL;
}

VimgForeign *
vimg_type_foreign_open(const VimgType *type, const VimgPoolView *view, GError **error)
{
    const VimgPluginPool *pool = vimg_pool_view_get(view);
    GError *local = NULL;
    gpointer handle = type->table.foreign_open(pool, &local);
    VimgForeign *foreign;

    if (!vimg_type_settle(type, handle != NULL, local, pool->name, error))
        return NULL;
    foreign = g_new0(VimgForeign, 1);
    foreign->type = type;
    foreign->handle = handle;
    return foreign;
}

void
vimg_foreign_close(VimgForeign *foreign)
{
    if (!foreign)
        return;
    foreign->type->table.foreign_close(foreign->handle);
    g_free(foreign);
}

gboolean
vimg_foreign_identity(VimgForeign *foreign, const char *volume, char **out, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gboolean ok;

    *out = NULL;
    if (!type->table.foreign_identity)
        return TRUE;
    ok = type->table.foreign_identity(foreign->handle, volume, out, &local);
    return vimg_type_settle(type, ok, local, volume, error);
}

gboolean
vimg_foreign_fresh(VimgForeign *foreign, const char *volume, guint64 capacity, gint64 since,
                   gint64 until, gboolean *fresh, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gboolean ok;

    *fresh = FALSE;
    if (!type->table.foreign_fresh)
        return TRUE;
    ok = type->table.foreign_fresh(foreign->handle, volume, capacity, since, until, fresh, &local);
    return vimg_type_settle(type, ok, local, volume, error);
}

/* ---- writing ---------------------------------------------------------------------------- */

VimgForeignWriter *
vimg_foreign_writer_open(VimgForeign *foreign, const char *volume, guint64 offset,
                         VimgPluginJob *job, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gpointer handle = type->table.foreign_writer(foreign->handle, volume, offset, job, &local);
    VimgForeignWriter *writer;

    if (!vimg_type_settle(type, handle != NULL, local, volume, error))
        return NULL;
    writer = g_new0(VimgForeignWriter, 1);
    writer->type = type;
    writer->volume = g_strdup(volume);
    writer->handle = handle;
    return writer;
}

gboolean
vimg_foreign_write(VimgForeignWriter *writer, VimgBuffer *buffer, gsize offset, guint64 size,
                   GError **error)
{
    GError *local = NULL;
    gboolean ok = writer->type->table.foreign_write(writer->handle, buffer, offset, size, &local);

    return vimg_type_settle(writer->type, ok, local, writer->volume, error);
}

static void
writer_free(VimgForeignWriter *writer)
{
    g_free(writer->volume);
    g_free(writer);
}

gboolean
vimg_foreign_finish(VimgForeignWriter *writer, GError **error)
{
    GError *local = NULL;
    gboolean ok = writer->type->table.foreign_finish(writer->handle, &local);

    ok = vimg_type_settle(writer->type, ok, local, writer->volume, error);
    writer_free(writer);
    return ok;
}

void
vimg_foreign_abort(VimgForeignWriter *writer)
{
    writer->type->table.foreign_abort(writer->handle);
    writer_free(writer);
}

/* ---- reading ---------------------------------------------------------------------------- */

static VimgForeignReader *
reader_new(const VimgType *type, const char *volume, gpointer handle)
{
    VimgForeignReader *reader = g_new0(VimgForeignReader, 1);

    reader->type = type;
    reader->volume = g_strdup(volume);
    reader->handle = handle;
    return reader;
}

VimgForeignReader *
vimg_foreign_reader_open(VimgForeign *foreign, const char *volume, VimgPluginJob *job,
                         GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gpointer handle = type->table.foreign_reader(foreign->handle, volume, job, &local);

    return vimg_type_settle(type, handle != NULL, local, volume, error)
               ? reader_new(type, volume, handle)
               : NULL;
}

gboolean
vimg_foreign_next(VimgForeignReader *reader, VimgExtent *out, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    *out = (VimgExtent){0};
    ok = reader->type->table.foreign_next(reader->handle, out, &local);
    return vimg_type_settle(reader->type, ok, local, reader->volume, error);
}

void
vimg_foreign_reader_close(VimgForeignReader *reader)
{
    if (!reader)
        return;
    (reader->moment ? reader->type->table.foreign_close_at
                    : reader->type->table.foreign_reader_close)(reader->handle);
    g_free(reader->volume);
    g_free(reader);
}

/* ---- moments ---------------------------------------------------------------------------- */

gboolean
vimg_foreign_has_moments(const VimgForeign *foreign)
{
    const VimgBackend *table = &foreign->type->table;

    return table->foreign_hold && table->foreign_drop && table->foreign_reader_at &&
           table->foreign_next_at && table->foreign_close_at;
}

/* What takes a volume and a name of something else. */
static gboolean
call(VimgForeign *foreign,
     gboolean (*callback)(gpointer foreign, const char *volume, const char *other, GError **error),
     const char *volume, const char *other, GError **error)
{
    GError *local = NULL;
    gboolean ok = callback(foreign->handle, volume, other, &local);

    return vimg_type_settle(foreign->type, ok, local, volume, error);
}

gboolean
vimg_foreign_hold(VimgForeign *foreign, const char *volume, const char *moment, GError **error)
{
    return call(foreign, foreign->type->table.foreign_hold, volume, moment, error);
}

gboolean
vimg_foreign_drop(VimgForeign *foreign, const char *volume, const char *moment, GError **error)
{
    return call(foreign, foreign->type->table.foreign_drop, volume, moment, error);
}

VimgForeignReader *
vimg_foreign_reader_open_at(VimgForeign *foreign, const char *volume, const char *moment,
                            const char *since, VimgPluginJob *job, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gpointer handle =
        type->table.foreign_reader_at(foreign->handle, volume, moment, since, job, &local);
    VimgForeignReader *reader;

    if (!vimg_type_settle(type, handle != NULL, local, volume, error))
        return NULL;
    reader = reader_new(type, volume, handle);
    reader->moment = TRUE;
    return reader;
}

gboolean
vimg_foreign_next_at(VimgForeignReader *reader, VimgExtent *out, gboolean *same, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    *out = (VimgExtent){0};
    *same = FALSE;
    ok = reader->type->table.foreign_next_at(reader->handle, out, same, &local);
    return vimg_type_settle(reader->type, ok, local, reader->volume, error);
}

/* ---- sharing ---------------------------------------------------------------------------- */

gboolean
vimg_foreign_clone_image(VimgForeign *foreign, const char *volume, guint64 capacity,
                         VimgStore *store, const char *uuid, VimgPluginJob *job, gboolean *done,
                         GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;

    *done = FALSE;
    if (type != store->type || !type->table.foreign_clone)
        return TRUE;
    *done = type->table.foreign_clone(foreign->handle, volume, capacity, store->handle, uuid, job,
                                      &local);
    if (!*done && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT)) {
        g_error_free(local);
        return TRUE;
    }
    return vimg_type_settle(type, *done, local, volume, error);
}

gboolean
vimg_foreign_replaces(const VimgForeign *foreign)
{
    const VimgBackend *table = &foreign->type->table;

    return (table->foreign_take_place && table->foreign_identity) || table->foreign_replace;
}

gboolean
vimg_foreign_replace(VimgForeign *foreign, const char *volume, const char *identity, const char *by,
                     const char *away, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gboolean ok;

    if (!by && (!identity || !type->table.foreign_take_place))
        return vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s", volume);
    if (!identity && !type->table.foreign_replace)
        return vimg_type_nonsense(type, volume, error, "no identity");
    if (!identity || !type->table.foreign_take_place)
        return call(foreign, type->table.foreign_replace, volume, by, error);
    ok = type->table.foreign_take_place(foreign->handle, volume, identity, by, away, &local);
    return vimg_type_settle(type, ok, local, volume, error);
}

gboolean
vimg_foreign_settle(VimgForeign *foreign, const char *volume, const char *identity,
                    const char *second, const char *by, const char *away, gboolean *kept,
                    GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;
    gboolean ok;

    *kept = FALSE;
    if (!type->table.foreign_settle)
        return TRUE;
    ok = type->table.foreign_settle(foreign->handle, volume, identity, second, by, away, kept,
                                    &local);
    return vimg_type_settle(type, ok, local, volume, error);
}

gboolean
vimg_foreign_make_image(VimgForeign *foreign, const char *volume, VimgStore *store,
                        const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                        gboolean *done, GError **error)
{
    const VimgType *type = foreign->type;
    GError *local = NULL;

    *done = FALSE;
    if (type != store->type || !type->table.foreign_image)
        return TRUE;
    *done =
        type->table.foreign_image(foreign->handle, volume, store->handle, image, job, out, &local);
    if (!*done && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT)) {
        g_error_free(local);
        return TRUE;
    }
    if (!vimg_type_settle(type, *done, local, volume, error) ||
        !vimg_store_accept(store, out, image->uuid, image->name, error))
        return FALSE;
    if (out->state == VIMG_IMAGE_ACTIVE)
        return TRUE;
    vimg_plugin_image_clear(out);
    return vimg_type_nonsense(type, image->name, error, "an image that is not active");
}
