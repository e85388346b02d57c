/*
 * uuid.h: uuids as 16 bytes and as text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_UUID_H
#define VIMG_UTIL_UUID_H

#include <glib.h>

#define VIMG_UUID_SIZE 16
#define VIMG_UUID_TEXT_SIZE 37

/* @text may have dashes anywhere or none, as libvirt allows.  Returns: FALSE if it is no uuid. */
gboolean vimg_uuid_parse(const char *text, guint8 uuid[VIMG_UUID_SIZE]);
/* Lower case with dashes, NUL at the end. */
void vimg_uuid_format(const guint8 uuid[VIMG_UUID_SIZE], char text[VIMG_UUID_TEXT_SIZE]);
/* A fresh version 4 uuid. */
void vimg_uuid_random(guint8 uuid[VIMG_UUID_SIZE]);

#endif
