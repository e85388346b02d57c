/*
 * vimg-plugin.h: the whole contract between virtimaged and a storage backend
 *
 * What callbacks take and give is in the headers beside it, which it includes.
 *
 * A backend is one shared module named vimg-TYPE.so with one exported symbol, the function
 * vimg_plugin_init().  It returns a table of callbacks that lives as long as the process; modules
 * are never unloaded.
 *
 * Promises of the daemon
 * - No lock of the daemon is held during any callback.  Callbacks of one handle may run at the same
 *   time in different threads; the calls on one writer or one reader never overlap.
 * - At most one *changing* call (create's result, writer, resize, wipe, delete, set_metadata) runs
 *   for one image at a time in one daemon; other hosts may share the storage.
 * - Image names are checked before any callback: 1 to 255 bytes of UTF-8, no '/', no control
 *   character, not "." or "..".  Formats, flags and image states are checked too.
 * - Strings and structs given to a callback are borrowed for the length of the call.
 *
 * Promises of the backend
 * - Every callback that fails sets its GError (domain VIMG_ERROR, code VimgErrorCode); the message
 *   is the cause in words, without the name of the pool or image, which the daemon adds.
 * - What a callback reported as done is durable before it returns.
 * - All strings handed to the daemon are UTF-8 and were allocated with GLib.
 * - A call with a job looks at job_cancelled() at least once a second, whatever it waits for, and
 *   then fails with VIMG_ERROR_ABORTED.  A call without one ends by itself, in half a minute at
 *   most, though the storage hangs: VIMG_ERROR_DISCONNECTED or VIMG_ERROR_TIMEOUT.
 *
 * Versions: structs with a size only grow at their end.  The size is set by whoever made the
 * struct; the other side goes no further than that.  Structs without one never change.  A backend
 * built for a newer VIMG_PLUGIN_ABI than the daemon's is refused.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_H
#define VIMG_PLUGIN_H

#include <glib.h>

#include "vimg-plugin-buffer.h"
#include "vimg-plugin-errors.h"
#include "vimg-plugin-image.h"
#include "vimg-plugin-pool.h"
#include "vimg-plugin-services.h"

G_BEGIN_DECLS

#define VIMG_PLUGIN_ABI 1

/*
 * Callbacks marked "required" must be set.  All others are optional: without one the daemon answers
 * "not supported" or does the work itself, as said at the field.
 */
typedef struct {
    guint32 abi;
    guint32 size;

    const char *type;                /* required: the value of <pool type='...'> */
    const char *description;         /* one line for people */
    guint32 source_required;         /* VimgSourceFields */
    guint32 source_allowed;          /* besides the required ones */
    const char *auth_type;           /* the one value of <auth type=>; NULL: none allowed */
    const char *formats;             /* required: "raw|qcow2|…", the first is the default */
    const VimgPluginOption *options; /* ends with .path NULL; NULL: none */

    /* optional: what can be rejected by looking at @pool alone, without I/O on the storage */
    gboolean (*check)(const VimgPluginPool *pool, GError **error);
    /* required: (transfer full) what makes two definitions mean one storage, as "dir:/srv/images"
     */
    char *(*identity)(const VimgPluginPool *pool);

    /* optional: prepare the storage before the first open(); a failed build removes what it made */
    gboolean (*build)(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                      GError **error);
    /* optional: remove everything that build() and images made; foreign data stays and is named */
    gboolean (*remove)(const VimgPluginPool *pool, VimgPluginJob *job, GError **error);
    /*
     * optional: storages to be found at a place or below it.  @pool has only what the spec gave;
     * returns: (transfer full) the <source> elements inside <sources>, or NULL with @error
     */
    char *(*find_sources)(const VimgPluginPool *pool, GError **error);

    /* required; @host is for services.  Returns: (transfer full) a handle, or NULL with @error */
    gpointer (*open)(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host,
                     GError **error);
    /* required; cannot fail; no other call on @handle runs or follows */
    void (*close)(gpointer handle);
    /*
     * optional: the definition changed while open, or a client refreshes the pool: secrets are read
     * again.  Without it a change waits for the next open()
     */
    gboolean (*update)(gpointer handle, const VimgPluginPool *pool, GError **error);
    /*
     * required: cheap health check and sizes; strings of @out are set by the backend.  Connects
     * again if the connection was lost
     */
    gboolean (*probe)(gpointer handle, VimgPluginStore *out, GError **error);
    /* required: every image (not the trash), never by reading content; removes nothing */
    gboolean (*list)(gpointer handle, VimgImageSink sink, gpointer data, GError **error);
    /* optional: the same for the trash */
    gboolean (*list_trash)(gpointer handle, VimgImageSink sink, gpointer data, GError **error);

    /*
     * optional: claim @image->name and create the image @image->uuid in state saving.
     * VIMG_ERROR_VOL_EXISTS: the name is taken, on this host or another.  Nothing is left of what
     * failed.  Its format is NULL until it is active if nobody declared one; a backend older than
     * writer_read below gets the first of its formats instead
     */
    gboolean (*create)(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out,
                       GError **error);
    /* required: what is true of one image now; VIMG_ERROR_NO_VOL: it is gone or in the trash */
    gboolean (*stat)(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error);
    /*
     * optional: an active image goes to the trash (is removed, if there is none), any other is
     * removed; its name is free at once.  VIMG_ERROR_OPERATION_INVALID naming who needs it
     */
    gboolean (*remove_image)(gpointer handle, const char *uuid, GError **error);
    /* optional: bring one back from the trash as @name; VIMG_ERROR_VOL_EXISTS */
    gboolean (*restore)(gpointer handle, const char *uuid, const char *name, VimgPluginImage *out,
                        GError **error);
    /* optional: remove one from the trash for good */
    gboolean (*purge)(gpointer handle, const char *uuid, GError **error);
    /* optional: state saving only, never below what was written */
    gboolean (*resize)(gpointer handle, const char *uuid, guint64 capacity, GError **error);
    /* optional: drop content; the image is saving again, and what comes then is of another
       generation */
    gboolean (*wipe)(gpointer handle, const char *uuid, GError **error);
    /* optional: mark as unusable for @reason, durably; until wiped or deleted */
    gboolean (*set_error)(gpointer handle, const char *uuid, const char *reason, GError **error);
    /* optional: os, arch, description of @image (by its uuid); NULL fields stay as they are */
    gboolean (*set_metadata)(gpointer handle, const VimgPluginImage *image, GError **error);

    /*
     * optional, all five or none.  The image is saving.  Bytes below its durable end are compared
     * with what is stored, not stored again; a difference is VIMG_ERROR_OPERATION_INVALID naming
     * the offset.  An offset beyond the durable end is VIMG_ERROR_INVALID_ARG naming that end.  An
     * image that another host writes is VIMG_ERROR_BUSY.  @job lives until the writer is freed: a
     * long finish (an import by the storage) shows its progress there.
     */
    gpointer (*writer_open)(gpointer handle, const char *uuid, const VimgWriteRequest *request,
                            VimgPluginJob *job, GError **error);
    /* @size bytes at @buffer->data + @offset come next; the backend may keep a reference */
    gboolean (*writer_write)(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size,
                             GError **error);
    /* @length zero bytes come next; may be terabytes */
    gboolean (*writer_hole)(gpointer writer, guint64 length, GError **error);
    /*
     * All came.  @seal: the image becomes active with @image's capacity and format, else it stays
     * saving with everything durable.  Frees @writer whatever it returns; on failure the image is
     * saving as far as it got, and the same upload may be repeated.
     */
    gboolean (*writer_finish)(gpointer writer, gboolean seal, const VimgPluginImage *image,
                              VimgPluginImage *out, GError **error);
    /* Frees @writer; the image stays saving and keeps what is durable. */
    void (*writer_abort)(gpointer writer);
    /*
     * optional: sizes of a running upload, from memory; in any thread, also during the other calls
     * but finish and abort
     */
    void (*writer_stat)(gpointer writer, guint64 *allocation, guint64 *position);

    /*
     * required, all three, unless there is content() below.  @length 0: to the end; beyond the end:
     * nothing.  The image is active, or in the trash and kept (image_kept())
     */
    gpointer (*reader_open)(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                            VimgPluginJob *job, GError **error);
    /* TRUE with @out->length 0 at the end; every byte handed out was verified */
    gboolean (*reader_next)(gpointer reader, VimgExtent *out, GError **error);
    void (*reader_close)(gpointer reader);

    /*
     * optional: @image (fresh uuid and name) becomes an active image with the content of @source,
     * another active image of this storage, without moving data.  VIMG_ERROR_VOL_EXISTS as for
     * create().  Without it, or on VIMG_ERROR_NO_SUPPORT for just this pair, core copies extents.
     */
    gboolean (*clone)(gpointer handle, const char *source, const VimgPluginImage *image,
                      VimgPluginJob *job, VimgPluginImage *out, GError **error);

    /*
     * optional: free what nobody needs.  Returns: (transfer full) a JSON report, an object with
     * "freed" (bytes), "removed" and "kept" (arrays of {"name", "reason"}); more members are fine,
     * more than 16 MiB are not.  A report of all that is stored may have "stored" (bytes it takes),
     * "plain" (bytes it is, not compressed) and "bad" (pieces that are damaged or missing), from
     * which the daemon shows ratios until the next one
     */
    char *(*cleanup)(gpointer handle, gboolean dry_run, VimgPluginJob *job, GError **error);
    /*
     * optional: re-read and check @uuid, or everything for NULL.  Returns: as cleanup(), with
     * "checked" (bytes) and "damaged" (array of {"uuid", "name", "reason"})
     */
    char *(*verify)(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error);

    /*
     * optional, for storages that store formats differently: what the first bytes of an image look
     * like whose format is not declared.  Once, before the first writer_write or writer_hole; a
     * guess that the format at the end, and another upload of the image, may prove wrong
     */
    gboolean (*writer_format)(gpointer writer, const char *format, GError **error);
    /*
     * optional: what is stored at @offset, below the offset at which the writer was opened; at
     * least one byte, at most @size, verified.  Comes before the first of the writer's other calls.
     * Without it an upload begins at the first byte: core inspects and sums up the whole content
     */
    gboolean (*writer_read)(gpointer writer, guint64 offset, gsize size, VimgExtent *out,
                            GError **error);

    /*
     * optional, in the place of all writer_ and reader_ callbacks: each image's content is a plain
     * file.  Returns: its descriptor, open for reading and, if @saving, for writing, which the
     * daemon closes; -1 with @error.  It is an open file description of its own, O_CLOEXEC, not
     * O_APPEND.  The daemon writes from the first byte on, holes as holes, and reads; an upload
     * that was interrupted begins again
     */
    int (*content)(gpointer handle, const char *uuid, gboolean saving, GError **error);
    /*
     * optional, for content(): all of it came and is durable; @image, complete, becomes active.
     * Without it nothing can be uploaded
     */
    gboolean (*seal)(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out,
                     GError **error);

    /*
     * optional, all four or none: adopt plain files where <image:retrieve existing='yes'/> asks for
     * it, which is refused without them.  Core looks at the content, makes an image with the file's
     * origin, uploads and seals it; the file itself stays.
     *
     * file_list(): the files that have not changed for a minute, without those adopted before: an
     * origin is known for ever once an image of it that had been active was removed.  create() with
     * such an origin is VIMG_ERROR_VOL_EXISTS too, as another host may have been faster.
     */
    gboolean (*file_list)(gpointer handle, VimgFileSink sink, gpointer data, VimgPluginJob *job,
                          GError **error);
    /*
     * Its content from @offset on, at most its length.  @job lives until file_close().
     * VIMG_ERROR_OPERATION_INVALID: it is no longer what @origin says
     */
    gpointer (*file_open)(gpointer handle, const char *origin, guint64 offset, VimgPluginJob *job,
                          GError **error);
    /*
     * As reader_next(); holes are not read.  At the end it looks again whether the file is still
     * what its origin says: VIMG_ERROR_OPERATION_INVALID
     */
    gboolean (*file_next)(gpointer file, VimgExtent *out, GError **error);
    void (*file_close)(gpointer file);

    /*
     * optional: as remove_image(), of one whose upload failed; VIMG_ERROR_OPERATION_INVALID if it
     * is active, since another host may have completed it meanwhile.  Without it remove_image() is
     * called
     */
    gboolean (*discard)(gpointer handle, const char *uuid, GError **error);

    /*
     * optional: what each image takes, by what is stored now and without reading content.  Returns:
     * (transfer full) a JSON report as of cleanup(), an object with "as_of" (seconds since 1970)
     * and "images", an array of {"uuid", "unique", "shared"}: bytes stored for it alone, and for
     * others or deleted ones too
     */
    char *(*usage)(gpointer handle, VimgPluginJob *job, GError **error);
    /*
     * optional: in what the content of @to differs from that of @from; both are active.  Returns: a
     * JSON report with "from" and "to" (names), "from_length", "to_length", "changed" (bytes of @to
     * unlike those at the same place of @from), "added", "removed", "shared" (bytes stored for @to
     * alone, for @from alone, for both) and "extents", at most 100,000 of {"offset", "length",
     * "kind": changed, zeroed (to zeros) or grown (behind the end of @from)}; "truncated": there
     * are more
     */
    char *(*diff)(gpointer handle, const char *from, const char *to, VimgPluginJob *job,
                  GError **error);
    /*
     * optional: goes the way to the storage of @pool, which may be open or not, and tells @sink of
     * each step, at most 64, in the order of the way; goes on behind one that failed as far as that
     * makes sense.  It changes nothing, but may try with files of its own whether the storage can
     * be written, which it removes.  FALSE only with VIMG_ERROR_ABORTED
     */
    gboolean (*diagnose)(const VimgPluginPool *pool, VimgStepSink sink, gpointer data,
                         VimgPluginJob *job, GError **error);
    /*
     * optional: bytes of the storage that a running upload keeps free for what is still to come,
     * from memory; when writer_stat() may come
     */
    guint64 (*writer_reserved)(gpointer writer);
    /*
     * optional: from now on the server of @pool, which may be open or not, is known by the key with
     * @fingerprint, as long as it shows just that one; VIMG_ERROR_AUTH if it shows another
     */
    gboolean (*host_key_accept)(const VimgPluginPool *pool, const char *fingerprint,
                                GError **error);

    /*
     * optional: the image @uuid gets content, format and capacity of @from, an active image of
     * @source, which is a handle of this backend on another storage.  It is saving, new or as an
     * earlier pull of the same image left it, and becomes active; or it has that content, is
     * damaged, and gets what it lacks.  What is there already does not travel, and nothing that
     * cannot be verified is taken: VIMG_ERROR_DAMAGED.  Progress is told in bytes of what the image
     * takes.  *@sent: bytes that travelled, set whatever it returns.  On failure the image is
     * saving and keeps what came.  VIMG_ERROR_NO_SUPPORT, for just this pair and before anything
     * was done, or without it: core copies extents
     */
    gboolean (*pull)(gpointer handle, const char *uuid, gpointer source, const char *from,
                     const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent,
                     VimgPluginImage *out, GError **error);
    /*
     * optional: whether the content of @uuid is that of @from, both complete, without reading it;
     * handles as of pull().  VIMG_ERROR_NO_SUPPORT: that cannot be told
     */
    gboolean (*same)(gpointer handle, const char *uuid, gpointer source, const char *from,
                     gboolean *same, GError **error);
    /*
     * optional: as list(), but FALSE with @error if anything that may be an image cannot be read.
     * Without it nothing is deleted elsewhere for want of an image here
     */
    gboolean (*list_whole)(gpointer handle, VimgImageSink sink, gpointer data, GError **error);
    /*
     * required of a backend whose pull() asks judge(): as reader_open(), of the @content that it
     * was asked about, until it returns
     */
    gpointer (*pulled_open)(gpointer content, guint64 offset, guint64 length, VimgPluginJob *job,
                            GError **error);
    /*
     * optional: @uuid, an active image made by clone(), needs its source no more; nothing is done
     * to one that needs none.  It can be read meanwhile.  Without it clones need no source
     */
    gboolean (*flatten)(gpointer handle, const char *uuid, VimgPluginJob *job, VimgPluginImage *out,
                        GError **error);
    /*
     * optional: (transfer full) "PLACE" of paths "TYPE://PLACE/NAME"; without it the pool's name
     */
    char *(*location)(const VimgPluginPool *pool);
    /*
     * optional: as clone(), of @source, an image of @from, which is a handle of this backend on
     * another storage.  VIMG_ERROR_NO_SUPPORT, for just this pair, or without it: core copies
     * extents
     */
    gboolean (*clone_from)(gpointer handle, gpointer from, const char *source,
                           const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                           GError **error);
    /*
     * optional: tells of the zeros of @uuid, an active image, that are known without reading its
     * data, in their order.  Without it nobody skips what nobody has read
     */
    gboolean (*zeros)(gpointer handle, const char *uuid, VimgZerosSink sink, gpointer data,
                      VimgPluginJob *job, GError **error);
    /*
     * optional, for storages that several hosts share: the active image @uuid is promised to
     * somebody under @id, a uuid, and no host removes it before @until (seconds since 1970), though
     * it be deleted.  0: the promise ends; one that is not there is a success.  Without it
     * image_kept() alone keeps images, on this host
     */
    gboolean (*keep)(gpointer handle, const char *uuid, const char *id, gint64 until,
                     GError **error);
    /*
     * optional: a URL of the storage itself at which anybody reads the content of @uuid, an active
     * image, as it is stored, until @until (seconds since 1970).  VIMG_ERROR_INVALID_ARG: for so
     * long it gives none.  Returns: (transfer full)
     */
    char *(*direct_url)(gpointer handle, const char *uuid, gint64 until, VimgPluginJob *job,
                        GError **error);

    /*
     * optional, foreign_type and all of the callbacks, or none: pools of libvirt itself of this
     * <pool type='...'> lie in storages that the backend knows, and libvirt cannot fill or read
     * their volumes.  It makes and deletes them; they are as raw as disks.
     */
    const char *foreign_type;
    /* @pool: libvirt's definition.  Returns: (transfer full) a handle, or NULL with @error */
    gpointer (*foreign_open)(const VimgPluginPool *pool, GError **error);
    void (*foreign_close)(gpointer foreign);
    /* @volume is new, and zeros; what comes begins at @offset.  @job lives until it is freed */
    gpointer (*foreign_writer)(gpointer foreign, const char *volume, guint64 offset,
                               VimgPluginJob *job, GError **error);
    /* as writer_write() and, @buffer NULL, writer_hole() */
    gboolean (*foreign_write)(gpointer writer, VimgBuffer *buffer, gsize offset, guint64 size,
                              GError **error);
    /* all is durable.  Frees @writer whatever it returns */
    gboolean (*foreign_finish)(gpointer writer, GError **error);
    void (*foreign_abort)(gpointer writer);
    /* as reader_open(), reader_next() and reader_close() */
    gpointer (*foreign_reader)(gpointer foreign, const char *volume, VimgPluginJob *job,
                               GError **error);
    gboolean (*foreign_next)(gpointer reader, VimgExtent *out, GError **error);
    void (*foreign_reader_close)(gpointer reader);
    /*
     * @volume, which is new and holds nothing, is replaced by one of @capacity that begins with the
     * content of @uuid, an active image of @handle, without moving data.  VIMG_ERROR_NO_SUPPORT,
     * for just this pair and with @volume as it was: core copies.  VIMG_ERROR_VOL_EXISTS: somebody
     * else made one of the name meanwhile
     */
    gboolean (*foreign_clone)(gpointer foreign, const char *volume, guint64 capacity,
                              gpointer handle, const char *uuid, VimgPluginJob *job,
                              GError **error);
    /* no data volumes of a machine are cloned through it, only the disk that it boots from */
    gboolean root_only;
    /*
     * optional, with foreign_type: *@identity becomes (transfer full) what no other volume ever
     * had, also none of the same name
     */
    gboolean (*foreign_identity)(gpointer foreign, const char *volume, char **identity,
                                 GError **error);
    /*
     * optional, with foreign_type: @image is made of what @volume, which may be written to, holds
     * at one moment of the call, without moving data, and is active.  VIMG_ERROR_NO_SUPPORT: not of
     * just this pair, and nothing was made
     */
    gboolean (*foreign_image)(gpointer foreign, const char *volume, gpointer handle,
                              const VimgPluginImage *image, VimgPluginJob *job,
                              VimgPluginImage *out, GError **error);
    /*
     * optional, with foreign_clone(): @by takes the name and the place of @volume, which holds
     * nothing and may be gone.  What foreign_clone() makes is called otherwise until then, and
     * there is nothing of that name before.  VIMG_ERROR_VOL_EXISTS: somebody else made one of the
     * name meanwhile, and @by is still there
     */
    gboolean (*foreign_replace)(gpointer foreign, const char *volume, const char *by,
                                GError **error);
    /*
     * optional, all five or none, with foreign_type: what @volume holds now can be read under the
     * name of @moment, a uuid, though it be written to, until foreign_drop(), for which one that is
     * not there is a success
     */
    gboolean (*foreign_hold)(gpointer foreign, const char *volume, const char *moment,
                             GError **error);
    gboolean (*foreign_drop)(gpointer foreign, const char *volume, const char *moment,
                             GError **error);
    /*
     * As foreign_reader(), of @moment.  @since: another one, of which its client has the content;
     * VIMG_ERROR_NO_SUPPORT: nobody knows what was changed since then.  NULL: all of it comes
     */
    gpointer (*foreign_reader_at)(gpointer foreign, const char *volume, const char *moment,
                                  const char *since, VimgPluginJob *job, GError **error);
    /* As foreign_next(); *@same: neither data nor zeros, but what was there at the other moment */
    gboolean (*foreign_next_at)(gpointer reader, VimgExtent *out, gboolean *same, GError **error);
    void (*foreign_close_at)(gpointer reader);
    /*
     * optional, with foreign_type: whether @volume is as libvirt makes it and was made in that
     * time: it has just @capacity bytes, holds nothing, shares with nothing, and no moment of it is
     * kept.  @since and @until: seconds since 1970, both included, by the host's clock, while
     * @volume's time is of the storage's own: where they differ by more than that, it is not
     */
    gboolean (*foreign_fresh)(gpointer foreign, const char *volume, guint64 capacity, gint64 since,
                              gint64 until, gboolean *fresh, GError **error);
    /*
     * optional, with foreign_clone() and foreign_identity(), asked instead of foreign_replace() and
     * the same, but only the volume of @identity goes (@by NULL: nothing takes its place), and only
     * if it holds nothing, whatever has that name now; VIMG_ERROR_VOL_EXISTS: it is not so, and all
     * is as it was.  On its way out it is called @away, of which name there is nothing before
     */
    gboolean (*foreign_take_place)(gpointer foreign, const char *volume, const char *identity,
                                   const char *by, const char *away, GError **error);
    /*
     * optional, with foreign_take_place(): ends one that a process died in.  What is called @away
     * goes if it is the volume of @identity and holds nothing; else it gets the name @volume back,
     * and *@kept: it cannot, as another one has that.  @second: the identity of @by, or NULL.  What
     * is called @by goes if it was made so little that nobody can open it, and else stays.
     * Afterwards each of the names leads to a volume or is free
     */
    gboolean (*foreign_settle)(gpointer foreign, const char *volume, const char *identity,
                               const char *second, const char *by, const char *away, gboolean *kept,
                               GError **error);
    /*
     * optional: (transfer none), until it is closed, the generation of what @reader, which
     * reader_open() gave, reads; NULL: not known.  It costs nothing
     */
    const char *(*reader_generation)(gpointer reader);
} VimgBackend;

#define VIMG_BACKEND_HEADER .abi = VIMG_PLUGIN_ABI, .size = sizeof(VimgBackend)

/*
 * The one exported symbol of a backend module.  Called once, before anything else, in any thread;
 * whoever else needs the type waits for it, so it must be quick and do no I/O on a storage.
 * @services lives as long as the process.  Returns: (transfer none) a static table; NULL with
 * @error if the backend cannot work on this host, which makes its type unavailable for that reason.
 */
#define VIMG_PLUGIN_INIT vimg_plugin_init
#define VIMG_PLUGIN_INIT_NAME "vimg_plugin_init"
typedef const VimgBackend *(*VimgPluginInitFunc)(const VimgServices *services, GError **error);

__attribute__((visibility("default"))) const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error);

G_END_DECLS

#endif
