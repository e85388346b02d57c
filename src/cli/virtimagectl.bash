# virtimagectl.bash: bash completion for virtimagectl
#
# From what lies on this host alone: no daemon is asked.  Commands and options are those that the
# program itself lists; pools, those whose definitions can be read here.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

# Those of the user's session and of the system, as far as they may be read.
_virtimagectl_pools() {
    local file

    for file in "${XDG_CONFIG_HOME:-$HOME/.config}"/libvirt/image/*.xml /etc/libvirt/image/*.xml; do
        [[ ! -r $file ]] || basename "$file" .xml
    done
}

# What may stand for $1, the name of an option or what a synopsis calls an argument, a word a line.
_virtimagectl_words() {
    case $1 in
    POOL) _virtimagectl_pools | sort -u ;;
    COMMAND) virtimagectl help --completion | cut -d '|' -f 1 ;;
    --progress) printf '%s\n' auto json none ;;
    --format) printf '%s\n' raw qcow2 iso vmdk vpc vdi vhdx ;;
    --checksum | --digest) printf '%s\n' sha256: sha512: ;;
    --connect | -c) printf '%s\n' image:///system image:///session image+ssh:// ;;
    esac
}

# Answers with those words of standard input that begin with $1.
_virtimagectl_answer() {
    local word

    while IFS= read -r word; do
        [[ $word != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$word")")
    done
}

# Of the words before the cursor: which command they name, and how many arguments follow it.
# Sets found, known (its options), kinds (of its arguments), given and typed of its caller.
_virtimagectl_look() {
    local i name args options

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --progress | --format | --checksum | --digest | --connect | --retry)
            ((i++))
            [[ ${COMP_WORDS[i]} != = ]] || ((i++))
            continue
            ;;
        -*) continue ;;
        esac
        [[ -z $found ]] || ((given++))
        typed=${typed:+$typed }${COMP_WORDS[i]}
        while IFS='|' read -r name args options; do
            if [[ -z $found && -n $name && $name == "$typed" ]]; then
                found=$name
                known=$options
                read -r -a kinds <<<"${args//[\[\]]/}"
            fi
        done <<<"$table"
    done
}

_virtimagectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local table typed='' found='' known='' given=0 kinds=()

    COMPREPLY=()
    if [[ $cur == = ]]; then # bash takes --name=value apart
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
    --progress | --format | --checksum | --digest | --connect | -c)
        _virtimagectl_answer "$cur" < <(_virtimagectl_words "$prev")
        return
        ;;
    esac
    table=$(virtimagectl help --completion)
    _virtimagectl_look
    if [[ $cur == -* ]]; then
        _virtimagectl_answer "$cur" < <(tr ' ' '\n' <<<"$known ${table##*||}" | sed '/^$/d')
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
    elif [[ -z $found ]]; then
        # the next word of each command that begins so
        _virtimagectl_answer "$cur" < <(cut -d '|' -f 1 <<<"$table" |
            sed -n "s/^${typed:+$typed }\\([^ ]*\\).*/\\1/p" | sed '/^$/d' | sort -u)
    elif [[ ${kinds[given]-} == FILE ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        _virtimagectl_answer "$cur" < <(_virtimagectl_words "${kinds[given]-}")
    fi
}

complete -F _virtimagectl virtimagectl
