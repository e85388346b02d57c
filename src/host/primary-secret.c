/*
 * primary-secret.c: pools of the host that a backend of ours fills, with the host's key
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "host/primary-private.h"
#include "util/i18n.h"

static virSecretPtr
find_secret(virConnectPtr connect, const char *usage, const char *uuid)
{
    return uuid ? virSecretLookupByUUIDString(connect, uuid)
                : virSecretLookupByUsage(connect, VIR_SECRET_USAGE_TYPE_CEPH, usage);
}

/* With the rights of whoever asks; what is private the host's daemon shows to nobody. */
static VimgBuffer *
host_secret(const char *usage, const char *uuid, gpointer data, GError **error)
{
    g_autoptr(virSecret) secret = find_secret(data, usage, uuid);
    unsigned char *value = NULL;
    size_t size = 0;
    VimgBuffer *buffer;

    if (!secret) {
        vimg_host_throw(error);
        return NULL;
    }
    value = virSecretGetValue(secret, &size, 0);
    if (!value) {
        virErrorPtr said = virGetLastError();

        vimg_throw(
            error, VIMG_ERROR_INVALID_SECRET,
            _("secret '%1$s' of the host cannot be read: %2$s; define it through image:///system"),
            uuid ? uuid : usage, said && said->message ? said->message : "");
        return NULL;
    }
    buffer = vimg_buffer_new(size);
    memcpy(buffer->data, value, size);
    explicit_bzero(value, size);
    free(value);
    return buffer;
}

gboolean
vimg_host_pool_open_foreign(VimgHostPrimary *primary, virConnectPtr connect, VimgHostPool *pool,
                            GError **error)
{
    return vimg_model_foreign_open(primary->model, pool->type, pool->xml, host_secret, connect,
                                   &pool->foreign, error);
}
