/*
 * adopt.c: which plain files beside the store may become images, and which did before
 *
 * While an image is there its manifest tells where it came from; adopted/<digest of the origin> is
 * written before it goes, so that its file is not adopted again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "adopt.h"
#include "clock.h"
#include "../throw.h"

#define DIRECTORY "adopted"
/* Seconds without a change after which nobody is thought to write a file any more. */
#define QUIET 60

/* ---- what was adopted before ------------------------------------------------------------ */

static char *
note_path(const char *origin)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, origin, -1);

    return g_strconcat(DIRECTORY "/", digest, NULL);
}

/* Of a look at a note.  FALSE with @error: that is no answer. */
static gboolean
judge_note(int result, gboolean *out, GError **error)
{
    *out = result == 0;
    return result == 0 || result == ENOENT || result == ENOTDIR ||
           throw_result(error, result, _("cannot tell whether the file was adopted before"));
}

gboolean
vimg_adopted_before(VimgSliceStore *store, const char *origin, gboolean *out, GError **error)
{
    g_autofree char *path = note_path(origin);
    VimgFileInfo info;

    return judge_note(vimg_transport_stat(store->transport, path, &info), out, error);
}

gboolean
vimg_adopted_note(VimgSliceStore *store, const char *origin, GError **error)
{
    g_autofree char *path = note_path(origin);
    g_autofree char *text = g_strconcat(origin, "\n", NULL); /* for people: its name says it all */
    int result = vimg_transport_mkdir(store->transport, DIRECTORY);

    if (result == 0)
        result = vimg_transport_sync(store->transport, ".");
    if (result == 0 || result == EEXIST)
        result = vimg_transport_create(store->transport, path, text, strlen(text), TRUE);
    if (result == 0 || result == EEXIST)
        result = vimg_transport_sync(store->transport, DIRECTORY);
    if (result != 0)
        return throw_result(error, result, _("cannot note that the file was adopted"));
    return TRUE;
}

/* ---- what lies there -------------------------------------------------------------------- */

typedef struct {
    char *name;
    char *origin;
    char *note; /* its path */
    VimgFileInfo info;
} Candidate;

static void
candidate_free(Candidate *candidate)
{
    g_free(candidate->name);
    g_free(candidate->origin);
    g_free(candidate->note);
    g_free(candidate);
}

char *
vimg_adopt_origin(const char *name, const VimgFileInfo *info)
{
    return g_strdup_printf("size=%llu mtime=%lld path=%s", ULL(info->size),
                           (long long)vimg_clock_seconds(info->mtime), name);
}

static gboolean
is_candidate(const char *name, const VimgFileInfo *info)
{
    return name[0] != '.' && strcmp(name, "store.json") != 0 && g_utf8_validate(name, -1, NULL) &&
           info->type == VIMG_FILE_REGULAR && info->size > 0 && info->size <= G_MAXINT64;
}

static gint
compare_candidates(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const Candidate *const *)a)->name, (*(const Candidate *const *)b)->name);
}

/* Returns: (transfer full) of Candidate, by name; NULL with @error. */
static GPtrArray *
find_candidates(VimgSliceStore *store, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GArray) infos = NULL;
    GPtrArray *found;
    int result = vimg_transport_list_infos(store->transport, ".", &names, &infos);
    guint i;

    if (result != 0) {
        throw_result(error, result, _("cannot read the directory of the store"));
        return NULL;
    }
    found = g_ptr_array_new_with_free_func((GDestroyNotify)candidate_free);
    for (i = 0; i < names->len; i++) {
        const VimgFileInfo *info = &g_array_index(infos, VimgFileInfo, i);
        Candidate *candidate;

        if (!is_candidate(names->pdata[i], info))
            continue;
        candidate = g_new0(Candidate, 1);
        candidate->name = g_strdup(names->pdata[i]);
        candidate->info = *info;
        candidate->origin = vimg_adopt_origin(candidate->name, info);
        candidate->note = note_path(candidate->origin);
        g_ptr_array_add(found, candidate);
    }
    g_ptr_array_sort(found, compare_candidates);
    return found;
}

/* Leaves those that were not adopted before; all are looked up at once. */
static gboolean
drop_adopted(VimgSliceStore *store, GPtrArray *candidates, GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, candidates->len);
    gboolean before;
    guint i;

    for (i = 0; i < candidates->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = ((Candidate *)candidates->pdata[i])->note};
    vimg_transport_run(store->transport, ops, candidates->len);
    for (i = candidates->len; i > 0; i--) {
        if (!judge_note(ops[i - 1].result, &before, error))
            return FALSE;
        if (before)
            g_ptr_array_remove_index(candidates, i - 1);
    }
    return TRUE;
}

static gboolean
offer(VimgSliceStore *store, GPtrArray *candidates, VimgFileSink sink, gpointer data,
      GError **error)
{
    gint64 now = 0;
    guint i;

    /* by another clock than the storage's, what is being written now may seem to be old */
    if (candidates->len > 0 && !vimg_clock_now(store, &now, error))
        return FALSE;
    for (i = 0; i < candidates->len; i++) {
        const Candidate *candidate = candidates->pdata[i];
        const VimgFileInfo *info = &candidate->info;
        VimgPluginFile file = {.size = sizeof(file),
                               .name = candidate->name,
                               .origin = candidate->origin,
                               .length = info->size,
                               .allocation = info->size};

        if (info->inode != 0)
            file.allocation = MIN(info->allocation, info->size);
        if (now - vimg_clock_seconds(info->mtime) >= QUIET && !sink(&file, data))
            return TRUE;
    }
    return TRUE;
}

gboolean
vimg_adopt_list(VimgSliceStore *store, VimgFileSink sink, gpointer data, VimgPluginJob *job,
                GError **error)
{
    g_autoptr(GPtrArray) candidates = NULL;
    VIMG_TRANSPORT_PATIENCE(job);

    candidates = find_candidates(store, error);
    if (!candidates || !vimg_slice_store_check_job(job, error))
        return FALSE;
    return drop_adopted(store, candidates, error) && vimg_slice_store_check_job(job, error) &&
           offer(store, candidates, sink, data, error);
}
