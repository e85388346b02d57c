/*
 * cmd-machine-clone.c: virtimagectl machine-clone: a new machine of one that may run
 *
 * Disks become images, all of one moment, and the images disks of the new machine.  What is in
 * between is taken away again; until the new machine is whole, so is everything else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "cli/machine-domain.h"
#include "cli/machine-file.h"
#include "cli/machine-fill.h"
#include "cli/machine-history.h"
#include "cli/machine-match.h"
#include "cli/machine-shot.h"
#include "cli/machine-volume.h"
#include "cli/table.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define NVRAM_MAX (64 * 1024 * 1024)

typedef struct {
    VimgMachine *machine;
    const char *name;
    char *uuid;    /* of the new one */
    char *pool;    /* of images */
    char *primary; /* what that was chosen for; NULL: it was named, or the only one */
    char *xml;     /* of the old one */
    char *nvram;
    VimgShot shot;
    GPtrArray *volumes; /* of VimgMachineVolume, by disk of the shot */
    VimgProgress *progress;
    guint64 done, total;
} Clone;

static void
clone_clear(Clone *clone)
{
    g_free(clone->uuid);
    g_free(clone->pool);
    g_free(clone->primary);
    g_free(clone->xml);
    g_free(clone->nvram);
    vimg_shot_clear(&clone->shot);
    g_clear_pointer(&clone->volumes, g_ptr_array_unref);
    g_clear_pointer(&clone->progress, vimg_progress_end);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clone, clone_clear)

/* ---- whether it can be ------------------------------------------------------------------ */

static gboolean
is_free(Clone *clone, GError **error)
{
    virDomainPtr other = virDomainLookupByName(clone->machine->connection, clone->name);

    if (!other)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN || vimg_machine_throw(error);
    virDomainFree(other);
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("there is a machine '%s' already: choose another name"), clone->name);
}

static gboolean
read_document(Clone *clone, GError **error)
{
    const guint flags = VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE;
    char *xml = virDomainGetXMLDesc(clone->machine->domain, flags);

    clone->xml = g_strdup(xml);
    free(xml);
    return (clone->xml || vimg_machine_throw(error)) && vimg_domain_check(clone->xml, error);
}

/* Of several, by the disk that it boots from. */
static char *
match(Clone *clone, GPtrArray *pools)
{
    g_autoptr(GPtrArray) disks = vimg_machine_choose(clone->machine, NULL, NULL);

    if (!disks)
        return NULL;
    vimg_machine_keep_root(disks);
    return vimg_machine_match(clone->machine, disks->pdata[0], pools, &clone->primary);
}

static gboolean
choose_pool(Clone *clone, GError **error)
{
    const char *given = vimg_ctl_option(clone->machine->ctl, "pool");
    g_autoptr(GPtrArray) pools = NULL;

    clone->pool = g_strdup(given);
    if (given)
        return TRUE;
    pools = vimg_history_pools(clone->machine->ctl, TRUE, error);
    if (!pools)
        return FALSE;
    if (pools->len == 0)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("there is no pool that takes images: start one"));
    clone->pool = pools->len == 1 ? g_strdup(pools->pdata[0]) : match(clone, pools);
    return clone->pool ||
           vimg_throw(
               error, VIMG_ERROR_INVALID_ARG, "%s",
               _("there is more than one pool of images, and none that alone serves the new disks best: choose one with --pool"));
}

static gboolean
serves_data(Clone *clone, GError **error)
{
    char *name = clone->pool;
    vimg_control_status_args args = {&name};
    g_autoptr(JsonObject) status =
        vimg_ctl_report(clone->machine->ctl, VIMG_CONTROL_STATUS,
                        (xdrproc_t)xdr_vimg_control_status_args, &args, error);

    if (!status)
        return FALSE;
    if (!vimg_report_truth(vimg_report_element(status, "pools", 0), "root_only"))
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("data volumes are not cloned through pool '%s', whose storage serves disks to boot from alone: clone without --with-data-volumes, or choose another pool with --pool"),
        clone->pool);
}

/* Returns: (transfer container) the disks that are cloned. */
static GPtrArray *
choose_disks(Clone *clone, GError **error)
{
    VimgMachine *machine = clone->machine;
    GPtrArray *disks = vimg_machine_choose(machine, NULL, error);

    if (!disks)
        return NULL;
    for (guint i = disks->len; i > 0; i--)
        if (((VimgMachineDisk *)disks->pdata[i - 1])->shareable)
            g_ptr_array_remove_index(disks, i - 1);
    if (!vimg_ctl_option(machine->ctl, "with-data-volumes"))
        vimg_machine_keep_root(disks);
    if (disks->len > 1 && !serves_data(clone, error))
        g_clear_pointer(&disks, g_ptr_array_unref);
    return disks;
}

/* ---- its disks -------------------------------------------------------------------------- */

static gboolean
make_volume(Clone *clone, VimgShotDisk *disk, GError **error)
{
    VimgMachine *machine = clone->machine;
    VimgMachineVolume *volume =
        vimg_machine_volume_new(machine, disk->disk, clone->name, disk->capacity, error);
    VimgFill fill = {.ctl = machine->ctl,
                     .image = disk->image,
                     .phase = disk->disk->target,
                     .progress = clone->progress,
                     .done = &clone->done,
                     .total = clone->total};

    if (!volume)
        return FALSE;
    g_ptr_array_add(clone->volumes, volume);
    if (volume->network)
        return vimg_machine_volume_make(machine, volume, disk->image, error);
    fill.path = volume->path;
    fill.format = volume->format;
    fill.zeroed = !volume->block;
    return vimg_fill_run(&fill, error);
}

static gboolean
make_volumes(Clone *clone, GError **error)
{
    GPtrArray *disks = clone->shot.disks;

    clone->volumes = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_machine_volume_free);
    clone->progress = vimg_progress_begin(clone->machine->ctl, clone->name, TRUE);
    for (guint i = 0; i < disks->len; i++)
        clone->total += ((VimgShotDisk *)disks->pdata[i])->capacity;
    for (guint i = 0; i < disks->len; i++)
        if (!make_volume(clone, disks->pdata[i], error))
            return FALSE;
    return TRUE;
}

static gboolean
write_nvram(Clone *clone, const char *data, gsize size, GError **error)
{
    vimg_autofd int fd = -1;

    if (!vimg_file_create(clone->machine->undo, clone->nvram, error))
        return FALSE;
    fd = open(clone->nvram, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    return (fd >= 0 && vimg_write_all(fd, data, size) == 0 && fsync(fd) == 0) ||
           vimg_throw_errno(error, "'%s'", clone->nvram);
}

/* The variables of the firmware are the guest's as its disks are; of one that never ran there are
 * none yet, but the path is not to be that of both. */
static gboolean
copy_nvram(Clone *clone, GError **error)
{
    g_autofree char *from = vimg_domain_nvram(clone->xml);
    g_autofree char *dir = from ? g_path_get_dirname(from) : NULL;
    g_autofree char *data = NULL;
    gsize size;
    struct stat info;

    if (!from)
        return TRUE;
    clone->nvram = g_strdup_printf("%s/%s_VARS.fd", dir, clone->name);
    if (lstat(clone->nvram, &info) == 0)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("there is a file '%s' already: remove it, or choose another name"),
                          clone->nvram);
    if (stat(from, &info) < 0 && errno == ENOENT)
        return TRUE;
    data = vimg_file_read(from, NVRAM_MAX, &size, error);
    return data && write_nvram(clone, data, size, error);
}

/* ---- the machine ------------------------------------------------------------------------ */

static gboolean
define(Clone *clone, GError **error)
{
    g_autoptr(GArray) disks = g_array_new(FALSE, FALSE, sizeof(VimgDomainDisk));
    VimgDomainChange change = {clone->name, clone->uuid, clone->nvram, disks};
    VimgMachine *machine = clone->machine;
    g_autofree char *xml = NULL;
    virDomainPtr domain;
    gboolean ok;

    for (guint i = 0; i < clone->volumes->len; i++) {
        const VimgMachineVolume *volume = clone->volumes->pdata[i];
        VimgShotDisk *disk = clone->shot.disks->pdata[i];
        VimgDomainDisk new = {disk->disk->target, volume->path, volume->block, volume->network};

        g_array_append_val(disks, new);
    }
    xml = vimg_domain_change(clone->xml, &change, error);
    if (!xml || !vimg_machine_again(machine, error) ||
        !vimg_undo_add(machine->undo, VIMG_UNDO_DOMAIN, error, clone->uuid, NULL))
        return FALSE;
    domain = virDomainDefineXML(machine->connection, xml);
    ok = domain && (!vimg_ctl_option(machine->ctl, "start") || virDomainCreate(domain) == 0);
    if (!ok)
        vimg_machine_throw(error);
    if (domain)
        virDomainFree(domain);
    return ok;
}

/* All of it stays, or nothing.  The images were but the way: what cannot be removed now stays on
 * the list of what is undone. */
static gboolean
finish(Clone *clone, GError **error)
{
    VimgUndo *undo = clone->machine->undo;

    vimg_undo_gather(undo);
    vimg_undo_drop(undo, VIMG_UNDO_DOMAIN, clone->uuid, NULL);
    if (clone->nvram)
        vimg_file_keep(undo, clone->nvram);
    for (guint i = 0; i < clone->volumes->len; i++)
        vimg_machine_volume_keep(clone->machine, clone->volumes->pdata[i]);
    return vimg_undo_tell(undo, error);
}

static gboolean
run(Clone *clone, GError **error)
{
    g_autoptr(GPtrArray) disks = NULL;
    g_autofree char *images = NULL;

    if (!is_free(clone, error) || !read_document(clone, error) || !choose_pool(clone, error))
        return FALSE;
    disks = choose_disks(clone, error);
    if (!disks)
        return FALSE;
    clone->uuid = g_uuid_string_random();
    images = g_strdup_printf(VIMG_UNDO_PASSING "%s", clone->uuid);
    vimg_shot_init(&clone->shot, clone->machine, clone->pool, images, disks);
    clone->shot.passing = TRUE;
    if (!vimg_shot_take(&clone->shot, error) || !make_volumes(clone, error) ||
        !copy_nvram(clone, error) || !define(clone, error))
        return FALSE;
    return finish(clone, error);
}

/* ---- saying it -------------------------------------------------------------------------- */

static JsonObject *
report_of(const Clone *clone)
{
    JsonObject *report = json_object_new();
    JsonArray *disks = json_array_new();

    json_object_set_string_member(report, "machine", clone->name);
    json_object_set_string_member(report, "uuid", clone->uuid);
    json_object_set_string_member(report, "of", clone->machine->name);
    json_object_set_string_member(report, "pool", clone->pool);
    json_object_set_string_member(report, "pool_for", clone->primary);
    json_object_set_boolean_member(report, "frozen", clone->shot.frozen);
    json_object_set_string_member(report, "not_frozen", clone->shot.not_frozen);
    for (guint i = 0; i < clone->volumes->len; i++) {
        const VimgMachineVolume *volume = clone->volumes->pdata[i];
        const VimgShotDisk *disk = clone->shot.disks->pdata[i];
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "disk", disk->disk->target);
        json_object_set_string_member(object, "path", volume->path);
        json_object_set_int_member(object, "bytes", (gint64)disk->capacity);
        json_array_add_object_element(disks, object);
    }
    json_object_set_array_member(report, "disks", disks);
    return report;
}

static void
say_pool(VimgCtl *ctl, JsonObject *report)
{
    const char *primary = vimg_report_string(report, "pool_for");

    if (primary && !ctl->quiet)
        printf(_("Images passed through pool '%1$s', which serves '%2$s' best.\n"),
               vimg_report_string(report, "pool"), primary);
}

static void
show(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Disk"), "disk", VIMG_CELL_TEXT, 0},
        {N_("Path"), "path", VIMG_CELL_TEXT, 0},
        {N_("Size"), "bytes", VIMG_CELL_SIZE, 1},
    };

    if (!ctl->quiet)
        vimg_table_print(ctl, report, "disks", columns, G_N_ELEMENTS(columns));
    say_pool(ctl, report);
    vimg_shot_say_frozen(ctl, report);
}

int
vimg_cmd_machine_clone(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    VimgMachine machine = {0};

    if (vimg_machine_open(&machine, ctl, argv[0], &error)) {
        g_auto(Clone) clone = {.machine = &machine, .name = argv[1]};

        if (run(&clone, &error))
            report = report_of(&clone);
    }
    vimg_machine_end(&machine, &error);
    return vimg_ctl_show(ctl, report, show, error);
}
