/*
 * machine-scratch.c: the directory of a machine's backup job, and what is noted there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "cli/machine-scratch.h"
#include "util/file.h"

#define NOTE_MAX 256 /* bytes */

static const char *const hold_names[VIMG_N_UNDO] = {
    [VIMG_UNDO_FREEZE] = "frozen", [VIMG_UNDO_PAUSE] = "stopped"};

char *
vimg_scratch_dir(VimgMachine *machine, GError **error)
{
    g_autofree char *scratch = vimg_machine_scratch(machine->ctl, error);

    return scratch ? g_build_filename(scratch, machine->uuid, NULL) : NULL;
}

char *
vimg_scratch_socket(const char *dir)
{
    return g_build_filename(dir, "nbd", NULL);
}

static gboolean
is_hold(const char *name)
{
    return strcmp(name, hold_names[VIMG_UNDO_FREEZE]) == 0 ||
           strcmp(name, hold_names[VIMG_UNDO_PAUSE]) == 0;
}

void
vimg_scratch_empty(const char *dir)
{
    GDir *files = g_dir_open(dir, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (!is_hold(name))
            unlink(path);
    }
    if (files)
        g_dir_close(files);
    rmdir(dir);
}

char *
vimg_scratch_hold(const char *dir, VimgUndoKind kind)
{
    return g_build_filename(dir, hold_names[kind], NULL);
}

char *
vimg_scratch_point(const char *dir)
{
    return g_build_filename(dir, "checkpoint", NULL);
}

char *
vimg_scratch_read(const char *note)
{
    gsize size = 0;

    return vimg_file_read(note, NOTE_MAX, &size, NULL);
}

void
vimg_scratch_forget(const char *note)
{
    g_autofree char *dir = g_path_get_dirname(note);

    unlink(note);
    rmdir(dir); /* unless a job has files there */
}
