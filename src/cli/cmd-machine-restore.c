/*
 * cmd-machine-restore.c: virtimagectl machine-restore: the disks of a machine as a snapshot has
 * them
 *
 * New files are filled beside the old ones, which nobody can start the machine from meanwhile, and
 * take their places when all are whole.  Until the last has its place the machine has what it had,
 * or gets it back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/machine-file.h"
#include "cli/machine-fill.h"
#include "cli/machine-history.h"
#include "cli/machine-hold.h"
#include "cli/machine-overlay.h"
#include "cli/machine.h"
#include "cli/table.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

typedef struct {
    const VimgImage *image;      /* borrowed of the history */
    const VimgMachineDisk *disk; /* borrowed of the machine */
    char *beside;                /* the new file */
    char *aside;                 /* the old one, once the new one is in its place */
    int held;                    /* the old one: nobody else uses it */
} Item;

typedef struct {
    VimgMachine *machine;
    const char *name;
    GPtrArray *history;
    GArray *items; /* of Item */
    VimgProgress *progress;
    guint64 done, total;
} Restore;

static void
item_clear(gpointer data)
{
    Item *item = data;

    g_free(item->beside);
    g_free(item->aside);
    if (item->held >= 0)
        close(item->held);
}

static void
restore_clear(Restore *restore)
{
    g_clear_pointer(&restore->items, g_array_unref);
    g_clear_pointer(&restore->history, g_ptr_array_unref);
    g_clear_pointer(&restore->progress, vimg_progress_end);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Restore, restore_clear)

/* ---- what is to be done ----------------------------------------------------------------- */

/* Asked anew each time: others start machines too. */
static gboolean
is_possible(VimgMachine *machine, GError **error)
{
    if (!vimg_machine_again(machine, error))
        return FALSE;
    if (virDomainIsActive(machine->domain) != 0)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("machine '%s' is not shut off: shut it down first"), machine->name);
    if (virDomainHasManagedSaveImage(machine->domain, 0) != 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("the memory of machine '%s' is saved and goes with its disks as they are: start it and shut it down, or give that up with 'virsh managedsave-remove'"),
            machine->name);
    if (virDomainSnapshotNum(machine->domain, 0) > 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("machine '%s' has snapshots of libvirt in or upon its disks: delete them first"),
            machine->name);
    return TRUE;
}

static gboolean
add_item(Restore *restore, const VimgImage *image, GError **error)
{
    VimgMachineDisk *disk =
        vimg_machine_disk_find(restore->machine->parts.disks, image->machine_disk);
    Item item = {.image = image, .disk = disk, .held = -1};

    if (!disk)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("machine '%1$s' has no disk '%2$s' any more"), restore->machine->name,
                          image->machine_disk);
    if (!disk->path || disk->block)
        return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                          _("disk '%1$s' is no file: copy image '%2$s' into it yourself"),
                          disk->target, image->name);
    for (guint i = 0; i < restore->items->len; i++)
        if (g_array_index(restore->items, Item, i).disk == disk)
            return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                              _("more than one pool has snapshot '%s': choose one with --pool"),
                              restore->name);
    g_array_append_val(restore->items, item);
    restore->total += image->physical;
    return TRUE;
}

static gboolean
choose(Restore *restore, GError **error)
{
    VimgMachine *machine = restore->machine;
    const char *pool = vimg_ctl_option(machine->ctl, "pool");

    restore->history = vimg_history_of_all(machine->ctl, machine->uuid, error);
    if (!restore->history)
        return FALSE;
    restore->items = g_array_new(FALSE, TRUE, sizeof(Item));
    g_array_set_clear_func(restore->items, item_clear);
    for (guint i = 0; i < restore->history->len; i++) {
        const VimgImage *image = restore->history->pdata[i];

        if (g_strcmp0(image->snapshot, restore->name) == 0 && image->machine_disk &&
            (!pool || strcmp(image->pool, pool) == 0) && !add_item(restore, image, error))
            return FALSE;
    }
    return restore->items->len > 0 ||
           vimg_throw(error, VIMG_ERROR_NO_VOL, _("machine '%1$s' has no snapshot '%2$s'"),
                      machine->name, restore->name);
}

/* ---- doing it --------------------------------------------------------------------------- */

/* The new file is as accessible as the old one. */
static gboolean
copy_owner(const char *from, const char *to, GError **error)
{
    struct stat info;

    return (stat(from, &info) == 0 && chown(to, info.st_uid, info.st_gid) == 0 &&
            chmod(to, info.st_mode & 07777) == 0) ||
           vimg_throw_errno(error, "'%s'", to);
}

/* What takes its place is another file: nobody else may know this one. */
static gboolean
hold(VimgMachine *machine, Item *item, GError **error)
{
    const char *path = item->disk->path;
    struct stat info;

    if (lstat(path, &info) < 0)
        return vimg_throw_errno(error, "'%s'", path);
    if (!S_ISREG(info.st_mode) || info.st_nlink > 1)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("disk '%1$s' at '%2$s' is a link, or has another name: copy image '%3$s' into it yourself"),
            item->disk->target, path, item->image->name);
    item->held = vimg_hold_open(path, error);
    if (item->held < 0 || !vimg_overlay_refuse(machine, path, error))
        return FALSE;
    return !vimg_hold_is_used(item->held) ||
           vimg_throw(
               error, VIMG_ERROR_BUSY,
               _("disk '%1$s' at '%2$s' is used by another machine or program: end that first"),
               item->disk->target, path);
}

static gboolean
fill(Restore *restore, Item *item, GError **error)
{
    VimgMachine *machine = restore->machine;
    const VimgMachineDisk *disk = item->disk;
    g_autofree char *unique = g_uuid_string_random();
    VimgFill what = {.ctl = machine->ctl,
                     .image = item->image,
                     .format = disk->format,
                     .zeroed = TRUE,
                     .phase = disk->target,
                     .progress = restore->progress,
                     .done = &restore->done,
                     .total = restore->total};

    item->beside = g_strdup_printf("%s.restore-%s", disk->path, unique);
    item->aside = g_strdup_printf("%s.old-%s", disk->path, unique);
    what.path = item->beside;
    return vimg_fill_create(machine->undo, item->beside, disk->format, item->image->physical,
                            error) &&
           vimg_fill_run(&what, error) && copy_owner(disk->path, item->beside, error);
}

/* The checkpoints are of disks that are no more. */
static void
forget_checkpoints(virDomainPtr domain)
{
    virDomainCheckpointPtr *list = NULL;
    int n = virDomainListAllCheckpoints(domain, &list, VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL);

    for (int i = n - 1; i >= 0; i--) {
        virDomainCheckpointDelete(list[i], VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
        virDomainCheckpointFree(list[i]);
    }
    free(list);
}

/* Until all have their places, the list of what is undone brings each back that was moved. */
static gboolean
exchange(VimgUndo *undo, Item *item, GError **error)
{
    const char *path = item->disk->path;
    g_autofree char *dir = g_path_get_dirname(path);

    if (!vimg_undo_add(undo, VIMG_UNDO_RENAME, error, item->aside, path, NULL))
        return FALSE;
    /* never without a file at its path, where the file system has hard links */
    if ((link(path, item->aside) < 0 && rename(path, item->aside) < 0) ||
        rename(item->beside, path) < 0)
        return vimg_throw_errno(error, "'%s'", path);
    return vimg_dir_sync(dir, error);
}

/* From here on there is but one way: what goes are the old ones. */
static gboolean
settle(Restore *restore, GError **error)
{
    VimgUndo *undo = restore->machine->undo;
    gboolean ok = TRUE;

    vimg_undo_gather(undo);
    vimg_undo_keep(undo);
    for (guint i = 0; i < restore->items->len && ok; i++)
        ok = vimg_file_discard(undo, g_array_index(restore->items, Item, i).aside, error);
    if (ok)
        return vimg_undo_tell(undo, error);
    return FALSE;
}

static gboolean
exchange_all(Restore *restore, GError **error)
{
    VimgMachine *machine = restore->machine;

    if (!is_possible(machine, error))
        return FALSE;
    machine->changing = TRUE;
    for (guint i = 0; i < restore->items->len; i++)
        if (!exchange(machine->undo, &g_array_index(restore->items, Item, i), error))
            return FALSE;
    return settle(restore, error);
}

static gboolean
fill_all(Restore *restore, GError **error)
{
    for (guint i = 0; i < restore->items->len; i++)
        if (!hold(restore->machine, &g_array_index(restore->items, Item, i), error))
            return FALSE;
    restore->progress = vimg_progress_begin(restore->machine->ctl, restore->machine->name, TRUE);
    for (guint i = 0; i < restore->items->len; i++)
        if (!fill(restore, &g_array_index(restore->items, Item, i), error))
            return FALSE;
    return TRUE;
}

static gboolean
run(Restore *restore, GError **error)
{
    VimgMachine *machine = restore->machine;

    if (!is_possible(machine, error) || !choose(restore, error) || !fill_all(restore, error) ||
        !exchange_all(restore, error))
        return FALSE;
    forget_checkpoints(machine->domain);
    return TRUE;
}

/* ---- saying it -------------------------------------------------------------------------- */

static JsonObject *
report_of(const Restore *restore)
{
    JsonObject *report = json_object_new();
    JsonArray *disks = json_array_new();

    json_object_set_string_member(report, "machine", restore->machine->name);
    json_object_set_string_member(report, "uuid", restore->machine->uuid);
    json_object_set_string_member(report, "snapshot", restore->name);
    for (guint i = 0; i < restore->items->len; i++) {
        const Item *item = &g_array_index(restore->items, Item, i);
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "disk", item->disk->target);
        json_object_set_string_member(object, "pool", item->image->pool);
        json_object_set_string_member(object, "name", item->image->name);
        json_object_set_int_member(object, "bytes", (gint64)item->image->physical);
        json_array_add_object_element(disks, object);
    }
    json_object_set_array_member(report, "disks", disks);
    return report;
}

static void
show(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Disk"), "disk", VIMG_CELL_TEXT, 0},
        {N_("Pool"), "pool", VIMG_CELL_TEXT, 0},
        {N_("Image"), "name", VIMG_CELL_TEXT, 0},
        {N_("Size"), "bytes", VIMG_CELL_SIZE, 1},
    };

    if (!ctl->quiet)
        vimg_table_print(ctl, report, "disks", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_machine_restore(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    VimgMachine machine = {0};
    g_autofree char *question = NULL;
    /* what it holds is held until all that failed is undone */
    g_auto(Restore) restore = {.machine = &machine, .name = argv[1]};

    if (vimg_machine_open(&machine, ctl, argv[0], &error)) {
        question = g_strdup_printf(
            _("Give up what the disks of machine '%1$s' hold now, for snapshot '%2$s'?"),
            machine.name, argv[1]);
        if (vimg_ctl_confirm(ctl, question, &error) && run(&restore, &error))
            report = report_of(&restore);
    }
    g_clear_pointer(&restore.progress, vimg_progress_end);
    vimg_machine_end(&machine, &error);
    return vimg_ctl_show(ctl, report, show, error);
}
