/*
 * transfer.c: uploads and downloads that do what the caller's spec says
 *
 * A spec is a list of words: "id=N" names the outcome; "sparse"; "block" waits for
 * world_open_transfers() in every call;
 * "refuse": the call fails; "fail-at=N": so many bytes are taken; "fail-finish"; "silent": failures
 * come without an error; "data=N", "hole=N": extents of a download; "fail": its end is an error;
 * "endless": 256 KiB of data over and over.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "harness.h"
#include "wire/remote.h"

struct _VimgTransfer {
    char **words;
    guint id;
    guint next; /* word of the next extent */
    guint64 offset;
    gboolean cancelled; /* in the world's lock */
};

static gboolean
has(const VimgTransfer *transfer, const char *word)
{
    return g_strv_contains((const char *const *)transfer->words, word);
}

static gboolean
number(const char *word, const char *name, guint64 *value)
{
    return g_str_has_prefix(word, name) &&
           g_ascii_string_to_unsigned(word + strlen(name), 10, 0, G_MAXUINT64, value, NULL);
}

static guint64
get_number(const VimgTransfer *transfer, const char *name, guint64 fallback)
{
    guint64 value;
    char **word;

    for (word = transfer->words; *word; word++) {
        if (number(*word, name, &value))
            return value;
    }
    return fallback;
}

static gboolean
begin(VimgCall *call, gboolean upload, GError **error)
{
    const vimg_remote_string *args = call->args;
    VimgTransfer *transfer = g_new0(VimgTransfer, 1);

    transfer->words = g_strsplit(args->value, " ", -1);
    if (has(transfer, "refuse")) {
        g_strfreev(transfer->words);
        g_free(transfer);
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, "refused");
    }
    transfer->id = (guint)get_number(transfer, "id=", 0);
    g_assert_cmpuint(transfer->id, <, MAX_IDS);
    call->upload = upload;
    call->sparse = has(transfer, "sparse");
    call->transfer = transfer;
    VIMG_LOCK_GUARD(&world.lock);
    world.transfers++;
    vimg_cond_broadcast(&world.changed);
    return TRUE;
}

gboolean
handle_upload(VimgCall *call, GError **error)
{
    return begin(call, TRUE, error);
}

gboolean
handle_download(VimgCall *call, GError **error)
{
    return begin(call, FALSE, error);
}

/* Lock held. */
static gboolean
pass(VimgTransfer *transfer, GError **error)
{
    world.outcomes[transfer->id].calls++;
    vimg_cond_broadcast(&world.changed);
    while (has(transfer, "block") && !world.transfers_open && !transfer->cancelled)
        vimg_cond_wait(&world.changed, &world.lock);
    if (!transfer->cancelled)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_ABORTED, "cancelled");
}

static gboolean
fail(VimgTransfer *transfer, GError **error)
{
    if (has(transfer, "silent"))
        return FALSE;
    return vimg_throw(error, VIMG_ERROR_NO_SPACE,
                      "cannot write to stream: No space left on device");
}

gboolean
vimg_transfer_write(VimgTransfer *transfer, VimgBuffer *buffer, gsize offset, gsize size,
                    GError **error)
{
    Outcome *outcome = &world.outcomes[transfer->id];

    VIMG_LOCK_GUARD(&world.lock);
    if (!pass(transfer, error))
        return FALSE;
    if (outcome->bytes + size > get_number(transfer, "fail-at=", G_MAXUINT64))
        return fail(transfer, error);
    outcome->bytes += size;
    outcome->check = check_add(outcome->check, buffer->data + offset, size);
    return TRUE;
}

gboolean
vimg_transfer_hole(VimgTransfer *transfer, guint64 length, GError **error)
{
    VIMG_LOCK_GUARD(&world.lock);
    if (!pass(transfer, error))
        return FALSE;
    world.outcomes[transfer->id].holes += length;
    return TRUE;
}

void
vimg_transfer_idle(VimgTransfer *transfer)
{
    VIMG_LOCK_GUARD(&world.lock);
    world.outcomes[transfer->id].idle++;
    vimg_cond_broadcast(&world.changed);
}

gboolean
vimg_transfer_finish(VimgTransfer *transfer, GError **error)
{
    VIMG_LOCK_GUARD(&world.lock);
    if (!pass(transfer, error))
        return FALSE;
    if (has(transfer, "fail-finish"))
        return fail(transfer, error);
    world.outcomes[transfer->id].finished = TRUE;
    vimg_cond_broadcast(&world.changed);
    return TRUE;
}

static void
fill(VimgTransfer *transfer, VimgExtent *out, guint64 length)
{
    out->length = length;
    out->offset = 5; /* extents need not begin where their buffer does */
    out->data = vimg_buffer_new(length + out->offset);
    for (guint64 i = 0; i < length; i++)
        out->data->data[out->offset + i] = content_at(transfer->offset + i);
}

gboolean
vimg_transfer_next(VimgTransfer *transfer, VimgExtent *out, GError **error)
{
    guint64 length = 0;

    VIMG_LOCK_GUARD(&world.lock);
    if (!pass(transfer, error))
        return FALSE;
    if (has(transfer, "endless")) {
        fill(transfer, out, 262144);
    } else {
        for (; transfer->words[transfer->next]; transfer->next++) {
            const char *word = transfer->words[transfer->next];

            if (number(word, "data=", &length)) {
                fill(transfer, out, length);
                break;
            }
            if (number(word, "hole=", &length)) {
                out->length = length;
                break;
            }
        }
        if (!transfer->words[transfer->next])
            return has(transfer, "fail") ? fail(transfer, error) : TRUE;
        transfer->next++;
    }
    transfer->offset += out->length;
    world.outcomes[transfer->id].bytes += out->length;
    return TRUE;
}

void
vimg_transfer_cancel(VimgTransfer *transfer)
{
    VIMG_LOCK_GUARD(&world.lock);
    transfer->cancelled = TRUE;
    vimg_cond_broadcast(&world.changed);
}

void
vimg_transfer_free(VimgTransfer *transfer)
{
    if (!transfer)
        return;
    vimg_mutex_lock(&world.lock);
    world.transfers--;
    world.outcomes[transfer->id].freed = TRUE;
    vimg_cond_broadcast(&world.changed);
    vimg_mutex_unlock(&world.lock);
    g_strfreev(transfer->words);
    g_free(transfer);
}
