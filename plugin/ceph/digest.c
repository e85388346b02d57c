/*
 * digest.c: one number for the content of an image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <openssl/evp.h>

#include "digest.h"
#include "zero.h"

#define BLOCK ((guint64)4 * 1024 * 1024) /* part of the format: recorded digests depend on it */
#define DIGEST_SIZE 32

struct _VimgCephDigest {
    EVP_MD_CTX *all;
    EVP_MD_CTX *block;
    gboolean plain;
    gboolean begun; /* the block of now has more than zeros */
    guint64 at;
};

static const guint8 zeros[64 * 1024];

static void
must(int good)
{
    if (!good)
        g_error("libcrypto cannot make a SHA-256");
}

VimgCephDigest *
vimg_ceph_digest_new(void)
{
    VimgCephDigest *digest = g_new0(VimgCephDigest, 1);

    digest->all = EVP_MD_CTX_new();
    digest->block = EVP_MD_CTX_new();
    must(digest->all && digest->block && EVP_DigestInit_ex(digest->all, EVP_sha256(), NULL));
    return digest;
}

VimgCephDigest *
vimg_ceph_digest_new_plain(void)
{
    VimgCephDigest *digest = vimg_ceph_digest_new();

    digest->plain = TRUE;
    return digest;
}

gboolean
vimg_ceph_digest_is_plain(const VimgCephDigest *digest)
{
    return digest->plain;
}

void
vimg_ceph_digest_free(VimgCephDigest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->all);
    EVP_MD_CTX_free(digest->block);
    g_free(digest);
}

static void
hash(EVP_MD_CTX *context, const guint8 *data, guint64 size)
{
    while (size > 0) {
        gsize n = data ? size : MIN(size, sizeof(zeros));

        must(EVP_DigestUpdate(context, data ? data : zeros, n));
        size -= n;
    }
}

static void
add_number(EVP_MD_CTX *context, guint64 number)
{
    guint64 wire = GUINT64_TO_LE(number);

    must(EVP_DigestUpdate(context, &wire, sizeof(wire)));
}

static void
end_block(VimgCephDigest *digest)
{
    guint8 sum[DIGEST_SIZE];

    if (!digest->begun)
        return;
    must(EVP_DigestFinal_ex(digest->block, sum, NULL));
    add_number(digest->all, (digest->at - 1) / BLOCK);
    must(EVP_DigestUpdate(digest->all, sum, sizeof(sum)));
    digest->begun = FALSE;
}

/* Within one block. */
static void
add_piece(VimgCephDigest *digest, const guint8 *data, gsize size)
{
    if (!digest->begun && data && !is_zero(data, size)) {
        must(EVP_DigestInit_ex(digest->block, EVP_sha256(), NULL));
        hash(digest->block, NULL, digest->at % BLOCK);
        digest->begun = TRUE;
    }
    if (digest->begun)
        hash(digest->block, data, size);
    digest->at += size;
    if (digest->at % BLOCK == 0)
        end_block(digest);
}

void
vimg_ceph_digest_add(VimgCephDigest *digest, const guint8 *data, guint64 size)
{
    if (digest->plain) {
        hash(digest->all, data, size);
        digest->at += size;
        return;
    }
    while (size > 0) {
        guint64 n = MIN(size, BLOCK - digest->at % BLOCK);

        if (!data && !digest->begun) {
            digest->at += size;
            return;
        }
        add_piece(digest, data, n);
        data = data ? data + n : NULL;
        size -= n;
    }
}

guint64
vimg_ceph_digest_at(const VimgCephDigest *digest)
{
    return digest->at;
}

char *
vimg_ceph_digest_finish(VimgCephDigest *digest)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint8 sum[DIGEST_SIZE];
    gsize i;

    end_block(digest);
    if (!digest->plain)
        add_number(digest->all, digest->at);
    must(EVP_DigestFinal_ex(digest->all, sum, NULL));
    for (i = 0; i < sizeof(sum); i++)
        g_string_append_printf(text, "%02x", sum[i]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
