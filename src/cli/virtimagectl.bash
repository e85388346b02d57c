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
    FINGERPRINT) printf '%s\n' SHA256: ;;
    --expires) printf '%s\n' 90s 30m 12h 7d 4w ;;
    --checksum | --digest) printf '%s\n' sha256: sha512: ;;
    --connect | -c) printf '%s\n' image:///system image:///session image+ssh:// ;;
    esac
}

# Bash takes words apart at = and :.  Sets words and cword of its caller to what was typed, cur to the
# word at the cursor and head to that of it which bash does not replace.
_virtimagectl_rejoin() {
    local i gap rest=$COMP_LINE tail=${COMP_WORDS[COMP_CWORD]}

    for i in "${!COMP_WORDS[@]}"; do
        gap=${rest%%[![:space:]]*}
        rest=${rest#"$gap"}
        rest=${rest#"${COMP_WORDS[i]}"}
        if [[ -z $gap && $i -gt 0 ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        [[ $i -ne $COMP_CWORD ]] || cword=$((${#words[@]} - 1))
    done
    cur=${words[cword]}
    [[ -n ${tail//[=:]/} ]] || tail=
    head=${cur%"$tail"}
}

# Answers with those words of standard input that begin with cur, as they are or quoted.
_virtimagectl_answer() {
    local word quoted

    while IFS= read -r word; do
        printf -v quoted '%q' "$word"
        if [[ -n $word && $word == "$cur"* ]]; then
            printf -v quoted '%q' "${word#"$head"}"
            COMPREPLY+=("$quoted")
        elif [[ -n $word && $quoted == "$cur"* ]]; then
            COMPREPLY+=("${quoted#"$head"}")
        fi
    done
}

# Of the words before the cursor: which command they name, and how many arguments follow it.
# Sets found, known (its options), kinds (of its arguments), given and typed of its caller.
_virtimagectl_look() {
    local i name args options

    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        -c | --progress | --format | --checksum | --digest | --connect | --retry | --bandwidth | --expires)
            ((i++))
            continue
            ;;
        -*) continue ;;
        esac
        [[ -z $found ]] || ((given++))
        typed=${typed:+$typed }${words[i]}
        while IFS='|' read -r name args options; do
            if [[ -n $name && $name == "$typed" ]]; then
                found=$name
                given=0
                known=$options
                read -r -a kinds <<<"${args//[\[\]]/}"
            fi
        done <<<"$table"
    done
}

# The next word of each command that begins with what was typed.
_virtimagectl_next() {
    local name begin=${typed:+$typed }

    while IFS='|' read -r name _; do
        [[ -n $name && $name == "$begin"* ]] || continue
        name=${name#"$begin"}
        printf '%s\n' "${name%% *}"
    done <<<"$table" | sort -u
}

_virtimagectl() {
    local words=() cword=0 cur='' head='' option table
    local typed='' found='' known='' given=0 kinds=()

    COMPREPLY=()
    _virtimagectl_rejoin
    option=${words[cword - 1]}
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*}
        cur=${cur#*=}
        head=${head#*=}
    fi
    case $option in
    --progress | --format | --checksum | --digest | --connect | --expires | -c)
        _virtimagectl_answer < <(_virtimagectl_words "$option")
        return
        ;;
    esac
    table=$(virtimagectl help --completion)
    _virtimagectl_look
    if [[ $cur == -* ]]; then
        _virtimagectl_answer < <(tr ' ' '\n' <<<"$known ${table##*||}")
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
    elif [[ -z $found ]]; then
        _virtimagectl_answer < <(_virtimagectl_next)
    elif [[ ${kinds[given]-} == FILE ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        COMPREPLY=("${COMPREPLY[@]#"$head"}")
    else
        _virtimagectl_answer < <(
            _virtimagectl_words "${kinds[given]-}"
            ((given > 0)) || _virtimagectl_next
        )
    fi
}

complete -F _virtimagectl virtimagectl
