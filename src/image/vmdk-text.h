/*
 * vmdk-text.h: the descriptor of a VMDK image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_VMDK_TEXT_H
#define VIMG_IMAGE_VMDK_TEXT_H

#include <glib.h>

/* What it says; strings lie in the text, are not terminated, and are empty if absent. */
typedef struct {
    gboolean is_whole;  /* a type of image that is one file, with the one extent it has */
    gboolean is_split;  /* its data is in other files */
    gboolean is_child;  /* it has a parent's content id */
    const char *parent; /* its name, however it is said; NULL: it is not */
    gsize parent_size;
    const char *extent; /* the name of the first one */
    gsize extent_size;
} VimgVmdkText;

/* Would a program that looks at the first bytes of a file take @text for a descriptor? */
gboolean vimg_vmdk_is_text(const char *text, gsize size);

VimgVmdkText vimg_vmdk_text_read(const char *text, gsize size);

#endif
