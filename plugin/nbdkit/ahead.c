/*
 * ahead.c: who reads an image in order, and which blocks to read before they are asked for
 *
 * Each such reader is a stream.  Clients have many requests under way, of which late ones come
 * behind later ones.  The window of a stream grows while it goes on, so a few blocks that happen to
 * follow each other cost little.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "ahead.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define STREAMS 8
#define ENDS 32 /* blocks that were read last, which a new stream may follow */
#define LATE 32 /* blocks that a request may come too late */

typedef struct {
    guint64 read; /* behind what was read; 0: there is no such stream */
    guint64 next; /* to be read ahead */
    guint64 want; /* to before this one */
    guint window;
    gboolean busy;
    guint64 used;
} Stream;

struct _VimgNbdAhead {
    const VimgNbdMap *map;
    guint64 size;
    guint window;
    guint64 clock;
    guint64 ends[ENDS];
    guint n_ends; /* ever */
    Stream streams[STREAMS];
};

VimgNbdAhead *
vimg_nbd_ahead_new(const VimgNbdMap *map, guint64 size, guint window)
{
    VimgNbdAhead *ahead = g_new0(VimgNbdAhead, 1);

    ahead->map = map;
    ahead->size = size;
    ahead->window = window;
    return ahead;
}

/* ---- blocks and zeros --------------------------------------------------------------------- */

/* The first block from @number on that is not known to be zeros; behind the last one: none is. */
static guint64
skip_zeros(const VimgNbdAhead *ahead, guint64 number)
{
    gboolean zeros = FALSE;
    guint64 length = 0;

    if (number * BLOCK < ahead->size)
        length = vimg_nbd_map_look(ahead->map, number * BLOCK, G_MAXINT64, &zeros);
    if (!zeros)
        return number;
    return number * BLOCK + length == ahead->size ? (ahead->size + BLOCK - 1) / BLOCK
                                                  : number + length / BLOCK;
}

static gboolean
is_end(const VimgNbdAhead *ahead, guint64 number)
{
    for (guint i = 0; i < MIN(ahead->n_ends, ENDS); i++) {
        if (ahead->ends[i] == number)
            return TRUE;
    }
    return FALSE;
}

static void
note_end(VimgNbdAhead *ahead, guint64 number)
{
    if (!is_end(ahead, number))
        ahead->ends[ahead->n_ends++ % ENDS] = number;
}

static gboolean
follows(const VimgNbdAhead *ahead, guint64 number)
{
    guint64 before = vimg_nbd_map_before(ahead->map, number * BLOCK);

    return number > 0 && before > 0 && is_end(ahead, (before - 1) / BLOCK);
}

/* ---- streams ------------------------------------------------------------------------------ */

static Stream *
find(VimgNbdAhead *ahead, guint64 number)
{
    for (guint i = 0; i < STREAMS; i++) {
        Stream *stream = &ahead->streams[i];

        if (stream->read > 0 && number + LATE >= stream->read && number <= stream->want)
            return stream;
    }
    return NULL;
}

/* In the place of the one that nobody has used for the longest time. */
static Stream *
begin(VimgNbdAhead *ahead, guint64 number)
{
    Stream *oldest = NULL;

    for (guint i = 0; i < STREAMS; i++) {
        Stream *stream = &ahead->streams[i];

        if (!stream->busy && (!oldest || stream->used < oldest->used))
            oldest = stream;
    }
    if (oldest)
        *oldest = (Stream){.read = number, .next = number + 1, .want = number + 1};
    return oldest;
}

static void
go_on(const VimgNbdAhead *ahead, Stream *stream, guint64 number)
{
    guint64 want = number + 1;

    stream->read = want;
    for (guint i = 0; i < stream->window; i++)
        want = skip_zeros(ahead, want) + 1;
    want = skip_zeros(ahead, want);
    stream->want = MAX(stream->want, want);
    stream->next = MAX(stream->next, stream->read);
    stream->window = MIN(MAX(2 * stream->window, 1), ahead->window);
}

gboolean
vimg_nbd_ahead_note(VimgNbdAhead *ahead, guint64 number)
{
    Stream *stream = find(ahead, number);

    if (!stream && follows(ahead, number))
        stream = begin(ahead, number);
    note_end(ahead, number);
    if (!stream)
        return FALSE;
    stream->used = ++ahead->clock;
    if (number >= stream->read)
        go_on(ahead, stream, number);
    return TRUE;
}

/* To what is to be read next of it; its want, if there is nothing. */
static void
advance(const VimgNbdAhead *ahead, Stream *stream, VimgNbdAheadIsThere is_there, gconstpointer data)
{
    guint64 end = MIN(stream->want, (ahead->size + BLOCK - 1) / BLOCK);

    stream->next = skip_zeros(ahead, stream->next);
    while (stream->next < end && is_there(data, stream->next))
        stream->next = skip_zeros(ahead, stream->next + 1);
    if (stream->next >= end)
        stream->next = MAX(stream->next, stream->want);
}

/* Returns: a stream of which something is to be read that nobody reads; NULL: none. */
static Stream *
choose(VimgNbdAhead *ahead, VimgNbdAheadIsThere is_there, gconstpointer data)
{
    for (guint i = 0; i < STREAMS; i++) {
        Stream *stream = &ahead->streams[i];

        if (stream->busy || stream->next >= stream->want)
            continue;
        advance(ahead, stream, is_there, data);
        if (stream->next < stream->want)
            return stream;
    }
    return NULL;
}

gboolean
vimg_nbd_ahead_has(VimgNbdAhead *ahead, VimgNbdAheadIsThere is_there, gconstpointer data)
{
    return choose(ahead, is_there, data) != NULL;
}

gboolean
vimg_nbd_ahead_take(VimgNbdAhead *ahead, VimgNbdAheadIsThere is_there, gconstpointer data,
                    guint64 *number, guint *turn)
{
    Stream *stream = choose(ahead, is_there, data);

    if (!stream)
        return FALSE;
    *number = stream->next++;
    *turn = (guint)(stream - ahead->streams);
    stream->busy = TRUE;
    return TRUE;
}

void
vimg_nbd_ahead_give_back(VimgNbdAhead *ahead, guint turn)
{
    ahead->streams[turn].busy = FALSE;
}
