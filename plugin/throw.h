/*
 * throw.h: one-line failures with the daemon's error codes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_THROW_H
#define VIMG_PLUGIN_THROW_H

#include <errno.h>
#include <libintl.h>
#include <stdarg.h>

#include "vimg-plugin.h"

#define _(text) dgettext("virtimage", text)
/* In a table: translated where it is used. */
#define N_(text) text

/* For %llu in messages: a format macro would cut what translators see. */
#define ULL(number) ((unsigned long long)(number))

/* Sets @error.  Returns: FALSE. */
G_GNUC_UNUSED G_GNUC_PRINTF(3, 4) static inline gboolean
    throw_error(GError **error, VimgErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(VIMG_ERROR, (gint)code, format, args);
    va_end(args);
    return FALSE;
}

/* Sets @error from @result, a value of errno: "MESSAGE: No such file or directory". */
G_GNUC_UNUSED G_GNUC_PRINTF(3, 4) static inline gboolean
    throw_result(GError **error, int result, const char *format, ...)
{
    VimgErrorCode code = VIMG_ERROR_SYSTEM;
    g_autofree char *what = NULL;
    va_list args;

    if (result == ENOSPC || result == EDQUOT)
        code = VIMG_ERROR_NO_SPACE;
    else if (result == ENOTCONN)
        code = VIMG_ERROR_DISCONNECTED;
    else if (result == ECANCELED)
        code = VIMG_ERROR_ABORTED;
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    return throw_error(error, code, "%s: %s", what, g_strerror(result));
}

#endif
