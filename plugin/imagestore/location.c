/*
 * location.c: where a pool's store lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "location.h"
#include "throw.h"

/* Mount paths that are refused; @below: and everything below them. */
static const struct {
    const char *path;
    gboolean below;
} forbidden[] = {
    {"/", FALSE},   {"/dev", TRUE},      {"/proc", TRUE},
    {"/sys", TRUE}, {"/usr/bin", FALSE}, {"/bin", FALSE},
};

/* The longest part of @path that exists, resolved, and the rest as it is. */
char *
vimg_location_resolve(const char *dir)
{
    g_autofree char *plain = g_canonicalize_filename(dir, "/");
    g_autofree char *head = g_strdup(dir);
    g_autofree char *tail = g_strdup("");

    for (;;) {
        char *real = realpath(head, NULL);
        g_autofree char *parent = NULL;
        g_autofree char *base = NULL;
        char *longer;

        if (real) {
            g_autofree char *joined = g_build_filename(real, tail, NULL);

            free(real);
            return g_canonicalize_filename(joined, "/");
        }
        parent = g_path_get_dirname(head);
        if (strcmp(parent, head) == 0)
            return g_steal_pointer(&plain);
        base = g_path_get_basename(head);
        longer = g_build_filename(base, tail, NULL);
        g_free(tail);
        tail = longer;
        g_free(head);
        head = g_steal_pointer(&parent);
    }
}

static gboolean
is_forbidden(const char *path)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        gsize length = strlen(forbidden[i].path);

        if (strcmp(path, forbidden[i].path) == 0)
            return TRUE;
        if (forbidden[i].below && strncmp(path, forbidden[i].path, length) == 0 &&
            path[length] == '/')
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_location_check(const char *dir, GError **error)
{
    g_autofree char *plain = NULL;
    g_autofree char *resolved = NULL;

    if (!dir || !g_path_is_absolute(dir))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("mount path '%s' is not an absolute path"), dir ? dir : "");
    plain = g_canonicalize_filename(dir, "/");
    resolved = vimg_location_resolve(dir);
    if (is_forbidden(plain) || is_forbidden(resolved))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("mount path '%s' is not allowed for a storage pool"), dir);
    return TRUE;
}

gboolean
vimg_location_make(const char *dir, char **made, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(dir);
    struct stat st;

    if (stat(dir, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return throw_result(error, ENOTDIR, _("cannot open path '%s'"), dir);
        return TRUE;
    }
    if (strcmp(parent, dir) != 0 && !vimg_location_make(parent, made, error))
        return FALSE;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return throw_result(error, errno, _("cannot create path '%s'"), dir);
    if (!*made)
        *made = g_strdup(dir);
    return TRUE;
}

void
vimg_location_unmake(const char *dir, const char *made)
{
    g_autofree char *path = g_strdup(dir);

    while (rmdir(path) == 0 && strcmp(path, made) != 0) {
        char *parent = g_path_get_dirname(path);

        g_free(path);
        path = parent;
    }
}
