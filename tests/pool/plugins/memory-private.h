/*
 * memory-private.h: the storages in memory, as the files of vimg-memory.so share them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MEMORY_PRIVATE_H
#define TEST_MEMORY_PRIVATE_H

#include <pthread.h>

#include "memory.h"

typedef struct {
    guint64 length;
    guint8 *data; /* NULL: a hole */
} Piece;

typedef struct {
    VimgPluginImage info;
    GArray *pieces; /* of Piece */
    char *guess;    /* of writer_format() */
    guint writers;
} Image;

typedef struct {
    char *id;            /* NULL: not built */
    GHashTable *images;  /* uuid -> Image */
    GHashTable *trash;   /* the same */
    GHashTable *files;   /* name -> File: plain ones beside the storage */
    GHashTable *adopted; /* set of origins of images that were removed */
    guint64 room;        /* bytes that an upload may reserve; 0: any number */
    char *network;       /* this and the next two: what the last open() or update() showed */
    guint64 keep_deleted;
    guint64 keep_temporary;
    gboolean read_only;
    VimgPluginHost *host;
    guint opens;
} Storage;

typedef struct {
    int fails; /* calls that fail yet; -1: all */
    VimgErrorCode code;
    char *message;
    gboolean blocks;
    guint waiting;
    guint calls;
} Order;

extern const VimgServices *mem_services;
extern pthread_mutex_t mem_lock;
extern pthread_cond_t mem_changed;
extern GHashTable *mem_storages; /* dir -> Storage; under mem_lock */
extern GHashTable *mem_orders;   /* "dir callback" -> Order; under mem_lock */

/* Returns: FALSE */
gboolean mem_refuse(GError **error, VimgErrorCode code, const char *message);
/* Takes the lock.  What the test ordered for this call; FALSE with @error if it was to fail. */
gboolean mem_gate(const char *dir, const char *callback, VimgPluginJob *job, GError **error);

/* The others under the lock. */

Storage *mem_get_storage(const char *dir);
Order *mem_get_order(const char *dir, const char *callback);
void mem_copy_info(VimgPluginImage *out, const VimgPluginImage *in);
Image *mem_find_image(const char *dir, const char *uuid, GError **error);
/* The same, also in the trash: who reads one goes on. */
Image *mem_find_read(const char *dir, const char *uuid, GError **error);
/* Between the images and the trash. */
void mem_move(GHashTable *from, GHashTable *to, Image *image);
void mem_show(Storage *storage, const VimgPluginPool *pool);
Image *mem_find_name(Storage *storage, const char *name);
Image *mem_add_image(Storage *storage, const VimgPluginImage *info);
guint64 mem_content_size(const Image *image);
guint64 mem_piece_at(const Image *image, guint64 at, const guint8 **data);
void mem_append(Image *image, const guint8 *data, guint64 length);
gboolean mem_write_at(Image *image, guint64 at, const guint8 *data, guint64 length, GError **error);

/* ---- memory-upkeep.c, without the lock ----------------------------------------------------- */

typedef struct {
    char *dir;
    VimgPluginHost *host;
} Handle;

gboolean mem_list_trash(gpointer data, VimgImageSink sink, gpointer sink_data, GError **error);
gboolean mem_restore(gpointer data, const char *uuid, const char *name, VimgPluginImage *out,
                     GError **error);
gboolean mem_purge(gpointer data, const char *uuid, GError **error);
char *mem_cleanup(gpointer data, gboolean dry_run, VimgPluginJob *job, GError **error);
char *mem_verify(gpointer data, const char *uuid, VimgPluginJob *job, GError **error);

/* ---- memory-usage.c ------------------------------------------------------------------------ */

char *mem_usage(gpointer data, VimgPluginJob *job, GError **error);
char *mem_diff(gpointer data, const char *from, const char *to, VimgPluginJob *job, GError **error);
gboolean mem_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data,
                      VimgPluginJob *job, GError **error);
/* The key is MEM_KEY. */
#define MEM_KEY "SHA256:memory"
gboolean mem_host_key_accept(const VimgPluginPool *pool, const char *fingerprint, GError **error);

/* ---- memory-files.c ------------------------------------------------------------------------ */

void mem_file_free(gpointer data);
void mem_put_file(const char *dir, const char *name, const char *content, gsize size);
void mem_adopt_file(const char *dir, const char *name);
gboolean mem_file_list(gpointer data, VimgFileSink sink, gpointer sink_data, VimgPluginJob *job,
                       GError **error);
gpointer mem_file_open(gpointer data, const char *origin, guint64 offset, VimgPluginJob *job,
                       GError **error);
gboolean mem_file_next(gpointer data, VimgExtent *out, GError **error);
void mem_file_close(gpointer data);

#endif
