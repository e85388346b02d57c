/*
 * record.c: what a client remembers of a transfer that may be cut off
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/record.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/uuid.h"

#define BYTES_MAX (VIMG_RECORD_MAX * 21 + 1)

char *
vimg_record_path(const char *kind, const char *uuid, const struct stat *of)
{
    guint8 bytes[VIMG_UUID_SIZE];
    char text[VIMG_UUID_TEXT_SIZE];
    g_autofree char *name = NULL;

    /* it becomes part of a path */
    if (!uuid || !vimg_uuid_parse(uuid, bytes))
        return NULL;
    vimg_uuid_format(bytes, text);
    name = of ? g_strdup_printf("%s.%llx.%llx", text, (unsigned long long)of->st_dev,
                                (unsigned long long)of->st_ino)
              : g_strdup(text);
    return g_build_filename(g_get_user_state_dir(), "virtimage", kind, name, NULL);
}

static gboolean
is_private(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
           info.st_nlink == 1 && (info.st_mode & 077) == 0;
}

gboolean
vimg_record_read(const char *path, guint64 *numbers, gsize count)
{
    g_autofree char *text = is_private(path) ? vimg_file_read(path, BYTES_MAX, NULL, NULL) : NULL;
    g_auto(GStrv) words = text ? g_strsplit(g_strchomp(text), " ", -1) : NULL;

    if (!words || g_strv_length(words) != count)
        return FALSE;
    for (gsize i = 0; i < count; i++) {
        if (!g_ascii_string_to_unsigned(words[i], 10, 0, G_MAXUINT64, &numbers[i], NULL))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_record_write(const char *path, const guint64 *numbers, gsize count, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    for (gsize i = 0; i < count; i++)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i > 0 ? " " : "", numbers[i]);
    g_string_append_c(text, '\n');
    if (vimg_dir_make(dir, 0700, NULL) && vimg_file_replace(path, text->str, text->len, 0600, NULL))
        return TRUE;
    return vimg_record_remove(path, error);
}

gboolean
vimg_record_remove(const char *path, GError **error)
{
    if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
        return TRUE;
    return vimg_throw_errno(error, _("cannot remove '%s'"), path);
}
