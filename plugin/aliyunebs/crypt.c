/*
 * crypt.c: access keys, and the digests that signatures are made of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <openssl/hmac.h>

#include "crypt.h"
#include "../thread.h"

VimgCredential *
vimg_credential_new(const char *id, const guint8 *secret, gsize size, const char *token)
{
    VimgCredential *credential = g_new0(VimgCredential, 1);

    credential->refs = 1;
    credential->id = g_strdup(id);
    credential->token = g_strdup(token);
    credential->size = size;
    credential->secret = g_malloc0(size + 1);
    memcpy(credential->secret, secret, size);
    return credential;
}

VimgCredential *
vimg_credential_ref(VimgCredential *credential)
{
    __atomic_add_fetch(&credential->refs, 1, __ATOMIC_RELAXED);
    return credential;
}

void
vimg_credential_unref(VimgCredential *credential)
{
    if (!credential || __atomic_sub_fetch(&credential->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    explicit_bzero(credential->secret, credential->size);
    g_free(credential->secret);
    g_free(credential->id);
    if (credential->token)
        explicit_bzero(credential->token, strlen(credential->token));
    g_free(credential->token);
    g_free(credential);
}

void
vimg_credential_set(VimgCredential **place, VimgCredential *credential, pthread_mutex_t *lock)
{
    VimgCredential *old;

    vimg_credential_ref(credential);
    {
        LOCK_GUARD(lock);

        old = *place;
        *place = credential;
    }
    vimg_credential_unref(old);
}

gsize
vimg_hmac(const EVP_MD *digest, const guint8 *key, gsize key_size, const char *text, guint8 *out)
{
    unsigned int size = 0;

    if (!HMAC(digest, key, (int)key_size, (const guint8 *)text, strlen(text), out, &size))
        g_error("HMAC: the library has no such digest");
    return size;
}

char *
vimg_hex(const guint8 *bytes, gsize size)
{
    GString *text = g_string_sized_new(2 * size);
    gsize i;

    for (i = 0; i < size; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

gsize
vimg_digest(const EVP_MD *digest, const void *data, gsize size, guint8 *out)
{
    unsigned int n = 0;

    if (!EVP_Digest(data, size, out, &n, digest, NULL))
        g_error("EVP_Digest: the library has no such digest");
    return n;
}

char *
vimg_sha256_hex(const void *data, gsize size)
{
    guint8 out[EVP_MAX_MD_SIZE];

    return vimg_hex(out, vimg_digest(EVP_sha256(), data, size, out));
}

char *
vimg_md5_base64(const void *data, gsize size)
{
    guint8 out[EVP_MAX_MD_SIZE];

    return g_base64_encode(out, vimg_digest(EVP_md5(), data, size, out));
}
