/*
 * vimg-plugin.h: the whole contract between virtimaged and a storage backend
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

#include <string.h>
#include <glib.h>

G_BEGIN_DECLS

#define VIMG_PLUGIN_ABI 1

/* ---- errors ----------------------------------------------------------------------------- */

#define VIMG_ERROR (vimg_error_quark())

static inline GQuark
vimg_error_quark(void)
{
    return g_quark_from_static_string("vimg-error");
}

/* What the caller may do about it; the daemon maps each to a libvirt error code. */
typedef enum {
    VIMG_ERROR_INTERNAL, /* a bug of ours, or a storage that answers nonsense */
    VIMG_ERROR_NO_MEMORY,
    VIMG_ERROR_INVALID_ARG, /* an argument is wrong whatever the state */
    VIMG_ERROR_XML,         /* a document lacks or misuses an element */
    VIMG_ERROR_XML_DETAIL,  /* a document is not well-formed */
    VIMG_ERROR_XML_SCHEMA,  /* a document failed --validate */
    VIMG_ERROR_NO_POOL,
    VIMG_ERROR_NO_VOL,
    VIMG_ERROR_NO_SECRET,
    VIMG_ERROR_INVALID_SECRET,
    VIMG_ERROR_VOL_EXISTS,        /* message: the quoted name alone; a backend's is made so */
    VIMG_ERROR_FAILED,            /* the operation failed and nothing more specific fits */
    VIMG_ERROR_OPERATION_INVALID, /* not in this state; another state would do */
    VIMG_ERROR_OPERATION_DENIED,  /* not on a read-only connection */
    VIMG_ERROR_NO_SUPPORT,        /* no such function here */
    VIMG_ERROR_OPERATION_UNSUPPORTED,
    VIMG_ERROR_CONFIG_UNSUPPORTED, /* the definition asks for what is not possible */
    VIMG_ERROR_ARGUMENT_UNSUPPORTED,
    VIMG_ERROR_BUSY,   /* a limit is reached or another job runs; try again later */
    VIMG_ERROR_SYSTEM, /* an operating system call failed; message ends in its text */
    VIMG_ERROR_NO_SPACE,
    VIMG_ERROR_ABORTED, /* cancelled by a client */
    VIMG_ERROR_TIMEOUT,
    VIMG_ERROR_AUTH, /* the storage refused our credentials */
    VIMG_ERROR_ACCESS_DENIED,
    VIMG_ERROR_POOL_BUILT,   /* build found a storage already built */
    VIMG_ERROR_PROBE,        /* build or start found data that is not ours */
    VIMG_ERROR_DISCONNECTED, /* the storage cannot be reached or is not the one we know */
    VIMG_ERROR_DAMAGED,      /* stored data fails its digest or cannot be parsed */
    VIMG_ERROR_NO_CONNECT,   /* a URI that is not ours */
    VIMG_ERROR_RPC,          /* a message that cannot be decoded or dispatched */
    VIMG_ERROR_RPC_STATE,    /* a call out of order on its connection */
    VIMG_ERROR_FLAGS,        /* flags nobody knows, or two that exclude each other */
    VIMG_N_ERRORS
} VimgErrorCode;

/* ---- buffers ---------------------------------------------------------------------------- */

/*
 * VimgBuffer: reference-counted bytes that move between threads without being copied.  Content must
 * not change once a second reference exists.
 */
typedef struct {
    gint refs;    /* through vimg_buffer_ref() and vimg_buffer_unref() only */
    gsize size;   /* bytes in use, at most what was allocated */
    guint8 *data; /* behind the struct itself, 64-byte aligned */
} VimgBuffer;

/* Returns: (transfer full) @size uninitialised bytes; aborts when memory is out, as GLib does. */
static inline VimgBuffer *
vimg_buffer_new(gsize size)
{
    const gsize head = (sizeof(VimgBuffer) + 63) / 64 * 64;
    VimgBuffer *buffer = (VimgBuffer *)g_malloc(head + 64 + size);

    buffer->refs = 1;
    buffer->size = size;
    buffer->data = (guint8 *)(((guintptr)buffer + head + 63) / 64 * 64);
    return buffer;
}

static inline VimgBuffer *
vimg_buffer_ref(VimgBuffer *buffer)
{
    __atomic_add_fetch(&buffer->refs, 1, __ATOMIC_RELAXED);
    return buffer;
}

/* Accepts NULL. */
static inline void
vimg_buffer_unref(VimgBuffer *buffer)
{
    if (buffer && __atomic_sub_fetch(&buffer->refs, 1, __ATOMIC_ACQ_REL) == 0)
        g_free(buffer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgBuffer, vimg_buffer_unref)

/* ---- services of the daemon ------------------------------------------------------------- */

typedef struct _VimgPluginJob VimgPluginJob;   /* a running job, opaque to the backend */
typedef struct _VimgPluginHost VimgPluginHost; /* the daemon's side of an open pool, opaque */

typedef enum {
    VIMG_LOG_DEBUG,
    VIMG_LOG_INFO,
    VIMG_LOG_WARNING,
    VIMG_LOG_ERROR,
} VimgLogLevel;

/* Every function may be called from any thread, at any time after vimg_plugin_init() began. */
typedef struct {
    guint32 abi;
    guint32 size;

    void (*log)(VimgLogLevel level, const char *message);

    /*
     * The value of the secret a definition names (auth type, usage or uuid as in <auth>).  Returns:
     * (transfer full) its bytes, to be wiped with secret_free(); NULL with @error.
     */
    VimgBuffer *(*secret_get)(const char *auth_type, const char *usage, const char *uuid,
                              GError **error);
    void (*secret_free)(VimgBuffer *value);

    /*
     * @job NULL is allowed and does nothing (never cancelled).  @done and @total (0: not known) are
     * of @phase: bytes of content, of upkeep also what it goes through.
     */
    void (*job_progress)(VimgPluginJob *job, const char *phase, guint64 done, guint64 total);
    gboolean (*job_cancelled)(VimgPluginJob *job);

    /*
     * Calls @func(@data) every @seconds in a worker thread until the timer is removed; calls of one
     * timer never overlap.  Returns: the timer, or 0 if no thread could be had.  timer_remove()
     * waits for a running call: never from inside of it.
     */
    guint (*timer_add)(guint seconds, void (*func)(gpointer data), gpointer data);
    void (*timer_remove)(guint id);

    /*
     * From when open() was called until close() returns.  The storage of a pool was lost (@error
     * set): it shows as inaccessible and is probed at the reconnect interval; or is back (NULL)
     */
    void (*status)(VimgPluginHost *host, const GError *error);
    /* private directory of the daemon, 0700, which survives restarts; NULL: there is none */
    const char *state_dir;
    guint64 (*job_number)(VimgPluginJob *job); /* that no other job has; 0: @job is NULL */
    /* As status(): whether the deleted image @uuid is promised to somebody; no cleanup takes it */
    gboolean (*image_kept)(VimgPluginHost *host, const char *uuid);
} VimgServices;

/* ---- definitions ------------------------------------------------------------------------ */

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
    const char *store_id;  /* id of the storage this pool had before; NULL: never had one */
    const char *state_dir; /* private, 0700, made on demand; survives restarts */
} VimgPluginPool;

/* Source elements: which ones a definition must or may have. */
typedef enum {
    VIMG_SOURCE_DIR = 1 << 0,   /* <dir path=> or target path */
    VIMG_SOURCE_HOST = 1 << 1,  /* one <host> */
    VIMG_SOURCE_HOSTS = 1 << 2, /* any number of <host> */
    VIMG_SOURCE_NAME = 1 << 3,
    VIMG_SOURCE_DEVICE = 1 << 4,
    VIMG_SOURCE_AUTH = 1 << 5,
} VimgSourceFields;

/* ---- images ----------------------------------------------------------------------------- */

typedef enum {
    VIMG_IMAGE_SAVING, /* created or being uploaded */
    VIMG_IMAGE_ACTIVE, /* sealed: content never changes */
    VIMG_IMAGE_ERROR,  /* unusable, for @reason */
} VimgImageState;

/*
 * An image.  As a result it is zeroed but for @size by whoever asks, filled by the backend, cleared
 * by vimg_plugin_image_clear(); as an argument it is borrowed.
 */
typedef struct {
    gsize size;
    char *uuid; /* 36 characters; globally unique, never reused */
    char *name;
    char *format; /* raw, iso, qcow2, vmdk, vpc, vdi, vhdx; NULL: not known before it is active */
    VimgImageState state;
    char *reason;        /* VIMG_IMAGE_ERROR: why, in words */
    guint64 capacity;    /* virtual size in bytes */
    guint64 allocation;  /* bytes it alone would take in the storage */
    guint64 physical;    /* bytes a full download returns */
    guint64 position;    /* saving: durable offset an upload may be taken up at */
    gint64 created;      /* seconds since 1970 */
    char *parent;        /* uuid of the image this one was derived from */
    char *checksum_type; /* sha256 or sha512; kept by the backend, compared by the daemon */
    char *checksum;      /* of the bytes that were uploaded, lower-case hex */
    char *os;
    char *arch;
    char *description;
    gint64 deleted; /* in the trash since; 0: not deleted */
    char *origin;   /* the VimgPluginFile it was adopted from; kept as it is for ever, NULL: none */
    char *copy_of;  /* key of the image in another storage whose content it is to have, or has; set
                       by create() and writer_finish(), gone when it is wiped.  NULL: of none */
} VimgPluginImage;

#define VIMG_PLUGIN_IMAGE_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(VimgPluginImage)                                                            \
    }

/* Whether @image, which the other side may have made, is long enough to have @field. */
#define VIMG_PLUGIN_IMAGE_HAS(image, field)                                                        \
    ((image)->size >= G_STRUCT_OFFSET(VimgPluginImage, field) + sizeof((image)->field))

/* Frees what @image owns and zeroes it but for its size. */
static inline void
vimg_plugin_image_clear(VimgPluginImage *image)
{
    gsize size = image->size;
    char *owned[] = {image->uuid,   image->name,       image->format,        image->reason,
                     image->parent, image->checksum,   image->checksum_type, image->os,
                     image->arch,   image->description};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(owned); i++)
        g_free(owned[i]);
    if (VIMG_PLUGIN_IMAGE_HAS(image, origin))
        g_free(image->origin);
    if (VIMG_PLUGIN_IMAGE_HAS(image, copy_of))
        g_free(image->copy_of);
    memset(image, 0, MIN(size, sizeof(*image)));
    image->size = size;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgPluginImage, vimg_plugin_image_clear)

typedef struct {
    gsize size;
    char *store_id;     /* the storage's for ever, part of volume keys: at most 255 printable ASCII
                           characters, no space, no '/' */
    guint64 capacity;   /* bytes */
    guint64 allocation; /* bytes */
    guint64 available;  /* bytes */
    gboolean read_only; /* images can be read, never added or deleted */
} VimgPluginStore;

/* Takes one listed image, borrowed; FALSE: stop listing, which is not an error. */
typedef gboolean (*VimgImageSink)(const VimgPluginImage *image, gpointer data);

/* A piece of content: @data NULL is a hole that reads as zeros. */
typedef struct {
    guint64 length;   /* bytes, never 0 */
    VimgBuffer *data; /* (transfer full) */
    gsize offset;     /* of the piece in @data */
} VimgExtent;

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
    guint64 offset;  /* first byte that will come */
    guint64 length;  /* bytes that will come; 0: until finish */
    guint64 reserve; /* bytes to keep free for it: @length if no holes can be among them, else a
                        guess; 0: the backend's own */
} VimgWriteRequest;

typedef struct {
    gsize size;
    guint64 bandwidth;        /* bytes a second at most; 0: no limit */
    const char *sync_network; /* CIDR: what data shall pass, if a network is between; NULL: any */
    /*
     * NULL: nobody judges.  Called once all of the content is durable, before a saving image
     * becomes active as @image, of which format, capacity and physical are set: FALSE with @error,
     * which pull() passes on: it stays saving.  @content: for pulled_open()
     */
    gboolean (*judge)(gpointer content, const VimgPluginImage *image, gpointer data,
                      GError **error);
    gpointer judge_data;
} VimgPullRequest;

/* Whether @request, which an older daemon may have made, is long enough to have @field. */
#define VIMG_PULL_REQUEST_HAS(request, field)                                                      \
    ((request)->size >= G_STRUCT_OFFSET(VimgPullRequest, field) + sizeof((request)->field))

/* A plain file that lies where the storage is and may be an image; borrowed. */
typedef struct {
    gsize size;
    const char *name;   /* of the image to be */
    const char *origin; /* UTF-8 that tells it from every other one, and from itself once it
                           changed; the same on every host that sees it */
    guint64 length;     /* bytes */
    guint64 allocation; /* how many of them are no holes, or a guess; @length if nobody knows */
} VimgPluginFile;

/* FALSE: stop listing, which is not an error. */
typedef gboolean (*VimgFileSink)(const VimgPluginFile *file, gpointer data);

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

/* ---- the backend ------------------------------------------------------------------------ */

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
    /* optional: drop content; the image is saving again */
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
