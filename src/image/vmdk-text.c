/*
 * vmdk-text.c: the descriptor of a VMDK image
 *
 * Lines `key=value`, and one for each extent: access, sectors, type, quoted name.  Programs differ
 * in what they overlook, so every line counts, however often a key comes.  A parent's name they
 * look for anywhere, also in comments and other words.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "image/vmdk-text.h"

typedef struct {
    const char *at;
    gsize size;
} Piece;

static gboolean
is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static Piece
trim(Piece p)
{
    while (p.size > 0 && is_blank(p.at[0])) {
        p.at++;
        p.size--;
    }
    while (p.size > 0 && is_blank(p.at[p.size - 1]))
        p.size--;
    return p;
}

/* Takes what is before the first @separator off the front of @rest; all of it if there is none. */
static Piece
take(Piece *rest, char separator)
{
    const char *end = rest->size ? memchr(rest->at, separator, rest->size) : NULL;
    Piece front = {rest->at, end ? (gsize)(end - rest->at) : rest->size};
    gsize used = front.size + (end ? 1 : 0);

    *rest = (Piece){rest->at + used, rest->size - used};
    return front;
}

/* Takes the word at the front of @rest, up to any blank. */
static Piece
take_word(Piece *rest)
{
    Piece word = {trim(*rest).at, 0};

    *rest = trim(*rest);
    while (word.size < rest->size && !is_blank(word.at[word.size]))
        word.size++;
    *rest = (Piece){rest->at + word.size, rest->size - word.size};
    return word;
}

static gboolean
is_word(Piece p, const char *word)
{
    return p.size == strlen(word) && g_ascii_strncasecmp(p.at, word, p.size) == 0;
}

static gboolean
is_one_of(Piece p, const char *const *words)
{
    while (*words && !is_word(p, *words))
        words++;
    return *words != NULL;
}

/* The text up to a NUL, which ends it for everybody. */
static Piece
text_of(const char *text, gsize size)
{
    const char *end = memchr(text, '\0', size);

    return (Piece){text, end ? (gsize)(end - text) : size};
}

gboolean
vimg_vmdk_is_text(const char *text, gsize size)
{
    Piece rest = text_of(text, size);

    if (rest.size >= 21 && g_ascii_strncasecmp(text, "# Disk DescriptorFile", 21) == 0)
        return TRUE;
    while (rest.size > 0) {
        Piece line = trim(take(&rest, '\n'));

        if (line.size == 0 || line.at[0] == '#')
            continue;
        return line.size > 8 && g_ascii_strncasecmp(line.at, "version=", 8) == 0;
    }
    return FALSE;
}

static Piece
unquote(Piece p)
{
    p = trim(p);
    if (p.size > 0 && p.at[0] == '"') {
        p.at++;
        p.size--;
        return take(&p, '"');
    }
    return p;
}

static void
read_key(VimgVmdkText *out, Piece key, Piece value)
{
    static const char *const whole[] = {"monolithicSparse", "streamOptimized", NULL};

    if (is_word(key, "createType")) {
        out->is_whole = is_one_of(value, whole);
        out->is_split |= !out->is_whole;
    } else if (is_word(key, "parentCID")) {
        out->is_child |= !is_word(value, "ffffffff");
    }
}

static void
find_parent(VimgVmdkText *out, Piece text)
{
    static const char hint[] = "parentFileNameHint";
    gsize size = strlen(hint);

    while (text.size >= size && g_ascii_strncasecmp(text.at, hint, size) != 0)
        text = (Piece){text.at + 1, text.size - 1};
    if (text.size < size)
        return;
    text = take(&text, '\n');
    take(&text, '=');
    text = unquote(text);
    out->parent = text.at;
    out->parent_size = text.size;
}

/* @rest: sectors, type, name.  The one extent of an image that is whole is the image itself. */
static void
read_extent(VimgVmdkText *out, Piece rest)
{
    Piece type, name;

    take_word(&rest);
    type = take_word(&rest);
    name = unquote(rest);
    if (out->extent_size > 0 || !is_word(type, "SPARSE") || name.size == 0 ||
        memchr(name.at, '/', name.size) || memchr(name.at, '\\', name.size))
        out->is_split = TRUE;
    if (out->extent_size == 0 && name.size > 0) {
        out->extent = name.at;
        out->extent_size = name.size;
    }
}

VimgVmdkText
vimg_vmdk_text_read(const char *text, gsize size)
{
    static const char *const accesses[] = {"RW", "RDONLY", "NOACCESS", NULL};
    VimgVmdkText out = {.extent = "?"};
    Piece rest = text_of(text, size);

    find_parent(&out, rest);
    while (rest.size > 0) {
        Piece line = trim(take(&rest, '\n'));
        Piece words = line;

        if (line.size == 0 || line.at[0] == '#')
            continue;
        if (is_one_of(take_word(&words), accesses)) {
            read_extent(&out, words);
        } else {
            Piece key = trim(take(&line, '='));

            read_key(&out, key, unquote(line));
        }
    }
    return out;
}
