/*
 * machine-shot.c: disks of a machine become images, all as they are at one moment
 *
 * A machine that runs or is paused is read through a backup job, one that is shut off from the
 * files of its disks, all of which are held from before the first is read.  Images are raw, as the
 * guest sees its disk: so the same blocks are the same slices, whatever the disk is stored as.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-backup.h"
#include "cli/machine-nbd.h"
#include "cli/machine-shot.h"
#include "cli/progress.h"
#include "cli/stream.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

#define SECTOR 512
#define LOOK_AGAIN (G_USEC_PER_SEC / 4) /* at the room of the scratch directory */

/* What goes on while they are made. */
typedef struct {
    VimgShot *shot;
    VimgCtlPool pool;
    VimgBackup backup;
    GPtrArray *open; /* of VimgNbd, by disk: of a machine that is shut off */
    VimgProgress *progress;
    const char *phase;
    guint64 done, total;
    gint64 looked; /* when, at the room */
    GError *stopped;
} Taking;

static void
disk_free(gpointer data)
{
    VimgShotDisk *disk = data;

    g_free(disk->name);
    vimg_image_free(disk->image);
    g_free(disk);
}

void
vimg_shot_init(VimgShot *shot, VimgMachine *machine, const char *pool, const char *name,
               GPtrArray *disks)
{
    *shot = (VimgShot){.machine = machine, .pool = pool, .began = g_get_monotonic_time()};
    shot->disks = g_ptr_array_new_with_free_func(disk_free);
    for (guint i = 0; i < disks->len; i++) {
        VimgShotDisk *disk = g_new0(VimgShotDisk, 1);

        disk->disk = disks->pdata[i];
        disk->name =
            disks->len > 1 ? g_strdup_printf("%s-%s", name, disk->disk->target) : g_strdup(name);
        g_ptr_array_add(shot->disks, disk);
    }
}

void
vimg_shot_clear(VimgShot *shot)
{
    g_clear_pointer(&shot->disks, g_ptr_array_unref);
    g_clear_pointer(&shot->not_frozen, g_free);
}

static void
taking_clear(Taking *taking)
{
    vimg_ctl_pool_clear(&taking->pool);
    vimg_backup_clear(&taking->backup);
    g_clear_pointer(&taking->open, g_ptr_array_unref);
    g_clear_pointer(&taking->progress, vimg_progress_end);
    g_clear_error(&taking->stopped);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taking, taking_clear)

/* ---- whether to go on ------------------------------------------------------------------- */

static gboolean
tick(gpointer data)
{
    Taking *taking = data;
    gint64 now = g_get_monotonic_time();

    vimg_progress_update(taking->progress, taking->phase, taking->done, taking->total);
    if (vimg_transfer_interrupted() || taking->stopped)
        return FALSE;
    if (!taking->backup.running || now - taking->looked < LOOK_AGAIN)
        return TRUE;
    taking->looked = now;
    return vimg_backup_check(&taking->backup, &taking->stopped);
}

static gboolean
goes_on(Taking *taking, GError **error)
{
    return tick(taking) || vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted"));
}

/* ---- the images ------------------------------------------------------------------------- */

static gboolean
create_image(Taking *taking, VimgShotDisk *disk, GError **error)
{
    VimgMachine *machine = taking->shot->machine;
    g_autofree char *xml =
        g_markup_printf_escaped("<volume><name>%s</name><capacity unit='bytes'>%" G_GUINT64_FORMAT
                                "</capacity><target><format type='raw'/></target></volume>",
                                disk->name, disk->capacity);

    disk->image = vimg_image_create(machine->ctl, &taking->pool, xml, error);
    return disk->image && vimg_undo_add(machine->undo, VIMG_UNDO_IMAGE, error, taking->shot->pool,
                                        disk->name, disk->image->uuid, NULL);
}

static gboolean
send_piece(VimgStream *stream, VimgShotDisk *disk, const VimgNbdPiece *piece, GError **error)
{
    if (piece->kind == VIMG_NBD_HOLE)
        return vimg_stream_send_hole(stream, piece->length, error);
    disk->read += piece->length;
    return vimg_stream_send_data(stream, piece->data, (gsize)piece->length, error);
}

static gboolean
send_content(Taking *taking, VimgShotDisk *disk, VimgNbd *nbd, VimgStream *stream, GError **error)
{
    VimgNbdPiece piece = {0};

    if (!vimg_nbd_start(nbd, error))
        return FALSE;
    while (piece.kind != VIMG_NBD_END) {
        if (!goes_on(taking, error) || !vimg_nbd_next(nbd, &piece, error))
            return FALSE;
        if (piece.kind == VIMG_NBD_NOTHING || piece.kind == VIMG_NBD_END)
            continue;
        if (!send_piece(stream, disk, &piece, error))
            return FALSE;
        taking->done += piece.length;
    }
    return TRUE;
}

static gboolean
fill_image(Taking *taking, VimgShotDisk *disk, VimgNbd *nbd, GError **error)
{
    vimg_remote_vol vol = vimg_image_id(disk->image);
    g_autoptr(VimgStream) stream = NULL;

    if (vimg_nbd_size(nbd) != disk->capacity)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("disk '%s' was resized in this moment: try again"), disk->disk->target);
    stream = vimg_stream_new(taking->shot->machine->ctl->daemon, VIMG_REMOTE_VOL_UPLOAD, &vol, 0,
                             TRUE, error);
    if (!stream)
        return FALSE;
    vimg_stream_set_tick(stream, tick, taking);
    taking->phase = disk->disk->target;
    if (send_content(taking, disk, nbd, stream, error)) {
        taking->phase = _("storing");
        if (vimg_stream_finish(stream, error))
            return TRUE;
    }
    vimg_stream_abort(stream, NULL);
    return FALSE;
}

/* ---- a machine that is not shut off ----------------------------------------------------- */

static gboolean
measure(VimgMachine *machine, VimgShotDisk *disk, GError **error)
{
    virDomainBlockInfo info;

    if (virDomainGetBlockInfo(machine->domain, disk->disk->target, &info, 0) < 0)
        return vimg_machine_throw(error);
    disk->capacity = (info.capacity + SECTOR - 1) / SECTOR * SECTOR;
    return TRUE;
}

static gboolean
begin_backup(Taking *taking, GError **error)
{
    VimgShot *shot = taking->shot;
    g_autofree VimgBackupDisk *disks = g_new0(VimgBackupDisk, shot->disks->len);

    for (guint i = 0; i < shot->disks->len; i++)
        disks[i].disk = ((VimgShotDisk *)shot->disks->pdata[i])->disk;
    if (!vimg_backup_begin(&taking->backup, shot->machine, disks, shot->disks->len, NULL, NULL,
                           error))
        return FALSE;
    shot->frozen = taking->backup.frozen;
    shot->not_frozen = g_strdup(taking->backup.not_frozen);
    return TRUE;
}

static VimgNbd *
open_served(Taking *taking, const VimgShotDisk *disk, GError **error)
{
    return vimg_nbd_connect(taking->backup.socket, disk->disk->target, NULL, error);
}

/* ---- one that is ------------------------------------------------------------------------ */

/* Returns: (transfer full) the path of @disk; NULL with @error. */
static char *
path_of(VimgMachine *machine, const VimgMachineDisk *disk, GError **error)
{
    virStoragePoolPtr pool = NULL;
    virStorageVolPtr volume = NULL;
    char *path = NULL;

    if (disk->path)
        return g_strdup(disk->path);
    if (!disk->volume) {
        vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                   _("disk '%s' is no file or device of this host: start the machine, paused if "
                     "it must not run, and image it then"),
                   disk->target);
        return NULL;
    }
    pool = virStoragePoolLookupByName(machine->connection, disk->pool);
    volume = pool ? virStorageVolLookupByName(pool, disk->volume) : NULL;
    path = volume ? virStorageVolGetPath(volume) : NULL;
    if (!path)
        vimg_machine_throw(error);
    if (volume)
        virStorageVolFree(volume);
    if (pool)
        virStoragePoolFree(pool);
    return path;
}

static gboolean
open_files(Taking *taking, GError **error)
{
    VimgShot *shot = taking->shot;

    taking->open = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_nbd_free);
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];
        g_autofree char *path = path_of(shot->machine, disk->disk, error);
        VimgNbd *nbd = path ? vimg_nbd_open(path, disk->disk->format, FALSE, error) : NULL;

        if (!nbd)
            return FALSE;
        g_ptr_array_add(taking->open, nbd);
        disk->capacity = vimg_nbd_size(nbd);
    }
    return TRUE;
}

/* ---- all of it -------------------------------------------------------------------------- */

static gboolean
prepare(Taking *taking, GError **error)
{
    VimgShot *shot = taking->shot;

    if (!shot->machine->active && !open_files(taking, error))
        return FALSE;
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];

        if ((shot->machine->active && !measure(shot->machine, disk, error)) ||
            !create_image(taking, disk, error))
            return FALSE;
        taking->total += disk->capacity;
    }
    return !shot->machine->active || begin_backup(taking, error);
}

static gboolean
take_disk(Taking *taking, guint i, GError **error)
{
    VimgShotDisk *disk = taking->shot->disks->pdata[i];
    VimgNbd *nbd = taking->open ? taking->open->pdata[i] : open_served(taking, disk, error);
    gboolean ok = nbd && fill_image(taking, disk, nbd, error);

    if (!taking->open)
        vimg_nbd_free(nbd);
    return ok;
}

static gboolean
take_all(Taking *taking, GError **error)
{
    if (!vimg_ctl_find_pool(taking->shot->machine->ctl, taking->shot->pool, &taking->pool, error) ||
        !prepare(taking, error))
        return FALSE;
    for (guint i = 0; i < taking->shot->disks->len; i++)
        if (!take_disk(taking, i, error))
            return FALSE;
    taking->phase = _("ending the backup");
    return vimg_backup_end(&taking->backup, error);
}

gboolean
vimg_shot_take(VimgShot *shot, GError **error)
{
    g_auto(Taking) taking = {.shot = shot};
    g_autoptr(GError) local = NULL;

    taking.progress = vimg_progress_begin(shot->machine->ctl, shot->machine->name, TRUE);
    if (take_all(&taking, &local))
        return TRUE;
    if (taking.stopped)
        g_propagate_error(error, g_steal_pointer(&taking.stopped));
    else if (vimg_transfer_interrupted())
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("no image was made"));
    else
        g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* ---- saying it -------------------------------------------------------------------------- */

static JsonObject *
report_disk(const VimgShot *shot, const VimgShotDisk *disk)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "disk", disk->disk->target);
    json_object_set_string_member(object, "pool", shot->pool);
    json_object_set_string_member(object, "name", disk->name);
    json_object_set_string_member(object, "uuid", disk->image->uuid);
    json_object_set_int_member(object, "bytes", (gint64)disk->capacity);
    json_object_set_int_member(object, "read", (gint64)disk->read);
    return object;
}

JsonObject *
vimg_shot_report(const VimgShot *shot)
{
    JsonObject *report = json_object_new();
    JsonArray *images = json_array_new();
    double seconds = (double)((g_get_monotonic_time() - shot->began) / 1000) / 1000;

    json_object_set_string_member(report, "machine", shot->machine->name);
    json_object_set_string_member(report, "uuid", shot->machine->uuid);
    json_object_set_boolean_member(report, "frozen", shot->frozen);
    json_object_set_string_member(report, "not_frozen", shot->not_frozen);
    for (guint i = 0; i < shot->disks->len; i++)
        json_array_add_object_element(images, report_disk(shot, shot->disks->pdata[i]));
    json_object_set_array_member(report, "images", images);
    json_object_set_double_member(report, "seconds", seconds);
    return report;
}
