/*
 * machine-scratch.h: the directory of a machine's backup job, and what is noted there for whoever
 * comes after an end that nobody could undo
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SCRATCH_H
#define VIMG_CLI_MACHINE_SCRATCH_H

#include "cli/machine.h"

/* Returns: (transfer full) where the job of @machine has its files. */
char *vimg_scratch_dir(VimgMachine *machine, GError **error);
/* Returns: (transfer full) where the emulator serves, in @dir. */
char *vimg_scratch_socket(const char *dir);
/* Files of an ended job go; the guest may be held up still, which is another thing. */
void vimg_scratch_empty(const char *dir);

/*
 * Returns: (transfer full) the path of a file that is there as long as we may hold the guest up so
 * (VIMG_UNDO_FREEZE or _PAUSE).  It holds the machine's number, which is another after each start.
 */
char *vimg_scratch_hold(const char *dir, VimgUndoKind kind);
/* Returns: (transfer full) that of one with the name of the checkpoint that is made with the job,
 * as long as that is not ended: its images are not whole yet. */
char *vimg_scratch_point(const char *dir);
/* Returns: (transfer full) what file @note says; NULL: there is none. */
char *vimg_scratch_read(const char *note);
/* Removes it. */
void vimg_scratch_forget(const char *note);

#endif
