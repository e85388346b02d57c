/*
 * mount-path.c: which directories may never become a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "conf/pool-def.h"
#include "util/i18n.h"

/* As many symbolic links in one path as Linux follows. */
#define LINKS_MAX 40

static const struct {
    const char *path;
    gboolean below; /* what lies below it too */
} forbidden[] = {
    {"/", FALSE},    {"/bin", FALSE}, {"/dev", TRUE},
    {"/proc", TRUE}, {"/sys", TRUE},  {"/usr/bin", FALSE},
};

static gboolean
is_forbidden(const char *path)
{
    guint i;

    for (i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        gsize size = strlen(forbidden[i].path);

        if (strncmp(path, forbidden[i].path, size) == 0 &&
            (path[size] == '\0' || (path[size] == '/' && forbidden[i].below)))
            return TRUE;
    }
    return FALSE;
}

/* The target of a symbolic link; NULL for everything else, absent files included. */
static char *
link_target(const char *path)
{
    char target[4096];
    ssize_t n = readlink(path, target, sizeof(target));

    return n > 0 && (gsize)n < sizeof(target) ? g_strndup(target, (gsize)n) : NULL;
}

/* Puts the components of @path, last first, on top of @todo. */
static void
push_components(GPtrArray *todo, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    guint i = g_strv_length(parts);

    while (i-- > 0)
        g_ptr_array_add(todo, g_strdup(parts[i]));
}

/*
 * @path without links, "." and "..", also where it does not exist yet: what mkdir -p would make.
 * realpath() cannot say where a dangling link leads.
 */
static char *
resolve(const char *path, GError **error)
{
    g_autoptr(GPtrArray) todo = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *done = g_strdup("/");
    guint links = 0;

    push_components(todo, path);
    while (todo->len > 0) {
        g_autofree char *part = g_ptr_array_steal_index(todo, todo->len - 1);
        g_autofree char *next = NULL;
        g_autofree char *target = NULL;

        if (strcmp(part, "") == 0 || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            next = g_path_get_dirname(done);
        } else {
            next = g_build_filename(done, part, NULL);
            target = link_target(next);
        }
        if (!target) {
            g_free(done);
            done = g_steal_pointer(&next);
            continue;
        }
        if (++links > LINKS_MAX) {
            errno = ELOOP;
            vimg_throw_errno(error, _("cannot resolve mount path '%s'"), path);
            return NULL;
        }
        push_components(todo, target);
        if (*target == '/') {
            g_free(done);
            done = g_strdup("/");
        }
    }
    return g_steal_pointer(&done);
}

gboolean
vimg_mount_path_check(const char *path, GError **error)
{
    g_autofree char *plain = NULL;
    g_autofree char *resolved = NULL;

    if (!g_path_is_absolute(path))
        return vimg_throw(error, VIMG_ERROR_XML, _("mount path '%s' is not absolute"), path);
    if (strnlen(path, PATH_MAX) == PATH_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("mount path is longer than %d bytes"),
                          PATH_MAX - 1);
    plain = g_canonicalize_filename(path, "/");
    if (!(resolved = resolve(path, error)))
        return FALSE;
    if (!is_forbidden(plain) && !is_forbidden(resolved))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("mount path '%s' belongs to the system"), path);
}
