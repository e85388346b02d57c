/*
 * import-note.c: what an unfinished import was of, so that it goes on only with the same
 *
 * It is this host's: whatever else changes the content here forgets it, but another host cannot, so
 * whoever goes on compares the end of what is stored.
 * Images go without asking: what lies there for a month is of none that anybody waits for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/import-note.h"
#include "util/file.h"

#define NOTE_MAX 256 /* bytes */
#define KEPT ((gint64)30 * 24 * 3600)

static char *
find_dir(const char *state_dir)
{
    return g_build_filename(state_dir, "imports", NULL);
}

static char *
find_note(const char *state_dir, const char *uuid)
{
    return g_build_filename(state_dir, "imports", uuid, NULL);
}

static void
drop_old(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *note = g_build_filename(path, name, NULL);
        struct stat info;

        if (stat(note, &info) == 0 && info.st_mtime < now - KEPT)
            unlink(note);
    }
}

gboolean
vimg_import_note(const char *state_dir, const char *uuid, const char *identity, GError **error)
{
    g_autofree char *dir = find_dir(state_dir);
    g_autofree char *path = find_note(state_dir, uuid);

    if (!vimg_dir_make(dir, 0700, error))
        return FALSE;
    drop_old(dir);
    return vimg_file_replace(path, identity, strlen(identity), 0600, error);
}

gboolean
vimg_import_noted(const char *state_dir, const char *uuid, const char *identity)
{
    g_autofree char *path = find_note(state_dir, uuid);
    g_autofree char *text = vimg_file_read(path, NOTE_MAX, NULL, NULL);

    return text && strcmp(text, identity) == 0;
}

void
vimg_import_forget(const char *state_dir, const char *uuid)
{
    g_autofree char *path = find_note(state_dir, uuid);

    unlink(path);
}
