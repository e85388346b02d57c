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
    VIMG_OP_READ_AT,   /* of a regular file, else EINVAL: at most @size bytes from @offset on */
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
    /* nanoseconds since 1970, by the server's clock; many servers tell whole seconds only */
    gint64 mtime;
    guint64 inode;      /* 0: not known, nor is the next one */
    guint64 allocation; /* bytes that take room */
} VimgFileInfo;

/* One operation: the upper half is the caller's and borrowed, the lower half the answer. */
typedef struct {
    VimgOpKind kind;
    const char *path;
    const char *to;
    const char *dir; /* PUBLISH: of @to; if that costs no trip more it is made durable too */
    gconstpointer data;
    gsize size;
    guint64 offset;      /* READ_AT */
    gboolean with_infos; /* LIST: @infos too, if the storage tells them along with the names */
    gboolean types_only; /* LIST: of @infos the types alone are looked at */
    gboolean fresh; /* LIST: @infos of directories are to be as new as a look into them tells */
    guint most;     /* LIST: it may end after so many names; 0: all */
    /* READ: what a LIST told of the file a moment ago, which need not be asked again; or NULL */
    const VimgFileInfo *seen;
    gboolean sealed; /* CREATE: mode 0444, else 0644 */
    /* CREATE, OVERWRITE: durable too when it returns; without meaning where sync_all() works */
    gboolean durable;

    int result; /* 0 or a value of errno */
    /*
     * READ, READ_AT: (transfer full).  READ_AT may give less than asked for where a hole follows;
     * nothing: there the file ends, or @hole
     */
    VimgBuffer *content;
    guint64 hole;      /* READ_AT: so many bytes from @offset on are known to be a hole */
    GPtrArray *names;  /* LIST: (transfer full) of char */
    GArray *infos;     /* LIST: (transfer full) of VimgFileInfo, one a name; NULL: STAT tells */
    VimgFileInfo info; /* STAT; READ_AT: of the very file, once it was read */
    gboolean synced;   /* PUBLISH: so was @dir */
} VimgOp;

typedef struct {
    guint64 total;     /* bytes */
    guint64 available; /* bytes an ordinary user may still write */
    gboolean read_only;
} VimgSpace;

typedef struct _VimgTransport VimgTransport;

/* All are required, but for the last ones. */
typedef struct {
    /* The @n operations are independent of each other and may run in any order or at once. */
    void (*run)(VimgTransport *transport, VimgOp *ops, gsize n);
    /* Everything written before is durable when it returns.  ENOSYS: SYNC file by file instead. */
    int (*sync_all)(VimgTransport *transport);
    int (*space)(VimgTransport *transport, VimgSpace *out);
    void (*free)(VimgTransport *transport);
    /* optional; returns: (transfer full) in words why the storage is out of reach, or NULL */
    char *(*reason)(VimgTransport *transport);
    /* optional; returns: (transfer full) the root as the storage itself names it; NULL: @result */
    char *(*resolve)(VimgTransport *transport, int *result);
    /* optional; much is about to be moved, and what that takes may be got ready */
    void (*expect)(VimgTransport *transport);
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
/*
 * PUBLISHes, then makes @dir, that of @to, durable.  Returns: of the first, which is done whatever
 * @synced, of the second, says.
 */
int vimg_transport_publish_durable(VimgTransport *transport, const char *from, const char *to,
                                   const char *dir, int *synced);
int vimg_transport_unlink(VimgTransport *transport, const char *path);
int vimg_transport_stat(VimgTransport *transport, const char *path, VimgFileInfo *out);
/* @out: (transfer full) of char */
int vimg_transport_list(VimgTransport *transport, const char *path, GPtrArray **out);
/* Runs @n operations; a LIST has its infos, VIMG_FILE_OTHER for what is gone meanwhile, or fails.
 */
void vimg_transport_list_detailed(VimgTransport *transport, VimgOp *ops, gsize n);
/* Runs the first of @n READs, at least one, as many as together have @max bytes.  Returns: how
 * many. */
gsize vimg_transport_read_some(VimgTransport *transport, VimgOp *ops, gsize n, guint64 max);
/* Frees what LIST answered, and with @paths those of all operations too. */
void vimg_transport_clear_ops(VimgOp *ops, gsize n, gboolean paths);
/* One such LIST.  @names, @infos: (transfer full) */
int vimg_transport_list_infos(VimgTransport *transport, const char *path, GPtrArray **names,
                              GArray **infos);
/* Listed names come in whatever order suits the storage; this is bytewise. */
void vimg_transport_sort(GPtrArray *names);
int vimg_transport_sync(VimgTransport *transport, const char *path);
/* All of @n in one batch.  Returns: 0 or that of the first that could not be made durable. */
int vimg_transport_sync_files(VimgTransport *transport, char *const *paths, gsize n);

/* Returns: bytes of the plain files in @dir, as far as they can be seen. */
guint64 vimg_transport_measure(VimgTransport *transport, const char *dir);
/* Removes a directory of plain files, as far as it can. */
void vimg_transport_remove_files(VimgTransport *transport, const char *dir);

void vimg_transport_run(VimgTransport *transport, VimgOp *ops, gsize n);
int vimg_transport_sync_all(VimgTransport *transport);
int vimg_transport_space(VimgTransport *transport, VimgSpace *out);
/* Returns: (transfer full) in words why operations answer ENOTCONN; NULL: the storage is there. */
char *vimg_transport_reason(VimgTransport *transport);
/*
 * Returns: (transfer full) the absolute path of the root without symbolic links, where the storage
 * is; NULL with @result, a value of errno, which is ENOSYS where that cannot be asked.
 */
char *vimg_transport_resolve(VimgTransport *transport, int *result);
/* Much is about to be moved. */
void vimg_transport_expect(VimgTransport *transport);
/* Accepts NULL. */
void vimg_transport_free(VimgTransport *transport);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTransport, vimg_transport_free)

/*
 * A storage that is lost is waited for: not for half a minute, or, in a thread that says here that
 * it works for a job, for minutes, until the job is cancelled.  Operations then answer ENOTCONN or
 * ECANCELED.  @job: NULL: no job.  Returns: the one before, for vimg_transport_patience_end().
 */
VimgPluginJob *vimg_transport_patience(VimgPluginJob *job);
void vimg_transport_patience_end(VimgPluginJob *before);
/* The same as the first, but a lost storage is waited for no longer than without it. */
VimgPluginJob *vimg_transport_haste(VimgPluginJob *job);
/* The one that this thread works for, or NULL. */
VimgPluginJob *vimg_transport_job(void);
/* Whether there is one, which waits for minutes. */
gboolean vimg_transport_is_patient(void);
/*
 * Which one that is: unlike its address, no number is used again.  0: none.  Of a daemon that does
 * not tell, it is so for as long as any thread works for it or somebody holds it.
 */
guint64 vimg_transport_job_number(void);
/* What works for @job (NULL: none) now and then holds it from its beginning to its end. */
void vimg_transport_hold_job(VimgPluginJob *job);
void vimg_transport_drop_job(VimgPluginJob *job);

static inline void
vimg_transport_patience_leave(VimgPluginJob **before)
{
    vimg_transport_patience_end(*before);
}

/* Works for @job until the end of the enclosing block. */
#define VIMG_TRANSPORT_PATIENCE(job)                                                               \
    __attribute__((cleanup(vimg_transport_patience_leave), unused)) VimgPluginJob *G_PASTE(        \
        patience_, __LINE__) = vimg_transport_patience(job)

/* A directory of this host; @root need not exist yet. */
VimgTransport *vimg_transport_local_new(const char *root);
/* For tests: as if it were on a file system, such as NFS, whose renames always replace. */
void vimg_transport_local_set_plain(VimgTransport *transport);

#endif
