/*
 * error.h: our error codes, what libvirt calls them, and short ways to throw them
 *
 * A GError in domain VIMG_ERROR carries the *detail*; the words that libvirt puts before it
 * ("Storage pool not found: ") come from one table, once, where the reply is made.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_ERROR_H
#define VIMG_UTIL_ERROR_H

#include "vimg-plugin.h"

typedef struct {
    int code;         /* virErrorNumber */
    int domain;       /* virErrorDomain; 0: the domain of the procedure that failed */
    const char *form; /* untranslated, with one %s for the detail */
} VimgVirError;

/* @error: may be NULL, which is none. */
gboolean vimg_error_is(const GError *error, VimgErrorCode code);
/* Sets @error.  Returns: FALSE, so that a failing function is one line. */
gboolean vimg_throw(GError **error, VimgErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/*
 * Sets @error from errno as it is at the call: "MESSAGE: No such file or directory".
 * ENOSPC and EDQUOT become VIMG_ERROR_NO_SPACE, everything else VIMG_ERROR_SYSTEM.
 * Returns: FALSE.
 */
gboolean vimg_throw_errno(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * An error that came from another libvirt daemon: its code is libvirt's own number with the domain
 * in the upper half, its message the whole text as a client is to see it.
 */
#define VIMG_VIR_ERROR (vimg_vir_error_quark())
GQuark vimg_vir_error_quark(void);
/* @code: virErrorNumber, @domain: virErrorDomain.  Returns: FALSE. */
gboolean vimg_throw_vir(GError **error, int code, int domain, const char *message);

/* What libvirt calls @error, until this thread asks again; also takes errors of GIO and of no
 * domain we know. */
const VimgVirError *vimg_error_to_vir(const GError *error);

/* Returns: (transfer full) the whole text a client sees, translated form and detail. */
char *vimg_error_text(const GError *error);

#endif
