/*
 * target.h: a file that a download makes
 *
 * It grows beside the one that it will be, as FILE.UUID.part; we remember which content of the
 * image of that uuid it is of, and go on with no other.  A pipe or a device is written to as it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TARGET_H
#define VIMG_CLI_TARGET_H

#include <glib.h>

typedef struct {
    char *path; /* NULL: standard output */
    char *part; /* NULL: written to in place */
    int fd;
    guint64 at;          /* bytes that it has and are right */
    guint64 known;       /* below it, what comes is compared, not written */
    guint64 durable;     /* bytes that no crash takes away */
    gboolean is_stale;   /* what it had is not of the image */
    char *uuid, *record; /* of a part */
    guint64 content;     /* tells what the image held from all else; 0: not known */
} VimgTarget;

/* @path: "-" for standard output. */
VimgTarget *vimg_target_new(const char *path, GError **error);
/* Closes it; a part stays. */
void vimg_target_free(VimgTarget *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTarget, vimg_target_free)

/*
 * Begins to write the content of @generation (NULL: not known) of image @uuid, or to go on with it
 * unless @afresh; opened already, it stays as it is.  Only of a part that we remember anything is
 * used, and no more of it than is durable; what else lies there is replaced.
 */
gboolean vimg_target_open(VimgTarget *target, const char *uuid, const char *generation,
                          gboolean afresh, GError **error);
/* Whether holes may be left out. */
gboolean vimg_target_is_sparse(const VimgTarget *target);

gboolean vimg_target_write(VimgTarget *target, const void *data, gsize size, GError **error);
gboolean vimg_target_hole(VimgTarget *target, guint64 length, GError **error);

/* Has all that came kept and remembered, as far as that goes. */
void vimg_target_checkpoint(VimgTarget *target);
/* A part becomes empty: for one that turned out to be stale. */
gboolean vimg_target_restart(VimgTarget *target, GError **error);

/* It is whole and right: it gets its name, for good. */
gboolean vimg_target_commit(VimgTarget *target, GError **error);
/* What is there is of no use to anybody. */
void vimg_target_discard(VimgTarget *target);

#endif
