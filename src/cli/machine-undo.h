/*
 * machine-undo.h: what a command leaves behind until it has succeeded, and who takes it away
 *
 * Jobs, checkpoints, images and domains outlive the command that made them.  So that none does that
 * did not end well, a process is forked that is told of each before it is made.  It waits for the
 * end of the command, however that comes: by itself, a signal, a crash.  Then it undoes what was
 * not taken off its list, in reverse order, and goes on trying for a while if a daemon is away: if
 * the guest is held up, as long as the same run of the machine lasts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_UNDO_H
#define VIMG_CLI_MACHINE_UNDO_H

#include "cli/command.h"

/* What each is about is a text without tabs and line feeds, or several with tabs between. */
typedef enum {
    VIMG_UNDO_IMAGE,      /* pool, name, uuid: it was begun, or is complete but not all were;
                             uuid "": it may have been begun; "*": the same, or be complete,
                             and there was none of the name before */
    VIMG_UNDO_BACKUP,     /* the socket: a job that serves there */
    VIMG_UNDO_CHECKPOINT, /* its name */
    VIMG_UNDO_FREEZE,     /* the run of the machine, a file that notes it: the file systems of the
                             guest are frozen */
    VIMG_UNDO_PAUSE,      /* the same: the machine waits for us */
    VIMG_UNDO_FILE,       /* its path, vimg_file_mark() of it; none: the name is nobody else's */
    VIMG_UNDO_VOLUME,     /* pool, name: of the machines' host; pool, name: of the image that the
                             daemon makes it of, if it does */
    VIMG_UNDO_RENAME,     /* path, where it was: the disk of a machine that does not run */
    VIMG_UNDO_DOMAIN,     /* uuid: it was defined */
    VIMG_N_UNDO,
} VimgUndoKind;

/* What images are called that are but the way to something else, before a uuid. */
#define VIMG_UNDO_PASSING "clone-"

typedef struct _VimgUndo VimgUndo;

/*
 * Forks, which is to be done before any thread is started.  @machines: the URI of the machine
 * @uuid;
 * @lock: a descriptor that the other process is to hold as long as it runs.
 */
VimgUndo *vimg_undo_new(VimgCtl *ctl, const char *machines, const char *uuid, int lock,
                        GError **error);

/* What the daemon does for @ctl by itself ends with the command, so that what is found then is all.
 */
void vimg_undo_bind(VimgCtl *ctl);
/* Before @what is made.  FALSE with @error: nothing would be undone. */
gboolean vimg_undo_add(VimgUndo *undo, VimgUndoKind kind, GError **error, const char *what,
                       ...) G_GNUC_NULL_TERMINATED;
/* It is gone, or is to stay. */
void vimg_undo_drop(VimgUndo *undo, VimgUndoKind kind, const char *what,
                    ...) G_GNUC_NULL_TERMINATED;
/* Nothing is to be undone any more, but that the guest is let go, should it be held up still. */
void vimg_undo_keep(VimgUndo *undo);
/* All that follows until vimg_undo_tell() counts as one: if that is not reached, nothing of it. */
void vimg_undo_gather(VimgUndo *undo);
gboolean vimg_undo_tell(VimgUndo *undo, GError **error);

/*
 * Lets the other process do what is left, and waits some seconds for it.  Returns: whether all was
 * undone; else it is still tried.  @undo is freed.  Accepts NULL.
 */
gboolean vimg_undo_end(VimgUndo *undo);

/* ---- for machine-undo.c and its steps ------------------------------------------------------- */

typedef struct {
    VimgCtl *ctl;
    const char *machines;
    const char *uuid;
} VimgUndoContext;

/* Undoes one thing; in place of a word of @what that says less than was found, there is what was
 * found.  Returns: TRUE if it is gone, or cannot be there any more. */
gboolean vimg_undo_step(VimgUndoContext *context, VimgUndoKind kind, char **what, GError **error);

#endif
