/*
 * backend-private.h: what the backend*.c files share; for them alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_BACKEND_PRIVATE_H
#define VIMG_POOL_BACKEND_PRIVATE_H

#include "pool/backend.h"
#include "util/thread.h"

typedef enum {
    VIMG_TYPE_UNTRIED,
    VIMG_TYPE_MISSING, /* no module; looked for again each time, for it may be installed later */
    VIMG_TYPE_FAILED,  /* for good: a module is never unloaded, so never loaded twice */
    VIMG_TYPE_LOADED,
} VimgTypeState;

/* A type's lies that were logged, so that each is logged once. */
typedef struct {
    VimgMutex lock;
    GHashTable *seen; /* set of char *; under lock */
} VimgComplaints;

struct _VimgType {
    char *name;
    char *path;                 /* of its module */
    VimgMutex lock;             /* held while the module loads, so that it loads once */
    VimgTypeState state;        /* under lock */
    char *reason;               /* under lock: why it is unavailable */
    VimgBackend table;          /* written before state becomes LOADED, then constant */
    VimgComplaints *complaints; /* a pointer: a const VimgType can still be complained about */
};

struct _VimgStore {
    int refs; /* atomic */
    const VimgType *type;
    gpointer handle;
    char *id; /* of the storage; constant */
    VimgMutex lock;
    GHashTable *names; /* char * uuid → char * name, for messages; under lock */
};

/* Logs, as a warning and once a text, that the backend broke the contract. */
void vimg_type_complain(const VimgType *type, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * What a callback answered, @ok and @local (transfer full), made honest: a failure always sets
 * @error, a success never has one.  @image is the name put before the message; NULL: none.
 * Returns: @ok.
 */
gboolean vimg_type_settle(const VimgType *type, gboolean ok, GError *local, const char *image,
                          GError **error);

/* ---- backend-file.c --------------------------------------------------------------------- */

/* The callbacks that read and write what content() and seal() of @table say; handle: VimgStore. */
void vimg_file_callbacks(VimgBackend *table);

/* ---- backend-check.c -------------------------------------------------------------------- */

/*
 * Whether @image, as the backend of @type gave it, can be believed.  Returns: NULL, or (transfer
 * full) what is wrong with it.
 */
char *vimg_image_lie(const VimgType *type, const VimgPluginImage *image);
/* The same for the answer to a probe. */
char *vimg_store_lie(const VimgPluginStore *store);
/* UTF-8 that an XML document can hold; NULL is fine. */
gboolean vimg_text_check(const char *text);

void vimg_store_remember(VimgStore *store, const VimgPluginImage *image);
/*
 * Checks and completes @out, an image that a callback returned as @uuid and (unless NULL) @name;
 * clears it and sets @error if it lies.
 */
gboolean vimg_store_accept(VimgStore *store, VimgPluginImage *out, const char *uuid,
                           const char *name, GError **error);

#endif
