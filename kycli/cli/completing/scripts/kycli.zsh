# Completion for zsh:  eval "$(kycli completion zsh)"
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
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _kycli_completion @NAMES@
