/*
 * primary-used.c: whether anything of the host lies on a volume
 *
 * Whoever cannot tell says yes: what is removed from under an overlay takes the overlay with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "conf/xml.h"
#include "host/primary-private.h"

typedef struct {
    virConnectPtr connect;
    const char *name; /* of the volume, which no other has but a copy in another pool */
    const char *path; /* of it */
} Base;

/* *@path: (transfer full) what @vol is an overlay on; NULL: none.  FALSE: nobody can tell. */
static gboolean
backing_of(virStorageVolPtr vol, char **path)
{
    char *xml = virStorageVolGetXMLDesc(vol, 0);
    g_autoptr(xmlDoc) doc =
        xml ? vimg_xml_parse(xml, "(storage_volume_definition)", "volume", NULL, NULL) : NULL;
    xmlNode *backing = NULL;
    xmlNode *node = NULL;

    *path = NULL;
    free(xml);
    if (!doc || !vimg_xml_child(xmlDocGetRootElement(doc), NULL, "backingStore", &backing, NULL))
        return FALSE;
    if (!backing)
        return TRUE;
    if (!vimg_xml_child(backing, NULL, "path", &node, NULL) || !node)
        return FALSE;
    *path = vimg_xml_text(node);
    return TRUE;
}

/* One file may have several names, unless the one that is said is that of another volume. */
static gboolean
means(const Base *base, const char *backing)
{
    g_autofree char *last = g_path_get_basename(backing);
    g_autoptr(virStorageVol) other = NULL;
    const char *key;

    if (strcmp(backing, base->path) == 0)
        return TRUE;
    if (strcmp(last, base->name) != 0)
        return FALSE;
    other = virStorageVolLookupByPath(base->connect, backing);
    key = other ? virStorageVolGetKey(other) : NULL;
    return !key || strcmp(key, base->path) == 0;
}

static gboolean
is_in_pool(const Base *base, virStoragePoolPtr pool)
{
    virStorageVolPtr *vols = NULL;
    gboolean used = FALSE;
    int n = -1;

    if (virStoragePoolIsActive(pool) == 1 && virStoragePoolRefresh(pool, 0) == 0)
        n = virStoragePoolListAllVolumes(pool, &vols, 0);
    if (n < 0)
        return TRUE;
    for (int i = 0; i < n; i++) {
        g_autofree char *backing = NULL;

        used = used || !backing_of(vols[i], &backing) || (backing && means(base, backing));
        virStorageVolFree(vols[i]);
    }
    free(vols);
    return used;
}

static gboolean
is_in_pools(const Base *base)
{
    virStoragePoolPtr *pools = NULL;
    gboolean used = FALSE;
    int n = virConnectListAllStoragePools(base->connect, &pools, 0);

    for (int i = 0; i < n; i++) {
        used = used || is_in_pool(base, pools[i]);
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    return used || n < 0;
}

static gboolean
is_in_machine(const Base *base, virDomainPtr domain)
{
    char *xml = virDomainGetXMLDesc(domain, 0);
    gboolean used = !xml || strstr(xml, base->name);

    free(xml);
    return used;
}

/* A running one names all that its disks lie on, wherever they are. */
static gboolean
is_in_machines(const Base *base)
{
    virDomainPtr *domains = NULL;
    gboolean used = FALSE;
    int n = virConnectListAllDomains(base->connect, &domains, 0);

    for (int i = 0; i < n; i++) {
        used = used || is_in_machine(base, domains[i]);
        virDomainFree(domains[i]);
    }
    free(domains);
    /* a daemon of storage alone has none */
    return used || (n < 0 && !vimg_host_said(VIR_ERR_NO_SUPPORT));
}

gboolean
vimg_host_is_used(virConnectPtr connect, virStorageVolPtr vol)
{
    char *path = virStorageVolGetPath(vol);
    Base base = {connect, virStorageVolGetName(vol), path};
    gboolean used = !path || is_in_machines(&base) || is_in_pools(&base);

    free(path);
    return used;
}
