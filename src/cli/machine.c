/*
 * machine.c: a machine whose disks become images, and the connection to it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>

#include "cli/machine.h"
#include "cli/machine-freeze.h"
#include "cli/machine-sweep.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/uuid.h"

#define AGAIN_PATIENCE (15 * G_USEC_PER_SEC) /* with a libvirtd that went away */
#define LOCK_PATIENCE (15 * G_USEC_PER_SEC)  /* with a command that is just undone */

gboolean
vimg_machine_throw(GError **error)
{
    const virError *last = virGetLastError();
    g_autofree char *safe = vimg_text_safe(last && last->message ? last->message : "?");

    g_set_error_literal(error, VIMG_DAEMON_ERROR,
                        last && last->code > 0 ? last->code : VIR_ERR_INTERNAL_ERROR, safe);
    return FALSE;
}

/* It would write what is said by us anyhow, in our own words. */
static void
say_nothing(void *data, virErrorPtr error)
{
}

char *
vimg_machine_uri(VimgCtl *ctl)
{
    const char *given = vimg_ctl_option(ctl, "machines");

    if (!given)
        given = ctl->uri ? ctl->uri : g_getenv("VIRTIMAGE_DEFAULT_URI");
    return g_strdup(given ? given : geteuid() ? "image:///session" : "image:///system");
}

virConnectPtr
vimg_machine_connect(const char *uri, GError **error)
{
    virConnectPtr connection;

    virSetErrorFunc(NULL, say_nothing);
    connection = virConnectOpen(uri);
    if (!connection)
        vimg_machine_throw(error);
    return connection;
}

/* Where one connection leads to both, it may be open while the host's libvirtd is away still. */
static gboolean
open_again(VimgMachine *machine, virConnectPtr *connection, virDomainPtr *domain, GError **error)
{
    *connection = virConnectOpen(machine->uri);
    *domain = *connection ? virDomainLookupByUUIDString(*connection, machine->uuid) : NULL;
    if (*domain)
        return TRUE;
    vimg_machine_throw(error);
    if (*connection)
        virConnectClose(*connection);
    return FALSE;
}

gboolean
vimg_machine_again(VimgMachine *machine, GError **error)
{
    gint64 until = g_get_monotonic_time() + AGAIN_PATIENCE;
    g_autoptr(GError) local = NULL;
    virConnectPtr connection;
    virDomainPtr domain;

    /* a connection is only known to be lost by who uses it */
    if (virDomainIsActive(machine->domain) >= 0)
        return TRUE;
    while (!open_again(machine, &connection, &domain, &local)) {
        if (g_get_monotonic_time() > until ||
            g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_NO_DOMAIN)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_clear_error(&local);
        g_usleep(G_USEC_PER_SEC / 10);
    }
    virDomainFree(machine->domain);
    virConnectClose(machine->connection);
    machine->connection = connection;
    machine->domain = domain;
    return TRUE;
}

/* ---- the scratch directory -------------------------------------------------------------- */

char *
vimg_machine_scratch(VimgCtl *ctl, GError **error)
{
    const char *given = vimg_ctl_option(ctl, "scratch");
    g_autofree char *dir = NULL;

    if (!given)
        given = g_getenv("VIRTIMAGE_SCRATCH");
    if (given && !g_path_is_absolute(given)) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                   _("the scratch directory '%s' is no absolute path"), given);
        return NULL;
    }
    dir = given       ? g_strdup(given)
          : geteuid() ? g_build_filename(g_get_user_runtime_dir(), "virtimage-scratch", NULL)
                      : g_build_filename(VIMG_LOCALSTATEDIR, "lib", "virtimage", "scratch", NULL);
    /* the emulator, which is another user, goes through it to what is its own */
    return vimg_dir_make(dir, 0711, error) ? g_steal_pointer(&dir) : NULL;
}

/* Held as long as we or who undoes our failure runs.  Returns: a descriptor, or -1. */
static int
take_lock(VimgMachine *machine, GError **error)
{
    g_autofree char *dir = vimg_machine_scratch(machine->ctl, error);
    g_autofree char *path = dir ? g_strdup_printf("%s/%s.lock", dir, machine->uuid) : NULL;
    gint64 until = g_get_monotonic_time() + LOCK_PATIENCE;
    vimg_autofd int fd = -1;

    if (!path)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        vimg_throw_errno(error, "'%s'", path);
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (g_get_monotonic_time() > until || vimg_transfer_interrupted()) {
            vimg_throw(error, VIMG_ERROR_BUSY,
                       _("another command works on images of machine '%s', or undoes one"),
                       machine->name);
            return -1;
        }
        g_usleep(G_USEC_PER_SEC / 20);
    }
    return vimg_steal_fd(&fd);
}

/* ---- looking it up ---------------------------------------------------------------------- */

static gboolean
look_up(VimgMachine *machine, const char *name, GError **error)
{
    guint8 uuid[VIMG_UUID_SIZE];

    machine->domain = virDomainLookupByName(machine->connection, name);
    if (!machine->domain && vimg_uuid_parse(name, uuid))
        machine->domain = virDomainLookupByUUID(machine->connection, uuid);
    if (!machine->domain || virDomainGetUUIDString(machine->domain, machine->uuid) < 0)
        return vimg_machine_throw(error);
    machine->name = g_strdup(virDomainGetName(machine->domain));
    return TRUE;
}

static gboolean
describe(VimgMachine *machine, GError **error)
{
    char *xml = virDomainGetXMLDesc(machine->domain, 0);
    int state = 0, reason = 0;
    gboolean ok = xml && virDomainGetState(machine->domain, &state, &reason, 0) == 0;

    if (!ok)
        vimg_machine_throw(error);
    /* one that crashed may be kept with its emulator */
    machine->active = ok && virDomainIsActive(machine->domain) != 0;
    machine->paused = state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_CRASHED;
    ok = ok && vimg_machine_parts_parse(&machine->parts, xml, error);
    free(xml);
    return ok;
}

gboolean
vimg_machine_find(VimgMachine *machine, VimgCtl *ctl, const char *name, GError **error)
{
    if (!vimg_ctl_daemon(ctl, error)) /* whose absence it says better than libvirt */
        return FALSE;
    machine->ctl = ctl;
    machine->uri = vimg_machine_uri(ctl);
    machine->connection = vimg_machine_connect(machine->uri, error);
    return machine->connection && look_up(machine, name, error);
}

static gboolean
parse_options(VimgMachine *machine, VimgCtl *ctl, GError **error)
{
    const char *reserve = vimg_ctl_option(ctl, "reserve");
    const char *freeze = vimg_ctl_option(ctl, "freeze");

    machine->patience = VIMG_FREEZE_PATIENCE;
    if (reserve && !vimg_text_parse_size(reserve, &machine->reserve))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("--reserve: '%s' is no size, as 512M or 4G"), reserve);
    return !freeze ||
           g_ascii_string_to_unsigned(freeze, 10, 0, VIMG_FREEZE_MAX, &machine->patience, NULL) ||
           vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                      _("--freeze: '%1$s' is no number of seconds from 0 to %2$d"), freeze,
                      VIMG_FREEZE_MAX);
}

gboolean
vimg_machine_open(VimgMachine *machine, VimgCtl *ctl, const char *name, GError **error)
{
    vimg_autofd int lock = -1;

    vimg_transfer_catch();
    if (!parse_options(machine, ctl, error))
        return FALSE;
    if (!vimg_machine_find(machine, ctl, name, error))
        return FALSE;
    lock = take_lock(machine, error);
    if (lock < 0 || !describe(machine, error))
        return FALSE;
    machine->undo = vimg_undo_new(ctl, machine->uri, machine->uuid, lock, error);
    return machine->undo && vimg_machine_sweep(machine, error);
}

/* Returns: whether nothing is left of what was begun and did not end well. */
static gboolean
clear(VimgMachine *machine)
{
    gboolean undone;

    if (machine->domain)
        virDomainFree(machine->domain);
    if (machine->connection)
        virConnectClose(machine->connection);
    vimg_machine_parts_clear(&machine->parts);
    g_free(machine->uri);
    g_free(machine->name);
    /* what is undone needs what our connection may still hold */
    if (machine->ctl)
        g_clear_pointer(&machine->ctl->daemon, vimg_daemon_close);
    undone = vimg_undo_end(machine->undo);
    if (!undone)
        fputs(_("What was left is still being undone, in the background.\n"), stderr);
    *machine = (VimgMachine){0};
    return undone;
}

void
vimg_machine_clear(VimgMachine *machine)
{
    clear(machine);
}

void
vimg_machine_end(VimgMachine *machine, GError **error)
{
    gboolean changing = machine->changing;

    if (!clear(machine) || changing || !*error || !vimg_transfer_interrupted())
        return;
    g_clear_error(error);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("nothing was changed"));
}

/* ---- choosing --------------------------------------------------------------------------- */

static gboolean
choose_named(const VimgMachine *machine, const char *targets, GPtrArray *chosen, GError **error)
{
    g_auto(GStrv) names = g_strsplit(targets, ",", -1);

    for (gsize i = 0; names[i]; i++) {
        VimgMachineDisk *disk = vimg_machine_disk_find(machine->parts.disks, names[i]);

        if (!disk)
            return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("machine '%1$s' has no disk '%2$s'"),
                              machine->name, names[i]);
        if (!g_ptr_array_find(chosen, disk, NULL))
            g_ptr_array_add(chosen, disk);
    }
    return TRUE;
}

GPtrArray *
vimg_machine_choose(const VimgMachine *machine, const char *targets, GError **error)
{
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();

    if (targets && !choose_named(machine, targets, chosen, error))
        return NULL;
    for (guint i = 0; !targets && i < machine->parts.disks->len; i++) {
        VimgMachineDisk *disk = machine->parts.disks->pdata[i];

        if (!disk->read_only)
            g_ptr_array_add(chosen, disk);
    }
    if (chosen->len > 0)
        return g_steal_pointer(&chosen);
    vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("machine '%s' has no disk to be imaged"),
               machine->name);
    return NULL;
}

void
vimg_machine_keep_root(GPtrArray *disks)
{
    VimgMachineDisk *root = disks->pdata[0];

    for (guint i = 1; i < disks->len; i++) {
        VimgMachineDisk *disk = disks->pdata[i];

        if (disk->boot > 0 && (root->boot == 0 || disk->boot < root->boot))
            root = disk;
    }
    g_ptr_array_set_size(disks, 0);
    g_ptr_array_add(disks, root);
}
