/*
 * catalog.h: all images of a store, of which those that did not change are not looked at again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_CATALOG_H
#define VIMG_IMAGESTORE_CATALOG_H

typedef struct _VimgCatalog VimgCatalog;

VimgCatalog *vimg_catalog_new(void);
/* Accepts NULL. */
void vimg_catalog_free(VimgCatalog *catalog);

#endif
