/*
 * checksum.c: what a file is expected to be
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "cli/checksum.h"
#include "util/error.h"
#include "util/i18n.h"

#define BLOCK (1024 * 1024)

static const struct {
    const char *type;
    gsize digits;
} types[] = {{"sha256", 64}, {"sha512", 128}};

void
vimg_checksum_clear(VimgChecksum *checksum)
{
    g_clear_pointer(&checksum->hex, g_free);
    checksum->type = NULL;
}

gboolean
vimg_checksum_parse(const char *text, VimgChecksum *checksum)
{
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        gsize size = strlen(types[i].type);
        const char *hex = text + size + 1;

        if (!g_str_has_prefix(text, types[i].type) || text[size] != ':' ||
            strlen(hex) != types[i].digits || hex[strspn(hex, "0123456789abcdefABCDEF")])
            continue;
        checksum->type = types[i].type;
        checksum->hex = g_ascii_strdown(hex, -1);
        return TRUE;
    }
    return FALSE;
}

gboolean
vimg_checksum_option(VimgCtl *ctl, VimgChecksum *checksum)
{
    const char *text = vimg_ctl_option(ctl, "checksum");

    if (!text || vimg_checksum_parse(text, checksum))
        return TRUE;
    vimg_ctl_misused(ctl, _("--checksum: '%s' is not sha256: or sha512: and its digits"), text);
    return FALSE;
}

/* ---- verifying -------------------------------------------------------------------------- */

static gboolean
sum_up(EVP_MD_CTX *context, int fd, gboolean (*tick)(gpointer data), gpointer data, GError **error)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    off_t at = 0;
    gssize got;

    while ((got = pread(fd, block, BLOCK, at)) > 0) {
        if (EVP_DigestUpdate(context, block, (gsize)got) != 1)
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "EVP_DigestUpdate");
        if (!tick(data))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted"));
        at += got;
    }
    return got == 0 || vimg_throw_errno(error, "read");
}

static gboolean
compare(const VimgChecksum *checksum, EVP_MD_CTX *context, GError **error)
{
    g_autoptr(GString) hex = g_string_new(NULL);
    guint8 digest[EVP_MAX_MD_SIZE];
    guint size = 0;

    if (EVP_DigestFinal_ex(context, digest, &size) != 1)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "EVP_DigestFinal_ex");
    for (guint i = 0; i < size; i++)
        g_string_append_printf(hex, "%02x", digest[i]);
    return strcmp(hex->str, checksum->hex) == 0 ||
           vimg_throw(error, VIMG_ERROR_DAMAGED,
                      _("the checksum is %1$s:%2$s, not the expected one"), checksum->type,
                      hex->str);
}

gboolean
vimg_checksum_verify(const VimgChecksum *checksum, int fd, gboolean (*tick)(gpointer data),
                     gpointer data, GError **error)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    gboolean good;

    if (!context || EVP_DigestInit_ex(context, EVP_get_digestbyname(checksum->type), NULL) != 1)
        good = vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("checksums of type '%s' cannot be made"), checksum->type);
    else
        good = sum_up(context, fd, tick, data, error) && compare(checksum, context, error);
    EVP_MD_CTX_free(context);
    return good;
}
