/*
 * main.c: virtimagectl: reads the command line and runs the command it names
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include "cli/command.h"
#include "cli/daemon.h"
#include "util/error.h"
#include "util/i18n.h"

static const char *const progress_modes[] = {
    [VIMG_PROGRESS_AUTO] = "auto",
    [VIMG_PROGRESS_JSON] = "json",
    [VIMG_PROGRESS_NONE] = "none",
};

/* ---- the command line ----------------------------------------------------------------------- */

static const VimgCommandOption *
find_option(const VimgCommandOption *options, const char *name)
{
    for (; options && options->name; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

/* The command that @words begin with, and of how many words its name is; NULL: none. */
static const VimgCommand *
find_command(GPtrArray *words, guint *used)
{
    g_autofree char *two = NULL;
    const VimgCommand *command, *found = NULL;

    if (words->len > 1)
        two = g_strdup_printf("%s %s", (char *)words->pdata[0], (char *)words->pdata[1]);
    for (command = vimg_commands; words->len > 0 && command->name; command++) {
        gboolean both = strchr(command->name, ' ') != NULL;

        if (g_strcmp0(command->name, both ? two : words->pdata[0]) != 0)
            continue;
        found = command;
        *used = both ? 2 : 1;
        if (both)
            break;
    }
    return found;
}

static gboolean
is_of_some_command(const char *name)
{
    const VimgCommand *command;

    for (command = vimg_commands; command->name; command++)
        if (find_option(command->options, name))
            return TRUE;
    return FALSE;
}

/* Takes the option @name; without @value, one that needs it takes the next argument. */
static gboolean
take_option(VimgCtl *ctl, GPtrArray *words, const char *name, const char *value, char ***next)
{
    const VimgCommandOption *option = find_option(vimg_common_options, name);
    guint used;

    ctl->command = find_command(words, &used);
    if (!option && ctl->command)
        option = find_option(ctl->command->options, name);
    if (!option) {
        vimg_ctl_misused(ctl,
                         !ctl->command && is_of_some_command(name)
                             ? _("option '--%s' stands behind the command it is for")
                             : _("unknown option '--%s'"),
                         name);
        return FALSE;
    }
    if (option->arg && !value)
        value = *++*next;
    if (!option->arg != !value) {
        vimg_ctl_misused(
            ctl, value ? _("option '--%s' takes no value") : _("option '--%s' takes a value"),
            name);
        return FALSE;
    }
    g_hash_table_insert(ctl->options, g_strdup(name), (gpointer)(value ? value : ""));
    return TRUE;
}

static gboolean
take_letter(VimgCtl *ctl, GPtrArray *words, char ***next)
{
    const char *arg = **next;
    const VimgCommandOption *option;

    for (option = vimg_common_options; option->name; option++)
        if (arg[1] == option->letter)
            return take_option(ctl, words, option->name, arg[2] ? arg + 2 : NULL, next);
    vimg_ctl_misused(ctl, _("unknown option '%s'"), arg);
    return FALSE;
}

static gboolean
take_long(VimgCtl *ctl, GPtrArray *words, char ***next)
{
    const char *arg = **next + 2;
    const char *value = strchr(arg, '=');
    g_autofree char *name = value ? g_strndup(arg, (gsize)(value - arg)) : g_strdup(arg);

    return take_option(ctl, words, name, value ? value + 1 : NULL, next);
}

/* Sorts what is behind the program's name into @words and options. */
static gboolean
read_line(VimgCtl *ctl, char **next, GPtrArray *words)
{
    gboolean ok = TRUE;

    for (; ok && *next && strcmp(*next, "--") != 0; next++) {
        if (g_str_has_prefix(*next, "--"))
            ok = take_long(ctl, words, &next);
        else if (**next == '-' && (*next)[1])
            ok = take_letter(ctl, words, &next);
        else
            g_ptr_array_add(words, *next);
    }
    if (!ok)
        return FALSE;
    for (next += *next ? 1 : 0; *next; next++)
        g_ptr_array_add(words, *next);
    return TRUE;
}

static gboolean
read_common(VimgCtl *ctl)
{
    const char *progress = vimg_ctl_option(ctl, "progress");

    ctl->uri = vimg_ctl_option(ctl, "connect");
    ctl->read_only = vimg_ctl_option(ctl, "readonly") != NULL;
    ctl->json = vimg_ctl_option(ctl, "json") != NULL;
    ctl->bytes = vimg_ctl_option(ctl, "bytes") != NULL;
    ctl->quiet = vimg_ctl_option(ctl, "quiet") != NULL;
    ctl->yes = vimg_ctl_option(ctl, "yes") != NULL;
    for (guint i = 0; progress && i < G_N_ELEMENTS(progress_modes); i++)
        if (strcmp(progress, progress_modes[i]) == 0) {
            ctl->progress = i;
            return TRUE;
        }
    if (progress)
        vimg_ctl_misused(ctl, _("--progress: '%s' is not auto, json or none"), progress);
    return !progress;
}

/* ---- running -------------------------------------------------------------------------------- */

/* A command of two words whose second is not one, or nothing that is known. */
static int
refuse_command(VimgCtl *ctl, const char *word)
{
    g_autofree char *begin = g_strconcat(word, " ", NULL);
    g_autoptr(GString) seconds = g_string_new(NULL);
    const VimgCommand *command;

    for (command = vimg_commands; command->name; command++)
        if (g_str_has_prefix(command->name, begin))
            g_string_append_printf(seconds, "%s%s", seconds->len > 0 ? ", " : "",
                                   command->name + strlen(begin));
    if (seconds->len > 0)
        return vimg_ctl_misused(ctl, _("'%1$s' is followed by one of: %2$s"), word, seconds->str);
    return vimg_ctl_misused(ctl, _("unknown command '%s'"), word);
}

static gboolean
is_name(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (; *text; text = g_utf8_next_char(text))
        if (g_unichar_iscntrl(g_utf8_get_char(text)))
            return FALSE;
    return TRUE;
}

/* No daemon is asked for what no pool, image or zone can be called. */
static gboolean
check_names(const VimgCommand *command, int argc, char **argv, GError **error)
{
    static const char *const named[] = {"POOL", "IMAGE", "IMAGE|UUID", "NAME", "ZONE", NULL};
    g_auto(GStrv) kinds = g_strsplit_set(command->args, " []", -1);

    for (int i = 0, k = 0; i < argc && kinds[k]; k++) {
        if (!*kinds[k])
            continue;
        if (g_strv_contains(named, kinds[k]) && !is_name(argv[i]))
            return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                              _("'%s' is no name: it has control characters or is not UTF-8"),
                              argv[i]);
        i++;
    }
    return TRUE;
}

/*
 * A path as volumes have it, TYPE://POOL/IMAGE, stands for both words.  Returns: (transfer
 * full) the pool, if words[@at] was one and is just the image now.
 */
static char *
split_path(const VimgCommand *command, GPtrArray *words, guint at)
{
    const char *path = at < words->len ? words->pdata[at] : "";
    const char *pool = strstr(path, "://");
    const char *image = pool ? strchr(pool + 3, '/') : NULL;
    char *name;

    if (!g_str_has_prefix(command->args, "POOL IMAGE") &&
        !g_str_has_prefix(command->args, "POOL [IMAGE"))
        return NULL;
    if (!image || image == pool + 3 || !image[1])
        return NULL;
    name = g_strndup(pool + 3, (gsize)(image - pool - 3));
    words->pdata[at] = (gpointer)(image + 1);
    g_ptr_array_insert(words, (int)at, name);
    return name;
}

static int
run_command(VimgCtl *ctl, GPtrArray *words)
{
    g_autofree char *pool = NULL;
    g_autoptr(GError) error = NULL;
    guint used = 0;
    int argc;

    ctl->command = find_command(words, &used);
    if (vimg_ctl_option(ctl, "version"))
        return vimg_cmd_version(ctl, 0, NULL);
    if (vimg_ctl_option(ctl, "help"))
        return vimg_cmd_help(ctl, (int)words->len, (char **)words->pdata);
    if (words->len == 0)
        return vimg_ctl_misused(ctl, "%s", _("a command is missing"));
    if (!ctl->command)
        return refuse_command(ctl, words->pdata[0]);
    pool = split_path(ctl->command, words, used);
    argc = (int)(words->len - used);
    if ((guint)argc < ctl->command->min)
        return vimg_ctl_misused(ctl, "%s", _("too few arguments"));
    if ((guint)argc > ctl->command->max)
        return vimg_ctl_misused(ctl, _("unexpected argument '%s'"),
                                (char *)words->pdata[used + ctl->command->max]);
    if (!check_names(ctl->command, argc, (char **)words->pdata + used, &error))
        return vimg_ctl_fail(ctl, error);
    return ctl->command->run(ctl, argc, (char **)words->pdata + used);
}

/* What was printed must have arrived, or a script would take half a list for a whole one. */
static int
end_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE) /* whoever reads no further knows */
        fprintf(stderr, _("error: cannot write: %s\n"), g_strerror(errno));
    return code == VIMG_EXIT_OK ? VIMG_EXIT_FAILED : code;
}

static guint
terminal_columns(void)
{
    struct winsize size = {0};

    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    VimgCtl ctl = {
        .columns = terminal_columns(),
        .options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    int code = VIMG_EXIT_USAGE;

    setlocale(LC_ALL, "");
    bindtextdomain(VIMG_GETTEXT_DOMAIN, VIMG_LOCALEDIR);
    bind_textdomain_codeset(VIMG_GETTEXT_DOMAIN, "UTF-8");
    signal(SIGPIPE, SIG_IGN);
    if (argc > 0 && read_line(&ctl, argv + 1, words) && read_common(&ctl))
        code = run_command(&ctl, words);
    code = end_output(code);
    vimg_daemon_close(ctl.daemon);
    g_hash_table_unref(ctl.options);
    return code;
}
