/*
 * guess.c: what images looked like last
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "guess.h"
#include "../thread.h"

#define GUESSES 64 /* images that are being worked on */

typedef struct {
    char *uuid;
    char *name;
    guint64 number;
} Guess;

static void
guess_free(gpointer data)
{
    Guess *guess = data;

    g_free(guess->uuid);
    g_free(guess->name);
    g_free(guess);
}

/* The store's lock is held. */
static GList *
find(VimgSliceStore *store, const char *uuid)
{
    GList *l = store->guesses.head;

    while (l && strcmp(((Guess *)l->data)->uuid, uuid) != 0)
        l = l->next;
    return l;
}

void
vimg_guess_note(VimgSliceStore *store, const char *uuid, const char *name, guint64 number)
{
    Guess *guess;
    GList *old;

    if (!store->transport->remote)
        return;
    guess = g_new(Guess, 1);
    *guess = (Guess){g_strdup(uuid), g_strdup(name), number};
    LOCK_GUARD(&store->lock);

    old = find(store, uuid);
    if (!old && store->guesses.length == GUESSES)
        old = store->guesses.tail;
    if (old) {
        guess_free(old->data);
        g_queue_delete_link(&store->guesses, old);
    }
    g_queue_push_head(&store->guesses, guess);
}

gboolean
vimg_guess_find(VimgSliceStore *store, const char *uuid, char **name, guint64 *number)
{
    LOCK_GUARD(&store->lock);
    GList *found = find(store, uuid);
    const Guess *guess = found ? found->data : NULL;

    if (!guess)
        return FALSE;
    *name = g_strdup(guess->name);
    *number = guess->number;
    return TRUE;
}

void
vimg_guess_clear(VimgSliceStore *store)
{
    g_queue_clear_full(&store->guesses, guess_free);
}
