/*
 * definition.c: what the definition of a pool in a Ceph cluster says
 *
 * Either it has the monitors' addresses and the name of the key, or it has the monitors' hosts, to
 * be asked for both over SSH.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "../throw.h"

#define POOL_NAME_MAX 128 /* bytes */
#define USER_MAX 128      /* bytes */
#define HOST_MAX 253      /* bytes of the longest host name */
#define VERIFY_RATE ((guint64)100 * 1024 * 1024)

const VimgPluginOption vimg_ceph_options[] = {
    {"monitor", "host", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"monitor", "sshPort", VIMG_OPTION_UINT, 1, G_MAXUINT16, NULL, "22"},
    {"monitor", "username", VIMG_OPTION_STRING, 0, 0, NULL, "root"},
    {"monitor", "hostKey", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"monitor/secret", "usage", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"monitor/secret", "uuid", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"ssh", "policy", VIMG_OPTION_ENUM, 0, 0, "known|accept-new", "known"},
    {"ssh", "identity", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"verify", "rate", VIMG_OPTION_UINT, 0, G_MAXINT64, NULL, "104857600"},
    {NULL},
};

/* ---- elements --------------------------------------------------------------------------- */

static const char *
attribute_of(const VimgPluginElement *element, const char *attribute)
{
    const char *const *pair;

    for (pair = element->attributes; pair && pair[0]; pair += 2) {
        if (strcmp(pair[0], attribute) == 0)
            return pair[1];
    }
    return NULL;
}

const char *
vimg_ceph_option(const VimgPluginPool *pool, const char *path, const char *attribute)
{
    gsize i;

    for (i = 0; i < pool->n_elements; i++) {
        const char *value = attribute_of(&pool->elements[i], attribute);

        if (value && strcmp(pool->elements[i].path, path) == 0)
            return value;
    }
    return NULL;
}

guint64
vimg_ceph_verify_rate(const VimgPluginPool *pool)
{
    const char *text = vimg_ceph_option(pool, "verify", "rate");
    guint64 rate = VERIFY_RATE;

    if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &rate, NULL))
        rate = VERIFY_RATE;
    return rate;
}

static void
add_host(GArray *hosts, const VimgPluginElement *element)
{
    VimgCephSshHost host = {
        .address.name = attribute_of(element, "host"),
        .user = attribute_of(element, "username"),
        .host_key = attribute_of(element, "hostKey"),
    };
    const char *port = attribute_of(element, "sshPort");
    guint64 number;

    if (port && g_ascii_string_to_unsigned(port, 10, 1, G_MAXUINT16, &number, NULL))
        host.address.port = (guint16)number;
    g_array_append_val(hosts, host);
}

GArray *
vimg_ceph_ssh_hosts(const VimgPluginPool *pool)
{
    GArray *hosts = g_array_new(FALSE, FALSE, sizeof(VimgCephSshHost));
    gsize i;

    for (i = 0; i < pool->n_elements; i++) {
        const VimgPluginElement *element = &pool->elements[i];

        if (strcmp(element->path, "monitor") == 0) {
            add_host(hosts, element);
        } else if (strcmp(element->path, "monitor/secret") == 0 && hosts->len > 0) {
            /* elements come in document order, so it is that of the last one */
            VimgCephSshHost *host = &g_array_index(hosts, VimgCephSshHost, hosts->len - 1);

            host->secret_usage = attribute_of(element, "usage");
            host->secret_uuid = attribute_of(element, "uuid");
        }
    }
    return hosts;
}

const char *
vimg_ceph_user(const VimgPluginPool *pool)
{
    return pool->auth_user ? pool->auth_user : VIMG_CEPH_USER;
}

char *
vimg_ceph_pool_name(const VimgPluginPool *pool)
{
    g_auto(GStrv) parts = NULL;
    g_autofree char *digits = NULL;

    if (pool->source_name)
        return g_strdup(pool->source_name);
    parts = g_strsplit(pool->uuid, "-", -1);
    digits = g_strjoinv("", parts);
    return g_strconcat("bak-t-", digits, NULL);
}

/* ---- the callbacks ---------------------------------------------------------------------- */

static gboolean
is_word(const char *text, gsize max)
{
    gsize size = strlen(text);

    return size > 0 && size <= max && g_ascii_isalnum(*text) &&
           strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-:%") == size;
}

/* What rbd takes apart in the name of an image has no place in that of a pool. */
static gboolean
check_pool_name(const char *name, GError **error)
{
    gsize size = strlen(name);

    if (size > 0 && size <= POOL_NAME_MAX && *name != '.' && !strpbrk(name, "/@"))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_XML,
        _("'%1$s' cannot be the name of a RADOS pool: 1 to %2$d bytes without '/' and '@', no leading '.'"),
        name, POOL_NAME_MAX);
}

static gboolean
check_ssh_host(const VimgPluginPool *pool, const VimgCephSshHost *host, GError **error)
{
    if (!host->address.name || !is_word(host->address.name, HOST_MAX))
        return throw_error(
            error, VIMG_ERROR_XML,
            _("element 'monitor' needs the attribute 'host', a host name or address"));
    if (host->secret_usage && host->secret_uuid)
        return throw_error(error, VIMG_ERROR_XML,
                           _("the secret of monitor '%s' has both a usage and a uuid"),
                           host->address.name);
    if (!host->secret_usage && !host->secret_uuid && !vimg_ceph_option(pool, "ssh", "identity"))
        return throw_error(
            error, VIMG_ERROR_XML,
            _("monitor '%s' has neither a secret nor a private key: give it <secret usage='…'/> or the pool <image:ssh identity='…'/>"),
            host->address.name);
    return TRUE;
}

static gboolean
check_monitors(const VimgPluginPool *pool, GError **error)
{
    g_autoptr(GArray) hosts = vimg_ceph_ssh_hosts(pool);
    gboolean has_secret = pool->secret_usage || pool->secret_uuid;
    guint i;

    if (hosts->len == 0 && pool->n_hosts == 0)
        return throw_error(
            error, VIMG_ERROR_XML,
            _("a Ceph cluster needs its monitors: <host name='…'/>, or <image:monitor host='…'/> to ask them over SSH"));
    if (hosts->len > 0 && (pool->n_hosts > 0 || has_secret))
        return throw_error(
            error, VIMG_ERROR_XML,
            _("monitors that are asked over SSH tell addresses and key: leave out <host> and the secret of <auth>"));
    if (hosts->len == 0 && !has_secret)
        return throw_error(
            error, VIMG_ERROR_XML,
            _("a Ceph cluster needs a key: <auth type='ceph' username='admin'><secret usage='…'/></auth>"));
    for (i = 0; i < hosts->len; i++) {
        if (!check_ssh_host(pool, &g_array_index(hosts, VimgCephSshHost, i), error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_ceph_check(const VimgPluginPool *pool, GError **error)
{
    if (!is_word(vimg_ceph_user(pool), USER_MAX))
        return throw_error(error, VIMG_ERROR_XML, _("'%s' cannot be the name of a Ceph user"),
                           vimg_ceph_user(pool));
    if (pool->source_name && !check_pool_name(pool->source_name, error))
        return FALSE;
    return check_monitors(pool, error);
}

/*
 * Monitors come and go while the storage stays the same, so they cannot be what tells two apart.
 * Which cluster they lead to shows when the pool is opened, by the store's id.
 */
char *
vimg_ceph_identity(const VimgPluginPool *pool)
{
    g_autofree char *name = vimg_ceph_pool_name(pool);

    return g_strconcat("ceph:", pool->uuid, ":", name, NULL);
}
