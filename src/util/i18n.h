/*
 * i18n.h: marks for text that clients see
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_I18N_H
#define VIMG_UTIL_I18N_H

#include <libintl.h>

#define _(text) dgettext(VIMG_GETTEXT_DOMAIN, text)
#define N_(text) text

#endif
