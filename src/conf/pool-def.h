/*
 * pool-def.h: a <pool> document as plain data
 *
 * A definition is data only: no handle, no lock, no I/O.  What can be refused without knowing the
 * backend is refused by the parser; what the backend's tables say is checked by pool/.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_POOL_DEF_H
#define VIMG_CONF_POOL_DEF_H

#include "util/error.h"
#include "util/uuid.h"

#define VIMG_POOL_NAMESPACE "urn:virtimage:pool:1"

/* Longest document taken, in bytes: what the wire takes for a string. */
#define VIMG_XML_MAX (4 * 1024 * 1024)

typedef struct {
    char *name;
    guint16 port; /* 0: not given */
} VimgHostDef;

/* An element of <image:options> that belongs to the backend; see VimgPluginElement. */
typedef struct {
    char *path;
    char **attributes; /* name, value, …, NULL */
    char *text;
} VimgElementDef;

typedef struct {
    char *type;
    char *name;
    guint8 uuid[VIMG_UUID_SIZE]; /* a random one if the document has none */
    gboolean has_uuid;           /* the document had one */

    GPtrArray *hosts; /* of VimgHostDef */
    char *source_dir;
    char *source_name;
    char *device;
    char *auth_type; /* NULL: no <auth> */
    char *auth_user;
    char *secret_usage;
    char *secret_uuid; /* canonical text */
    char *target_path;

    char *description;
    gboolean disabled;
    GPtrArray *zones; /* of char *, no duplicates */
    char *data_network;
    char *sync_network;
    gboolean reconnect;         /* default yes */
    guint reconnect_interval;   /* seconds, default 30 */
    gboolean retrieve_existing; /* default no */
    guint64 keep_deleted;       /* seconds, default 259200 */
    guint64 keep_temporary;     /* seconds, default 86400 */
    char *cleanup_schedule;     /* as vimg_schedule_parse() takes it, once checked; NULL: off */
    guint64 space_reserve;      /* bytes; G_MAXUINT64: default */
    guint64 space_quota;        /* bytes; 0: no limit */
    GPtrArray *elements;        /* of VimgElementDef */
} VimgPoolDef;

void vimg_pool_def_free(VimgPoolDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPoolDef, vimg_pool_def_free)
VimgPoolDef *vimg_pool_def_copy(const VimgPoolDef *def);

/*
 * @validate: against the schema first.  Returns: (transfer full); NULL with VIMG_ERROR_XML_DETAIL
 * (not well-formed), VIMG_ERROR_XML, VIMG_ERROR_XML_SCHEMA or VIMG_ERROR_CONFIG_UNSUPPORTED.
 */
VimgPoolDef *vimg_pool_def_parse(const char *xml, gboolean validate, GError **error);

/* What a new definition may not have, though one that was stored long ago may: VIMG_ERROR_XML. */
gboolean vimg_pool_def_check(const VimgPoolDef *def, GError **error);

/* Whom a document is about; each may be missing. */
typedef struct {
    char *type;
    char *name;
    guint8 uuid[VIMG_UUID_SIZE];
    gboolean has_uuid;
} VimgPoolPeek;

void vimg_pool_peek_clear(VimgPoolPeek *peek);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPoolPeek, vimg_pool_peek_clear)
/*
 * The document of a pool of any type, also of libvirt's own.  @out: zeroed; to be cleared whatever
 * is returned.  Errors: as vimg_pool_def_parse(), whose other checks are not made.
 */
gboolean vimg_pool_peek(const char *xml, VimgPoolPeek *out, GError **error);

/* What only an active pool knows; NULL to leave them out as 0. */
typedef struct {
    guint64 capacity, allocation, available; /* bytes */
} VimgPoolSizes;

/* Returns: (transfer full) a document that parses back to @def and validates. */
char *vimg_pool_def_format(const VimgPoolDef *def, const VimgPoolSizes *sizes);

/* <dir path=> or else <target><path>; NULL if neither. */
const char *vimg_pool_def_dir(const VimgPoolDef *def);

/*
 * Whether @name may name a pool (1 to 251 bytes) or an image (to 255): UTF-8, no '/', no control
 * character, not "." or "..".  @what is "pool" or "volume", for the message (VIMG_ERROR_XML).
 */
gboolean vimg_name_check(const char *what, const char *name, GError **error);
/* The same of a name that is no part of a document (VIMG_ERROR_INVALID_ARG). */
gboolean vimg_name_check_argument(const char *what, const char *name, GError **error);

/*
 * Whether @path may be a mount path, after symbolic links and ".." are resolved as far as it
 * exists: absolute, not one of the system's own directories.  Does I/O (realpath).
 */
gboolean vimg_mount_path_check(const char *path, GError **error);

#endif
