/*
 * store.h: the images below a prefix of a bucket
 *
 *   PREFIX/id              the storage's own id
 *   PREFIX/names/NAME      uuid of the image that has the name
 *   PREFIX/records/UUID    what is known of an image, deleted or not
 *   PREFIX/live/UUID       who uploads it now
 *   PREFIX/UUID/NAME       its content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_STORE_H
#define VIMG_ALIYUNEBS_STORE_H

#include <pthread.h>

#include "control.h"
#include "object.h"

#define VIMG_EBS_TAG "virtimage" /* names metadata of objects and tags of images: a uuid */

/* Where a definition leads; whoever works there holds it while another one takes its place. */
typedef struct {
    gint refs; /* through vimg_ebs_site_ref() and _unref() */
    VimgOss *oss;
    VimgControl *control; /* NULL: the bucket alone */
    char *prefix;
    char *origin;
    char *local; /* address that data goes from; NULL: any */
    gboolean rollback;
} VimgEbsSite;

typedef struct {
    VimgPluginHost *host;
    char *store_id;
    char *state_dir;
    char *writer;           /* what this host is called in PREFIX/live */
    guint64 keep_deleted;   /* seconds; this and the next two through __atomic builtins */
    guint64 keep_temporary; /* seconds */
    guint64 quota;          /* bytes; 0: none */

    gint closing; /* through __atomic builtins: what nobody waits for ends */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    VimgEbsSite *site;
    GHashTable *busy;  /* uuids of the images that this process changes */
    GHashTable *known; /* of VimgEbsKnown by uuid: records as they were read last */
    GHashTable *later; /* uuids of images whose name an older one has */
    guint64 stored;    /* bytes of all images, as listed last */
} VimgEbsStore;

VimgEbsSite *vimg_ebs_site_ref(VimgEbsSite *site);
/* Accepts NULL. */
void vimg_ebs_site_unref(VimgEbsSite *site);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsSite, vimg_ebs_site_unref)
/* Returns: (transfer full) that of now. */
VimgEbsSite *vimg_ebs_store_site(VimgEbsStore *store);

/* Returns: (transfer full) "PREFIX/KIND/NAME"; @name may be "". */
char *vimg_ebs_key(const VimgEbsSite *site, const char *kind, const char *name);
/* Returns: (transfer full) the uuid in "PREFIX/UUID/NAME"; NULL: it is no such key. */
char *vimg_ebs_uuid_in(const VimgEbsSite *site, const char *key);
/*
 * Deletes the object at @key, if it still is @seen.  Content has one version; of all else there
 * were earlier ones, which must not come to light.
 */
gboolean vimg_ebs_delete_seen(VimgEbsSite *site, const char *key, const VimgOssObject *seen,
                              const VimgPatience *patience, GError **error);
/* Returns: (transfer full) of VimgPair: that an object is of image @uuid. */
GPtrArray *vimg_ebs_metadata(const char *uuid);
/* Until @job is cancelled, or, if that is NULL, for as long as a call without one may take. */
VimgPatience vimg_ebs_patience(VimgPluginJob *job);
/* Seconds since 1970, by the storage's clock as far as it is known. */
gint64 vimg_ebs_now(const VimgEbsSite *site);
VimgPatience vimg_ebs_patience_for(guint seconds);

/* Only one at a time changes an image here; VIMG_ERROR_BUSY. */
gboolean vimg_ebs_enter(VimgEbsStore *store, const char *uuid, GError **error);
void vimg_ebs_leave(VimgEbsStore *store, const char *uuid);

/*
 * To *@error, if it is that there is an object at @key already, which would read as if there was an
 * image of a name.  Returns: FALSE.
 */
gboolean vimg_ebs_throw_taken(const char *key, GError **error);
/*
 * Deletes an object of ours: that with @etag, or, if that is NULL, what lies there with the tag of
 * image @uuid.  One of somebody else stays, and is named in the log.
 */
gboolean vimg_ebs_drop_object(VimgEbsSite *site, const char *key, const char *uuid,
                              const char *etag, const char *version, const VimgPatience *patience,
                              GError **error);

void vimg_ebs_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total);
gboolean vimg_ebs_check_job(VimgPluginJob *job, GError **error);
gboolean vimg_ebs_is_gone(const GError *error);
void vimg_ebs_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The daemon's services; NULL in tests.  Set once, before anything else. */
extern const VimgServices *vimg_ebs_services;

#endif
