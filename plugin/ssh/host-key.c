/*
 * host-key.c: whether a server is the one that is known
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host-key.h"
#include "known-hosts.h"
#include "ssh-private.h"

#define PREFIX "SHA256:"

/* Returns: (transfer full) as OpenSSH prints it. */
static char *
fingerprint(const guint8 *key, gsize size)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize length = sizeof(digest);
    g_autofree char *text = NULL;

    g_checksum_update(checksum, key, (gssize)size);
    g_checksum_get_digest(checksum, digest, &length);
    text = g_base64_encode(digest, length);
    text[strcspn(text, "=")] = '\0';
    return g_strconcat(PREFIX, text, NULL);
}

/* Of a key in base64, as known hosts have it. */
static char *
describe_known(const VimgKnownKey *known)
{
    gsize size;
    g_autofree guint8 *key = g_base64_decode(known->key, &size);
    g_autofree char *print = fingerprint(key, size);

    return g_strdup_printf("%s %s", known->type->name, print);
}

static const guint8 *
offered(VimgSsh *ssh, gsize *size, const VimgKeyType **type)
{
    int number = LIBSSH2_HOSTKEY_TYPE_UNKNOWN;
    const char *key = libssh2_session_hostkey(ssh->session, size, &number);

    *type = vimg_key_type(number);
    if (!key)
        *size = 0;
    return (const guint8 *)key;
}

char *
vimg_host_key_fingerprint(VimgSsh *ssh)
{
    const VimgKeyType *type;
    gsize size;
    const guint8 *key = offered(ssh, &size, &type);

    return fingerprint(key, size);
}

char *
vimg_host_key_describe(VimgSsh *ssh)
{
    const VimgKeyType *type;
    gsize size;
    const guint8 *key = offered(ssh, &size, &type);
    g_autofree char *print = fingerprint(key, size);

    return g_strdup_printf("%s %s", type->name, print);
}

const char *
vimg_host_key_type(gsize i)
{
    return i < VIMG_N_KEY_TYPES ? vimg_key_types[i].name : NULL;
}

void
vimg_host_key_prefer(VimgSsh *ssh, const VimgSshTarget *target)
{
    /* if they cannot be read, the check says so, unless it needs none of them */
    g_autoptr(VimgKnownHosts) hosts = vimg_known_hosts_load(ssh, target, NULL);
    g_autofree char *order = hosts ? vimg_known_hosts_order(hosts) : NULL;

    if (order)
        libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, order);
}

/* The way out, as a text to go behind the reason: "" if nobody named one. */
static char *
remedy(const VimgSshTarget *target, const char *print)
{
    const char *line = target->accept_line;

    if (!line)
        return g_strdup("");
    return g_strdup_printf(_("; to accept it: %1$s%2$s%3$s"), line,
                           g_str_has_suffix(line, " ") ? "" : " ", print);
}

static gboolean
refuse_unknown(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    g_autofree char *shown = vimg_host_key_describe(ssh);
    g_autofree char *print = vimg_host_key_fingerprint(ssh);
    g_autofree char *way_out = remedy(target, print);

    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
                          _("it is not known, %1$s%2$s"), shown, way_out);
}

static gboolean
refuse_changed(VimgSsh *ssh, const VimgSshTarget *target, const VimgKnownKey *known, GError **error)
{
    g_autofree char *shown = vimg_host_key_describe(ssh);
    g_autofree char *print = vimg_host_key_fingerprint(ssh);
    g_autofree char *before = describe_known(known);
    g_autofree char *way_out = remedy(target, print);

    return vimg_ssh_throw(
        error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
        _("it has changed from %1$s to %2$s; somebody may be in between, or the server was installed anew%3$s"),
        before, shown, way_out);
}

static gboolean
check_fixed(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    g_autofree char *shown = vimg_host_key_describe(ssh);
    g_autofree char *print = vimg_host_key_fingerprint(ssh);

    if (strcmp(print, target->host_key) == 0)
        return TRUE;
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
                          _("it is %1$s, and the definition names %2$s"), shown, target->host_key);
}

gboolean
vimg_host_key_check(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    g_autoptr(VimgKnownHosts) hosts = NULL;
    g_autofree char *base64 = NULL;
    g_autofree char *shown = NULL;
    const VimgKeyType *type;
    VimgKnownKey known;
    const guint8 *key;
    gsize size;

    if (target->host_key)
        return check_fixed(ssh, target, error);
    key = offered(ssh, &size, &type);
    base64 = g_base64_encode(key, size);
    hosts = vimg_known_hosts_load(ssh, target, error);
    if (!hosts)
        return FALSE;
    switch (vimg_known_hosts_look(hosts, type, base64, &known)) {
    case VIMG_KNOWN_GOOD:
        return TRUE;
    case VIMG_KNOWN_REVOKED:
        shown = vimg_host_key_describe(ssh);
        return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
                              _("it is revoked, %s"), shown);
    case VIMG_KNOWN_OTHER:
        return refuse_changed(ssh, target, &known, error);
    case VIMG_KNOWN_NOTHING:
        break;
    }
    if (target->policy == VIMG_HOST_KEY_ACCEPT_NEW)
        return vimg_host_key_remember(ssh, target, error);
    return refuse_unknown(ssh, target, error);
}

gboolean
vimg_host_key_remember(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    const VimgKeyType *type;
    gsize size;
    const guint8 *key = offered(ssh, &size, &type);
    g_autofree char *base64 = g_base64_encode(key, size);

    return vimg_known_hosts_replace(ssh, target, type, base64, error);
}
