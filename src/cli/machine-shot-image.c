/*
 * machine-shot-image.c: the images that disks become, empty or of what the host has in a pool
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-history.h"
#include "cli/machine-shot-private.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"

/* ---- the images ------------------------------------------------------------------------- */

/* Returns: (transfer full) the document of the image that @disk becomes. */
static char *
describe_passing(const VimgShotDisk *disk)
{
    return g_markup_printf_escaped(
        "<volume xmlns:i='urn:virtimage:volume:1'><name>%s</name><capacity unit='bytes'>"
        "%" G_GUINT64_FORMAT "</capacity><target><format type='raw'/></target>"
        "<i:info><i:passing>yes</i:passing></i:info></volume>",
        disk->name, disk->capacity);
}

/* The same, and that it is of the machine. */
static char *
describe_image(const VimgTaking *taking, const VimgShotDisk *disk)
{
    const VimgShot *shot = taking->shot;
    const VimgImage *before =
        vimg_history_last(taking->history, disk->disk->target, disk->capacity);
    g_autofree char *parent =
        before ? g_strdup_printf("<i:parent>%s</i:parent>", before->uuid) : g_strdup("");
    g_autofree char *head = g_markup_printf_escaped(
        "<volume xmlns:i='urn:virtimage:volume:1'><name>%s</name><capacity unit='bytes'>"
        "%" G_GUINT64_FORMAT "</capacity><target><format type='raw'/></target><i:info>"
        "<i:machine uuid='%s' disk='%s' snapshot='%s' name='%s'/>",
        disk->name, disk->capacity, shot->machine->uuid, disk->disk->target,
        shot->snapshot ? shot->snapshot : "", shot->machine->name);

    return g_strconcat(head, parent, "</i:info></volume>", NULL);
}

/* Returns: (transfer full) */
static char *
describe(const VimgTaking *taking, const VimgShotDisk *disk)
{
    return taking->shot->passing ? describe_passing(disk) : describe_image(taking, disk);
}

/* It is there, and is @disk's. */
static gboolean
note_image(VimgTaking *taking, VimgShotDisk *disk, const char *until_now, GError **error)
{
    VimgUndo *undo = taking->shot->machine->undo;
    const char *pool = taking->shot->pool;

    vimg_undo_gather(undo);
    vimg_undo_drop(undo, VIMG_UNDO_IMAGE, pool, disk->name, until_now, NULL);
    return vimg_undo_add(undo, VIMG_UNDO_IMAGE, error, pool, disk->name, disk->image->uuid, NULL) &&
           vimg_undo_tell(undo, error);
}

gboolean
vimg_shot_image_create(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    VimgMachine *machine = taking->shot->machine;
    g_autofree char *xml = describe(taking, disk);
    const char *pool = taking->shot->pool;
    g_autoptr(GError) local = NULL;

    vimg_undo_bind(machine->ctl);
    if (!vimg_undo_add(machine->undo, VIMG_UNDO_IMAGE, error, pool, disk->name, "", NULL))
        return FALSE;
    disk->image = vimg_image_create(machine->ctl, &taking->pool, xml, &local);
    if (!disk->image) {
        if (g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_STORAGE_VOL_EXIST))
            vimg_undo_drop(machine->undo, VIMG_UNDO_IMAGE, pool, disk->name, "", NULL);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return note_image(taking, disk, "", error);
}

/* ---- of what the host has in a pool ----------------------------------------------------- */

static gboolean
is_new(VimgTaking *taking, const char *name, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgImage) image =
        vimg_image_find(taking->shot->machine->ctl, &taking->pool, name, &local);

    if (image)
        return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
    if (g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_NO_STORAGE_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* By what the two pools are; whether it is one storage, only the daemon finds out, in its time. */
gboolean
vimg_shot_may_share(VimgTaking *taking, const VimgMachineSource *source)
{
    char *name = source->pool;
    vimg_control_status_args args = {.pool = &name};
    g_autoptr(JsonObject) report =
        vimg_ctl_report(taking->shot->machine->ctl, VIMG_CONTROL_MATCH,
                        (xdrproc_t)xdr_vimg_control_status_args, &args, NULL);

    for (guint i = 0; report && i < vimg_report_count(report, "matches"); i++) {
        JsonObject *row = vimg_report_element(report, "matches", i);

        if (g_strcmp0(vimg_report_string(row, "way"), "share") != 0)
            continue;
        for (guint k = 0; k < vimg_report_count(row, "pools"); k++)
            if (g_strcmp0(vimg_report_string(vimg_report_element(row, "pools", k), "name"),
                          taking->pool.name) == 0)
                return TRUE;
    }
    return FALSE;
}

/* The storage of one is not that of the other, or the daemon does not know the host. */
static gboolean
is_unshared(const GError *why)
{
    return g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_ARGUMENT_UNSUPPORTED) ||
           g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_NO_SUPPORT) ||
           g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_NO_STORAGE_POOL);
}

/* The daemon says no; what it says of a storage may be said of itself alone, as of a key that it
 * may not use. */
static gboolean
is_answer(const GError *why)
{
    return why->domain == VIMG_DAEMON_ERROR && why->code > 0 &&
           why->code != VIR_ERR_STORAGE_VOL_EXIST;
}

/* Whether what could not be shared is read instead, by the emulator. */
static gboolean
is_read_instead(const VimgTaking *taking, VimgShotDisk *disk, const GError *why)
{
    if (is_unshared(why))
        return TRUE;
    if (!taking->shot->machine->active || !is_answer(why))
        return FALSE;
    g_free(disk->not_shared);
    disk->not_shared = vimg_text_safe(why->message);
    disk->whole = disk->not_shared;
    return TRUE;
}

/* The daemon makes it of the host's volume; .made is FALSE still if that is impossible by @flags.
 */
static gboolean
make_of_source(VimgTaking *taking, VimgShotDisk *disk, guint flags, GError **error)
{
    VimgMachine *machine = taking->shot->machine;
    g_autofree char *xml = describe(taking, disk);
    const char *pool = taking->shot->pool;
    g_autoptr(GError) local = NULL;

    vimg_undo_bind(machine->ctl);
    if (!is_new(taking, disk->name, error) ||
        !vimg_undo_add(machine->undo, VIMG_UNDO_IMAGE, error, pool, disk->name, "*", NULL))
        return FALSE;
    disk->image = vimg_image_create_from(machine->ctl, &taking->pool, xml, disk->source->pool,
                                         disk->source->volume, flags, &local);
    if (disk->image) {
        disk->made = TRUE;
        disk->shared = flags != 0;
        if (disk->shared)
            disk->whole = NULL;
        return note_image(taking, disk, "*", error);
    }
    /* any other answer may be to a question about an image that was made */
    if (is_unshared(local) || g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_STORAGE_VOL_EXIST))
        vimg_undo_drop(machine->undo, VIMG_UNDO_IMAGE, pool, disk->name, "*", NULL);
    if (flags && is_read_instead(taking, disk, local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* While the daemon works: its answer is waited for still, as what it made is to be undone. */
static void
let_go(gpointer data)
{
    VimgTaking *taking = data;

    if (!vimg_transfer_interrupted() || taking->let_go)
        return;
    taking->let_go = TRUE;
    vimg_backup_let_go(&taking->backup);
}

/* What cannot be shared is kept, if its image is to be of what was changed. */
static gboolean
share_one(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    if (!disk->source)
        return TRUE;
    if (!disk->image && (!make_of_source(taking, disk, VIR_STORAGE_VOL_CREATE_REFLINK, error) ||
                         (!disk->made && !vimg_shot_image_create(taking, disk, error))))
        return FALSE;
    return disk->made || disk->held || !taking->shot->incremental ||
           vimg_shot_hold_source(taking, disk, error);
}

static gboolean
share_all(VimgTaking *taking, GError **error)
{
    VimgShot *shot = taking->shot;

    for (guint i = 0; i < shot->disks->len; i++) {
        VimgShotDisk *disk = shot->disks->pdata[i];

        if (!share_one(taking, disk, error))
            return FALSE;
        if (vimg_transfer_interrupted())
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted"));
        taking->since[i].left_out = disk->made || disk->held;
        if (disk->made)
            taking->total -= disk->capacity;
    }
    return TRUE;
}

/* Called when the guest waits: what cannot be shared is read by the job that begins now. */
gboolean
vimg_shot_share_sources(gpointer data, GError **error)
{
    VimgTaking *taking = data;
    VimgDaemon *daemon = vimg_ctl_daemon(taking->shot->machine->ctl, error);
    gboolean ok;

    if (!daemon)
        return FALSE;
    vimg_daemon_set_waiting(daemon, let_go, taking);
    ok = share_all(taking, error);
    vimg_daemon_set_waiting(daemon, NULL, NULL);
    return ok;
}

/* Else it is as if there never had been an image. */
static gboolean
hold_or_not(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    VimgMachine *machine = taking->shot->machine;

    if (!vimg_shot_image_create(taking, disk, error) || !vimg_shot_hold_source(taking, disk, error))
        return FALSE;
    if (disk->held)
        return TRUE;
    if (!vimg_image_delete(machine->ctl, disk->image, error))
        return FALSE;
    vimg_undo_drop(machine->undo, VIMG_UNDO_IMAGE, taking->shot->pool, disk->name,
                   disk->image->uuid, NULL);
    g_clear_pointer(&disk->image, vimg_image_free);
    return TRUE;
}

gboolean
vimg_shot_copy_source(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    if (!make_of_source(taking, disk, VIR_STORAGE_VOL_CREATE_REFLINK, error))
        return FALSE;
    if (!disk->made && taking->shot->incremental && !hold_or_not(taking, disk, error))
        return FALSE;
    return (disk->held ? vimg_shot_fill_held(taking, disk, error)
                       : disk->made || make_of_source(taking, disk, 0, error)) &&
           vimg_watch_check(taking->watch, error);
}
