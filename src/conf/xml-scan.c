/*
 * xml-scan.c: a first look at a document, before a parser sees it
 *
 * libxml2 goes on after a fault, and two things then take it time that grows with the square of
 * their size, minutes for a document we would take: attributes of one element, and hyphens in what
 * should be a comment.  This scan finds, in one pass, where the first of such faults is.  It knows
 * tags, comments, CDATA and instructions only; '<' where none may be ends it, so that the parser
 * cannot see a comment where this has seen something else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/xml.h"

/* Each looks behind the start of one thing: TRUE with *@at behind it, else *@at is the fault. */
typedef struct {
    const char *start;
    gboolean (*skip)(const char **at, guint *attributes);
} Thing;

static gboolean
skip_comment(const char **at, guint *attributes G_GNUC_UNUSED)
{
    const char *hyphens = strstr(*at, "--");

    *at = hyphens ? hyphens + 2 : *at + strlen(*at);
    if (**at != '>')
        return FALSE;
    ++*at;
    return TRUE;
}

static gboolean
skip_cdata(const char **at, guint *attributes G_GNUC_UNUSED)
{
    const char *end = strstr(*at, "]]>");

    *at = end ? end + 3 : *at + strlen(*at);
    return end != NULL;
}

static gboolean
skip_instruction(const char **at, guint *attributes G_GNUC_UNUSED)
{
    for (; **at && **at != '<'; ++*at) {
        if (g_str_has_prefix(*at, "?>")) {
            *at += 2;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
skip_tag(const char **at, guint *attributes)
{
    char quote = '\0';

    for (*attributes = 0; **at && **at != '<'; ++*at) {
        if (quote) {
            if (**at == quote)
                quote = '\0';
        } else if (**at == '>') {
            ++*at;
            return TRUE;
        } else if (**at == '"' || **at == '\'') {
            quote = **at;
        } else if (**at == '=' && ++*attributes > VIMG_XML_ATTRIBUTES_MAX) {
            return FALSE;
        }
    }
    return FALSE;
}

static const Thing things[] = {
    {"<!--", skip_comment},
    {"<![CDATA[", skip_cdata},
    {"<?", skip_instruction},
    {"<", skip_tag}, /* the last: everything else */
};

/* The first character XML does not know, or the end. */
static const char *
first_bad_character(const char *xml)
{
    while (vimg_xml_is_character(g_utf8_get_char(xml)))
        xml = g_utf8_next_char(xml);
    return xml;
}

gsize
vimg_xml_scan(const char *xml, gboolean *many)
{
    const char *bad = first_bad_character(xml);
    const char *at = xml;
    guint attributes = 0;

    *many = FALSE;
    while ((at = strchr(at, '<')) && at < bad) {
        const Thing *thing = things;

        while (!g_str_has_prefix(at, thing->start))
            thing++;
        at += strlen(thing->start);
        if (!thing->skip(&at, &attributes)) {
            *many = attributes > VIMG_XML_ATTRIBUTES_MAX;
            bad = MIN(bad, at);
            break;
        }
    }
    /* with the fault itself, for the parser to name */
    return (gsize)((*bad ? g_utf8_next_char(bad) : bad) - xml);
}
