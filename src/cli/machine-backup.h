/*
 * machine-backup.h: the disks of a machine that is not shut off, as they are at one moment
 *
 * libvirt's backup in pull mode: QEMU serves what the disks held when it began, and keeps what the
 * guest overwrites meanwhile in scratch files.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_BACKUP_H
#define VIMG_CLI_MACHINE_BACKUP_H

#include "cli/machine.h"

#define VIMG_BACKUP_BITMAP "changed" /* the name of what was changed, where since is given */

/* One disk of it. */
typedef struct {
    const VimgMachineDisk *disk;
    const char *since; /* a checkpoint; NULL: all of it is read */
    gboolean left_out; /* an image was made of it already, at that moment */
} VimgBackupDisk;

/* What else is of that moment, in which the guest waits. */
typedef gboolean (*VimgBackupHeld)(gpointer data, GError **error);

typedef struct {
    VimgMachine *machine;
    char *dir, *socket;
    guint64 reserve; /* bytes that must stay free where @dir is */
    gboolean running;
    gboolean frozen;     /* file systems of the guest were, at that moment */
    char *not_frozen;    /* why not */
    const char *point;   /* the checkpoint made, or NULL; borrowed */
    VimgBackupHeld held; /* set before it begins, or NULL; it may leave disks out */
    gpointer held_data;
    gboolean stopped; /* the machine was, for that moment */
    guint holds;      /* bits 1 << VIMG_UNDO_…: the guest may be held up so still */
} VimgBackup;

/*
 * Begins one of the @n @disks; but for .held, @backup must be zeroed.  @point: the
 * <domaincheckpoint> to be made at that very moment, of the name @point_name, or NULL.
 */
gboolean vimg_backup_begin(VimgBackup *backup, VimgMachine *machine, const VimgBackupDisk *disks,
                           gsize n, const char *point_name, const char *point, GError **error);
/* Within .held: the guest goes on at once, as what waits for it is given up. */
void vimg_backup_let_go(VimgBackup *backup);
/* Whether it may go on: what the guest writes has room.  Cheap. */
gboolean vimg_backup_check(const VimgBackup *backup, GError **error);
/* The job ends, the checkpoint stays. */
gboolean vimg_backup_end(VimgBackup *backup, GError **error);
void vimg_backup_clear(VimgBackup *backup);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgBackup, vimg_backup_clear)

/* Ends the job of @domain that serves at @socket, if there is one, with its files. */
gboolean vimg_backup_stop(virDomainPtr domain, const char *socket, GError **error);
/* The same, but its files stay. */
gboolean vimg_backup_end_job(virDomainPtr domain, const char *socket, GError **error);

/* How a guest that is held up is let go. */
typedef gboolean (*VimgRelease)(virDomainPtr domain, GError **error);

/*
 * Lets @domain go by @release if it is the same @run of it (its number, as text) that was held up;
 * then the file @note of that goes.
 */
gboolean vimg_backup_release(virDomainPtr domain, const char *run, const char *note,
                             VimgRelease release, GError **error);
/* Lets @domain go on if it was paused by a command, as libvirt says; whose is the caller's to know.
 */
gboolean vimg_backup_resume(virDomainPtr domain, GError **error);

#endif
