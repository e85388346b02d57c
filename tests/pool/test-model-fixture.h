/*
 * test-model-fixture.h: a model in a temporary directory, on storages in memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MODEL_FIXTURE_H
#define TEST_MODEL_FIXTURE_H

#include <libvirt/libvirt.h>

#include "plugins/memory.h"
#include "pool/model.h"
#include "util/thread.h"

typedef struct {
    char *root;
    VimgModel *model;
    const MemoryControl *memory;  /* of type memory */
    const MemoryControl *memcopy; /* of type memcopy, which cannot clone */
    const char *const *zones;     /* of the next model */
    const char *const *search_paths;
    const char *metrics_file;
    VimgMutex lock;
    VimgCond changed;
    GString *events; /* "images:started images:refreshed"; under lock */
} Fixture;

/* As g_test_add() wants them; the model is started. */
void fixture_set_up(Fixture *fixture, gconstpointer data);
void fixture_tear_down(Fixture *fixture, gconstpointer data);
#define FIXTURE_ADD(path, data, func)                                                              \
    g_test_add(path, Fixture, data, fixture_set_up, func, fixture_tear_down)

/* Ends the model; the directories stay. */
void fixture_stop(Fixture *fixture);
/* A model on the same directories, started. */
void fixture_start(Fixture *fixture);
void fixture_restart(Fixture *fixture);
/* Until the pool is active and not being opened. */
void fixture_wait_active(Fixture *fixture, const char *pool);
/* Until its state is that. */
void fixture_wait_state(Fixture *fixture, const char *pool, guint8 state);

/* Returns: (transfer full) what was heard since the last call. */
char *fixture_events(Fixture *fixture);
/* That was heard, and nothing else. */
void fixture_assert_events(Fixture *fixture, const char *expected);
/* Returns when @event, as "images:refreshed", was heard. */
void fixture_wait_event(Fixture *fixture, const char *event);

char *fixture_path(Fixture *fixture, const char *name); /* (transfer full) */
gboolean fixture_exists(Fixture *fixture, const char *name);
void fixture_write(Fixture *fixture, const char *name, const char *text);

/* The 36 characters of a uuid made of one digit. */
#define UUID(digit)                                                                                \
#digit #digit #digit #digit #digit #digit #digit #digit                                        \
        "-" #digit #digit #digit #digit "-" #digit #digit #digit #digit                            \
        "-" #digit #digit #digit #digit                                                            \
        "-" #digit #digit #digit #digit #digit #digit #digit #digit #digit #digit #digit #digit

/* A pool of type memory on the directory /mem/NAME, with @uuid unless NULL and more @options. */
char *pool_xml(const char *name, const char *uuid, const char *options);
char *pool_xml_full(const char *type, const char *name, const char *uuid, const char *dir,
                    const char *options);
gboolean fixture_define(Fixture *fixture, const char *xml, GError **error);
gboolean fixture_create(Fixture *fixture, const char *xml, guint flags, GError **error);
VimgPoolId pool_id(Fixture *fixture, const char *name);
/* Must work. */
void define_pool(Fixture *fixture, const char *name);
void start_pool(Fixture *fixture, const char *name);
void define_and_start(Fixture *fixture, const char *name);
gboolean destroy_pool(Fixture *fixture, const char *name, GError **error);
guint8 pool_state(Fixture *fixture, const char *name);

VimgVolId vol_id(const char *pool, const char *name);
char *vol_xml(const char *name, const char *format, guint64 capacity);
/* Must work; state saving.  @format NULL: not declared. */
void create_vol(Fixture *fixture, const char *pool, const char *name, const char *format,
                guint64 capacity);
/* Must work: a complete upload of @size bytes of @byte. */
void upload_all(Fixture *fixture, const char *pool, const char *name, guint64 size, char byte);
gboolean push(VimgTransfer *transfer, gsize size, char byte, GError **error);
/* A whole qcow2 image of QCOW2_SIZE bytes, with a virtual size of 65536. */
#define QCOW2_SIZE 2048
const char *qcow2_image(void);
/* The same of an iso. */
#define ISO_SIZE 36864
const char *iso_image(void);
gboolean push_bytes(VimgTransfer *transfer, const char *bytes, gsize size, GError **error);
/* Returns: (transfer full) extents, as "d4096 h8192". */
char *download_all(Fixture *fixture, const char *pool, const char *name, guint64 offset,
                   guint64 length);
/* Returns: (transfer full) of names, joined by spaces. */
char *vol_names(Fixture *fixture, const char *pool);
/* Returns: (transfer full) "saving", "active" or "error". */
char *vol_state(Fixture *fixture, const char *pool, const char *name);
/* A copy of @from, as @xml says it. */
gboolean clone_vol(Fixture *fixture, const char *pool, const char *xml, const char *from_pool,
                   const char *from, GError **error);
gboolean delete_vol(Fixture *fixture, const char *pool, const char *name, GError **error);

/* The exact code, and the exact words a client sees; clears it. */
void assert_error_text(GError **error, VimgErrorCode code, const char *text);

#endif
