# Completion for bash:  eval "$(kycli completion bash)"
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
if ((BASH_VERSINFO[0] >= 4)); then
    complete -o nospace -F _kycli_completion @NAMES@
fi
