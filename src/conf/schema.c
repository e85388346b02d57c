/*
 * schema.c: validation against the RELAX NG schemas in xml/
 *
 * A schema is read once, when it is first asked for, and never freed; a context is made for each
 * document, so documents validate in many threads at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libxml/relaxng.h>

#include "conf/schema.h"
#include "conf/xml.h"
#include "util/i18n.h"
#include "util/thread.h"

/* Bytes of libxml2's complaints that go into a message. */
#define COMPLAINTS_MAX 1024

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt)

static const char *schema_dir = VIMG_SCHEMADIR; /* set before threads start */

static struct {
    const char *name;
    xmlRelaxNG *schema; /* under the lock */
} schemas[] = {
    {"pool", NULL},         {"volume", NULL},   {"secret", NULL},
    {"capabilities", NULL}, {"poolcaps", NULL}, {"sources", NULL},
};
static VimgMutex schemas_lock = VIMG_MUTEX_INIT;

void
vimg_schema_set_dir(const char *dir)
{
    schema_dir = g_intern_string(dir);
}

/* libxml2 speaks in pieces of lines. */
static void G_GNUC_PRINTF(2, 3) take_complaint(void *data, const char *format, ...)
{
    GString *complaints = data;
    va_list args;

    if (complaints->len >= COMPLAINTS_MAX)
        return;
    va_start(args, format);
    g_string_append_vprintf(complaints, format, args);
    va_end(args);
    if (complaints->len > COMPLAINTS_MAX)
        g_string_truncate(complaints, COMPLAINTS_MAX);
}

/* Returns: (transfer full); NULL with VIMG_ERROR_INTERNAL: our own file is missing or wrong. */
static xmlRelaxNG *
load(const char *path, GError **error)
{
    g_autoptr(GString) complaints = g_string_new(NULL);
    g_autoptr(xmlRelaxNGParserCtxt) ctxt = xmlRelaxNGNewParserCtxt(path);
    xmlRelaxNG *schema;

    if (!ctxt)
        g_error("out of memory");
    xmlRelaxNGSetParserErrors(ctxt, take_complaint, take_complaint, complaints);
    schema = xmlRelaxNGParse(ctxt);
    if (!schema)
        vimg_throw(error, VIMG_ERROR_INTERNAL, _("Unable to parse RNG %1$s: %2$s"), path,
                   complaints->str);
    return schema;
}

/* Reads without the lock: of two threads that come first, one finds its own copy not needed. */
static xmlRelaxNG *
find(const char *name, const char *path, GError **error)
{
    xmlRelaxNG *schema = NULL;
    xmlRelaxNG *own;
    guint i;

    for (i = 0; i < G_N_ELEMENTS(schemas) && strcmp(schemas[i].name, name) != 0; i++)
        ;
    g_assert(i < G_N_ELEMENTS(schemas));
    vimg_mutex_lock(&schemas_lock);
    schema = schemas[i].schema;
    vimg_mutex_unlock(&schemas_lock);
    if (schema)
        return schema;
    if (!(own = load(path, error)))
        return NULL;
    vimg_mutex_lock(&schemas_lock);
    if (!schemas[i].schema)
        schemas[i].schema = g_steal_pointer(&own);
    schema = schemas[i].schema;
    vimg_mutex_unlock(&schemas_lock);
    xmlRelaxNGFree(own);
    return schema;
}

gboolean
vimg_schema_validate(const char *name, xmlDoc *doc, GError **error)
{
    g_autofree char *path = g_strdup_printf("%s/%s.rng", schema_dir, name);
    g_autoptr(GString) complaints = g_string_new(NULL);
    g_autoptr(xmlRelaxNGValidCtxt) ctxt = NULL;
    g_autofree char *text = NULL;
    xmlRelaxNG *schema;
    int rc;

    vimg_xml_init();
    if (!(schema = find(name, path, error)))
        return FALSE;
    if (!(ctxt = xmlRelaxNGNewValidCtxt(schema)))
        g_error("out of memory");
    xmlRelaxNGSetValidErrors(ctxt, take_complaint, take_complaint, complaints);
    rc = xmlRelaxNGValidateDoc(ctxt, doc);
    if (rc == 0)
        return TRUE;
    text = g_utf8_make_valid(complaints->str, (gssize)complaints->len);
    if (rc < 0)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, _("cannot validate against %1$s: %2$s"), path,
                          text);
    return vimg_throw(error, VIMG_ERROR_XML_SCHEMA, _("Unable to validate doc against %1$s\n%2$s"),
                      path, g_strchomp(text));
}
