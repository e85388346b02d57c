/*
 * machine-disk.h: the disks of a machine, as the document of its domain says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_DISK_H
#define VIMG_CLI_MACHINE_DISK_H

#include <sys/types.h>
#include <glib.h>
#include <libxml/tree.h>

/* Absent texts are NULL. */
typedef struct {
    char *target; /* vda */
    char *format; /* raw, qcow2, …; raw if nothing is said, as libvirt takes it */
    char *path;   /* of a file or block device */
    char *pool, *volume;
    char *protocol, *name; /* of a network disk: how it is reached, what it is called there */
    GPtrArray *hosts;      /* NAME:PORT of those that serve it; no port: NAME: */
    gboolean block;        /* @path is a device */
    gboolean network;      /* no path leads there */
    gboolean plain;        /* the guest sees all that is there as it is there */
    gboolean read_only;
    gboolean shareable;
    guint64 boot; /* its place in the order of booting; 0: none */
} VimgMachineDisk;

/* What a document says of its machine. */
typedef struct {
    GPtrArray *disks;   /* of VimgMachineDisk: those with a medium that are no CD-ROM or floppy */
    gboolean agent;     /* it has a channel for the guest's agent, and somebody listens there */
    gboolean has_owner; /* the emulator runs as @owner and @group */
    uid_t owner;
    gid_t group;
} VimgMachineParts;

/* Reads the <domain> document @xml into @parts.  Errors: VIMG_ERROR_XML. */
gboolean vimg_machine_parts_parse(VimgMachineParts *parts, const char *xml, GError **error);
void vimg_machine_parts_clear(VimgMachineParts *parts);

/* Those of the <source> element of a disk or pool.  Returns: (transfer full) of texts NAME:PORT. */
GPtrArray *vimg_machine_hosts(xmlNode *source);

/* The disk at @target, or NULL. */
VimgMachineDisk *vimg_machine_disk_find(GPtrArray *disks, const char *target);

#endif
