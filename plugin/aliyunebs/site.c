/*
 * site.c: where a definition leads: clients of bucket and control endpoint, with their keys
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>

#include "definition.h"
#include "open.h"
#include "site.h"
#include "throw.h"
#include "../ssh/network.h"

#define ID_MAX 1024 /* bytes */

/* The end of a line in the file that the secret came from is none of it. */
static gsize
key_size(const VimgBuffer *value)
{
    gsize size = value->size;

    while (size > 0 && strchr("\r\n", value->data[size - 1]))
        size--;
    return size;
}

VimgCredential *
vimg_ebs_credential(const VimgPluginPool *pool, gboolean control, GError **error)
{
    VimgEbsKey key = vimg_ebs_key_of(pool, control);
    VimgCredential *credential;
    VimgBuffer *value;

    if (!vimg_ebs_services) {
        throw_error(error, VIMG_ERROR_NO_SECRET, _("there are no secrets"));
        return NULL;
    }
    value = vimg_ebs_services->secret_get(VIMG_EBS_AUTH, key.usage, key.uuid, error);
    if (!value)
        return NULL;
    credential = vimg_credential_new(key.user, value->data, key_size(value), NULL);
    vimg_ebs_services->secret_free(value);
    return credential;
}

/* Returns: (transfer full) the address of this host in the data network. */
static char *
find_local(const char *cidr, GError **error)
{
    char text[INET6_ADDRSTRLEN];
    VimgNetwork network;
    VimgEndpoint local;
    const void *address;

    if (!vimg_network_parse(cidr, &network, error))
        return NULL;
    if (!vimg_network_local(&network, &local)) {
        throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                    _("this host has no address in the data network '%s'"), cidr);
        return NULL;
    }
    address = local.address.ss_family == AF_INET
                  ? (const void *)&((struct sockaddr_in *)&local.address)->sin_addr
                  : (const void *)&((struct sockaddr_in6 *)&local.address)->sin6_addr;
    return g_strdup(inet_ntop(local.address.ss_family, address, text, sizeof(text)));
}

/* Data alone is bound to the data network. */
static VimgOss *
new_oss(const VimgPluginPool *pool, char **local, GError **error)
{
    g_autoptr(VimgCredential) credential = vimg_ebs_credential(pool, FALSE, error);
    g_autofree char *region = vimg_ebs_region(pool, FALSE);
    VimgOssRules rules;

    if (!credential)
        return NULL;
    vimg_ebs_oss_rules(pool, &rules);
    rules.region = region;
    if (pool->data_network) {
        *local = find_local(pool->data_network, error);
        if (!*local)
            return NULL;
        rules.web.local = *local;
    }
    return vimg_oss_new(&rules, credential, error);
}

static VimgControl *
new_control(const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgCredential) credential = vimg_ebs_credential(pool, TRUE, error);
    g_autofree char *region = vimg_ebs_region(pool, TRUE);
    VimgControlRules rules;

    if (!credential)
        return NULL;
    vimg_ebs_control_rules(pool, &rules);
    rules.region = region;
    return vimg_control_new(&rules, credential, error);
}

VimgEbsSite *
vimg_ebs_site_new(const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgEbsSite) site = g_new0(VimgEbsSite, 1);

    site->refs = 1;
    site->prefix = g_strdup(vimg_ebs_prefix(pool));
    site->origin = vimg_ebs_origin(pool);
    site->rollback = vimg_ebs_rollback_wanted(pool);
    site->oss = new_oss(pool, &site->local, error);
    if (!site->oss)
        return NULL;
    if (vimg_ebs_dialect(pool)) {
        site->control = new_control(pool, error);
        if (!site->control)
            return NULL;
    }
    return g_steal_pointer(&site);
}

gboolean
vimg_ebs_site_is_here(const VimgEbsSite *site, const VimgPluginPool *pool)
{
    g_autofree char *local = pool->data_network ? find_local(pool->data_network, NULL) : NULL;

    return g_strcmp0(local, site->local) == 0;
}

char *
vimg_ebs_read_id(VimgEbsSite *site, const VimgPatience *patience, GError **error)
{
    g_autofree char *key = g_strconcat(site->prefix, "/id", NULL);
    g_autoptr(VimgBuffer) text = vimg_oss_get(site->oss, key, ID_MAX, patience, error);
    g_autofree char *id = text ? g_strndup((const char *)text->data, text->size) : NULL;

    if (!id || g_uuid_string_is_valid(id))
        return g_steal_pointer(&id);
    throw_error(error, VIMG_ERROR_PROBE, _("object '%s' is none of an image storage"), key);
    return NULL;
}
