/*
 * export-nbd.c: exports that a local server of blocks serves, one process each, until it ends, or
 * that are read within this one
 *
 * They are exports like the others, but have no token and no file: they end with their server, or
 * with the daemon.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "pool/export.h"
#include "util/i18n.h"
#include "util/log.h"

#define RUNS_MAX (1U << 20) /* of zeros that are remembered; what follows is data */

/* ---- zeros -------------------------------------------------------------------------------- */

typedef struct {
    GArray *runs;
    guint64 size; /* of the image */
    guint64 end;  /* of the last run */
} Map;

/* A backend may tell anything. */
static gboolean
add_run(guint64 offset, guint64 length, gpointer data)
{
    Map *map = data;
    VimgExportRun run = {offset, offset + MIN(length, map->size - MIN(offset, map->size))};

    if (offset < map->end || run.start >= run.end || map->runs->len >= RUNS_MAX)
        return FALSE;
    if (map->runs->len > 0 && run.start == map->end)
        g_array_index(map->runs, VimgExportRun, map->runs->len - 1).end = run.end;
    else
        g_array_append_val(map->runs, run);
    map->end = run.end;
    return TRUE;
}

/* Returns: (transfer full) */
static GArray *
map_zeros(VimgUse *use, const VimgPluginImage *image, GError **error)
{
    Map map = {g_array_new(FALSE, FALSE, sizeof(VimgExportRun)), image->physical, 0};
    GError *local = NULL;
    gboolean known;

    if (vimg_store_zeros(vimg_session_store(use->session), image->uuid, add_run, &map, use->job,
                         &known, &local))
        return map.runs;
    g_array_unref(map.runs);
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return NULL;
}

/* The first run that ends behind @offset; NULL: none does. */
static const VimgExportRun *
find_run(const GArray *runs, guint64 offset)
{
    guint low = 0;
    guint high = runs->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(runs, VimgExportRun, middle).end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low < runs->len ? &g_array_index(runs, VimgExportRun, low) : NULL;
}

guint64
vimg_export_zeros_before(const VimgExport *export, guint64 offset)
{
    const VimgExportRun *run =
        export->zeros && offset > 0 ? find_run(export->zeros, offset - 1) : NULL;

    return run && run->start < offset ? run->start : offset;
}

static void
look_at(const VimgExport *export, guint64 offset, VimgExportExtent *out)
{
    const VimgExportRun *run = export->zeros ? find_run(export->zeros, offset) : NULL;
    guint64 size = export->record->size;

    out->zeros = run && run->start <= offset;
    out->length = (!run ? size : out->zeros ? run->end : run->start) - offset;
}

gboolean
vimg_model_export_map(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE], guint64 offset,
                      VimgExportExtent *out, GError **error)
{
    g_autoptr(VimgExport) export = vimg_exports_get(model->exports, hash, error);

    if (!export)
        return FALSE;
    if (offset >= export->record->size)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("there is nothing at this place of the export"));
    look_at(export, offset, out);
    return TRUE;
}

/* ---- life --------------------------------------------------------------------------------- */

void
vimg_model_set_nbd(VimgModel *model, const VimgNbdServer *server, gpointer data)
{
    model->exports->nbd = server;
    model->exports->nbd_data = data;
}

/* As it is stored, or (@format) its raw disk, of which nobody asks what is zeros. */
static VimgExport *
make_export(VimgUse *use, const char *format, GError **error)
{
    const VimgExportRequest request = {.lifetime = 1, .format = format};
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgExport) export = NULL;
    VimgExportRecord *record;

    vimg_use_image(use, &image);
    record = vimg_export_record_new(use->pool, &image, &request, error);
    if (!record)
        return NULL;
    record->nbd = TRUE;
    record->expires = VIMG_EXPORT_NEVER;
    export = vimg_export_new(record);
    if (getentropy(record->hash, sizeof(record->hash)) < 0) {
        vimg_throw_errno(error, _("cannot make a token"));
        return NULL;
    }
    if (vimg_export_record_unpacks(record))
        return vimg_export_find_guest(use, &image, &record->size, error) ? g_steal_pointer(&export)
                                                                         : NULL;
    export->zeros = map_zeros(use, &image, error);
    return export->zeros ? g_steal_pointer(&export) : NULL;
}

/* Takes it out of the table; what still reads it closes behind itself. */
static void
end(VimgExports *exports, VimgExport *export)
{
    vimg_mutex_lock(&exports->lock);
    if (!export->record->revoked)
        export->record->revoked = g_get_real_time() / G_USEC_PER_SEC;
    vimg_mutex_unlock(&exports->lock);
    vimg_export_let_go(exports, export);
    vimg_mutex_lock(&exports->lock);
    if (g_hash_table_lookup(exports->by_id, export->record->id) == export)
        g_hash_table_remove(exports->by_id, export->record->id);
    vimg_mutex_unlock(&exports->lock);
}

static VimgExportInfo *
start(VimgExports *exports, VimgUse *use, uid_t uid, char **path, GError **error)
{
    g_autoptr(VimgExport) export = make_export(use, NULL, error);
    g_autoptr(VimgExport) still = NULL;
    VimgExportInfo *info;

    if (!export || !vimg_exports_add(exports, export, error))
        return NULL;
    info = vimg_export_info(exports, export);
    *path = exports->nbd->start(info->id, export->record->hash, uid, exports->nbd_data, error);
    if (*path) {
        vimg_info("volume '%s' of storage pool '%s' is served over NBD: %s", info->image,
                  info->pool, info->id);
        /* somebody may have revoked it before there was anything to stop */
        still = vimg_exports_get_by_id(exports, info->id);
        if (!still)
            exports->nbd->stop(info->id, exports->nbd_data);
        return info;
    }
    end(exports, export);
    vimg_export_info_free(info);
    return NULL;
}

VimgExportInfo *
vimg_model_nbd_start(VimgModel *model, const VimgPoolId *id, const char *image, uid_t uid,
                     char **path, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    VimgVolId vol = {.pool = id->name, .name = (char *)image};
    g_auto(VimgUse) use = {0};
    VimgExportInfo *info;

    *path = NULL;
    if (!pool)
        return NULL;
    if (!model->exports->nbd) {
        vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
            _("images are not served over NBD here: nbdkit or virtimage's plugin for it is not installed"));
        return NULL;
    }
    if (!vimg_use_volume_of(pool, &vol, VIMG_ACTION_DOWNLOAD, VIMG_EXPORT_KIND, &use, error))
        return NULL;
    info = start(model->exports, &use, uid, path, error);
    if (!info)
        vimg_use_fail(&use, error);
    return info;
}

VimgExportInfo *
vimg_model_disk_start(VimgModel *model, const VimgPoolId *id, const char *image,
                      guint8 hash[VIMG_EXPORT_HASH_SIZE], GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    VimgVolId vol = {.pool = id->name, .name = (char *)image};
    g_autoptr(VimgExport) export = NULL;
    g_auto(VimgUse) use = {0};

    if (!pool ||
        !vimg_use_volume_of(pool, &vol, VIMG_ACTION_DOWNLOAD, VIMG_EXPORT_KIND, &use, error))
        return NULL;
    export = make_export(&use, "raw", error);
    if (!export || !vimg_exports_add(model->exports, export, error)) {
        vimg_use_fail(&use, error);
        return NULL;
    }
    memcpy(hash, export->record->hash, VIMG_EXPORT_HASH_SIZE);
    return vimg_export_info(model->exports, export);
}

gboolean
vimg_model_nbd_stop(VimgModel *model, const char *id, GError **error)
{
    VimgExports *exports = model->exports;
    g_autoptr(VimgExport) export = vimg_exports_get_by_id(exports, id);

    if (!export || !export->record->nbd)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("no image is served over NBD by id '%s'"), id);
    vimg_export_stop_nbd(exports, export);
    return TRUE;
}

void
vimg_export_stop_nbd(VimgExports *exports, VimgExport *export)
{
    end(exports, export);
    if (exports->nbd)
        exports->nbd->stop(export->record->id, exports->nbd_data);
}

void
vimg_model_nbd_ended(VimgModel *model, const char *id)
{
    g_autoptr(VimgExport) export = vimg_exports_get_by_id(model->exports, id);

    if (export)
        end(model->exports, export);
}
