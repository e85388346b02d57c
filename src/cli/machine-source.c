/*
 * machine-source.c: what the host's storage pools know a disk as that no path leads to
 *
 * libvirt calls a pool's type as the protocol of its disks; such a disk is called POOL/VOLUME.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-source.h"
#include "cli/tree.h"

void
vimg_machine_source_free(VimgMachineSource *source)
{
    if (!source)
        return;
    g_free(source->pool);
    g_free(source->volume);
    g_free(source);
}

/* A port that is not said may be any. */
static gboolean
is_same_host(const char *one, const char *other)
{
    gsize n = strlen(one), m = strlen(other);

    if (one[n - 1] == ':')
        return strncmp(one, other, n) == 0;
    if (other[m - 1] == ':')
        return strncmp(one, other, m) == 0;
    return strcmp(one, other) == 0;
}

/* Who names no servers has those of the host's configuration. */
gboolean
vimg_machine_hosts_meet(GPtrArray *some, GPtrArray *others)
{
    for (guint i = 0; i < some->len; i++)
        for (guint k = 0; k < others->len; k++)
            if (is_same_host(some->pdata[i], others->pdata[k]))
                return TRUE;
    return some->len == 0 && others->len == 0;
}

/* Returns: (transfer full) what @disk is called in the pool of the document @xml; NULL: another. */
static char *
name_in(const char *xml, const VimgMachineDisk *disk)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "pool", NULL);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNode *source = vimg_tree_element(root, "source");
    g_autofree char *type = vimg_tree_attribute(root, "type");
    g_autofree char *name = vimg_tree_text(vimg_tree_element(source, "name"));
    g_autoptr(GPtrArray) hosts = vimg_machine_hosts(source);
    gsize n = name ? strlen(name) : 0;

    if (n == 0 || g_strcmp0(type, disk->protocol) != 0 || strncmp(disk->name, name, n) != 0 ||
        disk->name[n] != '/' || !vimg_machine_hosts_meet(disk->hosts, hosts))
        return NULL;
    return g_strdup(disk->name + n + 1);
}

static virStorageVolPtr
look_up(virStoragePoolPtr pool, const char *name)
{
    virStorageVolPtr volume = virStorageVolLookupByName(pool, name);

    if (!volume && virStoragePoolRefresh(pool, 0) == 0) /* made by others since */
        volume = virStorageVolLookupByName(pool, name);
    return volume;
}

static VimgMachineSource *
find_in(virStoragePoolPtr pool, const VimgMachineDisk *disk)
{
    char *xml = virStoragePoolGetXMLDesc(pool, 0);
    g_autofree char *name = xml ? name_in(xml, disk) : NULL;
    virStorageVolPtr volume = name ? look_up(pool, name) : NULL;
    virStorageVolInfo info;
    VimgMachineSource *source = NULL;

    free(xml);
    if (!volume)
        return NULL;
    if (virStorageVolGetInfo(volume, &info) == 0) {
        source = g_new0(VimgMachineSource, 1);
        source->pool = g_strdup(virStoragePoolGetName(pool));
        source->volume = g_steal_pointer(&name);
        source->capacity = info.capacity;
    }
    virStorageVolFree(volume);
    return source;
}

VimgMachineSource *
vimg_machine_source_find(VimgMachine *machine, const VimgMachineDisk *disk)
{
    VimgMachineSource *found = NULL;
    virStoragePoolPtr *pools = NULL;
    int n;

    if (!disk->network || !disk->protocol || !disk->name)
        return NULL;
    n = virConnectListAllStoragePools(machine->connection, &pools,
                                      VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
    for (int i = 0; i < n; i++) {
        if (!found)
            found = find_in(pools[i], disk);
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    return found;
}
