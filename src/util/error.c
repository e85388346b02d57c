/*
 * error.c: our error codes, what libvirt calls them, and short ways to throw them
 *
 * The forms are libvirt's own wording, because scripts match it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>

#include "util/error.h"
#include "util/i18n.h"

static const VimgVirError vir_errors[] = {
    [VIMG_ERROR_INTERNAL] = {VIR_ERR_INTERNAL_ERROR, 0, N_("internal error: %s")},
    [VIMG_ERROR_NO_MEMORY] = {VIR_ERR_NO_MEMORY, 0, N_("out of memory: %s")},
    [VIMG_ERROR_INVALID_ARG] = {VIR_ERR_INVALID_ARG, 0, N_("invalid argument: %s")},
    [VIMG_ERROR_XML] = {VIR_ERR_XML_ERROR, 0, N_("XML error: %s")},
    [VIMG_ERROR_XML_DETAIL] = {VIR_ERR_XML_DETAIL, 0, "%s"},
    [VIMG_ERROR_XML_SCHEMA] = {VIR_ERR_XML_INVALID_SCHEMA, 0,
                               N_("XML document failed to validate against schema: %s")},
    [VIMG_ERROR_NO_POOL] = {VIR_ERR_NO_STORAGE_POOL, VIR_FROM_STORAGE,
                            N_("Storage pool not found: %s")},
    [VIMG_ERROR_NO_VOL] = {VIR_ERR_NO_STORAGE_VOL, VIR_FROM_STORAGE,
                           N_("Storage volume not found: %s")},
    [VIMG_ERROR_NO_SECRET] = {VIR_ERR_NO_SECRET, VIR_FROM_SECRET, N_("Secret not found: %s")},
    [VIMG_ERROR_INVALID_SECRET] = {VIR_ERR_INVALID_SECRET, VIR_FROM_SECRET,
                                   N_("Invalid secret: %s")},
    [VIMG_ERROR_VOL_EXISTS] = {VIR_ERR_STORAGE_VOL_EXIST, VIR_FROM_STORAGE,
                               N_("storage volume %s exists already")},
    [VIMG_ERROR_FAILED] = {VIR_ERR_OPERATION_FAILED, 0, N_("operation failed: %s")},
    [VIMG_ERROR_OPERATION_INVALID] = {VIR_ERR_OPERATION_INVALID, 0,
                                      N_("Requested operation is not valid: %s")},
    [VIMG_ERROR_OPERATION_DENIED] = {VIR_ERR_OPERATION_DENIED, 0, N_("operation forbidden: %s")},
    [VIMG_ERROR_NO_SUPPORT] = {VIR_ERR_NO_SUPPORT, 0,
                               N_("this function is not supported by the connection driver: %s")},
    [VIMG_ERROR_OPERATION_UNSUPPORTED] = {VIR_ERR_OPERATION_UNSUPPORTED, 0,
                                          N_("Operation not supported: %s")},
    [VIMG_ERROR_CONFIG_UNSUPPORTED] = {VIR_ERR_CONFIG_UNSUPPORTED, 0,
                                       N_("unsupported configuration: %s")},
    [VIMG_ERROR_ARGUMENT_UNSUPPORTED] = {VIR_ERR_ARGUMENT_UNSUPPORTED, 0,
                                         N_("argument unsupported: %s")},
    [VIMG_ERROR_BUSY] = {VIR_ERR_RESOURCE_BUSY, 0, N_("resource busy: %s")},
    [VIMG_ERROR_SYSTEM] = {VIR_ERR_SYSTEM_ERROR, 0, "%s"},
    [VIMG_ERROR_NO_SPACE] = {VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS, "%s"},
    [VIMG_ERROR_ABORTED] = {VIR_ERR_OPERATION_ABORTED, 0, N_("operation aborted: %s")},
    [VIMG_ERROR_TIMEOUT] = {VIR_ERR_OPERATION_TIMEOUT, 0, N_("Timed out during operation: %s")},
    [VIMG_ERROR_AUTH] = {VIR_ERR_AUTH_FAILED, 0, N_("authentication failed: %s")},
    [VIMG_ERROR_ACCESS_DENIED] = {VIR_ERR_ACCESS_DENIED, 0, N_("access denied: %s")},
    [VIMG_ERROR_POOL_BUILT] = {VIR_ERR_STORAGE_POOL_BUILT, 0, N_("Storage pool already built: %s")},
    [VIMG_ERROR_PROBE] = {VIR_ERR_STORAGE_PROBE_FAILED, 0, N_("Storage pool probe failed: %s")},
    [VIMG_ERROR_DISCONNECTED] = {VIR_ERR_OPERATION_FAILED, 0, N_("operation failed: %s")},
    [VIMG_ERROR_DAMAGED] = {VIR_ERR_OPERATION_FAILED, 0, N_("operation failed: %s")},
    [VIMG_ERROR_NO_CONNECT] = {VIR_ERR_NO_CONNECT, VIR_FROM_NONE,
                               N_("no connection driver available for %s")},
    [VIMG_ERROR_RPC] = {VIR_ERR_RPC, VIR_FROM_RPC, "%s"},
    [VIMG_ERROR_RPC_STATE] = {VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, N_("internal error: %s")},
    [VIMG_ERROR_FLAGS] = {VIR_ERR_INVALID_ARG, 0, "%s"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(vir_errors) == VIMG_N_ERRORS);

gboolean
vimg_error_is(const GError *error, VimgErrorCode code)
{
    return g_error_matches(error, VIMG_ERROR, (gint)code);
}

gboolean
vimg_throw(GError **error, VimgErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(VIMG_ERROR, (gint)code, format, args);
    va_end(args);
    return FALSE;
}

/* Not G_DEFINE_QUARK, whose static variable is written by whoever comes first. */
GQuark
vimg_vir_error_quark(void)
{
    return g_quark_from_static_string("vimg-vir-error");
}

gboolean
vimg_throw_vir(GError **error, int code, int domain, const char *message)
{
    g_set_error_literal(error, VIMG_VIR_ERROR, (code & 0xffff) | (domain & 0x7fff) << 16, message);
    return FALSE;
}

gboolean
vimg_throw_errno(GError **error, const char *format, ...)
{
    int saved = errno;
    VimgErrorCode code =
        saved == ENOSPC || saved == EDQUOT ? VIMG_ERROR_NO_SPACE : VIMG_ERROR_SYSTEM;
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    return vimg_throw(error, code, "%s: %s", what, g_strerror(saved));
}

const VimgVirError *
vimg_error_to_vir(const GError *error)
{
    static __thread VimgVirError other;

    if (error->domain == VIMG_VIR_ERROR) {
        other = (VimgVirError){error->code & 0xffff, error->code >> 16, "%s"};
        return &other;
    }
    if (error->domain == VIMG_ERROR && error->code >= 0 && error->code < VIMG_N_ERRORS)
        return &vir_errors[error->code];
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return &vir_errors[VIMG_ERROR_ABORTED];
    if (error->domain == G_IO_ERROR || error->domain == G_FILE_ERROR)
        return &vir_errors[VIMG_ERROR_SYSTEM];
    return &vir_errors[VIMG_ERROR_INTERNAL];
}

char *
vimg_error_text(const GError *error)
{
    const char *form = _(vimg_error_to_vir(error)->form);
    const char *hole = strstr(form, "%s");

    /* a translation that lost its hole must not lose the detail */
    if (!hole)
        return g_strdup_printf("%s: %s", form, error->message);
    return g_strdup_printf("%.*s%s%s", (int)(hole - form), form, error->message, hole + 2);
}
