/*
 * machine-disk.c: the disks of a machine, as the document of its domain says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-disk.h"
#include "cli/tree.h"
#include "util/error.h"
#include "util/i18n.h"

#define AGENT "org.qemu.guest_agent.0" /* the name that QEMU's agent has given itself */

static void
disk_free(gpointer data)
{
    VimgMachineDisk *disk = data;

    g_free(disk->target);
    g_free(disk->format);
    g_free(disk->path);
    g_free(disk->pool);
    g_free(disk->volume);
    g_free(disk->protocol);
    g_free(disk->name);
    g_ptr_array_unref(disk->hosts);
    g_free(disk);
}

void
vimg_machine_parts_clear(VimgMachineParts *parts)
{
    g_clear_pointer(&parts->disks, g_ptr_array_unref);
}

/* It becomes part of names, paths and documents. */
static gboolean
is_target(const char *text)
{
    gsize n = text ? strlen(text) : 0;

    if (n == 0 || n > 16)
        return FALSE;
    for (; *text; text++)
        if (!g_ascii_isalnum(*text))
            return FALSE;
    return TRUE;
}

GPtrArray *
vimg_machine_hosts(xmlNode *source)
{
    GPtrArray *hosts = g_ptr_array_new_with_free_func(g_free);

    for (xmlNode *node = source ? source->children : NULL; node; node = node->next) {
        g_autofree char *name = vimg_tree_attribute(node, "name");
        g_autofree char *port = vimg_tree_attribute(node, "port");

        if (vimg_tree_is(node, "host") && name)
            g_ptr_array_add(hosts, g_strconcat(name, ":", port ? port : "", NULL));
    }
    return hosts;
}

static void
take_source(VimgMachineDisk *disk, xmlNode *source)
{
    g_autofree char *file = vimg_tree_attribute(source, "file");

    disk->path = vimg_tree_attribute(source, "dev");
    disk->block = disk->path != NULL;
    if (!disk->path)
        disk->path = g_steal_pointer(&file);
    disk->pool = vimg_tree_attribute(source, "pool");
    disk->volume = vimg_tree_attribute(source, "volume");
    disk->network = !disk->path && !disk->volume;
    disk->protocol = vimg_tree_attribute(source, "protocol");
    disk->name = vimg_tree_attribute(source, "name");
    disk->hosts = vimg_machine_hosts(source);
}

/* Neither a format nor a cipher nor a choice is between the guest and what is stored. */
static gboolean
is_plain(const VimgMachineDisk *disk, xmlNode *node, xmlNode *source)
{
    static const char *const between[] = {"encryption", "snapshot", "slices", "config"};

    for (gsize i = 0; i < G_N_ELEMENTS(between); i++)
        if (vimg_tree_element(source, between[i]))
            return FALSE;
    return strcmp(disk->format, "raw") == 0 && !vimg_tree_element(node, "encryption");
}

static gboolean
add_disk(GPtrArray *disks, xmlNode *node, GError **error)
{
    g_autofree char *device = vimg_tree_attribute(node, "device");
    xmlNode *source = vimg_tree_element(node, "source");
    g_autofree char *order = NULL;
    VimgMachineDisk *disk;

    if ((device && strcmp(device, "disk") != 0) || !source)
        return TRUE;
    disk = g_new0(VimgMachineDisk, 1);
    g_ptr_array_add(disks, disk);
    take_source(disk, source);
    disk->target = vimg_tree_attribute(vimg_tree_element(node, "target"), "dev");
    disk->format = vimg_tree_attribute(vimg_tree_element(node, "driver"), "type");
    if (!disk->format)
        disk->format = g_strdup("raw");
    disk->plain = is_plain(disk, node, source);
    disk->read_only = vimg_tree_element(node, "readonly") != NULL;
    order = vimg_tree_attribute(vimg_tree_element(node, "boot"), "order");
    if (order)
        g_ascii_string_to_unsigned(order, 10, 1, G_MAXINT, &disk->boot, NULL);
    disk->shareable = vimg_tree_element(node, "shareable") != NULL;
    return is_target(disk->target) ||
           vimg_throw(error, VIMG_ERROR_XML, "%s", _("a disk of the machine has no target"));
}

static gboolean
is_agent(xmlNode *channel)
{
    xmlNode *target = vimg_tree_element(channel, "target");
    g_autofree char *name = vimg_tree_attribute(target, "name");
    g_autofree char *state = vimg_tree_attribute(target, "state");

    return g_strcmp0(name, AGENT) == 0 && g_strcmp0(state, "connected") == 0;
}

/* Of a machine that runs: "+64055:+64055". */
static void
take_owner(VimgMachineParts *parts, xmlNode *label)
{
    g_autofree char *model = vimg_tree_attribute(label, "model");
    g_autofree char *text = vimg_tree_text(vimg_tree_element(label, "label"));
    g_auto(GStrv) ids = g_strsplit(text ? text : "", ":", 2);
    guint64 owner, group;

    if (g_strcmp0(model, "dac") != 0 || g_strv_length(ids) != 2 || *ids[0] != '+' ||
        *ids[1] != '+' ||
        !g_ascii_string_to_unsigned(ids[0] + 1, 10, 0, G_MAXUINT32 - 1, &owner, NULL) ||
        !g_ascii_string_to_unsigned(ids[1] + 1, 10, 0, G_MAXUINT32 - 1, &group, NULL))
        return;
    parts->has_owner = TRUE;
    parts->owner = (uid_t)owner;
    parts->group = (gid_t)group;
}

gboolean
vimg_machine_parts_parse(VimgMachineParts *parts, const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "domain", error);
    xmlNode *devices = doc ? vimg_tree_element(xmlDocGetRootElement(doc), "devices") : NULL;

    if (!doc)
        return FALSE;
    for (xmlNode *node = xmlDocGetRootElement(doc)->children; node; node = node->next)
        if (vimg_tree_is(node, "seclabel"))
            take_owner(parts, node);
    parts->disks = g_ptr_array_new_with_free_func(disk_free);
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (vimg_tree_is(node, "disk") && !add_disk(parts->disks, node, error))
            return FALSE;
        parts->agent = parts->agent || (vimg_tree_is(node, "channel") && is_agent(node));
    }
    return TRUE;
}

VimgMachineDisk *
vimg_machine_disk_find(GPtrArray *disks, const char *target)
{
    for (guint i = 0; i < disks->len; i++) {
        VimgMachineDisk *disk = disks->pdata[i];

        if (strcmp(disk->target, target) == 0)
            return disk;
    }
    return NULL;
}
