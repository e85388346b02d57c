/*
 * image-look.c: what the directories of images hold, of many in as few trips as of one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "damage.h"
#include "guess.h"
#include "image.h"
#include "json.h"
#include "promise.h"

#define LOOKS 3
#define MANIFEST_USUAL ((gsize)16 * 1024) /* hardly one is longer */
#define NAMES_USUAL 64                    /* hardly a directory holds more */
#define NAMES_MAX (64 * 1024)             /* none has more */

/* A manifest that the directory holds. */
typedef struct {
    guint64 number;
    VimgFileInfo info; /* if it was told along with the names */
} Numbered;

static gint
compare_numbers(gconstpointer a, gconstpointer b)
{
    guint64 x = ((const Numbered *)a)->number;
    guint64 y = ((const Numbered *)b)->number;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* @info: of the file @name of the directory; NULL: it was not told. */
static void
note_time(VimgStoredImage *out, const char *name, const VimgFileInfo *info)
{
    if (info && strcmp(name, VIMG_IMAGE_DELETED) == 0)
        out->removed = info->mtime;
    if (!info || strcmp(name, VIMG_IMAGE_INDEX) != 0)
        return;
    out->index_size = info->size;
    out->index_type = info->type;
    out->stored = info->mtime;
}

/*
 * Sorts what the directory holds into @out; @damaged: it is marked so.  Returns: (transfer full)
 * its manifests, of Numbered, falling.
 */
static GArray *
sort_names(const VimgOp *list, VimgStoredImage *out, gboolean *damaged)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(Numbered));
    guint i;

    for (i = 0; i < list->names->len; i++) {
        const char *name = g_ptr_array_index(list->names, i);
        const VimgFileInfo *info =
            list->infos ? &g_array_index(list->infos, VimgFileInfo, i) : NULL;
        Numbered manifest = {.info = info ? *info : (VimgFileInfo){0}};
        guint64 n;

        note_time(out, name, info);
        if (strcmp(name, VIMG_IMAGE_INDEX) == 0)
            out->published = TRUE;
        else if (strcmp(name, VIMG_IMAGE_DELETED) == 0)
            out->deleted = TRUE;
        else if (strcmp(name, VIMG_IMAGE_DAMAGED) == 0)
            *damaged = TRUE;
        else if (vimg_manifest_number(name, VIMG_IMAGE_PARTIAL, "", &n))
            out->durable = MAX(out->durable, n);
        else if (vimg_manifest_number(name, "manifest.", ".json", &manifest.number))
            g_array_append_val(numbers, manifest);
        else
            out->kept = MAX(out->kept, vimg_promise_until(name));
    }
    g_array_sort(numbers, compare_numbers);
    return numbers;
}

/* One image that is looked at; @look is the caller's. */
typedef struct {
    VimgImageLook *look;
    GArray *numbers; /* of its manifests, falling; NULL: the directory is not there */
    guint next;      /* of them, to be read */
    gboolean told;   /* the directory told of its files what a STAT would */
    gboolean damaged;
    gboolean passed; /* a manifest is gone, as where a newer one has just taken its place */
    int found;       /* of its name: as vimg_transport_stat() */
} Look;

static void
look_clear(gpointer data)
{
    Look *look = data;

    g_clear_pointer(&look->numbers, g_array_unref);
    look->told = FALSE;
}

/* An operation on behalf of @look, or on its answer if there is none. */
typedef struct {
    VimgOp op;
    Look *look;
} Ask;

static VimgOp *
ask(GArray *asks, Look *look, VimgOpKind kind, char *path, gsize size)
{
    Ask one = {.op = {.kind = kind, .path = path, .size = size}, .look = look};

    g_array_append_val(asks, one);
    return &g_array_index(asks, Ask, asks->len - 1).op;
}

/* Runs all of @asks at once, which keep their answers. */
static void
run_asks(VimgSliceStore *store, GArray *asks)
{
    g_autofree VimgOp *ops = g_new(VimgOp, asks->len);
    guint i;

    for (i = 0; i < asks->len; i++)
        ops[i] = g_array_index(asks, Ask, i).op;
    vimg_transport_run(store->transport, ops, asks->len);
    for (i = 0; i < asks->len; i++)
        g_array_index(asks, Ask, i).op = ops[i];
}

static void
ask_clear(gpointer data)
{
    Ask *one = data;

    vimg_buffer_unref(one->op.content);
    vimg_transport_clear_ops(&one->op, 1, TRUE);
}

static GArray *
asks_new(void)
{
    GArray *asks = g_array_new(FALSE, FALSE, sizeof(Ask));

    g_array_set_clear_func(asks, ask_clear);
    return asks;
}

/* Frees the names once they were looked at: those of all images at once would be many. */
static void
take_names(VimgSliceStore *store, Look *look, VimgOp *op)
{
    VimgImageLook *out = look->look;

    /* as with long manifests */
    if (op->result == 0 && op->most < NAMES_MAX && op->names->len >= op->most) {
        vimg_transport_clear_ops(op, 1, FALSE);
        op->most = NAMES_MAX;
        vimg_transport_run(store->transport, op, 1);
    }
    if (op->result == ENOENT || op->result == ENOTDIR)
        return;
    /* what was not told may be the index */
    if (op->result == 0 && op->names->len >= NAMES_MAX)
        op->result = E2BIG;
    out->result = op->result;
    if (op->result != 0)
        return;
    out->stored.present = TRUE;
    look->told = op->infos != NULL;
    look->numbers = sort_names(op, &out->stored, &look->damaged);
    vimg_transport_clear_ops(op, 1, FALSE);
}

static void
list_directories(VimgSliceStore *store, const GPtrArray *looks)
{
    g_autoptr(GArray) asks = asks_new();
    guint i;

    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];
        VimgOp *op;

        look_clear(look);
        vimg_stored_image_clear(&look->look->stored);
        look->damaged = look->passed = FALSE;
        look->next = 0;
        op = ask(asks, look, VIMG_OP_LIST, vimg_image_dir(look->look->uuid), 0);
        op->most = looks->len > 1 ? NAMES_USUAL : NAMES_MAX;
        /* far away it costs nothing, and saves a question for each file */
        op->with_infos = store->transport->remote;
    }
    run_asks(store, asks);
    for (i = 0; i < asks->len; i++) {
        Ask *one = &g_array_index(asks, Ask, i);

        take_names(store, one->look, &one->op);
    }
}

/* The next manifest of each that has none yet. */
static void
ask_for_manifests(const GPtrArray *looks, GArray *asks)
{
    guint i;

    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];
        const VimgImageLook *out = look->look;
        const Numbered *manifest;

        if (!look->numbers || out->stored.manifest || out->result != 0 ||
            look->next >= look->numbers->len)
            continue;
        manifest = &g_array_index(look->numbers, Numbered, look->next++);
        ask(asks, look, VIMG_OP_READ, vimg_manifest_path(out->uuid, manifest->number),
            looks->len > 1 ? MANIFEST_USUAL : VIMG_JSON_MAX_SIZE)
            ->seen = look->told ? &manifest->info : NULL;
    }
}

/* When it was stored and deleted, where that was not told. */
static void
ask_for_times(const GPtrArray *looks, GArray *asks)
{
    guint i;

    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];
        const VimgImageLook *out = look->look;

        if (look->told)
            continue;
        if (out->stored.published)
            ask(asks, look, VIMG_OP_STAT, vimg_image_path(out->uuid, VIMG_IMAGE_INDEX), 0);
        if (out->stored.deleted)
            ask(asks, look, VIMG_OP_STAT, vimg_image_path(out->uuid, VIMG_IMAGE_DELETED), 0);
    }
}

static void
take_manifest(VimgSliceStore *store, Look *look, VimgOp *op)
{
    VimgImageLook *out = look->look;
    VimgManifest *manifest = NULL;

    /* few are so long, and all at once would take much memory */
    if (op->result == EFBIG && op->size < VIMG_JSON_MAX_SIZE)
        op->result =
            vimg_transport_read(store->transport, op->path, VIMG_JSON_MAX_SIZE, &op->content);
    if (op->result == ENOENT)
        look->passed = TRUE;
    else if (op->result != 0 && op->result != EFBIG)
        out->result = op->result;
    if (op->result == 0)
        manifest = vimg_manifest_parse(op->content->data, op->content->size, NULL);
    g_clear_pointer(&op->content, vimg_buffer_unref);
    if (manifest && strcmp(manifest->image.uuid, out->uuid) != 0)
        g_clear_pointer(&manifest, vimg_manifest_free);
    if (manifest)
        manifest->number = g_array_index(look->numbers, Numbered, 0).number;
    out->stored.manifest = manifest;
}

/* One that is being removed lacks it, which is no reason to say nothing of the image. */
static void
take_time(VimgImageLook *look, const VimgOp *op)
{
    VimgStoredImage *stored = &look->stored;

    if (op->result != 0 && op->result != ENOENT)
        look->result = op->result;
    if (op->result != 0)
        return;
    note_time(stored, strrchr(op->path, '/') + 1, &op->info);
}

/* Of each the manifest with the highest number that is whole; none is no error. */
static void
read_manifests(VimgSliceStore *store, const GPtrArray *looks)
{
    g_autoptr(GArray) asks = asks_new();
    guint i;

    ask_for_times(looks, asks);
    ask_for_manifests(looks, asks);
    while (asks->len > 0) {
        run_asks(store, asks);
        for (i = 0; i < asks->len; i++) {
            Ask *one = &g_array_index(asks, Ask, i);

            if (one->op.kind == VIMG_OP_READ)
                take_manifest(store, one->look, &one->op);
            else
                take_time(one->look->look, &one->op);
        }
        g_array_set_size(asks, 0);
        ask_for_manifests(looks, asks);
    }
}

/* Looks into the directories and at the manifests.  Returns: (transfer full) those to look at
 * again. */
static GPtrArray *
look_inside(VimgSliceStore *store, const GPtrArray *looks)
{
    GPtrArray *again = g_ptr_array_new();
    guint i;

    list_directories(store, looks);
    read_manifests(store, looks);
    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];
        VimgImageLook *out = look->look;

        out->stored.illegible = look->numbers && look->numbers->len > 0 && !out->stored.manifest;
        if (look->passed && out->result == 0 && !out->stored.manifest)
            g_ptr_array_add(again, look);
    }
    return again;
}

/* Whether there is something at the place of each claim, or at that of the @mark of the trash. */
static void
find_all(VimgSliceStore *store, const GPtrArray *looks, gboolean mark)
{
    g_autoptr(GArray) asks = asks_new();
    guint i;

    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];
        const VimgImageLook *out = look->look;
        const char *name = out->stored.manifest->image.name;

        ask(asks, look, VIMG_OP_STAT,
            mark ? vimg_image_path(out->uuid, VIMG_IMAGE_DELETED)
                 : vimg_claim_path(name, out->uuid),
            0);
    }
    run_asks(store, asks);
    for (i = 0; i < asks->len; i++) {
        const VimgOp *op = &g_array_index(asks, Ask, i).op;
        Look *look = g_array_index(asks, Ask, i).look;

        look->found = op->result == ENOTDIR ? ENOENT : op->result;
        if (mark && op->result == 0) {
            look->look->stored.deleted = TRUE;
            look->look->stored.removed = op->info.mtime;
        }
    }
}

/* Leaves those in @looks that seem to have neither their name nor the mark. */
static void
keep_lost(GPtrArray *looks)
{
    guint i = 0;

    while (i < looks->len) {
        const Look *look = looks->pdata[i];

        if (look->found == ENOENT && !look->look->stored.deleted)
            i++;
        else
            g_ptr_array_remove_index_fast(looks, i);
    }
}

/*
 * Whether each has its name, or else the mark of the trash.  An image always has one of them, but
 * deleted or restored between two looks it may seem to have neither.
 */
static void
look_at_names(VimgSliceStore *store, const GPtrArray *looks)
{
    g_autoptr(GPtrArray) lost = g_ptr_array_copy((GPtrArray *)looks, NULL, NULL);
    guint round;
    guint i;

    find_all(store, lost, FALSE);
    keep_lost(lost);
    for (round = 0; lost->len > 0 && round < LOOKS; round++) {
        find_all(store, lost, TRUE);
        for (i = 0; i < lost->len; i++) {
            Look *look = lost->pdata[i];

            if (look->look->stored.deleted)
                look->found = ENOENT;
        }
        keep_lost(lost);
        find_all(store, lost, FALSE);
        keep_lost(lost);
    }
    for (i = 0; i < looks->len; i++) {
        Look *look = looks->pdata[i];

        look->look->stored.claimed = look->found == 0;
        look->look->result = look->found == ENOENT ? 0 : look->found;
    }
}

void
vimg_image_look_all(VimgSliceStore *store, VimgImageLook *looks, gsize n)
{
    g_autoptr(GArray) all = g_array_sized_new(FALSE, TRUE, sizeof(Look), (guint)n);
    g_autoptr(GPtrArray) now = g_ptr_array_new();
    g_autoptr(GPtrArray) named = g_ptr_array_new();
    guint round;
    gsize i;

    g_array_set_size(all, (guint)n);
    g_array_set_clear_func(all, look_clear);
    for (i = 0; i < n; i++) {
        Look *look = &g_array_index(all, Look, i);

        look->look = &looks[i];
        looks[i].result = 0;
        g_ptr_array_add(now, look);
    }
    for (round = 0; now->len > 0 && round < LOOKS; round++) {
        GPtrArray *again = look_inside(store, now);

        g_ptr_array_unref(now);
        now = again;
    }
    for (i = 0; i < n; i++) {
        const Look *look = &g_array_index(all, Look, i);

        if (looks[i].result != 0 || !looks[i].stored.manifest)
            continue;
        if (looks[i].stored.published && look->damaged)
            looks[i].stored.damage = vimg_damage_look(store, looks[i].uuid);
        g_ptr_array_add(named, (gpointer)look);
    }
    look_at_names(store, named);
}

/* ---- looking at what is probably there --------------------------------------------------- */

enum {
    GUESS_LIST,
    GUESS_MANIFEST,
    GUESS_NAME,
    GUESS_INDEX,
    GUESS_DELETED,
    N_GUESSES,
};

/* @op: the STAT of what @there says that the directory holds. */
static gboolean
agrees(const VimgOp *op, gboolean there)
{
    return op->result == (there ? 0 : ENOENT);
}

/*
 * Takes the answers, if they are what the names in the directory would have made us ask for, and
 * the image has the name that was guessed.  A manifest of a number never changes; and an image that
 * had its name and, before or after that, no mark of the trash, was there.
 */
static gboolean
take_guess(VimgOp *ops, const char *name, guint64 number, VimgImageLook *out)
{
    VimgStoredImage *stored = &out->stored;
    const VimgOp *read = &ops[GUESS_MANIFEST];
    g_autoptr(VimgManifest) manifest = NULL;
    g_autoptr(GArray) numbers = NULL;
    gboolean damaged = FALSE;

    if (ops[GUESS_LIST].result != 0 || ops[GUESS_LIST].names->len >= NAMES_MAX ||
        read->result != 0 || ops[GUESS_NAME].result != 0)
        return FALSE;
    numbers = sort_names(&ops[GUESS_LIST], stored, &damaged);
    manifest = vimg_manifest_parse(read->content->data, read->content->size, NULL);
    if (damaged || !manifest || numbers->len == 0 ||
        g_array_index(numbers, Numbered, 0).number != number ||
        strcmp(manifest->image.uuid, out->uuid) != 0 || strcmp(manifest->image.name, name) != 0 ||
        !agrees(&ops[GUESS_INDEX], stored->published) ||
        !agrees(&ops[GUESS_DELETED], stored->deleted))
        return FALSE;
    take_time(out, &ops[GUESS_INDEX]);
    take_time(out, &ops[GUESS_DELETED]);
    manifest->number = number;
    stored->manifest = g_steal_pointer(&manifest);
    stored->present = stored->claimed = TRUE;
    return TRUE;
}

/* FALSE: nothing is known, or it is not so any more. */
static gboolean
look_by_guess(VimgSliceStore *store, VimgImageLook *out)
{
    VimgOp ops[N_GUESSES] = {{0}};
    g_autofree char *name = NULL;
    guint64 number;
    gboolean good;

    if (!vimg_guess_find(store, out->uuid, &name, &number))
        return FALSE;
    ops[GUESS_LIST] =
        (VimgOp){.kind = VIMG_OP_LIST, .path = vimg_image_dir(out->uuid), .most = NAMES_MAX};
    ops[GUESS_MANIFEST] = (VimgOp){.kind = VIMG_OP_READ,
                                   .path = vimg_manifest_path(out->uuid, number),
                                   .size = VIMG_JSON_MAX_SIZE};
    ops[GUESS_NAME] = (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_claim_path(name, out->uuid)};
    ops[GUESS_INDEX] =
        (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_image_path(out->uuid, VIMG_IMAGE_INDEX)};
    ops[GUESS_DELETED] =
        (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_image_path(out->uuid, VIMG_IMAGE_DELETED)};
    vimg_transport_run(store->transport, ops, N_GUESSES);
    good = take_guess(ops, name, number, out);
    if (!good)
        vimg_stored_image_clear(&out->stored);
    vimg_buffer_unref(ops[GUESS_MANIFEST].content);
    vimg_transport_clear_ops(ops, N_GUESSES, TRUE);
    return good;
}

/* Any change has another manifest. */
gboolean
vimg_image_is_still(const VimgManifest *seen, const GPtrArray *names, guint64 *durable)
{
    const VimgOp list = {.names = (GPtrArray *)names};
    g_auto(VimgStoredImage) now = {0};
    gboolean damaged = FALSE;
    g_autoptr(GArray) numbers = sort_names(&list, &now, &damaged);

    *durable = now.durable;
    return !now.published && !now.deleted && numbers->len > 0 &&
           g_array_index(numbers, Numbered, 0).number == seen->number;
}

int
vimg_image_look(VimgSliceStore *store, const char *uuid, VimgStoredImage *out)
{
    VimgImageLook look = {.uuid = uuid};

    if (!look_by_guess(store, &look)) {
        vimg_image_look_all(store, &look, 1);
        if (look.result == 0 && look.stored.manifest)
            vimg_guess_note(store, uuid, look.stored.manifest->image.name,
                            look.stored.manifest->number);
    }
    *out = look.stored;
    return look.result;
}

static void
image_look_clear(gpointer data)
{
    VimgImageLook *look = data;

    vimg_stored_image_clear(&look->stored);
}

GArray *
vimg_image_look_some(VimgSliceStore *store, const GPtrArray *uuids, guint from, guint n)
{
    GArray *looks = g_array_new(FALSE, TRUE, sizeof(VimgImageLook));
    guint i;

    n = MIN(n, uuids->len - from);
    g_array_set_clear_func(looks, image_look_clear);
    g_array_set_size(looks, n);
    for (i = 0; i < n; i++)
        g_array_index(looks, VimgImageLook, i).uuid = uuids->pdata[from + i];
    vimg_image_look_all(store, (VimgImageLook *)(gpointer)looks->data, n);
    return looks;
}
