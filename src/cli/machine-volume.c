/*
 * machine-volume.c: a new disk for a machine, beside the one that it is like
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <libvirt/virterror.h>

#include "cli/machine-file.h"
#include "cli/machine-fill.h"
#include "cli/machine-volume.h"
#include "util/error.h"
#include "util/i18n.h"

void
vimg_machine_volume_free(VimgMachineVolume *volume)
{
    if (!volume)
        return;
    g_free(volume->pool);
    g_free(volume->name);
    g_free(volume->path);
    g_free(volume->format);
    g_free(volume);
}

/* The pool for it, to be freed; *@pool NULL: there is none.  Returns: FALSE with @error. */
static gboolean
find_pool(VimgMachine *machine, const VimgMachineDisk *like, virStoragePoolPtr *pool,
          GError **error)
{
    const char *given = vimg_ctl_option(machine->ctl, "primary");
    virStorageVolPtr volume;

    if (given || like->pool) {
        *pool = virStoragePoolLookupByName(machine->connection, given ? given : like->pool);
        return *pool || vimg_machine_throw(error);
    }
    volume = like->path ? virStorageVolLookupByPath(machine->connection, like->path) : NULL;
    *pool = volume ? virStoragePoolLookupByVolume(volume) : NULL;
    if (volume)
        virStorageVolFree(volume);
    return TRUE;
}

/* ---- in a pool -------------------------------------------------------------------------- */

static gboolean
describe(VimgMachineVolume *out, virStorageVolPtr volume, GError **error)
{
    char *path = virStorageVolGetPath(volume);
    struct stat info;

    out->path = g_strdup(path);
    free(path);
    if (!out->path)
        return vimg_machine_throw(error);
    if (stat(out->path, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode))) {
        out->block = S_ISBLK(info.st_mode);
        return TRUE;
    }
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("volumes of pool '%s' are no files or devices of this host: choose another pool with --primary"),
        out->pool);
}

static gboolean
make_in_pool(VimgMachine *machine, VimgMachineVolume *out, virStoragePoolPtr pool, guint64 capacity,
             GError **error)
{
    g_autofree char *xml = g_markup_printf_escaped(
        "<volume><name>%s</name><capacity unit='bytes'>%" G_GUINT64_FORMAT
        "</capacity><allocation>0</allocation><target><format type='%s'/></target></volume>",
        out->name, capacity, out->format);
    virStorageVolPtr volume = virStorageVolLookupByName(pool, out->name);
    gboolean ok;

    if (volume) {
        virStorageVolFree(volume);
        return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", out->name);
    }
    if (!vimg_undo_add(machine->undo, VIMG_UNDO_VOLUME, error, out->pool, out->name, NULL))
        return FALSE;
    volume = virStorageVolCreateXML(pool, xml, 0);
    if (!volume) {
        vimg_machine_throw(error);
        /* who says that it made none has none of ours; another's may have the name by now */
        if (virConnectIsAlive(machine->connection) == 1)
            vimg_undo_drop(machine->undo, VIMG_UNDO_VOLUME, out->pool, out->name, NULL);
        return FALSE;
    }
    ok = describe(out, volume, error);
    virStorageVolFree(volume);
    return ok;
}

/* ---- or beside it ----------------------------------------------------------------------- */

static gboolean
make_beside(VimgMachine *machine, VimgMachineVolume *out, const VimgMachineDisk *like,
            guint64 capacity, GError **error)
{
    g_autofree char *dir = like->path && !like->block ? g_path_get_dirname(like->path) : NULL;

    if (!dir)
        return vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                          _("disk '%s' is in no pool of the host: choose one with --primary"),
                          like->target);
    out->path = g_build_filename(dir, out->name, NULL);
    g_clear_pointer(&out->name, g_free);
    return vimg_fill_create(machine->undo, out->path, out->format, capacity, error);
}

VimgMachineVolume *
vimg_machine_volume_new(VimgMachine *machine, const VimgMachineDisk *like, const char *owner,
                        guint64 capacity, GError **error)
{
    g_autoptr(VimgMachineVolume) out = g_new0(VimgMachineVolume, 1);
    virStoragePoolPtr pool = NULL;
    gboolean ok;

    if (!vimg_machine_again(machine, error) || !find_pool(machine, like, &pool, error))
        return NULL;
    out->format = g_strdup(like->format);
    out->name = g_strdup_printf("%s-%s.%s", owner, like->target, like->format);
    out->pool = pool ? g_strdup(virStoragePoolGetName(pool)) : NULL;
    ok = pool ? make_in_pool(machine, out, pool, capacity, error)
              : make_beside(machine, out, like, capacity, error);
    if (pool)
        virStoragePoolFree(pool);
    return ok ? g_steal_pointer(&out) : NULL;
}

void
vimg_machine_volume_keep(VimgMachine *machine, const VimgMachineVolume *volume)
{
    if (volume->pool)
        vimg_undo_drop(machine->undo, VIMG_UNDO_VOLUME, volume->pool, volume->name, NULL);
    else
        vimg_file_keep(machine->undo, volume->path);
}
