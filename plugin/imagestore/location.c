/*
 * location.c: where a pool's store lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "location.h"
#include "../throw.h"

/* Mount paths that are refused; @below: and everything below them. */
static const struct {
    const char *path;
    gboolean below;
} forbidden[] = {
    {"/", FALSE},   {"/dev", TRUE},      {"/proc", TRUE},
    {"/sys", TRUE}, {"/usr/bin", FALSE}, {"/bin", FALSE},
};

/* A VimgRealPath of this host. */
static char *
real_here(const char *path, gpointer data)
{
    g_autofree char *real = NULL;
    char *found = realpath(path, NULL);

    real = g_strdup(found);
    free(found);
    return g_steal_pointer(&real);
}

char *
vimg_location_resolve_by(const char *dir, VimgRealPath real_path, gpointer data)
{
    g_autofree char *plain = g_canonicalize_filename(dir, "/");
    g_autofree char *head = g_strdup(dir);
    g_autofree char *tail = g_strdup("");

    for (;;) {
        g_autofree char *real = real_path(head, data);
        g_autofree char *parent = NULL;
        g_autofree char *base = NULL;
        char *longer;

        if (real) {
            g_autofree char *joined = g_build_filename(real, tail, NULL);

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

char *
vimg_location_resolve(const char *dir)
{
    return vimg_location_resolve_by(dir, real_here, NULL);
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
vimg_location_allow(const char *dir, const char *resolved, GError **error)
{
    if (!is_forbidden(resolved))
        return TRUE;
    if (strcmp(dir, resolved) == 0)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("mount path '%s' is not allowed for a storage pool"), dir);
    return throw_error(
        error, VIMG_ERROR_INVALID_ARG,
        _("mount path '%1$s' leads to '%2$s', which is not allowed for a storage pool"), dir,
        resolved);
}

gboolean
vimg_location_check_name(const char *dir, GError **error)
{
    g_autofree char *plain = NULL;

    if (!dir || !g_path_is_absolute(dir))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("mount path '%s' is not an absolute path"), dir ? dir : "");
    plain = g_canonicalize_filename(dir, "/");
    return vimg_location_allow(dir, plain, error);
}

gboolean
vimg_location_check(const char *dir, GError **error)
{
    g_autofree char *resolved = NULL;

    if (!vimg_location_check_name(dir, error))
        return FALSE;
    resolved = vimg_location_resolve(dir);
    return vimg_location_allow(dir, resolved, error);
}

/* ---- making it -------------------------------------------------------------------------- */

/* @dir as the transport knows it. */
static const char *
below_root(const char *dir)
{
    return dir + strspn(dir, "/");
}

gboolean
vimg_location_make(VimgTransport *root, const char *dir, char **made, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(dir);
    int result = vimg_transport_mkdir(root, below_root(dir));

    if (result == ENOENT && strcmp(parent, dir) != 0) {
        if (!vimg_location_make(root, parent, made, error))
            return FALSE;
        result = vimg_transport_mkdir(root, below_root(dir));
    }
    if (result != 0 && result != EEXIST)
        return throw_result(error, result, _("cannot create path '%s'"), dir);
    if (result == 0 && !*made)
        *made = g_strdup(dir);
    return TRUE;
}

void
vimg_location_unmake(VimgTransport *root, const char *dir, const char *made)
{
    g_autofree char *path = g_strdup(dir);

    while (vimg_location_remove(root, path) == 0 && strcmp(path, made) != 0) {
        char *parent = g_path_get_dirname(path);

        g_free(path);
        path = parent;
    }
}

int
vimg_location_remove(VimgTransport *root, const char *dir)
{
    return vimg_transport_rmdir(root, below_root(dir));
}
