"""The scripts that have a shell ask for completions.

Own scripts, and no generator such as shtab: a generator writes the names of commands and flags
into the script, but what is worth completing here is in the database, and one engine for
everything gives the same answers in all shells, and in the interactive shell.
"""

from __future__ import annotations

from kycli.cli.commands import KY, short_names

_BASH = r"""# Completion for bash:  eval "$(kycli completion bash)"
_kycli_completion() {
    local answer mode
    COMPREPLY=()
    answer=$(kycli completion bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" \
        "${COMP_LINE:COMP_POINT}" 2>/dev/null </dev/null) || return
    { IFS= read -r mode; mapfile -t COMPREPLY; } <<<"$answer"
    case $mode in
        files) COMPREPLY=(); compopt -o default +o nospace ;;
    esac
}
complete -o nospace -F _kycli_completion %s
"""

_ZSH = r"""# Completion for zsh:  eval "$(kycli completion zsh)"
_kycli_completion() {
    local current=${(Q)PREFIX} kind
    local -a answer whole partial whole_shown partial_shown
    [[ -n $compstate[quote] ]] && current=$PREFIX
    answer=("${(@0)$(kycli completion zsh "${words[1]}" $((CURRENT - 2)) \
        "${(@Q)words[2,CURRENT-1]}" "$current" "${(@Q)words[CURRENT+1,-1]}" \
        2>/dev/null </dev/null)}")
    if [[ $answer[1] == files ]]; then
        [[ $PREFIX == --*=* ]] && compset -P '*='
        _files
        return
    fi
    shift answer
    while (( $#answer >= 3 )); do
        kind=$answer[1]
        set -A $kind "${(@P)kind}" "$answer[2]"
        set -A ${kind}_shown "${(@P)${:-${kind}_shown}}" "$answer[3]"
        shift 3 answer
    done
    (( $#whole )) && compadd -V kycli -l -d whole_shown -a whole
    (( $#partial )) && compadd -V kycli -l -S '' -d partial_shown -a partial
    (( $#whole || $#partial ))
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _kycli_completion %s
"""

_FISH = r"""# Completion for fish:  kycli completion fish | source
function __kycli_completion
    set -l before (commandline -opc)
    set -l all (commandline -op)
    set -l next (math (count $before) + 1)
    if test -n "$(commandline -t)"
        set next (math $next + 1)
    end
    set -l answer (kycli completion fish "$(commandline -ct)" (count $before) $before \
        $all[$next..-1] 2>/dev/null </dev/null | string split0)
    if test "$answer[1]" = files
        __fish_complete_path (commandline -ct)
    else
        string join0 -- $answer[2..-1] | string split0
    end
end
function __kycli_home
    string match -q -- '~*' (commandline -ct)
end
for name in %s
    complete -c $name -f -a '(__kycli_completion)'
    complete -c $name -n __kycli_home -F
end
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)


def script(shell: str) -> str:
    """Return the script for one of ``SHELLS``, to be evaluated when it starts."""
    return _SCRIPTS[shell] % " ".join(("kycli", KY, *short_names()))
