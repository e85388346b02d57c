/*
 * machine.h: a machine whose disks become images, and the connection to it
 *
 * Machines are libvirt's, images the daemon's.  Where the daemon passes on what is for the host's
 * libvirtd, one URI leads to both; nothing here depends on that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_H
#define VIMG_CLI_MACHINE_H

#include <libvirt/libvirt.h>

#include "cli/ctl.h"
#include "cli/machine-disk.h"
#include "cli/machine-undo.h"

typedef struct {
    VimgCtl *ctl;
    char *uri; /* of the machines */
    virConnectPtr connection;
    virDomainPtr domain;
    char *name;
    char uuid[VIR_UUID_STRING_BUFLEN];
    gboolean active; /* it runs or is paused */
    gboolean paused;
    gboolean frozen; /* its file systems may be, of an earlier command */
    VimgMachineParts parts;
    guint64 reserve;   /* bytes to be left free in the scratch directory; 0: not given */
    guint64 patience;  /* seconds, with a guest that is to freeze its file systems; 0: it is not */
    gboolean changing; /* what it had is being changed, and not only added to */
    VimgUndo *undo;    /* what is to be undone should this not succeed */
} VimgMachine;

/* Of libvirt's last error: with its code and text in VIMG_DAEMON_ERROR.  Returns: FALSE. */
gboolean vimg_machine_throw(GError **error);

/* Returns: (transfer full) the URI of the machines: --machines, or the daemon's own. */
char *vimg_machine_uri(VimgCtl *ctl);
/* Returns: a connection to be closed; NULL with @error. */
virConnectPtr vimg_machine_connect(const char *uri, GError **error);

/* Connects and looks @name (or a uuid) up, for who only wants to know of it. */
gboolean vimg_machine_find(VimgMachine *machine, VimgCtl *ctl, const char *name, GError **error);
/*
 * The same for who does something: who undoes it if it fails is started.  Nobody else works on the
 * machine's images until it is cleared: VIMG_ERROR_BUSY.  @machine must be zeroed.
 */
gboolean vimg_machine_open(VimgMachine *machine, VimgCtl *ctl, const char *name, GError **error);
/* Connects again if the connection was lost meanwhile, and waits some seconds for that. */
gboolean vimg_machine_again(VimgMachine *machine, GError **error);
void vimg_machine_clear(VimgMachine *machine);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgMachine, vimg_machine_clear)

/*
 * The disks that are meant: all that are written to, or those at @targets, separated by commas.
 * Returns: (transfer container) of VimgMachineDisk, borrowed of @machine; NULL with @error.
 */
GPtrArray *vimg_machine_choose(const VimgMachine *machine, const char *targets, GError **error);

/* Of @disks (VimgMachineDisk), only the one that the machine boots from stays. */
void vimg_machine_keep_root(GPtrArray *disks);
/* Clears @machine; an @error that Ctrl-C brought about says so, if all was undone. */
void vimg_machine_end(VimgMachine *machine, GError **error);

/* A directory for what is needed for a while: --scratch, made if it is not there; NULL: @error. */
char *vimg_machine_scratch(VimgCtl *ctl, GError **error);

#endif
