/*
 * primary-uri.c: where the daemon is that has the host's pools
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "host/primary-private.h"
#include "util/i18n.h"

/* The one that is old and has all drivers, or, of the new ones, that of machines. */
static const char *const sockets[] = {"libvirt-sock", "virtqemud-sock"};

char *
vimg_host_primary_uri(const VimgHostPrimary *primary)
{
    if (primary->uri)
        return g_strdup(primary->uri);
    for (gsize i = 0; i < G_N_ELEMENTS(sockets); i++) {
        g_autofree char *path = g_build_filename(primary->run_dir, sockets[i], NULL);
        g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE);

        if (access(path, F_OK) == 0)
            return g_strdup_printf("qemu+unix:///%s?socket=%s",
                                   primary->privileged ? "system" : "session", escaped);
    }
    return NULL;
}

VimgHostConnect *
vimg_host_primary_connect(const VimgHostPrimary *primary, const VimgCaller *caller, GError **error)
{
    g_autofree char *uri = vimg_host_primary_uri(primary);

    if (uri)
        return vimg_host_connect(uri, caller, error);
    vimg_throw(error, VIMG_ERROR_DISCONNECTED, _("no libvirt daemon has its socket in '%s'"),
               primary->run_dir);
    return NULL;
}
