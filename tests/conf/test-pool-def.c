/*
 * test-pool-def.c: pool documents that are refused, addresses, options
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/pool-def.h"

#define NS " xmlns:image='urn:virtimage:pool:1'"
#define POOL(content) "<pool type='x'" NS "><name>a</name>" content "</pool>"
#define SOURCE(content) POOL("<source>" content "</source>")
#define OPTIONS(content) POOL("<image:options>" content "</image:options>")
#define X16 "xxxxxxxxxxxxxxxx"
#define X251 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 "xxxxxxxxxxx"

typedef struct {
    const char *path;
    const char *xml;
    int code;            /* -1: it is fine */
    const char *message; /* whole; NULL: not looked at */
} Case;

static const Case cases[] = {
    {"minimal", POOL(""), -1, NULL},
    {"not-xml", "<pool", VIMG_ERROR_XML_DETAIL,
     "(storage_pool_definition):1: Couldn't find end of Start Tag pool line 1\n<pool\n-----^"},
    {"mismatch", "<pool>\n<name>a</nam>\n</pool>", VIMG_ERROR_XML_DETAIL,
     "(storage_pool_definition):2: Opening and ending tag mismatch: name line 2 and nam\n"
     "<name>a</nam>\n-------------^"},
    {"empty", "", VIMG_ERROR_XML_DETAIL, NULL},
    {"prefix", "<pool type='x'><name>a</name><image:options/></pool>", VIMG_ERROR_XML_DETAIL, NULL},
    {"root", "<foo/>", VIMG_ERROR_XML, "expecting root element of 'pool', not 'foo'"},
    {"type-missing", "<pool/>", VIMG_ERROR_XML,
     "Missing required attribute 'type' in element 'pool'"},
    {"type-path", "<pool type='../x'/>", VIMG_ERROR_XML,
     "Invalid value for attribute 'type' in element 'pool': '../x'."},
    {"type-empty", "<pool type=''/>", VIMG_ERROR_XML, NULL},
    {"name-missing", "<pool type='x'/>", VIMG_ERROR_XML, "missing pool source name element"},
    {"name-empty", "<pool type='x'><name/></pool>", VIMG_ERROR_XML,
     "missing pool source name element"},
    {"name-slash", "<pool type='x'><name>a/b</name></pool>", VIMG_ERROR_XML,
     "name a/b cannot contain '/'"},
    {"name-dots", "<pool type='x'><name>..</name></pool>", VIMG_ERROR_XML,
     "pool name '..' is not allowed"},
    {"name-control", "<pool type='x'><name>a\n</name></pool>", VIMG_ERROR_XML, NULL},
    {"name-251", "<pool type='x'><name>" X251 "</name></pool>", -1, NULL},
    {"name-252", "<pool type='x'><name>" X251 "x</name></pool>", VIMG_ERROR_XML,
     "pool name is longer than 251 bytes"},
    {"name-twice", POOL("<name>b</name>"), VIMG_ERROR_XML, NULL},
    {"name-of-source", "<pool type='x'><source><name>b</name></source></pool>", -1, NULL},
    {"uuid", POOL("<uuid>12</uuid>"), VIMG_ERROR_XML, "malformed uuid element"},
    {"foreign-ignored", POOL("<bad/><z:bad xmlns:z='urn:z'/><source><bad/></source>"), -1, NULL},
    {"ours-in-pool", POOL("<image:bad/>"), VIMG_ERROR_XML,
     "unknown element 'bad' in element 'pool'"},
    {"ours-in-source", SOURCE("<image:bad/>"), VIMG_ERROR_XML, NULL},
    {"ours-in-target", POOL("<target><image:bad/></target>"), VIMG_ERROR_XML, NULL},
    {"source-twice", POOL("<source/><source/>"), VIMG_ERROR_XML,
     "element 'source' may be given only once in element 'pool'"},

    {"host-missing", SOURCE("<host/>"), VIMG_ERROR_XML, "missing storage pool host name"},
    {"host-port", SOURCE("<host name='h' port='65536'/>"), VIMG_ERROR_XML,
     "Invalid port number: 65536"},
    {"host-port-zero", SOURCE("<host name='h:0'/>"), VIMG_ERROR_XML, "Invalid port number: 0"},
    {"host-port-empty", SOURCE("<host name='h:'/>"), VIMG_ERROR_XML, "Invalid port number: "},
    {"host-two-ports", SOURCE("<host name='h:1' port='1'/>"), VIMG_ERROR_XML,
     "storage pool host 'h:1' has two ports"},
    {"host-dash", SOURCE("<host name='-oProxyCommand=x'/>"), VIMG_ERROR_XML,
     "invalid storage pool host name '-oProxyCommand=x'"},
    {"host-comma", SOURCE("<host name='a,,b'/>"), VIMG_ERROR_XML, NULL},
    {"host-bracket", SOURCE("<host name='[::1'/>"), VIMG_ERROR_XML, NULL},
    {"host-bracket-name", SOURCE("<host name='[h]:1'/>"), VIMG_ERROR_XML, NULL},
    {"host-behind-bracket", SOURCE("<host name='[::1]x'/>"), VIMG_ERROR_XML, NULL},
    {"host-v6-zone", SOURCE("<host name='[fe80::1%]'/>"), VIMG_ERROR_XML, NULL},
    {"host-space", SOURCE("<host name='a b'/>"), VIMG_ERROR_XML, NULL},

    {"dir-relative", SOURCE("<dir path='x'/>"), VIMG_ERROR_XML, "mount path 'x' is not absolute"},
    {"target-relative", POOL("<target><path>x</path></target>"), VIMG_ERROR_XML,
     "mount path 'x' is not absolute"},
    {"dir-control", SOURCE("<dir path='/a&#10;'/>"), VIMG_ERROR_XML, NULL},

    {"auth-user", SOURCE("<auth type='ssh'/>"), VIMG_ERROR_XML, "missing username for auth"},
    {"auth-type", SOURCE("<auth username='a'/>"), VIMG_ERROR_CONFIG_UNSUPPORTED,
     "storage pool missing auth type"},
    {"auth-no-secret", SOURCE("<auth type='ssh' username='a'/>"), -1, NULL},
    {"secret-empty", SOURCE("<auth type='t' username='a'><secret/></auth>"), VIMG_ERROR_XML,
     "missing secret uuid or usage attribute"},
    {"secret-uuid", SOURCE("<auth type='t' username='a'><secret uuid='zz'/></auth>"),
     VIMG_ERROR_XML, "invalid secret uuid 'zz'"},
    {"secret-both", SOURCE("<auth type='t' username='a'><secret uuid='zz' usage='u'/></auth>"),
     VIMG_ERROR_XML, "either secret uuid or usage expected"},

    {"options-foreign", OPTIONS("<slice size='x'/>"), -1, NULL},
    {"state", OPTIONS("<image:state>on</image:state>"), VIMG_ERROR_XML,
     "state is neither 'enabled' nor 'disabled': on"},
    {"state-twice", OPTIONS("<image:state>enabled</image:state><image:state>enabled</image:state>"),
     VIMG_ERROR_XML, "element 'state' may be given only once in element 'options'"},
    {"state-attribute", OPTIONS("<image:state x='1'>enabled</image:state>"), VIMG_ERROR_XML,
     "unknown attribute 'x' in element 'state'"},
    {"state-child", OPTIONS("<image:state>enabled<image:x/></image:state>"), VIMG_ERROR_XML,
     "unknown element 'x' in element 'state'"},
    {"zone-empty", OPTIONS("<image:zone/>"), VIMG_ERROR_XML, "zone name is empty"},
    {"zone-twice", OPTIONS("<image:zone name='z'/><image:zone name='z'/>"), VIMG_ERROR_XML,
     "zone 'z' is given twice"},
    {"network-none", OPTIONS("<image:dataNetwork/>"), VIMG_ERROR_XML, NULL},
    {"network-host", OPTIONS("<image:dataNetwork cidr='10.0.0.1'/>"), VIMG_ERROR_XML, NULL},
    {"network-bits", OPTIONS("<image:dataNetwork cidr='10.0.0.0/33'/>"), VIMG_ERROR_XML,
     "'10.0.0.0/33' is not a network, in element 'dataNetwork'"},
    {"network-v6", OPTIONS("<image:syncNetwork cidr='fd00::/33'/>"), -1, NULL},
    {"reconnect", OPTIONS("<image:reconnect enabled='maybe'/>"), VIMG_ERROR_XML,
     "Invalid value for attribute 'enabled' in element 'reconnect': 'maybe'."},
    {"reconnect-interval", OPTIONS("<image:reconnect interval='0'/>"), VIMG_ERROR_XML, NULL},
    {"cleanup-negative", OPTIONS("<image:cleanup keepDeleted='-1'/>"), VIMG_ERROR_XML, NULL},
    {"space-huge", OPTIONS("<image:space quota='9223372036854775808'/>"), VIMG_ERROR_XML, NULL},
    {"backend-prefixed-attribute", OPTIONS("<image:x image:y='1'/>"), VIMG_ERROR_XML, NULL},
};

static void
test_parse(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(c->xml, FALSE, &error);

    if (c->code < 0) {
        g_assert_no_error(error);
        g_assert_nonnull(def);
        return;
    }
    g_assert_null(def);
    g_assert_error(error, VIMG_ERROR, c->code);
    if (c->message)
        g_assert_cmpstr(error->message, ==, c->message);
}

static const struct {
    const char *attributes;
    const char *names[4];
    guint16 ports[4];
} hosts[] = {
    {"name='h'", {"h"}, {0}},
    {"name='h' port='22'", {"h"}, {22}},
    {"name='10.0.0.1:65535'", {"10.0.0.1"}, {65535}},
    {"name='::1'", {"::1"}, {0}},
    {"name='::1' port='1'", {"::1"}, {1}},
    {"name='[fe80::1%eth0]'", {"fe80::1%eth0"}, {0}},
    {"name='[::1]:6789'", {"::1"}, {6789}},
    {"name='a:1, b,[::1]:2'", {"a", "b", "::1"}, {1, 0, 2}},
    {"name='a,b' port='7'", {"a", "b"}, {7, 7}},
};

static void
test_hosts(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = g_strdup_printf(SOURCE("<host %s/>"), hosts[i].attributes);
        g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, FALSE, &error);
        guint n;

        g_test_message("%s", hosts[i].attributes);
        g_assert_no_error(error);
        for (n = 0; n < def->hosts->len; n++) {
            const VimgHostDef *host = g_ptr_array_index(def->hosts, n);

            g_assert_cmpstr(host->name, ==, hosts[i].names[n]);
            g_assert_cmpuint(host->port, ==, hosts[i].ports[n]);
        }
        g_assert_null(hosts[i].names[n]);
    }
}

static void
test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) one = vimg_pool_def_parse(POOL(""), FALSE, &error);
    g_autoptr(VimgPoolDef) two = vimg_pool_def_parse(POOL(""), FALSE, &error);

    g_assert_no_error(error);
    g_assert_false(one->has_uuid);
    g_assert_cmpint(memcmp(one->uuid, two->uuid, VIMG_UUID_SIZE), !=, 0);
    g_assert_false(one->disabled);
    g_assert_true(one->reconnect);
    g_assert_cmpuint(one->reconnect_interval, ==, 30);
    g_assert_false(one->retrieve_existing);
    g_assert_cmpuint(one->keep_deleted, ==, 259200);
    g_assert_cmpuint(one->keep_temporary, ==, 86400);
    g_assert_cmpuint(one->space_reserve, ==, G_MAXUINT64);
    g_assert_cmpuint(one->space_quota, ==, 0);
    g_assert_null(vimg_pool_def_dir(one));
}

static void
test_elements(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(
        OPTIONS("<image:slice size='1' compression='2'/><image:oss region='r'> t "
                "<auth type='a'><secret usage='u'/></auth><z:no xmlns:z='urn:z'/></image:oss>"),
        FALSE, &error);
    static const char *const paths[] = {"slice", "oss", "oss/auth", "oss/auth/secret"};
    const VimgElementDef *element;
    guint i;

    g_assert_no_error(error);
    g_assert_cmpuint(def->elements->len, ==, G_N_ELEMENTS(paths));
    for (i = 0; i < G_N_ELEMENTS(paths); i++) {
        element = g_ptr_array_index(def->elements, i);
        g_assert_cmpstr(element->path, ==, paths[i]);
    }
    element = g_ptr_array_index(def->elements, 0);
    g_assert_cmpstr(element->attributes[0], ==, "size");
    g_assert_cmpstr(element->attributes[1], ==, "1");
    g_assert_cmpstr(element->attributes[2], ==, "compression");
    g_assert_cmpstr(element->attributes[3], ==, "2");
    g_assert_null(element->attributes[4]);
    g_assert_cmpstr(element->text, ==, "");
    element = g_ptr_array_index(def->elements, 1);
    g_assert_cmpstr(element->text, ==, "t");
}

/* Repeats what may be repeated, once more than allowed. */
static void
test_limits(void)
{
    static const struct {
        const char *before;
        const char *one; /* with %u */
        guint limit;
        const char *after;
    } limits[] = {
        {"<source>", "<host name='h%u'/>", 64, "</source>"},
        {"<image:options>", "<image:zone name='z%u'/>", 256, "</image:options>"},
        {"<image:options>", "<image:e%u/>", 1024, "</image:options>"},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(limits); i++) {
        guint more;

        for (more = 0; more < 2; more++) {
            g_autoptr(GError) error = NULL;
            g_autoptr(VimgPoolDef) def = NULL;
            g_autoptr(GString) xml = g_string_new("<pool type='x'" NS "><name>a</name>");
            guint n;

            g_string_append(xml, limits[i].before);
            for (n = 0; n < limits[i].limit + more; n++) {
                g_auto(GStrv) halves = g_strsplit(limits[i].one, "%u", 2);

                g_string_append_printf(xml, "%s%u%s", halves[0], n, halves[1]);
            }
            g_string_append_printf(xml, "%s</pool>", limits[i].after);
            def = vimg_pool_def_parse(xml->str, FALSE, &error);
            if (more)
                g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
            else
                g_assert_no_error(error);
        }
    }
}

static void
test_sizes(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(POOL(""), FALSE, &error);
    VimgPoolSizes sizes = {G_MAXUINT64, 2, 3};
    g_autofree char *xml = vimg_pool_def_format(def, &sizes);

    g_assert_nonnull(strstr(xml, "<capacity unit='bytes'>18446744073709551615</capacity>"));
    g_assert_nonnull(strstr(xml, "<allocation unit='bytes'>2</allocation>"));
    g_assert_nonnull(strstr(xml, "<available unit='bytes'>3</available>"));
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/pool-def/parse/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_parse);
    }
    g_test_add_func("/pool-def/hosts", test_hosts);
    g_test_add_func("/pool-def/defaults", test_defaults);
    g_test_add_func("/pool-def/elements", test_elements);
    g_test_add_func("/pool-def/limits", test_limits);
    g_test_add_func("/pool-def/sizes", test_sizes);
    return g_test_run();
}
