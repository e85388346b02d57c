/*
 * backend.h: backends as the rest of pool/ sees them: loaded on first need, never trusted
 *
 * Nobody but backend.c calls through a VimgBackend table.  Each wrapper here supplies the default
 * of an absent callback, insists that a failure has an error, checks what came back, and puts the
 * name of the image before the message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_BACKEND_H
#define VIMG_POOL_BACKEND_H

#include "conf/pool-def.h"
#include "vimg-plugin.h"

typedef struct _VimgBackends VimgBackends; /* all types known on this host */
typedef struct _VimgType VimgType;         /* one loaded backend; lives as long as the process */

/*
 * Types are the files vimg-TYPE.so in @plugin_dir plus the ones in a table of what the project has,
 * so that a missing library is reported and not forgotten.  Loads nothing.
 */
VimgBackends *vimg_backends_new(const char *plugin_dir, const VimgServices *services);
void vimg_backends_free(VimgBackends *backends);

/*
 * Loads the module on first need.  Returns: (transfer none); NULL with VIMG_ERROR_XML (stock's
 * words for an unknown type), or VIMG_ERROR_CONFIG_UNSUPPORTED with the reason why it is
 * unavailable.
 */
const VimgType *vimg_backends_get(VimgBackends *backends, const char *type, GError **error);
/* As above without loading: whether the type may be defined at all. */
gboolean vimg_backends_knows(VimgBackends *backends, const char *type);

typedef struct {
    const char *type;
    const VimgType *loaded; /* NULL: unavailable */
    const char *reason;     /* why, if it is */
} VimgTypeStatus;

/* Tries all.  Returns: (transfer full) of VimgTypeStatus, sorted by type; strings are the list's.
 */
GPtrArray *vimg_backends_list(VimgBackends *backends);

/* The table itself, read only, for its data fields. */
const VimgBackend *vimg_type_table(const VimgType *type);
gboolean vimg_type_has_format(const VimgType *type, const char *format);
/* Whether its images may be made without a format; a backend of the first contract wants one. */
gboolean vimg_type_takes_undeclared(const VimgType *type);
/* VIMG_ERROR_INTERNAL: the backend returned nonsense, which @format names.  Returns: FALSE. */
gboolean vimg_type_nonsense(const VimgType *type, const char *image, GError **error,
                            const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Whether it can make images of plain files. */
gboolean vimg_type_can_adopt(const VimgType *type);

/* @def as the contract shows it; strings are borrowed from @def, which must outlive it. */
typedef struct _VimgPoolView VimgPoolView;
VimgPoolView *vimg_pool_view_new(const VimgPoolDef *def, const char *store_id,
                                 const char *state_dir);
void vimg_pool_view_free(VimgPoolView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPoolView, vimg_pool_view_free)
const VimgPluginPool *vimg_pool_view_get(const VimgPoolView *view);
/* The value of the secret that it names; borrowed. */
void vimg_pool_view_set_secret(VimgPoolView *view, const VimgBuffer *secret);

/* Source elements, auth type and options against the backend's tables, then its own check(). */
gboolean vimg_type_check(const VimgType *type, const VimgPoolView *view, GError **error);
/* Returns: (transfer full), never NULL. */
char *vimg_type_identity(const VimgType *type, const VimgPoolView *view);
/* Returns: (transfer full) what paths of its images have; NULL: the name of the pool. */
char *vimg_type_location(const VimgType *type, const VimgPoolView *view);
gboolean vimg_type_build(const VimgType *type, const VimgPoolView *view, guint flags,
                         VimgPluginJob *job, GError **error);
gboolean vimg_type_remove(const VimgType *type, const VimgPoolView *view, VimgPluginJob *job,
                          GError **error);
/* VIMG_ERROR_NO_SUPPORT if nobody knows its storages by keys. */
gboolean vimg_type_host_key_accept(const VimgType *type, const VimgPoolView *view,
                                   const char *fingerprint, GError **error);
char *vimg_type_find_sources(const VimgType *type, const VimgPoolView *view, GError **error);

/* An open storage, reference-counted: closed when the last of pool, writers and readers lets go. */
typedef struct _VimgStore VimgStore;

/* @out: as of vimg_store_probe(); NULL: not wanted. */
VimgStore *vimg_store_open(const VimgType *type, const VimgPoolView *view, guint flags,
                           VimgPluginHost *host, VimgPluginStore *out, GError **error);
VimgStore *vimg_store_ref(VimgStore *store);
void vimg_store_unref(VimgStore *store); /* the last one closes: may block */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgStore, vimg_store_unref)
const VimgType *vimg_store_type(const VimgStore *store);
/* Returns: (transfer full) the name of an image of @store; its uuid if the name is not known. */
char *vimg_store_image_name(VimgStore *store, const char *uuid);

gboolean vimg_store_update(VimgStore *store, const VimgPoolView *view, GError **error);
/* @out->store_id: (transfer full) */
gboolean vimg_store_probe(VimgStore *store, VimgPluginStore *out, GError **error);
/* Lying entries (bad names, uuids, unknown formats, doubles) are logged and left out. */
gboolean vimg_store_list(VimgStore *store, VimgImageSink sink, gpointer data, GError **error);
/* The same, but an error if anything was to be left out. */
gboolean vimg_store_list_whole(VimgStore *store, VimgImageSink sink, gpointer data, GError **error);
/* The same for the trash, where several may have one name. */
gboolean vimg_store_list_trash(VimgStore *store, VimgImageSink sink, gpointer data, GError **error);
gboolean vimg_store_create(VimgStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                           GError **error);
gboolean vimg_store_stat(VimgStore *store, const char *uuid, VimgPluginImage *out, GError **error);
gboolean vimg_store_remove_image(VimgStore *store, const char *uuid, GError **error);
/* As the last, if it is not active: VIMG_ERROR_OPERATION_INVALID. */
gboolean vimg_store_discard(VimgStore *store, const char *uuid, GError **error);
gboolean vimg_store_restore(VimgStore *store, const char *uuid, const char *name,
                            VimgPluginImage *out, GError **error);
gboolean vimg_store_purge(VimgStore *store, const char *uuid, GError **error);
gboolean vimg_store_resize(VimgStore *store, const char *uuid, guint64 capacity, GError **error);
gboolean vimg_store_wipe(VimgStore *store, const char *uuid, GError **error);
gboolean vimg_store_set_error(VimgStore *store, const char *uuid, const char *reason,
                              GError **error);
/* Whether two stores are one backend's and of one storage, and it can clone by itself. */
gboolean vimg_store_can_clone(VimgStore *a, VimgStore *b);
/* Whether it is worth trying: of an image of @from, which may be another storage. */
gboolean vimg_store_may_clone(VimgStore *store, VimgStore *from);
gboolean vimg_store_clone(VimgStore *store, VimgStore *from, const char *source,
                          const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                          GError **error);
gboolean vimg_store_flatten(VimgStore *store, const char *uuid, VimgPluginJob *job,
                            VimgPluginImage *out, GError **error);

/* ---- backend-export.c ------------------------------------------------------------------- */

/* As zeros() of the contract; *@known: whether the backend can. */
gboolean vimg_store_zeros(VimgStore *store, const char *uuid, VimgZerosSink sink, gpointer data,
                          VimgPluginJob *job, gboolean *known, GError **error);
/* As keep() and direct_url() of the contract; without the first, nothing is promised. */
gboolean vimg_store_keep(VimgStore *store, const char *uuid, const char *id, gint64 until,
                         GError **error);
char *vimg_store_direct_url(VimgStore *store, const char *uuid, gint64 until, VimgPluginJob *job,
                            GError **error);

/* ---- backend-pull.c: two storages of one backend ---------------------------------------- */

gboolean vimg_store_can_pull(VimgStore *store, VimgStore *source);
/* As pull() and same() of the contract; the first only if it can. */
gboolean vimg_store_pull(VimgStore *store, const char *uuid, VimgStore *source, const char *from,
                         const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent,
                         VimgPluginImage *out, GError **error);
gboolean vimg_store_same(VimgStore *store, const char *uuid, VimgStore *source, const char *from,
                         gboolean *same, GError **error);

gboolean vimg_store_can_write(VimgStore *store);
/* Only of a type that can adopt.  Files with impossible names or origins are logged and left out.
 */
gboolean vimg_store_list_files(VimgStore *store, VimgFileSink sink, gpointer data,
                               VimgPluginJob *job, GError **error);
/* Whether an upload may begin elsewhere than at the first byte. */
gboolean vimg_store_can_resume(VimgStore *store);

gboolean vimg_type_can_clean_up(const VimgType *type);
/*
 * Each returns: (transfer full) a report, which is a JSON object of at most VIMG_REPORT_MAX bytes;
 * NULL with @error.
 */
#define VIMG_REPORT_MAX (16 * 1024 * 1024)
char *vimg_store_cleanup(VimgStore *store, gboolean dry_run, VimgPluginJob *job, GError **error);
/* @uuid NULL: everything. */
char *vimg_store_verify(VimgStore *store, const char *uuid, VimgPluginJob *job, GError **error);
/*
 * What @report says of all that is stored, as vimg-plugin.h has it; *@bad stays if it does not say.
 * FALSE: nothing.
 */
gboolean vimg_report_totals(const char *report, guint64 *stored, guint64 *plain, guint64 *bad);
char *vimg_store_usage(VimgStore *store, VimgPluginJob *job, GError **error);
char *vimg_store_diff(VimgStore *store, const char *from, const char *to, VimgPluginJob *job,
                      GError **error);
/* Calls @func for each image that @report, which vimg_store_usage() gave, tells of. */
typedef void (*VimgUsageFunc)(const char *uuid, guint64 unique, guint64 shared, gint64 as_of,
                              gpointer data);
void vimg_report_each_usage(const char *report, VimgUsageFunc func, gpointer data);
/*
 * Steps that cannot be shown are logged and left out.  A backend that cannot tell is one step
 * VIMG_STEP_SKIPPED.
 */
#define VIMG_STEPS_MAX 64
gboolean vimg_type_diagnose(const VimgType *type, const VimgPoolView *view, VimgStepSink sink,
                            gpointer data, VimgPluginJob *job, GError **error);
/* Returns: (transfer full) what it says in short, as "freed 4096 bytes, removed 2, kept 0". */
char *vimg_report_summary(const char *report);

typedef struct _VimgWriter VimgWriter;
VimgWriter *vimg_writer_open(VimgStore *store, const char *uuid, const VimgWriteRequest *request,
                             VimgPluginJob *job, GError **error);
/* What the content looks like; before all of it. */
gboolean vimg_writer_format(VimgWriter *writer, const char *format, GError **error);
/* At least one of the @size bytes that an earlier upload left at @offset. */
gboolean vimg_writer_read(VimgWriter *writer, guint64 offset, guint64 size, VimgExtent *out,
                          GError **error);
gboolean vimg_writer_write(VimgWriter *writer, VimgBuffer *buffer, gsize offset, gsize size,
                           GError **error);
gboolean vimg_writer_hole(VimgWriter *writer, guint64 length, GError **error);
/* Frees @writer. */
gboolean vimg_writer_finish(VimgWriter *writer, gboolean seal, const VimgPluginImage *image,
                            VimgPluginImage *out, GError **error);
/* Frees @writer; accepts NULL. */
void vimg_writer_abort(VimgWriter *writer);
/* From any thread until finish or abort is called.  FALSE: the backend cannot tell. */
gboolean vimg_writer_stat(VimgWriter *writer, guint64 *allocation, guint64 *position);
/* The same of bytes it keeps free; 0: none, or the backend cannot tell. */
guint64 vimg_writer_reserved(VimgWriter *writer);

typedef struct _VimgReader VimgReader;
VimgReader *vimg_reader_open(VimgStore *store, const char *uuid, guint64 offset, guint64 length,
                             VimgPluginJob *job, GError **error);
/* Whether what it reads is that content of the image, which another host may have filled anew since
 * it was listed; what is not known speaks against nothing. */
gboolean vimg_reader_is_of(const VimgReader *reader, const char *generation);
/* The same of what judge() of VimgPullRequest is asked about; @name is for messages. */
VimgReader *vimg_reader_open_pulled(VimgStore *store, gpointer content, const char *name,
                                    guint64 offset, guint64 length, VimgPluginJob *job,
                                    GError **error);
/* The same of a plain file; @name is for messages. */
VimgReader *vimg_reader_open_file(VimgStore *store, const char *origin, const char *name,
                                  guint64 offset, VimgPluginJob *job, GError **error);
gboolean vimg_reader_next(VimgReader *reader, VimgExtent *out, GError **error);
void vimg_reader_close(VimgReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgReader, vimg_reader_close)

/* ---- backend-foreign.c: pools of libvirt that a backend knows ------------------------------- */

/* As the foreign_ callbacks of the contract. */
typedef struct _VimgForeign VimgForeign;
typedef struct _VimgForeignWriter VimgForeignWriter;
typedef struct _VimgForeignReader VimgForeignReader;

/* Which backend knows pools of libvirt's @type, of which all are loaded; NULL: none. */
const VimgType *vimg_backends_foreign(VimgBackends *backends, const char *type);
VimgForeign *vimg_type_foreign_open(const VimgType *type, const VimgPoolView *view, GError **error);
void vimg_foreign_close(VimgForeign *foreign); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgForeign, vimg_foreign_close)
gboolean vimg_foreign_identity(VimgForeign *foreign, const char *volume, char **out,
                               GError **error);
gboolean vimg_foreign_fresh(VimgForeign *foreign, const char *volume, guint64 capacity,
                            gint64 since, gint64 until, gboolean *fresh, GError **error);
VimgForeignWriter *vimg_foreign_writer_open(VimgForeign *foreign, const char *volume,
                                            guint64 offset, VimgPluginJob *job, GError **error);
gboolean vimg_foreign_write(VimgForeignWriter *writer, VimgBuffer *buffer, gsize offset,
                            guint64 size, GError **error);
gboolean vimg_foreign_finish(VimgForeignWriter *writer, GError **error); /* frees @writer */
void vimg_foreign_abort(VimgForeignWriter *writer);                      /* the same */
VimgForeignReader *vimg_foreign_reader_open(VimgForeign *foreign, const char *volume,
                                            VimgPluginJob *job, GError **error);
gboolean vimg_foreign_next(VimgForeignReader *reader, VimgExtent *out, GError **error);
void vimg_foreign_reader_close(VimgForeignReader *reader); /* accepts NULL */
/* *@done is FALSE if the backend cannot for these two, which is no failure. */
gboolean vimg_foreign_clone_image(VimgForeign *foreign, const char *volume, guint64 capacity,
                                  VimgStore *store, const char *uuid, VimgPluginJob *job,
                                  gboolean *done, GError **error);

gboolean vimg_foreign_has_moments(const VimgForeign *foreign);
gboolean vimg_foreign_hold(VimgForeign *foreign, const char *volume, const char *moment,
                           GError **error);
gboolean vimg_foreign_drop(VimgForeign *foreign, const char *volume, const char *moment,
                           GError **error);
VimgForeignReader *vimg_foreign_reader_open_at(VimgForeign *foreign, const char *volume,
                                               const char *moment, const char *since,
                                               VimgPluginJob *job, GError **error);
gboolean vimg_foreign_next_at(VimgForeignReader *reader, VimgExtent *out, gboolean *same,
                              GError **error);
gboolean vimg_foreign_replaces(const VimgForeign *foreign);
gboolean vimg_foreign_replace(VimgForeign *foreign, const char *volume, const char *identity,
                              const char *by, const char *away, GError **error);
gboolean vimg_foreign_settle(VimgForeign *foreign, const char *volume, const char *identity,
                             const char *second, const char *by, const char *away, gboolean *kept,
                             GError **error);
/* The same the other way: @image is made of @volume as it is at one moment. */
gboolean vimg_foreign_make_image(VimgForeign *foreign, const char *volume, VimgStore *store,
                                 const VimgPluginImage *image, VimgPluginJob *job,
                                 VimgPluginImage *out, gboolean *done, GError **error);

#endif
