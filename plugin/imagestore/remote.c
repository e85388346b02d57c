/*
 * remote.c: what the definition of a pool on another machine says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "option.h"
#include "remote.h"
#include "../ssh/ssh.h"
#include "../throw.h"

#define FINGERPRINT "SHA256:"
#define FINGERPRINT_LENGTH 43 /* base64 digits of 32 bytes, without padding */

gboolean
vimg_remote_is(const VimgPluginPool *pool)
{
    return pool->n_hosts > 0;
}

gboolean
vimg_remote_is_fingerprint(const char *text)
{
    const char *digits = text + strlen(FINGERPRINT);

    return g_str_has_prefix(text, FINGERPRINT) && strlen(digits) == FINGERPRINT_LENGTH &&
           strspn(digits, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+/") == FINGERPRINT_LENGTH;
}

static gboolean
check_local(const VimgPluginPool *pool, GError **error)
{
    gsize i;

    if (pool->auth_type)
        return throw_error(error, VIMG_ERROR_XML,
                           _("element '%s' is of no use without an element 'host'"), "auth");
    for (i = 0; i < pool->n_elements; i++) {
        if (strcmp(pool->elements[i].path, "ssh") == 0)
            return throw_error(error, VIMG_ERROR_XML,
                               _("element '%s' is of no use without an element 'host'"), "ssh");
    }
    return TRUE;
}

gboolean
vimg_remote_check(const VimgPluginPool *pool, GError **error)
{
    const char *host_key = vimg_option_text(pool, "ssh", "hostKey");
    const char *identity = vimg_option_text(pool, "ssh", "identity");

    if (!vimg_remote_is(pool))
        return check_local(pool, error);
    if (host_key && !vimg_remote_is_fingerprint(host_key))
        return throw_error(
            error, VIMG_ERROR_XML,
            _("host key '%s' is not a fingerprint: SHA256: and 43 digits of base64, as ssh-keygen -l shows it"),
            host_key);
    if (identity && !g_path_is_absolute(identity))
        return throw_error(error, VIMG_ERROR_XML, _("identity '%s' is not an absolute path"),
                           identity);
    if (!identity && !pool->secret_usage && !pool->secret_uuid)
        return throw_error(
            error, VIMG_ERROR_XML,
            _("nothing to log in with: give <auth type='ssh' username='...'> with the secret of a password, or <image:ssh identity='...'/>"));
    return TRUE;
}

guint16
vimg_remote_port(const VimgPluginAddress *host)
{
    return host->port ? host->port : VIMG_SSH_PORT;
}

char *
vimg_remote_identity(const VimgPluginPool *pool)
{
    g_autofree char *host = g_ascii_strdown(pool->hosts[0].name, -1);
    g_autofree char *dir = g_canonicalize_filename(pool->dir, "/");

    return g_strdup_printf("ssh:%s:%u%s", host, vimg_remote_port(&pool->hosts[0]), dir);
}

char *
vimg_remote_where(const VimgPluginPool *pool)
{
    const char *host;

    if (!vimg_remote_is(pool))
        return g_strdup(pool->dir);
    host = pool->hosts[0].name;
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, pool->dir);
}
