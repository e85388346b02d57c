/*
 * machine-match.c: which pool of images a machine's disks pass through if nobody says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-match.h"
#include "cli/machine-source.h"
#include "cli/machine-volume.h"
#include "cli/tree.h"

#define FILES "LocalStorage" /* as the table calls files of no pool */

/* What a new disk would lie in. */
typedef struct {
    char *name;
    GPtrArray *hosts; /* NAME:PORT, of a pool of the network */
} Primary;

static void
primary_clear(Primary *primary)
{
    g_free(primary->name);
    g_clear_pointer(&primary->hosts, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Primary, primary_clear)

/* Returns: (transfer full) the servers of a pool's document; NULL: it is none */
static GPtrArray *
hosts_of(const char *xml)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "pool", NULL);

    return doc ? vimg_machine_hosts(vimg_tree_element(xmlDocGetRootElement(doc), "source")) : NULL;
}

static gboolean
find_primary(VimgMachine *machine, const VimgMachineDisk *like, Primary *out)
{
    virStoragePoolPtr pool = NULL;
    char *xml;

    if (!vimg_machine_volume_pool(machine, like, &pool, NULL))
        return FALSE;
    if (!pool) {
        out->name = like->path && !like->block ? g_strdup(FILES) : NULL;
        return out->name != NULL;
    }
    out->name = g_strdup(virStoragePoolGetName(pool));
    xml = virStoragePoolGetXMLDesc(pool, 0);
    out->hosts = xml ? hosts_of(xml) : NULL;
    free(xml);
    virStoragePoolFree(pool);
    return TRUE;
}

/* Returns: (transfer full) */
static GPtrArray *
hosts_of_images(VimgCtl *ctl, const char *name)
{
    g_auto(VimgCtlPool) pool = {0};
    vimg_remote_pool_flags_args args = {0};
    vimg_remote_string ret = {0};
    GPtrArray *hosts = NULL;

    if (!vimg_ctl_find_pool(ctl, name, &pool, NULL))
        return NULL;
    args.pool = pool;
    if (vimg_daemon_call(ctl->daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_POOL_GET_XML_DESC,
                         (xdrproc_t)xdr_vimg_remote_pool_flags_args, &args,
                         (xdrproc_t)xdr_vimg_remote_string, &ret, NULL))
        hosts = hosts_of(ret.value);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, (char *)&ret);
    return hosts;
}

/* Whether both are served by the same machines, so that nothing is moved. */
static gboolean
is_same_cluster(VimgCtl *ctl, const char *name, const Primary *primary)
{
    g_autoptr(GPtrArray) hosts = hosts_of_images(ctl, name);

    return hosts && primary->hosts && vimg_machine_hosts_meet(hosts, primary->hosts);
}

/* Returns: the one of @row; NULL: there is none, or *@several */
static const char *
choose(VimgCtl *ctl, JsonObject *row, GPtrArray *pools, const Primary *primary, gboolean *several)
{
    gboolean share = g_strcmp0(vimg_report_string(row, "way"), "share") == 0;
    const char *found = NULL;

    for (guint i = 0; i < vimg_report_count(row, "pools"); i++) {
        const char *name = vimg_report_string(vimg_report_element(row, "pools", i), "name");

        if (!name || !g_ptr_array_find_with_equal_func(pools, name, g_str_equal, NULL) ||
            (share && !is_same_cluster(ctl, name, primary)))
            continue;
        *several = found != NULL;
        if (*several)
            return NULL;
        found = name;
    }
    return found;
}

char *
vimg_machine_match(VimgMachine *machine, const VimgMachineDisk *like, GPtrArray *pools,
                   char **primary)
{
    g_auto(Primary) of = {0};
    gboolean found = find_primary(machine, like, &of), several = FALSE;
    vimg_control_status_args args = {.pool = &of.name};
    g_autoptr(JsonObject) report =
        found ? vimg_ctl_report(machine->ctl, VIMG_CONTROL_MATCH,
                                (xdrproc_t)xdr_vimg_control_status_args, &args, NULL)
              : NULL;

    /* the default of each kind of storage comes first */
    for (guint i = 0; report && !several && i < vimg_report_count(report, "matches"); i++) {
        JsonObject *row = vimg_report_element(report, "matches", i);
        const char *name = vimg_report_truth(row, "guide")
                               ? choose(machine->ctl, row, pools, &of, &several)
                               : NULL;

        if (name) {
            *primary = g_steal_pointer(&of.name);
            return g_strdup(name);
        }
    }
    return NULL;
}
