/*
 * machine-point.c: checkpoints of a machine, from which on libvirt knows what its disks changed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-point.h"
#include "cli/tree.h"

#define PREFIX "virtimage-" /* of the names of ours */

static void
point_free(gpointer data)
{
    VimgPoint *point = data;

    g_free(point->name);
    g_hash_table_unref(point->images);
    g_free(point);
}

/* Its description is "DISK=UUID DISK=UUID". */
static VimgPoint *
read_point(virDomainCheckpointPtr checkpoint)
{
    const char *name = virDomainCheckpointGetName(checkpoint);
    char *xml = virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN);
    g_autoptr(xmlDoc) doc = xml ? vimg_tree_read(xml, "domaincheckpoint", NULL) : NULL;
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *text = vimg_tree_text(vimg_tree_element(root, "description"));
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
    VimgPoint *point = g_new0(VimgPoint, 1);

    free(xml);
    point->name = g_strdup(name);
    point->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (gsize i = 0; words[i]; i++) {
        const char *equal = strchr(words[i], '=');

        if (equal)
            g_hash_table_replace(point->images, g_strndup(words[i], (gsize)(equal - words[i])),
                                 g_strdup(equal + 1));
    }
    return point;
}

GPtrArray *
vimg_points_list(VimgMachine *machine)
{
    GPtrArray *points = g_ptr_array_new_with_free_func(point_free);
    virDomainCheckpointPtr *list = NULL;
    int n =
        virDomainListAllCheckpoints(machine->domain, &list, VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL);

    for (int i = 0; i < n; i++) {
        if (g_str_has_prefix(virDomainCheckpointGetName(list[i]), PREFIX))
            g_ptr_array_add(points, read_point(list[i]));
        virDomainCheckpointFree(list[i]);
    }
    free(list);
    return points;
}

static const VimgImage *
find_image(GPtrArray *history, const char *uuid)
{
    for (guint i = 0; uuid && i < history->len; i++) {
        const VimgImage *image = history->pdata[i];

        if (strcmp(image->uuid, uuid) == 0)
            return image;
    }
    return NULL;
}

const VimgPoint *
vimg_points_choose(GPtrArray *points, GPtrArray *history, const char *disk, guint64 capacity,
                   const VimgImage **image)
{
    for (guint i = points->len; i > 0; i--) {
        const VimgPoint *point = points->pdata[i - 1];
        const char *uuid = g_hash_table_lookup(point->images, disk);
        const VimgImage *found = find_image(history, uuid);

        if (found && g_strcmp0(found->machine_disk, disk) == 0 && found->physical == capacity) {
            *image = found;
            return point;
        }
    }
    return NULL;
}

gboolean
vimg_point_serves(const VimgMachineDisk *disk)
{
    return strcmp(disk->format, "qcow2") == 0;
}

gboolean
vimg_point_is_ours(const char *name)
{
    return name && g_str_has_prefix(name, PREFIX);
}

char *
vimg_point_name(const char *uuid)
{
    return g_strconcat(PREFIX, uuid, NULL);
}

static gboolean
is_among(GPtrArray *disks, const char *target)
{
    for (guint i = 0; i < disks->len; i++) {
        const char *text = disks->pdata[i];
        gsize n = strlen(target);

        if (strncmp(text, target, n) == 0 && text[n] == '=')
            return TRUE;
    }
    return FALSE;
}

char *
vimg_point_format(VimgMachine *machine, const char *name, GPtrArray *disks)
{
    GString *xml = g_string_new("<domaincheckpoint>");

    g_string_append_printf(xml, "<name>%s</name><description>", name);
    for (guint i = 0; i < disks->len; i++)
        g_string_append_printf(xml, "%s%s", i > 0 ? " " : "", (char *)disks->pdata[i]);
    g_string_append(xml, "</description><disks>");
    for (guint i = 0; i < machine->parts.disks->len; i++) {
        const VimgMachineDisk *disk = machine->parts.disks->pdata[i];

        g_string_append_printf(xml, "<disk name='%s' checkpoint='%s'/>", disk->target,
                               is_among(disks, disk->target) ? "bitmap" : "no");
    }
    g_string_append(xml, "</disks></domaincheckpoint>");
    return g_string_free(xml, FALSE);
}

static gboolean
is_of(const VimgPoint *point, GPtrArray *history)
{
    GHashTableIter iter;
    gpointer uuid;

    g_hash_table_iter_init(&iter, point->images);
    while (g_hash_table_iter_next(&iter, NULL, &uuid))
        if (find_image(history, uuid))
            return TRUE;
    return FALSE;
}

void
vimg_points_retire(VimgMachine *machine, GPtrArray *points, GPtrArray *history, gboolean lost)
{
    for (guint i = 0; i < points->len; i++) {
        const VimgPoint *point = points->pdata[i];
        virDomainCheckpointPtr checkpoint =
            is_of(point, history) ? virDomainCheckpointLookupByName(machine->domain, point->name, 0)
                                  : NULL;

        if (!checkpoint)
            continue;
        /* one that stays costs a little, no more; a bitmap that is lost cannot be removed */
        if (virDomainCheckpointDelete(checkpoint, 0) < 0 && lost)
            virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
        virDomainCheckpointFree(checkpoint);
    }
}
