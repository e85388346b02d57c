/*
 * vimg-plugin-pool.h: the definition of a pool, and the storage it leads to
 *
 * Included by vimg-plugin.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_POOL_H
#define VIMG_PLUGIN_POOL_H

#include <glib.h>

#include "vimg-plugin-buffer.h"

G_BEGIN_DECLS

/* An element below <image:options> that core does not know itself, in document order. */
typedef struct {
    const char *path;              /* local names joined by '/', as "slice" or "oss/auth" */
    const char *const *attributes; /* name, value, name, value, NULL */
    const char *text;              /* its own text, stripped; "" if none */
} VimgPluginElement;

typedef enum {
    VIMG_OPTION_STRING,
    VIMG_OPTION_BOOL, /* yes | no */
    VIMG_OPTION_UINT, /* decimal, @min to @max */
    VIMG_OPTION_ENUM, /* one of @values */
} VimgOptionType;

/* One attribute a backend understands; core refuses every other one with the list of these. */
typedef struct {
    const char *path; /* of the element, as in VimgPluginElement */
    const char *attribute;
    VimgOptionType type;
    guint64 min, max;     /* VIMG_OPTION_UINT */
    const char *values;   /* VIMG_OPTION_ENUM: "a|b|c" */
    const char *fallback; /* what holds when it is absent, for people; NULL: nothing */
} VimgPluginOption;

typedef struct {
    const char *name; /* host name or address, never empty */
    guint16 port;     /* 0: the backend's default */
} VimgPluginAddress;

/* A pool definition, checked by core against the schema and the backend's @source and @options. */
typedef struct {
    gsize size;
    const char *name;
    const char *uuid; /* 36 characters */
    const VimgPluginAddress *hosts;
    gsize n_hosts;
    const char *dir;         /* <source><dir path=>, else <target><path>; NULL if neither */
    const char *source_name; /* <source><name> */
    const char *device;      /* <source><device path=> */
    const char *auth_type;   /* <source><auth type=>; NULL: no <auth> */
    const char *auth_user;
    const char *secret_usage; /* one of the two, or neither */
    const char *secret_uuid;
    const char *data_network; /* CIDR */
    const char *sync_network; /* CIDR */
    gboolean retrieve_existing;
    guint64 keep_deleted;   /* seconds */
    guint64 keep_temporary; /* seconds */
    guint64 space_reserve;  /* bytes to keep free; G_MAXUINT64: the default */
    guint64 space_quota;    /* bytes the pool may hold; 0: no limit */
    const VimgPluginElement *elements;
    gsize n_elements;
    const char *store_id;     /* id of the storage this pool had before; NULL: never had one */
    const char *state_dir;    /* private, 0700, made on demand; survives restarts */
    const VimgBuffer *secret; /* value of the secret, where secret_get() does not know it; foreign
                                 pools only.  NULL: ask there */
} VimgPluginPool;

/* Whether @pool, which an older daemon may have made, is long enough to have @field. */
#define VIMG_PLUGIN_POOL_HAS(pool, field)                                                          \
    ((pool)->size >= G_STRUCT_OFFSET(VimgPluginPool, field) + sizeof((pool)->field))

/* Source elements: which ones a definition must or may have. */
typedef enum {
    VIMG_SOURCE_DIR = 1 << 0,   /* <dir path=> or target path */
    VIMG_SOURCE_HOST = 1 << 1,  /* one <host> */
    VIMG_SOURCE_HOSTS = 1 << 2, /* any number of <host> */
    VIMG_SOURCE_NAME = 1 << 3,
    VIMG_SOURCE_DEVICE = 1 << 4,
    VIMG_SOURCE_AUTH = 1 << 5,
} VimgSourceFields;

typedef enum {
    VIMG_OPEN_CREATE =
        1 << 0, /* make the storage if there is none yet and the pool never had one */
} VimgOpenFlags;

typedef enum {
    VIMG_BUILD_NO_OVERWRITE = 1 << 0, /* anything already there is an error */
    VIMG_BUILD_OVERWRITE = 1 << 1, /* also in place of a storage that was lost; never over data */
} VimgBuildFlags;

typedef struct {
    gsize size;
    char *store_id;     /* the storage's for ever, part of volume keys: at most 255 printable ASCII
                           characters, no space, no '/' */
    guint64 capacity;   /* bytes */
    guint64 allocation; /* bytes */
    guint64 available;  /* bytes */
    gboolean read_only; /* images can be read, never added or deleted */
} VimgPluginStore;

typedef enum {
    VIMG_STEP_OK,
    VIMG_STEP_WARNING, /* works, but not as it should */
    VIMG_STEP_FAILED,
    VIMG_STEP_SKIPPED, /* not tried, for an earlier one failed */
    VIMG_N_VERDICTS
} VimgStepVerdict;

/* One step on the way to a storage; borrowed. */
typedef struct {
    gsize size;
    const char *name; /* for programs: lower case, the same for ever, as "directory" */
    VimgStepVerdict verdict;
    const char *detail; /* what was found, in words; never a secret */
    const char *remedy; /* the way out; NULL: nothing is to be done, or nobody knows */
} VimgPluginStep;

typedef void (*VimgStepSink)(const VimgPluginStep *step, gpointer data);

G_END_DECLS

#endif
