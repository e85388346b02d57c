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
#include "cli/machine-base.h"
#include "cli/machine-history.h"
#include "cli/machine-nbd.h"
#include "cli/machine-point.h"
#include "cli/machine-shot-private.h"
#include "cli/progress.h"
#include "cli/stream.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

#define SECTOR 512
#define LOOK_AGAIN (G_USEC_PER_SEC / 4) /* at the room of the scratch directory */

static void
disk_free(gpointer data)
{
    VimgShotDisk *disk = data;

    g_free(disk->name);
    g_free(disk->base);
    g_free(disk->not_shared);
    vimg_image_free(disk->image);
    vimg_machine_source_free(disk->source);
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
taking_clear(VimgTaking *taking)
{
    vimg_ctl_pool_clear(&taking->pool);
    g_clear_pointer(&taking->history, g_ptr_array_unref);
    g_clear_pointer(&taking->watch, vimg_watch_free);
    vimg_backup_clear(&taking->backup);
    g_clear_pointer(&taking->open, g_ptr_array_unref);
    g_clear_pointer(&taking->points, g_ptr_array_unref);
    g_free(taking->since);
    g_free(taking->bases);
    g_free(taking->point);
    g_clear_pointer(&taking->progress, vimg_progress_end);
    g_clear_error(&taking->stopped);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgTaking, taking_clear)

/* ---- whether to go on ------------------------------------------------------------------- */

/* The guest must not suffer: the job ends at once, though whoever is told to stop, as a daemon that
 * stores what was read, may take its time.  What cannot be ended now is on the list of the undo. */
static gboolean
stop_reading(VimgTaking *taking)
{
    if (taking->backup.running)
        vimg_backup_end(&taking->backup, NULL);
    return FALSE;
}

static gboolean
tick(gpointer data)
{
    VimgTaking *taking = data;
    gint64 now = g_get_monotonic_time();

    vimg_progress_update(taking->progress, taking->phase, taking->done, taking->total);
    if (vimg_transfer_interrupted() || taking->stopped)
        return stop_reading(taking);
    if (!taking->backup.running || now - taking->looked < LOOK_AGAIN)
        return TRUE;
    taking->looked = now;
    return vimg_backup_check(&taking->backup, &taking->stopped) || stop_reading(taking);
}

/* The same while an answer is waited for, which cannot be given up. */
static void
look_after(gpointer data)
{
    tick(data);
}

static gboolean
goes_on(VimgTaking *taking, GError **error)
{
    return tick(taking) || vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted"));
}

/* ---- their content --------------------------------------------------------------------- */

/* Where what a disk becomes is from. */
typedef struct {
    VimgShotDisk *disk;
    VimgNbd *nbd;
    VimgBase *base; /* NULL: nothing is the same as in an image before */
    VimgStream *stream;
} Filling;

static gboolean
send_piece(Filling *filling, const VimgNbdPiece *piece, GError **error)
{
    switch (piece->kind) {
    case VIMG_NBD_HOLE:
        return vimg_stream_send_hole(filling->stream, piece->length, error);
    case VIMG_NBD_SAME:
        return vimg_base_send(filling->base, filling->stream, piece->offset, piece->length, error);
    case VIMG_NBD_DATA:
        filling->disk->read += piece->length;
        return vimg_stream_send_data(filling->stream, piece->data, (gsize)piece->length, error);
    default:
        return TRUE;
    }
}

static gboolean
send_content(VimgTaking *taking, Filling *filling, GError **error)
{
    VimgNbdPiece piece = {0};

    if (!vimg_nbd_start(filling->nbd, error))
        return FALSE;
    while (piece.kind != VIMG_NBD_END) {
        if (!goes_on(taking, error) || !vimg_nbd_next(filling->nbd, &piece, error) ||
            !send_piece(filling, &piece, error))
            return FALSE;
        taking->done += piece.length;
    }
    return TRUE;
}

static gboolean
send_disk(VimgTaking *taking, Filling *filling, GError **error)
{
    vimg_stream_set_tick(filling->stream, tick, taking);
    if (filling->base)
        vimg_base_set_tick(filling->base, tick, taking);
    taking->phase = filling->disk->disk->target;
    if (send_content(taking, filling, error)) {
        taking->phase = _("storing");
        if (vimg_stream_finish(filling->stream, error))
            return TRUE;
    }
    vimg_stream_abort(filling->stream, NULL);
    return FALSE;
}

static gboolean
fill_image(VimgTaking *taking, VimgShotDisk *disk, VimgNbd *nbd, const VimgImage *before,
           GError **error)
{
    VimgCtl *ctl = taking->shot->machine->ctl;
    vimg_remote_vol vol = vimg_image_id(disk->image);
    g_autoptr(VimgBase) base = before ? vimg_base_open(ctl, before, error) : NULL;
    g_autoptr(VimgStream) stream = NULL;
    Filling filling = {disk, nbd, base};

    if (before && !base)
        return FALSE;
    if (vimg_nbd_size(nbd) != disk->capacity)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("disk '%s' was resized in this moment: try again"), disk->disk->target);
    stream = vimg_stream_new(ctl->daemon, VIMG_REMOTE_VOL_UPLOAD, &vol, 0, TRUE, error);
    filling.stream = stream;
    return stream && send_disk(taking, &filling, error);
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

/* Of which moment what was changed is known, of each disk. */
static void
choose_bases(VimgTaking *taking)
{
    VimgShot *shot = taking->shot;

    taking->points = vimg_points_list(shot->machine);
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];
        const VimgPoint *point = vimg_points_choose(
            taking->points, taking->history, disk->disk->target, disk->capacity, &taking->bases[i]);

        if (!vimg_point_serves(disk->disk))
            disk->whole = _("libvirt notes what was changed of qcow2 disks alone");
        else if (!point)
            disk->whole = _("there is no image before whose moment libvirt knows");
        taking->since[i].since = point ? point->name : NULL;
    }
}

/* Returns: (transfer full) the document of the checkpoint of this moment; NULL: there is none. */
static char *
describe_point(VimgTaking *taking)
{
    VimgShot *shot = taking->shot;
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(g_free);
    const char *first = NULL;

    for (guint i = 0; i < shot->disks->len; i++) {
        const VimgShotDisk *disk = shot->disks->pdata[i];

        if (!vimg_point_serves(disk->disk) || !disk->image)
            continue;
        g_ptr_array_add(disks, g_strdup_printf("%s=%s", disk->disk->target, disk->image->uuid));
        first = first ? first : disk->image->uuid;
    }
    if (!first)
        return NULL;
    taking->point = vimg_point_name(first);
    return vimg_point_format(shot->machine, taking->point, disks);
}

/* A bitmap that was lost, as by a crash, is no reason to have no image. */
static void
give_bases_up(VimgTaking *taking)
{
    VimgShot *shot = taking->shot;

    vimg_undo_drop(shot->machine->undo, VIMG_UNDO_BACKUP, taking->backup.socket, NULL);
    vimg_undo_drop(shot->machine->undo, VIMG_UNDO_CHECKPOINT, taking->point, NULL);
    vimg_backup_clear(&taking->backup);
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];

        if (taking->since[i].since)
            disk->whole = _("libvirt does not know any more what was changed");
        taking->since[i].since = NULL;
        taking->bases[i] = NULL;
    }
}

static gboolean
has_bases(const VimgTaking *taking)
{
    for (guint i = 0; i < taking->shot->disks->len; i++)
        if (taking->since[i].since)
            return TRUE;
    return FALSE;
}

static gboolean
has_sources(const VimgShot *shot)
{
    for (guint i = 0; i < shot->disks->len; i++)
        if (((VimgShotDisk *)shot->disks->pdata[i])->source)
            return TRUE;
    return FALSE;
}

static void
hold_sources(VimgTaking *taking)
{
    if (!has_sources(taking->shot))
        return;
    taking->backup.held = vimg_shot_share_sources;
    taking->backup.held_data = taking;
}

/* Whether an image is of that moment already: another moment is not to come beside it. */
static gboolean
has_made(const VimgShot *shot)
{
    for (guint i = 0; i < shot->disks->len; i++) {
        const VimgShotDisk *disk = shot->disks->pdata[i];

        if (disk->made || disk->held)
            return TRUE;
    }
    return FALSE;
}

/* The next command knows no moment before, and reads it whole.  Returns: FALSE. */
static gboolean
throw_lost(VimgTaking *taking, const GError *why, GError **error)
{
    VimgMachine *machine = taking->shot->machine;

    vimg_points_retire(machine, taking->points, taking->history, TRUE);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("libvirt does not know any more what was changed of the disks of machine '%1$s' (%2$s): run it again, and they are read whole"),
        machine->name, why->message);
}

static gboolean
begin_backup(VimgTaking *taking, GError **error)
{
    VimgShot *shot = taking->shot;
    g_autofree char *point = NULL;
    g_autoptr(GError) local = NULL;
    gboolean ok;

    for (guint i = 0; i < shot->disks->len; i++)
        taking->since[i].disk = ((VimgShotDisk *)shot->disks->pdata[i])->disk;
    hold_sources(taking);
    if (shot->incremental) {
        choose_bases(taking);
        point = describe_point(taking);
    }
    ok = vimg_backup_begin(&taking->backup, shot->machine, taking->since, shot->disks->len,
                           taking->point, point, &local);
    if (!ok && !taking->backup.running && taking->backup.holds == 0 && has_bases(taking) &&
        !has_made(shot) && local->domain == VIMG_DAEMON_ERROR) {
        g_clear_error(&local);
        give_bases_up(taking);
        hold_sources(taking);
        ok = vimg_backup_begin(&taking->backup, shot->machine, taking->since, shot->disks->len,
                               taking->point, point, &local);
    }
    if (!ok && has_bases(taking) &&
        g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_CHECKPOINT_INCONSISTENT))
        throw_lost(taking, local, error);
    else if (!ok)
        g_propagate_error(error, g_steal_pointer(&local));
    shot->frozen = taking->backup.frozen;
    shot->not_frozen = g_strdup(taking->backup.not_frozen);
    return ok;
}

static VimgNbd *
open_served(VimgTaking *taking, guint i, GError **error)
{
    const VimgBackupDisk *disk = &taking->since[i];

    return vimg_nbd_connect(taking->backup.socket, disk->disk->target,
                            disk->since ? VIMG_BACKUP_BITMAP : NULL, error);
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
        vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("disk '%s' is no file or device of this host: start the machine, paused if it must not run, and image it then"),
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
open_files(VimgTaking *taking, GError **error)
{
    VimgShot *shot = taking->shot;

    if (has_sources(shot) && !(taking->watch = vimg_watch_new(shot->machine, error)))
        return FALSE;
    taking->open = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_nbd_free);
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];
        g_autofree char *path = disk->source ? NULL : path_of(shot->machine, disk->disk, error);
        VimgNbd *nbd = path ? vimg_nbd_open(path, disk->disk->format, FALSE, error) : NULL;

        if (!nbd && !disk->source)
            return FALSE;
        g_ptr_array_add(taking->open, nbd);
        disk->capacity = nbd ? vimg_nbd_size(nbd) : disk->source->capacity;
    }
    return TRUE;
}

/* ---- all of it -------------------------------------------------------------------------- */

static gboolean
prepare(VimgTaking *taking, GError **error)
{
    VimgShot *shot = taking->shot;

    taking->since = g_new0(VimgBackupDisk, shot->disks->len);
    taking->bases = g_new0(const VimgImage *, shot->disks->len);
    taking->history =
        vimg_history_of_pool(shot->machine->ctl, &taking->pool, shot->machine->uuid, error);
    if (!taking->history)
        return FALSE;
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];

        /* what an image shares or the daemon reads is what is stored, not what the guest sees */
        if (disk->disk->plain)
            disk->source = vimg_machine_source_find(shot->machine, disk->disk);
        if (disk->source && shot->machine->active && !vimg_shot_may_share(taking, disk->source)) {
            if (!shot->incremental)
                g_clear_pointer(&disk->source, vimg_machine_source_free);
            else
                disk->apart = TRUE;
        }
    }
    if (!shot->machine->active && !open_files(taking, error))
        return FALSE;
    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];

        if (shot->incremental && !shot->machine->active)
            disk->whole = _("what is changed is known of machines that run alone");
        if ((shot->machine->active && !measure(shot->machine, disk, error)) ||
            ((!disk->source || disk->apart) && !vimg_shot_image_create(taking, disk, error)))
            return FALSE;
        taking->total += disk->capacity;
    }
    return !shot->machine->active || begin_backup(taking, error);
}

static gboolean
take_disk(VimgTaking *taking, guint i, GError **error)
{
    VimgShotDisk *disk = taking->shot->disks->pdata[i];
    VimgNbd *nbd;
    gboolean ok;

    if (disk->made || disk->held)
        return TRUE;
    if (disk->source && taking->open)
        return vimg_shot_copy_source(taking, disk, error);
    nbd = taking->open ? taking->open->pdata[i] : open_served(taking, i, error);
    ok = nbd && fill_image(taking, disk, nbd, taking->bases[i], error);

    disk->base = taking->bases[i] ? g_strdup(taking->bases[i]->name) : NULL;
    if (!taking->open)
        vimg_nbd_free(nbd);
    return ok;
}

static gboolean
take_disks(VimgTaking *taking, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(taking->shot->machine->ctl, error);
    gboolean ok = daemon != NULL;

    if (taking->backup.running && daemon)
        vimg_daemon_set_waiting(daemon, look_after, taking);
    for (guint i = 0; ok && i < taking->shot->disks->len; i++)
        ok = take_disk(taking, i, error);
    if (daemon)
        vimg_daemon_set_waiting(daemon, NULL, NULL);
    return ok;
}

/* What the daemon keeps can wait, while the guest cannot: when all else was read. */
static gboolean
fill_held(VimgTaking *taking, GError **error)
{
    for (guint i = 0; i < taking->shot->disks->len; i++) {
        VimgShotDisk *disk = taking->shot->disks->pdata[i];

        if (disk->held && !taking->open && !vimg_shot_fill_held(taking, disk, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
take_all(VimgTaking *taking, GError **error)
{
    if (!vimg_ctl_find_pool(taking->shot->machine->ctl, taking->shot->pool, &taking->pool, error) ||
        !prepare(taking, error) || !take_disks(taking, error))
        return FALSE;
    if (taking->watch && !vimg_watch_check(taking->watch, error))
        return FALSE;
    taking->phase = _("ending the backup");
    if (!vimg_backup_end(&taking->backup, error) || !fill_held(taking, error))
        return FALSE;
    if (taking->points)
        vimg_points_retire(taking->shot->machine, taking->points, taking->history, FALSE);
    return TRUE;
}

gboolean
vimg_shot_take(VimgShot *shot, GError **error)
{
    g_auto(VimgTaking) taking = {.shot = shot};
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
