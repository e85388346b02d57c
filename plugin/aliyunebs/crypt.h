/*
 * crypt.h: access keys, and the digests that signatures are made of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CRYPT_H
#define VIMG_ALIYUNEBS_CRYPT_H

#include <pthread.h>
#include <openssl/evp.h>

#include "vimg-plugin.h"

/* An access key, shared by reference: who signs with an old one ends in peace. */
typedef struct {
    gint refs; /* through vimg_credential_ref() and _unref() */
    char *id;
    char *token;    /* of temporary keys; NULL: none */
    gsize size;     /* of the secret */
    guint8 *secret; /* with a final NUL beyond @size; wiped at the end */
} VimgCredential;

/* @token may be NULL.  Returns: (transfer full) */
VimgCredential *vimg_credential_new(const char *id, const guint8 *secret, gsize size,
                                    const char *token);
VimgCredential *vimg_credential_ref(VimgCredential *credential);
/* Accepts NULL. */
void vimg_credential_unref(VimgCredential *credential);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCredential, vimg_credential_unref)
/* Another one at *@place, which @lock guards. */
void vimg_credential_set(VimgCredential **place, VimgCredential *credential, pthread_mutex_t *lock);

/* @out has EVP_MAX_MD_SIZE bytes.  Returns: how many of them were written. */
gsize vimg_hmac(const EVP_MD *digest, const guint8 *key, gsize key_size, const char *text,
                guint8 *out);
/* The same, without a key; @data is not NULL. */
gsize vimg_digest(const EVP_MD *digest, const void *data, gsize size, guint8 *out);
/* Lower-case hexadecimal. */
char *vimg_hex(const guint8 *bytes, gsize size);
char *vimg_sha256_hex(const void *data, gsize size);
/* Base64, as in Content-MD5. */
char *vimg_md5_base64(const void *data, gsize size);

#endif
