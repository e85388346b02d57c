/*
 * transfer-digest.c: the checksum a client announced, against the content that came
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <openssl/evp.h>

#include "pool/transfer-digest.h"
#include "util/error.h"
#include "util/i18n.h"

#define ZEROS (256 * 1024)

struct _VimgDigest {
    EVP_MD_CTX *context;
    char *type;
};

static gboolean
is_hex(const char *text, gsize size)
{
    return strlen(text) == size && strspn(text, "0123456789abcdef") == size;
}

gboolean
vimg_digest_parse(const char *text, char **type, char **expected, GError **error)
{
    g_auto(GStrv) parts = text ? g_strsplit(text, ":", 2) : NULL;
    g_autofree char *digits = NULL;
    gsize size;

    if (!text)
        return TRUE;
    size = g_strcmp0(parts[0], "sha256") == 0 ? 64 : g_strcmp0(parts[0], "sha512") == 0 ? 128 : 0;
    digits = size > 0 && parts[1] ? g_ascii_strdown(parts[1], -1) : NULL;
    if (!digits || !is_hex(digits, size))
        return vimg_throw(
            error, VIMG_ERROR_INVALID_ARG, "%s",
            _("a digest is 'sha256:' and 64 hexadecimal digits, or 'sha512:' and 128"));
    *type = g_strdup(parts[0]);
    *expected = g_steal_pointer(&digits);
    return TRUE;
}

VimgDigest *
vimg_digest_new(const char *type, GError **error)
{
    const EVP_MD *algorithm = EVP_get_digestbyname(type);
    g_autoptr(VimgDigest) digest = g_new0(VimgDigest, 1);

    digest->context = EVP_MD_CTX_new();
    digest->type = g_strdup(type);
    if (!algorithm || !digest->context ||
        EVP_DigestInit_ex(digest->context, algorithm, NULL) != 1) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("checksums of type '%s' cannot be made"),
                   type);
        return NULL;
    }
    return g_steal_pointer(&digest);
}

void
vimg_digest_free(VimgDigest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    g_free(digest->type);
    g_free(digest);
}

gboolean
vimg_digest_add(VimgDigest *digest, const guint8 *data, guint64 size, VimgJob *job, GError **error)
{
    static const guint8 zeros[ZEROS];

    while (size > 0) {
        gsize n = data ? (gsize)size : (gsize)MIN(size, ZEROS);

        if (vimg_job_cancelled(job))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
        if (EVP_DigestUpdate(digest->context, data ? data : zeros, n) != 1)
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "EVP_DigestUpdate");
        size -= n;
    }
    return TRUE;
}

gboolean
vimg_digest_check(VimgDigest *digest, const char *expected, GError **error)
{
    guint8 value[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    unsigned int i;
    g_autoptr(GString) found = g_string_new(NULL);

    if (EVP_DigestFinal_ex(digest->context, value, &size) != 1)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "EVP_DigestFinal");
    for (i = 0; i < size; i++)
        g_string_append_printf(found, "%02x", value[i]);
    if (strcmp(found->str, expected) == 0)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_DAMAGED,
                      _("the %1$s checksum of the content is %2$s, expected was %3$s"),
                      digest->type, found->str, expected);
}
