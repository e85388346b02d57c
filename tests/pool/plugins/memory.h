/*
 * memory.h: how a test in the same process steers the backend vimg-memory.so
 *
 * A storage is known by the directory of its pool, which need not exist on disk.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include "vimg-plugin.h"

#define MEMORY_CONTROL "memory_control"

typedef struct {
    /* Forgets every storage and every order below. */
    void (*reset)(void);
    /* The next @times calls of @callback on @dir fail so (-1: all). */
    void (*fail)(const char *dir, const char *callback, VimgErrorCode code, const char *message,
                 int times);
    /* Calls of @callback on @dir hang until they are released. */
    void (*block)(const char *dir, const char *callback);
    void (*release)(const char *dir, const char *callback);
    /* Returns when one hangs there. */
    void (*wait_blocked)(const char *dir, const char *callback);
    /* Calls of @callback on @dir until now. */
    guint (*calls)(const char *dir, const char *callback);
    /* As a storage says it by itself; NULL: it is back. */
    void (*report)(const char *dir, const GError *error);
    /* Makes the storage another one, as if something else were mounted there. */
    void (*replace)(const char *dir);
    /* Makes both the same storage, as two paths may be. */
    void (*join)(const char *dir, const char *other);
    /* Removes it, images and all. */
    void (*lose)(const char *dir);
    /* From its next probe on. */
    void (*make_read_only)(const char *dir);
    /* As another host would: an active raw image; @content NULL: zeros. */
    void (*put_image)(const char *dir, const char *name, const char *content, gsize size);
    void (*take_image)(const char *dir, const char *name);
    void (*rename_image)(const char *dir, const char *name, const char *to);
    /* The data network that the last update() or open() showed. */
    char *(*network)(const char *dir);
    void (*keeps)(const char *dir, guint64 *deleted, guint64 *temporary); /* the same */
    gboolean (*is_open)(const char *dir);
    /* Extents stored for an image, as "d4096 h8192". */
    char *(*extents)(const char *dir, const char *name);
    /* What writer_format() was told of an image last; NULL: nothing. */
    char *(*guess)(const char *dir, const char *name);
    /* A plain file beside it, in the place of one of that name. */
    void (*put_file)(const char *dir, const char *name, const char *content, gsize size);
    /* As another host would: makes an image of that file. */
    void (*adopt_file)(const char *dir, const char *name);
    /* What an upload may reserve from now on, and its probes say is available; 0: no limit. */
    void (*set_room)(const char *dir, guint64 bytes);
    /* What it says of its growth is @bytes more: they were on their way. */
    void (*grow)(const char *dir, const char *name, guint64 bytes);
} MemoryControl;

#endif
