/*
 * machine-domain.h: the document of a machine that becomes that of its clone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_DOMAIN_H
#define VIMG_CLI_MACHINE_DOMAIN_H

#include <glib.h>

/* A disk of the new machine. */
typedef struct {
    const char *target;
    const char *path;
    gboolean block;
    const char *pool; /* the document of the host's pool that @path is called so in; NULL: a file */
} VimgDomainDisk;

typedef struct {
    const char *name, *uuid;
    const char *nvram; /* the path of its own; NULL: the machine has none */
    GArray *disks;     /* of VimgDomainDisk */
} VimgDomainChange;

/*
 * What keeps the machine of the <domain> document @xml from being cloned.  Returns: FALSE with
 * VIMG_ERROR_OPERATION_UNSUPPORTED, naming it.
 */
gboolean vimg_domain_check(const char *xml, GError **error);

/* Returns: (transfer full) the path of the file with the firmware's variables, or NULL. */
char *vimg_domain_nvram(const char *xml);

/*
 * Returns: (transfer full) the document of the clone: what identifies the machine is new or left
 * for libvirt to make, disks that are written to and not among @change's are left out, files that
 * the emulator writes have paths of their own.  NULL with @error.
 */
char *vimg_domain_change(const char *xml, const VimgDomainChange *change, GError **error);

#endif
