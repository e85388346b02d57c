/*
 * help.c: what virtimagectl says of itself, all from the table of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/report.h"
#include "cli/text.h"
#include "util/i18n.h"

/* ---- for people ----------------------------------------------------------------------------- */

static void
print_below(VimgCtl *ctl, const char *text)
{
    fputs("      ", stdout);
    vimg_text_print(_(text), 6, ctl->columns);
}

static void
print_command(VimgCtl *ctl, const VimgCommand *command)
{
    printf("  %s%s%s\n", command->name, *command->args ? " " : "", command->args);
    print_below(ctl, command->summary);
}

static void
print_options(VimgCtl *ctl, const VimgCommandOption *options)
{
    for (; options && options->name; options++) {
        const char *arg = options->arg ? options->arg : "";

        fputs("  ", stdout);
        if (options->letter)
            printf("-%c%s%s, ", options->letter, *arg ? " " : "", arg);
        printf("--%s%s%s\n", options->name, *arg ? "=" : "", arg);
        print_below(ctl, options->summary);
    }
}

static void
print_all(VimgCtl *ctl)
{
    const VimgCommand *command;

    vimg_text_print(_("usage: virtimagectl [OPTION]... COMMAND [ARGUMENT]..."), 4, ctl->columns);
    putchar('\n');
    for (command = vimg_commands; command->name; command++)
        print_command(ctl, command);
    putchar('\n');
    puts(_("Options of every command:"));
    print_options(ctl, vimg_common_options);
}

/* Whether @argv name it, or a group it belongs to, as "trash". */
static gboolean
is_named(const VimgCommand *command, int argc, char **argv)
{
    g_auto(GStrv) words = g_strsplit(command->name, " ", -1);
    int i;

    for (i = 0; i < argc && words[i]; i++)
        if (strcmp(words[i], argv[i]) != 0)
            return FALSE;
    return i > 0;
}

static gboolean
print_named(VimgCtl *ctl, int argc, char **argv)
{
    const VimgCommand *command;
    gboolean found = FALSE;

    for (command = vimg_commands; command->name; command++) {
        if (!is_named(command, argc, argv))
            continue;
        print_command(ctl, command);
        print_options(ctl, command->options);
        found = TRUE;
    }
    return found;
}

/* ---- for programs --------------------------------------------------------------------------- */

static JsonArray *
options_to_json(const VimgCommandOption *options)
{
    JsonArray *array = json_array_new();

    for (; options && options->name; options++) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", options->name);
        json_object_set_string_member(object, "arg", options->arg);
        json_object_set_string_member(object, "summary", _(options->summary));
        json_array_add_object_element(array, object);
    }
    return array;
}

/* Returns: FALSE if nothing is named so, and nothing was printed. */
static gboolean
print_json(int argc, char **argv)
{
    g_autoptr(JsonObject) report = json_object_new();
    JsonArray *array = json_array_new();
    const VimgCommand *command;

    for (command = vimg_commands; command->name; command++) {
        JsonObject *object;

        if (argc > 0 && !is_named(command, argc, argv))
            continue;
        object = json_object_new();
        json_object_set_string_member(object, "name", command->name);
        json_object_set_string_member(object, "args", command->args);
        json_object_set_string_member(object, "summary", _(command->summary));
        json_object_set_array_member(object, "options", options_to_json(command->options));
        json_array_add_object_element(array, object);
    }
    json_object_set_array_member(report, "commands", array);
    if (json_array_get_length(array) == 0)
        return FALSE;
    json_object_set_array_member(report, "options", options_to_json(vimg_common_options));
    vimg_report_print(report);
    return TRUE;
}

static void
print_words(const VimgCommandOption *options)
{
    for (; options && options->name; options++)
        printf(" --%s%s", options->name, options->arg ? "=" : "");
    putchar('\n');
}

/* "NAME|ARGS| OPTIONS", a line a command, and one for all of them: what completion reads. */
static void
print_completion(void)
{
    const VimgCommand *command;

    for (command = vimg_commands; command->name; command++) {
        printf("%s|%s|", command->name, command->args);
        print_words(command->options);
    }
    fputs("||", stdout);
    print_words(vimg_common_options);
}

/* ---- commands ------------------------------------------------------------------------------- */

int
vimg_cmd_help(VimgCtl *ctl, int argc, char **argv)
{
    if (vimg_ctl_option(ctl, "completion"))
        print_completion();
    else if (!ctl->json && argc == 0)
        print_all(ctl);
    else if (ctl->json ? !print_json(argc, argv) : !print_named(ctl, argc, argv))
        return vimg_ctl_misused(ctl, _("unknown command '%s'"), argv[0]);
    return VIMG_EXIT_OK;
}

int
vimg_cmd_version(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = json_object_new();

    json_object_set_string_member(report, "version", VIMG_VERSION);
    if (ctl->json)
        vimg_report_print(report);
    else
        printf("virtimagectl (virtimage) %s\n", VIMG_VERSION);
    return VIMG_EXIT_OK;
}
