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
#include "cli/machine-source.h"
#include "cli/machine-volume.h"
#include "cli/tree.h"
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
    g_free(volume->network);
    g_free(volume->via[0]);
    g_free(volume->via[1]);
    g_free(volume);
}

gboolean
vimg_machine_volume_pool(VimgMachine *machine, const VimgMachineDisk *like, virStoragePoolPtr *pool,
                         GError **error)
{
    g_autoptr(VimgMachineSource) source = vimg_machine_source_find(machine, like);
    const char *given = vimg_ctl_option(machine->ctl, "primary");
    virStorageVolPtr volume;

    if (!given)
        given = like->pool ? like->pool : source ? source->pool : NULL;
    if (given) {
        *pool = virStoragePoolLookupByName(machine->connection, given);
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
is_free(virStoragePoolPtr pool, const char *name, GError **error)
{
    virStorageVolPtr volume = virStorageVolLookupByName(pool, name);

    if (!volume)
        return TRUE;
    virStorageVolFree(volume);
    return vimg_throw(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
}

static gboolean
make_in_pool(VimgMachine *machine, VimgMachineVolume *out, virStoragePoolPtr pool, guint64 capacity,
             GError **error)
{
    g_autofree char *xml = g_markup_printf_escaped(
        "<volume><name>%s</name><capacity unit='bytes'>%" G_GUINT64_FORMAT
        "</capacity><allocation>0</allocation><target><format type='%s'/></target></volume>",
        out->name, capacity, out->format);
    virStorageVolPtr volume;
    gboolean ok;

    if (!is_free(pool, out->name, error) ||
        !vimg_undo_add(machine->undo, VIMG_UNDO_VOLUME, error, out->pool, out->name, NULL))
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

/* ---- in one that the daemon fills ------------------------------------------------------- */

/* Whether volumes of @pool have no paths; then what one will be called is known. */
static gboolean
is_network(virStoragePoolPtr pool, const char *owner, const char *target, VimgMachineVolume *out)
{
    char *xml = virStoragePoolGetXMLDesc(pool, 0);
    g_autoptr(xmlDoc) doc = xml ? vimg_tree_read(xml, "pool", NULL) : NULL;
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNode *source = vimg_tree_element(root, "source");
    g_autofree char *path =
        vimg_tree_text(vimg_tree_element(vimg_tree_element(root, "target"), "path"));
    g_autofree char *name = vimg_tree_text(vimg_tree_element(source, "name"));

    if (!path && name && vimg_tree_element(source, "host")) {
        out->network = g_strdup(xml);
        g_free(out->name);
        out->name = g_strdup_printf("%s-%s", owner, target); /* there are no formats */
        out->path = g_strconcat(name, "/", out->name, NULL);
    }
    free(xml);
    return out->network != NULL;
}

/* Off the list, in the words in which it came onto it. */
static void
drop(VimgMachine *machine, const VimgMachineVolume *volume)
{
    vimg_undo_drop(machine->undo, VIMG_UNDO_VOLUME, volume->pool, volume->name, volume->via[0],
                   volume->via[1], NULL);
}

/* The daemon has done its work: the volume is one as every other. */
static gboolean
note_made(VimgMachine *machine, VimgMachineVolume *volume, GError **error)
{
    vimg_undo_gather(machine->undo);
    drop(machine, volume);
    g_clear_pointer(&volume->via[0], g_free);
    g_clear_pointer(&volume->via[1], g_free);
    return vimg_undo_add(machine->undo, VIMG_UNDO_VOLUME, error, volume->pool, volume->name,
                         NULL) &&
           vimg_undo_tell(machine->undo, error);
}

/* It may share its content with the image, which then goes out of sight for as long. */
gboolean
vimg_machine_volume_make(VimgMachine *machine, VimgMachineVolume *volume, const VimgImage *image,
                         GError **error)
{
    g_autofree char *xml = g_markup_printf_escaped(
        "<volume xmlns:i='urn:virtimage:volume:1'><name>%s</name><capacity unit='bytes'>"
        "%" G_GUINT64_FORMAT "</capacity><target><format type='raw'/></target>"
        "<i:info><i:flatten>%s</i:flatten></i:info></volume>",
        volume->name, volume->capacity, vimg_ctl_option(machine->ctl, "flatten") ? "yes" : "no");
    virStoragePoolPtr pool = virStoragePoolLookupByName(machine->connection, volume->pool);
    vimg_remote_pool id = {.name = volume->pool};
    g_autoptr(GError) local = NULL;
    gboolean ok = pool && virStoragePoolGetUUID(pool, (unsigned char *)id.uuid) == 0;

    if (!ok)
        vimg_machine_throw(error);
    vimg_undo_bind(machine->ctl);
    volume->via[0] = g_strdup(image->pool);
    volume->via[1] = g_strdup(image->name);
    ok = ok && is_free(pool, volume->name, error) &&
         vimg_undo_add(machine->undo, VIMG_UNDO_VOLUME, error, volume->pool, volume->name,
                       volume->via[0], volume->via[1], NULL);
    if (ok && !vimg_image_clone_to(machine->ctl, image, &id, xml, &local)) {
        /* who answers has left nothing; another's may have the name */
        if (local->domain == VIMG_DAEMON_ERROR && local->code > 0)
            drop(machine, volume);
        g_propagate_error(error, g_steal_pointer(&local));
        ok = FALSE;
    }
    ok = ok && note_made(machine, volume, error);
    if (pool)
        virStoragePoolFree(pool);
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

    if (!vimg_machine_again(machine, error) ||
        !vimg_machine_volume_pool(machine, like, &pool, error))
        return NULL;
    out->format = g_strdup(like->format);
    out->name = g_strdup_printf("%s-%s.%s", owner, like->target, like->format);
    out->pool = pool ? g_strdup(virStoragePoolGetName(pool)) : NULL;
    out->capacity = capacity;
    if (pool && is_network(pool, owner, like->target, out)) {
        g_free(out->format);
        out->format = g_strdup("raw");
        virStoragePoolFree(pool);
        return g_steal_pointer(&out);
    }
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
        drop(machine, volume);
    else
        vimg_file_keep(machine->undo, volume->path);
}
