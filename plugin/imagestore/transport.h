/*
 * transport.h: the few file operations a store is made of
 *
 * Everything the store does to its files goes through here, so that a directory of this host, a
 * server behind SFTP and a transport that injects faults are the same to it.  Paths are relative to
 * the root of the store; "." is the root.  All functions may be called from any thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_TRANSPORT_H
#define VIMG_IMAGESTORE_TRANSPORT_H

#include "vimg-plugin.h"

typedef enum {
    VIMG_OP_MKDIR,     /* EEXIST if anything is there */
    VIMG_OP_RMDIR,     /* ENOTEMPTY */
    VIMG_OP_CREATE,    /* a new file with @data; EEXIST; leaves nothing when it fails */
    VIMG_OP_OVERWRITE, /* new content for an existing file; ENOENT */
    VIMG_OP_READ,      /* a regular file, whole; EFBIG if it is longer than @size */
    VIMG_OP_RENAME,    /* to @to; may or may not replace what is there: EEXIST or done */
    VIMG_OP_PUBLISH,   /* the same for a file that only its owner moves; never replaces: EEXIST */
    VIMG_OP_UNLINK,
    VIMG_OP_STAT, /* does not follow symbolic links */
    VIMG_OP_LIST, /* names of a directory but "." and ".." */
    VIMG_OP_SYNC, /* file or directory: durable when it returns */
} VimgOpKind;

typedef enum {
    VIMG_FILE_REGULAR,
    VIMG_FILE_DIRECTORY,
    VIMG_FILE_OTHER,
} VimgFileType;

typedef struct {
    VimgFileType type;
    guint64 size;
    gint64 mtime; /* nanoseconds since 1970, by the server's clock */
} VimgFileInfo;

/* One operation: the upper half is the caller's and borrowed, the lower half the answer. */
typedef struct {
    VimgOpKind kind;
    const char *path;
    const char *to;
    gconstpointer data;
    gsize size;
    gboolean sealed; /* CREATE: mode 0444, else 0644 */
    /* CREATE, OVERWRITE: durable too when it returns; without meaning where sync_all() works */
    gboolean durable;
    gboolean detailed; /* LIST: infos too, where that costs less than a STAT of each */

    int result;          /* 0 or a value of errno */
    VimgBuffer *content; /* READ: (transfer full) */
    GPtrArray *names;    /* LIST: (transfer full) of char */
    GArray *infos;       /* LIST: (transfer full) of VimgFileInfo, one a name; or NULL */
    VimgFileInfo info;   /* STAT */
} VimgOp;

typedef struct {
    guint64 total;     /* bytes */
    guint64 available; /* bytes an ordinary user may still write */
    gboolean read_only;
} VimgSpace;

typedef struct _VimgTransport VimgTransport;

/* All are required. */
typedef struct {
    /* The @n operations are independent of each other and may run in any order or at once. */
    void (*run)(VimgTransport *transport, VimgOp *ops, gsize n);
    /* Everything written before is durable when it returns.  ENOSYS: SYNC file by file instead. */
    int (*sync_all)(VimgTransport *transport);
    int (*space)(VimgTransport *transport, VimgSpace *out);
    void (*free)(VimgTransport *transport);
} VimgTransportOps;

struct _VimgTransport {
    const VimgTransportOps *ops;
    /*
     * Each run() takes a while, however little is asked: so much is asked in one, and many are
     * under way at once, from as many threads.
     */
    gboolean remote;
};

/* Single operations.  Return: 0 or a value of errno. */
int vimg_transport_mkdir(VimgTransport *transport, const char *path);
int vimg_transport_rmdir(VimgTransport *transport, const char *path);
int vimg_transport_create(VimgTransport *transport, const char *path, gconstpointer data,
                          gsize size, gboolean sealed);
/* The same, and durable when it returns. */
int vimg_transport_create_durable(VimgTransport *transport, const char *path, gconstpointer data,
                                  gsize size, gboolean sealed);
int vimg_transport_overwrite(VimgTransport *transport, const char *path, gconstpointer data,
                             gsize size);
int vimg_transport_read(VimgTransport *transport, const char *path, gsize max, VimgBuffer **out);
int vimg_transport_rename(VimgTransport *transport, const char *from, const char *to);
int vimg_transport_publish(VimgTransport *transport, const char *from, const char *to);
int vimg_transport_unlink(VimgTransport *transport, const char *path);
int vimg_transport_stat(VimgTransport *transport, const char *path, VimgFileInfo *out);
/* @out: (transfer full) of char */
int vimg_transport_list(VimgTransport *transport, const char *path, GPtrArray **out);
/* Runs @n operations; a LIST has its infos, of type VIMG_FILE_OTHER for what is gone meanwhile. */
void vimg_transport_list_detailed(VimgTransport *transport, VimgOp *ops, gsize n);
/* Runs the first of @n READs, at least one, as many as together have @max bytes.  Returns: how
 * many. */
gsize vimg_transport_read_some(VimgTransport *transport, VimgOp *ops, gsize n, guint64 max);
/* Frees what LIST answered, and with @paths those of all operations too. */
void vimg_transport_clear_ops(VimgOp *ops, gsize n, gboolean paths);
/* Listed names come in whatever order suits the storage; this is bytewise. */
void vimg_transport_sort(GPtrArray *names);
int vimg_transport_sync(VimgTransport *transport, const char *path);

/* Returns: bytes of the plain files in @dir, as far as they can be seen. */
guint64 vimg_transport_measure(VimgTransport *transport, const char *dir);
/* Removes a directory of plain files, as far as it can. */
void vimg_transport_remove_files(VimgTransport *transport, const char *dir);

void vimg_transport_run(VimgTransport *transport, VimgOp *ops, gsize n);
int vimg_transport_sync_all(VimgTransport *transport);
int vimg_transport_space(VimgTransport *transport, VimgSpace *out);
/* Accepts NULL. */
void vimg_transport_free(VimgTransport *transport);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTransport, vimg_transport_free)

/* A directory of this host; @root need not exist yet. */
VimgTransport *vimg_transport_local_new(const char *root);
/* For tests: as if it were on a file system, such as NFS, whose renames always replace. */
void vimg_transport_local_set_plain(VimgTransport *transport);

#endif
