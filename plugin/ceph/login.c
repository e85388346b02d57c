/*
 * login.c: the monitors' names and the key, from the definition or over SSH
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "login.h"
#include "remote.h"
#include "store.h"
#include "../throw.h"

#define KEY_SIZE 28 /* bytes of a cephx key, which people see in base64 */
#define KEY_TEXT_MAX 256

/* ---- secrets ---------------------------------------------------------------------------- */

void
vimg_ceph_secret_free(VimgBuffer *buffer)
{
    if (buffer && __atomic_load_n(&buffer->refs, __ATOMIC_ACQUIRE) == 1)
        explicit_bzero(buffer->data, buffer->size);
    vimg_buffer_unref(buffer);
}

VimgBuffer *
vimg_ceph_login_key(const VimgBuffer *value, const char *user, GError **error)
{
    gsize size = value->size;
    VimgBuffer *key;
    char *text;

    while (size > 0 && size <= KEY_TEXT_MAX && g_ascii_isspace(value->data[size - 1]))
        size--;
    if (value->size == KEY_SIZE) {
        text = g_base64_encode(value->data, value->size);
    } else {
        gsize decoded = 0;
        guchar *bytes = NULL;

        text = size <= KEY_TEXT_MAX ? g_strndup((const char *)value->data, size) : g_strdup("");
        bytes = g_base64_decode(text, &decoded);
        explicit_bzero(bytes, decoded);
        g_free(bytes);
        if (decoded != KEY_SIZE) {
            explicit_bzero(text, strlen(text));
            g_clear_pointer(&text, g_free);
        }
    }
    if (!text) {
        throw_error(error, VIMG_ERROR_AUTH,
                    _("the secret is not a key of Ceph: 'ceph auth get-key client.%s' shows it"),
                    user);
        return NULL;
    }
    key = vimg_buffer_new(strlen(text));
    memcpy(key->data, text, key->size);
    explicit_bzero(text, key->size);
    g_free(text);
    return key;
}

VimgBuffer *
vimg_ceph_login_secret(const char *auth_type, const char *usage, const char *uuid, GError **error)
{
    if (vimg_ceph_services)
        return vimg_ceph_services->secret_get(auth_type, usage, uuid, error);
    throw_error(error, VIMG_ERROR_NO_SECRET, "no secrets without a daemon");
    return NULL;
}

/* ---- logins ----------------------------------------------------------------------------- */

static void
clear_address(gpointer data)
{
    VimgPluginAddress *address = data;

    g_free((char *)address->name);
}

void
vimg_ceph_login_free(VimgCephLogin *login)
{
    if (!login)
        return;
    if (login->hosts)
        g_array_unref(login->hosts);
    vimg_ceph_secret_free(login->key);
    g_free(login->user);
    g_free(login->fsid);
    g_free(login);
}

/* What somebody else keeps, the daemon has asked for. */
static const VimgBuffer *
given_secret(const VimgPluginPool *pool)
{
    return VIMG_PLUGIN_POOL_HAS(pool, secret) ? pool->secret : NULL;
}

static VimgBuffer *
find_key(const VimgPluginPool *pool, const char *user, GError **error)
{
    VimgBuffer *value, *key;

    if (given_secret(pool))
        return vimg_ceph_login_key(given_secret(pool), user, error);
    value = vimg_ceph_login_secret(VIMG_CEPH_AUTH, pool->secret_usage, pool->secret_uuid, error);
    if (!value)
        return NULL;
    key = vimg_ceph_login_key(value, user, error);
    vimg_ceph_services->secret_free(value);
    return key;
}

static gboolean
take_definition(VimgCephLogin *login, const VimgPluginPool *pool, GError **error)
{
    gsize i;

    login->key = find_key(pool, login->user, error);
    if (!login->key)
        return FALSE;
    for (i = 0; i < pool->n_hosts; i++) {
        VimgPluginAddress host = {.name = g_strdup(pool->hosts[i].name),
                                  .port = pool->hosts[i].port};

        g_array_append_val(login->hosts, host);
    }
    return TRUE;
}

VimgCephLogin *
vimg_ceph_login_alloc(const char *user)
{
    VimgCephLogin *login = g_new0(VimgCephLogin, 1);

    login->hosts = g_array_new(FALSE, FALSE, sizeof(VimgPluginAddress));
    g_array_set_clear_func(login->hosts, clear_address);
    login->user = g_strdup(user);
    return login;
}

VimgCephLogin *
vimg_ceph_login_new(const VimgPluginPool *pool, gint64 deadline, GError **error)
{
    g_autoptr(VimgCephLogin) login = vimg_ceph_login_alloc(vimg_ceph_user(pool));
    gboolean ok = pool->n_hosts > 0 ? take_definition(login, pool, error)
                                    : vimg_ceph_remote_ask(login, pool, deadline, error);

    return ok ? g_steal_pointer(&login) : NULL;
}

/* ---- telling one from another ----------------------------------------------------------- */

static void
mix(GChecksum *sum, const char *text)
{
    /* with its end, so that what follows cannot be taken for a part of it */
    g_checksum_update(sum, (const guchar *)(text ? text : ""), text ? (gssize)strlen(text) + 1 : 1);
}

static gboolean
mix_secret(GChecksum *sum, const char *auth_type, const char *usage, const char *uuid,
           GError **error)
{
    VimgBuffer *value;

    if (!usage && !uuid)
        return TRUE;
    value = vimg_ceph_login_secret(auth_type, usage, uuid, error);
    if (!value)
        return FALSE;
    g_checksum_update(sum, value->data, (gssize)value->size);
    vimg_ceph_services->secret_free(value);
    mix(sum, NULL);
    return TRUE;
}

char *
vimg_cluster_origin(const VimgPluginPool *pool, GError **error)
{
    const char *texts[] = {vimg_ceph_user(pool), pool->source_name, pool->data_network,
                           vimg_ceph_option(pool, "ssh", "identity"),
                           vimg_ceph_option(pool, "ssh", "policy")};
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GArray) hosts = vimg_ceph_ssh_hosts(pool);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        mix(sum, texts[i]);
    for (i = 0; i < pool->n_hosts; i++) {
        mix(sum, pool->hosts[i].name);
        g_checksum_update(sum, (const guchar *)&pool->hosts[i].port, sizeof(guint16));
    }
    if (given_secret(pool))
        g_checksum_update(sum, given_secret(pool)->data, (gssize)given_secret(pool)->size);
    else if (!mix_secret(sum, VIMG_CEPH_AUTH, pool->secret_usage, pool->secret_uuid, error))
        return NULL;
    for (i = 0; i < hosts->len; i++) {
        const VimgCephSshHost *host = &g_array_index(hosts, VimgCephSshHost, i);

        mix(sum, host->address.name);
        mix(sum, host->user);
        mix(sum, host->host_key);
        g_checksum_update(sum, (const guchar *)&host->address.port, sizeof(guint16));
        if (!mix_secret(sum, VIMG_CEPH_SSH_AUTH, host->secret_usage, host->secret_uuid, error))
            return NULL;
    }
    return g_strdup(g_checksum_get_string(sum));
}
